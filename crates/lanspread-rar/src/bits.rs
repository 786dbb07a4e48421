//! Bits of a block, the highest first.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]

/// Bytes after the last block of a buffer, so that whole words can be read at its end.
pub(crate) const PADDING_BYTES: usize = 64;

/// Reads bits through a 64-bit window. Never fails: after the end of the bytes it reads zeros, and the caller
/// compares [`Bits::position`] with the end of the block.
///
/// A value, not a reference, goes through the slow functions, so that the fast loop keeps it in registers.
#[derive(Clone, Copy)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// Where the next refill begins.
    next: usize,
    /// The next bits, at the top. Bits below the valid ones are those that follow, or zero.
    window: u64,
    /// How many bits of the window are valid. Eight bits wide like the counts in table entries, so that neither needs
    /// a mask.
    valid: u8,
}

impl<'a> Bits<'a> {
    /// Begins at a bit of `bytes`.
    pub(crate) fn at(bytes: &'a [u8], position: usize) -> Self {
        let mut bits = Self { bytes, next: position / 8, window: 0, valid: 0 };
        bits.refill();
        // Less than 8.
        #[allow(clippy::cast_possible_truncation)]
        bits.consume((position % 8) as u8);
        bits
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bits consumed, counted from the first of `bytes`.
    #[inline(always)]
    pub(crate) fn position(&self) -> usize {
        self.next * 8 - usize::from(self.valid)
    }

    /// Fills the window with whole bytes, so that 56 bits or more are valid.
    ///
    /// The bits that do not fit as a whole byte are in the window already; they come again with the next refill, and
    /// OR-ing them twice changes nothing.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let word = match self.bytes.get(self.next..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => u64::from_be_bytes(*chunk),
            None => last_word(self.bytes, self.next),
        };
        self.add(word);
    }

    /// [`Bits::refill`] for as long as there are whole words before the end of `bytes`, which can be before the reader's
    /// own.
    #[inline(always)]
    pub(crate) fn refill_within(&mut self, bytes: &[u8]) -> bool {
        let Some(chunk) = bytes.get(self.next..).and_then(<[u8]>::first_chunk) else { return false };
        self.add(u64::from_be_bytes(*chunk));
        true
    }

    #[inline(always)]
    fn add(&mut self, word: u64) {
        self.window |= word >> (self.valid & 63);
        self.next += usize::from((63 - self.valid) >> 3);
        self.valid |= 0b11_1000;
    }

    /// The next 64 bits, of which those of the last refill are right.
    #[inline(always)]
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// Leaves out bits, of which there must be as many since the last refill.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u8) {
        debug_assert!(count <= self.valid, "consumes more bits than a refill gives");
        self.window <<= count & 63;
        self.valid = self.valid.wrapping_sub(count);
    }

    /// Goes back to bits that were consumed.
    #[cold]
    pub(crate) fn back(self, count: usize) -> Self {
        Self::at(self.bytes, self.position().saturating_sub(count))
    }

    /// Takes up to 40 bits, refilling first.
    pub(crate) fn take(&mut self, count: u8) -> u64 {
        debug_assert!(count <= 40);
        self.refill();
        let value = top(self.window, count);
        self.consume(count);
        value
    }
}

/// The bytes from `next` on, and zeros after them. Takes no reference to the reader, which would force it into memory.
#[cold]
fn last_word(bytes: &[u8], next: usize) -> u64 {
    let mut chunk = [0; 8];
    if let Some(rest) = bytes.get(next..) {
        chunk[..rest.len()].copy_from_slice(rest);
    }
    u64::from_be_bytes(chunk)
}

/// The top `count` bits of a window, 0 to 63 of them.
#[inline(always)]
pub(crate) fn top(window: u64, count: u8) -> u64 {
    (window >> 1) >> (63 - (count & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_and_are_zero_after_the_end() {
        let bytes: Vec<u8> = (0..40u8).map(|i| i.wrapping_mul(37)).collect();
        let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| u64::from(byte >> (7 - at % 8) & 1));
        for start in 0..64 {
            let mut bits = Bits::at(&bytes, start);
            let mut at = start;
            for count in (1..=40).cycle().take(60) {
                let expected = (at..at + usize::from(count)).fold(0, |value, at| value << 1 | bit(at));
                assert_eq!(bits.take(count), expected, "{count} bits at {at}");
                at += usize::from(count);
                assert_eq!(bits.position(), at);
            }
        }
    }
}
