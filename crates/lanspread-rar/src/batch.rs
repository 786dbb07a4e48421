//! What the first stage of decoding gives to the second: literals, and operations that put them and matches together.

// Fields of an operation are masked to their width.
#![allow(clippy::cast_possible_truncation)]
// Called for every operation, and measurably slower as calls.
#![allow(clippy::inline_always)]

use std::ops::Range;

use crate::filter::Filter;

/// Operations that a batch holds, at 8 bytes. Blocks of `rar` have a few thousand.
pub(crate) const BATCH_OPERATIONS: usize = 64 * 1024;
/// A run of literals at the end of a block is one more.
pub(crate) const OPERATIONS_ROOM: usize = BATCH_OPERATIONS + 8;
/// Literals that a batch holds.
pub(crate) const BATCH_LITERALS: usize = 256 * 1024;
/// Literals are read and written in pieces of up to 32.
pub(crate) const LITERALS_ROOM: usize = BATCH_LITERALS + 64;
/// A run of literals and then a match:
///
/// ```text
/// bits 0-18 literals, 19-31 length of the match or 0 for none, 32-63 its distance less 1
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Operation(pub(crate) u64);

impl Operation {
    #[inline(always)]
    pub(crate) fn new(literals: usize, length: u32, distance_less_1: u64) -> Self {
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

/// What follows an operation and does not fit into one.
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
pub(crate) struct Distance(pub(crate) u64);

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
pub(crate) struct Length(pub(crate) u32);

impl Length {
    pub(crate) const INHERITED: Self = Self(u32::MAX);

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
    pub(crate) distances: [Distance; 4],
    pub(crate) length: Length,
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
    pub(crate) fn push(&mut self, distance: u64, length: u32) {
        let [first, second, third, _] = self.distances;
        self.distances = [Distance(distance), first, second, third];
        self.length = Length(length);
    }

    /// Makes the nth the newest.
    pub(crate) fn touch(&mut self, nth: usize) -> Distance {
        let distance = self.distances[nth];
        for place in (0..nth).rev() {
            self.distances[place + 1] = self.distances[place];
        }
        self.distances[0] = distance;
        distance
    }
}

/// Decoded literals and operations of one or more blocks. Its memory does not grow.
///
/// The loops of the first stage fill it through its fields.
pub(crate) struct Batch {
    pub(crate) literals: Box<[u8; LITERALS_ROOM]>,
    pub(crate) operations: Box<[u64; OPERATIONS_ROOM]>,
    pub(crate) specials: Vec<Special>,
    pub(crate) literal_count: usize,
    pub(crate) operation_count: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
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

    /// Adds what is in another batch. `false`, and nothing changes, if there is no room for it.
    pub(crate) fn append(&mut self, other: &Self) -> bool {
        let literal_end = self.literal_count + other.literal_count;
        let operation_end = self.operation_count + other.operation_count;
        if literal_end > BATCH_LITERALS || operation_end > BATCH_OPERATIONS {
            return false;
        }
        self.literals[self.literal_count..literal_end]
            .copy_from_slice(&other.literals[..other.literal_count]);
        self.operations[self.operation_count..operation_end]
            .copy_from_slice(&other.operations[..other.operation_count]);
        let moved =
            |special: &Special| Special { operation: special.operation + self.operation_count, ..*special };
        self.specials.extend(other.specials.iter().map(moved));
        self.literal_count = literal_end;
        self.operation_count = operation_end;
        true
    }

    /// Where the next block's part begins.
    pub(crate) fn end(&self) -> Mark {
        Mark { literal: self.literal_count, operation: self.operation_count, special: self.specials.len() }
    }

    /// All literals, followed by room to copy in large pieces.
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

    pub(crate) fn push(&mut self, literals: usize, length: u32, distance_less_1: u64) {
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
