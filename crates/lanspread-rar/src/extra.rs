//! Records in the extra area of a file header (technote, "File header", extra area).

use crate::error::{Error, Result};
use crate::fields::{Field, Fields};
use crate::header::{FileHeader, Redirection, RedirectionKind, Timestamp};

const ENCRYPTION: u64 = 0x01;
const HASH: u64 = 0x02;
const TIME: u64 = 0x03;
const VERSION: u64 = 0x04;
const REDIRECTION: u64 = 0x05;

/// The one type of checksum that there is.
const BLAKE2SP: u64 = 0;

/// Adds what the records say to the file. Unknown ones (owner, service data, checksums of other types) are left out.
///
/// The header's CRC-32 was right, so a record that does not fit was written like that. As in `unrar`, the records end
/// there, and a time or a checksum that is cut short is left out. A redirection must be whole: without it, a link would
/// be a file.
pub(crate) fn read(extra: &[u8], file: &mut FileHeader) -> Result<()> {
    let offset = file.block.offset;
    let mut records = Fields::new(extra);
    while let Some((kind, record)) = next_record(&mut records) {
        match kind {
            ENCRYPTION => file.is_encrypted = true,
            HASH => file.blake2sp = blake2sp(record).or(file.blake2sp),
            TIME => file.modified = modified(record).ok().flatten().or(file.modified),
            VERSION => file.version = version(record).ok(),
            REDIRECTION => {
                let redirection = redirection(record).map_err(|reason| Error::Header { offset, reason })?;
                file.redirection = Some(redirection);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The type of the next record and the rest of it; `None` at the end, or if it does not fit.
fn next_record<'a>(records: &mut Fields<'a>) -> Option<(u64, Fields<'a>)> {
    let size = records.vint().ok()?;
    let mut record = Fields::new(records.bytes(size).ok()?);
    Some((record.vint().ok()?, record))
}

fn blake2sp(mut record: Fields<'_>) -> Option<[u8; 32]> {
    if record.vint() == Ok(BLAKE2SP) { record.digest().ok() } else { None }
}

/// The time of the last change, which comes first, and its nanoseconds, which follow all whole seconds.
fn modified(mut record: Fields<'_>) -> Field<Option<Timestamp>> {
    let flags = record.vint()?;
    let [is_unix, has_modified, has_created, has_accessed, has_nanoseconds] =
        [0x01, 0x02, 0x04, 0x08, 0x10].map(|flag| flags & flag != 0);
    if !has_modified {
        return Ok(None);
    }
    if !is_unix {
        return Ok(Some(windows_time(record.u64()?)));
    }
    let seconds = i64::from(record.u32()?);
    let mut nanoseconds = 0;
    if has_nanoseconds {
        for _ in 0..usize::from(has_created) + usize::from(has_accessed) {
            record.u32()?;
        }
        nanoseconds = record.u32()? & 0x3fff_ffff;
    }
    if nanoseconds >= 1_000_000_000 {
        return Err("a time has more than 999,999,999 nanoseconds");
    }
    Ok(Some(Timestamp { seconds, nanoseconds }))
}

/// `FILETIME`: steps of 100 ns since 1601-01-01.
fn windows_time(steps: u64) -> Timestamp {
    const STEPS_PER_SECOND: u64 = 10_000_000;
    const SECONDS_FROM_1601_TO_1970: i64 = 11_644_473_600;
    // Both fit: the quotient is below 2^41, the remainder below 10^7.
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)]
    Timestamp {
        seconds: (steps / STEPS_PER_SECOND) as i64 - SECONDS_FROM_1601_TO_1970,
        nanoseconds: (steps % STEPS_PER_SECOND) as u32 * 100,
    }
}

fn version(mut record: Fields<'_>) -> Field<u64> {
    // Flags, of which none is defined.
    record.vint()?;
    record.vint()
}

fn redirection(mut record: Fields<'_>) -> Field<Redirection> {
    let kind = match record.vint()? {
        1 => RedirectionKind::UnixSymlink,
        2 => RedirectionKind::WindowsSymlink,
        3 => RedirectionKind::WindowsJunction,
        4 => RedirectionKind::HardLink,
        5 => RedirectionKind::FileCopy,
        other => RedirectionKind::Other(other),
    };
    let flags = record.vint()?;
    let name_bytes = record.vint()?;
    Ok(Redirection { kind, is_directory: flags & 0x01 != 0, target: record.bytes(name_bytes)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Compression, HeaderBlock, Host};

    fn read_all(extra: &[u8]) -> Result<FileHeader> {
        let mut file = FileHeader {
            block: HeaderBlock::default(),
            name: b"a".to_vec(),
            is_directory: false,
            unpacked_bytes: Some(0),
            attributes: 0,
            host: Host::Unix,
            modified: None,
            crc32: Some(7),
            blake2sp: None,
            compression: Compression::default(),
            is_encrypted: false,
            redirection: None,
            version: None,
        };
        read(extra, &mut file).map(|()| file)
    }

    #[test]
    fn records_that_do_not_fit_end_the_records() {
        let time = [6, 3, 0x03, 1, 0, 0, 0];
        assert!(read_all(&time).unwrap().modified.is_some());
        for cut in 0..time.len() {
            assert_eq!(read_all(&time[..cut]).unwrap().modified, None, "{cut}");
        }
        assert!(read_all(&[&time[..], &[200, 1, 4]].concat()).unwrap().modified.is_some());
        let unknown_checksum = [2, 2, 9];
        let file = read_all(&[&unknown_checksum[..], &time].concat()).unwrap();
        assert_eq!((file.blake2sp, file.crc32), (None, Some(7)));
        assert!(file.modified.is_some());
    }

    #[test]
    fn a_redirection_must_be_whole() {
        assert!(read_all(&[5, 5, 1, 0, 1, b'a']).unwrap().redirection.is_some());
        assert!(read_all(&[4, 5, 1, 0, 1]).is_err());
    }

    #[test]
    fn times_of_both_systems() {
        let time = |bytes: &[u8]| modified(Fields::new(bytes));
        assert_eq!(time(&[0x04]), Ok(None));
        assert_eq!(time(&[0x03, 1, 0, 0, 0]), Ok(Some(Timestamp { seconds: 1, nanoseconds: 0 })));
        let with_access = [0x1b, 1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0];
        assert_eq!(time(&with_access), Ok(Some(Timestamp { seconds: 1, nanoseconds: 7 })));
        let epoch = 116_444_736_000_000_000u64;
        let windows = [&[0x02][..], &(epoch + 12_345_678).to_le_bytes()].concat();
        assert_eq!(time(&windows), Ok(Some(Timestamp { seconds: 1, nanoseconds: 234_567_800 })));
        assert!(time(&[0x03, 1, 0, 0]).is_err());
        assert_eq!(windows_time(0).seconds, -11_644_473_600);
        assert!(windows_time(u64::MAX).seconds > 0);
    }
}
