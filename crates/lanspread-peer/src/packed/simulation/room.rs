//! What a room is made of.

use std::time::Duration;

use super::faults::{Fault, FaultKind, Random};

/// Bytes of a chunk here. What it takes to send one, its uplink says.
pub(super) const CHUNK_BYTES: usize = 64;

/// A room before anything happens.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// Milliseconds that each source's uplink takes for a chunk.
    pub(super) sources: Vec<u64>,
    pub(super) seats: Vec<Seat>,
    pub(super) faults: Vec<Fault>,
    /// A source that answers the receivers only after this time, when they have begun.
    pub(super) late_source: Option<(usize, Duration)>,
    pub(super) chunks: u64,
    /// Chunks that every window has room for.
    pub(super) window: u64,
    pub(super) seed: u64,
}

/// One receiver.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) joins_at: Duration,
    /// Milliseconds that its uplink takes for a chunk.
    pub(super) uplink_ms: u64,
    /// Milliseconds that its link takes for a chunk that it receives.
    pub(super) downlink_ms: u64,
    /// Milliseconds that its decoder takes for a chunk.
    pub(super) decode_ms: u64,
    /// Milliseconds that it takes to get a chunk from the network.
    pub(super) take_ms: u64,
    pub(super) relays: bool,
    /// Whether others can reach it.
    pub(super) is_reachable: bool,
}

/// 1 MiB at 1 Gbit/s, and a decoder of 120 MB/s of packed bytes.
const UPLINK_MS: u64 = 9;
const DECODE_MS: u64 = 8;

impl Default for Seat {
    fn default() -> Self {
        Self {
            joins_at: Duration::ZERO,
            uplink_ms: UPLINK_MS,
            downlink_ms: 0,
            decode_ms: DECODE_MS,
            take_ms: 0,
            relays: true,
            is_reachable: true,
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self {
            sources: vec![UPLINK_MS],
            seats: Vec::new(),
            faults: Vec::new(),
            late_source: None,
            chunks: 100,
            window: 64,
            seed: 0,
        }
    }
}

impl Room {
    /// A room of one to three sources and one to eight receivers, with up to three faults, two of them perhaps at once.
    pub(super) fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let sources = (0..random.within(1..4)).map(|_| random.within(5..40)).collect::<Vec<_>>();
        let seats = (0..random.within(1..9)).map(|_| {
            let late = if random.once_in(3) { random.within(0..4000) } else { random.within(0..50) };
            Seat {
                joins_at: Duration::from_millis(late),
                uplink_ms: random.within(5..40),
                downlink_ms: 0,
                decode_ms: if random.once_in(6) { random.within(60..200) } else { random.within(1..30) },
                take_ms: 0,
                relays: !random.once_in(8),
                is_reachable: !random.once_in(10),
            }
        });
        let seats = seats.collect::<Vec<_>>();
        let nodes = (sources.len() + seats.len()) as u64;
        let chunks = random.within(1..160);
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..random.within(0..4) {
            let together = random.once_in(3).then(|| faults.last().map(|fault| fault.at)).flatten();
            let at = together.unwrap_or_else(|| Duration::from_millis(random.within(0..6000)));
            let node = usize::try_from(random.within(0..nodes)).unwrap();
            let kind = match random.within(0..8) {
                0 => FaultKind::Kill,
                1 => FaultKind::Cut,
                2 => FaultKind::Pause(Duration::from_millis(random.within(100..20_000))),
                3 => FaultKind::Slow(u32::try_from(random.within(2..30)).unwrap()),
                4 => FaultKind::Lie,
                5 => FaultKind::LieGone,
                6 => FaultKind::LieAlive,
                _ => FaultKind::Leave,
            };
            faults.push(Fault { at, node, kind });
        }
        faults.sort_by_key(|fault| fault.at);
        let window = random.within(8..65);
        // Drawn last, so that the rooms of old seeds are the same but for it.
        let is_late = sources.len() > 1 && random.once_in(4);
        let late_source = is_late.then(|| {
            let source = usize::try_from(random.within(0..sources.len() as u64)).unwrap();
            (source, Duration::from_millis(random.within(0..8000)))
        });
        Self { sources, seats, faults, late_source, chunks, window, seed }
    }

    /// Whether a source is there, honest and reachable from the beginning to the end.
    pub(super) fn has_good_source(&self) -> bool {
        (0..self.sources.len()).any(|source| self.is_untouched(source))
    }

    /// Whether nothing happens to a machine that could keep it from its end.
    pub(super) fn is_untouched(&self, node: usize) -> bool {
        !self.faults.iter().any(|fault| fault.node == node && !matches!(fault.kind, FaultKind::Slow(_)))
    }

    /// Whether a seat must end well, if a source does its part.
    pub(super) fn must_end_well(&self, seat: usize) -> bool {
        let node = self.sources.len() + seat;
        !self.faults.iter().any(|fault| {
            let harms = matches!(fault.kind, FaultKind::Kill | FaultKind::Cut | FaultKind::Leave);
            // One that stands still for longer than others wait for it may find no upstream, and says so.
            let stops = matches!(fault.kind, FaultKind::Pause(_));
            fault.node == node && (harms || stops)
        })
    }
}
