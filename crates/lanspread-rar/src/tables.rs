//! The tables of a block, which give the symbol at the top of a window of bits with one look.
//!
//! The technote does not describe packed data. Facts here (alphabets and their order, the align code) are as read by
//! libarchive's `archive_read_support_format_rar5.c` and the `rars` crate, `codec/rar50.rs`.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]
// Symbols and lengths have few bits; every narrowing below is of a value bounded by its alphabet.
#![allow(clippy::cast_possible_truncation)]
// Fields of entries are masked like all others, also where they are compared with 0.
#![allow(clippy::verbose_bit_mask)]

use crate::bits::PADDING_BYTES;
use crate::codes::{CanonicalCode, SYMBOLS_MAX, WORD_BITS, read_lengths};
use crate::entries::{DistanceEntry, TableEntry};
use crate::error::DataError;

const MAIN_SYMBOLS: usize = SYMBOLS_MAX;
const DISTANCE_SYMBOLS: usize = 64;
/// With the distances of RAR 7.
const LARGE_DISTANCE_SYMBOLS: usize = 80;
const ALIGN_SYMBOLS: usize = 16;
const LENGTH_SYMBOLS: usize = 44;
const ALL_SYMBOLS_MAX: usize = MAIN_SYMBOLS + LARGE_DISTANCE_SYMBOLS + ALIGN_SYMBOLS + LENGTH_SYMBOLS;

// How many bits of a word its table looks at. A word with more bits is decoded by `CanonicalCode`.
const MAIN_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 9;
const LENGTH_BITS: u32 = 9;
const ALIGN_BITS: u32 = 8;

/// The tables of a block and of those after it that bring none.
pub(crate) struct Tables {
    main: [TableEntry; 1 << MAIN_BITS],
    distance: [DistanceEntry; 1 << DISTANCE_BITS],
    length: [TableEntry; 1 << LENGTH_BITS],
    /// Symbol in bits 4-7, bits of the word in 0-3; 0 if it is longer or undefined.
    align: [u8; 1 << ALIGN_BITS],
    /// Distances use the align code. Otherwise all its words have four bits, so that it changes nothing.
    has_align: bool,
    /// Nearly all words of the main code are literals.
    pub(crate) is_mostly_literals: bool,
    pub(crate) main_code: CanonicalCode,
    distance_code: CanonicalCode,
    length_code: CanonicalCode,
    align_code: CanonicalCode,
}

impl Tables {
    pub(crate) const EMPTY: Self = Self {
        main: [TableEntry::LONG; 1 << MAIN_BITS],
        distance: [DistanceEntry::LONG; 1 << DISTANCE_BITS],
        length: [TableEntry::LONG; 1 << LENGTH_BITS],
        align: [0; 1 << ALIGN_BITS],
        has_align: false,
        is_mostly_literals: false,
        main_code: CanonicalCode::EMPTY,
        distance_code: CanonicalCode::EMPTY,
        length_code: CanonicalCode::EMPTY,
        align_code: CanonicalCode::EMPTY,
    };

    /// Reads the tables at the beginning of a block of `end` bits and makes these them. Returns the bits they take.
    ///
    /// `bytes` has [`PADDING_BYTES`] after the block.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        end: usize,
        has_large_distances: bool,
    ) -> Result<usize, DataError> {
        debug_assert!(end.div_ceil(8) + PADDING_BYTES <= bytes.len());
        let distances = if has_large_distances { LARGE_DISTANCE_SYMBOLS } else { DISTANCE_SYMBOLS };
        let count = MAIN_SYMBOLS + distances + ALIGN_SYMBOLS + LENGTH_SYMBOLS;
        let mut lengths = [0; ALL_SYMBOLS_MAX];
        let position = read_lengths(&mut lengths[..count], bytes, end)?;
        let (main, rest) = lengths[..count].split_at(MAIN_SYMBOLS);
        let (distance, rest) = rest.split_at(distances);
        let (align, length) = rest.split_at(ALIGN_SYMBOLS);
        self.set(main, distance, align, length)?;
        Ok(position)
    }

    fn set(&mut self, main: &[u8], distance: &[u8], align: &[u8], length: &[u8]) -> Result<(), DataError> {
        self.main_code.set(main)?;
        self.distance_code.set(distance)?;
        self.align_code.set(align)?;
        self.length_code.set(length)?;
        // Of the 32,768 words of 15 bits, less than 1 in 64 begin another symbol.
        let others = main[256..].iter().filter(|length| **length > 0);
        let space: u32 = others.map(|length| 1 << (WORD_BITS - u32::from(*length))).sum();
        self.is_mostly_literals = space < (1 << WORD_BITS) / 64;
        fill_main(&mut self.main, &self.main_code);
        self.has_align = align.iter().any(|length| *length != 4);
        let has_align = self.has_align;
        self.distance_code.fill(&mut self.distance, DISTANCE_BITS, DistanceEntry::LONG, |slot, bits| {
            DistanceEntry::new(slot, bits, has_align)
        });
        self.length_code.fill(&mut self.length, LENGTH_BITS, TableEntry::LONG, TableEntry::length);
        if has_align {
            let entry = |symbol, bits| (symbol << 4) as u8 | bits as u8;
            self.align_code.fill(&mut self.align, ALIGN_BITS, 0, entry);
        }
        Ok(())
    }

    /// The entry for the word at the top of the window, or more than one literal.
    #[inline(always)]
    pub(crate) fn main(&self, window: u64) -> TableEntry {
        self.main[(window >> (64 - MAIN_BITS)) as usize]
    }

    /// The entry for a single main symbol, however long its word; `None` for a word that is not defined.
    #[cold]
    pub(crate) fn main_single(&self, window: u64) -> Option<TableEntry> {
        let (symbol, bits) = self.main_code.decode(window)?;
        Some(TableEntry::main(symbol, u32::from(bits)))
    }

    /// The entry for a distance; `None` for a word that is not defined.
    #[inline(always)]
    pub(crate) fn distance(&self, window: u64) -> Option<DistanceEntry> {
        let entry = self.distance[(window >> (64 - DISTANCE_BITS)) as usize];
        if entry.is_long() { self.long_distance(window) } else { Some(entry) }
    }

    #[cold]
    fn long_distance(&self, window: u64) -> Option<DistanceEntry> {
        let (slot, bits) = self.distance_code.decode(window)?;
        Some(DistanceEntry::new(slot, u32::from(bits), self.has_align))
    }

    /// The entry for the length of a match with one of the last distances; `None` for a word that is not defined.
    pub(crate) fn length(&self, window: u64) -> Option<TableEntry> {
        let entry = self.length[(window >> (64 - LENGTH_BITS)) as usize];
        if entry.is_long() {
            let (slot, bits) = self.length_code.decode(window)?;
            return Some(TableEntry::length(slot, u32::from(bits)));
        }
        Some(entry)
    }

    /// The four lowest bits of a distance, and the bits of their word; `None` for a word that is not defined.
    #[inline(always)]
    pub(crate) fn align(&self, window: u64) -> Option<(u64, u8)> {
        let entry = self.align[(window >> (64 - ALIGN_BITS)) as usize];
        if entry & 15 == 0 {
            return self.long_align(window);
        }
        Some((u64::from(entry >> 4), entry & 15))
    }

    #[cold]
    fn long_align(&self, window: u64) -> Option<(u64, u8)> {
        let (symbol, bits) = self.align_code.decode(window)?;
        Some((symbol as u64, bits))
    }
}

/// Fills the main table: like [`CanonicalCode::fill`], but where two literals fit into the bits that it looks at, with both.
fn fill_main(table: &mut [TableEntry], code: &CanonicalCode) {
    let mut at = 0;
    for length in 1..=MAIN_BITS {
        let left = MAIN_BITS - length;
        let span = 1usize << left;
        for symbol in code.symbols_of(length) {
            let entries = &mut table[at..at + span];
            at += span;
            let symbol = usize::from(*symbol);
            if symbol < 256 {
                entries.fill(TableEntry::literal(symbol, length));
                fill_pairs(entries, code, symbol, length, left);
            } else {
                entries.fill(TableEntry::main(symbol, length));
            }
        }
    }
    table[at..].fill(TableEntry::LONG);
}

/// Fills the entries of one literal with those for it and a second one, which can have `left` bits.
fn fill_pairs(entries: &mut [TableEntry], code: &CanonicalCode, first: usize, first_bits: u32, left: u32) {
    let mut at = 0;
    for length in 1..=left {
        let span = 1usize << (left - length);
        for second in code.symbols_of(length) {
            if *second < 256 {
                entries[at..at + span].fill(TableEntry::pair(
                    first,
                    usize::from(*second),
                    first_bits + length,
                ));
            }
            at += span;
        }
    }
}
