//! The first stage of decoding: from the bits of a block to literals and operations.
//!
//! A block can be decoded from its bytes and its tables alone, whatever came before it, except for four distances and
//! one length that it may repeat from earlier blocks. Where a block does so before it has set them itself, it records
//! which one is meant, and the second stage, which goes in order, fills it in. So this stage can run in parallel.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]
// Fields of an operation are masked to their width.
#![allow(clippy::cast_possible_truncation)]

use std::ops::Range;

use crate::bits::{Bits, PADDING_BYTES, top};
use crate::error::DataError;
use crate::filter::{Filter, FilterKind};
use crate::tables::{Entry, Tables};

/// Operations that a batch holds, at 8 bytes. Blocks of `rar` have a few thousand.
pub(crate) const BATCH_OPERATIONS: usize = 64 * 1024;
/// Literals that a batch holds.
pub(crate) const BATCH_LITERALS: usize = 256 * 1024;
/// Literals and operations that one turn of the fast loop can add.
const SLACK: usize = 8;
/// Bits that one turn of the fast loop can take, with a margin: three literal entries, a length and a distance.
const TURN_BITS: usize = 128;

/// A run of literals and then a match:
///
/// ```text
/// bits 0-18 literals, 19-31 length of the match or 0 for none, 32-63 its distance less 1
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Operation(u64);

impl Operation {
    #[inline(always)]
    fn new(literals: usize, length: u32, distance_less_1: u64) -> Self {
        Self(literals as u64 | u64::from(length) << 19 | distance_less_1 << 32)
    }

    #[inline(always)]
    pub(crate) fn literals(self) -> usize {
        (self.0 & 0x7_ffff) as usize
    }

    #[inline(always)]
    pub(crate) fn length(self) -> usize {
        (self.0 >> 19 & 0x1fff) as usize
    }

    #[inline(always)]
    pub(crate) fn distance(self) -> usize {
        (self.0 >> 32) as usize + 1
    }
}

/// What comes behind an operation that does not fit into one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Special {
    /// Index of the operation in its batch.
    pub(crate) operation: usize,
    pub(crate) kind: SpecialKind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SpecialKind {
    /// A match with a distance above 4 GiB, or with one or a length from before the block.
    Match { distance: Distance, length: Length },
    /// A filter, whose start counts from here.
    Filter(Filter),
}

/// A distance: a number, or the nth of those before the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Distance(u64);

impl Distance {
    /// No distance was set: none that a match could have.
    pub(crate) const UNSET: Self = Self(0);
    const INHERITED: u64 = 1 << 63;

    /// Its value, when `before` is what was known before the block.
    pub(crate) fn resolve(self, before: &Repeats) -> Self {
        if self.0 & Self::INHERITED == 0 { self } else { before.distances[(self.0 & 3) as usize] }
    }

    /// The number of bytes, 0 if it is not set.
    pub(crate) fn bytes(self) -> u64 {
        self.0
    }
}

/// A length: a number, 0 if none was set, or that before the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length(u32);

impl Length {
    const INHERITED: Self = Self(u32::MAX);

    /// Its value, when `before` is what was known before the block.
    pub(crate) fn resolve(self, before: &Repeats) -> Self {
        if self == Self::INHERITED { before.length } else { self }
    }

    pub(crate) fn bytes(self) -> usize {
        self.0 as usize
    }
}

/// The last four distances, the newest first, and the last length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeats {
    distances: [Distance; 4],
    length: Length,
}

impl Repeats {
    /// Those at the beginning of a member that is not solid.
    pub(crate) const UNSET: Self = Self { distances: [Distance::UNSET; 4], length: Length(0) };

    /// Those of a block whose predecessors are not decoded.
    pub(crate) const INHERITED: Self = Self {
        distances: [
            Distance(Distance::INHERITED),
            Distance(Distance::INHERITED | 1),
            Distance(Distance::INHERITED | 2),
            Distance(Distance::INHERITED | 3),
        ],
        length: Length::INHERITED,
    };

    /// Their values, when `before` is what was known before the block.
    pub(crate) fn resolve(&self, before: &Self) -> Self {
        Self {
            distances: self.distances.map(|distance| distance.resolve(before)),
            length: self.length.resolve(before),
        }
    }

    #[inline(always)]
    fn push(&mut self, distance: u64, length: u32) {
        let [first, second, third, _] = self.distances;
        self.distances = [Distance(distance), first, second, third];
        self.length = Length(length);
    }

    /// Makes the nth the newest.
    fn touch(&mut self, nth: usize) -> Distance {
        self.distances[..=nth].rotate_right(1);
        self.distances[0]
    }
}

/// Decoded literals and operations of one or more blocks. Its memory does not grow.
pub(crate) struct Batch {
    literals: Box<[u8; BATCH_LITERALS + 64]>,
    operations: Box<[u64; BATCH_OPERATIONS]>,
    pub(crate) specials: Vec<Special>,
    literal_count: usize,
    operation_count: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            // The second stage copies 32 literals at once.
            literals: zeroed(),
            operations: zeroed(),
            specials: Vec::new(),
            literal_count: 0,
            operation_count: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.literal_count = 0;
        self.operation_count = 0;
        self.specials.clear();
    }

    /// Where the next block's part begins.
    pub(crate) fn end(&self) -> Mark {
        Mark { literal: self.literal_count, operation: self.operation_count, special: self.specials.len() }
    }

    /// All literals, with room behind them to copy in large pieces.
    pub(crate) fn literals(&self) -> &[u8] {
        &self.literals[..]
    }

    pub(crate) fn operation(&self, index: usize) -> Operation {
        Operation(self.operations[index])
    }

    #[inline(always)]
    pub(crate) fn operations(&self, range: Range<usize>) -> impl Iterator<Item = Operation> {
        self.operations[range].iter().map(|word| Operation(*word))
    }

    fn push(&mut self, literals: usize, length: u32, distance_less_1: u64) {
        self.operations[self.operation_count] = Operation::new(literals, length, distance_less_1).0;
        self.operation_count += 1;
    }
}

/// An array on the heap that was never on the stack.
// Boxed on purpose: half a MiB does not belong on the stack.
#[allow(clippy::unnecessary_box_returns)]
fn zeroed<T: Copy + Default, const COUNT: usize>() -> Box<[T; COUNT]> {
    match vec![T::default(); COUNT].into_boxed_slice().try_into() {
        Ok(array) => array,
        // Not reached: it has just this length.
        Err(_) => Box::new([T::default(); COUNT]),
    }
}

/// A place in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) literal: usize,
    pub(crate) operation: usize,
    pub(crate) special: usize,
}

/// A block that is being decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The next bit.
    pub(crate) position: usize,
    /// The first bit behind the block.
    pub(crate) end: usize,
    pub(crate) repeats: Repeats,
}

impl Cursor {
    pub(crate) fn is_at_end(&self) -> bool {
        self.position >= self.end
    }
}

/// Decodes a block, or as much of it as the batch has room for. `bytes` has padding behind the block.
pub(crate) fn decode(
    bytes: &[u8],
    tables: &Tables,
    cursor: &mut Cursor,
    batch: &mut Batch,
) -> Result<(), DataError> {
    debug_assert!(cursor.end.div_ceil(8) + PADDING_BYTES <= bytes.len());
    let mut run = 0;
    let mut turn = Turn { bits: Bits::at(bytes, cursor.position), repeats: cursor.repeats };
    while turn.bits.position() < cursor.end && has_room(batch) {
        fast(tables, &mut turn, cursor.end, batch, &mut run);
        // What the fast loop does not do: a symbol that is neither literal nor new match, or the block's last bits.
        if turn.bits.position() < cursor.end && has_room(batch) {
            slow(tables, &mut turn, batch, &mut run)?;
        }
    }
    if turn.bits.position() > cursor.end {
        return Err(DataError::BlockOverrun);
    }
    if run > 0 {
        batch.push(run, 0, 0);
    }
    cursor.position = turn.bits.position();
    cursor.repeats = turn.repeats;
    Ok(())
}

/// Room for one turn of the fast loop and the end of a run.
fn has_room(batch: &Batch) -> bool {
    batch.operation_count + SLACK <= BATCH_OPERATIONS && batch.literal_count + SLACK <= BATCH_LITERALS
}

/// What changes with every symbol.
#[derive(Clone, Copy)]
struct Turn<'a> {
    bits: Bits<'a>,
    repeats: Repeats,
}

/// Decodes literals and new matches until the block or the batch is nearly at its end or something else comes, which
/// is left for [`slow`]. `run` counts literals since the last operation.
#[inline]
fn fast(tables: &Tables, turn: &mut Turn<'_>, end: usize, batch: &mut Batch, run: &mut usize) {
    // A turn that begins with a whole word before this does not reach the end of the block.
    let Some(bytes) = end.checked_sub(TURN_BITS).and_then(|bit| turn.bits.bytes().get(..bit / 8)) else {
        return;
    };
    let mut bits = turn.bits;
    let literals = &mut *batch.literals;
    let operations = &mut *batch.operations;
    let first_operation = batch.operation_count;
    let mut literal = batch.literal_count;
    let mut operation = first_operation;
    let mut run_start = literal - *run;
    // Bits of a symbol that was begun but cannot be finished here.
    let mut begun_bits = 0;
    while literal + SLACK <= BATCH_LITERALS && bits.refill_within(bytes) {
        let mut entry = tables.main(bits.window());
        if entry.is_literals() {
            // Up to six literals leave with one store. Their words have at most 33 bits, which leaves enough for the
            // word of a length and its added bits.
            let mut collected = entry.literals();
            let mut count = entry.literal_count();
            bits.consume(entry.bits());
            entry = tables.main(bits.window());
            if entry.is_literals() {
                collected |= entry.literals() << (8 * count);
                count += entry.literal_count();
                bits.consume(entry.bits());
                entry = tables.main(bits.window());
                if entry.is_literals() {
                    collected |= entry.literals() << (8 * count);
                    count += entry.literal_count();
                    bits.consume(entry.bits());
                    store(literals, literal, collected);
                    literal += count as usize;
                    continue;
                }
            }
            store(literals, literal, collected);
            literal += count as usize;
        }
        if !entry.is_length() {
            if !entry.is_long() {
                break;
            }
            let Some(single) = tables.main_single(bits.window()) else { break };
            entry = single;
            if entry.is_literals() {
                bits.consume(entry.bits());
                store(literals, literal, entry.literals());
                literal += 1;
                continue;
            }
            if !entry.is_length() {
                break;
            }
        }
        let Some(place) = operations.get_mut(operation) else { break };
        let (length, length_bits) = entry.length_from(bits.window());
        bits.consume(length_bits);
        let Some((after, length, distance_less_1)) = new_match(tables, bits, length) else {
            begun_bits = length_bits;
            break;
        };
        if distance_less_1 > u64::from(u32::MAX) {
            begun_bits = length_bits;
            break;
        }
        bits = after;
        *place = Operation::new(literal - run_start, length, distance_less_1).0;
        operation += 1;
        run_start = literal;
    }
    if begun_bits > 0 {
        bits = bits.back(usize::from(begun_bits));
    }
    // All operations here are new matches, so the last four are what can be repeated.
    for word in &operations[first_operation.max(operation.saturating_sub(4))..operation] {
        let operation = Operation(*word);
        turn.repeats.push(operation.distance() as u64, operation.length() as u32);
    }
    batch.literal_count = literal;
    batch.operation_count = operation;
    *run = literal - run_start;
    turn.bits = bits;
}

#[inline(always)]
fn store(literals: &mut [u8; BATCH_LITERALS + 64], at: usize, collected: u64) {
    if let Some(room) = literals.get_mut(at..at + 8) {
        room.copy_from_slice(&collected.to_le_bytes());
    }
}

/// The distance of a match behind its length. Gives the final length and the distance less 1, or `None` if a word is
/// not defined.
#[inline(always)]
fn new_match<'a>(tables: &Tables, mut bits: Bits<'a>, length: u32) -> Option<(Bits<'a>, u32, u64)> {
    bits.refill();
    let entry = tables.distance(bits.window())?;
    bits.consume(entry.bits());
    let added_bits = entry.added_bits();
    let added = top(bits.window(), added_bits);
    bits.consume(added_bits);
    let mut distance_less_1 = entry.base();
    if entry.has_align() {
        // A word of 15 bits and 26 more leave 15 for the last word. Only RAR 7 has more.
        if added_bits > 26 {
            bits.refill();
        }
        let (low, low_bits) = tables.align(bits.window())?;
        bits.consume(low_bits);
        distance_less_1 += (added << 4) + low;
    } else {
        distance_less_1 += added;
    }
    Some((bits, length + entry.length_bonus(), distance_less_1))
}

/// Decodes one symbol of any kind.
fn slow(tables: &Tables, turn: &mut Turn<'_>, batch: &mut Batch, run: &mut usize) -> Result<(), DataError> {
    turn.bits.refill();
    let mut entry = tables.main(turn.bits.window());
    if entry.is_long() || entry.is_pair() {
        entry = tables.main_single(turn.bits.window()).ok_or(DataError::CodeUndefined)?;
    }
    if entry.is_literals() {
        turn.bits.consume(entry.bits());
        batch.literals[batch.literal_count] = entry.literals() as u8;
        batch.literal_count += 1;
        *run += 1;
        return Ok(());
    }
    let kind = if entry.is_length() {
        let (length, bits) = entry.length_from(turn.bits.window());
        turn.bits.consume(bits);
        let (bits, length, distance_less_1) =
            new_match(tables, turn.bits, length).ok_or(DataError::CodeUndefined)?;
        turn.bits = bits;
        turn.repeats.push(distance_less_1 + 1, length);
        SpecialKind::Match { distance: Distance(distance_less_1 + 1), length: Length(length) }
    } else {
        turn.bits.consume(entry.bits());
        match other(tables, turn, entry)? {
            Some(kind) => kind,
            None => return Ok(()),
        }
    };
    if let SpecialKind::Match { distance, length } = kind
        && u32::try_from(distance.0.wrapping_sub(1)).is_ok()
        && length != Length::INHERITED
    {
        batch.push(*run, length.0, distance.0 - 1);
    } else {
        batch.specials.push(Special { operation: batch.operation_count, kind });
        batch.push(*run, 0, 0);
    }
    *run = 0;
    Ok(())
}

/// Symbols 256 to 261: a filter, the last match again, or a match with one of the last four distances.
fn other(tables: &Tables, turn: &mut Turn<'_>, entry: Entry) -> Result<Option<SpecialKind>, DataError> {
    match entry.symbol() {
        256 => read_filter(&mut turn.bits).map(|filter| Some(SpecialKind::Filter(filter))),
        257 => {
            let Repeats { distances: [distance, ..], length } = turn.repeats;
            // Before any match, there is nothing to repeat, and the symbol means nothing.
            Ok((length.0 != 0).then_some(SpecialKind::Match { distance, length }))
        }
        symbol => {
            let distance = turn.repeats.touch(symbol - 258);
            turn.bits.refill();
            let entry = tables.length(turn.bits.window()).ok_or(DataError::CodeUndefined)?;
            let (length, bits) = entry.length_from(turn.bits.window());
            turn.bits.consume(bits);
            turn.repeats.length = Length(length);
            Ok(Some(SpecialKind::Match { distance, length: Length(length) }))
        }
    }
}

/// A filter: where it starts, from the current position on, its length, its type, and for delta its channels.
fn read_filter(bits: &mut Bits<'_>) -> Result<Filter, DataError> {
    let start = read_filter_number(bits);
    let length = read_filter_number(bits);
    let kind = match bits.take(3) {
        0 => FilterKind::Delta { channels: bits.take(5) as usize + 1 },
        1 => FilterKind::E8,
        2 => FilterKind::E8E9,
        3 => FilterKind::Arm,
        other => return Err(DataError::FilterType { got: other as u8 }),
    };
    Ok(Filter { start: u64::from(start), length, kind })
}

/// Two bits say how many bytes follow; these are the number, the lowest first.
fn read_filter_number(bits: &mut Bits<'_>) -> u32 {
    let bytes = bits.take(2) as u8 + 1;
    (0..bytes).fold(0, |number, nth| number | (bits.take(8) as u32) << (8 * nth))
}
