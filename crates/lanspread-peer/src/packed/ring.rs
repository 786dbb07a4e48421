//! What a window holds and for how long: the chunks that the decoder still needs, and those that a follower has not taken.
//! Pure: the time is given.
//!
//! A chunk leaves only when a newer one needs its room, so a follower that comes late or takes over finds as much as
//! possible. How far may be asked ([`Ring::horizon`]) follows from what must stay, so nothing that must stay is ever in the
//! way of something that was asked for.

use std::collections::VecDeque;

use bytes::Bytes;
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use std::time::Duration;
use tokio::time::Instant;

use self::patience::{Hold, Patience};

mod patience;

/// The chunks that are here, and who still needs them.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Chunks that there is room for.
    capacity: u64,
    /// Chunks of the whole stream.
    total: u64,
    /// The first chunk that may be here.
    lo: u64,
    /// From `lo` on.
    held: VecDeque<Option<Bytes>>,
    /// All chunks before this one are here or were.
    hi: u64,
    /// All chunks before this one were asked for, and may still come.
    asked: u64,
    /// The decoder needs no chunk before this one.
    used: u64,
    /// Whether chunks arrive faster than this machine takes them from the network.
    is_behind: bool,
    follower: Follower,
    /// The number of the last session of a follower.
    sessions: u64,
    pin: Option<Pin>,
    /// For all followers together, whatever they do: each new one has a patience of its own, and anyone can be a new one.
    patience: Patience,
    /// Until then, others may still join the wave of this receiver.
    gathers_until: Option<Instant>,
    /// Whether this is the window of the head of a wave.
    leads: bool,
}

/// The follower of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follower {
    Absent,
    Following(Following),
    /// It ended without saying that it has everything. Another one may take over.
    Vanished {
        taken: u64,
        until: Instant,
    },
    /// It has everything.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Following {
    session: Session,
    peer: PeerId,
    /// It has the chunks before this one.
    taken: u64,
    /// It has asked for the chunks before this one.
    wanted: u64,
    progressed_at: Instant,
    patience: Patience,
}

/// A follower asked for something older, and fetches what is between elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pin {
    lo: u64,
    until: Instant,
}

/// One follower's time at a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session(u64);

/// A window has another follower, which takes what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HasFollower;

/// What is known of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeldChunk {
    Here(Bytes),
    NotYet,
    /// It was here; the oldest one that is has this number.
    Gone(u64),
}

impl Ring {
    /// An empty ring with room for `capacity` of `total` chunks.
    pub(crate) fn new(capacity: u64, total: u64) -> Self {
        Self {
            capacity: capacity.max(1),
            total,
            lo: 0,
            held: VecDeque::new(),
            hi: 0,
            asked: 0,
            used: 0,
            is_behind: false,
            follower: Follower::Absent,
            sessions: 0,
            pin: None,
            patience: Patience::of(limits::FOLLOWERS_PATIENCE),
            gathers_until: None,
            leads: false,
        }
    }

    /// Asks for no more than stays here until then, so that receivers that come later find all of it.
    pub(crate) fn gather(&mut self, until: Instant) {
        self.gathers_until = Some(until);
    }

    /// This is the window of the head of a wave: what feeds it may be faster than every link of the wave.
    pub(crate) fn lead(&mut self) {
        self.leads = true;
    }

    /// The oldest chunk that stays at least until a follower that begins now has taken it.
    pub(crate) fn lo(&self) -> u64 {
        // What was asked for will need room.
        self.lo.max(self.asked.saturating_sub(self.capacity))
    }

    /// All chunks before this one are here or were.
    pub(crate) fn hi(&self) -> u64 {
        self.hi
    }

    /// Chunks of the whole stream.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The decoder needs no chunk before this one.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// How many chunks are here.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.iter().flatten().count()
    }

    /// Whether everything is here or was.
    pub(crate) fn is_complete(&self) -> bool {
        self.hi == self.total
    }

    /// Whether the decoder needs nothing more.
    pub(crate) fn is_used(&self) -> bool {
        self.used == self.total
    }

    /// Whether this machine is what holds its follower up: nothing can be asked because its decoder needs what is here, or
    /// what the follower waits for has arrived and it has not taken it.
    pub(crate) fn is_slow(&self) -> bool {
        let is_full = self.asked >= self.used + self.capacity;
        self.asked < self.total && (is_full || self.is_behind && self.lacks_what_is_wanted())
    }

    /// Whether a follower has got what is here. If not, its link is what is slow.
    fn lacks_what_is_wanted(&self) -> bool {
        match &self.follower {
            Follower::Following(following) => following.wanted > self.hi,
            _ => true,
        }
    }

    /// Notes whether chunks arrive faster than this machine takes them from the network.
    pub(crate) fn note_backlog(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
    }

    pub(crate) fn get(&self, chunk: u64) -> HeldChunk {
        let Some(place) = chunk.checked_sub(self.lo) else { return HeldChunk::Gone(self.lo()) };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        match self.held.get(place) {
            Some(Some(bytes)) => HeldChunk::Here(bytes.clone()),
            _ => HeldChunk::NotYet,
        }
    }

    /// Chunks before this one may be asked for: there is room for them, or there will be.
    pub(crate) fn horizon(&mut self, now: Instant) -> u64 {
        let room = self.room(now);
        match self.gathers_until {
            Some(until) if until > now => room.min(Self::gathered(self.capacity)),
            _ => room,
        }
    }

    /// A wave is joined as long as its head has asked for no more than these chunks of a window.
    fn gathered(capacity: u64) -> u64 {
        capacity.saturating_sub(limits::PACKED_ASKED_MAX as u64) + 1
    }

    fn room(&mut self, now: Instant) -> u64 {
        let of_decoder = (self.used.max(self.lo) + self.capacity).min(self.total);
        let (of_followers, hold) = self.room_beside_followers(now);
        let hold = if self.is_short_of(of_followers, of_decoder) { hold } else { Hold::None };
        self.patience.count(hold, now);
        if self.patience.is_spent(now) { of_decoder } else { of_followers }
    }

    /// Whether only what others may want keeps this window from going on.
    fn is_short_of(&self, room: u64, without: u64) -> bool {
        room < without && self.asked >= room && self.asked < self.total
    }

    /// The room beside what followers may want, and how they hold this window up if that is short.
    fn room_beside_followers(&mut self, now: Instant) -> (u64, Hold) {
        let mut stays = self.used;
        if let Some(pin) = self.pin.filter(|pin| pin.until > now) {
            stays = stays.min(pin.lo);
        }
        if let Follower::Vanished { taken, until } = self.follower
            && until > now
        {
            stays = stays.min(taken);
        }
        let without = stays.max(self.lo) + self.capacity;
        let Follower::Following(following) = self.follower else {
            return (without.min(self.total), Hold::Idle);
        };
        let with = following.taken.min(stays).max(self.lo) + self.capacity;
        let is_sent = following.wanted > following.taken;
        let hold = if !self.is_short_of(with, without) {
            Hold::None
        } else if !(self.leads && is_sent) {
            Hold::Idle
        } else if self.hi >= with {
            Hold::Busy
        } else {
            // What was asked is on its way meanwhile.
            Hold::None
        };
        if let Follower::Following(following) = &mut self.follower {
            following.patience.count(hold, now);
        }
        let waits_no_longer = following.patience.is_spent(now);
        let is_held_by_it = with < without && !waits_no_longer;
        let room = if is_held_by_it { with } else { without };
        (room.min(self.total), if is_held_by_it { hold } else { Hold::Idle })
    }

    /// When [`Self::horizon`] may move although nothing else happens.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        let pin = self.pin.map(|pin| pin.until);
        let follower = match self.follower {
            Follower::Vanished { until, .. } => Some(until),
            Follower::Following(following) => following.patience.ends_at(),
            Follower::Absent | Follower::Done => None,
        };
        let all = self.patience.ends_at();
        [pin, follower, all, self.gathers_until].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Counts a chunk below the horizon as asked for.
    pub(crate) fn ask(&mut self, chunk: u64) {
        self.asked = self.asked.max(chunk + 1);
    }

    /// Whether a chunk is wanted: it was not here yet.
    pub(crate) fn wants(&self, chunk: u64) -> bool {
        chunk < self.total
            && chunk >= self.lo
            && matches!(self.get(chunk), HeldChunk::NotYet)
            && chunk >= self.hi
    }

    /// Takes a chunk that was asked for. Returns whether it is new.
    pub(crate) fn push(&mut self, chunk: u64, bytes: Bytes) -> bool {
        if !self.wants(chunk) {
            return false;
        }
        self.ask(chunk);
        // Only what is no longer needed is in the way: the chunk was below the horizon when it was asked for.
        while chunk >= self.lo + self.capacity {
            self.held.pop_front();
            self.lo += 1;
        }
        let place = usize::try_from(chunk - self.lo).unwrap_or(usize::MAX);
        if self.held.len() <= place {
            self.held.resize(place + 1, None);
        }
        self.held[place] = Some(bytes);
        self.hi = self.hi.max(self.lo);
        while matches!(self.get(self.hi), HeldChunk::Here(_)) {
            self.hi += 1;
        }
        true
    }

    /// The decoder needs no chunk before this one any more.
    pub(crate) fn use_up_to(&mut self, chunk: u64) {
        self.used = self.used.max(chunk.min(self.total));
    }

    /// Begins to feed a follower that wants the chunks from `at` on.
    pub(crate) fn begin(
        &mut self,
        peer: PeerId,
        at: u64,
        instead_of: Option<PeerId>,
        now: Instant,
    ) -> Result<Session, HasFollower> {
        if let Follower::Following(current) = &self.follower {
            let idles = now.saturating_duration_since(current.progressed_at);
            // One that says it has more than this window needs nothing from it now.
            let is_stuck = current.taken != self.hi && idles >= limits::FOLLOWER_STUCK;
            if current.peer != peer && instead_of != Some(current.peer) && !is_stuck {
                return Err(HasFollower);
            }
        }
        self.sessions += 1;
        let session = Session(self.sessions);
        let taken = at.min(self.total).max(self.lo());
        self.follower = Follower::Following(Following {
            session,
            peer,
            taken,
            wanted: taken,
            progressed_at: now,
            patience: Patience::of(limits::FOLLOWER_PATIENCE),
        });
        Ok(session)
    }

    /// Whether a session still is the one that is fed.
    pub(crate) fn is_current(&self, session: Session) -> bool {
        matches!(&self.follower, Follower::Following(following) if following.session == session)
    }

    /// A follower asks for a chunk.
    pub(crate) fn wanted(&mut self, session: Session, chunk: u64) {
        if let Follower::Following(following) = &mut self.follower
            && following.session == session
        {
            following.wanted = following.wanted.max(chunk + 1);
        }
    }

    /// A follower has got a chunk.
    pub(crate) fn took(&mut self, session: Session, chunk: u64, now: Instant) {
        if let Follower::Following(following) = &mut self.follower
            && following.session == session
        {
            following.patience.count(Hold::None, now);
            following.taken = following.taken.max(chunk + 1);
            following.progressed_at = now;
        }
    }

    /// A follower asked for a chunk that is gone. What is here stays until it comes back: for as long as it takes to fetch
    /// what is between at the pace of this stream, and a little.
    pub(crate) fn pin(&mut self, session: Session, missing: Duration, now: Instant) {
        if self.is_current(session) {
            self.pin = Some(Pin { lo: self.lo(), until: now + missing });
        }
    }

    /// A follower ended: it has everything, or another one may take over.
    pub(crate) fn end(&mut self, session: Session, has_everything: bool, now: Instant) {
        if let Follower::Following(following) = self.follower
            && following.session == session
        {
            self.follower = if has_everything {
                Follower::Done
            } else {
                Follower::Vanished { taken: following.taken, until: now + limits::TAKEOVER_WAIT }
            };
        }
    }

    /// Whether a follower may still want something that is here.
    pub(crate) fn is_needed(&self, now: Instant) -> bool {
        match self.follower {
            Follower::Following(_) => true,
            Follower::Vanished { until, .. } => until > now,
            Follower::Absent | Follower::Done => false,
        }
    }

    /// For how long this window has waited for its follower.
    pub(crate) fn held_up(&self, now: Instant) -> Duration {
        match &self.follower {
            Follower::Following(following) => following.patience.held_up(now),
            _ => Duration::ZERO,
        }
    }

    /// The follower of this window, and the first chunk that it does not have yet.
    pub(crate) fn feeds(&self) -> Option<(PeerId, u64)> {
        match self.follower {
            Follower::Following(following) => Some((following.peer, following.taken)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
