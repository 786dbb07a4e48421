//! Whether each volume of a RAR 5 archive has its end record, which the program does not say.
//!
//! An archive that was cut exactly between two entries decodes as listed, and the rest is missing. The program reports
//! nothing; so the headers are read here. Only this one fault counts: everything else is for the program to judge.

use lanspread_rar::{Error, Headers, Limits};
use lanspread_types::content::ArchiveFormat;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::set::ArchiveSet;

/// Refuses an archive of which a volume lacks the end record.
pub(super) fn check(
    archive: &ArchiveSet,
    format: ArchiveFormat,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    if format != ArchiveFormat::Rar5 {
        return Ok(());
    }
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
