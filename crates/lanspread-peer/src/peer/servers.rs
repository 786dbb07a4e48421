//! The HTTP servers of an operation, and the manifests that they have.
//!
//! What a server sends counts only if a manifest lists it. If the catalog names one, the server is as good as a peer, and
//! its files are verified. If it names none, the manifest beside the files has the word of the server only: it is used if
//! no peer offers the game, and what is fetched with it is not verified.

use std::sync::Arc;
use std::time::Duration;

use lanspread_trust::catalog::{ManifestReference, disagreement};
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::limits;
use lanspread_types::source_url::SourceUrl;

use crate::http::client::HttpClient;
use crate::http::manifest::{MANIFEST_NAME, NoManifest, manifest_of};
use crate::http::server::HttpServer;
use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::built_manifest::ArrivedManifest;
use crate::report::event::PeerEvent;
use crate::report::failure::PeerAnswer;
use crate::trust::catalog::Catalog;
use crate::trust::manifest_store::NotTheManifest;

impl Peer {
    /// The servers that the request names, then those of the catalog; each once.
    pub(super) fn servers(&self, operation: &OperationContext) -> Vec<Arc<HttpServer>> {
        self.servers_within(operation, self.inner.idle_timeout)
    }

    /// The same, which are left if they send nothing for so long.
    pub(super) fn servers_within(
        &self,
        operation: &OperationContext,
        idle_timeout: Duration,
    ) -> Vec<Arc<HttpServer>> {
        let catalog = self.catalog();
        let of_catalog = catalog.as_ref().and_then(|catalog| catalog.content().head.as_ref());
        let of_catalog = of_catalog.filter(|_| operation.options.only_from.is_empty());
        let of_catalog = of_catalog.map(|head| head.sources.as_slice()).unwrap_or_default();
        let mut urls = Vec::new();
        for url in operation.options.servers.iter().chain(of_catalog) {
            if !urls.contains(&url) && urls.len() < limits::SERVERS_MAX {
                urls.push(url);
            }
        }
        let client = HttpClient::new(&self.inner.tasks, idle_timeout);
        let server =
            |url: &SourceUrl| Arc::new(HttpServer::new(url.clone(), operation.game.clone(), client.clone()));
        urls.into_iter().map(server).collect()
    }

    /// Fetches the manifest that the catalog names from the first server that has it, and stores it. Returns whether it is
    /// here now.
    ///
    /// # Errors
    /// [`PeerError::Cancelled`], [`PeerError::Local`].
    pub(super) async fn manifest_from_servers(
        &self,
        operation: &OperationContext,
        servers: &[Arc<HttpServer>],
        catalog: &Arc<Catalog>,
        reference: ManifestReference,
    ) -> Result<bool, PeerError> {
        let game = &operation.game;
        for server in servers {
            let fetching =
                manifest_of(server, game, Some(reference.digest), &self.inner.state_dir, &self.inner.tasks);
            let Some(fetched) = operation.cancel.run_until_cancelled(fetching).await else {
                return Err(PeerError::Cancelled);
            };
            match fetched {
                Ok(manifest) => {
                    self.store_manifest(manifest, catalog, reference).await?;
                    operation.events.report(PeerEvent::ManifestArrived(ArrivedManifest {
                        game: game.clone(),
                        peer: server.name().clone(),
                        manifest: reference.digest,
                        bytes: reference.bytes,
                    }));
                    return Ok(true);
                }
                Err(NoManifest::Local(error)) => return Err(error.into()),
                Err(error) => tracing::info!("{game}: no manifest from a server: {error}"),
            }
        }
        Ok(false)
    }

    async fn store_manifest(
        &self,
        manifest: ManifestFile,
        catalog: &Arc<Catalog>,
        reference: ManifestReference,
    ) -> Result<(), PeerError> {
        let (store, catalog) = (Arc::clone(&self.inner.manifests), Arc::clone(catalog));
        self.blocking("manifest", move || {
            let mut stored = store.begin(reference, &catalog)?;
            let copied = manifest.copy_to(|bytes| stored.write(bytes)).and_then(|()| stored.finish());
            copied.map_err(|error| match error {
                NotTheManifest::Local(error) => error.into(),
                // Its digest was right a moment ago.
                error => PeerError::Internal(format!("a stored manifest: {error}")),
            })
        })
        .await
    }

    /// The manifest of the operation's game that a server has, when the catalog names none and no peer offers the game,
    /// for which `no_peer` says why. Its version is the one that the catalog expects.
    ///
    /// # Errors
    /// `no_peer` itself if it is about something else or no server is named; [`PeerError::NoManifest`].
    pub(super) async fn unsigned_manifest(
        &self,
        operation: &OperationContext,
        servers: &[Arc<HttpServer>],
        no_peer: PeerError,
    ) -> Result<Arc<ManifestFile>, PeerError> {
        let has_none = matches!(
            no_peer,
            PeerError::NoPeers { .. } | PeerError::NotOffered { .. } | PeerError::AllSourcesFailed { .. }
        );
        if servers.is_empty() || !has_none {
            return Err(no_peer);
        }
        let game = &operation.game;
        let catalog = self.catalog();
        let known = catalog.as_ref().and_then(|catalog| catalog.game(game));
        let asked_for = operation.options.version.exactly();
        let mut answers = Vec::new();
        for server in servers {
            let fetching = manifest_of(server, game, None, &self.inner.state_dir, &self.inner.tasks);
            let Some(fetched) = operation.cancel.run_until_cancelled(fetching).await else {
                return Err(PeerError::Cancelled);
            };
            let reason = match fetched {
                Ok(manifest) => {
                    let version = &manifest.manifest().version;
                    let is_other = asked_for.filter(|asked_for| *asked_for != version);
                    match known.and_then(|known| disagreement(game, known, manifest.manifest())) {
                        None if is_other.is_some() => format!("it has version {version}"),
                        None => return Ok(Arc::new(manifest)),
                        Some(what) => format!("its {MANIFEST_NAME} is not of this game: {what}"),
                    }
                }
                Err(NoManifest::Local(error)) => return Err(error.into()),
                Err(error) => error.reason(),
            };
            answers.push(PeerAnswer { peer: server.name().to_string(), reason });
        }
        Err(PeerError::NoManifest { game: game.clone(), servers: answers, no_peer: no_peer.to_string() })
    }
}

/// Whether no peer can be asked for the archives of a game.
pub(super) fn is_without_peers(error: &PeerError) -> bool {
    matches!(
        error,
        PeerError::NoPeers { .. } | PeerError::NotOffered { .. } | PeerError::AllSourcesFailed { .. }
    )
}
