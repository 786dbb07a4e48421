//! `absent`: uninstalls a game and removes its downloaded files, as far as they are here.

use lanspread_store::error::StoreError;
use lanspread_types::ids::GameId;
use tokio_util::sync::CancellationToken;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::ensured::Ensured;
use crate::report::event::PeerEvent;
use crate::report::operation::OperationOptions;

impl Peer {
    /// Removes the installed tree and the downloaded files of a game. If there are none, it does nothing.
    ///
    /// # Errors
    /// [`StoreError::UserFiles`] and [`StoreError::NoReceipt`] if the user would lose files and
    /// [`OperationOptions::force`] is off: then nothing is removed. [`PeerError::Local`]; and the errors of every operation.
    pub async fn absent_game(
        &self,
        game: &GameId,
        options: &OperationOptions,
        cancel: CancellationToken,
    ) -> Result<Ensured, PeerError> {
        self.operate(game, options, &cancel, |peer, context| async move { peer.absent(&context).await }).await
    }

    /// Runs the road as part of an operation.
    pub(super) async fn absent(&self, context: &OperationContext) -> Result<Ensured, PeerError> {
        // The tree first: only that may be refused, and then the archives stay too.
        let was_installed = match self.uninstall(context).await {
            Err(PeerError::Store(StoreError::NotInstalled { .. })) => false,
            uninstalled => uninstalled.map(|()| true)?,
        };
        let was_downloaded = match self.remove(context).await {
            Err(PeerError::Store(StoreError::NotDownloaded { .. })) => false,
            removed => removed.map(|()| true)?,
        };
        let ensured = Ensured::absent(&context.game, was_installed || was_downloaded);
        context.events.report(PeerEvent::Ensured(ensured.clone()));
        Ok(ensured)
    }
}
