//! What the program does not say about headers, so that they are read here.
//!
//! - An archive of RAR 5 that was cut exactly between two entries decodes as listed, and the rest is missing. The program
//!   reports nothing.
//! - If the archive's comment is damaged, or is of the kind that RAR 1.5 and 2 wrote, the program ends as it does with a
//!   damaged header, and names neither. Comments are not installed.
//!
//! Everything else is for the program to judge.

use lanspread_rar::{Error, Headers, Limits};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::set::{ArchiveSet, Volume};

/// Refuses an archive of RAR 5 of which a volume lacks the end record.
pub(super) fn check_end(archive: &ArchiveSet, cancel: &CancellationToken) -> Result<(), ArchiveError> {
    let mut limits = Limits::default();
    limits.headers = limits::ARCHIVE_HEADERS_MAX;
    limits.header_bytes = limits::ARCHIVE_HEADER_BYTES_MAX;
    for number in 0..archive.volumes() {
        let volume = archive
            .open(number)
            .map_err(|source| ArchiveError::Read { path: archive.path(number), source })?;
        let Ok(headers) = Headers::seek(volume, limits.clone()) else { continue };
        for header in headers {
            if cancel.is_cancelled() {
                return Err(ArchiveError::Cancelled);
            }
            if let Err(Error::EndMissing { .. }) = header {
                return Err(ArchiveError::corrupt(archive.name(), "it ends before its end record"));
            }
        }
    }
    Ok(())
}

/// Whether every header of every volume is whole, comments aside.
pub(super) fn are_whole(archive: &ArchiveSet) -> Result<bool, ArchiveError> {
    let rar4_options = rars::ArchiveReadOptions::new()
        .with_max_header_count(limits::ARCHIVE_HEADERS_MAX)
        .with_max_header_bytes(limits::ARCHIVE_HEADER_BYTES_MAX);
    for number in 0..archive.volumes() {
        let is_whole = match Headers::seek(open(archive, number)?, limits_of_headers()) {
            Ok(mut headers) => headers.all(|header| header.is_ok()),
            Err(Error::Rar4) => {
                rars::ArchiveReader::read_reader_with_options(open(archive, number)?, rar4_options).is_ok()
            }
            Err(_) => false,
        };
        if !is_whole {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open(archive: &ArchiveSet, number: usize) -> Result<Box<dyn Volume>, ArchiveError> {
    archive.open(number).map_err(|source| ArchiveError::Read { path: archive.path(number), source })
}

fn limits_of_headers() -> Limits {
    let mut limits = Limits::default();
    limits.headers = limits::ARCHIVE_HEADERS_MAX;
    limits.header_bytes = limits::ARCHIVE_HEADER_BYTES_MAX;
    limits
}
