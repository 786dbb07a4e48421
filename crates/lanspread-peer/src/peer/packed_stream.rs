//! A packed stream that this peer receives, whatever is done with its bytes: a place in a wave, a window, upstreams that
//! fill it, and the receiver that follows.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::packed::{Join, PackedGame, Place, Placement, RelayOffer};
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameVersion;
use lanspread_types::limits;
use tokio::time::Instant;

use crate::discovery::ask::LateOffers;
use crate::http::server::HttpServer;
use crate::operations::OperationContext;
use crate::packed::feed::{FeedError, feed};
use crate::packed::relays::OpenRelay;
use crate::packed::stream_view::StreamView;
use crate::packed::window::PackedWindow;
use crate::peer::core::Peer;
use crate::peer::packed_sources::{Further, PackedSources};
use crate::peer::relaying::{Followers, RelayPort, Relaying};
use crate::receive::error::AttemptError;
use crate::receive::packed_upstreams::{
    PackedDigests, PackedUpstream, PackedUpstreams, UpstreamList, UpstreamPeer, WindowBytes,
};
use crate::receive::patience::Patience;
use crate::trust::select::PeerOffer;

/// What a packed stream is received for.
#[derive(Clone, Copy)]
pub(super) struct PackedRequest<'r> {
    pub(super) operation: &'r OperationContext,
    pub(super) version: &'r GameVersion,
    /// The manifest that the catalog names, by which the sources were chosen.
    pub(super) trusted: Option<&'r Arc<ManifestFile>>,
    /// How long it waits for a place.
    pub(super) patience: &'r Patience,
}

/// A stream that has its place.
pub(super) struct PackedStream {
    manifest: Arc<ManifestFile>,
    window: Arc<PackedWindow>,
    upstreams: Arc<PackedUpstreams>,
    /// The source that gave the place.
    source: PeerOffer,
    late: LateOffers,
    relay: Option<OpenRelay>,
    followers: Option<Followers>,
}

impl Peer {
    /// Takes a place in a wave, and opens a window that may be followed from then on.
    ///
    /// # Errors
    /// [`AttemptError::NoUpstream`] if there is nothing to receive it from; [`AttemptError::NoPlace`];
    /// [`AttemptError::Cancelled`].
    pub(super) async fn open_packed(
        &self,
        request: PackedRequest<'_>,
        from: PackedSources,
        manifest: Arc<ManifestFile>,
    ) -> Result<PackedStream, AttemptError> {
        let (port, followers) = match self.relay_port(request.operation.options.relay).await {
            Some(RelayPort { port, followers }) => (Some(port), followers),
            None => (None, None),
        };
        match Box::pin(self.open_at(request, from, manifest, port)).await {
            Ok(stream) => Ok(PackedStream { followers, ..stream }),
            Err(error) => {
                if let Some(followers) = followers {
                    followers.end().await;
                }
                Err(error)
            }
        }
    }

    /// The same. With a port, the window can be followed there.
    async fn open_at(
        &self,
        request: PackedRequest<'_>,
        from: PackedSources,
        manifest: Arc<ManifestFile>,
        port: Option<u16>,
    ) -> Result<PackedStream, AttemptError> {
        let PackedRequest { operation, version, trusted, .. } = request;
        let OperationContext { game, options, events, cancel } = operation;
        let PackedSources { peers, servers, late } = from;
        // A server has a name and an identity for records, as a peer has.
        let of_server = servers.first().map(|server| offer_of(server, version));
        let Some(first) = peers.first().or(of_server.as_ref()) else {
            return Err(AttemptError::NoUpstream(None));
        };
        // Receivers with a manifest of a catalog and those without one are of one wave: what both have is the same list.
        let list = Arc::clone(&manifest);
        let digest =
            self.inner.tasks.spawn_blocking("packing list", move || list.packing_list_digest()).await;
        let unreadable = |error| AttemptError::Local(LocalError::io("read", "the manifest")(error));
        let digest = digest.map_err(|_| AttemptError::ThreadStopped)?.map_err(unreadable)?;
        let Some(digest) = digest else { return Err(AttemptError::NoUpstream(None)) };
        let packed = PackedGame { game: game.clone(), version: version.clone(), manifest: digest };
        let chunks = PackedDigests::of(Arc::clone(&manifest));
        let (total, chunk_bytes) = (chunks.layout.chunks(), chunks.layout.chunk_bytes());
        let room = options.window_bytes() / chunk_bytes;
        let window = Arc::new(PackedWindow::new(room, total));
        let join = Join { packed: packed.clone(), relay_port: port, window: room };
        let joining = self.join_wave(&request, &peers, &join);
        let joined = cancel.run_until_cancelled(joining).await.ok_or(AttemptError::Cancelled)??;
        // Without a place, a receiver follows sources only.
        let alone = Placement { place: Place { wave: 0, position: 0 }, starts_in_ms: 0, relays: Vec::new() };
        let (placement, source) = joined.map_or((alone, first), |(placement, source)| (placement, source));
        let ours = self.endpoint();
        let view = Arc::new(StreamView::new(ours.introduction.hello.name.clone(), chunk_bytes));
        let relay = port.map(|_| {
            let (window, view) = (Arc::clone(&window), Arc::clone(&view));
            self.inner.source.packed.relays.open(
                packed.clone(),
                window,
                view,
                placement.place,
                events.clone(),
            )
        });
        // Others may join until then, and need the first chunks. What stays in the window is fetched meanwhile.
        let starts_in = Duration::from_millis(placement.starts_in_ms.into()).min(limits::WAVE_GATHER);
        window.change(|ring| ring.gather(Instant::now() + starts_in));
        // If only some peers may be sources, nothing comes through others.
        let relays = placement.relays.into_iter().filter(|relay| self.may_be_source(options, &relay.peer));
        let relays = relays.map(|relay| {
            let RelayOffer { peer: id, name, address, instead_of, .. } = relay;
            PackedUpstream::Relay(UpstreamPeer { id, name, address, instead_of })
        });
        // The one that gave the place comes first, so that receivers of one source are its own.
        let (before, others): (Vec<&PeerOffer>, Vec<&PeerOffer>) =
            peers.iter().partition(|peer| std::ptr::eq(*peer, source));
        let in_order = before.into_iter().chain(others).map(PackedUpstream::source);
        let servers = servers.into_iter().map(PackedUpstream::Server);
        let upstreams = Arc::new(PackedUpstreams {
            ours,
            packed,
            place: placement.place,
            placed_by: (!peers.is_empty()).then_some(source.address),
            upstreams: UpstreamList::new(relays.chain(in_order).chain(servers)),
            chunks,
            buffers: Arc::default(),
            view,
            events: events.clone(),
            offences: trusted.is_some().then(|| self.offences(game, events)),
            downlink: self.inner.source.traffic.downlink(),
            tasks: self.inner.tasks.clone(),
        });
        let source = source.clone();
        Ok(PackedStream { manifest, window, upstreams, source, late, relay, followers: None })
    }
}

impl PackedStream {
    /// The source that gave the place.
    pub(super) fn source(&self) -> &PeerOffer {
        &self.source
    }

    /// What brings the chunks.
    pub(super) fn upstreams(&self) -> &Arc<PackedUpstreams> {
        &self.upstreams
    }

    /// What has arrived.
    pub(super) fn bytes(&self) -> WindowBytes {
        WindowBytes { window: Arc::clone(&self.window), layout: Arc::clone(&self.upstreams.chunks.layout) }
    }

    /// Fills the window until everything was in it.
    ///
    /// # Errors
    /// [`AttemptError::NoUpstream`], [`AttemptError::Local`], [`AttemptError::Cancelled`].
    pub(super) async fn feed(&mut self, peer: &Peer, request: PackedRequest<'_>) -> Result<(), AttemptError> {
        let PackedRequest { operation, trusted, .. } = request;
        let further = Further { operation, trusted, listed: &self.manifest, upstreams: &self.upstreams };
        let late = std::mem::replace(&mut self.late, LateOffers::none());
        let adding = peer.add_further(further, late);
        let (upstreams, window) = (Arc::clone(&self.upstreams), Arc::clone(&self.window));
        let feeding = feed(upstreams, window, peer.inner.tasks.clone(), &operation.cancel);
        beside(feeding, adding).await.map_err(|error| match error {
            FeedError::Cancelled => AttemptError::Cancelled,
            FeedError::AllGone(why) => AttemptError::NoUpstream(why.map(Box::new)),
            FeedError::Local(error) => AttemptError::Local(error),
        })
    }

    /// Everything was used here, and `bytes_stored` of the archives are on the disk. Reports where it came from, and returns
    /// what may still be passed on.
    pub(super) fn finish(self, bytes_stored: u64) -> Option<Relaying> {
        let Self { window, upstreams, relay, followers, .. } = self;
        window.use_all();
        upstreams.events.report(upstreams.finished(bytes_stored));
        relay.map(|relay| Relaying { relay, window, followers })
    }

    /// Passes nothing on any more.
    pub(super) async fn close(self) {
        self.window.close();
        if let Some(followers) = self.followers {
            followers.end().await;
        }
    }
}

/// A server in the place of a peer that gives places, for records.
pub(super) fn offer_of(server: &HttpServer, version: &GameVersion) -> PeerOffer {
    PeerOffer {
        name: server.name().clone(),
        id: server.record_id(),
        instance: 0,
        address: (Ipv4Addr::UNSPECIFIED, 0).into(),
        version: version.clone(),
        files: Vec::new(),
        manifest: None,
        manifest_in_ms: None,
        load: None,
        penalty: None,
        entries: None,
    }
}

/// Runs `work`, and `other` beside it for as long as it lasts.
async fn beside<T>(work: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let other = async {
        other.await;
        std::future::pending().await
    };
    tokio::select! {
        done = work => done,
        never = other => never,
    }
}
