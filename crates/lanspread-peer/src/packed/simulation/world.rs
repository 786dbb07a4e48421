//! The machines of a room, and who follows whom.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lanspread_proto::packed::PackedGame;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::PeerId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::faults::Random;
use super::gate::{Gate, Link};
use super::room::{CHUNK_BYTES, Room};
use crate::packed::relays::Relays;
use crate::packed::roster::Roster;
use crate::packed::stream_view::StreamView;
use crate::packed::uplink::SourceUplink;
use crate::task::Tasks;

/// One machine: a source, or the receiver at a seat.
pub(super) struct Node {
    pub(super) peer: PeerId,
    pub(super) key: [u8; 32],
    pub(super) gate: Arc<Gate>,
    pub(super) uplink: Arc<Link>,
    pub(super) downlink: Arc<Link>,
    /// Whose chunk it sends next, as a source.
    pub(super) sends: Arc<SourceUplink>,
    pub(super) decode: AtomicU32,
    pub(super) is_dead: CancellationToken,
    pub(super) leaves: CancellationToken,
    pub(super) says_gone: AtomicBool,
    pub(super) is_only_alive: AtomicBool,
    pub(super) has_no_place: AtomicBool,
    pub(super) relays: Arc<Relays>,
    pub(super) view: Arc<StreamView>,
    /// The receiver that was named last as the slowest ahead.
    pub(super) slowest: Mutex<String>,
    pub(super) roster: Mutex<Roster>,
    pub(super) tasks: Tasks,
    pub(super) is_source: bool,
    pub(super) is_reachable: bool,
}

pub(super) struct World {
    pub(super) room: Room,
    pub(super) nodes: Vec<Node>,
    pub(super) begun: Instant,
    pub(super) packed: PackedGame,
    /// Whom each receiver follows now.
    follows: Mutex<BTreeMap<usize, Vec<usize>>>,
    pub(super) problems: Mutex<Vec<String>>,
    pub(super) story: Mutex<Vec<String>>,
    pub(super) waves: AtomicU64,
    pub(super) sent_by_sources: AtomicU64,
    pub(super) bytes_twice: AtomicU64,
    /// Whether sources believe that their uplinks have room until they have measured it.
    pub(super) is_hopeful: bool,
}

/// The bytes of a chunk.
pub(super) fn content(seed: u64, chunk: u64) -> Bytes {
    let mut random = Random(seed ^ (chunk << 20));
    (0..CHUNK_BYTES).map(|_| u8::try_from(random.within(0..256)).unwrap()).collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(room: Room) -> Self {
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
                uplink: Arc::new(Link::new(uplink_ms)),
                downlink: Arc::new(Link::new(seat.map_or(0, |seat| seat.downlink_ms))),
                sends: Arc::default(),
                decode: AtomicU32::new(seat.map_or(1, |seat| u32::try_from(seat.decode_ms).unwrap())),
                is_dead: CancellationToken::new(),
                leaves: CancellationToken::new(),
                says_gone: AtomicBool::new(false),
                is_only_alive: AtomicBool::new(false),
                has_no_place: AtomicBool::new(false),
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
            is_hopeful: room.seed.is_multiple_of(2),
            room,
        }
    }

    pub(super) fn problem(&self, problem: String) {
        lock(&self.problems).push(problem);
    }

    pub(super) fn tell(&self, node: usize, what: &str) {
        let at = self.begun.elapsed().as_millis();
        lock(&self.story).push(format!("{at:>7} ms  node {node}: {what}"));
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
