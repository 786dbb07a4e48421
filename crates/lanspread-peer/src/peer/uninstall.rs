//! `uninstall`: removes `local/`, unless the user would lose their own files.

use lanspread_store::install::uninstall::uninstall;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;

impl Peer {
    /// Removes the installed tree of a game.
    ///
    /// # Errors
    /// [`PeerError::Store`] if the game is not installed, or if the user would lose files and
    /// [`OperationOptions::force`] is off; [`PeerError::Local`]; and the errors of every operation.
    pub async fn uninstall_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.uninstall(&context).await })
            .await
    }

    /// Runs the uninstall as part of an operation.
    pub(super) async fn uninstall(&self, context: &OperationContext) -> Result<(), PeerError> {
        let locked = self.lock_and_recover(context).await?;
        if context.cancel.is_cancelled() {
            return Err(PeerError::Cancelled);
        }
        // Peers may be reading the installed files.
        let quiesce = self.inner.source.readers.quiesce(&context.game, limits::QUIESCE_DEADLINE);
        let Some(quiet) = context.cancel.run_until_cancelled(quiesce).await else {
            return Err(PeerError::Cancelled);
        };
        let force = context.options.force;
        let uninstalling = locked.run("uninstall", move |games, game, _| {
            let uninstalled = uninstall(games, game, force);
            drop(quiet);
            Ok::<_, PeerError>(uninstalled?)
        });
        uninstalling.await?;
        context.events.report(PeerEvent::UninstallFinished { game: context.game.clone() });
        Ok(())
    }
}
