//! The second stage of decoding: operations become data in a ring, which is the dictionary and the output at once.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]
// Distances are compared with the ring's size before they are narrowed.
#![allow(clippy::cast_possible_truncation)]

use std::collections::VecDeque;
use std::ops::Range;

use crate::batch::{Batch, Mark, Operation, Repeats, SpecialKind};
use crate::error::{DataError, Error, Result};
use crate::filter::{FILTER_BYTES_MAX, FILTERS_MAX, Filter};

/// Output is handed on in pieces of this size, while they are still in the processor's second-level cache.
const PIECE_BYTES: usize = 256 * 1024;
/// Room in the ring besides the dictionary: for a filter's range, the piece before, and the longest operation twice.
const SLACK_BYTES: usize = 6 << 20;
/// Copies go up to this much over their end.
const OVER_BYTES: usize = 32;

/// The ring, and what of it waits to be handed on.
pub(crate) struct Window {
    ring: Vec<u8>,
    /// Where the next byte goes.
    at: usize,
    /// The ring was filled at least once since the last reset.
    is_full: bool,
    /// How far a match may reach back.
    dictionary: usize,
    /// Bytes before `at` that were not handed on.
    waiting: usize,
    /// Bytes of the member so far.
    produced: u64,
    /// Filters whose data is not complete, in order.
    filters: VecDeque<Filter>,
    /// End of the last filter's range in the member.
    filtered_until: u64,
    /// A filter's data in one piece, if it lies over the end of the ring, and its result.
    straight: Vec<u8>,
    filtered: Vec<u8>,
}

/// Where a piece of output is.
#[derive(Clone, Debug)]
pub(crate) enum OutputPlace {
    Ring(Range<usize>),
    Filtered,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            ring: Vec::new(),
            at: 0,
            is_full: false,
            dictionary: 0,
            waiting: 0,
            produced: 0,
            filters: VecDeque::new(),
            filtered_until: 0,
            straight: Vec::new(),
            filtered: Vec::new(),
        }
    }

    /// Makes ready for a member whose data does not go through the window. The dictionary stays for later ones.
    pub(crate) fn begin_other(&mut self) {
        self.waiting = 0;
        self.produced = 0;
        self.filters.clear();
        self.filtered_until = 0;
    }

    /// Makes ready for a member. A solid one keeps the dictionary, and may need a larger one.
    pub(crate) fn begin(&mut self, dictionary_bytes: u64, is_solid: bool) -> Result<()> {
        self.begin_other();
        let memory = Error::Memory { bytes: dictionary_bytes };
        let Ok(dictionary) = usize::try_from(dictionary_bytes) else { return Err(memory) };
        let Some(ring_bytes) = dictionary.checked_add(SLACK_BYTES) else { return Err(memory) };
        if !is_solid {
            self.at = 0;
            self.is_full = false;
            self.dictionary = dictionary;
        }
        if ring_bytes > self.ring.len() {
            self.grow(zeroed(ring_bytes).ok_or(memory)?);
        }
        self.dictionary = self.dictionary.max(dictionary);
        Ok(())
    }

    /// Continues in a larger ring, which takes the dictionary with it.
    fn grow(&mut self, ring: Vec<u8>) {
        let history = self.available();
        let old = std::mem::replace(&mut self.ring, ring);
        let (newer, older) = old.split_at(self.at);
        let from_older = history.saturating_sub(newer.len());
        let (first, second) = self.ring[..history].split_at_mut(from_older);
        first.copy_from_slice(&older[older.len() - from_older..]);
        second.copy_from_slice(&newer[newer.len() - second.len()..]);
        self.at = history;
        self.is_full = false;
    }

    /// Bytes of the member so far.
    pub(crate) fn produced(&self) -> u64 {
        self.produced
    }

    /// How far a match may reach back from here.
    fn available(&self) -> usize {
        if self.is_full { self.dictionary } else { self.dictionary.min(self.at) }
    }

    /// Executes operations of a batch from `from` to `until`, or until a piece of output is there. `before` is what
    /// was known before the block.
    pub(crate) fn play(
        &mut self,
        batch: &Batch,
        from: &mut Mark,
        until: Mark,
        before: &Repeats,
    ) -> Result<(), DataError> {
        let mut room = PIECE_BYTES;
        while from.operation < until.operation && room > 0 {
            let special = batch.specials[..until.special].get(from.special);
            let stop = special.map_or(until.operation, |special| special.operation + 1);
            self.run(batch, from, stop, &mut room)?;
            if from.operation == stop
                && let Some(special) = special
            {
                self.special(special.kind, before)?;
                from.special += 1;
            }
        }
        Ok(())
    }

    fn special(&mut self, kind: SpecialKind, before: &Repeats) -> Result<(), DataError> {
        match kind {
            SpecialKind::Filter(filter) => self.add_filter(filter),
            SpecialKind::Match { distance, length } => {
                let length = length.resolve(before).bytes();
                let distance = distance.resolve(before).bytes();
                let available = self.available();
                if length == 0 {
                    return Ok(());
                }
                if distance == 0 || distance > available as u64 {
                    return Err(DataError::Distance { distance, available: available as u64 });
                }
                self.repeat_around(distance as usize, length);
                self.waiting += length;
                self.produced += length as u64;
                Ok(())
            }
        }
    }

    fn add_filter(&mut self, filter: Filter) -> Result<(), DataError> {
        if filter.length > FILTER_BYTES_MAX {
            return Err(DataError::FilterLength { got: filter.length, limit: FILTER_BYTES_MAX });
        }
        if self.filters.len() == FILTERS_MAX {
            return Err(DataError::FilterCount { limit: FILTERS_MAX });
        }
        // The start counts from here on. Both numbers are far below 2^63.
        let start = self.produced + filter.start;
        if start < self.filtered_until {
            return Err(DataError::FilterOverlap);
        }
        if filter.length > 0 {
            self.filtered_until = start + u64::from(filter.length);
            self.filters.push_back(Filter { start, ..filter });
        }
        Ok(())
    }

    /// Executes operations up to `stop`, or until `room` is used up.
    fn run(
        &mut self,
        batch: &Batch,
        from: &mut Mark,
        stop: usize,
        room: &mut usize,
    ) -> Result<(), DataError> {
        let mut used = 0;
        while from.operation < stop && used < *room {
            let at_before = self.at;
            self.run_straight(batch, from, stop, *room - used)?;
            used += self.at - at_before;
            if from.operation < stop && used < *room {
                used += self.run_around(batch, from)?;
            }
        }
        self.waiting += used;
        self.produced += used as u64;
        *room = room.saturating_sub(used);
        Ok(())
    }

    /// Executes operations until one could reach over the end of the ring.
    #[inline]
    fn run_straight(
        &mut self,
        batch: &Batch,
        from: &mut Mark,
        stop: usize,
        room: usize,
    ) -> Result<(), DataError> {
        let ring = &mut self.ring[..];
        let literals = batch.literals();
        let size = ring.len();
        let last = size.saturating_sub(OVER_BYTES);
        let mut at = self.at;
        let mut literal = from.literal;
        let end = at + room;
        let dictionary = self.dictionary;
        let mut result = Ok(());
        let mut done = 0;
        for operation in batch.operations(from.operation..stop) {
            let run = operation.literals();
            let length = operation.length();
            let after = at + run + length;
            if after > last || at >= end {
                break;
            }
            if run <= 16 {
                ring[at..at + 16].copy_from_slice(&literals[literal..literal + 16]);
            } else {
                ring[at..at + run].copy_from_slice(&literals[literal..literal + run]);
            }
            at += run;
            if length > 0 {
                let distance = operation.distance();
                let mut source = at.wrapping_sub(distance);
                if distance > dictionary || source > at {
                    if distance > dictionary || !self.is_full {
                        let available = if self.is_full { dictionary } else { dictionary.min(at) };
                        result = Err((distance, available));
                        break;
                    }
                    source = source.wrapping_add(size);
                    if source + length > last {
                        at -= run;
                        break;
                    }
                }
                repeat(ring, source, at, distance, length);
            }
            literal += run;
            at = after;
            done += 1;
        }
        self.at = at;
        from.operation += done;
        from.literal = literal;
        result.map_err(|(distance, available)| too_far(distance, available))
    }

    /// Executes one operation that may reach over the end of the ring.
    #[cold]
    fn run_around(&mut self, batch: &Batch, from: &mut Mark) -> Result<usize, DataError> {
        let operation: Operation = batch.operation(from.operation);
        let (run, length) = (operation.literals(), operation.length());
        let mut literals = &batch.literals()[from.literal..from.literal + run];
        while !literals.is_empty() {
            let count = literals.len().min(self.ring.len() - self.at);
            let (now, later) = literals.split_at(count);
            self.ring[self.at..self.at + count].copy_from_slice(now);
            self.advance(count);
            literals = later;
        }
        if length > 0 {
            let (distance, available) = (operation.distance(), self.available());
            if distance > available {
                return Err(too_far(distance, available));
            }
            self.repeat_around(distance, length);
        }
        from.operation += 1;
        from.literal += run;
        Ok(run + length)
    }

    /// Repeats `length` bytes from `distance` bytes back, in pieces that neither overlap nor reach over the end of the
    /// ring.
    fn repeat_around(&mut self, distance: usize, length: usize) {
        let size = self.ring.len();
        let mut left = length;
        while left > 0 {
            let source = if distance <= self.at { self.at - distance } else { self.at + size - distance };
            let count = left.min(distance).min(size - self.at).min(size - source);
            self.ring.copy_within(source..source + count, self.at);
            self.advance(count);
            left -= count;
        }
    }

    /// Goes forward in the ring, not over its end.
    fn advance(&mut self, count: usize) {
        self.at += count;
        if self.at == self.ring.len() {
            self.at = 0;
            self.is_full = true;
        }
    }

    /// The next piece of output, if there is one; with `all`, whatever is there.
    pub(crate) fn take_output(&mut self, all: bool) -> Result<Option<OutputPlace>, DataError> {
        let handed = self.produced - self.waiting as u64;
        let mut count = self.waiting;
        if let Some(filter) = self.filters.front().copied() {
            if filter.start == handed {
                let length = filter.length as usize;
                if self.waiting < length {
                    return if all { Err(DataError::FilterEnd) } else { Ok(None) };
                }
                self.filters.pop_front();
                self.undo(filter, length);
                self.waiting -= length;
                return Ok(Some(OutputPlace::Filtered));
            }
            // What the filter covers waits until all of it is there.
            let before = filter.start - handed;
            if before > self.waiting as u64 && all {
                return Err(DataError::FilterEnd);
            }
            count = count.min(usize::try_from(before).unwrap_or(usize::MAX));
        }
        if count == 0 || (count == self.waiting && count < PIECE_BYTES && !all) {
            return Ok(None);
        }
        let start = self.start_of_waiting();
        let count = count.min(self.ring.len() - start);
        self.waiting -= count;
        Ok(Some(OutputPlace::Ring(start..start + count)))
    }

    /// The bytes of a piece of output, which are there until the window changes.
    pub(crate) fn output(&self, output: &OutputPlace) -> &[u8] {
        match output {
            OutputPlace::Ring(range) => &self.ring[range.clone()],
            OutputPlace::Filtered => &self.filtered,
        }
    }

    fn start_of_waiting(&self) -> usize {
        if self.waiting <= self.at {
            self.at - self.waiting
        } else {
            self.at + self.ring.len() - self.waiting
        }
    }

    fn undo(&mut self, filter: Filter, length: usize) {
        let start = self.start_of_waiting();
        let data = if let Some(data) = self.ring.get(start..start + length) {
            data
        } else {
            let (wrapped, until_end) = self.ring.split_at(start);
            self.straight.clear();
            self.straight.extend_from_slice(until_end);
            self.straight.extend_from_slice(&wrapped[..length - until_end.len()]);
            &self.straight
        };
        filter.kind.undo(data, filter.start, &mut self.filtered);
    }
}

fn too_far(distance: usize, available: usize) -> DataError {
    DataError::Distance { distance: distance as u64, available: available as u64 }
}

/// Repeats bytes forward. Neither range comes nearer than [`OVER_BYTES`] to the end of the ring, so that copies can go
/// over.
#[inline(always)]
fn repeat(ring: &mut [u8], source: usize, at: usize, distance: usize, length: usize) {
    if distance < 16 {
        return repeat_short(ring, source, at, distance, length);
    }
    // Most matches are not longer than 16 bytes.
    ring.copy_within(source..source + 16, at);
    let mut done = 16;
    while done < length {
        ring.copy_within(source + done..source + done + 16, at + done);
        done += 16;
    }
}

/// Repeats a pattern of 1 to 15 bytes: as many whole ones as fit into 16 bytes, again and again.
#[inline]
fn repeat_short(ring: &mut [u8], source: usize, at: usize, distance: usize, length: usize) {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&ring[source..source + 16]);
    let mut filled = 8 * distance as u32;
    let mut pattern = u128::from_le_bytes(bytes) & !(u128::MAX << filled);
    while filled < 128 {
        pattern |= pattern << filled;
        filled *= 2;
    }
    bytes = pattern.to_le_bytes();
    let step = 16 - 16 % distance;
    let mut done = 0;
    while done < length {
        ring[at + done..at + done + 16].copy_from_slice(&bytes);
        done += step;
    }
}

/// Zeros that are touched only when they are used, or `None` if there is no room for them.
fn zeroed(bytes: usize) -> Option<Vec<u8>> {
    // `vec!` takes zeroed pages from the system without touching them, but aborts when there are none; a reservation
    // says so instead, and touches as little.
    let mut probe = Vec::<u8>::new();
    probe.try_reserve_exact(bytes).ok()?;
    drop(probe);
    Some(vec![0; bytes])
}
