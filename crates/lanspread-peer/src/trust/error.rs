//! Errors of the identity, the party and the catalog.

use std::path::{Path, PathBuf};

use lanspread_trust::key_file::KeyError;
use lanspread_trust::manifest::ManifestError;
use lanspread_trust::minisign::{SignatureProblem, Signer};
use lanspread_trust::party_file::PartyFileError;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::limits;

use crate::report::failure::ErrorCategory;

/// An identity, a party or a catalog that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The catalog cannot be used.
    #[error("the catalog {} cannot be used: {reason}", path.display())]
    Catalog {
        /// The catalog file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
    /// The key that must have signed the catalog cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The catalog must be signed, and there is no signature beside it.
    #[error("{} is not signed: there is no {}", catalog.display(), signature.display())]
    NotSigned {
        /// The catalog file.
        catalog: PathBuf,
        /// Where its signature would be.
        signature: PathBuf,
    },
    /// The signature of the catalog does not count.
    #[error("{}", refused(catalog, signature, problem.as_ref(), reason))]
    Signature {
        /// The catalog file.
        catalog: PathBuf,
        /// The file with its signature.
        signature: PathBuf,
        /// What is wrong with it; none if it cannot be read.
        problem: Option<SignatureProblem>,
        /// The same in words.
        reason: String,
    },
    /// A higher version of the same signer was seen.
    #[error("{} is version {version}; this machine has seen version {seen} of the same signer", path.display())]
    Older {
        /// The catalog file.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The highest version that was seen.
        seen: u64,
    },
    /// Another catalog was seen under the same version.
    #[error("two different catalogs are signed as version {version}: {} is not the one that was seen first", path.display())]
    SignedTwice {
        /// The catalog file.
        path: PathBuf,
        /// The version of both.
        version: u64,
    },
    /// The versions of too many signers are recorded.
    #[error("{} holds the versions of {} signers, the limit", path.display(), limits::CATALOG_SIGNERS_MAX)]
    TooManySigners {
        /// The file with the versions.
        path: PathBuf,
    },
    /// A signer counts, and no catalog of that signer is here.
    #[error("no catalog of the key {signer} has arrived yet")]
    NoCatalog {
        /// The signer.
        signer: Signer,
    },
    /// A manifest that the catalog names cannot be used.
    #[error(transparent)]
    Manifest(ManifestError),
    /// The party of this machine cannot be read.
    #[error(transparent)]
    Party(PartyFileError),
    /// No state directory was given and the user has no home folder.
    #[error("there is no home folder for the peer's identity")]
    NoStateDir,
    /// The system provides no random numbers.
    #[error("internal fault: the system provides no random numbers: {0}")]
    NoRandomNumbers(getrandom::Error),
    /// The key of this peer cannot be used for encryption.
    #[error("internal fault: the key of this peer cannot be used: {0}")]
    Encryption(String),
    /// The identity file does not hold an identity.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk.
    #[error(transparent)]
    Local(LocalError),
}

impl From<LocalError> for TrustError {
    /// Foreign state keeps its own variant, whichever layer reports it.
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

impl From<PartyFileError> for TrustError {
    fn from(error: PartyFileError) -> Self {
        match error {
            PartyFileError::Foreign(error) => Self::Foreign(error),
            PartyFileError::Local(error) => Self::Local(error),
            error => Self::Party(error),
        }
    }
}

impl TrustError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Catalog { .. } => "catalog-unusable",
            Self::Key(_) => "key-unusable",
            Self::NotSigned { .. } => "not-signed",
            Self::Signature { .. } => "signature-refused",
            Self::Older { .. } => "catalog-older",
            Self::SignedTwice { .. } => "catalog-signed-twice",
            Self::TooManySigners { .. } => "too-many-signers",
            Self::NoCatalog { .. } => "no-catalog",
            Self::Manifest(_) => "manifest-unusable",
            Self::Party(PartyFileError::OfAnother { .. }) => "in-a-party",
            Self::Party(_) => "party-unusable",
            Self::NoStateDir => "invalid-config",
            Self::NoRandomNumbers(_) | Self::Encryption(_) => "internal",
            Self::Foreign(_) => "foreign-state",
            Self::Local(error) => error.code(),
        }
    }

    /// Class of the failure.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::Party(PartyFileError::OfAnother { .. })
            | Self::NotSigned { .. }
            | Self::Older { .. }
            | Self::SignedTwice { .. }
            | Self::TooManySigners { .. }
            | Self::Foreign(_) => ErrorCategory::Refused,
            Self::Catalog { .. } | Self::Key(_) | Self::Manifest(_) | Self::NoStateDir | Self::Party(_) => {
                ErrorCategory::Usage
            }
            Self::NoRandomNumbers(_) | Self::Encryption(_) => ErrorCategory::Unexpected,
            Self::Signature { .. } => ErrorCategory::Content,
            Self::NoCatalog { .. } => ErrorCategory::NotOffered,
            Self::Local(_) => ErrorCategory::Local,
        }
    }

    /// Detail beyond the code.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Signature { problem: Some(SignatureProblem::Legacy), .. } => Some("legacy"),
            _ => None,
        }
    }
}

/// What people ask first is which file is meant: the catalog, or its signature.
fn refused(catalog: &Path, signature: &Path, problem: Option<&SignatureProblem>, reason: &str) -> String {
    match problem {
        Some(SignatureProblem::OtherKey { signed_by, expected }) => {
            format!(
                "{} is signed by key {signed_by}, not by {expected}, which must have signed it",
                catalog.display()
            )
        }
        Some(SignatureProblem::NotOfKey) => {
            format!("{} is not signed by the key that must have signed it", catalog.display())
        }
        Some(SignatureProblem::FileChanged) => {
            format!("{} was changed after it was signed", catalog.display())
        }
        _ => format!("the signature {} is refused: {reason}", signature.display()),
    }
}
