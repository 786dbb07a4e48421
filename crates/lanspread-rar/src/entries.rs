//! Entries of tables: what a word means, and what has to be added to it.
//!
//! The technote does not describe packed data. Facts here (alphabets, slots, the lengths added to far matches) are as
//! read by libarchive's `archive_read_support_format_rar5.c` and the `rars` crate, `codec/rar50.rs`.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]
// Symbols and lengths have few bits; every narrowing below is of a value bounded by its alphabet.
#![allow(clippy::cast_possible_truncation)]
// Fields of entries are masked like all others, also where they are compared with 0.
#![allow(clippy::verbose_bit_mask)]

use crate::bits::top;

/// Main symbols from here on are match lengths.
const FIRST_LENGTH: usize = 262;

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
    pub(crate) const LONG: Self = Self(7 << 29);

    pub(crate) fn literal(byte: usize, bits: u32) -> Self {
        Self(bits | (byte as u32) << 8 | 1 << 24)
    }

    pub(crate) fn pair(first: usize, second: usize, bits: u32) -> Self {
        Self(bits | ((first | second << 8) as u32) << 8 | 2 << 24)
    }

    fn other(symbol: usize, bits: u32) -> Self {
        Self(bits | (symbol as u32) << 8 | 3 << 30)
    }

    /// A length of a match. Slots below 8 are lengths; from then on four slots share a number of additional bits.
    pub(crate) fn length(slot: usize, bits: u32) -> Self {
        let (base, added) = if slot < 8 {
            (slot, 0)
        } else {
            let added = slot / 4 - 1;
            ((4 | (slot % 4)) << added, added)
        };
        Self(bits | (base as u32 + 2) << 8 | (added as u32) << 24 | 1 << 31)
    }

    pub(crate) fn main(symbol: usize, bits: u32) -> Self {
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
    pub(crate) const LONG: Self = Self(0);

    pub(crate) fn new(slot: usize, bits: u32, has_align: bool) -> Self {
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
