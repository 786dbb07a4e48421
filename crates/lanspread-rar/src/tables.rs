//! The Huffman codes of a block: how their lengths are written, and the tables to decode them with.
//!
//! The technote does not describe packed data. Facts here (alphabets, the code of code lengths, slots) are as read by
//! libarchive's `archive_read_support_format_rar5.c` and the `rars` crate.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]
// Symbols and lengths have few bits; every narrowing below is of a value bounded by its alphabet.
#![allow(clippy::cast_possible_truncation)]
// Fields of entries are masked like all others, also where they are compared with 0.
#![allow(clippy::verbose_bit_mask)]

use crate::bits::{Bits, PADDING_BYTES, top};
use crate::error::DataError;

pub(crate) const MAIN_SYMBOLS: usize = 306;
pub(crate) const DISTANCE_SYMBOLS: usize = 64;
pub(crate) const LARGE_DISTANCE_SYMBOLS: usize = 80;
pub(crate) const ALIGN_SYMBOLS: usize = 16;
pub(crate) const LENGTH_SYMBOLS: usize = 44;
const LEVEL_SYMBOLS: usize = 20;
const ALL_SYMBOLS_MAX: usize = MAIN_SYMBOLS + LARGE_DISTANCE_SYMBOLS + ALIGN_SYMBOLS + LENGTH_SYMBOLS;

/// Main symbols from here on are match lengths.
pub(crate) const FIRST_LENGTH: usize = 262;

// How many bits of a word its table looks at. A word with more bits is decoded by `CanonicalCode`.
const MAIN_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 9;
const LENGTH_BITS: u32 = 9;
const ALIGN_BITS: u32 = 8;
const LEVEL_BITS: u32 = 7;

/// The longest word.
const WORD_BITS: u32 = 15;

/// A canonical code: words of one length are consecutive numbers in the order of their symbols, and shorter words are
/// smaller than longer ones.
pub(crate) struct CanonicalCode {
    /// For each length the first word, left-aligned in 15 bits.
    first: [u32; 16],
    /// For each length the end of its words, left-aligned; that of length 15 is the end of all.
    limit: [u32; 16],
    /// For each length where its symbols begin in `symbols`.
    index: [u16; 17],
    /// Symbols in the order of their words.
    symbols: [u16; MAIN_SYMBOLS],
}

impl CanonicalCode {
    const EMPTY: Self = Self { first: [0; 16], limit: [0; 16], index: [0; 17], symbols: [0; MAIN_SYMBOLS] };

    /// Makes the code of these lengths, 0 for symbols without a word. An incomplete code is one; `rar` writes such.
    fn set(&mut self, lengths: &[u8]) -> Result<(), DataError> {
        let mut counts = [0u16; 16];
        for length in lengths {
            counts[usize::from(length & 15)] += 1;
        }
        let (mut word, mut index) = (0u32, 0u16);
        for (length, count) in counts.into_iter().enumerate().skip(1) {
            self.first[length] = word;
            self.index[length] = index;
            word += u32::from(count) << (WORD_BITS as usize - length);
            index += count;
            self.limit[length] = word;
        }
        self.index[16] = index;
        if word > 1 << WORD_BITS {
            return Err(DataError::CodeOversubscribed);
        }
        let mut places = self.index;
        for (symbol, length) in lengths.iter().enumerate() {
            let length = usize::from(length & 15);
            if length > 0 {
                self.symbols[usize::from(places[length])] = symbol as u16;
                places[length] += 1;
            }
        }
        Ok(())
    }

    /// The symbols with words of this length.
    fn symbols_of(&self, length: u32) -> &[u16] {
        let length = length as usize;
        &self.symbols[usize::from(self.index[length])..usize::from(self.index[length + 1])]
    }

    /// The symbol at the top of the window and the length of its word, without a table.
    #[inline]
    pub(crate) fn decode(&self, window: u64) -> Option<(usize, u8)> {
        let word = (window >> (64 - WORD_BITS)) as u32;
        for length in 1..=15usize {
            if word < self.limit[length] {
                let nth = (word - self.first[length]) >> (WORD_BITS as usize - length);
                let at = usize::from(self.index[length]) + nth as usize;
                return self.symbols.get(at).map(|symbol| (usize::from(*symbol), length as u8));
            }
        }
        None
    }

    /// Fills a table of `1 << bits` entries: each with the entry of the symbol at its top, and `other` where the word
    /// is longer or undefined.
    fn fill<E: Copy>(&self, table: &mut [E], bits: u32, other: E, entry: impl Fn(usize, u32) -> E) {
        let mut at = 0;
        for length in 1..=bits {
            let span = 1usize << (bits - length);
            for symbol in self.symbols_of(length) {
                // The code is not oversubscribed, so the words fit.
                table[at..at + span].fill(entry(usize::from(*symbol), length));
                at += span;
            }
        }
        table[at..].fill(other);
    }
}

/// An entry of the main and the length table.
///
/// ```text
/// all       bits 0-7 bits of the word, or of the words of two literals
/// literals  bits 8-15 first, 16-23 second, 24-25 how many
/// length    bit 31; bits 8-20 base, 24-27 how many bits are added
/// other     bits 31 and 30; 8-16 symbol
/// long      bits 31, 30 and 29: the word is longer than the table looks, or undefined
/// ```
#[derive(Clone, Copy)]
pub(crate) struct TableEntry(u32);

impl TableEntry {
    const LONG: Self = Self(7 << 29);

    fn literal(byte: usize, bits: u32) -> Self {
        Self(bits | (byte as u32) << 8 | 1 << 24)
    }

    fn pair(first: usize, second: usize, bits: u32) -> Self {
        Self(bits | ((first | second << 8) as u32) << 8 | 2 << 24)
    }

    fn other(symbol: usize, bits: u32) -> Self {
        Self(bits | (symbol as u32) << 8 | 3 << 30)
    }

    /// A length of a match. Slots below 8 are lengths; from then on four slots share a number of additional bits.
    fn length(slot: usize, bits: u32) -> Self {
        let (base, added) = if slot < 8 {
            (slot, 0)
        } else {
            let added = slot / 4 - 1;
            ((4 | (slot % 4)) << added, added)
        };
        Self(bits | (base as u32 + 2) << 8 | (added as u32) << 24 | 1 << 31)
    }

    fn main(symbol: usize, bits: u32) -> Self {
        match symbol {
            0..256 => Self::literal(symbol, bits),
            256..FIRST_LENGTH => Self::other(symbol, bits),
            _ => Self::length(symbol - FIRST_LENGTH, bits),
        }
    }

    #[inline(always)]
    pub(crate) fn is_literals(self) -> bool {
        self.0 >> 31 == 0
    }

    #[inline(always)]
    pub(crate) fn is_length(self) -> bool {
        self.0 >> 30 == 2
    }

    #[inline(always)]
    pub(crate) fn is_long(self) -> bool {
        self.0 >> 29 == 7
    }

    #[inline(always)]
    pub(crate) fn is_pair(self) -> bool {
        self.0 >> 24 == 2
    }

    /// One or two literals, the first lowest.
    #[inline(always)]
    pub(crate) fn literals(self) -> u64 {
        u64::from((self.0 >> 8) as u16)
    }

    #[inline(always)]
    pub(crate) fn literal_count(self) -> u32 {
        self.0 >> 24
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> u8 {
        self.0 as u8
    }

    /// The length, and the bits that it takes from this window, those of its word included.
    #[inline(always)]
    pub(crate) fn length_from(self, window: u64) -> (u32, u8) {
        let added = (self.0 >> 24 & 15) as u8;
        let length = (self.0 >> 8 & 0x1fff) + top(window << (self.bits() & 63), added) as u32;
        (length, self.bits() + added)
    }

    #[inline(always)]
    pub(crate) fn symbol(self) -> usize {
        (self.0 >> 8 & 0x1ff) as usize
    }
}

/// An entry of the distance table.
///
/// ```text
/// bits 0-7 bits of the word, 0 if it is longer than the table looks or undefined; 8-13 how many bits are added;
/// 14 four more come through the align code; 16-17 how much is added to the length; from 20 base of the distance less 1
/// ```
#[derive(Clone, Copy)]
pub(crate) struct DistanceEntry(u64);

impl DistanceEntry {
    const LONG: Self = Self(0);

    fn new(slot: usize, bits: u32, has_align: bool) -> Self {
        let (base, added) = if slot < 4 {
            (slot as u64, 0)
        } else {
            let added = slot as u64 / 2 - 1;
            ((2 | (slot as u64 % 2)) << added, added)
        };
        let align = has_align && added >= 4;
        let added = if align { added - 4 } else { added };
        // Matches from far away are longer by one from distances above 256, 8 Ki and 256 Ki on, which are borders of
        // slots.
        let bonus = u64::from(base >= 0x100) + u64::from(base >= 0x2000) + u64::from(base >= 0x4_0000);
        Self(u64::from(bits) | added << 8 | u64::from(align) << 14 | bonus << 16 | base << 20)
    }

    #[inline(always)]
    pub(crate) fn is_long(self) -> bool {
        self.0 as u8 == 0
    }

    /// Bits of the word.
    #[inline(always)]
    pub(crate) fn bits(self) -> u8 {
        self.0 as u8
    }

    #[inline(always)]
    pub(crate) fn added_bits(self) -> u8 {
        (self.0 >> 8) as u8 & 63
    }

    #[inline(always)]
    pub(crate) fn has_align(self) -> bool {
        self.0 & 1 << 14 != 0
    }

    #[inline(always)]
    pub(crate) fn length_bonus(self) -> u32 {
        self.0 as u32 >> 16 & 3
    }

    /// The distance less 1 without what is added.
    #[inline(always)]
    pub(crate) fn base(self) -> u64 {
        self.0 >> 20
    }
}

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

/// Reads the code lengths of all alphabets, one after the other, written with a code of their own.
fn read_lengths(lengths: &mut [u8], bytes: &[u8], end: usize) -> Result<usize, DataError> {
    let mut bits = Bits::at(bytes, 0);
    let mut level_code = CanonicalCode::EMPTY;
    level_code.set(&read_level_lengths(&mut bits))?;
    let mut level_table = [0u16; 1 << LEVEL_BITS];
    level_code.fill(&mut level_table, LEVEL_BITS, 0, |symbol, bits| (symbol << 4) as u16 | bits as u16);

    let mut at = 0;
    while at < lengths.len() {
        bits.refill();
        let entry = level_table[(bits.window() >> (64 - LEVEL_BITS)) as usize];
        let (symbol, word_bits) = if entry == 0 {
            level_code.decode(bits.window()).ok_or(DataError::CodeUndefined)?
        } else {
            (usize::from(entry >> 4), entry as u8 & 15)
        };
        bits.consume(word_bits);
        if symbol < 16 {
            lengths[at] = symbol as u8;
            at += 1;
            continue;
        }
        // 16 and 17 repeat the length before, 18 and 19 zero; the odd ones have more room for how often.
        let count_bits = if symbol % 2 == 0 { 3 } else { 7 };
        let base = if symbol % 2 == 0 { 3 } else { 11 };
        let count = base + top(bits.window(), count_bits) as usize;
        bits.consume(count_bits);
        let value = match (symbol, at) {
            (18 | 19, _) => 0,
            (_, 0) => return Err(DataError::TablesRepeatNothing),
            _ => lengths[at - 1],
        };
        let until = lengths.len().min(at + count);
        lengths[at..until].fill(value);
        at = until;
    }
    if bits.position() > end {
        return Err(DataError::BlockOverrun);
    }
    Ok(bits.position())
}

/// Reads the lengths of the code of code lengths: four bits each; 15 is followed by four more, which are 0 for a real
/// 15, or else stand for that many zeros and two more.
fn read_level_lengths(bits: &mut Bits<'_>) -> [u8; LEVEL_SYMBOLS] {
    let mut lengths = [0; LEVEL_SYMBOLS];
    let mut at = 0;
    while at < LEVEL_SYMBOLS {
        let length = bits.take(4) as u8;
        let zeros = if length == 15 { bits.take(4) as usize } else { 0 };
        if zeros == 0 {
            lengths[at] = length;
            at += 1;
        } else {
            at += zeros + 2;
        }
    }
    lengths
}
