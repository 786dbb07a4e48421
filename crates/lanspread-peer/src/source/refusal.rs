//! What a receiver learns about an archive that cannot be served: one of a few codes; the details are in the log.
//!
//! A refusal may name archives and entries, but never a path of this machine.

use lanspread_archive::ArchiveError;
use lanspread_proto::message::{Refusal, RefusalCode};

pub(super) fn of_archive(error: &ArchiveError) -> Refusal {
    let (code, message) = match error {
        ArchiveError::Read { path, source } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (RefusalCode::ArchiveDamaged, format!("cannot read {name}: {}", source.kind()))
        }
        ArchiveError::NotAnArchive { .. }
        | ArchiveError::Corrupt { .. }
        | ArchiveError::Checksum { .. }
        | ArchiveError::Size { .. }
        | ArchiveError::DanglingCopy { .. }
        | ArchiveError::Empty { .. }
        | ArchiveError::HeaderMap { .. }
        | ArchiveError::VolumeMissing { .. } => (RefusalCode::ArchiveDamaged, error.to_string()),
        ArchiveError::Encrypted { .. }
        | ArchiveError::UnsupportedEntry { .. }
        | ArchiveError::Name { .. }
        | ArchiveError::Clash { .. }
        | ArchiveError::Limit { .. } => (RefusalCode::ArchiveRefused, error.to_string()),
        // No code of the protocol says what the receiver could do, so the text names the option.
        ArchiveError::Dictionary { .. } => (
            RefusalCode::ArchiveRefused,
            format!("{error}, which the source's owner can raise with --max-dictionary"),
        ),
        ArchiveError::ProgramMissing { .. } => {
            (RefusalCode::DecoderUnavailable, "the source cannot run its archive program".to_owned())
        }
        ArchiveError::ProgramFailed { archive, .. } => {
            (RefusalCode::DecoderUnavailable, format!("the source's archive program failed on {archive}"))
        }
        ArchiveError::Cancelled => (RefusalCode::Stopping, "the source is stopping".to_owned()),
        ArchiveError::Sink(_) => (RefusalCode::Internal, "the source failed".to_owned()),
    };
    Refusal::new(code, &message)
}
