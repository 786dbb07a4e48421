//! `remove`: removes the downloaded files and keeps `local/`.

use lanspread_store::remove::remove;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;

impl Peer {
    /// Removes the downloaded files of a game after the transfers that read them have ended.
    ///
    /// # Errors
    /// [`PeerError::Store`] if the game is not downloaded; [`PeerError::Local`]; and the errors of every operation.
    pub async fn remove_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<(), PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.remove(&context).await }).await
    }

    /// Runs the removal as part of an operation.
    pub(super) async fn remove(&self, context: &OperationContext) -> Result<(), PeerError> {
        let game = context.game.clone();
        let locked = self.lock_and_recover(context).await?;
        let quiesce = self.inner.source.readers.quiesce(&game, limits::QUIESCE_DEADLINE);
        let Some(quiet) = context.cancel.run_until_cancelled(quiesce).await else {
            return Err(PeerError::Cancelled);
        };
        let removing = locked.run("remove", move |games, game, _| {
            let removed = remove(games, game);
            drop(quiet);
            Ok::<_, PeerError>(removed?)
        });
        let removed = removing.await?;
        context.events.report(PeerEvent::RemoveFinished {
            game: context.game.clone(),
            files: removed.files,
            bytes: removed.bytes,
        });
        Ok(())
    }
}
