//! Huffman codes: how their lengths are written, and the words that follow from the lengths.
//!
//! The technote does not describe packed data. Facts here (the code of code lengths, its repetitions) are as read by
//! libarchive's `archive_read_support_format_rar5.c` and the `rars` crate, `codec/rar50.rs`.

// Symbols and lengths have few bits; every narrowing below is of a value bounded by its alphabet.
#![allow(clippy::cast_possible_truncation)]

use crate::bits::{Bits, top};
use crate::error::DataError;

/// Symbols of the largest alphabet.
pub(crate) const SYMBOLS_MAX: usize = 306;
/// The longest word.
pub(crate) const WORD_BITS: u32 = 15;
/// Symbols of the code that lengths are written with, and how many bits of a word its table looks at.
const LEVEL_SYMBOLS: usize = 20;
const LEVEL_BITS: u32 = 7;

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
    symbols: [u16; SYMBOLS_MAX],
}

impl CanonicalCode {
    pub(crate) const EMPTY: Self =
        Self { first: [0; 16], limit: [0; 16], index: [0; 17], symbols: [0; SYMBOLS_MAX] };

    /// Makes the code of these lengths, 0 for symbols without a word. An incomplete code is one; `rar` writes such.
    pub(crate) fn set(&mut self, lengths: &[u8]) -> Result<(), DataError> {
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
    pub(crate) fn symbols_of(&self, length: u32) -> &[u16] {
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
    pub(crate) fn fill<E: Copy>(
        &self,
        table: &mut [E],
        bits: u32,
        other: E,
        entry: impl Fn(usize, u32) -> E,
    ) {
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

/// Reads the code lengths of all alphabets, one after the other, written with a code of their own.
pub(crate) fn read_lengths(lengths: &mut [u8], bytes: &[u8], end: usize) -> Result<usize, DataError> {
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
