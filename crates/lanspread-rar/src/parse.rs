//! Reads headers from their bytes.
//!
//! Source: RARLAB, "RAR 5.0 archive format" (the technote), <https://www.rarlab.com/technote.htm>.

use crate::error::{Error, Result};
use crate::extra;
use crate::fields::{Field, Fields};
use crate::header::{
    Compression, EndHeader, FileHeader, Header, HeaderBlock, Host, MainHeader, Service, Timestamp,
};

// Header types.
pub(crate) const MAIN: u64 = 1;
const FILE: u64 = 2;
const SERVICE: u64 = 3;
pub(crate) const ENCRYPTION: u64 = 4;
const END: u64 = 5;

// Flags of all headers.
const HAS_EXTRA: u64 = 0x01;
const HAS_DATA: u64 = 0x02;
const SPLIT_BEFORE: u64 = 0x08;
const SPLIT_AFTER: u64 = 0x10;

/// Reads a header from its bytes after CRC-32 and size. `block` has its offset and size.
pub(crate) fn header(bytes: &[u8], mut block: HeaderBlock) -> Result<Header> {
    let offset = block.offset;
    let invalid = |reason| Error::Header { offset, reason };
    let mut fields = Fields::new(bytes);
    let extra = common(&mut fields, &mut block).map_err(invalid)?;
    match block.kind {
        MAIN => parse_main(fields, block).map(Header::Main).map_err(invalid),
        FILE => parse_file(fields, extra, block).map(|file| Header::File(Box::new(file))),
        SERVICE => {
            let (file, _) = file_fields(fields, block).map_err(invalid)?;
            Ok(Header::Service(Service { block, name: file.name }))
        }
        ENCRYPTION => Err(Error::EncryptedHeaders),
        END => parse_end(fields, block).map(Header::End).map_err(invalid),
        _ => Ok(Header::Unknown(block)),
    }
}

/// The fields that all headers have. Leaves those of the header's type in `fields`, and returns the extra area.
fn common<'a>(fields: &mut Fields<'a>, block: &mut HeaderBlock) -> Field<&'a [u8]> {
    block.kind = fields.vint()?;
    let flags = fields.vint()?;
    let extra_bytes = if flags & HAS_EXTRA == 0 { 0 } else { fields.vint()? };
    block.data_bytes = if flags & HAS_DATA == 0 { 0 } else { fields.vint()? };
    block.split_before = flags & SPLIT_BEFORE != 0;
    block.split_after = flags & SPLIT_AFTER != 0;
    let own =
        (fields.left() as u64).checked_sub(extra_bytes).ok_or("its extra area is larger than itself")?;
    let own_fields = Fields::new(fields.bytes(own)?);
    let extra = fields.bytes(extra_bytes)?;
    *fields = own_fields;
    Ok(extra)
}

fn parse_main(mut fields: Fields<'_>, block: HeaderBlock) -> Field<MainHeader> {
    let flags = fields.vint()?;
    let volume_number = if flags & 0x02 == 0 { None } else { Some(fields.vint()?) };
    // The extra area has the places of the quick-open and the recovery record, which nothing here uses.
    Ok(MainHeader {
        block,
        is_volume: flags & 0x01 != 0,
        volume_number,
        is_solid: flags & 0x04 != 0,
        has_recovery_record: flags & 0x08 != 0,
        is_locked: flags & 0x10 != 0,
    })
}

fn parse_end(mut fields: Fields<'_>, block: HeaderBlock) -> Field<EndHeader> {
    // Some writers leave the flags out; then none is set.
    let flags = if fields.left() == 0 { 0 } else { fields.vint()? };
    Ok(EndHeader { block, has_next_volume: flags & 0x01 != 0 })
}

fn parse_file(fields: Fields<'_>, extra: &[u8], block: HeaderBlock) -> Result<FileHeader> {
    let invalid = |reason| Error::Header { offset: block.offset, reason };
    let (mut file, compression_field) = file_fields(fields, block).map_err(invalid)?;
    file.compression = compression(compression_field)?;
    extra::read(extra, &mut file)?;
    Ok(file)
}

/// The fields of a file or service header, the compression not yet taken apart.
fn file_fields(mut fields: Fields<'_>, block: HeaderBlock) -> Field<(FileHeader, u64)> {
    let flags = fields.vint()?;
    let unpacked_bytes = fields.vint()?;
    let attributes = fields.vint()?;
    let modified = if flags & 0x02 == 0 { None } else { Some(fields.u32()?) };
    let crc32 = if flags & 0x04 == 0 { None } else { Some(fields.u32()?) };
    let compression_field = fields.vint()?;
    let host = match fields.vint()? {
        0 => Host::Windows,
        1 => Host::Unix,
        other => Host::Other(other),
    };
    let name_bytes = fields.vint()?;
    let file = FileHeader {
        block,
        name: fields.bytes(name_bytes)?.to_vec(),
        is_directory: flags & 0x01 != 0,
        unpacked_bytes: (flags & 0x08 == 0).then_some(unpacked_bytes),
        attributes,
        host,
        modified: modified.map(|seconds| Timestamp { seconds: i64::from(seconds), nanoseconds: 0 }),
        crc32,
        blake2sp: None,
        compression: Compression::default(),
        is_encrypted: false,
        redirection: None,
        version: None,
    };
    Ok((file, compression_field))
}

/// Bits of the compression field (technote, "Compression information"). Version 1 came with RAR 7: dictionaries in
/// steps of 1/32, and up to 16 more distance slots unless bit 20 says that the data is of version 0.
fn compression(field: u64) -> Result<Compression> {
    let version = field & 0x3f;
    let exponent = (field >> 10) & 0x1f;
    let fraction = (field >> 15) & 0x1f;
    let (dictionary_bytes, has_large_distances) = match version {
        0 => ((128 << 10) << (exponent & 0x0f), false),
        1 => ((32 + fraction) << (12 + exponent), field & (1 << 20) == 0),
        _ => return Err(Error::Unsupported { what: "version of compression", got: version }),
    };
    let method = (field >> 7) & 0x07;
    if method > 5 {
        return Err(Error::Unsupported { what: "method of compression", got: method });
    }
    Ok(Compression {
        // At most 5.
        #[allow(clippy::cast_possible_truncation)]
        method: method as u8,
        is_solid: field & 0x40 != 0,
        has_large_distances,
        dictionary_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_of_both_versions() {
        let bytes = |field| compression(field).unwrap().dictionary_bytes;
        assert_eq!(bytes(0), 128 << 10);
        assert_eq!(bytes(8 << 10), 32 << 20);
        assert_eq!(bytes(15 << 10), 4 << 30);
        // 128 KiB, 192 KiB, 64 GiB, and the largest that the fields can hold.
        assert_eq!(bytes(1), 128 << 10);
        assert_eq!(bytes(1 | 16 << 15), 192 << 10);
        assert_eq!(bytes(1 | 19 << 10), 64 << 30);
        assert_eq!(bytes(1 | 31 << 10 | 31 << 15), 63 << 43);
    }

    #[test]
    fn compression_of_rar_5_in_an_archive_of_rar_7() {
        assert!(compression(1).unwrap().has_large_distances);
        assert!(!compression(1 | 1 << 20).unwrap().has_large_distances);
        assert!(!compression(0).unwrap().has_large_distances);
        assert!(matches!(compression(2), Err(Error::Unsupported { got: 2, .. })));
        assert!(matches!(compression(6 << 7), Err(Error::Unsupported { got: 6, .. })));
    }

    #[test]
    fn headers_that_are_too_short_are_errors() {
        let bytes = [2, 3, 1, 0, 4, 5, 0xa4, 3, 1, 2, 3, 4, 0, 1, 1, b'a', 9];
        for length in 0..bytes.len() {
            assert!(header(&bytes[..length], HeaderBlock::default()).is_err(), "{length}");
        }
    }
}
