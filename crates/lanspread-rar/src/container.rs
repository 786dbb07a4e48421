//! One volume: its signature, its headers, and the data between them.

use std::io::Read;

use crate::error::{Error, Result};
use crate::header::{Header, HeaderBlock};
use crate::input::{Input, Skip};
use crate::limits::Limits;
use crate::parse;

pub(crate) const SIGNATURE: &[u8; 8] = b"Rar!\x1a\x07\x01\x00";
const SIGNATURE_OF_RAR_4: &[u8; 7] = b"Rar!\x1a\x07\x00";

/// CRC-32 and a size of at most three bytes (technote, "General archive block format").
const HEADER_START_BYTES: usize = 7;
/// What three bytes of seven bits can state.
const HEADER_BYTES_MAX: u64 = (1 << 21) - 1;

/// What headers have cost so far; goes from volume to volume.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    headers: u64,
    header_bytes: u64,
}

/// A volume that is being read.
pub(crate) struct Container<R> {
    input: Input<R>,
    /// Data of the last header that was not read.
    data_left: u64,
    spent: Spent,
    /// The last header's bytes.
    header: Vec<u8>,
    has_ended: bool,
}

impl<R: Read> Container<R> {
    /// Finds the signature and consumes it.
    pub(crate) fn open(mut input: Input<R>, limits: &Limits, spent: Spent) -> Result<Self> {
        find_signature(&mut input, limits.prefix_bytes)?;
        Ok(Self { input, data_left: 0, spent, header: Vec::new(), has_ended: false })
    }

    pub(crate) fn spent(&self) -> Spent {
        self.spent
    }

    /// Data of the last header that was not read.
    pub(crate) fn data_left(&self) -> u64 {
        self.data_left
    }

    /// The bytes of the last header, as they are in the volume.
    pub(crate) fn header_bytes(&self) -> &[u8] {
        &self.header
    }

    /// Bytes of this volume that were read.
    pub(crate) fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Adds `count` bytes of the last header's data to `out`. There must be as many.
    pub(crate) fn append_data(&mut self, out: &mut Vec<u8>, count: usize) -> Result<()> {
        debug_assert!(count as u64 <= self.data_left, "reads more data than a header has");
        self.input.append(out, count, "the data of a member")?;
        self.data_left -= count as u64;
        Ok(())
    }
}

impl<R: Skip> Container<R> {
    /// The next header; `None` after the end record.
    pub(crate) fn next_header(&mut self, limits: &Limits) -> Result<Option<Header>> {
        if self.has_ended {
            return Ok(None);
        }
        self.input.skip_data(self.data_left)?;
        self.data_left = 0;
        let offset = self.input.offset();
        let start = self.input.peek(HEADER_START_BYTES)?;
        if start.is_empty() {
            return Err(Error::EndMissing { offset });
        }
        let frame = frame(start, offset)?;
        self.spent.headers += 1;
        check_limit("headers", limits.headers, self.spent.headers)?;
        self.spent.header_bytes += frame.whole as u64;
        check_limit("bytes of headers", limits.header_bytes, self.spent.header_bytes)?;
        self.header.clear();
        self.input.append(&mut self.header, frame.whole, "a header")?;
        let got = crc32fast::hash(&self.header[4..]);
        if got != frame.crc32 {
            return Err(Error::HeaderChecksum { offset, expected: frame.crc32, got });
        }
        let block = HeaderBlock { offset, header_bytes: frame.whole as u64, ..HeaderBlock::default() };
        let header = parse::header(&self.header[frame.content..], block)?;
        self.has_ended = matches!(header, Header::End(_));
        self.data_left = if self.has_ended { 0 } else { header.block().data_bytes };
        Ok(Some(header))
    }
}

fn check_limit(what: &'static str, limit: u64, got: u64) -> Result<()> {
    if got > limit { Err(Error::Limit { what, limit, got }) } else { Ok(()) }
}

/// The first bytes of a header.
#[derive(Clone, Copy)]
struct Frame {
    crc32: u32,
    /// Where the bytes after the size begin.
    content: usize,
    /// Bytes of the header, CRC-32 and size included.
    whole: usize,
}

fn frame(start: &[u8], offset: u64) -> Result<Frame> {
    let mut fields = crate::fields::Fields::new(start);
    let truncated = |_| Error::Truncated { what: "a header", offset: offset + start.len() as u64 };
    let crc32 = fields.u32().map_err(truncated)?;
    let size = match fields.vint() {
        Ok(size) => size,
        Err(_) if start.len() < HEADER_START_BYTES => return Err(truncated("")),
        Err(_) => HEADER_BYTES_MAX + 1,
    };
    if size == 0 || size > HEADER_BYTES_MAX {
        return Err(Error::Header { offset, reason: "its size is not between 1 byte and 2 MiB" });
    }
    let content = start.len() - fields.left();
    // At most 2 MiB, checked above.
    #[allow(clippy::cast_possible_truncation)]
    Ok(Frame { crc32, content, whole: content + size as usize })
}

/// Finds the signature and consumes it. Bytes before it are a self-extracting archive's program, which may contain a signature
/// by chance: one that is not at the very beginning counts only before a header with the right CRC-32.
fn find_signature<R: Read>(input: &mut Input<R>, prefix_bytes: u64) -> Result<()> {
    // Enough for the first headers that `rar` writes: a main header, or one that says that the others are encrypted.
    const LOOK_AHEAD_BYTES: usize = 4096;
    let mut saw_rar_4 = false;
    loop {
        let offset = input.offset();
        let seen = input.peek(LOOK_AHEAD_BYTES)?;
        let is_within = offset <= prefix_bytes;
        if is_within
            && seen.starts_with(SIGNATURE)
            && (offset == 0 || begins_archive(&seen[SIGNATURE.len()..]))
        {
            input.consume(SIGNATURE.len());
            return Ok(());
        }
        let is_rar_4 = seen.starts_with(SIGNATURE_OF_RAR_4);
        saw_rar_4 |= is_rar_4;
        // An archive of RAR 4 may contain one of RAR 5 as a file.
        let begins_rar_4 =
            is_rar_4 && (offset == 0 || begins_archive_of_rar_4(&seen[SIGNATURE_OF_RAR_4.len()..]));
        if seen.is_empty() || !is_within || begins_rar_4 {
            return Err(if saw_rar_4 { Error::Rar4 } else { Error::NotRar { searched: offset } });
        }
        let next = seen[1..].iter().position(|byte| *byte == SIGNATURE[0]).map_or(seen.len(), |at| at + 1);
        input.consume(next);
    }
}

/// Whether these bytes are a header of those that can come first.
fn begins_archive(bytes: &[u8]) -> bool {
    let Ok(frame) = frame(bytes.get(..HEADER_START_BYTES).unwrap_or_default(), 0) else { return false };
    let Some(header) = bytes.get(..frame.whole) else { return false };
    let kind = crate::fields::Fields::new(&header[frame.content..]).vint();
    crc32fast::hash(&header[4..]) == frame.crc32 && matches!(kind, Ok(parse::MAIN | parse::ENCRYPTION))
}

/// The same for a main header of RAR 4 (RARLAB, `technote.txt` of RAR 4): the low half of the CRC-32, type, flags, size.
fn begins_archive_of_rar_4(bytes: &[u8]) -> bool {
    const MAIN_OF_RAR_4: u8 = 0x73;
    let &[crc_low, crc_high, MAIN_OF_RAR_4, _, _, size_low, size_high, ..] = bytes else { return false };
    let size = usize::from(u16::from_le_bytes([size_low, size_high]));
    let checked = bytes.get(2..size).unwrap_or_default();
    crc32fast::hash(checked).to_le_bytes()[..2] == [crc_low, crc_high]
}
