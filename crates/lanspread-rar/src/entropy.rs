//! The first stage of decoding: from the bits of a block to literals and operations.
//!
//! A block can be decoded from its bytes and its tables alone, whatever came before it, except for four distances and
//! one length that it may repeat from earlier blocks. Where a block does so before it has set them itself, it records
//! which one is meant, and the second stage, which goes in order, fills it in. So this stage can run in parallel.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]
// Fields of an operation are masked to their width.
#![allow(clippy::cast_possible_truncation)]

use crate::batch::{
    BATCH_LITERALS, BATCH_OPERATIONS, Batch, Distance, Length, Operation, Repeats, SpecialKind,
};
use crate::batch::{LITERALS_ROOM, Special};
use crate::bits::{Bits, PADDING_BYTES, top};
use crate::entries::TableEntry;
use crate::error::DataError;
use crate::filter::{Filter, FilterKind};
use crate::interleave;
use crate::tables::Tables;

/// Literals that one turn of the fast loop can add, and operations that it leaves room for.
const SLACK: usize = 8;
/// Bits that one turn of the fast loop can take, with a margin: three literal entries, a length and a distance.
const TURN_BITS: usize = 128;

/// A block that is being decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The next bit.
    pub(crate) position: usize,
    /// The first bit after the block.
    pub(crate) end: usize,
    pub(crate) repeats: Repeats,
}

impl Cursor {
    pub(crate) fn is_at_end(&self) -> bool {
        self.position >= self.end
    }
}

/// A block and what it takes to decode it. `bytes` has padding after the block.
pub(crate) struct Work<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) tables: &'a Tables,
    pub(crate) cursor: &'a mut Cursor,
}

/// Decodes a block, or as much of it as the batch has room for.
pub(crate) fn decode(work: &mut Work<'_>, batch: &mut Batch) -> Result<(), DataError> {
    let mut turn = Turn::begin(work);
    turn.go_on(batch)?;
    turn.end(work.cursor, batch);
    Ok(())
}

/// Decodes two blocks at the same time, of which both consist mostly of literals. Their look-ups depend on one another
/// within a block, so that a processor has room for those of another between them.
pub(crate) fn decode_two(
    first: &mut Work<'_>,
    second: &mut Work<'_>,
    batch: &mut Batch,
    second_batch: &mut Batch,
) -> [Result<(), DataError>; 2] {
    let (mut one, mut other) = (Turn::begin(first), Turn::begin(second));
    let mut stuck = [Ok(()); 2];
    while one.is_far_from_end()
        && other.is_far_from_end()
        && has_room(batch)
        && has_room(second_batch)
        && stuck == [Ok(()); 2]
    {
        let mut bits = [one.bits, other.bits];
        let counts = interleave::literals(
            [first.tables, second.tables],
            &mut bits,
            [one.end, other.end].map(|end| (end - TURN_BITS) / 8),
            [
                (&mut *batch.literals, batch.literal_count),
                (&mut *second_batch.literals, second_batch.literal_count),
            ],
        );
        [one.bits, other.bits] = bits;
        stuck = [one.go_over(counts[0], batch), other.go_over(counts[1], second_batch)];
    }
    let finish =
        |mut turn: Turn<'_>, work: &mut Work<'_>, stuck: Result<(), DataError>, batch: &mut Batch| {
            stuck?;
            turn.go_on(batch)?;
            turn.end(work.cursor, batch);
            Ok(())
        };
    [finish(one, first, stuck[0], batch), finish(other, second, stuck[1], second_batch)]
}

/// Room for one turn of the fast loop and the end of a run.
fn has_room(batch: &Batch) -> bool {
    batch.operation_count + SLACK <= BATCH_OPERATIONS && batch.literal_count + SLACK <= BATCH_LITERALS
}

/// What changes with every symbol.
struct Turn<'a> {
    tables: &'a Tables,
    bits: Bits<'a>,
    /// The first bit after the block.
    end: usize,
    repeats: Repeats,
    /// Literals since the last operation.
    run: usize,
}

impl<'a> Turn<'a> {
    fn begin(work: &Work<'a>) -> Self {
        debug_assert!(work.cursor.end.div_ceil(8) + PADDING_BYTES <= work.bytes.len());
        let bits = Bits::at(work.bytes, work.cursor.position);
        Self { tables: work.tables, bits, end: work.cursor.end, repeats: work.cursor.repeats, run: 0 }
    }

    fn is_far_from_end(&self) -> bool {
        self.bits.position() + 2 * TURN_BITS < self.end
    }

    /// Takes over literals that were decoded elsewhere, and decodes the symbol after them.
    fn go_over(&mut self, literals: usize, batch: &mut Batch) -> Result<(), DataError> {
        batch.literal_count += literals;
        self.run += literals;
        if self.is_far_from_end() && has_room(batch) { slow(self, batch) } else { Ok(()) }
    }

    fn go_on(&mut self, batch: &mut Batch) -> Result<(), DataError> {
        while self.bits.position() < self.end && has_room(batch) {
            fast(self, batch);
            // What the fast loop does not do: a symbol that is neither literal nor new match, or the block's last bits.
            if self.bits.position() < self.end && has_room(batch) {
                slow(self, batch)?;
            }
        }
        if self.bits.position() > self.end { Err(DataError::BlockOverrun) } else { Ok(()) }
    }

    fn end(self, cursor: &mut Cursor, batch: &mut Batch) {
        if self.run > 0 {
            batch.push(self.run, 0, 0);
        }
        cursor.position = self.bits.position();
        cursor.repeats = self.repeats;
    }
}

/// Decodes literals and new matches until the block or the batch is nearly at its end or something else comes, which
/// is left for [`slow`].
fn fast(turn: &mut Turn<'_>, batch: &mut Batch) {
    let tables = turn.tables;
    // A turn that begins with a whole word before this does not reach the end of the block.
    let Some(bytes) = turn.end.checked_sub(TURN_BITS).and_then(|bit| turn.bits.bytes().get(..bit / 8)) else {
        return;
    };
    let mut bits = turn.bits;
    let literals = &mut *batch.literals;
    let operations = &mut *batch.operations;
    let mut literal = batch.literal_count;
    let first_operation = batch.operation_count;
    let mut operation = first_operation;
    let mut run_start = literal - turn.run;
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
        if operation >= BATCH_OPERATIONS {
            break;
        }
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
        operations[operation] = Operation::new(literal - run_start, length, distance_less_1).0;
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
    turn.run = literal - run_start;
    turn.bits = bits;
}

#[inline(always)]
fn store(literals: &mut [u8; LITERALS_ROOM], at: usize, collected: u64) {
    if let Some(room) = literals.get_mut(at..at + 8) {
        room.copy_from_slice(&collected.to_le_bytes());
    }
}

/// The distance of a match, which follows its length. Returns the final length and the distance less 1, or `None` if a word is
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
fn slow(turn: &mut Turn<'_>, batch: &mut Batch) -> Result<(), DataError> {
    let tables = turn.tables;
    turn.bits.refill();
    let mut entry = tables.main(turn.bits.window());
    if entry.is_long() || entry.is_pair() {
        entry = tables.main_single(turn.bits.window()).ok_or(DataError::CodeUndefined)?;
    }
    if entry.is_literals() {
        turn.bits.consume(entry.bits());
        batch.literals[batch.literal_count] = entry.literals() as u8;
        batch.literal_count += 1;
        turn.run += 1;
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
        batch.push(turn.run, length.0, distance.0 - 1);
    } else {
        batch.specials.push(Special { operation: batch.operation_count, kind });
        batch.push(turn.run, 0, 0);
    }
    turn.run = 0;
    Ok(())
}

/// Symbols 256 to 261: a filter, the last match again, or a match with one of the last four distances.
fn other(tables: &Tables, turn: &mut Turn<'_>, entry: TableEntry) -> Result<Option<SpecialKind>, DataError> {
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
