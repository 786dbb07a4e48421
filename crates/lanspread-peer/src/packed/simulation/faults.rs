//! What happens to the machines of a room.

use std::time::Duration;

/// Something that happens to one machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fault {
    pub(super) at: Duration,
    /// Sources first, then seats.
    pub(super) node: usize,
    pub(super) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FaultKind {
    /// The process dies: its connections are reset.
    Kill,
    /// The machine is gone, and no other machine is told.
    Cut,
    /// The machine stands still for a while.
    Pause(Duration),
    /// Its uplink and its decoder take this many times as long from now on.
    Slow(u32),
    /// It sends other bytes from now on.
    Lie,
    /// It says of everything that it is gone.
    LieGone,
    /// It says to each new follower that it is alive, and sends nothing.
    LieAlive,
    /// It says to each new follower that it has no place, for ever.
    LieQueued,
    /// The user cancels.
    Leave,
}

/// A small generator of random numbers (`SplitMix64`, public domain, Steele and others 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range.
    pub(super) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.within(0..times) == 0
    }
}
