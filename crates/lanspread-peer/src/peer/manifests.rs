//! The manifests of a peer: what the catalog says about the content of a game. If the manifest that it names is not
//! here, peers hand it on: any peer that has it, because its digest proves it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::message::{Hello, Reply, Request};
use lanspread_trust::catalog::ManifestReference;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::ids::{GameId, PeerName};
use lanspread_types::limits;
use tokio::sync::mpsc;

use crate::discovery::search::{Judge, Search, find};
use crate::http::server::HttpServer;
use crate::operations::OperationContext;
use crate::peer::asking_order::AskingOrder;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::built_manifest::ArrivedManifest;
use crate::report::event::PeerEvent;
use crate::transport::dial::{Dialled, dial_soon};
use crate::transport::handed_on::{Arriving, Expected};
use crate::trust::catalog::Catalog;
use crate::trust::error::TrustError;
use crate::trust::manifest_store::NotTheManifest;

/// A peer that has a manifest, and how often it has handed on something else.
#[derive(Debug, Clone)]
struct Holder {
    name: PeerName,
    address: SocketAddr,
    wrong_answers: u32,
}

/// How an attempt to fetch a manifest from one peer ended, if not well.
enum NotFetched {
    /// It handed on something else.
    Wrong(String),
    /// It did not hand it on in time.
    Silent(String),
    /// The connection failed, or it has the manifest no more.
    Failed(String),
    /// This machine.
    Ours(PeerError),
}

impl Peer {
    /// The manifest that the catalog names for a game, if it is here and what the catalog names. It was fetched at the
    /// beginning of the operation, if a peer has it: see [`Self::obtain_manifest`].
    ///
    /// # Errors
    /// [`TrustError::Manifest`] if the file of that name is not that manifest.
    pub(crate) async fn trusted_manifest(
        &self,
        game: &GameId,
    ) -> Result<Option<Arc<ManifestFile>>, PeerError> {
        let Some(catalog) = self.catalog() else { return Ok(None) };
        let (game, store) = (game.clone(), Arc::clone(&self.inner.manifests));
        let open = move || {
            let Some(known) = catalog.game(&game) else { return Ok(None) };
            let opened = store.named(&catalog, &game, known).map_err(TrustError::Manifest)?;
            Ok(opened.map(Arc::new))
        };
        self.blocking("manifest", open).await
    }

    /// The manifest that the catalog names for the operation's game. Fetches it from servers and peers if it is not here. If it cannot be
    /// had, that is reported, and the operation continues without it.
    ///
    /// # Errors
    /// [`PeerError::Cancelled`]; [`PeerError::Local`]; [`TrustError::Manifest`] if what is here is refused and no peer
    /// hands on the right one.
    pub(super) async fn obtain_manifest(
        &self,
        operation: &OperationContext,
        servers: &[Arc<HttpServer>],
    ) -> Result<Option<Arc<ManifestFile>>, PeerError> {
        let game = &operation.game;
        let Some(catalog) = self.catalog() else { return Ok(None) };
        let Some(reference) = catalog.game(game).and_then(|known| known.manifest) else { return Ok(None) };
        let refused = match self.trusted_manifest(game).await {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        // They answer at once, and the digest proves what they have.
        if self.manifest_from_servers(operation, servers, &catalog, reference).await? {
            return self.trusted_manifest(game).await;
        }
        if let Some(error) = &refused {
            tracing::warn!("{game}: peers are asked for the manifest: {error}");
        }
        let fetching = Box::pin(self.fetch_manifest(operation, &catalog, reference));
        let message = match operation.cancel.run_until_cancelled(fetching).await {
            None => return Err(PeerError::Cancelled),
            // A manifest that is right and contradicts its catalog is its author's fault.
            Some(Ok(())) => return self.trusted_manifest(game).await,
            Some(Err(NotFetched::Ours(error))) => return Err(error),
            Some(Err(
                NotFetched::Wrong(message) | NotFetched::Silent(message) | NotFetched::Failed(message),
            )) => message,
        };
        if let Some(refused) = refused {
            return Err(refused);
        }
        let digest = reference.digest;
        tracing::warn!("the manifest {digest} of {game} is not here: {message}");
        operation.events.report(PeerEvent::ManifestMissing { game: game.clone(), manifest: digest, message });
        Ok(None)
    }

    async fn fetch_manifest(
        &self,
        operation: &OperationContext,
        catalog: &Arc<Catalog>,
        reference: ManifestReference,
    ) -> Result<(), NotFetched> {
        let game = &operation.game;
        let holders = self.holders(operation, reference).await.map_err(NotFetched::Ours)?;
        let mut order = AskingOrder::new(holders, limits::HANDED_ON_DEADLINE);
        let mut message = "no peer that answered has it".to_owned();
        while let Some((mut holder, patience)) = order.next() {
            match self.fetch_from(&holder, game, catalog, reference, patience).await {
                Ok(()) => {
                    operation.events.report(PeerEvent::ManifestArrived(ArrivedManifest {
                        game: game.clone(),
                        peer: holder.name,
                        manifest: reference.digest,
                        bytes: reference.bytes,
                    }));
                    return Ok(());
                }
                Err(NotFetched::Wrong(reason)) => {
                    tracing::warn!("manifest {} of {game}: {reason} from {}", reference.digest, holder.name);
                    message = format!("{reason} from {}", holder.name);
                    holder.wrong_answers += 1;
                    if holder.wrong_answers < limits::WRONG_ANSWERS_MAX {
                        order.again(holder);
                    }
                }
                Err(NotFetched::Silent(reason)) => {
                    tracing::info!("manifest {} of {game} from {}: {reason}", reference.digest, holder.name);
                    message = format!("{}: {reason}", holder.name);
                    order.was_silent(holder, patience);
                }
                Err(NotFetched::Failed(reason)) => {
                    tracing::info!("manifest {} of {game} from {}: {reason}", reference.digest, holder.name);
                    message = format!("{}: {reason}", holder.name);
                }
                Err(ours) => return Err(ours),
            }
        }
        Err(NotFetched::Failed(message))
    }

    /// The peers that have a manifest, as they say.
    async fn holders(
        &self,
        operation: &OperationContext,
        reference: ManifestReference,
    ) -> Result<Vec<Holder>, PeerError> {
        let options = &operation.options;
        let at_hand = self.peers_at_hand(&options.peers)?;
        let mut search = Search::for_game(options.discovery, self.inner.discovery_port);
        if self.knows_its_neighbours() {
            search = search.after_those_at_hand();
        }
        let question = move |mut dialled: Dialled| async move {
            // The first part says whether it has it. It is asked for again when it is written.
            let request = Request::Manifest { digest: reference.digest, from: 0 };
            dialled.connection.send(&request).await?;
            let reply = dialled.connection.receive("part of a file", limits::PART_DEADLINE).await?;
            match reply.ok_or(WireError::Closed)? {
                Reply::Part { .. } => {
                    let Hello { name, .. } = dialled.connection.theirs;
                    Ok(Some(Holder { name, address: dialled.address, wrong_answers: 0 }))
                }
                _ => Ok(None),
            }
        };
        let (found, _) = find(&at_hand, &self.endpoint(), search, question, OfHolders).await;
        let holders = found.into_iter().filter_map(|found| found.answer.ok().flatten());
        Ok(holders.take(limits::MANIFEST_SOURCES_MAX).collect())
    }

    async fn fetch_from(
        &self,
        holder: &Holder,
        game: &GameId,
        catalog: &Arc<Catalog>,
        reference: ManifestReference,
        patience: Duration,
    ) -> Result<(), NotFetched> {
        tracing::debug!("the manifest of {game} is fetched from {}", holder.name);
        let (parts, mut arriving) = mpsc::channel::<Vec<u8>>(limits::PARTS_AHEAD);
        let (store, catalog) = (Arc::clone(&self.inner.manifests), Arc::clone(catalog));
        let writing = self.inner.tasks.spawn_blocking("manifest", move || {
            let mut manifest = store.begin(reference, &catalog)?;
            while let Some(part) = arriving.blocking_recv() {
                manifest.write(&part)?;
            }
            // A manifest that was cut off is too short, and gets no name.
            manifest.finish()
        });
        let request = |from| Request::Manifest { digest: reference.digest, from };
        let fetching = async {
            let mut dialled = dial_soon(holder.address, &self.endpoint(), None, patience).await?;
            let expected = Expected::Exactly(reference.bytes);
            let mut file = Arriving::new(&mut dialled.connection, expected, request, patience);
            while let Some(part) = file.next().await? {
                // If the writer has gone, it says why.
                parts.send(part).await.map_err(|_| WireError::Closed)?;
            }
            Ok(())
        };
        let fetched = fetching.await;
        drop(parts);
        let written = writing.await.map_err(|error| {
            NotFetched::Ours(PeerError::Internal(format!("the manifest thread ended abnormally: {error}")))
        })?;
        match (fetched, written) {
            (_, Err(NotTheManifest::Local(error))) => Err(NotFetched::Ours(error.into())),
            (Ok(()), Ok(())) => Ok(()),
            (Ok(()), Err(wrong)) => Err(NotFetched::Wrong(wrong.to_string())),
            (Err(WireError::Malformed(reason)), _) => Err(NotFetched::Wrong(reason)),
            (Err(error @ WireError::Timeout { .. }), _) => Err(NotFetched::Silent(error.to_string())),
            (Err(error), _) => Err(NotFetched::Failed(error.to_string())),
        }
    }
}

/// One peer that has it is enough, because the digest proves the content.
struct OfHolders;

impl Judge<Option<Holder>> for OfHolders {
    fn offers(&self, answer: &Option<Holder>) -> bool {
        answer.is_some()
    }

    fn is_settled(&self, answers: &[&Option<Holder>], missing: usize) -> bool {
        missing == 0 && answers.iter().any(|answer| answer.is_some())
    }
}
