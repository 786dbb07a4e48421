//! Makes archives: headers around given data.

/// A member to write.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub packed: Vec<u8>,
    pub size: Option<u64>,
    pub crc32: Option<u32>,
    pub method: u8,
    pub solid: bool,
    /// Dictionary of version 0 is `128 KiB << exponent`.
    pub exponent: u8,
    /// Version 1: steps of 1/32, and whether the data is of version 0 nevertheless.
    pub version_1: Option<(u8, bool)>,
    pub extra: Vec<u8>,
}

impl Entry {
    pub fn stored(name: &str, data: &[u8]) -> Self {
        Self { method: 0, ..Self::packed(name, data.to_vec(), data) }
    }

    /// Packed data that unpacks to `data`.
    pub fn packed(name: &str, packed: Vec<u8>, data: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            packed,
            size: Some(data.len() as u64),
            crc32: Some(crc32fast::hash(data)),
            method: 3,
            solid: false,
            exponent: 3,
            version_1: None,
            extra: Vec::new(),
        }
    }

    pub fn solid(self) -> Self {
        Self { solid: true, ..self }
    }

    fn compression(&self) -> u64 {
        let common =
            u64::from(self.solid) << 6 | u64::from(self.method) << 7 | u64::from(self.exponent) << 10;
        match self.version_1 {
            None => common,
            Some((fraction, is_0)) => common | 1 | u64::from(fraction) << 15 | u64::from(is_0) << 20,
        }
    }

    /// The header for `data_bytes` of the data.
    pub fn header(&self, data_bytes: usize, before: bool, after: bool) -> Vec<u8> {
        let file_flags = u64::from(self.crc32.is_some()) << 2 | u64::from(self.size.is_none()) << 3;
        let flags = u64::from(!self.extra.is_empty()) | 2 | u64::from(before) << 3 | u64::from(after) << 4;
        let mut body = [vint(2), vint(flags)].concat();
        if !self.extra.is_empty() {
            body.extend(vint(self.extra.len() as u64));
        }
        body.extend(vint(data_bytes as u64));
        body.extend(vint(file_flags));
        body.extend(vint(self.size.unwrap_or(0)));
        body.extend(vint(0o100_644));
        body.extend(self.crc32.iter().flat_map(|crc32| crc32.to_le_bytes()));
        body.extend(vint(self.compression()));
        body.extend(vint(1));
        body.extend(vint(self.name.len() as u64));
        body.extend(self.name.as_bytes());
        body.extend(&self.extra);
        header(&body)
    }
}

pub fn vint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A header around its fields.
pub fn header(body: &[u8]) -> Vec<u8> {
    let sized = [&vint(body.len() as u64), body].concat();
    [&crc32fast::hash(&sized).to_le_bytes(), &sized[..]].concat()
}

/// Signature and main header. `volume` is the number of one of several volumes.
pub fn begin(solid: bool, volume: Option<u64>) -> Vec<u8> {
    let flags = u64::from(volume.is_some())
        | u64::from(volume.is_some_and(|number| number > 0)) << 1
        | u64::from(solid) << 2;
    let mut body = [vint(1), vint(0), vint(flags)].concat();
    if let Some(number) = volume.filter(|number| *number > 0) {
        body.extend(vint(number));
    }
    [&b"Rar!\x1a\x07\x01\x00"[..], &header(&body)].concat()
}

pub fn end(has_next: bool) -> Vec<u8> {
    header(&[vint(5), vint(0), vint(u64::from(has_next))].concat())
}

/// A service record with data.
pub fn service(name: &str, data: &[u8]) -> Vec<u8> {
    let entry = Entry::stored(name, data);
    let mut record = entry.header(data.len(), false, false);
    // The type follows CRC-32 and size, which has one byte here.
    record[5] = 3;
    let crc32 = crc32fast::hash(&record[4..]);
    record[..4].copy_from_slice(&crc32.to_le_bytes());
    [&record, data].concat()
}

/// A record of an extra area.
pub fn record(kind: u64, fields: &[u8]) -> Vec<u8> {
    let body = [&vint(kind), fields].concat();
    [vint(body.len() as u64), body].concat()
}

/// A whole archive in one volume.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let solid = entries.iter().any(|entry| entry.solid);
    let mut bytes = begin(solid, None);
    for entry in entries {
        bytes.extend(entry.header(entry.packed.len(), false, false));
        bytes.extend(&entry.packed);
    }
    bytes.extend(end(false));
    bytes
}

/// Volumes, cut in the data of the only member at these places.
pub fn volumes(entry: &Entry, cuts: &[usize]) -> Vec<Vec<u8>> {
    let borders = [&[0][..], cuts, &[entry.packed.len()]].concat();
    let count = borders.len() - 1;
    (0..count)
        .map(|number| {
            let data = &entry.packed[borders[number]..borders[number + 1]];
            let (before, after) = (number > 0, number + 1 < count);
            let part = Entry {
                crc32: entry.crc32.map(|crc32| if after { crc32fast::hash(data) } else { crc32 }),
                ..entry.clone()
            };
            let part_header = part.header(data.len(), before, after);
            [begin(entry.solid, Some(number as u64)), part_header, data.to_vec(), end(after)].concat()
        })
        .collect()
}
