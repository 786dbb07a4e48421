//! `verify`: what is here against what was recorded.

use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;
use tokio_util::sync::CancellationToken;

use super::Peer;
use crate::download::verify::DownloadedFiles;
use crate::error::PeerError;
use crate::event::PeerEvent;
use crate::install::games_dir::GamesDir;
use crate::install::tree::open_local;
use crate::install::verify::{InstalledTree, VerifyPart, compare};
use crate::library::state::GameState;
use crate::operation::{OperationContext, OperationOptions};

impl Peer {
    /// Compares a game with what was recorded when it came here.
    ///
    /// # Errors
    /// [`PeerError::Differences`] when files are missing or differ, [`PeerError::NotVerifiable`] without a record,
    /// [`PeerError::NotInstalled`] when nothing is here, [`PeerError::Local`], and what every operation can fail with.
    pub async fn verify_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, async |context| self.verify(&context).await).await
    }

    /// The comparison as an operation that runs.
    pub(super) async fn verify(&self, context: &OperationContext) -> Result<(), PeerError> {
        let (games, lock) = self.lock_and_recover(context).await?;
        let (game, events) = (context.game.clone(), context.events.clone());
        let cancel = context.cancel.child_token();
        // Also when this future is dropped half-way.
        let _cancel_on_drop = cancel.clone().drop_guard();
        let counts = self
            .blocking("verify", move || {
                let compared =
                    parts(&games, &game).and_then(|parts| compare(&game, &parts, &events, &cancel));
                drop(lock);
                compared
            })
            .await?;
        let game = context.game.clone();
        context.events.report(PeerEvent::VerifyFinished {
            game: game.clone(),
            files: counts.files,
            bytes: counts.bytes,
            differences: counts.differences,
            added: counts.added,
        });
        match counts.differences {
            0 => Ok(()),
            differences => Err(PeerError::Differences { game, differences }),
        }
    }
}

/// Everything of a locked game that has a record to be compared with; never empty.
fn parts(games: &GamesDir, game: &GameId) -> Result<Vec<Box<dyn VerifyPart>>, PeerError> {
    let mut parts: Vec<Box<dyn VerifyPart>> = Vec::new();
    if let Some(tree) = InstalledTree::find(games, game)? {
        parts.push(Box::new(tree));
    }
    if let Some(files) = DownloadedFiles::find(games, game)? {
        parts.push(Box::new(files));
    }
    if !parts.is_empty() {
        return Ok(parts);
    }
    let installed = open_local(games, game)?.is_some();
    let downloaded = GameState::read(games.path(), game)?.is_some_and(|state| state.downloaded());
    if installed || downloaded {
        let reason = "nothing records what was installed or downloaded".to_owned();
        return Err(PeerError::NotVerifiable { game: game.clone(), reason });
    }
    Err(PeerError::NotInstalled { game: game.clone(), path: games.root_path(game).join(LOCAL_DIR) })
}
