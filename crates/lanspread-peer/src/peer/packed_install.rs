//! A packed stream into an install: a place in a wave, a window, upstreams, and the receiver that follows.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::message::{Reply, Request};
use lanspread_proto::packed::{Join, NextWave, PackedGame, Place, Placement, RelayOffer};
use lanspread_proto::queued::{QueuePosition, QueuedPace};
use lanspread_trust::manifest::ManifestFile;
use lanspread_types::content::Totals;
use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::server::HttpServer;
use crate::operations::OperationContext;
use crate::packed::feed::{FeedError, feed};
use crate::packed::relays::OpenRelay;
use crate::packed::stream_view::StreamView;
use crate::packed::window::PackedWindow;
use crate::peer::asking_order::AskingOrder;
use crate::peer::core::Peer;
use crate::peer::packed_sources::{Further, PackedSources};
use crate::receive::error::AttemptError;
use crate::receive::packed_attempt::packed_attempt;
use crate::receive::packed_upstreams::{
    PackedDigests, PackedUpstream, PackedUpstreams, UpstreamList, UpstreamPeer, WindowBytes,
};
use crate::receive::patience::QueueReports;
use crate::receive::staged_attempt::AttemptContext;
use crate::report::event::PeerEvent;
use crate::report::operation::RelayChoice;
use crate::report::packed_stream::PackedPlaced;
use crate::report::queued::QueuedAt;
use crate::source::handler;
use crate::transport::dial::dial_soon;
use crate::transport::listener;
use crate::transport::socket::Listener;
use crate::trust::select::PeerOffer;

/// A finished packed install.
pub(super) struct PackedInstalled {
    pub(super) totals: Totals,
    /// The source that gave the place.
    pub(super) source: PeerOffer,
    /// What is still passed on.
    pub(super) relay: Option<Relaying>,
}

/// A window that can still be followed, and where.
pub(super) struct Relaying {
    relay: OpenRelay,
    window: Arc<PackedWindow>,
    listening: Option<Followers>,
}

/// A window that was opened to followers.
type FollowedWindow = (OpenRelay, Arc<PackedWindow>);

/// Answers followers on a port of its own until it is dropped.
struct Followers {
    stop: DropGuard,
    accepting: JoinHandle<()>,
}

impl Followers {
    /// Closes the port, and waits until that is done.
    async fn end(self) {
        drop(self.stop);
        if let Err(error) = self.accepting.await {
            tracing::error!("the listener for followers ended abnormally: {error}");
        }
    }
}

impl Relaying {
    /// Waits until the follower has everything, for a bounded time.
    pub(super) async fn linger(self) {
        self.relay.linger().await;
        self.window.close();
        if let Some(listening) = self.listening {
            listening.end().await;
        }
    }
}

/// A server as the source of an install.
pub(super) fn offer_of(server: &HttpServer, context: &AttemptContext) -> PeerOffer {
    PeerOffer {
        name: server.name().clone(),
        id: server.record_id(),
        instance: 0,
        address: (Ipv4Addr::UNSPECIFIED, 0).into(),
        version: context.version.clone(),
        files: Vec::new(),
        manifest: None,
        manifest_in_ms: None,
        load: None,
        penalty: None,
        entries: None,
    }
}

impl Peer {
    /// Installs a game from its packed archives, which are decoded here and never stored.
    pub(super) async fn install_packed(
        &self,
        operation: &OperationContext,
        context: &AttemptContext,
        from: PackedSources,
        manifest: Arc<ManifestFile>,
    ) -> Result<PackedInstalled, AttemptError> {
        let (port, listening) = self.relay_port(operation.options.relay).await.unzip();
        let listening = listening.flatten();
        match Box::pin(self.install_through(operation, context, from, manifest, port)).await {
            Ok((totals, source, relay)) => {
                let relay = relay.map(|(relay, window)| Relaying { relay, window, listening });
                Ok(PackedInstalled { totals, source, relay })
            }
            Err(error) => {
                if let Some(listening) = listening {
                    listening.end().await;
                }
                Err(error)
            }
        }
    }

    /// The same. With a port, the window can be followed there.
    async fn install_through(
        &self,
        operation: &OperationContext,
        context: &AttemptContext,
        from: PackedSources,
        manifest: Arc<ManifestFile>,
        port: Option<u16>,
    ) -> Result<(Totals, PeerOffer, Option<FollowedWindow>), AttemptError> {
        let PackedSources { peers, servers, late } = from;
        let sources: Vec<&PeerOffer> = peers.iter().collect();
        // A server has a name and an identity for the receipt, as a peer has.
        let of_server = servers.first().map(|server| offer_of(server, context));
        let Some(first) = sources.first().copied().or(of_server.as_ref()) else {
            return Err(AttemptError::NoUpstream(None));
        };
        let (game, version) = (context.locked.game().clone(), context.version.clone());
        // Receivers with a manifest of a catalog and those without one are of one wave: what both have is the same list.
        let list = Arc::clone(&manifest);
        let digest =
            self.inner.tasks.spawn_blocking("packing list", move || list.packing_list_digest()).await;
        let unreadable = |error| AttemptError::Local(LocalError::io("read", "the manifest")(error));
        let digest = digest.map_err(|_| AttemptError::StagingStopped)?.map_err(unreadable)?;
        let Some(digest) = digest else { return Err(AttemptError::NoUpstream(None)) };
        let packed = PackedGame { game, version, manifest: digest };
        let chunks = PackedDigests::of(Arc::clone(&manifest));
        let (room, total) = (operation.options.window_bytes(), chunks.layout.chunks());
        let window = Arc::new(PackedWindow::new(room / chunks.layout.chunk_bytes(), total));
        let join =
            Join { packed: packed.clone(), relay_port: port, window: room / chunks.layout.chunk_bytes() };
        let cancel = &context.cancel;
        let joining = self.join_wave(context, &sources, &join);
        let joined = cancel.run_until_cancelled(joining).await.ok_or(AttemptError::Cancelled)??;
        // Without a place, a receiver follows sources only.
        let alone = Placement { place: Place { wave: 0, position: 0 }, starts_in_ms: 0, relays: Vec::new() };
        let (placement, placed_by) = joined.map_or((alone, first), |(placement, source)| (placement, source));
        let (ours, chunk_bytes) = (self.endpoint(), chunks.layout.chunk_bytes());
        let view = Arc::new(StreamView::new(ours.introduction.hello.name.clone(), chunk_bytes));
        let relay = port.map(|_| {
            let (packed, events) = (packed.clone(), context.events.clone());
            let relays = &self.inner.source.packed.relays;
            let (window, view) = (Arc::clone(&window), Arc::clone(&view));
            let relay = relays.open(packed, Arc::clone(&window), view, placement.place, events);
            (relay, window)
        });
        // Others may join until then, and need the first chunks. What stays in the window is fetched meanwhile.
        let starts_in = Duration::from_millis(placement.starts_in_ms.into()).min(limits::WAVE_GATHER);
        window.change(|ring| ring.gather(Instant::now() + starts_in));
        let relays = placement.relays.into_iter().map(|relay| {
            let RelayOffer { peer: id, name, address, instead_of, .. } = relay;
            PackedUpstream::Relay(UpstreamPeer { id, name, address, instead_of })
        });
        // The one that gave the place comes first, so that receivers of one source are its own.
        let (before, others): (Vec<&PeerOffer>, Vec<&PeerOffer>) =
            sources.iter().partition(|source| std::ptr::eq(**source, placed_by));
        let in_order = before.into_iter().chain(others).map(PackedUpstream::source);
        let servers = servers.into_iter().map(PackedUpstream::Server);
        let trusted = context.manifest.is_some();
        let upstreams = Arc::new(PackedUpstreams {
            ours,
            packed,
            place: placement.place,
            placed_by: sources.first().map(|_| placed_by.address),
            upstreams: UpstreamList::new(relays.chain(in_order).chain(servers)),
            chunks: chunks.clone(),
            view,
            events: context.events.clone(),
            offences: trusted.then(|| self.offences(context.locked.game(), &context.events)),
            tasks: self.inner.tasks.clone(),
        });
        let trusted = context.manifest.as_ref();
        let further = Further { operation, trusted, listed: &manifest, upstreams: &upstreams };
        let adding = self.add_further(further, late);
        let feeding = async {
            let feeding = feed(Arc::clone(&upstreams), Arc::clone(&window), self.inner.tasks.clone(), cancel);
            beside(feeding, adding).await.map_err(|error| match error {
                FeedError::Cancelled => AttemptError::Cancelled,
                FeedError::AllGone(why) => AttemptError::NoUpstream(why.map(Box::new)),
                FeedError::Local(error) => AttemptError::Local(error),
            })
        };
        let bytes = WindowBytes { window: Arc::clone(&window), layout: Arc::clone(&chunks.layout) };
        let attempt = packed_attempt(context, placed_by, Arc::clone(&manifest), Arc::new(bytes), feeding);
        let totals = Box::pin(attempt).await?;
        window.decoded();
        context.events.report(upstreams.finished());
        Ok((totals, placed_by.clone(), relay))
    }

    /// Asks the sources in their order for a place in a wave, and waits at the first one that answers if there is none.
    async fn join_wave<'s>(
        &self,
        context: &AttemptContext,
        sources: &[&'s PeerOffer],
        join: &Join,
    ) -> Result<Option<(Placement, &'s PeerOffer)>, AttemptError> {
        let mut order = AskingOrder::new(sources.iter().copied(), limits::LISTING_DEADLINE);
        while let Some((source, patience)) = order.next() {
            match self.join_at(context, source, join, patience).await {
                Ok(placement) => {
                    context.events.report(PeerEvent::PackedPlaced(PackedPlaced {
                        game: join.packed.game.clone(),
                        peer: source.name.clone(),
                        position: placement.place.position,
                        relays: placement.relays.iter().map(|relay| relay.name.clone()).collect(),
                        starts_in_ms: placement.starts_in_ms,
                    }));
                    return Ok(Some((placement, source)));
                }
                Err(AttemptError::NoPlace(position)) => return Err(AttemptError::NoPlace(position)),
                Err(error) => {
                    tracing::info!("{} gives no place: {error}", source.name);
                    if matches!(error, AttemptError::Wire(WireError::Timeout { .. })) {
                        order.was_silent(source, patience);
                    }
                }
            }
        }
        Ok(None)
    }

    async fn join_at(
        &self,
        context: &AttemptContext,
        source: &PeerOffer,
        join: &Join,
        patience: Duration,
    ) -> Result<Placement, AttemptError> {
        let dialled = dial_soon(source.address, &self.endpoint(), Some(source.id), patience).await?;
        let mut connection = dialled.connection;
        connection.send(&Request::Join(join.clone())).await?;
        let (mut pace, mut reports) = (QueuedPace::default(), QueueReports::default());
        // It says at once whether there is a place, and then at each keep-alive interval.
        let mut silence = patience;
        loop {
            let reply = connection.receive("a place", silence).await?;
            silence = limits::LISTING_DEADLINE;
            match reply.ok_or(WireError::Closed)? {
                Reply::Placed(placement) => return checked(placement),
                Reply::NextWave(NextWave { in_ms, receivers }) => {
                    pace.said(Instant::now())?;
                    if context.patience.is_over() {
                        return Err(AttemptError::NoPlace(QueuePosition { ahead: 0, in_ms }));
                    }
                    if reports.is_due_with(receivers, Instant::now()) {
                        let (game, peer) = (join.packed.game.clone(), source.name.clone());
                        let (ahead, receivers) = (0, Some(receivers));
                        let waits = QueuedAt { game, peer, ahead, in_ms, receivers };
                        context.events.report(PeerEvent::Queued(waits));
                    }
                }
                Reply::Refused(refusal) => return Err(WireError::Refused(refusal).into()),
                _ => return Err(WireError::Unexpected { expected: "a place", got: "another reply" }.into()),
            }
        }
    }

    /// The port on which this peer answers followers; none if it does not. One that serves does so where it serves.
    async fn relay_port(&self, choice: RelayChoice) -> Option<(u16, Option<Followers>)> {
        let RelayChoice::On { listen } = choice else { return None };
        let serving = *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = serving {
            return Some((address.port(), None));
        }
        let anywhere: [SocketAddr; 2] =
            [(Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::UNSPECIFIED, 0).into()];
        let addresses = listen.map_or(anywhere.to_vec(), |address| vec![address]);
        for address in addresses {
            match Listener::bind(address).await {
                Ok(listening) => {
                    let port = listening.local_addr().ok()?.port();
                    return Some((port, Some(self.answer_followers(listening))));
                }
                Err(error) => tracing::info!("this install cannot be followed at {address}: {error}"),
            }
        }
        None
    }

    /// Answers followers and nothing else.
    fn answer_followers(&self, listening: Listener) -> Followers {
        let stop: CancellationToken = self.inner.tasks.cancel_token();
        let source = Arc::clone(&self.inner.source);
        let serve = handler::serve_followers(source, self.endpoint(), stop.clone());
        let accepting = listener::accept(listening, self.inner.tasks.clone(), serve, stop.clone());
        let accepting = self.inner.tasks.spawn("followers", accepting);
        Followers { stop: stop.drop_guard(), accepting }
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

/// A placement within its bounds: no receiver is given more relays than it may be, or one behind itself.
fn checked(placement: Placement) -> Result<Placement, AttemptError> {
    let position = placement.place.position;
    let fits = placement.relays.len() <= limits::PACKED_RELAYS_NAMED_MAX
        && placement.relays.iter().all(|relay| relay.position < position);
    if fits {
        return Ok(placement);
    }
    let reason = "a place with too many relays, or with one behind it".to_owned();
    Err(WireError::Malformed(reason).into())
}
