//! The upstreams of one packed stream: relays and sources, dialled; chunks, proved on blocking threads.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lanspread_archive::packed::PackedBytes;
use lanspread_proto::chunk::Buffers;
use lanspread_proto::message::{Reply, Request};
use lanspread_proto::packed::{Follow, PackedGame, Place};
use lanspread_tls::endpoint::Endpoint;
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio::sync::{Notify, mpsc};

use crate::http::server::HttpServer;
use crate::packed::backlog::Backlog;
use crate::packed::feed::{Begin, FeedEvent, Order, Said, Upstreams};
use crate::packed::follow::follow;
use crate::packed::layout::Layout;
use crate::packed::plan::{Tier, UpstreamId};
use crate::packed::stream_view::StreamView;
use crate::packed::upstream_error::{OtherChunk, UpstreamError};
use crate::packed::window::PackedWindow;
use crate::receive::offences::OffenceRecorder;
use crate::receive::other_bytes::OtherBytes;
use crate::receive::server_upstream::follow_server;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::packed_stream::{
    GapFilled, PackedFinished, UpstreamBegin, UpstreamEnd, UpstreamKind, UpstreamShare, WaveProgress,
};
use crate::report::queued::QueuedAt;
use crate::report::source_share::SourceShare;
use crate::task::Tasks;
use crate::traffic::{Downlink, TrafficKind};
use crate::transport::dial::{DialledUpstream, dial, dial_relay, dial_source};
use crate::trust::select::PeerOffer;

/// One upstream.
#[derive(Clone)]
pub(crate) enum PackedUpstream {
    /// A receiver of the same wave.
    Relay(UpstreamPeer),
    /// A peer that has the archives.
    Source(UpstreamPeer),
    /// A server that has them.
    Server(Arc<HttpServer>),
}

/// An upstream that is a peer.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamPeer {
    pub(crate) id: PeerId,
    pub(crate) name: PeerName,
    pub(crate) address: SocketAddr,
    /// A follower of it that lets others go before it.
    pub(crate) instead_of: Option<PeerId>,
}

impl PackedUpstream {
    /// A peer that has the archives.
    pub(crate) fn source(offer: &PeerOffer) -> Self {
        let PeerOffer { id, name, address, .. } = offer;
        Self::Source(UpstreamPeer { id: *id, name: name.clone(), address: *address, instead_of: None })
    }

    fn tier(&self) -> Tier {
        match self {
            Self::Relay(_) => Tier::Relay,
            Self::Source(_) => Tier::Source,
            Self::Server(_) => Tier::Http,
        }
    }

    fn kind(&self) -> UpstreamKind {
        match self {
            Self::Relay(_) => UpstreamKind::Relay,
            Self::Source(_) => UpstreamKind::Source,
            Self::Server(_) => UpstreamKind::Http,
        }
    }

    fn name(&self) -> &PeerName {
        match self {
            Self::Relay(peer) | Self::Source(peer) => &peer.name,
            Self::Server(server) => server.name(),
        }
    }

    fn peer(&self) -> Option<&UpstreamPeer> {
        match self {
            Self::Relay(peer) | Self::Source(peer) => Some(peer),
            Self::Server(_) => None,
        }
    }
}

/// All upstreams of a stream.
pub(crate) struct PackedUpstreams {
    pub(crate) ours: Endpoint,
    pub(crate) packed: PackedGame,
    pub(crate) place: Place,
    /// The source that gave the place.
    pub(crate) placed_by: Option<SocketAddr>,
    pub(crate) upstreams: UpstreamList,
    pub(crate) chunks: PackedDigests,
    /// The memory of the chunks that peers bring.
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) view: Arc<StreamView>,
    pub(crate) events: EventSender,
    /// Remembers lies, if the manifest is trusted: what only peers say proves no lie.
    pub(crate) offences: Option<OffenceRecorder>,
    /// Counts and limits what they bring.
    pub(crate) downlink: Downlink,
    pub(crate) tasks: Tasks,
}

/// Upstreams by number, in the order of their preference. More may be added at the end while the stream runs.
pub(crate) struct UpstreamList {
    known: Mutex<Vec<PackedUpstream>>,
    /// Nothing is added any more.
    is_complete: AtomicBool,
    /// Wakes what adds: no upstream is left.
    none_left: Notify,
}

impl UpstreamList {
    pub(crate) fn new(upstreams: impl IntoIterator<Item = PackedUpstream>) -> Self {
        let known = Mutex::new(upstreams.into_iter().collect());
        Self { known, is_complete: AtomicBool::new(false), none_left: Notify::new() }
    }

    fn known(&self) -> MutexGuard<'_, Vec<PackedUpstream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upstream of a number that the list gave.
    fn get(&self, id: UpstreamId) -> PackedUpstream {
        self.known()[id].clone()
    }

    /// Adds a source, unless it is there or there is no room. A relay that is a source by now is one of each.
    fn add_source(&self, offer: &PeerOffer) -> bool {
        let mut known = self.known();
        let is_there = |upstream: &PackedUpstream| matches!(upstream, PackedUpstream::Source(peer) if peer.id == offer.id);
        let is_new = known.len() < limits::PEERS_MAX && !known.iter().any(is_there);
        if is_new {
            known.push(PackedUpstream::source(offer));
        }
        is_new
    }
}

/// What a manifest lists of the chunks of a stream.
#[derive(Debug, Clone)]
pub(crate) struct PackedDigests {
    pub(crate) layout: Arc<Layout>,
    pub(crate) manifest: Arc<ManifestFile>,
}

impl PackedDigests {
    pub(crate) fn of(manifest: Arc<ManifestFile>) -> Self {
        Self { layout: Arc::new(Layout::of(manifest.manifest())), manifest }
    }

    /// Compares a chunk with what is listed. Blocks: digests are read from a file.
    fn prove(&self, chunk: u64, bytes: &[u8]) -> Result<(), UpstreamError> {
        let place = self.layout.chunk(chunk).ok_or(UpstreamError::Unasked)?;
        let unreadable = |error| UpstreamError::Local(LocalError::io("read", "the manifest")(error));
        let expected = self.manifest.chunk(place.file, place.in_file).map_err(unreadable)?;
        let got = ContentDigest::of(bytes);
        if got == expected {
            return Ok(());
        }
        let name = self.manifest.manifest().root_files.get(place.file).map_or("", |file| &file.name);
        let path = printable(name, limits::COMPONENT_BYTES_MAX);
        Err(OtherChunk { chunk, path, position: place.offset, expected, got }.into())
    }
}

impl Upstreams for PackedUpstreams {
    fn tiers(&self) -> Vec<Tier> {
        self.upstreams.known().iter().map(PackedUpstream::tier).collect()
    }

    fn awaits_more(&self) -> bool {
        let is_complete = self.upstreams.is_complete.load(Ordering::Acquire);
        self.upstreams.none_left.notify_one();
        !is_complete
    }

    fn position(&self) -> u32 {
        self.place.position
    }

    async fn run(
        self: Arc<Self>,
        id: UpstreamId,
        begin: Begin,
        orders: mpsc::Receiver<Order>,
        says: mpsc::Sender<Said>,
    ) -> Result<(), UpstreamError> {
        let upstream = self.upstreams.get(id);
        let (dialled, peer) = match &upstream {
            PackedUpstream::Relay(peer) => {
                let dialled = dial_relay(peer.address, &self.ours, peer.id).await;
                if dialled.is_err() {
                    self.report_unreachable(peer.id);
                }
                (dialled, peer)
            }
            PackedUpstream::Source(peer) => (dial_source(peer.address, &self.ours, peer.id).await, peer),
            PackedUpstream::Server(server) => {
                let PackedDigests { layout, manifest } = &self.chunks;
                let (server, layout) = (Arc::clone(server), Arc::clone(layout));
                let meter = self.downlink.meter(TrafficKind::Http);
                return follow_server(server, manifest, layout, (&self.tasks, meter), orders, says).await;
            }
        };
        let DialledUpstream { mut connection, unread } = dialled?;
        let backlog = Backlog::new(self.chunks.layout.chunk_bytes(), || unread.bytes());
        let memory = (&self.buffers, self.downlink.meter(TrafficKind::Packed));
        let left = begin.instead_of.map(|left| self.upstreams.get(left));
        let left = left.as_ref().and_then(PackedUpstream::peer).map(|left| left.id);
        let wanted = Follow {
            packed: self.packed.clone(),
            at: begin.at,
            place: self.place,
            instead_of: left.or(peer.instead_of),
        };
        follow(&mut connection, wanted, upstream.tier(), backlog, memory, orders, says).await
    }

    async fn prove(self: Arc<Self>, chunk: u64, bytes: Bytes) -> Result<Bytes, UpstreamError> {
        let chunks = self.chunks.clone();
        let proving = self.tasks.spawn_blocking("prove", move || chunks.prove(chunk, &bytes).map(|()| bytes));
        proving.await.unwrap_or(Err(UpstreamError::Panicked))
    }

    fn hear(&self, event: FeedEvent<'_>) {
        let game = self.packed.game.clone();
        let event = match event {
            FeedEvent::Begin { upstream, chunk } => {
                self.view.tally().begins(chunk);
                let begun = self.upstreams.get(upstream);
                let (upstream, kind) = (begun.name().to_string(), begun.kind());
                let peer_id = begun.peer().map(|peer| peer.id);
                PeerEvent::UpstreamBegin(UpstreamBegin { game, upstream, peer_id, kind, chunk })
            }
            FeedEvent::Brought { upstream, bytes, is_new } => {
                let kind = self.upstreams.get(upstream).kind();
                return self.view.tally().brought(upstream, kind, bytes, is_new);
            }
            FeedEvent::Wave(upstream, news) => {
                let mut wave = self.view.wave();
                if !wave.hear(upstream, news) {
                    return;
                }
                let (places, slowest) = (wave.places(), wave.slowest());
                let packed_bytes = self.chunks.layout.bytes();
                PeerEvent::WaveProgress(WaveProgress { game, places, slowest, packed_bytes })
            }
            FeedEvent::End { upstream, chunk, chunks, bytes, error } => {
                self.view.tally().ended(chunks, error.is_some());
                self.view.wave().left(upstream);
                let upstream = self.upstreams.get(upstream);
                if let Some(error) = error {
                    self.failed(&upstream, error);
                }
                PeerEvent::UpstreamEnd(UpstreamEnd {
                    game,
                    upstream: upstream.name().to_string(),
                    kind: upstream.kind(),
                    chunk,
                    chunks,
                    bytes,
                    code: error.map_or("complete", UpstreamError::code).into(),
                    message: error.map(ToString::to_string).unwrap_or_default(),
                })
            }
            FeedEvent::GapFilled { from, to } => {
                PeerEvent::GapFilled(GapFilled { game, chunk: from, chunks: to - from })
            }
            FeedEvent::Queued { upstream, position } => {
                let waits_at = self.upstreams.get(upstream);
                PeerEvent::Queued(QueuedAt {
                    game,
                    peer: waits_at.name().clone(),
                    peer_id: waits_at.peer().map(|peer| peer.id),
                    ahead: position.ahead,
                    in_ms: position.in_ms,
                    receivers: None,
                })
            }
        };
        self.events.report(event);
    }
}

impl PackedUpstreams {
    /// Adds a source to a stream that runs. Returns whether it is new.
    pub(crate) fn add_source(&self, offer: &PeerOffer) -> bool {
        self.upstreams.add_source(offer)
    }

    /// Waits until no upstream is left.
    pub(crate) async fn none_left(&self) {
        self.upstreams.none_left.notified().await;
    }

    /// Nothing is added any more.
    pub(crate) fn complete(&self) {
        self.upstreams.is_complete.store(true, Ordering::Release);
    }

    /// Bytes that each upstream has brought.
    fn brought(&self) -> Vec<(PackedUpstream, u64)> {
        let tally = self.view.tally();
        tally.by_upstream().map(|(upstream, bytes)| (self.upstreams.get(upstream), bytes)).collect()
    }

    /// The same as shares of a download.
    pub(crate) fn source_shares(&self) -> Vec<SourceShare> {
        let share = |(upstream, bytes): (PackedUpstream, u64)| SourceShare {
            peer: upstream.name().clone(),
            chunks: 0,
            bytes,
        };
        self.brought().into_iter().map(share).collect()
    }

    /// Where the bytes of a finished stream came from.
    /// `bytes_stored` of the archives were written to the disk.
    pub(crate) fn finished(&self, bytes_stored: u64) -> PeerEvent {
        let share = |(upstream, bytes): (PackedUpstream, u64)| UpstreamShare {
            upstream: upstream.name().to_string(),
            kind: upstream.kind(),
            bytes,
        };
        let shares = self.brought().into_iter().map(share).collect();
        let tally = self.view.tally();
        PeerEvent::PackedFinished(PackedFinished {
            game: self.packed.game.clone(),
            shares,
            brought: tally.by_kind(),
            changes: tally.changes(),
            change_chunk: tally.changed_at(),
            chunks: self.chunks.layout.chunks(),
            bytes_stored,
            bytes_twice: tally.bytes_twice(),
        })
    }

    /// Names a liar, and remembers offences.
    fn failed(&self, upstream: &PackedUpstream, error: &UpstreamError) {
        let Some(offences) = &self.offences else { return };
        if let UpstreamError::OtherChunk(other) = error {
            let OtherChunk { path, position, expected, got, .. } = other.clone();
            let id = upstream.peer().map(|peer| peer.id);
            let lie = OtherBytes { path, position, expected, got };
            self.events.report(lie.lie(self.packed.game.clone(), upstream.name().clone(), id));
        }
        if let Some(peer) = upstream.peer() {
            // The peer waits for all its tasks when it stops.
            let _ = offences.after_upstream(peer.id, &peer.name, peer.address, error);
        }
    }

    /// Tells the source that gave the place, so that it does not name this relay again.
    fn report_unreachable(&self, relay: PeerId) {
        let Some(address) = self.placed_by else { return };
        let (ours, wave) = (self.ours.clone(), self.place.wave);
        self.tasks.spawn_contained("cannot-reach", async move {
            let telling = async {
                let mut dialled = dial(&address.into(), &ours, None).await?;
                dialled.connection.send(&Request::CannotReach { wave, relay }).await?;
                dialled.connection.receive::<Reply>("reply", limits::PACKED_IDLE).await
            };
            if let Err(error) = telling.await {
                tracing::debug!("{address} is not told that a relay cannot be reached: {error}");
            }
        });
    }
}

/// The bytes of a window, for the decoder.
pub(crate) struct WindowBytes {
    pub(crate) window: Arc<PackedWindow>,
    pub(crate) layout: Arc<Layout>,
}

impl PackedBytes for WindowBytes {
    fn read_at(&self, volume: usize, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let Some((chunk, within)) = self.layout.at(volume, offset) else { return Ok(0) };
        let bytes = self.window.read(chunk)?;
        // A proved chunk is as long as its place.
        let from = usize::try_from(within).unwrap_or(usize::MAX).min(bytes.len());
        let count = out.len().min(bytes.len() - from);
        out[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn close(&self) {
        self.window.close();
    }
}
