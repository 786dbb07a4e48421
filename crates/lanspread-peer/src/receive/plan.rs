//! Decides which source sends which chunk. Pure: it turns events into decisions, without socket, disk or clock.
//!
//! Rules:
//! - A chunk is assigned to at most one source at a time, and is fetched once unless its source's file changes. When a
//!   source ends, the chunks that it owes return to the pool, so one working source is enough to complete the download.
//! - The source that owes the fewest chunks gets the first waiting one. No source owes more than
//!   [`limits::CHUNKS_AHEAD`] chunks. Of small ones, which together are no longer than a whole one, it may owe more, so that
//!   a game of small files does not cost the way to the source for each of them; but not what the others could bring.
//! - While a source opens for the first time, no source takes more than its share, so
//!   that the first one to answer does not take everything. A source that is late is no longer waited for, and another
//!   one is opened in its place. One that has no place is late at once, and stays in its queue until it has one or the
//!   download is complete. Only if all that are left are such does the download wait.
//! - An open source for which there is no more work is closed, which frees its place for other receivers.
//! - When no chunk is waiting, a slow source is interrupted if an idle one could fetch all chunks that it owes, from
//!   their beginning, in less than half the time. Each chunk is taken over at most once, and does not return to the
//!   source that it was taken from while another one is left, so chunks do not move back and forth.
//! - A source that stays below the floor for a whole span (`floor_check`) is slow. It is interrupted as soon as a source
//!   that is not slow has nothing to do, and is not used again while such a source is left. So sources that trickle hold
//!   neither the last chunk nor all the places, and a slow source alone continues.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use lanspread_store::state::chunks::{Chunk, Chunks};
use lanspread_types::limits;

use crate::receive::floor_check::Speed;

/// Index of a source in the list of validated peers.
pub(crate) type SourceId = usize;

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not connected; may be opened.
    Resting,
    Opening,
    /// May be given chunks.
    Open,
    /// Asked to end; the chunks that it owes return when it has ended.
    Closing,
    /// Failed; will be tried again later.
    Waiting,
    /// Never tried again.
    Gone,
}

/// How a source opens that is opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpeningState {
    InTime,
    /// It takes too long.
    Late,
    /// It has no place now.
    Queued,
}

#[derive(Debug, Clone)]
struct Source {
    phase: Phase,
    /// Whether it was ever open, or is late and no longer waited for.
    known: bool,
    /// While it is opening.
    opening: OpeningState,
    /// The chunks that it owes, in the order of the requests.
    owed: VecDeque<usize>,
    /// Number of chunks that it was given, without those that returned.
    taken: usize,
    /// Failures in a row, without a whole chunk between them.
    failures: u32,
    /// Whether it stayed below the floor in its last whole span.
    slow: bool,
    /// Bytes of the owed chunks that have arrived.
    arrived: u64,
    /// Bytes per second, once measured; and the highest rate so far.
    rate: Option<u64>,
    best_rate: u64,
    done_chunks: u64,
    done_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    With(SourceId),
    Done,
}

/// Why a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was asked to.
    Asked,
    /// It failed and may be tried again.
    Failed,
    /// It failed in a way that another try cannot change.
    Hopeless,
}

/// The plan of one download.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    chunks: Vec<Chunk>,
    /// Bytes of a whole one.
    chunk_bytes: u64,
    states: Vec<State>,
    /// The source from which a chunk was taken because it was too slow.
    taken_from: Vec<Option<SourceId>>,
    waiting: BTreeSet<usize>,
    done: usize,
    /// Number of chunks that were missing when the plan was made.
    missing_at_first: usize,
    sources: Vec<Source>,
    open_max: usize,
}

impl Plan {
    /// Makes a plan for chunks, of which some may be done already. At most `open_max` sources are open at a time.
    pub(crate) fn new(
        chunks: &Chunks,
        is_here: impl Fn(&Chunk) -> bool,
        sources: usize,
        open_max: usize,
    ) -> Self {
        let (chunks, chunk_bytes) = (chunks.all().to_vec(), chunks.chunk_bytes());
        let states: Vec<State> =
            chunks.iter().map(|chunk| if is_here(chunk) { State::Done } else { State::Waiting }).collect();
        let waiting: BTreeSet<usize> =
            (0..chunks.len()).filter(|chunk| states[*chunk] == State::Waiting).collect();
        let source = Source {
            phase: Phase::Resting,
            known: false,
            opening: OpeningState::InTime,
            owed: VecDeque::new(),
            taken: 0,
            failures: 0,
            slow: false,
            arrived: 0,
            rate: None,
            best_rate: 0,
            done_chunks: 0,
            done_bytes: 0,
        };
        Self {
            taken_from: vec![None; chunks.len()],
            done: chunks.len() - waiting.len(),
            missing_at_first: waiting.len(),
            chunks,
            chunk_bytes,
            states,
            waiting,
            sources: vec![source; sources],
            open_max: open_max.max(1),
        }
    }

    /// Whether all chunks are done.
    pub(crate) fn is_complete(&self) -> bool {
        self.done == self.chunks.len()
    }

    /// Whether chunks are missing and no source is left to fetch them from.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.is_complete() && self.sources.iter().all(|source| source.phase == Phase::Gone)
    }

    /// Bytes that have arrived, including those of incomplete chunks.
    pub(crate) fn here_bytes(&self) -> u64 {
        let done = self.chunks.iter().filter(|chunk| self.states[chunk.id] == State::Done);
        let whole: u64 = done.map(|chunk| chunk.length).sum();
        whole + self.sources.iter().map(|source| source.arrived.min(self.owed_bytes(source))).sum::<u64>()
    }

    fn owed_bytes(&self, source: &Source) -> u64 {
        source.owed.iter().map(|chunk| self.chunks[*chunk].length).sum()
    }

    /// Number of chunks that a source has delivered, and their bytes.
    pub(crate) fn share(&self, source: SourceId) -> (u64, u64) {
        (self.sources[source].done_chunks, self.sources[source].done_bytes)
    }

    /// Number of sources that are sending.
    pub(crate) fn sending(&self) -> usize {
        self.sources.iter().filter(|source| source.phase == Phase::Open && !source.owed.is_empty()).count()
    }

    /// Failures of a source in a row.
    pub(crate) fn failures(&self, source: SourceId) -> u32 {
        self.sources[source].failures
    }

    /// The next source to connect to, if there is work for one more: the one with the fewest failures in a row, then
    /// the fastest.
    pub(crate) fn open_next(&mut self) -> Option<SourceId> {
        // A source that does not answer keeps no place that another one could use.
        let late =
            self.count(|source| source.phase == Phase::Opening && source.opening != OpeningState::InTime);
        let active = self.count(|source| matches!(source.phase, Phase::Opening | Phase::Open)) - late;
        let is_enough = active >= self.open_max || active >= self.chunks.len() - self.done;
        if is_enough || late >= limits::LATE_SOURCES_MAX {
            return None;
        }
        let resting = (0..self.sources.len()).filter(|id| self.sources[*id].phase == Phase::Resting);
        let next = resting
            .filter(|id| self.waiting.iter().any(|chunk| self.may_have(*id, *chunk)))
            .min_by_key(|id| {
                let source = &self.sources[*id];
                (source.failures, u64::MAX - source.rate.unwrap_or(u64::MAX), *id)
            })?;
        self.sources[next].phase = Phase::Opening;
        Some(next)
    }

    /// A source is connected. The chunks in `dropped`, which it delivered from files that have changed since, must be
    /// fetched again.
    pub(crate) fn opened(&mut self, source: SourceId, dropped: &[usize]) {
        for chunk in dropped {
            if self.states[*chunk] == State::Done {
                self.states[*chunk] = State::Waiting;
                self.waiting.insert(*chunk);
                self.done -= 1;
            }
        }
        let opened = &mut self.sources[source];
        if opened.phase == Phase::Opening {
            opened.phase = Phase::Open;
        }
        opened.known = true;
        opened.opening = OpeningState::InTime;
    }

    /// A source that is opening has no place: the others may take its share, and its place in this download.
    pub(crate) fn queued(&mut self, source: SourceId) {
        self.late(source);
        if self.sources[source].phase == Phase::Opening {
            self.sources[source].opening = OpeningState::Queued;
        }
    }

    /// Whether nothing is left to do but to wait for a place, once [`Self::open_next`] has nothing more: some source has
    /// none, and no other one is open, opening, or tried again later.
    pub(crate) fn only_waits(&self) -> bool {
        let is_queued = |source: &Source| source.opening == OpeningState::Queued;
        let queued = self.count(is_queued);
        let others = self.count(|source| {
            let is_busy =
                matches!(source.phase, Phase::Opening | Phase::Open | Phase::Closing | Phase::Waiting);
            is_busy && !is_queued(source)
        });
        queued > 0 && others == 0 && !self.is_complete()
    }

    /// Whether a source has no place and waits for one.
    pub(crate) fn is_queued(&self, source: SourceId) -> bool {
        self.sources[source].opening == OpeningState::Queued
    }

    /// A source takes too long to open: the others may take its share, and its place.
    pub(crate) fn late(&mut self, source: SourceId) {
        let source = &mut self.sources[source];
        if source.phase == Phase::Opening {
            source.known = true;
            if source.opening == OpeningState::InTime {
                source.opening = OpeningState::Late;
            }
        }
    }

    /// Assigns the next chunk: returns it and the source to request it from.
    pub(crate) fn assign(&mut self) -> Option<(SourceId, Chunk)> {
        let active = self.count(|source| matches!(source.phase, Phase::Opening | Phase::Open));
        let is_opening = self.sources.iter().any(|source| source.phase == Phase::Opening && !source.known);
        let share = if is_opening { self.missing_at_first.div_ceil(active.max(1)) } else { usize::MAX };
        let mut open: Vec<SourceId> = (0..self.sources.len())
            .filter(|id| {
                let source = &self.sources[*id];
                source.phase == Phase::Open && source.taken < share
            })
            .collect();
        open.sort_by_key(|id| (self.sources[*id].owed.len(), self.sources[*id].taken, *id));
        for id in open {
            let Some(chunk) = self.waiting.iter().copied().find(|chunk| self.may_have(id, *chunk)) else {
                continue;
            };
            if !self.may_owe(id, chunk, active) {
                continue;
            }
            self.waiting.remove(&chunk);
            self.states[chunk] = State::With(id);
            self.sources[id].owed.push_back(chunk);
            self.sources[id].taken += 1;
            return Some((id, self.chunks[chunk]));
        }
        None
    }

    /// Marks one open source that has no more work as closing, and returns it.
    pub(crate) fn close_next(&mut self) -> Option<SourceId> {
        let idle = (0..self.sources.len()).find(|id| {
            let source = &self.sources[*id];
            source.phase == Phase::Open
                && source.owed.is_empty()
                && !self.waiting.iter().any(|chunk| self.may_have(*id, *chunk))
        })?;
        self.sources[idle].phase = Phase::Closing;
        Some(idle)
    }

    /// A source has delivered a whole chunk. Returns false if it did not owe the chunk, which would be an internal
    /// fault.
    pub(crate) fn finished(&mut self, source: SourceId, chunk: usize) -> bool {
        if self.states.get(chunk) != Some(&State::With(source)) {
            return false;
        }
        let length = self.chunks[chunk].length;
        self.states[chunk] = State::Done;
        self.done += 1;
        let bringer = &mut self.sources[source];
        bringer.owed.retain(|owed| *owed != chunk);
        bringer.arrived = bringer.arrived.saturating_sub(length);
        bringer.failures = 0;
        bringer.done_chunks += 1;
        bringer.done_bytes += length;
        true
    }

    /// A source has ended, its writer included. The chunks that it owes return to the pool.
    pub(crate) fn ended(&mut self, source: SourceId, ending: Ending) {
        let ended = &mut self.sources[source];
        let owed = std::mem::take(&mut ended.owed);
        ended.taken -= owed.len();
        ended.arrived = 0;
        ended.opening = OpeningState::InTime;
        // If the source was asked to end, a failure in the meantime does not count against it.
        let asked = ending == Ending::Asked || ended.phase == Phase::Closing;
        ended.phase = match ending {
            Ending::Hopeless => Phase::Gone,
            _ if asked => Phase::Resting,
            _ => {
                ended.failures += 1;
                if ended.failures >= limits::SOURCE_FAILURES_MAX { Phase::Gone } else { Phase::Waiting }
            }
        };
        for chunk in owed {
            self.states[chunk] = State::Waiting;
            self.waiting.insert(chunk);
        }
    }

    /// Whether a source failed and will be tried again.
    pub(crate) fn is_waiting(&self, source: SourceId) -> bool {
        self.sources[source].phase == Phase::Waiting
    }

    /// A failed source may be tried again.
    pub(crate) fn wake(&mut self, source: SourceId) {
        if self.is_waiting(source) {
            self.sources[source].phase = Phase::Resting;
        }
    }

    /// Bytes of the chunks that a source owes have arrived.
    pub(crate) fn arrived(&mut self, source: SourceId, bytes: u64) {
        let source = &mut self.sources[source];
        source.arrived = source.arrived.saturating_add(bytes);
    }

    /// `bytes` arrived from a source `within` a time in which it owed chunks.
    pub(crate) fn measured(&mut self, source: SourceId, bytes: u64, within: Duration) {
        let source = &mut self.sources[source];
        let rate = blend(source.rate, bytes, within);
        source.rate = Some(rate);
        source.best_rate = source.best_rate.max(rate);
    }

    /// A source was this fast in a span in which it owed chunks. Marks it as closing if it was too slow and another
    /// source can take its chunks, and returns whether it did.
    pub(crate) fn judged(&mut self, source: SourceId, speed: Speed) -> bool {
        self.sources[source].slow = speed == Speed::TooSlow;
        let is_open = self.sources[source].phase == Phase::Open;
        let another_waits = self.idle().any(|id| id != source && !self.sources[id].slow);
        if speed == Speed::Enough || !is_open || !self.is_busy(source) || !another_waits {
            return false;
        }
        self.close_and_take_from(source);
        true
    }

    /// The sources that have nothing to do and could have.
    fn idle(&self) -> impl Iterator<Item = SourceId> {
        (0..self.sources.len()).filter(|id| {
            let source = &self.sources[*id];
            matches!(source.phase, Phase::Resting | Phase::Open) && source.owed.is_empty()
        })
    }

    fn close_and_take_from(&mut self, source: SourceId) {
        for chunk in &self.sources[source].owed {
            self.taken_from[*chunk] = Some(source);
        }
        self.sources[source].phase = Phase::Closing;
    }

    /// Number of other sources that may still be used.
    pub(crate) fn others_left(&self, source: SourceId) -> usize {
        (0..self.sources.len()).filter(|id| *id != source && self.sources[*id].phase != Phase::Gone).count()
    }

    /// Whether another source is left that is not slow.
    fn has_better_than(&self, source: SourceId) -> bool {
        (0..self.sources.len()).any(|id| {
            let other = &self.sources[id];
            id != source && other.phase != Phase::Gone && !other.slow
        })
    }

    /// Whether a source owes chunks.
    pub(crate) fn is_busy(&self, source: SourceId) -> bool {
        !self.sources[source].owed.is_empty()
    }

    /// Marks one source that is too slow as closing while another source is idle, and returns it.
    pub(crate) fn take_over(&mut self) -> Option<SourceId> {
        if !self.waiting.is_empty() {
            return None;
        }
        let best_rate = self.sources.iter().map(|source| source.best_rate).max().unwrap_or_default();
        let fastest = self
            .idle()
            .map(|id| &self.sources[id])
            .filter(|source| !source.slow)
            // A source that was never measured is assumed to be as fast as the best rate so far.
            .map(|source| source.rate.unwrap_or(best_rate))
            .max()?;
        let slow = (0..self.sources.len()).find(|id| {
            let source = &self.sources[*id];
            let owed = self.owed_bytes(source);
            source.phase == Phase::Open
                && source.owed.iter().all(|chunk| self.taken_from[*chunk].is_none())
                && source.rate.is_some_and(|rate| {
                    is_worth_taking(owed, fastest, owed.saturating_sub(source.arrived), rate)
                })
        })?;
        self.close_and_take_from(slow);
        Some(slow)
    }

    fn count(&self, which: impl Fn(&Source) -> bool) -> usize {
        self.sources.iter().filter(|source| which(source)).count()
    }

    /// Whether a source may owe this chunk beside those that it owes. Of so many active ones, each of the others finds as
    /// much as it may always ask for.
    fn may_owe(&self, source: SourceId, chunk: usize, active: usize) -> bool {
        let source = &self.sources[source];
        if source.owed.len() < limits::CHUNKS_AHEAD {
            return true;
        }
        let together = self.owed_bytes(source) + self.chunks[chunk].length;
        let is_enough_for_others = self.waiting.len() > active.saturating_sub(1) * limits::CHUNKS_AHEAD;
        source.owed.len() < limits::CHUNK_REQUESTS_MAX && together <= self.chunk_bytes && is_enough_for_others
    }

    /// Whether a source may be given a waiting chunk.
    fn may_have(&self, source: SourceId, chunk: usize) -> bool {
        let may_be_better = self.sources[source].slow || self.taken_from[chunk] == Some(source);
        !may_be_better || !self.has_better_than(source)
    }
}

/// Blends a measurement into a rate, so that a short pause changes it little and a long one much.
fn blend(rate: Option<u64>, bytes: u64, within: Duration) -> u64 {
    let micros = within.as_micros().max(1);
    let now = u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX);
    rate.map_or(now, |rate| rate - rate / 8 + now / 8)
}

/// Whether `all` bytes at `fast` bytes per second take less than half the time of the bytes `left` at `slow`, and
/// whether that time is long enough to be worth a new connection.
fn is_worth_taking(all: u64, fast: u64, left: u64, slow: u64) -> bool {
    let [all, fast, left, slow] = [all, fast, left, slow].map(u128::from);
    let needs_long = left > slow * u128::from(limits::TAKEOVER_MIN.as_secs());
    left > 0 && needs_long && 2 * all * slow < left * fast
}

#[cfg(test)]
mod tests;
