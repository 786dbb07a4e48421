//! `uninstall`: `local/` goes, unless the user would lose files of theirs.

use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;
use tokio_util::sync::CancellationToken;

use super::Peer;
use crate::error::PeerError;
use crate::event::PeerEvent;
use crate::install::games_dir::GamesDir;
use crate::install::intent::Step;
use crate::install::replace::refuse_user_files;
use crate::install::tree::open_local;
use crate::install::{steps, transaction};
use crate::operation::{OperationContext, OperationOptions};

impl Peer {
    /// Removes the installed tree of a game.
    ///
    /// # Errors
    /// [`PeerError::NotInstalled`], [`PeerError::UserFiles`] or [`PeerError::NoReceipt`] without
    /// [`OperationOptions::force`], [`PeerError::Local`], and what every operation can fail with.
    pub async fn uninstall_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, async |context| self.uninstall(&context).await).await
    }

    /// The uninstall as an operation that runs.
    pub(super) async fn uninstall(&self, context: &OperationContext) -> Result<(), PeerError> {
        let (games, lock) = self.lock_and_recover(context).await?;
        if context.cancel.is_cancelled() {
            return Err(PeerError::Cancelled);
        }
        let (game, force) = (context.game.clone(), context.options.force);
        self.blocking("uninstall", move || {
            let done = uninstall(&games, &game, force);
            drop(lock);
            done
        })
        .await?;
        context.events.report(PeerEvent::UninstallFinished { game: context.game.clone() });
        Ok(())
    }
}

fn uninstall(games: &GamesDir, game: &GameId, force: bool) -> Result<(), PeerError> {
    if open_local(games, game)?.is_none() {
        let path = games.root_path(game).join(LOCAL_DIR);
        return Err(PeerError::NotInstalled { game: game.clone(), path });
    }
    if !force {
        refuse_user_files(games, game)?;
    }
    Ok(transaction::run_without_return(games, game, Step::Uninstall, steps::UNINSTALL)?)
}
