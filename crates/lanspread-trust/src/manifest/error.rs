//! Why a manifest is not used.

use std::io;
use std::path::PathBuf;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::entry_path::NameError;
use lanspread_types::ids::WordError;
use lanspread_types::regular_file::FileError;

/// What is wrong with a manifest, as a sentence about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It has another length than the catalog says.
    #[error("{expected} bytes are expected, it has {got}")]
    Length {
        /// Bytes according to the catalog.
        expected: u64,
        /// Bytes that it has.
        got: u64,
    },
    /// Its bytes have another digest than its name says.
    #[error("its SHA-256 is {got}")]
    Digest {
        /// Digest of its bytes.
        got: ContentDigest,
    },
    /// It does not begin as a manifest does.
    #[error("it is not a manifest")]
    NotAManifest,
    /// Its format or its hash is not known.
    #[error("it is of a newer program: {what} {got}")]
    Newer {
        /// What is not known: `format` or `hash`.
        what: &'static str,
        /// Its number.
        got: u64,
    },
    /// It ends early.
    #[error("it is cut: it ends at byte {0}")]
    Cut(u64),
    /// More follows after its end.
    #[error("it goes on after its end at byte {0}")]
    Longer(u64),
    /// A number has another form than its shortest, or is too large for its place.
    #[error("byte {0}: a number is not in its one form")]
    Number(u64),
    /// A number exceeds its limit.
    #[error("it has {got} {what}, the limit is {limit}")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What it says.
        got: u64,
    },
    /// A game id or a version is none.
    #[error(transparent)]
    Word(#[from] WordError),
    /// A text is not UTF-8.
    #[error("byte {0}: a text is not UTF-8")]
    NotUnicode(u64),
    /// A path is never installed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A rule about what belongs together is broken.
    #[error("{0}")]
    Rule(String),
    /// It is a packing list, where the installed tree is needed.
    #[error("it is a packing list: it does not list the installed files")]
    NoTree,
    /// It decodes, but another manifest would be made of the same content.
    #[error("it is not in its one form")]
    NotCanonical,
}

/// A manifest that is not used, and where it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// There is no file, or it cannot be opened.
    #[error("the manifest {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Its content is refused.
    #[error("the manifest {} is refused: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: ManifestProblem,
    },
}

impl ManifestError {
    /// Whether there is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.is_absent())
    }
}
