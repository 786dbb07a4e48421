//! A decoder of packed data that is slow, obvious, and independent of the crate's: the oracle.
//!
//! One bit at a time, one byte at a time, all output kept.

/// How a member is packed.
#[derive(Clone, Debug)]
pub struct Packed {
    pub data: Vec<u8>,
    pub size: Option<u64>,
    pub solid: bool,
    pub dictionary: u64,
    pub large: bool,
}

/// Decodes members in order. State stays for solid ones.
#[derive(Default)]
pub struct Reference {
    history: Vec<u8>,
    dictionary: u64,
    distances: [u64; 4],
    last_length: u64,
    tables: Option<[Vec<u8>; 4]>,
}

type Outcome<T> = Result<T, &'static str>;

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Outcome<u64> {
        if self.at >= self.end {
            return Err("over the end of the block");
        }
        let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(u64::from(bit))
    }

    fn number(&mut self, bits: u64) -> Outcome<u64> {
        (0..bits).try_fold(0, |number, _| Ok(number << 1 | self.bit()?))
    }

    /// One symbol of a canonical code, by its definition: words of a length are counted up in symbol order.
    fn symbol(&mut self, lengths: &[u8]) -> Outcome<usize> {
        let mut word = 0;
        let mut first = 0;
        for length in 1..=15u8 {
            word = word << 1 | self.bit()?;
            first <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, other)| **other == length) {
                if word == first {
                    return Ok(symbol);
                }
                first += 1;
            }
        }
        Err("no such word")
    }
}

fn check_code(lengths: &[u8]) -> Outcome<()> {
    let sum: u32 = lengths.iter().filter(|length| **length > 0).map(|length| 1u32 << (15 - length)).sum();
    if sum > 1 << 15 { Err("oversubscribed") } else { Ok(()) }
}

fn read_tables(bits: &mut Bits<'_>, large: bool) -> Outcome<[Vec<u8>; 4]> {
    let mut levels = Vec::new();
    while levels.len() < 20 {
        match bits.number(4)? {
            15 => match bits.number(4)? {
                0 => levels.push(15),
                zeros => levels.extend(vec![0; zeros as usize + 2]),
            },
            length => levels.push(length as u8),
        }
    }
    levels.truncate(20);
    check_code(&levels)?;
    let sizes = [306, if large { 80 } else { 64 }, 16, 44];
    let total: usize = sizes.iter().sum();
    let mut all: Vec<u8> = Vec::new();
    while all.len() < total {
        let symbol = bits.symbol(&levels)?;
        let count = match symbol {
            0..16 => {
                all.push(symbol as u8);
                continue;
            }
            16 | 18 => 3 + bits.number(3)?,
            _ => 11 + bits.number(7)?,
        };
        let value = if symbol < 18 { *all.last().ok_or("repeats nothing")? } else { 0 };
        all.extend(vec![value; count as usize]);
    }
    all.truncate(total);
    let mut rest = all.as_slice();
    let tables = sizes.map(|size| {
        let (own, others) = rest.split_at(size);
        rest = others;
        own.to_vec()
    });
    tables.iter().try_for_each(|code| check_code(code))?;
    Ok(tables)
}

struct Filter {
    start: usize,
    length: usize,
    kind: u64,
    channels: usize,
}

impl Reference {
    pub fn decode(&mut self, packed: &Packed) -> Outcome<Vec<u8>> {
        if !packed.solid {
            *self = Self::default();
        }
        self.dictionary = self.dictionary.max(packed.dictionary);
        let start = self.history.len();
        let mut filters = Vec::new();
        let mut data = packed.data.as_slice();
        while !data.is_empty() {
            let is_last = self.block(&mut data, packed, start, &mut filters)?;
            if is_last {
                break;
            }
        }
        let mut out = self.history[start..].to_vec();
        if packed.size.is_some_and(|size| size != out.len() as u64) {
            return Err("another size");
        }
        for filter in filters {
            let end = filter.start + filter.length;
            let range = out.get_mut(filter.start..end).ok_or("a filter over the end")?;
            undo(&filter, range);
        }
        Ok(out)
    }

    fn block(
        &mut self,
        data: &mut &[u8],
        packed: &Packed,
        start: usize,
        filters: &mut Vec<Filter>,
    ) -> Outcome<bool> {
        let flags = data[0];
        let size_bytes = usize::from(flags >> 3 & 3) + 1;
        if size_bytes == 4 {
            return Err("a size of four bytes");
        }
        let header = data.get(..2 + size_bytes).ok_or("no whole header")?;
        if header.iter().fold(0, |sum, byte| sum ^ byte) != 0x5a {
            return Err("wrong checksum");
        }
        let size = header[2..].iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let payload = data.get(2 + size_bytes..2 + size_bytes + size).ok_or("no whole block")?;
        *data = &data[2 + size_bytes + size..];
        let end = if size == 0 { 0 } else { size * 8 - 7 + usize::from(flags & 7) };
        let mut bits = Bits { bytes: payload, at: 0, end };
        if flags & 0x80 != 0 {
            self.tables = Some(read_tables(&mut bits, packed.large)?);
        }
        let tables = self.tables.clone().ok_or("no tables")?;
        while bits.at < bits.end {
            self.symbol(&mut bits, &tables, start, filters)?;
            if packed.size.is_some_and(|size| (self.history.len() - start) as u64 > size) {
                return Err("too long");
            }
        }
        Ok(flags & 0x40 != 0)
    }

    fn symbol(
        &mut self,
        bits: &mut Bits<'_>,
        [main, distance, align, length]: &[Vec<u8>; 4],
        start: usize,
        filters: &mut Vec<Filter>,
    ) -> Outcome<()> {
        match bits.symbol(main)? {
            byte @ 0..256 => self.history.push(byte as u8),
            256 => {
                let filter = read_filter(bits, self.history.len() - start)?;
                let border = filters.last().map_or(0, |last| last.start + last.length);
                if filter.start < border || filter.length > 4 << 20 {
                    return Err("a filter out of place");
                }
                if filter.length > 0 {
                    filters.push(filter);
                }
            }
            257 => {
                if self.last_length > 0 {
                    self.copy(self.distances[0], self.last_length)?;
                }
            }
            symbol @ 258..262 => {
                let nth = symbol - 258;
                let distance = self.distances[nth];
                self.distances.copy_within(0..nth, 1);
                self.distances[0] = distance;
                let slot = bits.symbol(length)?;
                self.last_length = read_length(bits, slot)?;
                self.copy(distance, self.last_length)?;
            }
            symbol => {
                let mut length = read_length(bits, symbol - 262)?;
                let distance = read_distance(bits, distance, align)?;
                for border in [0x100, 0x2000, 0x4_0000] {
                    length += u64::from(distance > border);
                }
                self.distances.copy_within(0..3, 1);
                self.distances[0] = distance;
                self.last_length = length;
                self.copy(distance, length)?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, distance: u64, length: u64) -> Outcome<()> {
        if distance == 0 || distance > self.dictionary.min(self.history.len() as u64) {
            return Err("too far");
        }
        for _ in 0..length {
            self.history.push(self.history[self.history.len() - distance as usize]);
        }
        Ok(())
    }
}

fn read_length(bits: &mut Bits<'_>, slot: usize) -> Outcome<u64> {
    if slot < 8 {
        return Ok(slot as u64 + 2);
    }
    let added = slot as u64 / 4 - 1;
    Ok(((4 + slot as u64 % 4) << added) + bits.number(added)? + 2)
}

fn read_distance(bits: &mut Bits<'_>, code: &[u8], align: &[u8]) -> Outcome<u64> {
    let slot = bits.symbol(code)? as u64;
    if slot < 4 {
        return Ok(slot + 1);
    }
    let added = slot / 2 - 1;
    let base = (2 + slot % 2) << added;
    if added < 4 {
        return Ok(base + bits.number(added)? + 1);
    }
    let high = bits.number(added - 4)? << 4;
    Ok(base + high + bits.symbol(align)? as u64 + 1)
}

fn read_filter(bits: &mut Bits<'_>, here: usize) -> Outcome<Filter> {
    let number = |bits: &mut Bits<'_>| -> Outcome<usize> {
        let count = bits.number(2)? + 1;
        (0..count).try_fold(0, |number, nth| Ok(number | (bits.number(8)? as usize) << (8 * nth)))
    };
    let start = here + number(bits)?;
    let length = number(bits)?;
    let kind = bits.number(3)?;
    if kind > 3 {
        return Err("unknown filter");
    }
    let channels = if kind == 0 { bits.number(5)? as usize + 1 } else { 0 };
    Ok(Filter { start, length, kind, channels })
}

fn undo(filter: &Filter, data: &mut [u8]) {
    let packed = data.to_vec();
    let here = |at: usize| (filter.start + at) as u32;
    match filter.kind {
        0 => {
            let mut source = packed.iter();
            for channel in 0..filter.channels {
                let mut last = 0u8;
                for place in (channel..data.len()).step_by(filter.channels) {
                    last = last.wrapping_sub(*source.next().unwrap());
                    data[place] = last;
                }
            }
        }
        1 | 2 => {
            let mut at = 0;
            while at + 4 < data.len() {
                let opcode = data[at];
                at += 1;
                if opcode != 0xe8 && (filter.kind == 1 || opcode != 0xe9) {
                    continue;
                }
                let address = i32::from_le_bytes(data[at..at + 4].try_into().unwrap());
                let offset = (here(at) % (1 << 24)) as i32;
                let changed = if address < 0 {
                    (address.wrapping_add(offset) >= 0).then(|| address.wrapping_add(1 << 24))
                } else {
                    (address < 1 << 24).then(|| address.wrapping_sub(offset))
                };
                if let Some(changed) = changed {
                    data[at..at + 4].copy_from_slice(&changed.to_le_bytes());
                }
                at += 4;
            }
        }
        _ => {
            for at in (0..data.len().saturating_sub(3)).step_by(4) {
                if data[at + 3] == 0xeb {
                    let address = u32::from_le_bytes([data[at], data[at + 1], data[at + 2], 0]);
                    let changed = address.wrapping_sub(here(at) / 4).to_le_bytes();
                    data[at..at + 3].copy_from_slice(&changed[..3]);
                }
            }
        }
    }
}
