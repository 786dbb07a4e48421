//! Which upstream a receiver uses, and which chunk it asks from it. Pure: events in, decisions out; the time is given.
//!
//! - Relays come before sources, and peers before HTTP servers. A receiver uses one relay at a time, and several sources at
//!   once if it has no relay.
//! - An upstream that fails is left at once, and what it owes is asked from the next one. One that is alive and has nothing
//!   waits as we do, and what is before it mends that. If that takes long, a source is asked beside it; if the source has what
//!   the relay still lacks, the relay is left.
//! - A relay that has lost what is needed next keeps what it has while a source fills the gap.
//! - A relay whose own machine holds this one up is left for the relay before it.
//! - An upstream that has no place counts for nothing until it has one: it may say so for ever.
//! - A chunk that everything waits for is asked from a second upstream. Nothing is asked from a third one.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_types::limits;
use tokio::time::Instant;

pub(crate) use self::upstream::Tier;
use self::upstream::{Phase, Upstream};

mod upstream;

/// An upstream, by its place in the list of the receiver.
pub(crate) type UpstreamId = usize;

/// How an upstream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamEnding {
    /// The plan closed it.
    Asked,
    /// It may be tried again, after the time that it asked for.
    MayPass(Option<Duration>),
    /// It lives, and cannot feed this receiver. So it is no reason for the next relay to drop its follower.
    Occupied,
    /// It was alive and brought nothing for a long time: that counts as several failures.
    Stalled,
    /// It must not be tried again: it lied, or does not have the game.
    Final,
}

/// The plan of one packed stream.
#[derive(Debug, Clone)]
pub(crate) struct FeedPlan {
    upstreams: Vec<Upstream>,
    /// A relay that owes something and brings nothing for so long is doubted.
    doubts_after: Duration,
    /// Which upstreams owe a chunk: one, or two.
    owed: BTreeMap<u64, Vec<UpstreamId>>,
    /// The relay that was left last, which the next relay may still think its follower.
    left: Option<UpstreamId>,
    /// When the plan was last told the time, and for how long the decoder had waited then.
    ticked: Option<(Instant, Duration)>,
    /// Chunks that were asked twice.
    asked_twice: u64,
    /// Whether a chunk has come.
    has_begun: bool,
}

/// Where the receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedProgress {
    /// All chunks before it are here.
    pub(crate) next: u64,
    /// No chunk from it on may be asked.
    pub(crate) horizon: u64,
    /// For how long the decoder has waited for chunks in all.
    pub(crate) starved: Duration,
    pub(crate) now: Instant,
}

impl FeedPlan {
    /// A plan for upstreams, the preferred ones of each tier first, of the receiver at a position of its wave.
    pub(crate) fn new(tiers: impl IntoIterator<Item = Tier>, position: u32, now: Instant) -> Self {
        Self {
            upstreams: tiers.into_iter().map(|tier| Upstream::new(tier, now)).collect(),
            doubts_after: doubts_after(position),
            owed: BTreeMap::new(),
            left: None,
            ticked: None,
            asked_twice: 0,
            has_begun: false,
        }
    }

    /// A further upstream, after all that are known.
    pub(crate) fn add(&mut self, tier: Tier, now: Instant) {
        self.upstreams.push(Upstream::new(tier, now));
    }

    /// The next upstream to open, and the relay that it may still have for its follower.
    pub(crate) fn open_next(&mut self, progress: FeedProgress) -> Option<(UpstreamId, Option<UpstreamId>)> {
        let id = self.wanted(progress)?;
        self.upstreams[id].phase = Phase::Opening;
        self.upstreams[id].progressed_at = progress.now;
        let instead_of = (self.upstreams[id].tier == Tier::Relay).then_some(self.left).flatten();
        Some((id, instead_of))
    }

    fn wanted(&self, progress: FeedProgress) -> Option<UpstreamId> {
        let resting = |tier| self.of(tier).find(|id| self.upstreams[*id].phase == Phase::Resting);
        let in_use = |tier| self.of(tier).filter(|id| self.upstreams[*id].is_in_use()).count();
        if in_use(Tier::Relay) == 0
            && let Some(relay) = resting(Tier::Relay)
        {
            return Some(relay);
        }
        let relay = self.of(Tier::Relay).find(|id| self.upstreams[*id].is_in_use());
        let most = match relay {
            None => limits::PACKED_UPSTREAMS_MAX,
            // One source fills a gap, or is asked beside a relay that brings nothing.
            Some(relay) if self.upstreams[relay].lo > progress.next || self.doubts(relay, progress.now) => 1,
            Some(_) => return None,
        };
        for tier in [Tier::Source, Tier::Http] {
            if in_use(tier) < most
                && let Some(next) = resting(tier)
            {
                return Some(next);
            }
            if in_use(tier) > 0 {
                return None;
            }
        }
        None
    }

    fn of(&self, tier: Tier) -> impl Iterator<Item = UpstreamId> + '_ {
        (0..self.upstreams.len()).filter(move |id| self.upstreams[*id].tier == tier)
    }

    /// One open upstream that is no longer needed; it is asked to end.
    pub(crate) fn close_next(&mut self, progress: FeedProgress) -> Option<UpstreamId> {
        let relay = self.open_ids().find(|id| self.upstreams[*id].tier == Tier::Relay)?;
        if self.upstreams[relay].lo > progress.next || self.doubts(relay, progress.now) {
            return None;
        }
        let done = self.open_ids().find(|id| {
            let upstream = &self.upstreams[*id];
            upstream.tier > Tier::Relay && upstream.asked.is_empty()
        })?;
        self.upstreams[done].phase = Phase::Closing;
        Some(done)
    }

    fn open_ids(&self) -> impl Iterator<Item = UpstreamId> + '_ {
        (0..self.upstreams.len()).filter(|id| self.upstreams[*id].phase == Phase::Open)
    }

    /// The next chunk to ask, and the upstream to ask it from. `is_missing` says whether a chunk is not here.
    pub(crate) fn ask_next(
        &mut self,
        progress: FeedProgress,
        is_missing: impl Fn(u64) -> bool,
    ) -> Option<(UpstreamId, u64)> {
        let mut free: Vec<UpstreamId> = self
            .open_ids()
            .filter(|id| self.upstreams[*id].asked.len() < self.upstreams[*id].ahead)
            .collect();
        free.sort_by_key(|id| {
            let upstream = &self.upstreams[*id];
            (upstream.tier, upstream.asked.len(), upstream.per_chunk, *id)
        });
        // What a doubted relay owes comes before what is needed later.
        let doubts = self.open_ids().any(|id| self.doubts(id, progress.now));
        if doubts && let Some(asked) = self.ask_twice(&free, progress) {
            return Some(asked);
        }
        for &id in &free {
            let (from, to) = self.range_of(id, progress);
            let next = (from..to).find(|chunk| !self.owed.contains_key(chunk) && is_missing(*chunk));
            if let Some(chunk) = next {
                self.ask(id, chunk, progress.now);
                return Some((id, chunk));
            }
        }
        self.ask_twice(&free, progress)
    }

    fn ask_twice(&mut self, free: &[UpstreamId], progress: FeedProgress) -> Option<(UpstreamId, u64)> {
        let (id, chunk) = self.rescue(free, progress)?;
        self.asked_twice += 1;
        self.ask(id, chunk, progress.now);
        Some((id, chunk))
    }

    /// Whether a relay is alive, and has brought nothing for a while.
    fn doubts(&self, id: UpstreamId, now: Instant) -> bool {
        let upstream = &self.upstreams[id];
        upstream.tier == Tier::Relay && upstream.idles(now) >= self.doubts_after
    }

    fn ask(&mut self, id: UpstreamId, chunk: u64, now: Instant) {
        let upstream = &mut self.upstreams[id];
        if upstream.asked.is_empty() {
            upstream.progressed_at = now;
        }
        upstream.asked.push_back((chunk, now));
        self.owed.entry(chunk).or_default().push(id);
    }

    /// The chunks that may be asked from an upstream.
    fn range_of(&self, id: UpstreamId, progress: FeedProgress) -> (u64, u64) {
        let upstream = &self.upstreams[id];
        let from = progress.next.max(upstream.lo);
        if upstream.tier == Tier::Relay {
            return (from, progress.horizon);
        }
        // What a relay has, it brings.
        let relay = self.open_ids().find(|id| self.upstreams[*id].tier == Tier::Relay);
        let relay = relay.filter(|relay| !self.doubts(*relay, progress.now));
        let to = relay.map_or(progress.horizon, |relay| self.upstreams[relay].lo.min(progress.horizon));
        let fastest =
            self.open_ids().filter(|other| *other != id && self.upstreams[*other].tier > Tier::Relay);
        let fastest = fastest.filter_map(|other| self.upstreams[other].per_chunk).min();
        let (Some(theirs), Some(fastest)) = (upstream.per_chunk, fastest) else { return (from, to) };
        if theirs < fastest * 2 {
            return (from, to);
        }
        // A slow one brings what the others would not reach before it does.
        let done_after = theirs.as_micros() * (upstream.asked.len() as u128 + 1);
        let ahead = done_after.div_ceil(fastest.as_micros().max(1));
        (from.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX)), to)
    }

    /// What everything waits for, if an upstream that has room would bring it sooner than the one that owes it.
    fn rescue(&self, free: &[UpstreamId], progress: FeedProgress) -> Option<(UpstreamId, u64)> {
        let chunk = *self.owed.range(progress.next..).next()?.0;
        let [by] = self.owed[&chunk][..] else { return None };
        if chunk != progress.next {
            return None;
        }
        let (_, since) = *self.upstreams[by].asked.iter().find(|(asked, _)| *asked == chunk)?;
        let waited = progress.now.saturating_duration_since(since);
        let other = *free.iter().find(|id| **id != by && self.upstreams[**id].lo <= chunk)?;
        if self.doubts(by, progress.now) {
            return Some((other, chunk));
        }
        let usual = self.upstreams[other].per_chunk?;
        let worth = usual * (2 + u32::try_from(self.upstreams[other].asked.len()).unwrap_or(u32::MAX));
        (waited > worth.max(RESCUE_MIN)).then_some((other, chunk))
    }

    /// An upstream that is opening has no place now.
    pub(crate) fn queued(&mut self, id: UpstreamId) {
        let upstream = &mut self.upstreams[id];
        if upstream.phase == Phase::Opening {
            upstream.phase = Phase::Queued;
        }
    }

    /// An upstream is open and has the chunks from `lo` on.
    pub(crate) fn opened(&mut self, id: UpstreamId, lo: u64, now: Instant) {
        let upstream = &mut self.upstreams[id];
        if matches!(upstream.phase, Phase::Opening | Phase::Queued) {
            upstream.phase = Phase::Open;
        }
        upstream.lo = lo;
        upstream.progressed_at = now;
    }

    /// A chunk came. Returns false if this upstream did not owe it next.
    pub(crate) fn brought(&mut self, id: UpstreamId, chunk: u64, now: Instant) -> bool {
        let upstream = &mut self.upstreams[id];
        let Some((first, asked_at)) = upstream.asked.front().copied() else { return false };
        if first != chunk {
            return false;
        }
        upstream.asked.pop_front();
        let took = now.saturating_duration_since(upstream.progressed_at.max(asked_at));
        upstream.per_chunk = Some(upstream.per_chunk.map_or(took, |usual| (usual * 3 + took) / 4));
        upstream.progressed_at = now;
        upstream.is_relieved = false;
        upstream.failures = 0;
        self.has_begun = true;
        let by = self.owed.get(&chunk).map_or(&[][..], |by| by);
        if let [first, _] = by[..]
            && first != id
        {
            // It had to be brought by another one.
            self.upstreams[first].ahead = 1;
            self.upstreams[first].is_relieved = true;
        } else if by.len() == 1 {
            let upstream = &mut self.upstreams[id];
            upstream.ahead = (upstream.ahead + 1).min(limits::PACKED_AHEAD);
        }
        self.forget(id, chunk);
        true
    }

    fn forget(&mut self, id: UpstreamId, chunk: u64) {
        if let Some(by) = self.owed.get_mut(&chunk) {
            by.retain(|owes| *owes != id);
            if by.is_empty() {
                self.owed.remove(&chunk);
            }
        }
    }

    fn forget_all(&mut self, id: UpstreamId) {
        for (chunk, _) in std::mem::take(&mut self.upstreams[id].asked) {
            self.forget(id, chunk);
        }
    }

    /// An upstream says how it is.
    pub(crate) fn alive(&mut self, id: UpstreamId, full: bool) {
        self.upstreams[id].full = full;
    }

    /// What was asked is no longer at a relay; it has the chunks from `lo` on. What it owed is asked again. Returns false
    /// if that cannot be true: a source has everything.
    pub(crate) fn gone(&mut self, id: UpstreamId, lo: u64, now: Instant) -> bool {
        let upstream = &mut self.upstreams[id];
        let asked = upstream.asked.front().map(|(chunk, _)| *chunk);
        if upstream.tier != Tier::Relay || asked.is_none_or(|asked| lo <= asked) {
            return false;
        }
        upstream.lo = lo;
        upstream.gaps += 1;
        upstream.progressed_at = now;
        self.forget_all(id);
        true
    }

    /// Whether a relay that lost something is still worth waiting for: the gap fits between here and the horizon.
    pub(crate) fn is_worth_filling(&self, id: UpstreamId, progress: FeedProgress) -> bool {
        let upstream = &self.upstreams[id];
        upstream.lo < progress.horizon && upstream.gaps <= GAPS_MAX
    }

    /// An upstream ended. What it owes is asked again.
    pub(crate) fn ended(&mut self, id: UpstreamId, ending: UpstreamEnding, now: Instant) {
        self.forget_all(id);
        let upstream = &mut self.upstreams[id];
        let asked = ending == UpstreamEnding::Asked || upstream.phase == Phase::Closing;
        upstream.full = false;
        upstream.slow_for = Duration::ZERO;
        upstream.is_relieved = false;
        if upstream.tier == Tier::Relay && ending != UpstreamEnding::Occupied {
            self.left = Some(id);
        }
        let upstream = &mut self.upstreams[id];
        upstream.failures += match ending {
            _ if asked => 0,
            UpstreamEnding::MayPass(_) | UpstreamEnding::Occupied => 1,
            UpstreamEnding::Stalled => STALL_FAILURES,
            UpstreamEnding::Asked | UpstreamEnding::Final => 0,
        };
        upstream.phase = match ending {
            UpstreamEnding::Final => Phase::Never,
            _ if asked && upstream.tier != Tier::Relay => Phase::Resting,
            _ if upstream.tier == Tier::Relay => Phase::Left,
            _ => {
                let doubled = 2_u32.pow(upstream.failures.clamp(1, RETRY_DOUBLINGS_MAX) - 1);
                let asked = if let UpstreamEnding::MayPass(asked) = ending { asked } else { None };
                Phase::Waiting(now + asked.unwrap_or_default().max(RETRY_INTERVAL * doubled))
            }
        };
    }

    /// Time passes. Returns an upstream that must be left now, and why; the caller ends it.
    pub(crate) fn tick(&mut self, progress: FeedProgress) -> Option<(UpstreamId, Left)> {
        let FeedProgress { now, starved, .. } = progress;
        let (then, starved_then) = self.ticked.replace((now, starved)).unwrap_or((now, starved));
        let passed = now.saturating_duration_since(then);
        let starved = starved.saturating_sub(starved_then).min(passed);
        let tries = self.tries();
        for upstream in &mut self.upstreams {
            if matches!(upstream.phase, Phase::Waiting(until) if until <= now) && upstream.failures < tries {
                upstream.phase = Phase::Resting;
            }
        }
        self.try_left_ones_again(now);
        for id in 0..self.upstreams.len() {
            let has_another = (0..self.upstreams.len()).any(|other| {
                other != id && matches!(self.upstreams[other].phase, Phase::Resting | Phase::Open)
            });
            let fills_gaps =
                self.upstreams.iter().any(|other| other.tier > Tier::Relay && other.may_help(tries));
            let upstream = &mut self.upstreams[id];
            if upstream.phase != Phase::Open {
                continue;
            }
            if upstream.lo > progress.next && !fills_gaps {
                return Some((id, Left::Stalled));
            }
            // More than a third of the time makes it grow: slower than two thirds of the pace is slow.
            let held_up =
                if upstream.tier == Tier::Relay && upstream.full { starved } else { Duration::ZERO };
            upstream.slow_for =
                (upstream.slow_for + held_up).saturating_sub(passed.saturating_sub(held_up) / 2);
            // What a relay lacks although a source has it does not come from there any more.
            let waits_as_we_do = upstream.tier > Tier::Relay || !upstream.is_relieved;
            let patience = if waits_as_we_do { limits::STREAM_STALL_DEADLINE } else { self.doubts_after * 2 };
            if upstream.idles(now) >= patience {
                return Some((id, Left::Stalled));
            }
            if has_another && upstream.slow_for >= limits::RELAY_SLOW_SPAN {
                return Some((id, Left::Slow));
            }
        }
        None
    }

    /// How often an upstream may fail in a row. Nothing is lost if a stream ends that has not begun.
    fn tries(&self) -> u32 {
        if self.has_begun { limits::UPSTREAM_TRIES } else { limits::UPSTREAM_TRIES_AT_FIRST }
    }

    /// Relays that were left are tried again if there is nothing else to try.
    fn try_left_ones_again(&mut self, now: Instant) {
        let tries = self.tries();
        if self.upstreams.iter().any(|upstream| upstream.may_help(tries)) {
            return;
        }
        let left = |upstream: &&mut Upstream| upstream.phase == Phase::Left && upstream.failures < tries;
        for upstream in self.upstreams.iter_mut().filter(left) {
            upstream.phase = Phase::Waiting(now + RETRY_INTERVAL);
        }
    }

    /// Whether no upstream can bring what is missing: each has failed too often, or must not be tried again. Pure.
    pub(crate) fn is_hopeless(&self) -> bool {
        let tries = self.tries();
        self.upstreams.iter().all(|upstream| match upstream.phase {
            Phase::Never => true,
            Phase::Waiting(_) | Phase::Left => upstream.failures >= tries,
            _ => false,
        })
    }

    /// Chunks that were asked a second time although the first upstream might still have brought them.
    #[cfg(test)]
    pub(crate) fn asked_twice(&self) -> u64 {
        self.asked_twice
    }

    /// The chunks that an upstream owes, in their order.
    #[cfg(test)]
    pub(crate) fn owes(&self, id: UpstreamId) -> Vec<u64> {
        self.upstreams[id].asked.iter().map(|(chunk, _)| *chunk).collect()
    }
}

/// How long a receiver believes a relay that is alive and brings nothing. The first one after a fault asks a source, and then
/// those after it have what they wait for: they ask later.
fn doubts_after(position: u32) -> Duration {
    limits::RELAY_DOUBT + (limits::RELAY_DOUBT_PER_PLACE * position).min(limits::RELAY_DOUBT * 4)
}

/// Why the plan leaves an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is alive and brings nothing.
    Stalled,
    /// Its own machine holds this receiver up.
    Slow,
}

/// A chunk is not asked a second time before this: an upstream may have to read its disk.
const RESCUE_MIN: Duration = Duration::from_millis(300);
/// A relay that lost what was needed this often does not keep up with its memory.
const GAPS_MAX: u32 = 3;
/// One that stalls twice in a row is not tried again: it would cost its receiver minutes each time.
const STALL_FAILURES: u32 = limits::UPSTREAM_TRIES / 2;
/// Wait before a failed source is tried again; doubled with each failure in a row.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
const RETRY_DOUBLINGS_MAX: u32 = 5;

#[cfg(test)]
mod tests;
