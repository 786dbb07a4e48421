//! The manifests of a peer: what the catalog says about the content of a game.

use std::path::Path;
use std::sync::Arc;

use lanspread_trust::catalog::open_manifest;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::ids::GameId;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::trust::error::TrustError;

impl Peer {
    /// The manifest that the catalog names for a game, once it is here and checked. `None` if the catalog names none, or
    /// if it is not here.
    ///
    /// # Errors
    /// [`TrustError::Manifest`] if the file of that name is not that manifest.
    pub(super) async fn trusted_manifest(
        &self,
        game: &GameId,
    ) -> Result<Option<Arc<ManifestFile>>, PeerError> {
        let Some(catalog) = self.catalog() else { return Ok(None) };
        let game = game.clone();
        let open = move || {
            let Some(known) = catalog.game(&game) else { return Ok(None) };
            let folder = catalog.path().parent().unwrap_or(Path::new("."));
            let opened = open_manifest(folder, &game, known).map_err(TrustError::Manifest)?;
            Ok(opened.map(Arc::new))
        };
        self.blocking("manifest", open).await
    }
}
