//! `remove`: the downloaded files go, `local/` stays.

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::{DOWNLOADING_DIR, SENTINEL_FILE};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use super::Peer;
use crate::download::commit;
use crate::error::PeerError;
use crate::event::PeerEvent;
use crate::install::games_dir::GamesDir;
use crate::install::intent::Step;
use crate::install::recovery::{Standing, standing};
use crate::install::{steps, transaction};
use crate::operation::{OperationContext, OperationOptions};

impl Peer {
    /// Removes the downloaded files of a game, after the transfers that read them.
    ///
    /// # Errors
    /// [`PeerError::NotDownloaded`], [`PeerError::Local`], and what every operation can fail with.
    pub async fn remove_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, async |context| self.remove(&context).await).await
    }

    /// The removal as an operation that runs.
    pub(super) async fn remove(&self, context: &OperationContext) -> Result<(), PeerError> {
        let game = context.game.clone();
        let (games, lock) = self.lock_and_recover(context).await?;
        let quiesce = self.inner.source.readers.quiesce(&game, limits::QUIESCE_DEADLINE);
        let Some(quiet) = context.cancel.run_until_cancelled(quiesce).await else {
            return Err(PeerError::Cancelled);
        };
        let removed = self
            .blocking("remove", move || {
                let removed = remove(&games, &game);
                drop((quiet, lock));
                removed
            })
            .await?;
        context.events.report(PeerEvent::RemoveFinished {
            game: context.game.clone(),
            files: removed.files,
            bytes: removed.bytes,
        });
        Ok(())
    }
}

/// What was removed.
struct Removed {
    files: u64,
    bytes: u64,
}

fn remove(games: &GamesDir, game: &GameId) -> Result<Removed, PeerError> {
    let removed = downloaded(games, game)?;
    commit::forget_partials(games, game)?;
    transaction::run_without_return(games, game, Step::Remove, steps::REMOVE)?;
    // Last: killed before, the files that are still here can be verified and removed again.
    commit::forget_receipt(games, game)?;
    Ok(removed)
}

/// What there is to remove: the sentinel, archives also without it, and what an unfinished download has left.
fn downloaded(games: &GamesDir, game: &GameId) -> Result<Removed, PeerError> {
    let not_downloaded = || PeerError::NotDownloaded { game: game.clone(), path: games.root_path(game) };
    if standing(games, game, ".")? != Standing::Folder {
        return Err(not_downloaded());
    }
    let root = steps::open_root(games, game)?;
    let archives = steps::archives(&root, &games.root_path(game))?;
    let mut removed =
        Removed { files: archives.len() as u64, bytes: archives.iter().map(|(_, bytes)| bytes).sum() };
    if standing(games, game, SENTINEL_FILE)? != Standing::Nothing {
        let shown = games.root_path(game).join(SENTINEL_FILE);
        let metadata = root.symlink_metadata(SENTINEL_FILE).map_err(LocalError::io("read", shown))?;
        removed.files += 1;
        removed.bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    let has_partials = standing(games, game, DOWNLOADING_DIR)? == Standing::Folder;
    if removed.files == 0 && !has_partials { Err(not_downloaded()) } else { Ok(removed) }
}
