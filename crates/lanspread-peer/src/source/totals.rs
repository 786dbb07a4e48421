//! What a stream of a game would carry, remembered as long as its archives do not change: listing an archive of many
//! entries takes a while, and every receiver asks.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

use lanspread_archive::ArchiveError;
use lanspread_archive::list::list;
use lanspread_archive::provider::ArchiveProvider;
use lanspread_archive::set::ArchiveSet;
use lanspread_proto::message::{Refusal, Reply};
use lanspread_types::ids::GameId;
use lanspread_types::limits::TOTALS_REMEMBERED_MAX;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::refusal;
use super::served_chunks::fingerprint;

/// Identifies the archives of a game and their last changes.
type Fingerprint = [u8; 32];

/// The totals that are remembered.
#[derive(Debug, Default)]
pub(super) struct TotalsMemory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_game: BTreeMap<GameId, Known>,
    uses: u64,
}

#[derive(Debug)]
struct Known {
    fingerprint: Fingerprint,
    answer: Result<Reply, Refusal>,
    /// When it was used last, in uses of the memory.
    used: u64,
}

impl TotalsMemory {
    /// The answer about these archives, if it is remembered. Looks at each file, but opens none.
    pub(super) fn known(&self, game: &GameId, archives: &[ArchiveSet]) -> Option<Result<Reply, Refusal>> {
        let now = archives_fingerprint(archives)?;
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.uses += 1;
        let uses = remembered.uses;
        let known = remembered.by_game.get_mut(game).filter(|known| known.fingerprint == now)?;
        known.used = uses;
        Some(known.answer.clone())
    }

    /// Lists the archives, unless the answer is known meanwhile, and remembers it.
    pub(super) fn find_out(
        &self,
        provider: &dyn ArchiveProvider,
        game: &GameId,
        archives: &[ArchiveSet],
        cancel: &CancellationToken,
    ) -> Result<Reply, Refusal> {
        if let Some(known) = self.known(game, archives) {
            return known;
        }
        let before = archives_fingerprint(archives);
        let listed = list(provider, archives, cancel);
        let passes = matches!(&listed, Err(error) if may_pass(error));
        let answer = match listed {
            Ok((_, totals)) => Ok(Reply::Totals { archives: archives.len() as u64, totals }),
            Err(error) => {
                tracing::warn!("{game} cannot be listed: {error}");
                Err(refusal::of_archive(&error))
            }
        };
        // An archive that changed while it was listed is listed again.
        if let Some(fingerprint) = before.filter(|_| !passes && before == archives_fingerprint(archives)) {
            self.remember(game, fingerprint, answer.clone());
        }
        answer
    }

    fn remember(&self, game: &GameId, fingerprint: Fingerprint, answer: Result<Reply, Refusal>) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.uses += 1;
        let used = remembered.uses;
        remembered.by_game.insert(game.clone(), Known { fingerprint, answer, used });
        if remembered.by_game.len() > TOTALS_REMEMBERED_MAX {
            let oldest = remembered.by_game.iter().min_by_key(|(_, known)| known.used);
            if let Some(game) = oldest.map(|(game, _)| game.clone()) {
                remembered.by_game.remove(&game);
            }
        }
    }
}

/// Whether listing the same archives again may end otherwise.
fn may_pass(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Read { .. }
            | ArchiveError::ProgramMissing { .. }
            | ArchiveError::ProgramFailed { .. }
            | ArchiveError::Cancelled
            | ArchiveError::Sink(_)
    )
}

/// The fingerprint of all files of the archives; none if one cannot be looked at.
fn archives_fingerprint(archives: &[ArchiveSet]) -> Option<Fingerprint> {
    let mut hash = Sha256::new();
    for path in archives.iter().flat_map(ArchiveSet::paths) {
        let metadata = fs::metadata(&path).ok()?;
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(fingerprint(&metadata).to_be_bytes());
    }
    Some(hash.finalize().into())
}

#[cfg(test)]
mod tests;
