//! What can go wrong with an archive, and why a sink can refuse content.

use std::io;
use std::path::PathBuf;

use lanspread_types::checksum::Checksum;
use lanspread_types::entry_path::{NameError, NameProblem};
use lanspread_types::fault::{ContentError, LocalError};

/// An archive that cannot be listed or decoded.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The archive file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is not a RAR archive, or its version of RAR is not supported.
    #[error("{archive} is not a RAR archive that can be read: {reason}")]
    NotAnArchive {
        /// File name of the archive.
        archive: String,
        /// The message of the decoder.
        reason: String,
    },
    /// Headers or packed data are damaged.
    #[error("{archive} is damaged{}: {reason}", at(entry.as_deref()))]
    Corrupt {
        /// File name of the archive.
        archive: String,
        /// The entry being decoded, if any.
        entry: Option<String>,
        /// The message of the decoder.
        reason: String,
    },
    /// The CRC-32 of decoded content differs from the one in the archive.
    #[error("{archive} is damaged{}: CRC-32 is {got}, expected {expected}", at(Some(entry)))]
    Checksum {
        /// File name of the archive.
        archive: String,
        /// The entry.
        entry: String,
        /// CRC-32 in the archive.
        expected: Checksum,
        /// CRC-32 of the decoded bytes.
        got: Checksum,
    },
    /// An entry decodes to fewer or more bytes than listed.
    #[error("{archive} is damaged{}: {got} bytes decoded, {expected} listed", at(Some(entry)))]
    Size {
        /// File name of the archive.
        archive: String,
        /// The entry.
        entry: String,
        /// Bytes listed.
        expected: u64,
        /// Bytes decoded.
        got: u64,
    },
    /// Entries or headers are encrypted.
    #[error("{archive} is encrypted; lanspread does not ask for passwords")]
    Encrypted {
        /// File name of the archive.
        archive: String,
    },
    /// The archive holds a link or another entry that is neither a file nor a folder.
    #[error("{archive} holds {what} `{entry}`, which is never installed")]
    UnsupportedEntry {
        /// File name of the archive.
        archive: String,
        /// What it is, such as `the symbolic link`.
        what: &'static str,
        /// Name of the entry, escaped.
        entry: String,
    },
    /// A name in the archive cannot be installed, or not safely.
    #[error("{archive}: {source}")]
    Name {
        /// File name of the archive.
        archive: String,
        /// The name and the rule it breaks.
        source: NameError,
    },
    /// Two archives of one game hold the same file, or names that one system cannot tell apart.
    #[error("{first} and {second} cannot be installed together: {}", clash(source))]
    Clash {
        /// File name of the earlier archive.
        first: String,
        /// File name of the later one.
        second: String,
        /// The name in the later archive, and the rule that it breaks.
        source: NameError,
    },
    /// A copy refers to a file that is not an earlier entry of the archive.
    #[error("{archive} is damaged: `{entry}` refers to `{original}`, which is not an earlier file")]
    DanglingCopy {
        /// File name of the archive.
        archive: String,
        /// Name of the referring entry.
        entry: String,
        /// Name it refers to.
        original: String,
    },
    /// A volume of a set is missing.
    #[error("{archive} is one volume of a set and another volume is missing: {reason}")]
    VolumeMissing {
        /// File name of the first volume.
        archive: String,
        /// The message of the decoder.
        reason: String,
    },
    /// The archive claims more than [`lanspread_types::limits`] allow.
    #[error("{archive} claims {got} {what}; the limit is {limit}")]
    Limit {
        /// File name of the archive.
        archive: String,
        /// What is limited, with its unit.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// The claim.
        got: u64,
    },
    /// The archive needs a larger dictionary than this provider may take memory for.
    #[error("{archive} needs a dictionary of {}; the limit is {}", binary_size(*got), binary_size(*limit))]
    Dictionary {
        /// File name of the archive.
        archive: String,
        /// The bound, in bytes.
        limit: u64,
        /// What the archive needs, in bytes.
        got: u64,
    },
    /// The archive holds nothing.
    #[error("{archive} holds no files and no folders; it may have been cut")]
    Empty {
        /// File name of the archive.
        archive: String,
    },
    /// The header map of an archive whose bytes are not on the disk is not that of these bytes, or of no archive.
    #[error("the header map of {archive} is wrong: {reason}")]
    HeaderMap {
        /// File name of the archive.
        archive: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// The external decoder cannot be run.
    #[error("cannot run the archive program {}: {source}", program.display())]
    ProgramMissing {
        /// The program as given.
        program: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The external decoder failed, and not because of the archive.
    #[error("{} failed on {archive}: {reason}", program.display())]
    ProgramFailed {
        /// The program.
        program: PathBuf,
        /// File name of the archive.
        archive: String,
        /// Exit status and first lines of its stderr.
        reason: String,
    },
    /// The operation was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The sink refused an entry or is gone.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl ArchiveError {
    /// An archive that is damaged, for a reason of our own.
    pub(crate) fn corrupt(archive: &str, reason: &str) -> Self {
        Self::Corrupt { archive: archive.to_owned(), entry: None, reason: reason.to_owned() }
    }

    /// An archive that is no longer the listed one.
    pub(crate) fn changed(archive: &str) -> Self {
        Self::corrupt(archive, "it changed while it was being served")
    }

    /// Detail beyond the code, in kebab-case, if there is something to say about it.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Name { source, .. } | Self::Clash { source, .. }
                if source.problem.is_about_other_systems() =>
            {
                Some("not-portable")
            }
            Self::Name { source, .. }
                if matches!(source.problem, NameProblem::NotUnicode | NameProblem::NotExact) =>
            {
                Some("not-unicode")
            }
            Self::Clash { .. } => Some("archives-clash"),
            Self::Dictionary { .. } => Some("dictionary-too-large"),
            Self::UnsupportedEntry { .. } => Some("links"),
            _ => None,
        }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "archive-unreadable",
            Self::NotAnArchive { .. }
            | Self::Corrupt { .. }
            | Self::Checksum { .. }
            | Self::Size { .. }
            | Self::DanglingCopy { .. }
            | Self::Empty { .. }
            | Self::VolumeMissing { .. } => "archive-damaged",
            Self::Encrypted { .. }
            | Self::UnsupportedEntry { .. }
            | Self::Name { .. }
            | Self::Clash { .. }
            | Self::Dictionary { .. }
            | Self::Limit { .. } => "archive-refused",
            Self::HeaderMap { .. } => "header-map-wrong",
            Self::ProgramMissing { .. } | Self::ProgramFailed { .. } => "decoder-unavailable",
            Self::Cancelled => "cancelled",
            Self::Sink(SinkError::Closed) => "internal",
            Self::Sink(SinkError::Content(error)) => error.code(),
            Self::Sink(SinkError::Local(error)) => error.code(),
        }
    }
}

fn clash(source: &NameError) -> String {
    match source.problem {
        NameProblem::Duplicate => format!("both hold `{}`", source.name),
        _ => source.to_string(),
    }
}

/// A size in the largest unit that shows it exactly.
fn binary_size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let exact = units.into_iter().find(|(shift, _)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    exact.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}

fn at(entry: Option<&str>) -> String {
    entry.map(|name| format!(" at `{name}`")).unwrap_or_default()
}

/// Why a sink takes no more.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The other end is gone, so there is nothing more to decode for.
    #[error("the receiving end is closed")]
    Closed,
    /// The content breaks a rule.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// This machine's disk failed.
    #[error(transparent)]
    Local(#[from] LocalError),
}
