//! Translates the decoder's errors to ours.

use std::io;

use lanspread_types::checksum::Checksum;
use lanspread_types::text::printable;

use crate::error::ArchiveError;
use crate::set::ArchiveSet;

/// Our error for what the decoder found.
pub(super) fn of(archive: &ArchiveSet, error: &rars::Error) -> ArchiveError {
    let name = archive.name().to_owned();
    match error.root_cause() {
        rars::Error::NeedPassword
        | rars::Error::WrongPasswordOrCorruptData
        | rars::Error::UnsupportedEncryption { .. }
        | rars::Error::FeatureDisabled { feature: "encryption" } => ArchiveError::Encrypted { archive: name },
        rars::Error::UnsupportedSignature | rars::Error::UnsupportedVersion(_) | rars::Error::TooShort => {
            ArchiveError::NotAnArchive { archive: name, reason: error.root_cause().to_string() }
        }
        rars::Error::Io(io_error) if io_error.kind != io::ErrorKind::UnexpectedEof => ArchiveError::Read {
            path: archive.first_path(),
            source: io::Error::new(io_error.kind, io_error.message.clone()),
        },
        rars::Error::HeaderCountLimitExceeded { limit, required } => {
            ArchiveError::Limit { archive: name, what: "headers", limit: *limit, got: *required }
        }
        rars::Error::HeaderBytesLimitExceeded { limit, required } => {
            ArchiveError::Limit { archive: name, what: "header bytes", limit: *limit, got: *required }
        }
        rars::Error::Crc32Mismatch { expected, actual } if error.entry_context().is_some() => {
            ArchiveError::Checksum {
                archive: name,
                entry: entry_name(error).unwrap_or_default(),
                expected: Checksum::from_crc32(*expected),
                got: Checksum::from_crc32(*actual),
            }
        }
        root => ArchiveError::Corrupt {
            archive: name,
            entry: entry_name(error),
            reason: match root.kind() {
                rars::ErrorKind::Io => "it ends too early".to_owned(),
                _ => root.to_string(),
            },
        },
    }
}

fn entry_name(error: &rars::Error) -> Option<String> {
    error.entry_context().map(|(name, _)| printable(&String::from_utf8_lossy(name), 200))
}
