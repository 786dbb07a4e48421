//! Literals of two blocks at the same time.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]

use crate::batch::{BATCH_LITERALS, LITERALS_ROOM};
use crate::bits::Bits;
use crate::entries::TableEntry;
use crate::tables::Tables;

/// Entries that a refilled window has bits for, and whose literals fit into a word.
const ENTRIES: usize = 4;

/// Decodes literals of two blocks for as long as both have nothing else, are before `ends` in their bytes, and have
/// room. Returns how many they were.
pub(crate) fn literals(
    tables: [&Tables; 2],
    bits: &mut [Bits<'_>; 2],
    ends: [usize; 2],
    out: [(&mut [u8; LITERALS_ROOM], usize); 2],
) -> [usize; 2] {
    let [first_out, second_out] = out;
    let [mut first, mut second] = *bits;
    let first_bytes = first.bytes().get(..ends[0]).unwrap_or_default();
    let second_bytes = second.bytes().get(..ends[1]).unwrap_or_default();
    let (mut first_at, mut second_at) = (first_out.1, second_out.1);
    while first_at + 2 * ENTRIES <= BATCH_LITERALS
        && second_at + 2 * ENTRIES <= BATCH_LITERALS
        && first.refill_within(first_bytes)
        && second.refill_within(second_bytes)
    {
        let (mut first_word, mut first_count) = (0u64, 0);
        let (mut second_word, mut second_count) = (0u64, 0);
        let mut is_other = false;
        for _ in 0..ENTRIES {
            let first_entry = tables[0].main(first.window());
            let second_entry = tables[1].main(second.window());
            is_other = !first_entry.is_literals() || !second_entry.is_literals();
            if is_other {
                break;
            }
            collect(&mut first, first_entry, &mut first_word, &mut first_count);
            collect(&mut second, second_entry, &mut second_word, &mut second_count);
        }
        store(first_out.0, &mut first_at, first_word, first_count);
        store(second_out.0, &mut second_at, second_word, second_count);
        if is_other {
            break;
        }
    }
    *bits = [first, second];
    [first_at - first_out.1, second_at - second_out.1]
}

#[inline(always)]
fn collect(bits: &mut Bits<'_>, entry: TableEntry, word: &mut u64, count: &mut u32) {
    *word |= entry.literals() << (8 * *count);
    *count += entry.literal_count();
    bits.consume(entry.bits());
}

#[inline(always)]
fn store(out: &mut [u8; LITERALS_ROOM], at: &mut usize, word: u64, count: u32) {
    if let Some(room) = out.get_mut(*at..*at + 8) {
        room.copy_from_slice(&word.to_le_bytes());
    }
    *at += count as usize;
}
