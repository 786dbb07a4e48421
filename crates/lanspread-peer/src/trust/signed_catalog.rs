//! A catalog whose signature counts. The order of the checks is always the same: size, signature, content, version.
//! Nothing is parsed before it is known to be the signer's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lanspread_trust::minisign::{Signature, Signer};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::limits;
use lanspread_types::regular_file::{FileError, if_present, read_of_user};

use crate::trust::catalog::Catalog;
use crate::trust::error::TrustError;

/// The bytes of a signed catalog, and what they say.
#[derive(Debug, Clone)]
pub(crate) struct SignedCatalog {
    pub(super) catalog: Catalog,
    pub(crate) version: u64,
    pub(super) digest: ContentDigest,
    pub(super) bytes: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// Where the signature of a catalog is: beside it.
pub(crate) fn signature_path(catalog: &Path) -> PathBuf {
    let mut name = OsString::from(catalog);
    name.push(".minisig");
    name.into()
}

impl SignedCatalog {
    /// Reads a catalog and the signature beside it.
    ///
    /// # Errors
    /// [`TrustError`] that names the file.
    pub(crate) fn read(path: &Path, signer: &Signer) -> Result<Self, TrustError> {
        let bytes = read_of_user(path, limits::CATALOG_BYTES_MAX);
        let bytes = bytes
            .map_err(|error| TrustError::Catalog { path: path.to_owned(), reason: error.to_string() })?;
        let place = signature_path(path);
        let unreadable = |error: FileError| TrustError::Signature {
            catalog: path.to_owned(),
            signature: place.clone(),
            problem: None,
            reason: error.to_string(),
        };
        let signature = if_present(read_of_user(&place, limits::SIGNATURE_BYTES_MAX)).map_err(unreadable)?;
        let signature = signature
            .ok_or_else(|| TrustError::NotSigned { catalog: path.to_owned(), signature: place.clone() })?;
        Self::check(path, bytes, signature, signer)
    }

    /// Checks what was read or has arrived. `path` is where the catalog is, or will be.
    ///
    /// # Errors
    /// [`TrustError`] that names the file.
    pub(crate) fn check(
        path: &Path,
        bytes: Vec<u8>,
        signature: Vec<u8>,
        signer: &Signer,
    ) -> Result<Self, TrustError> {
        let unusable = |reason: String| TrustError::Catalog { path: path.to_owned(), reason };
        if bytes.len() as u64 > limits::CATALOG_BYTES_MAX {
            return Err(unusable(FileError::TooLarge(limits::CATALOG_BYTES_MAX).to_string()));
        }
        let checked =
            Signature::parse(&signature).and_then(|signature| signature.verify_signer(signer, &bytes));
        checked.map_err(|problem| TrustError::Signature {
            catalog: path.to_owned(),
            signature: signature_path(path),
            reason: problem.to_string(),
            problem: Some(problem),
        })?;
        let catalog = Catalog::of_bytes(path, &bytes)?;
        let Some(head) = &catalog.content().head else {
            return Err(unusable("it has schema 1, which has no version".to_owned()));
        };
        let version = head.version;
        Ok(Self { version, digest: ContentDigest::of(&bytes), catalog, bytes, signature })
    }

    /// What it says.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}
