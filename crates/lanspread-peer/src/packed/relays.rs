//! The windows of this process that other receivers may follow: one for each packed stream that it receives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_proto::packed::{Follow, LeaveReason, PackedGame, Place, WaveNews};
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::packed::layout::at_pace;
use crate::packed::ring::{Ring, Session};
use crate::packed::serve::{ChunkAnswer, ServeChunks, Served, serve};
use crate::packed::stream_view::StreamView;
use crate::packed::wave_view::Arrived;
use crate::packed::window::{PackedWindow, WindowChunk};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::packed_status::RelayStatus;
use crate::report::packed_stream::RelayLingers;
use crate::traffic::Meter;

/// One window that may be followed.
#[derive(Debug)]
pub(crate) struct Relay {
    window: Arc<PackedWindow>,
    view: Arc<StreamView>,
    place: Place,
    begun_at: Instant,
    /// Receives the events about its followers.
    pub(crate) events: EventSender,
    /// The follower that was taken last.
    follower: Mutex<Option<(PeerId, PeerName)>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    open: Mutex<HashMap<PackedGame, Arc<Relay>>>,
    /// Counts those that were opened.
    opened: watch::Sender<u64>,
}

/// Keeps a window open to followers until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRelay {
    relays: Arc<Relays>,
    packed: PackedGame,
    relay: Arc<Relay>,
}

/// How a follower was fed.
#[derive(Debug)]
pub(crate) struct FollowerEnd {
    /// Whether it was taken as a follower at all.
    pub(crate) was_fed: bool,
    pub(crate) served: Served,
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
}

impl Relays {
    fn map(&self) -> MutexGuard<'_, HashMap<PackedGame, Arc<Relay>>> {
        // Each change of the map is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a window to followers with a later place than this one.
    pub(crate) fn open(
        self: &Arc<Self>,
        packed: PackedGame,
        window: Arc<PackedWindow>,
        view: Arc<StreamView>,
        place: Place,
        events: EventSender,
    ) -> OpenRelay {
        if place.position == 0 {
            window.change(Ring::lead);
        }
        let begun_at = Instant::now();
        let relay = Arc::new(Relay { window, view, place, begun_at, events, follower: Mutex::default() });
        self.map().insert(packed.clone(), Arc::clone(&relay));
        self.opened.send_modify(|opened| *opened = opened.wrapping_add(1));
        OpenRelay { relays: Arc::clone(self), packed, relay }
    }

    /// The window of a packed stream, if this process receives it.
    pub(crate) fn find(&self, packed: &PackedGame) -> Option<Arc<Relay>> {
        self.map().get(packed).cloned()
    }

    /// All windows that may be followed, for people.
    pub(crate) fn status(&self) -> Vec<RelayStatus> {
        let of_one = |(packed, relay): (&PackedGame, &Arc<Relay>)| {
            let fed = relay.feeds();
            let (places, slowest) = {
                let wave = relay.view.wave();
                (wave.places(), wave.slowest())
            };
            RelayStatus {
                game: packed.game.clone(),
                version: packed.version.clone(),
                position: relay.place.position,
                chunk: fed.as_ref().map_or(0, |(_, taken)| *taken),
                follower: fed.map(|(follower, _)| follower),
                chunks: relay.window.look(Ring::total),
                places,
                slowest,
                brought: relay.view.tally().by_kind(),
            }
        };
        let mut relays: Vec<_> = self.map().iter().map(of_one).collect();
        relays.sort_by(|one, other| one.game.cmp(&other.game));
        relays
    }

    /// The same for a follower that may have heard of this receiver before it heard of its own place.
    pub(crate) async fn find_soon(&self, packed: &PackedGame) -> Option<Arc<Relay>> {
        let mut opened = self.opened.subscribe();
        let opening = async {
            loop {
                opened.borrow_and_update();
                if let Some(relay) = self.find(packed) {
                    return Some(relay);
                }
                opened.changed().await.ok()?;
            }
        };
        timeout(limits::RELAY_OPENS, opening).await.ok().flatten()
    }
}

impl OpenRelay {
    /// Waits until the follower has everything, or none comes any more: at most [`limits::RELAY_LINGER_MAX`].
    pub(crate) async fn linger(&self) {
        if let Some((follower, chunk)) = self.relay.feeds() {
            let (game, chunks) = (self.packed.game.clone(), self.relay.window.look(Ring::total));
            let most_ms = u64::try_from(limits::RELAY_LINGER_MAX.as_millis()).unwrap_or(u64::MAX);
            let lingers = RelayLingers { game, follower, chunk, chunks, most_ms };
            self.relay.events.report(PeerEvent::RelayLingers(lingers));
        }
        let until = Instant::now() + limits::RELAY_LINGER_MAX;
        let mut changes = self.relay.window.changes();
        loop {
            changes.borrow_and_update();
            let now = Instant::now();
            let (is_needed, next) =
                self.relay.window.look(|ring| (ring.is_needed(now), ring.next_change(now)));
            if !is_needed || now >= until {
                return;
            }
            tokio::select! {
                biased;
                heard = changes.changed() => if heard.is_err() { return },
                () = sleep_until(next.map_or(until, |next| next.min(until))) => {}
            }
        }
    }
}

impl Drop for OpenRelay {
    fn drop(&mut self) {
        let mut map = self.relays.map();
        if map.get(&self.packed).is_some_and(|relay| Arc::ptr_eq(relay, &self.relay)) {
            map.remove(&self.packed);
        }
    }
}

impl Relay {
    /// The follower of this window, and the first chunk that it does not have yet.
    pub(crate) fn feeds(&self) -> Option<(PeerName, u64)> {
        let (peer, taken) = self.window.look(Ring::feeds)?;
        let follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Another follower may be about to take its place.
        follower.filter(|(known, _)| *known == peer).map(|(_, name)| (name, taken))
    }

    /// Answers a follower to its end. `begun` hears when it begins.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        follow: &Follow,
        meter: Meter,
        stop: &CancellationToken,
        begun: impl FnOnce(u64),
    ) -> Result<FollowerEnd, WireError> {
        let session = match self.admit(connection, follow) {
            Ok(session) => session,
            Err(refusal) => {
                connection.send(&Reply::Refused(refusal.clone())).await?;
                // A connection that is closed with unread requests would take the refusal with it.
                let idle = limits::PACKED_IDLE;
                let _ = connection.receive::<lanspread_proto::message::Request>("end", idle).await;
                return Ok(FollowerEnd {
                    was_fed: false,
                    served: Served::Failed(refusal),
                    chunks: 0,
                    bytes: 0,
                });
            }
        };
        let mut ends = Ends { window: &self.window, session, has_everything: false };
        let (lo, hi) = self.window.look(|ring| (ring.lo(), ring.hi()));
        connection.send(&Reply::Following { lo, hi }).await?;
        begun(lo);
        let chunks = FromWindow { relay: self, session, meter, sent: Mutex::default() };
        let served = serve(connection, &chunks, stop).await;
        let (count, bytes) = *chunks.sent.lock().unwrap_or_else(PoisonError::into_inner);
        ends.has_everything = matches!(served, Served::Done);
        Ok(FollowerEnd { was_fed: true, served, chunks: count, bytes })
    }

    fn admit<S>(&self, connection: &Connection<S>, follow: &Follow) -> Result<Session, Refusal> {
        let refuse = |code, message| Err(Refusal::new(code, message));
        if follow.place.wave != self.place.wave || follow.place.position <= self.place.position {
            return refuse(RefusalCode::NotOffered, "it feeds only receivers behind it in its own wave");
        }
        if self.window.is_closed() {
            return refuse(RefusalCode::Stopping, "its install has ended");
        }
        let begun = self.window.begin(connection.peer, follow.at, follow.instead_of);
        let Ok(session) = begun else { return refuse(RefusalCode::Busy, "it feeds another receiver") };
        let follower = (connection.peer, connection.theirs.name.clone());
        *self.follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(follower);
        Ok(session)
    }
}

/// Ends a session however its task ends.
struct Ends<'w> {
    window: &'w PackedWindow,
    session: Session,
    has_everything: bool,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let (session, has_everything) = (self.session, self.has_everything);
        self.window.change(|ring| ring.end(session, has_everything, Instant::now()));
    }
}

/// The chunks of a window for one follower.
struct FromWindow<'r> {
    relay: &'r Relay,
    session: Session,
    meter: Meter,
    sent: Mutex<(u64, u64)>,
}

impl ServeChunks for FromWindow<'_> {
    async fn chunk(&self, chunk: u64) -> ChunkAnswer {
        match self.relay.window.chunk_for(self.session, chunk).await {
            WindowChunk::Here(bytes) => ChunkAnswer::Chunk(bytes),
            WindowChunk::Gone(lo) => {
                self.relay.pin(self.session, lo.saturating_sub(chunk));
                ChunkAnswer::Gone(lo)
            }
            WindowChunk::Ended { replaced: true } => ChunkAnswer::Leave(LeaveReason::Replaced),
            WindowChunk::Ended { replaced: false } => ChunkAnswer::Leave(LeaveReason::Ending),
        }
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    fn took(&self, chunk: u64, bytes: Bytes, _: Duration) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        *sent = (sent.0 + 1, sent.1 + bytes.len() as u64);
        self.relay.window.change(|ring| ring.took(self.session, chunk, Instant::now()));
    }

    fn alive(&self) -> (u64, bool) {
        self.relay.window.look(|ring| (ring.hi(), ring.is_slow()))
    }

    fn wave(&self) -> WaveNews {
        let now = Instant::now();
        let arrived = self.relay.window.look(|ring| {
            let (chunks, held_up) = (ring.hi(), ring.held_up(now));
            (!ring.is_complete()).then_some(Arrived { chunks, held_up, now })
        });
        self.relay.view.passed_on(arrived)
    }
}

impl Relay {
    /// Keeps what is here until a follower has fetched so many chunks elsewhere, at the pace of this stream.
    fn pin(&self, session: Session, missing: u64) {
        let now = Instant::now();
        let hi = self.window.look(Ring::hi).max(1);
        let passed = now.saturating_duration_since(self.begun_at);
        let fetching = at_pace(passed, hi, missing).unwrap_or(PIN_MAX);
        self.window.change(|ring| ring.pin(session, (fetching + PIN_MARGIN).min(PIN_MAX), now));
    }
}

/// Room for the way to the source and back.
const PIN_MARGIN: Duration = Duration::from_secs(2);
/// A follower that needs longer for a gap does not catch up.
const PIN_MAX: Duration = Duration::from_secs(20);
