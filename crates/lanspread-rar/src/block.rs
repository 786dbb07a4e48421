//! The blocks that packed data consists of, and their headers.
//!
//! Source: libarchive's `archive_read_support_format_rar5.c` and the `rars` crate, `codec/rar50.rs`.

use crate::error::DataError;

/// The part of a block header that is always there: flags, checksum and the first byte of the size.
pub(crate) const HEADER_BYTES_MIN: usize = 3;

/// What a block header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    /// Bytes of the block after its header; at most 16 MiB.
    pub(crate) bytes: usize,
    /// Bits of these that count.
    pub(crate) bits: usize,
    /// It begins with tables.
    pub(crate) has_tables: bool,
    /// It is the last of its member.
    pub(crate) is_last: bool,
}

/// Bytes of the whole header that begins with these flags.
pub(crate) fn header_bytes(flags: u8) -> Result<usize, DataError> {
    match flags >> 3 & 3 {
        3 => Err(DataError::BlockSizeField),
        more => Ok(HEADER_BYTES_MIN + usize::from(more)),
    }
}

/// Reads a header from as many bytes as [`header_bytes`] says.
pub(crate) fn parse(header: &[u8]) -> Result<BlockHeader, DataError> {
    let &[flags, expected, ref size @ ..] = header else { return Err(DataError::BlockTruncated) };
    let got = size.iter().fold(0x5a ^ flags, |sum, byte| sum ^ byte);
    if got != expected {
        return Err(DataError::BlockChecksum { expected, got });
    }
    let bytes = size.iter().rev().fold(0, |bytes, byte| bytes << 8 | usize::from(*byte));
    let bits = if bytes == 0 { 0 } else { (bytes - 1) * 8 + usize::from(flags & 7) + 1 };
    Ok(BlockHeader { bytes, bits, has_tables: flags & 0x80 != 0, is_last: flags & 0x40 != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_size() {
        let parse_sealed = |flags: u8, size: &[u8]| {
            let sum = size.iter().fold(0x5a ^ flags, |sum, byte| sum ^ byte);
            parse(&[&[flags, sum], size].concat())
        };
        let header = parse_sealed(0xc0 | 2, &[5]).unwrap();
        assert_eq!(header, BlockHeader { bytes: 5, bits: 35, has_tables: true, is_last: true });
        assert_eq!(parse_sealed(0x08 | 7, &[1, 2]).unwrap().bits, 0x201 * 8);
        assert_eq!(parse_sealed(0x10, &[1, 2, 3]).unwrap().bytes, 0x03_0201);
        assert_eq!(parse_sealed(0, &[0]).unwrap().bits, 0);
        assert_eq!((header_bytes(0), header_bytes(0x10)), (Ok(3), Ok(5)));
        assert_eq!(header_bytes(0x18), Err(DataError::BlockSizeField));
        assert!(matches!(parse(&[0, 0, 0]), Err(DataError::BlockChecksum { expected: 0, got: 0x5a })));
    }
}
