//! Writes archives byte by byte: stored files, and everything that `rar` does not write.
//!
//! Source of the formats: RARLAB, "RAR 5.0 archive format" and `technote.txt` of RAR 4.

/// What RAR 5 archives begin with.
pub(crate) const SIGNATURE_5: &[u8] = b"Rar!\x1a\x07\x01\x00";
/// What RAR 4 archives begin with.
pub(crate) const SIGNATURE_4: &[u8] = b"Rar!\x1a\x07\x00";

/// A number of RAR 5: seven bits in each byte, the lowest first.
pub(crate) fn vint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A header of RAR 5 with its CRC-32 and size.
pub(crate) fn header_5(body: &[u8]) -> Vec<u8> {
    let sized = [&vint(body.len() as u64)[..], body].concat();
    [&crc32fast::hash(&sized).to_le_bytes()[..], &sized].concat()
}

/// The main header of RAR 5.
pub(crate) fn main_5() -> Vec<u8> {
    header_5(&[1, 0, 0])
}

/// The end record of RAR 5.
pub(crate) fn end_5() -> Vec<u8> {
    header_5(&[5, 0, 0])
}

/// A file of RAR 5; the fields that tests change.
pub(crate) struct File5<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) data: &'a [u8],
    /// The unpacked size; that of the data if it is stored.
    pub(crate) size: u64,
    /// `st_mode`.
    pub(crate) mode: u64,
    /// The compression field; 0 is stored.
    pub(crate) compression: u64,
    /// Records of the extra area, each without its size.
    pub(crate) extra: Vec<Vec<u8>>,
    /// Further flags of the file: 8 says that the size is not known.
    pub(crate) flags: u64,
    /// What the header says about the CRC-32; that of the data if it says the truth.
    pub(crate) crc32: u32,
}

impl<'a> File5<'a> {
    pub(crate) fn new(name: &'a str, data: &'a str) -> Self {
        let (name, data) = (name.as_bytes(), data.as_bytes());
        let (size, crc32) = (data.len() as u64, crc32fast::hash(data));
        Self { name, data, size, mode: 0o100_644, compression: 0, extra: Vec::new(), flags: 0, crc32 }
    }

    /// With a record in the extra area: its type, and what follows.
    pub(crate) fn with_extra(mut self, kind: u64, rest: &[u8]) -> Self {
        self.extra.push([&vint(kind)[..], rest].concat());
        self
    }

    /// A link or a reference to `target`.
    pub(crate) fn linked(self, kind: u64, target: &str) -> Self {
        let rest = [&vint(kind)[..], &vint(0), &vint(target.len() as u64), target.as_bytes()].concat();
        self.with_extra(5, &rest)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let extra: Vec<u8> = self
            .extra
            .iter()
            .flat_map(|record| [vint(record.len() as u64), record.clone()].concat())
            .collect();
        let body = [
            vint(2),
            vint(2 | u64::from(!extra.is_empty())),
            if extra.is_empty() { Vec::new() } else { vint(extra.len() as u64) },
            vint(self.data.len() as u64),
            vint(2 | 4 | self.flags),
            vint(self.size),
            vint(self.mode),
            1_735_689_600_u32.to_le_bytes().to_vec(),
            self.crc32.to_le_bytes().to_vec(),
            vint(self.compression),
            vint(1),
            vint(self.name.len() as u64),
            self.name.to_vec(),
            extra,
        ];
        [header_5(&body.concat()), self.data.to_vec()].concat()
    }
}

/// A whole RAR 5 archive.
pub(crate) fn rar_5(files: &[File5<'_>]) -> Vec<u8> {
    let files: Vec<u8> = files.iter().flat_map(File5::bytes).collect();
    [SIGNATURE_5, &main_5(), &files, &end_5()].concat()
}

/// A header of RAR 4.
pub(crate) fn header_4(kind: u8, flags: u16, rest: &[u8]) -> Vec<u8> {
    header_4_before(kind, flags, rest, &[])
}

/// The main header of RAR 4.
pub(crate) fn main_4() -> Vec<u8> {
    header_4(0x73, 0, &[0; 6])
}

/// The end record of RAR 4.
pub(crate) fn end_4() -> Vec<u8> {
    header_4(0x7b, 0x4000, &[])
}

/// A stored file of RAR 4, packed on Unix.
pub(crate) fn file_4(name: &[u8], data: &[u8], flags: u16, mode: u32) -> Vec<u8> {
    // 2025-01-01 00:00:00.
    member_4(name, data, flags, mode, (45 << 25) | (1 << 21) | (1 << 16), STORED_4)
}

/// Version 29 of the format, stored.
pub(crate) const STORED_4: [u8; 2] = [29, 0x30];

/// A regular file of RAR 4 with a DOS time, and with the version of the format and the method.
pub(crate) fn file_4_at(name: &str, data: &str, time: u32, method: [u8; 2]) -> Vec<u8> {
    member_4(name.as_bytes(), data.as_bytes(), 0, 0o100_644, time, method)
}

fn member_4(name: &[u8], data: &[u8], flags: u16, mode: u32, time: u32, method: [u8; 2]) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap().to_le_bytes();
    let rest = [
        &size[..],
        &size,
        &[3],
        &crc32fast::hash(data).to_le_bytes(),
        &time.to_le_bytes(),
        &method,
        &u16::try_from(name.len()).unwrap().to_le_bytes(),
        &mode.to_le_bytes(),
        name,
    ];
    [header_4(0x74, 0x8000 | flags, &rest.concat()), data.to_vec()].concat()
}

/// A regular file of RAR 4.
pub(crate) fn plain_4(name: &str, data: &str) -> Vec<u8> {
    file_4(name.as_bytes(), data.as_bytes(), 0, 0o100_644)
}

/// A header of RAR 4 with bytes after it that its size counts and its CRC does not, as in RAR 1.5 and 2.
fn header_4_before(kind: u8, flags: u16, rest: &[u8], inside: &[u8]) -> Vec<u8> {
    let size = u16::try_from(7 + rest.len() + inside.len()).unwrap();
    let checked = [&[kind][..], &flags.to_le_bytes(), &size.to_le_bytes(), rest].concat();
    let crc = u16::try_from(crc32fast::hash(&checked) & 0xffff).unwrap();
    [&crc.to_le_bytes()[..], &checked, inside].concat()
}

/// The headers of this file, with a comment inside them.
pub(crate) fn with_comment_4(file: &[u8], data: &[u8], comment: &[u8]) -> Vec<u8> {
    const HAS_COMMENT: u16 = 0x0008;
    let fields = &file[7..file.len() - data.len()];
    [header_4_before(0x74, 0x8000 | HAS_COMMENT, fields, &comment_4(comment)), data.to_vec()].concat()
}

/// The main header of RAR 4, with a comment inside it.
pub(crate) fn main_with_comment_4(comment: &[u8]) -> Vec<u8> {
    const HAS_COMMENT: u16 = 0x0002;
    header_4_before(0x73, HAS_COMMENT, &[0; 6], &comment_4(comment))
}

fn comment_4(comment: &[u8]) -> Vec<u8> {
    let crc = u16::try_from(crc32fast::hash(comment) & 0xffff).unwrap().to_le_bytes();
    let size = u16::try_from(comment.len()).unwrap().to_le_bytes();
    header_4_before(0x75, 0, &[&size[..], &[15, 0x30], &crc].concat(), comment)
}

/// A whole RAR 4 archive.
pub(crate) fn rar_4(files: &[Vec<u8>]) -> Vec<u8> {
    [SIGNATURE_4, &main_4(), &files.concat(), &end_4()].concat()
}
