//! Who fetches which chunk. Pure: events go in, decisions come out; no socket, disk or clock.
//!
//! Rules:
//! - A chunk is with at most one source at a time, and done at most once. What a source owes when it goes away returns
//!   to the pool, so one living source is enough to come to the end.
//! - The source with the least to do gets the next chunk, the first one that is waiting; never more than
//!   [`limits::CHUNKS_AHEAD`] at a time. While a source opens for the first time nobody takes more than its share, so
//!   that the one that answers first does not take everything; one that is late is not waited for.
//! - A source that has nothing to do any more is closed: its place there is for others.
//! - When nothing is waiting, a source that owes more than another one would need half the time for, from the beginning,
//!   is interrupted. Each chunk is taken over once at most, and does not go back to the source it was taken from as
//!   long as another one lives: so nothing is passed to and fro.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use lanspread_store::state::chunks::{Chunk, Chunks};
use lanspread_types::limits;

/// Place of a source in the list of validated peers.
pub(crate) type SourceId = usize;

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not connected; may be opened.
    Resting,
    Opening,
    /// May be given chunks.
    Open,
    /// Told to end; what it owes comes back when it has.
    Closing,
    /// Failed; is tried again later.
    Waiting,
    /// Never tried again.
    Gone,
}

#[derive(Debug, Clone)]
struct Source {
    phase: Phase,
    /// Whether it was ever open, or is late and nobody waits for it.
    known: bool,
    /// What it owes, in the order in which it was asked.
    owed: VecDeque<usize>,
    /// Chunks it was given, less those that came back.
    taken: usize,
    /// Failures in a row, without a whole chunk between them.
    failures: u32,
    /// Bytes that have arrived of what it owes.
    arrived: u64,
    /// Bytes per second, once it was measured; and the highest it ever was.
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
    /// It was told to.
    Asked,
    /// It failed and may be tried again.
    Failed,
    /// It failed in a way that trying again cannot change.
    Hopeless,
}

/// The plan of one download.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    chunks: Vec<Chunk>,
    states: Vec<State>,
    /// Where a chunk was taken from because of the time it would have needed there.
    taken_from: Vec<Option<SourceId>>,
    waiting: BTreeSet<usize>,
    done: usize,
    /// Chunks that were not here when the plan was made.
    missing_at_first: usize,
    sources: Vec<Source>,
    open_max: usize,
}

impl Plan {
    /// A plan for chunks of which some are here already; at most `open_max` sources are open at a time.
    pub(crate) fn new(
        chunks: &Chunks,
        is_here: impl Fn(&Chunk) -> bool,
        sources: usize,
        open_max: usize,
    ) -> Self {
        let chunks = chunks.all().to_vec();
        let states: Vec<State> =
            chunks.iter().map(|chunk| if is_here(chunk) { State::Done } else { State::Waiting }).collect();
        let waiting: BTreeSet<usize> =
            (0..chunks.len()).filter(|chunk| states[*chunk] == State::Waiting).collect();
        let source = Source {
            phase: Phase::Resting,
            known: false,
            owed: VecDeque::new(),
            taken: 0,
            failures: 0,
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
            states,
            waiting,
            sources: vec![source; sources],
            open_max: open_max.max(1),
        }
    }

    /// Everything is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.done == self.chunks.len()
    }

    /// Something is missing and nobody is left to bring it.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.is_complete() && self.sources.iter().all(|source| source.phase == Phase::Gone)
    }

    /// Bytes that are here, those of chunks that are not whole yet included.
    pub(crate) fn here_bytes(&self) -> u64 {
        let done = self.chunks.iter().filter(|chunk| self.states[chunk.id] == State::Done);
        let whole: u64 = done.map(|chunk| chunk.length).sum();
        whole + self.sources.iter().map(|source| source.arrived.min(self.owed_bytes(source))).sum::<u64>()
    }

    fn owed_bytes(&self, source: &Source) -> u64 {
        source.owed.iter().map(|chunk| self.chunks[*chunk].length).sum()
    }

    /// Chunks a source brought, and their bytes.
    pub(crate) fn share(&self, source: SourceId) -> (u64, u64) {
        (self.sources[source].done_chunks, self.sources[source].done_bytes)
    }

    /// Sources that are sending.
    pub(crate) fn sending(&self) -> usize {
        self.sources.iter().filter(|source| source.phase == Phase::Open && !source.owed.is_empty()).count()
    }

    /// Failures in a row of a source.
    pub(crate) fn failures(&self, source: SourceId) -> u32 {
        self.sources[source].failures
    }

    /// The next source to connect to, if there is work for one more: the most reliable one, then the fastest.
    pub(crate) fn open_next(&mut self) -> Option<SourceId> {
        let active = self.count(|source| matches!(source.phase, Phase::Opening | Phase::Open));
        if active >= self.open_max || active >= self.chunks.len() - self.done {
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

    /// A source is connected. What it brought earlier and is no longer good comes back.
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
    }

    /// A source takes too long to open: its share is for the others.
    pub(crate) fn late(&mut self, source: SourceId) {
        self.sources[source].known = true;
    }

    /// The next chunk that is to be asked for, and of whom.
    pub(crate) fn assign(&mut self) -> Option<(SourceId, Chunk)> {
        let active = self.count(|source| matches!(source.phase, Phase::Opening | Phase::Open));
        let is_opening = self.sources.iter().any(|source| source.phase == Phase::Opening && !source.known);
        let share = if is_opening { self.missing_at_first.div_ceil(active.max(1)) } else { usize::MAX };
        let mut open: Vec<SourceId> = (0..self.sources.len())
            .filter(|id| {
                let source = &self.sources[*id];
                source.phase == Phase::Open
                    && source.owed.len() < limits::CHUNKS_AHEAD
                    && source.taken < share
            })
            .collect();
        open.sort_by_key(|id| (self.sources[*id].owed.len(), self.sources[*id].taken, *id));
        for id in open {
            let Some(chunk) = self.waiting.iter().copied().find(|chunk| self.may_have(id, *chunk)) else {
                continue;
            };
            self.waiting.remove(&chunk);
            self.states[chunk] = State::With(id);
            self.sources[id].owed.push_back(chunk);
            self.sources[id].taken += 1;
            return Some((id, self.chunks[chunk]));
        }
        None
    }

    /// A source that is open and will not be given anything: to be closed.
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

    /// A source has brought a whole chunk. False when it did not owe it, which would be a fault of ours.
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

    /// A source has ended: nothing of it is being written any more. What it owes returns to the pool.
    pub(crate) fn ended(&mut self, source: SourceId, ending: Ending) {
        let ended = &mut self.sources[source];
        let owed = std::mem::take(&mut ended.owed);
        ended.taken -= owed.len();
        ended.arrived = 0;
        // Was it told to end, what came of it in the meantime does not matter.
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

    /// Whether a source waits to be tried again.
    pub(crate) fn is_waiting(&self, source: SourceId) -> bool {
        self.sources[source].phase == Phase::Waiting
    }

    /// A failed source may be tried again.
    pub(crate) fn wake(&mut self, source: SourceId) {
        if self.is_waiting(source) {
            self.sources[source].phase = Phase::Resting;
        }
    }

    /// Bytes of what a source owes have arrived.
    pub(crate) fn arrived(&mut self, source: SourceId, bytes: u64) {
        let source = &mut self.sources[source];
        source.arrived = source.arrived.saturating_add(bytes);
    }

    /// So many bytes arrived from a source within some time in which it owed something.
    pub(crate) fn measured(&mut self, source: SourceId, bytes: u64, within: Duration) {
        let source = &mut self.sources[source];
        let rate = blend(source.rate, bytes, within);
        source.rate = Some(rate);
        source.best_rate = source.best_rate.max(rate);
    }

    /// Whether a source owes something.
    pub(crate) fn is_busy(&self, source: SourceId) -> bool {
        !self.sources[source].owed.is_empty()
    }

    /// A source that needs too long for what it owes while another one has nothing to do: to be interrupted.
    pub(crate) fn take_over(&mut self) -> Option<SourceId> {
        if !self.waiting.is_empty() {
            return None;
        }
        let best_rate = self.sources.iter().map(|source| source.best_rate).max().unwrap_or_default();
        let fastest = self
            .sources
            .iter()
            .filter(|source| matches!(source.phase, Phase::Resting | Phase::Open) && source.owed.is_empty())
            // One that never had enough to do is taken for as good as any was at its best.
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
        for chunk in &self.sources[slow].owed {
            self.taken_from[*chunk] = Some(slow);
        }
        self.sources[slow].phase = Phase::Closing;
        Some(slow)
    }

    fn count(&self, which: impl Fn(&Source) -> bool) -> usize {
        self.sources.iter().filter(|source| which(source)).count()
    }

    /// Whether a source may be given a waiting chunk.
    fn may_have(&self, source: SourceId, chunk: usize) -> bool {
        self.taken_from[chunk] != Some(source)
            || (0..self.sources.len()).all(|id| id == source || self.sources[id].phase == Phase::Gone)
    }
}

/// Mixes a measurement into a rate, so that a short pause changes little and a long one much.
fn blend(rate: Option<u64>, bytes: u64, within: Duration) -> u64 {
    let micros = within.as_micros().max(1);
    let now = u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX);
    rate.map_or(now, |rate| rate - rate / 8 + now / 8)
}

/// Whether `all` bytes at `fast` bytes per second take less than half the time of what is `left` at `slow` — and whether
/// that time is worth a new connection at all.
fn is_worth_taking(all: u64, fast: u64, left: u64, slow: u64) -> bool {
    let [all, fast, left, slow] = [all, fast, left, slow].map(u128::from);
    let needs_long = left > slow * u128::from(limits::TAKEOVER_MIN.as_secs());
    left > 0 && needs_long && 2 * all * slow < left * fast
}

#[cfg(test)]
mod tests;
