//! `uninstall`: `local/` goes, unless the user would lose files of theirs.

use lanspread_store::install::uninstall::uninstall;
use lanspread_types::ids::GameId;
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
    /// [`StoreError::NotInstalled`], [`StoreError::UserFiles`] or [`StoreError::NoReceipt`] without
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
        let locked = self.lock_and_recover(context).await?;
        if context.cancel.is_cancelled() {
            return Err(PeerError::Cancelled);
        }
        let force = context.options.force;
        locked
            .run("uninstall", move |games, game, _| Ok::<_, PeerError>(uninstall(games, game, force)?))
            .await?;
        context.events.report(PeerEvent::UninstallFinished { game: context.game.clone() });
        Ok(())
    }
}
