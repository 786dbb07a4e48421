//! Errors of the identity, the party and the catalog.

use std::path::PathBuf;

use lanspread_trust::manifest::ManifestError;
use lanspread_trust::party_file::PartyFileError;
use lanspread_types::fault::{ForeignState, LocalError};

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
            Self::NoRandomNumbers(_) | Self::Encryption(_) => ErrorCategory::Unexpected,
            Self::Party(PartyFileError::OfAnother { .. }) | Self::Foreign(_) => ErrorCategory::Refused,
            Self::Catalog { .. } | Self::Manifest(_) | Self::Party(_) | Self::NoStateDir => {
                ErrorCategory::Usage
            }
            Self::Local(_) => ErrorCategory::Local,
        }
    }
}
