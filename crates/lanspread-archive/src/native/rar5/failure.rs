//! Translates the decoder's errors to ours.

use std::io;

use lanspread_rar::Error;
use lanspread_types::checksum::Checksum;
use lanspread_types::limits;
use lanspread_types::text::printable;

use crate::error::ArchiveError;
use crate::set::ArchiveSet;

/// Our error for what the decoder found.
pub(super) fn of(archive: &ArchiveSet, error: Error) -> ArchiveError {
    let name = archive.name().to_owned();
    let text = || printable(&error.to_string(), limits::MESSAGE_BYTES_MAX / 2);
    match error {
        Error::Read(source) => ArchiveError::Read { path: archive.first_path(), source },
        Error::Memory { .. } => {
            let source = io::Error::new(io::ErrorKind::OutOfMemory, text());
            ArchiveError::Read { path: archive.first_path(), source }
        }
        Error::NotRar { .. } | Error::Rar4 | Error::Unsupported { .. } => {
            ArchiveError::NotAnArchive { archive: name, reason: text() }
        }
        Error::EncryptedHeaders | Error::Encrypted { .. } => ArchiveError::Encrypted { archive: name },
        Error::Limit { what: "bytes of dictionary", limit, got } => {
            ArchiveError::Dictionary { archive: name, limit, got }
        }
        Error::Limit { what, limit, got } => ArchiveError::Limit { archive: name, what, limit, got },
        Error::VolumeMissing { .. } | Error::VolumeOrder { .. } | Error::Split { .. } => {
            ArchiveError::VolumeMissing { archive: name, reason: text() }
        }
        Error::Data { name: entry, source } => {
            ArchiveError::Corrupt { archive: name, entry: Some(shown(&entry)), reason: source.to_string() }
        }
        Error::Size { name: entry, expected, got, .. } => {
            ArchiveError::Size { archive: name, entry: shown(&entry), expected, got }
        }
        Error::Crc32 { name: entry, expected, got } => ArchiveError::Checksum {
            archive: name,
            entry: shown(&entry),
            expected: Checksum::from_crc32(expected),
            got: Checksum::from_crc32(got),
        },
        Error::Blake2sp { name: entry, .. } => {
            let reason = "its BLAKE2sp checksum does not match".to_owned();
            ArchiveError::Corrupt { archive: name, entry: Some(shown(&entry)), reason }
        }
        Error::Truncated { .. } => ArchiveError::corrupt(&name, "it ends too early"),
        Error::EndMissing { .. } => ArchiveError::corrupt(&name, "it ends before its end record"),
        _ => ArchiveError::corrupt(&name, &text()),
    }
}

fn shown(entry: &str) -> String {
    printable(entry, 200)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Hints and refusals depend on the kind, not on the words.
    #[test]
    fn every_kind_of_failure_keeps_its_kind() {
        let set = ArchiveSet::single(Path::new("/g"), "x.eti");
        let of = |error| of(&set, error).code();
        assert_eq!(of(Error::Read(io::Error::other("disk"))), "archive-unreadable");
        assert_eq!(of(Error::Memory { bytes: 1 }), "archive-unreadable");
        assert_eq!(of(Error::NotRar { searched: 0 }), "archive-damaged");
        assert_eq!(of(Error::EndMissing { offset: 8 }), "archive-damaged");
        assert_eq!(of(Error::Crc32 { name: "a".into(), expected: 1, got: 2 }), "archive-damaged");
        assert_eq!(of(Error::EncryptedHeaders), "archive-refused");
        assert_eq!(of(Error::Encrypted { name: "a".into() }), "archive-refused");
        assert_eq!(of(Error::Limit { what: "headers", limit: 1, got: 2 }), "archive-refused");
        let dictionary = Error::Limit { what: "bytes of dictionary", limit: 1, got: 2 };
        assert!(matches!(super::of(&set, dictionary), ArchiveError::Dictionary { limit: 1, got: 2, .. }));
    }
}
