//! Bits of a block, the highest first.

// Called for every symbol, and measurably slower as calls.
#![allow(clippy::inline_always)]

/// Bytes behind the last block of a buffer, so that whole words can be read at its end.
pub(crate) const PADDING_BYTES: usize = 64;

/// Reads bits through a 64-bit window. Never fails: behind the end of the bytes there are zeros, and who reads
/// compares [`Bits::position`] with the end of its block.
///
/// A value, not a reference, goes through the slow functions, so that the fast loop keeps it in registers.
#[derive(Clone, Copy)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// Where the next refill begins.
    next: usize,
    /// The next bits, at the top. Bits below the valid ones are those that follow, or zero.
    window: u64,
    /// How many bits of the window are valid.
    valid: u32,
}

impl<'a> Bits<'a> {
    /// Begins at a bit of `bytes`.
    pub(crate) fn at(bytes: &'a [u8], position: usize) -> Self {
        let mut bits = Self { bytes, next: position / 8, window: 0, valid: 0 };
        bits.refill();
        // Less than 8.
        #[allow(clippy::cast_possible_truncation)]
        bits.consume((position % 8) as u32);
        bits
    }

    /// Bits consumed, counted from the first of `bytes`.
    #[inline(always)]
    pub(crate) fn position(&self) -> usize {
        self.next * 8 - self.valid as usize
    }

    /// The byte with which the next refill begins; at most 8 more than those consumed.
    #[inline(always)]
    pub(crate) fn next_byte(&self) -> usize {
        self.next
    }

    /// Fills the window with whole bytes, so that 56 bits or more are valid.
    ///
    /// The bits that do not fit as a whole byte are in the window already; they come again with the next refill, and
    /// OR-ing them twice changes nothing.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        let word = match self.bytes.get(self.next..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => u64::from_be_bytes(*chunk),
            None => self.last_word(),
        };
        self.window |= word >> self.valid;
        self.next += ((63 - self.valid) >> 3) as usize;
        self.valid |= 0b11_1000;
    }

    #[cold]
    fn last_word(&self) -> u64 {
        let mut chunk = [0; 8];
        if let Some(rest) = self.bytes.get(self.next..) {
            chunk[..rest.len()].copy_from_slice(rest);
        }
        u64::from_be_bytes(chunk)
    }

    /// The next 64 bits, of which those of the last refill are right.
    #[inline(always)]
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// Leaves out bits, of which there must be as many since the last refill.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        debug_assert!(count <= self.valid, "consumes more bits than a refill gives");
        self.window <<= count;
        self.valid = self.valid.wrapping_sub(count);
    }

    /// Takes up to 40 bits, refilling first.
    pub(crate) fn take(&mut self, count: u32) -> u64 {
        debug_assert!(count <= 40);
        self.refill();
        let value = top(self.window, count);
        self.consume(count);
        value
    }
}

/// The top `count` bits of a window, 0 to 63 of them.
#[inline(always)]
pub(crate) fn top(window: u64, count: u32) -> u64 {
    (window >> 1) >> (63 - count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_and_are_zero_behind_the_end() {
        let bytes: Vec<u8> = (0..40u8).map(|i| i.wrapping_mul(37)).collect();
        let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| u64::from(byte >> (7 - at % 8) & 1));
        for start in 0..64 {
            let mut bits = Bits::at(&bytes, start);
            let mut at = start;
            for count in (1..=40).cycle().take(60) {
                let expected = (at..at + count as usize).fold(0, |value, at| value << 1 | bit(at));
                assert_eq!(bits.take(count), expected, "{count} bits at {at}");
                at += count as usize;
                assert_eq!(bits.position(), at);
            }
        }
    }
}
