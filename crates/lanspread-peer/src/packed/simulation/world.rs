//! The machines of a room, the pipes between them, and what must hold at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::{Channel, Introduction};
use lanspread_proto::message::{Refusal, RefusalCode, Reply, Request};
use lanspread_proto::packed::{PackedGame, Place};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use tokio::io::duplex;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::faults::{FaultKind, Random};
use super::gate::{Gate, Gated, Uplink};
use super::neighbours::{Neighbours, OnlyAlive, Source, Target};
use super::room::Room;
use crate::packed::feed::{FeedError, feed};
use crate::packed::plan::Tier;
use crate::packed::relays::Relays;
use crate::packed::ring::Ring;
use crate::packed::roster::{JoinOutcome, Newcomer, Roster, SourceState};
use crate::packed::serve::serve;
use crate::packed::stream_view::StreamView;
use crate::packed::uplink::SourceUplink;
use crate::packed::window::PackedWindow;
use crate::report::channel::EventSender;
use crate::task::Tasks;
use crate::testing::hello;

/// Bytes of a chunk here. What it takes to send one, its uplink says.
pub(super) const CHUNK_BYTES: usize = 64;
/// The time after which a room counts as waiting for ever.
const FOR_EVER: Duration = Duration::from_mins(20);

/// How a room ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) problems: Vec<String>,
    /// Until the last receiver ended.
    pub(super) took: Duration,
    pub(super) ended_at: Vec<Option<Duration>>,
    pub(super) story: Vec<String>,
    pub(super) sent_by_sources: u64,
    pub(super) chunks_twice: u64,
    /// Places of the wave of each receiver, and the last one that was named to it as the slowest ahead.
    pub(super) heard: Vec<(u32, String)>,
}

impl Outcome {
    /// Until the last receiver but one ended.
    pub(super) fn others_took(&self, but: usize) -> Duration {
        let others = self.ended_at.iter().enumerate().filter(|(seat, _)| *seat != but);
        others.filter_map(|(_, at)| *at).max().unwrap_or_default()
    }
}

/// One machine: a source, or the receiver at a seat.
pub(super) struct Node {
    pub(super) peer: PeerId,
    key: [u8; 32],
    gate: Arc<Gate>,
    uplink: Arc<Uplink>,
    /// Whose chunk it sends next, as a source.
    sends: Arc<SourceUplink>,
    decode: AtomicU32,
    is_dead: CancellationToken,
    leaves: CancellationToken,
    pub(super) says_gone: AtomicBool,
    is_only_alive: AtomicBool,
    relays: Arc<Relays>,
    pub(super) view: Arc<StreamView>,
    /// The receiver that was named last as the slowest ahead.
    pub(super) slowest: Mutex<String>,
    pub(super) roster: Mutex<Roster>,
    tasks: Tasks,
    is_source: bool,
    is_reachable: bool,
}

pub(super) struct World {
    pub(super) room: Room,
    pub(super) nodes: Vec<Node>,
    begun: Instant,
    pub(super) packed: PackedGame,
    /// Whom each receiver follows now.
    follows: Mutex<BTreeMap<usize, Vec<usize>>>,
    problems: Mutex<Vec<String>>,
    story: Mutex<Vec<String>>,
    waves: AtomicU64,
    pub(super) sent_by_sources: AtomicU64,
    pub(super) bytes_twice: AtomicU64,
    has_room: bool,
}

/// The bytes of a chunk.
pub(super) fn content(seed: u64, chunk: u64) -> Bytes {
    let mut random = Random(seed ^ (chunk << 20));
    (0..CHUNK_BYTES).map(|_| u8::try_from(random.within(0..256)).unwrap()).collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a receiver ended.
#[derive(Debug, PartialEq)]
enum End {
    Installed,
    Failed(String),
    Gone,
}

pub(super) async fn run(room: Room) -> Outcome {
    let world = Arc::new(World::new(room));
    let faults = tokio::spawn(happen(Arc::clone(&world)));
    let seats: Vec<_> = (0..world.room.seats.len())
        .map(|seat| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let node = world.room.sources.len() + seat;
                let is_dead = world.nodes[node].is_dead.clone();
                let end = timeout(FOR_EVER, is_dead.run_until_cancelled(install(&world, seat))).await;
                let end = match end {
                    Ok(Some(end)) => end,
                    Ok(None) => End::Gone,
                    Err(_) => {
                        world.problem(format!("seat {seat} waits for ever"));
                        End::Gone
                    }
                };
                world.tell(node, &format!("{end:?}"));
                (end, world.begun.elapsed())
            })
        })
        .collect();
    let mut ends = Vec::new();
    for seat in seats {
        ends.push(seat.await);
    }
    faults.abort();
    world.finish(ends).await
}

impl World {
    fn new(room: Room) -> Self {
        let uplinks = room.sources.iter().copied().chain(room.seats.iter().map(|seat| seat.uplink_ms));
        let nodes = uplinks.enumerate().map(|(number, uplink_ms)| {
            let key = [u8::try_from(number % 250 + 1).unwrap(); 32];
            let mut key = key;
            key[0] = u8::try_from(number / 250).unwrap();
            let seat = number.checked_sub(room.sources.len()).map(|seat| &room.seats[seat]);
            Node {
                peer: PeerId::of_key(&key),
                key,
                gate: Arc::default(),
                uplink: Arc::new(Uplink::new(uplink_ms)),
                sends: Arc::default(),
                decode: AtomicU32::new(seat.map_or(1, |seat| u32::try_from(seat.decode_ms).unwrap())),
                is_dead: CancellationToken::new(),
                leaves: CancellationToken::new(),
                says_gone: AtomicBool::new(false),
                is_only_alive: AtomicBool::new(false),
                relays: Arc::default(),
                view: Arc::new(StreamView::new(
                    format!("node-{number}").parse().unwrap(),
                    CHUNK_BYTES as u64,
                )),
                slowest: Mutex::default(),
                roster: Mutex::default(),
                tasks: Tasks::default(),
                is_source: seat.is_none(),
                is_reachable: seat.is_none_or(|seat| seat.is_reachable),
            }
        });
        let manifest = ContentDigest([7; 32]);
        Self {
            nodes: nodes.collect(),
            begun: Instant::now(),
            packed: PackedGame { game: "g".parse().unwrap(), version: "1".parse().unwrap(), manifest },
            follows: Mutex::default(),
            problems: Mutex::default(),
            story: Mutex::default(),
            waves: AtomicU64::new(1),
            sent_by_sources: AtomicU64::new(0),
            bytes_twice: AtomicU64::new(0),
            has_room: room.seed.is_multiple_of(2),
            room,
        }
    }

    fn problem(&self, problem: String) {
        lock(&self.problems).push(problem);
    }

    pub(super) fn tell(&self, node: usize, what: &str) {
        let at = self.begun.elapsed().as_millis();
        lock(&self.story).push(format!("{at:>7} ms  node {node}: {what}"));
    }

    /// What must hold in every room.
    async fn finish(&self, ends: Vec<Result<(End, Duration), tokio::task::JoinError>>) -> Outcome {
        let mut ended_at = Vec::new();
        for (seat, ended) in ends.into_iter().enumerate() {
            let Ok((end, at)) = ended else {
                self.problem(format!("the task of seat {seat} panicked"));
                continue;
            };
            ended_at.push((end == End::Installed).then_some(at));
            let must = self.room.has_good_source() && self.room.must_end_well(seat);
            if must && end != End::Installed {
                self.problem(format!(
                    "seat {seat} did not install although a good source was there: {end:?}"
                ));
            }
            if matches!(&end, End::Failed(why) if why.is_empty()) {
                self.problem(format!("seat {seat} does not say why it failed"));
            }
        }
        for (number, node) in self.nodes.iter().enumerate() {
            node.is_dead.cancel();
            // What is paused cannot end.
            while node.gate.is_closed() {
                node.gate.open();
            }
            let left = node.tasks.stop(Duration::from_mins(5)).await;
            if left > 0 {
                self.problem(format!("{left} tasks of node {number} have not ended"));
            }
        }
        let story = lock(&self.story).clone();
        let mut problems = lock(&self.problems).clone();
        if !problems.is_empty() {
            problems.extend(story.iter().cloned());
        }
        let receivers = self.nodes.iter().filter(|node| !node.is_source);
        Outcome {
            problems,
            took: ended_at.iter().flatten().max().copied().unwrap_or_default(),
            ended_at,
            story,
            sent_by_sources: self.sent_by_sources.load(Ordering::Relaxed),
            heard: receivers.map(|node| (node.view.wave().places(), lock(&node.slowest).clone())).collect(),
            chunks_twice: self.bytes_twice.load(Ordering::Relaxed) / CHUNK_BYTES as u64,
        }
    }

    /// Connects two machines, and serves the connection at the other one.
    pub(super) async fn connect(
        self: &Arc<Self>,
        from: usize,
        to: usize,
    ) -> Result<Connection<Gated>, WireError> {
        let target = &self.nodes[to];
        if target.is_dead.is_cancelled() {
            return Err(WireError::Connect(std::io::ErrorKind::ConnectionRefused.into()));
        }
        let gates = [Arc::clone(&self.nodes[from].gate), Arc::clone(&target.gate)];
        if !target.is_reachable || gates.iter().any(|gate| gate.is_closed()) {
            sleep(limits::RELAY_CONNECT_DEADLINE).await;
            return Err(WireError::Connect(std::io::ErrorKind::TimedOut.into()));
        }
        let (near, far) = duplex(4 * CHUNK_BYTES);
        let (dialled, answered) = Channel::of_pipe(self.nodes[from].key, target.key);
        let far = Gated::new(far, gates.clone(), Arc::clone(&target.uplink));
        let near = Gated::new(near, gates, Arc::clone(&self.nodes[from].uplink));
        let (world, is_dead) = (Arc::clone(self), target.is_dead.clone());
        target.tasks.spawn_contained("connection", async move {
            let introduction = Introduction::open(hello(&format!("node-{to}")));
            let serving = async {
                let opened = Connection::open(far, &answered, &introduction).await;
                if let Ok(mut connection) = opened
                    && let Err(error) = world.answer(to, &mut connection).await
                {
                    world.tell(to, &format!("a connection of node {from} ended: {error}"));
                }
            };
            is_dead.run_until_cancelled(serving).await;
        });
        let introduction = Introduction::open(hello(&format!("node-{from}")));
        timeout(limits::RELAY_CONNECT_DEADLINE, Connection::open(near, &dialled, &introduction))
            .await
            .unwrap_or_else(|_| Err(WireError::Connect(std::io::ErrorKind::TimedOut.into())))
    }

    async fn answer(&self, node: usize, connection: &mut Connection<Gated>) -> Result<(), WireError> {
        let request = connection.receive("request", limits::REQUEST_IDLE_DEADLINE).await?;
        let Some(Request::Follow(wanted)) = request else { return Ok(()) };
        let at = &self.nodes[node];
        if at.is_only_alive.load(Ordering::Relaxed) {
            connection.send(&Reply::Following { lo: 0, hi: self.room.chunks }).await?;
            serve(connection, &OnlyAlive, &at.leaves).await;
            return Ok(());
        }
        if let Some(relay) = at.relays.find(&wanted.packed) {
            let end = relay.serve(connection, &wanted, &at.leaves, |_| {}).await?;
            self.tell(node, &format!("fed {} chunks: {}", end.chunks, end.served.code()));
            return Ok(());
        }
        if !at.is_source {
            let refusal = Refusal::new(RefusalCode::NotOffered, "nothing is installed here");
            return connection.send(&Reply::Refused(refusal)).await;
        }
        connection.send(&Reply::Following { lo: 0, hi: self.room.chunks }).await?;
        let uplink = at.sends.feed(wanted.packed.clone(), wanted.at);
        let source = Source { world: self, node, place: wanted.place, uplink };
        lock(&at.roster).begins_fed(
            &wanted.packed,
            wanted.place.wave,
            wanted.at,
            self.room.chunks,
            Instant::now(),
        );
        let served = serve(connection, &source, &at.leaves).await;
        self.tell(node, &format!("served as a source: {}", served.code()));
        lock(&at.roster).ends_fed(&wanted.packed, wanted.place.wave, Instant::now());
        Ok(())
    }

    pub(super) fn follow(&self, node: usize, upstream: usize) {
        let mut follows = lock(&self.follows);
        follows.entry(node).or_default().push(upstream);
        let mut on_the_way = vec![upstream];
        let mut seen = Vec::new();
        while let Some(next) = on_the_way.pop() {
            if next == node {
                self.problem(format!("node {node} follows itself: {follows:?}"));
                return;
            }
            if !seen.contains(&next) {
                seen.push(next);
                on_the_way.extend(follows.get(&next).into_iter().flatten());
            }
        }
    }

    pub(super) fn unfollow(&self, node: usize, upstream: usize) {
        if let Some(follows) = lock(&self.follows).get_mut(&node)
            && let Some(place) = follows.iter().position(|follows| *follows == upstream)
        {
            follows.remove(place);
        }
    }
}

/// The faults, in their order.
async fn happen(world: Arc<World>) {
    for fault in world.room.faults.clone() {
        sleep_until(world.begun + fault.at).await;
        let node = &world.nodes[fault.node];
        world.tell(fault.node, &format!("{:?}", fault.kind));
        match fault.kind {
            FaultKind::Kill => node.is_dead.cancel(),
            FaultKind::Cut => node.gate.close(),
            FaultKind::Pause(time) => {
                node.gate.close();
                let gate = Arc::clone(&node.gate);
                node.tasks.spawn_contained("pause", async move {
                    sleep(time).await;
                    gate.open();
                });
            }
            FaultKind::Slow(times) => {
                node.uplink.slow_down(times);
                let decode = node.decode.load(Ordering::Relaxed);
                node.decode.store(decode.saturating_mul(times).min(1000), Ordering::Relaxed);
            }
            FaultKind::LieGone if node.is_source => node.says_gone.store(true, Ordering::Relaxed),
            FaultKind::LieAlive => node.is_only_alive.store(true, Ordering::Relaxed),
            FaultKind::Lie | FaultKind::LieGone => node.uplink.lie(),
            FaultKind::Leave => node.leaves.cancel(),
        }
    }
}

/// A receiver from its command to its end.
async fn install(world: &Arc<World>, seat: usize) -> End {
    let (node, this) = (world.room.sources.len() + seat, &world.room.seats[seat]);
    sleep(this.joins_at).await;
    let me = &world.nodes[node];
    let sources: Vec<usize> =
        (0..world.room.sources.len()).map(|n| (n + seat) % world.room.sources.len()).collect();
    let late = world.room.late_source.map(|(source, at)| (source, world.begun + at));
    let late = late.filter(|(_, at)| *at > Instant::now());
    let is_late = |node: usize| late.is_some_and(|(source, _)| source == node);
    let (late_ones, sources): (Vec<usize>, Vec<usize>) = sources.into_iter().partition(|node| is_late(*node));
    let mut joined = join(world, seat, &sources).await;
    if let (None, Some((_, at))) = (&joined, late) {
        // Without an answer there is no choice yet.
        sleep_until(at).await;
        joined = join(world, seat, &late_ones).await;
    }
    let Some((place, relays, gathers_until)) = joined else {
        return End::Failed("no source gives it a place".to_owned());
    };
    let window = Arc::new(PackedWindow::new(world.room.window, world.room.chunks));
    window.change(|ring| ring.gather(gathers_until));
    let relay = this.relays.then(|| {
        let (window, view) = (Arc::clone(&window), Arc::clone(&me.view));
        me.relays.open(world.packed.clone(), window, view, place, EventSender::new())
    });
    let known_at = Instant::now();
    let relays = relays.into_iter();
    let relays = relays.map(|(node, instead_of)| Target { node, tier: Tier::Relay, instead_of, known_at });
    let source = |node, known_at| Target { node, tier: Tier::Source, instead_of: None, known_at };
    let late_ones = late_ones.into_iter().zip(late).map(|(node, (_, at))| source(node, at));
    let sources = sources.into_iter().map(|node| source(node, known_at));
    let targets = relays.chain(sources).chain(late_ones).collect();
    let upstreams = Arc::new(Neighbours { world: Arc::clone(world), node, place, targets });
    let feeding = async {
        let fed = feed(upstreams, Arc::clone(&window), me.tasks.clone(), &me.leaves).await;
        if fed.is_err() {
            window.close();
        }
        fed
    };
    let decoding = async {
        for chunk in 0..world.room.chunks {
            let Some(bytes) = window.take(chunk).await else { return false };
            if bytes != content(world.room.seed, chunk) {
                world.problem(format!("seat {seat} decodes wrong bytes in chunk {chunk}"));
            }
            let held = window.look(Ring::len) as u64;
            if held > world.room.window {
                world.problem(format!("the window of seat {seat} holds {held} chunks"));
            }
            sleep(Duration::from_millis(me.decode.load(Ordering::Relaxed).into())).await;
        }
        window.decoded();
        true
    };
    let (fed, decoded) = tokio::join!(feeding, decoding);
    match fed {
        Ok(()) if decoded => world.tell(node, "has everything"),
        Ok(()) => return End::Failed("the window was closed".to_owned()),
        Err(FeedError::Cancelled) => return End::Gone,
        Err(FeedError::AllGone(last)) => {
            return End::Failed(format!(
                "all upstreams are gone: {}",
                last.map_or("none".to_owned(), |e| e.to_string())
            ));
        }
        Err(FeedError::Local(error)) => return End::Failed(error.to_string()),
    }
    if let Some(relay) = relay {
        me.leaves.run_until_cancelled(relay.linger()).await;
    }
    window.close();
    End::Installed
}

/// Asks the first source that answers for a place, and waits if there is none.
async fn join(
    world: &Arc<World>,
    seat: usize,
    sources: &[usize],
) -> Option<(Place, Vec<(usize, Option<PeerId>)>, Instant)> {
    let node = world.room.sources.len() + seat;
    let me = &world.nodes[node];
    loop {
        let answers = |source: &&usize| {
            let source = &world.nodes[**source];
            !source.is_dead.is_cancelled() && !source.gate.is_closed()
        };
        let source = sources.iter().find(answers)?;
        let newcomer = Newcomer {
            peer: me.peer,
            name: format!("seat-{seat}").parse().unwrap(),
            ip: [10, 0, 0, 1].into(),
            relay_port: world.room.seats[seat].relays.then_some(1),
            window: world.room.window,
        };
        let (number, now) = (world.waves.fetch_add(1, Ordering::Relaxed), Instant::now());
        let source_state =
            SourceState { has_room: world.has_room, expects_others: world.room.seats.len() > 1 };
        let total = world.room.chunks;
        let joined = lock(&world.nodes[*source].roster).join(
            &world.packed,
            newcomer,
            total,
            source_state,
            number,
            now,
        );
        match joined {
            JoinOutcome::Placed(placement) => {
                world.tell(node, &format!("placed by node {source}: {:?}", placement.place));
                let of_peer = |peer| world.nodes.iter().position(|node| node.peer == peer).unwrap();
                let relays = placement.relays.iter().map(|relay| (of_peer(relay.peer), relay.instead_of));
                let relays = relays.collect();
                let gathers_until = Instant::now() + Duration::from_millis(placement.starts_in_ms.into());
                return Some((placement.place, relays, gathers_until));
            }
            JoinOutcome::Wait { .. } => sleep(Duration::from_millis(200)).await,
        }
        if me.leaves.is_cancelled() {
            return None;
        }
    }
}
