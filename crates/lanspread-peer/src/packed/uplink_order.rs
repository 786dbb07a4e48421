//! Whose chunk a source sends next, if its uplink cannot carry all of them. Pure: the time is given.
//!
//! Of the receivers of one game, the one that is furthest leads: most others are fed through it. One of its wave that is behind
//! it was cut off because it is slow, or fetches a gap. One of another wave came late. What they take of the uplink, all that
//! follow the leader pay for. Waves that began together, one of them at another source, are sent what they like.
//!
//! - The leader never waits.
//! - A receiver behind it is sent what it likes while the leader needs nothing, or is not slower for it: then the uplink has
//!   room.
//! - Otherwise those behind it are sent one chunk after so many for the leader. That is little, and never nothing: a leader that
//!   takes long for them is not waited for.
//! - Those of another wave are sent still less, only enough to notice when there is room: until the leader has everything, they
//!   end no sooner for what they get.
//! - The first chunks of each receiver wait for nothing: a gap is small, and a relay waits while it is filled. Those of another
//!   wave wait as soon as they are known to slow the leader down.

use std::cmp::Reverse;
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
    /// Of receivers in the wave of the leader, and of those in others.
    behind: Spares,
    late: Spares,
}

/// When the uplink was last spared for receivers that a leader goes before.
#[derive(Debug, Default)]
struct Spares {
    /// Chunks that leaders were sent since the last one for such a receiver.
    sent: u32,
    /// Until when that may take.
    until: Option<Instant>,
}

/// Why a leader goes before a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Both are of one wave.
    Behind,
    /// They are not.
    Late,
}

/// The wave of a receiver that is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FedWave {
    pub(crate) id: u64,
    /// Whether this source places its receivers.
    pub(crate) is_ours: bool,
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
    wave: FedWave,
    /// When this source began to feed the wave, if that was with its first chunks.
    wave_began: Option<Instant>,
    /// The chunk that it is sent or waits for.
    at: u64,
    /// Chunks that were sent.
    sent: u64,
    /// Chunks that are being read and sent.
    on_the_way: u32,
    waits_since: Option<Instant>,
    /// As of its last turn: none if no leader went before it.
    rank: Option<Rank>,
    pace: Pace,
}

/// How long a chunk takes to be sent, with and without chunks for receivers behind beside it.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    alone: Usual,
    beside: Usual,
    beside_at: Option<Instant>,
    beside_in_a_row: u32,
    /// Since when a chunk for one behind is on the way, and for how long some were since the last chunk.
    shares_since: Option<Instant>,
    shared: Duration,
}

/// What a chunk usually takes.
#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    taken: Duration,
    chunks: u32,
}

/// What chunks for receivers behind it do to a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BesideOthers {
    AsFast,
    Slower,
    /// Not known, or no longer.
    Unknown,
}

impl UplinkOrder {
    /// A receiver of a wave is fed from a chunk on.
    pub(crate) fn begins(&mut self, packed: PackedGame, wave: FedWave, at: u64, now: Instant) -> FedId {
        self.ids += 1;
        let id = FedId(self.ids);
        let known = self.fed.values().find(|fed| fed.packed == packed && fed.wave == wave);
        let begins_here = (at < limits::UPLINK_FIRST_CHUNKS).then_some(now);
        let wave_began = known.map_or(begins_here, |fed| fed.wave_began);
        let fed = Fed {
            packed,
            wave,
            wave_began,
            at,
            sent: 0,
            on_the_way: 0,
            waits_since: None,
            rank: None,
            pace: Pace::default(),
        };
        self.fed.insert(id, fed);
        id
    }

    /// Whether another wave of a game may begin: it is not known that this would slow down those that are sent the game.
    pub(crate) fn may_have_room(&self, packed: &PackedGame, now: Instant) -> bool {
        let mut fed = self.fed.values().filter(|fed| fed.packed == *packed);
        fed.all(|fed| fed.pace.beside_others(now) != BesideOthers::Slower)
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
        let is_first = fed.sent + u64::from(fed.on_the_way) < limits::UPLINK_FIRST_CHUNKS;
        let waits_until = fed.waits_since.unwrap_or(now) + limits::UPLINK_WAIT_MAX;
        let held_up = self.held_up(id, now);
        if let Some((rank, by)) = held_up.filter(|_| waits_until > now)
            && !(is_first && (rank == Rank::Behind || by == BesideOthers::Unknown))
        {
            let turn = self.spare_turn(id, rank, waits_until, now);
            if turn != UplinkTurn::Now {
                return turn;
            }
        }
        let idle_leader = || self.leader(id, |_| true).map(|leader| self.rank(id, leader));
        let rank = held_up.map(|(rank, _)| rank).or_else(idle_leader);
        if let Some(fed) = self.fed.get_mut(&id) {
            fed.rank = rank;
            fed.waits_since = None;
            fed.on_the_way += 1;
        }
        self.note_sharing(now);
        UplinkTurn::Now
    }

    /// The turn of a receiver that slows a leader down: of those of its rank one chunk at a time, and the one that waits longest.
    fn spare_turn(&self, id: FedId, rank: Rank, waits_until: Instant, now: Instant) -> UplinkTurn {
        let is_alike =
            |other: &FedId| self.held_up(*other, now).is_some_and(|(their_rank, _)| their_rank == rank);
        let alike = self.fed.iter().filter(|(other, _)| is_alike(other));
        let mut alike: Vec<(FedId, &Fed)> = alike.map(|(other, fed)| (*other, fed)).collect();
        if alike.iter().any(|(_, fed)| fed.on_the_way > 0) {
            return UplinkTurn::At(waits_until);
        }
        alike.retain(|(_, fed)| fed.waits_since.is_some());
        let longest = alike.iter().min_by_key(|(other, fed)| (fed.waits_since, *other));
        let (spares, after) = match rank {
            Rank::Behind => (&self.behind, limits::UPLINK_SPARES),
            Rank::Late => (&self.late, limits::UPLINK_LATE_SPARES),
        };
        match spares.until.filter(|until| spares.sent < after && *until > now) {
            Some(until) => UplinkTurn::At(until.min(waits_until)),
            None if longest.is_none_or(|(longest, _)| *longest == id) => UplinkTurn::Now,
            None => UplinkTurn::At(waits_until),
        }
    }

    /// A chunk was sent to a receiver; sending took so long.
    pub(crate) fn sent(&mut self, id: FedId, taken: Duration, now: Instant) {
        let Some(fed) = self.fed.get_mut(&id) else { return };
        match fed.rank {
            Some(Rank::Behind) => self.behind.begin(now + taken * limits::UPLINK_SPARES * 2),
            Some(Rank::Late) => {
                let usual = taken * limits::UPLINK_LATE_SPARES * 2;
                self.late.begin(now + usual.min(limits::UPLINK_LATE_WAIT_MAX));
            }
            None => {
                self.behind.sent = self.behind.sent.saturating_add(1);
                self.late.sent = self.late.sent.saturating_add(1);
            }
        }
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

    /// Whether a receiver goes before another one of its game: it is further, and their waves did not begin together. Of two that
    /// are equally far, the first one is further.
    fn is_before(&self, id: FedId, other: FedId) -> bool {
        let (Some(this), Some(behind)) = (self.fed.get(&id), self.fed.get(&other)) else { return false };
        let is_further = this.at > behind.at || (this.at == behind.at && id < other);
        this.packed == behind.packed && is_further && !this.began_with(behind)
    }

    /// The furthest of those that are further than a receiver and for which something holds.
    fn leader(&self, id: FedId, holds: impl Fn(&Fed) -> bool) -> Option<FedId> {
        let before = self.fed.iter().filter(|(other, fed)| self.is_before(**other, id) && holds(fed));
        before.max_by_key(|(other, fed)| (fed.at, Reverse(**other))).map(|(leader, _)| *leader)
    }

    fn rank(&self, id: FedId, leader: FedId) -> Rank {
        let wave = |id| self.fed.get(&id).map(|fed| fed.wave);
        if wave(id) == wave(leader) { Rank::Behind } else { Rank::Late }
    }

    /// Whether a receiver waits for the furthest one that is slower, as far as is known, if this one is sent something beside
    /// it. Says how much is known.
    fn held_up(&self, id: FedId, now: Instant) -> Option<(Rank, BesideOthers)> {
        let is_slower = |fed: &Fed| fed.is_busy() && fed.pace.beside_others(now) != BesideOthers::AsFast;
        let leader = self.leader(id, is_slower)?;
        Some((self.rank(id, leader), self.fed.get(&leader)?.pace.beside_others(now)))
    }
}

impl Spares {
    fn begin(&mut self, until: Instant) {
        *self = Self { sent: 0, until: Some(until) };
    }
}

impl Fed {
    /// Whether the waves of two receivers began at the same time, one of them at another source: neither came late. Of waves of
    /// one source, the second one did.
    fn began_with(&self, other: &Self) -> bool {
        let Some((this, other_began)) = self.wave_began.zip(other.wave_began) else { return false };
        let apart = this.max(other_began) - this.min(other_began);
        let is_of_one_source = self.wave.is_ours && other.wave.is_ours;
        self.wave != other.wave && !is_of_one_source && apart <= BEGAN_TOGETHER
    }

    fn is_busy(&self) -> bool {
        self.on_the_way > 0 || self.waits_since.is_some()
    }
}

impl Usual {
    fn took(&mut self, taken: Duration) {
        self.chunks = (self.chunks + 1).min(USUAL_CHUNKS);
        self.taken = (self.taken * (self.chunks - 1) + taken) / self.chunks;
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
        if shared <= taken / 8 {
            self.beside_in_a_row = 0;
            self.alone.took(taken);
        } else if shared >= taken / 2 {
            self.beside_in_a_row += 1;
            self.beside_at = Some(now);
            self.beside.took(taken);
        }
    }

    /// Now and then it is not known any more: it may have changed.
    fn beside_others(&self, now: Instant) -> BesideOthers {
        let Self { alone, beside, .. } = self;
        let is_known = alone.chunks > 0 && beside.chunks >= BESIDE_CHUNKS_MIN;
        if !is_known || self.beside_in_a_row >= ALONE_AGAIN_AFTER {
            return BesideOthers::Unknown;
        }
        if beside.taken <= alone.taken + alone.taken / 4 {
            return BesideOthers::AsFast;
        }
        let is_old = self.beside_at.is_none_or(|at| now.saturating_duration_since(at) > limits::UPLINK_SPAN);
        if is_old { BesideOthers::Unknown } else { BesideOthers::Slower }
    }
}

/// Receivers of one room that are started together find their sources within this time.
const BEGAN_TOGETHER: Duration = Duration::from_secs(5);
/// Of so many chunks is known what they usually take.
const USUAL_CHUNKS: u32 = 8;
/// So many chunks beside others say something: one may have been slow for another reason.
const BESIDE_CHUNKS_MIN: u32 = 3;
/// After so many chunks beside others, a leader is sent one alone: what that takes may have changed.
const ALONE_AGAIN_AFTER: u32 = 32;

#[cfg(test)]
mod tests;
