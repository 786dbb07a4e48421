//! Whose chunk a source sends next, if its uplink cannot carry all of them. Pure: the time is given.
//!
//! Of the receivers of one game, the one that is furthest leads: most others are fed through it. One that is behind it was
//! cut off because it is slow, fetches a gap, or came late. What it takes of the uplink, all that follow the leader pay for.
//!
//! - The leader never waits.
//! - A receiver behind it sends as it likes while the leader needs nothing, or is not slower for it: then the uplink has room.
//! - Otherwise those behind it are sent one chunk after so many for the leader. That is little, and never nothing: a leader that
//!   takes long for them is not waited for.
//! - The first chunks of each receiver wait for nothing: a gap is small, and a relay waits while it is filled.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_proto::packed::PackedGame;
use lanspread_types::limits;
use tokio::time::Instant;

/// Which receivers of packed streams are fed, and how far they are.
#[derive(Debug, Default)]
pub(crate) struct UplinkOrder {
    fed: BTreeMap<FedId, Fed>,
    ids: u64,
    /// Chunks that leaders were sent since the last one for a receiver behind.
    spared: u32,
    /// Until when that may take.
    spares_until: Option<Instant>,
}

/// One receiver that is fed, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FedId(u64);

/// When a receiver may be sent its next chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UplinkTurn {
    Now,
    /// At this time, if nothing changes before.
    At(Instant),
}

#[derive(Debug)]
struct Fed {
    packed: PackedGame,
    /// The chunk that it is sent or waits for.
    at: u64,
    /// Chunks that were sent.
    sent: u64,
    /// Chunks that are being read and sent.
    on_the_way: u32,
    waits_since: Option<Instant>,
    pace: Pace,
}

/// How long a chunk takes to be sent, with and without chunks for receivers behind beside it.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    alone: Option<Duration>,
    beside: Option<Duration>,
    beside_in_a_row: u32,
    /// Since when a chunk for one behind is on the way, and for how long some were since the last chunk.
    shares_since: Option<Instant>,
    shared: Duration,
}

impl UplinkOrder {
    /// A receiver is fed from a chunk on.
    pub(crate) fn begins(&mut self, packed: PackedGame, at: u64) -> FedId {
        self.ids += 1;
        let id = FedId(self.ids);
        let fed = Fed { packed, at, sent: 0, on_the_way: 0, waits_since: None, pace: Pace::default() };
        self.fed.insert(id, fed);
        id
    }

    /// A receiver is no longer fed.
    pub(crate) fn ends(&mut self, id: FedId, now: Instant) {
        self.fed.remove(&id);
        self.note_sharing(now);
    }

    /// Whether a receiver may be sent a chunk that it wants now. If it may, the chunk is on its way.
    pub(crate) fn turn(&mut self, id: FedId, chunk: u64, now: Instant) -> UplinkTurn {
        let Some(fed) = self.fed.get_mut(&id) else { return UplinkTurn::Now };
        fed.at = chunk;
        fed.waits_since.get_or_insert(now);
        let is_free = fed.sent + u64::from(fed.on_the_way) < limits::UPLINK_FIRST_CHUNKS;
        let waits_until = fed.waits_since.unwrap_or(now) + limits::UPLINK_WAIT_MAX;
        if !is_free && waits_until > now && self.holds_up(id) {
            let turn = self.spare_turn(id, waits_until, now);
            if turn != UplinkTurn::Now {
                return turn;
            }
        }
        if let Some(fed) = self.fed.get_mut(&id) {
            fed.waits_since = None;
            fed.on_the_way += 1;
        }
        self.note_sharing(now);
        UplinkTurn::Now
    }

    /// The turn of a receiver behind others that are slower for it: one chunk at a time, and the one that waits longest.
    fn spare_turn(&self, id: FedId, waits_until: Instant, now: Instant) -> UplinkTurn {
        let behind = self.fed.iter().filter(|(other, _)| self.holds_up(**other));
        let mut behind: Vec<(FedId, &Fed)> = behind.map(|(other, fed)| (*other, fed)).collect();
        if behind.iter().any(|(_, fed)| fed.on_the_way > 0) {
            return UplinkTurn::At(waits_until);
        }
        behind.retain(|(_, fed)| fed.waits_since.is_some());
        let longest = behind.iter().min_by_key(|(other, fed)| (fed.waits_since, *other));
        let spares_until = self.spares_until.filter(|_| self.spared < limits::UPLINK_SPARES);
        match spares_until.filter(|until| *until > now) {
            Some(until) => UplinkTurn::At(until.min(waits_until)),
            None if longest.is_none_or(|(longest, _)| *longest == id) => UplinkTurn::Now,
            None => UplinkTurn::At(waits_until),
        }
    }

    /// A chunk was sent to a receiver; sending took so long.
    pub(crate) fn sent(&mut self, id: FedId, taken: Duration, now: Instant) {
        if self.fed.keys().any(|other| self.is_before(*other, id)) {
            self.spared = 0;
            self.spares_until = Some(now + taken * limits::UPLINK_SPARES * 2);
        } else {
            self.spared = self.spared.saturating_add(1);
        }
        let Some(fed) = self.fed.get_mut(&id) else { return };
        fed.pace.took(taken, now);
        fed.sent += 1;
        fed.on_the_way = fed.on_the_way.saturating_sub(1);
        self.note_sharing(now);
    }

    /// Notes which receivers share the uplink with one behind them from now on.
    fn note_sharing(&mut self, now: Instant) {
        let sent: Vec<FedId> =
            self.fed.iter().filter(|(_, fed)| fed.on_the_way > 0).map(|(id, _)| *id).collect();
        let shares = |id| sent.iter().any(|behind| self.is_before(id, *behind));
        let sharing: Vec<(FedId, bool)> = self.fed.keys().map(|id| (*id, shares(*id))).collect();
        for (id, shares) in sharing {
            if let Some(fed) = self.fed.get_mut(&id) {
                fed.pace.shares(shares, now);
            }
        }
    }

    /// Whether a receiver is further than another one of its game. Of two that are equally far, the first one is.
    fn is_before(&self, id: FedId, other: FedId) -> bool {
        let (Some(this), Some(behind)) = (self.fed.get(&id), self.fed.get(&other)) else { return false };
        let is_further = this.at > behind.at || (this.at == behind.at && id < other);
        this.packed == behind.packed && is_further
    }

    /// Whether one that is further is slower if this one is sent something beside it, as far as is known.
    fn holds_up(&self, id: FedId) -> bool {
        let mut others =
            self.fed.iter().filter(|(_, fed)| fed.is_busy() && fed.pace.is_slower_beside_others());
        others.any(|(other, _)| self.is_before(*other, id))
    }
}

impl Fed {
    fn is_busy(&self) -> bool {
        self.on_the_way > 0 || self.waits_since.is_some()
    }
}

impl Pace {
    fn shares(&mut self, shares: bool, now: Instant) {
        if let Some(since) = self.shares_since.take() {
            self.shared += now.saturating_duration_since(since);
        }
        self.shares_since = shares.then_some(now);
    }

    fn took(&mut self, taken: Duration, now: Instant) {
        self.shares(self.shares_since.is_some(), now);
        let shared = std::mem::take(&mut self.shared);
        // A chunk that was sent partly beside others says little.
        let usual = if shared <= taken / 8 {
            self.beside_in_a_row = 0;
            &mut self.alone
        } else if shared >= taken / 2 {
            self.beside_in_a_row += 1;
            &mut self.beside
        } else {
            return;
        };
        *usual = Some(usual.map_or(taken, |usual| (usual * 7 + taken) / 8));
    }

    /// As long as it is not known, and now and then when that was long ago, it counts as slower.
    fn is_slower_beside_others(&self) -> bool {
        let (Some(alone), Some(beside)) = (self.alone, self.beside) else { return true };
        self.beside_in_a_row >= ALONE_AGAIN_AFTER || beside > alone + alone / 4
    }
}

/// After so many chunks beside others, a leader is sent one alone: what that takes may have changed.
const ALONE_AGAIN_AFTER: u32 = 32;

#[cfg(test)]
mod tests;
