//! Packs chosen operations, for what `rar` never writes. Written against the format facts, not against the decoder.

use std::collections::BTreeMap;

/// What packed data does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Literal(u8),
    /// A new match.
    Match {
        distance: u64,
        length: u32,
    },
    /// A match with the nth of the last four distances.
    Repeat {
        nth: usize,
        length: u32,
    },
    /// Symbol 257: the last match again.
    Again,
    Filter {
        start: u32,
        length: u32,
        kind: u8,
        channels: u8,
    },
}

pub fn literals(text: &[u8]) -> impl Iterator<Item = Op> + '_ {
    text.iter().map(|byte| Op::Literal(*byte))
}

/// Code lengths of the four alphabets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    pub main: Vec<u8>,
    pub distance: Vec<u8>,
    pub align: Vec<u8>,
    pub length: Vec<u8>,
}

/// One symbol of an alphabet, or bits.
#[derive(Clone, Copy)]
enum Part {
    Main(usize),
    Distance(usize),
    Align(usize),
    Length(usize),
    Bits(u64, u32),
}

pub struct BitWriter {
    pub bytes: Vec<u8>,
    pub bits: usize,
}

impl BitWriter {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), bits: 0 }
    }

    pub fn put(&mut self, value: u64, count: u32) {
        for bit in (0..count).rev() {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (7 - self.bits % 8);
            self.bits += 1;
        }
    }
}

/// A block header and its payload.
pub fn frame(payload: &[u8], bits: usize, has_tables: bool, is_last: bool) -> Vec<u8> {
    let size = payload.len();
    let size_bytes = if size < 1 << 8 {
        1
    } else if size < 1 << 16 {
        2
    } else {
        3
    };
    let mut flags = (size_bytes - 1) << 3 | u8::from(has_tables) << 7 | u8::from(is_last) << 6;
    if bits > 0 {
        flags |= ((bits - 1) % 8) as u8;
    }
    let size = &(size as u32).to_le_bytes()[..usize::from(size_bytes)];
    let sum = size.iter().fold(0x5a ^ flags, |sum, byte| sum ^ byte);
    [&[flags, sum], size, payload].concat()
}

/// Where a block's tables come from: made for it and for `others` that use them too, given, or those before it.
#[derive(Clone, Copy)]
pub enum TablesFrom<'a> {
    New { others: &'a [Op] },
    Given(&'a Lengths),
    Before(&'a Lengths),
}

/// Packs a block. Returns its bytes and the lengths it was packed with.
pub fn block(ops: &[Op], tables: TablesFrom<'_>, large: bool, is_last: bool) -> (Vec<u8>, Lengths) {
    let parts: Vec<Part> = ops.iter().flat_map(|op| parts(*op)).collect();
    let (lengths, has_tables) = match tables {
        TablesFrom::New { others } => {
            let mut all = parts.clone();
            all.extend(others.iter().flat_map(|op| self::parts(*op)));
            (lengths_for(&all, large), true)
        }
        TablesFrom::Given(lengths) => (lengths.clone(), true),
        TablesFrom::Before(lengths) => (lengths.clone(), false),
    };
    let mut writer = BitWriter::new();
    if has_tables {
        put_lengths(&mut writer, &lengths);
    }
    let codes = [&lengths.main, &lengths.distance, &lengths.align, &lengths.length].map(|code| words(code));
    for part in parts {
        let (alphabet, symbol) = match part {
            Part::Bits(value, count) => {
                writer.put(value, count);
                continue;
            }
            Part::Main(symbol) => (0, symbol),
            Part::Distance(symbol) => (1, symbol),
            Part::Align(symbol) => (2, symbol),
            Part::Length(symbol) => (3, symbol),
        };
        let (word, count) = codes[alphabet][symbol];
        assert!(count > 0, "symbol {symbol} of alphabet {alphabet} has no word");
        writer.put(word, count);
    }
    (frame(&writer.bytes, writer.bits, has_tables, is_last), lengths)
}

/// Packs operations as one member's data: blocks of `per_block` operations with tables each.
pub fn pack(ops: &[Op], per_block: usize, large: bool) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut chunks = ops.chunks(per_block).peekable();
    if chunks.peek().is_none() {
        return block(&[], TablesFrom::New { others: &[Op::Literal(0)] }, large, true).0;
    }
    while let Some(chunk) = chunks.next() {
        let is_last = chunks.peek().is_none();
        packed.extend(block(chunk, TablesFrom::New { others: &[] }, large, is_last).0);
    }
    packed
}

/// The smallest length of a new match from there.
pub fn bonus(distance: u64) -> u32 {
    u32::from(distance > 0x100) + u32::from(distance > 0x2000) + u32::from(distance > 0x4_0000)
}

fn parts(op: Op) -> Vec<Part> {
    match op {
        Op::Literal(byte) => vec![Part::Main(usize::from(byte))],
        Op::Match { distance, length } => {
            let (slot, added) = length_slot(length - bonus(distance));
            let mut parts = vec![Part::Main(262 + slot), added];
            parts.extend(distance_parts(distance));
            parts
        }
        Op::Repeat { nth, length } => {
            let (slot, added) = length_slot(length);
            vec![Part::Main(258 + nth), Part::Length(slot), added]
        }
        Op::Again => vec![Part::Main(257)],
        Op::Filter { start, length, kind, channels } => {
            let mut parts = vec![Part::Main(256)];
            for number in [start, length] {
                let bytes = (32 - number.leading_zeros()).div_ceil(8).max(1);
                parts.push(Part::Bits(u64::from(bytes - 1), 2));
                parts.extend((0..bytes).map(|nth| Part::Bits(u64::from(number >> (8 * nth) & 0xff), 8)));
            }
            parts.push(Part::Bits(u64::from(kind), 3));
            if kind == 0 {
                parts.push(Part::Bits(u64::from(channels - 1), 5));
            }
            parts
        }
    }
}

fn length_slot(length: u32) -> (usize, Part) {
    assert!(length >= 2, "a match has two bytes at least");
    let value = length - 2;
    if value < 8 {
        return (value as usize, Part::Bits(0, 0));
    }
    let added = value.ilog2() - 2;
    let slot = 4 * (added + 1) + (value >> added & 3);
    assert!(slot < 44, "no slot for {length}");
    (slot as usize, Part::Bits(u64::from(value & ((1 << added) - 1)), added))
}

fn distance_parts(distance: u64) -> Vec<Part> {
    let value = distance - 1;
    if value < 4 {
        return vec![Part::Distance(value as usize)];
    }
    let added = value.ilog2() - 1;
    let slot = 2 * (added + 1) + (value >> added & 1) as u32;
    let rest = value & ((1 << added) - 1);
    let mut parts = vec![Part::Distance(slot as usize)];
    if added < 4 {
        parts.push(Part::Bits(rest, added));
    } else {
        parts.push(Part::Bits(rest >> 4, added - 4));
        parts.push(Part::Align((rest & 15) as usize));
    }
    parts
}

fn lengths_for(parts: &[Part], large: bool) -> Lengths {
    let mut counts = [vec![0u64; 306], vec![0; if large { 80 } else { 64 }], vec![0; 16], vec![0; 44]];
    for part in parts {
        match *part {
            Part::Main(symbol) => counts[0][symbol] += 1,
            Part::Distance(symbol) => counts[1][symbol] += 1,
            Part::Align(symbol) => counts[2][symbol] += 1,
            Part::Length(symbol) => counts[3][symbol] += 1,
            Part::Bits(..) => {}
        }
    }
    let [main, distance, align, length] = counts.map(|counts| huffman(&counts));
    Lengths { main, distance, align, length }
}

/// Code lengths of at most 15 bits for these counts; one bit for a single symbol, as `rar` does it.
pub fn huffman(counts: &[u64]) -> Vec<u8> {
    let mut nodes: Vec<(u64, Vec<usize>)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, count)| (*count, vec![symbol]))
        .collect();
    let used: Vec<usize> = nodes.iter().map(|node| node.1[0]).collect();
    let mut lengths = vec![0u8; counts.len()];
    if let [only] = used.as_slice() {
        lengths[*only] = 1;
        return lengths;
    }
    while nodes.len() > 1 {
        nodes.sort_by_key(|node| std::cmp::Reverse(node.0));
        let (first, second) = (nodes.pop().unwrap(), nodes.pop().unwrap());
        let symbols = [first.1, second.1].concat();
        for symbol in &symbols {
            lengths[*symbol] += 1;
        }
        nodes.push((first.0 + second.0, symbols));
    }
    if lengths.iter().any(|length| *length > 15) {
        // Too skewed: all alike.
        let flat = usize::BITS - (used.len() - 1).leading_zeros();
        for symbol in used {
            lengths[symbol] = flat as u8;
        }
    }
    lengths
}

/// The words of a canonical code.
pub fn words(lengths: &[u8]) -> Vec<(u64, u32)> {
    let mut words = vec![(0, 0); lengths.len()];
    let mut word = 0u64;
    for length in 1..=15u8 {
        word <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, other)| **other == length) {
            words[symbol] = (word, u32::from(length));
            word += 1;
        }
    }
    words
}

/// Writes the lengths with a code of their own.
fn put_lengths(writer: &mut BitWriter, lengths: &Lengths) {
    let all = [&lengths.main[..], &lengths.distance, &lengths.align, &lengths.length].concat();
    let levels = levels(&all);
    let mut counts = BTreeMap::new();
    for (symbol, ..) in &levels {
        *counts.entry(*symbol).or_insert(0u64) += 1;
    }
    let level_counts: Vec<u64> = (0..20).map(|symbol| counts.get(&symbol).copied().unwrap_or(0)).collect();
    let level_lengths = huffman(&level_counts);
    let mut at = 0;
    while at < 20 {
        let zeros = level_lengths[at..].iter().take_while(|length| **length == 0).count();
        if zeros >= 3 {
            let zeros = zeros.min(17);
            writer.put(15, 4);
            writer.put(zeros as u64 - 2, 4);
            at += zeros;
            continue;
        }
        writer.put(u64::from(level_lengths[at]), 4);
        if level_lengths[at] == 15 {
            writer.put(0, 4);
        }
        at += 1;
    }
    let words = words(&level_lengths);
    for (symbol, value, count) in levels {
        let (word, bits) = words[symbol];
        writer.put(word, bits);
        writer.put(value, count);
    }
}

/// Symbols of the lengths' code: the length, or a repetition with the bits that say how often.
fn levels(lengths: &[u8]) -> Vec<(usize, u64, u32)> {
    let mut levels = Vec::new();
    let mut at = 0;
    while at < lengths.len() {
        let value = lengths[at];
        let run = lengths[at..].iter().take_while(|other| **other == value).count();
        if value == 0 && run >= 3 {
            let run = run.min(138);
            levels.push(if run >= 11 { (19, run as u64 - 11, 7) } else { (18, run as u64 - 3, 3) });
            at += run;
        } else if run >= 4 {
            levels.push((usize::from(value), 0, 0));
            let run = (run - 1).min(138);
            levels.push(if run >= 11 { (17, run as u64 - 11, 7) } else { (16, run as u64 - 3, 3) });
            at += 1 + run;
        } else {
            levels.push((usize::from(value), 0, 0));
            at += 1;
        }
    }
    levels
}
