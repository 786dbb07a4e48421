//! What happens in a room: its faults, its receivers from their commands to their ends, and what must hold at the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lanspread_proto::packed::Place;
use lanspread_types::ids::PeerId;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::faults::FaultKind;
use super::neighbours::{Neighbours, Target};
use super::room::{CHUNK_BYTES, Room};
use super::world::{World, content, lock};
use crate::packed::feed::{FeedError, feed};
use crate::packed::plan::Tier;
use crate::packed::ring::Ring;
use crate::packed::roster::{JoinOutcome, Newcomer, SourceState};
use crate::packed::window::PackedWindow;
use crate::report::channel::EventSender;

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
            FaultKind::LieQueued => node.has_no_place.store(true, Ordering::Relaxed),
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
    let takes = Duration::from_millis(this.take_ms);
    let upstreams = Arc::new(Neighbours { world: Arc::clone(world), node, place, takes, targets });
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
        window.use_all();
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
        let may_have_room = world.is_hopeful && world.nodes[*source].sends.may_have_room(&world.packed);
        let source_state = SourceState { may_have_room, expects_others: world.room.seats.len() > 1 };
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
