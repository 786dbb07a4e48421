//! A line of a limited rate, and whose turn it is. Pure: the time is given.
//!
//! Pieces cross the line one after the other, and a piece has passed when a real line of that rate would have carried all of
//! it. Users have their turns by bytes, as if each had a queue of its own and all queues moved at the same pace (start-time
//! fair queueing, Goyal, Vin and Cheng, 1996): one that has many pieces, or large ones, gets no more than another. A user
//! that was away has saved nothing up.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use lanspread_types::limits::LIMIT_BURST;
use tokio::time::Instant;

/// A line, whose users are told apart by a `U`.
#[derive(Debug)]
pub(super) struct Line<U> {
    rate: Option<NonZeroU64>,
    waiting: BTreeMap<Turn, Piece<U>>,
    /// What has passed, and those who wait for it have not looked yet: one that is busy elsewhere holds up no other.
    passed: BTreeSet<Turn>,
    /// Where the queue of each user ends, in bytes.
    ends: BTreeMap<U, u64>,
    /// Where all queues are: at the beginning of the piece that passed last.
    at: u64,
    pieces: u64,
    /// When the last piece had passed.
    free_at: Option<Instant>,
    /// Since when something waits without a break.
    busy_since: Option<Instant>,
}

/// The turn of a piece: where it begins in the queue of its user, and which of several came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    begins: u64,
    number: u64,
}

#[derive(Debug)]
struct Piece<U> {
    user: U,
    bytes: u64,
}

/// Whether a piece has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Now,
    /// Not before this time, at which the next piece passes, unless something changes until then.
    NotBefore(Instant),
}

impl<U> Default for Line<U> {
    fn default() -> Self {
        Self {
            rate: None,
            waiting: BTreeMap::new(),
            passed: BTreeSet::new(),
            ends: BTreeMap::new(),
            at: 0,
            pieces: 0,
            free_at: None,
            busy_since: None,
        }
    }
}

impl<U: Copy + Ord> Line<U> {
    /// Sets the rate in bytes per second, or no limit. The piece whose turn it is passes as if it had begun at that rate.
    pub(super) fn set_rate(&mut self, rate: Option<NonZeroU64>) {
        self.rate = rate;
    }

    /// A piece of a user comes to the line.
    pub(super) fn comes(&mut self, user: U, bytes: u64, now: Instant) -> Turn {
        if self.waiting.is_empty() {
            self.busy_since = Some(now);
        }
        let begins = self.ends.get(&user).copied().unwrap_or(0).max(self.at);
        self.ends.insert(user, begins.saturating_add(bytes));
        let turn = Turn { begins, number: self.pieces };
        self.pieces += 1;
        self.waiting.insert(turn, Piece { user, bytes });
        turn
    }

    /// Whether a piece has passed by now. If it has, the line forgets it.
    pub(super) fn pass(&mut self, turn: Turn, now: Instant) -> Pass {
        let next = self.advance(now);
        if self.passed.remove(&turn) || !self.waiting.contains_key(&turn) {
            return Pass::Now;
        }
        Pass::NotBefore(next.unwrap_or(now))
    }

    /// Lets pass what has passed by now, whether or not those who wait for it look. Returns when the next piece passes.
    fn advance(&mut self, now: Instant) -> Option<Instant> {
        while let Some((turn, piece)) = self.waiting.first_key_value() {
            let turn = *turn;
            if let Some(rate) = self.rate {
                let begins = self.busy_since.unwrap_or(now);
                let begins = begins.checked_sub(LIMIT_BURST).unwrap_or(begins);
                let passes = self.free_at.map_or(begins, |free| free.max(begins)) + taken(piece.bytes, rate);
                if passes > now {
                    return Some(passes);
                }
                self.free_at = Some(passes);
            }
            self.take(turn);
            self.passed.insert(turn);
            self.at = turn.begins;
            // A queue that is not behind the others begins where they are.
            self.ends.retain(|_, ends| *ends > turn.begins);
        }
        None
    }

    fn take(&mut self, turn: Turn) -> Option<Piece<U>> {
        let piece = self.waiting.remove(&turn);
        if self.waiting.is_empty() {
            self.busy_since = None;
        }
        piece
    }

    /// No one waits for a piece any more. Returns whether it had not passed.
    pub(super) fn leaves(&mut self, turn: Turn) -> bool {
        self.passed.remove(&turn);
        let Some(Piece { user, bytes }) = self.take(turn) else { return false };
        // Its user is as far as if it had never come, unless it has come with more since.
        if self.ends.get(&user) == Some(&turn.begins.saturating_add(bytes)) {
            self.ends.insert(user, turn.begins);
        }
        true
    }

    /// Pieces of which the line knows.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.waiting.len() + self.passed.len()
    }
}

/// How long a line of this rate is busy with so many bytes.
fn taken(bytes: u64, rate: NonZeroU64) -> Duration {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
