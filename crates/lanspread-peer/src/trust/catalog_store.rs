//! The signed catalog that a machine keeps in its state directory, and the highest versions that it has seen.
//!
//! ```text
//! <state-dir>/catalog.toml  catalog.toml.minisig             the one that was taken last
//! <state-dir>/catalog-next.toml  catalog-next.toml.minisig   while it is replaced
//! <state-dir>/catalog-seen                                   the highest version of each signer
//! ```
//!
//! Invariants:
//!
//! - A version is recorded after the catalog itself is durable: whatever a crash leaves, the catalog that is here is at
//!   least the one that is recorded.
//! - Two files cannot be replaced in one step, so both are complete under other names first; a reader tries the pairs
//!   that a crash can leave.
//! - Everything happens under a lock of the state directory, so two processes lose no version.
//! - One catalog is kept, that of the signer who counted last.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lanspread_trust::draft_file;
use lanspread_trust::minisign::Signer;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::limits;
use lanspread_types::regular_file::{FileError, if_present, open_folder_of_user, open_ours, read_whole};
use rustix::fs::AtFlags;

use crate::trust::catalog_seen::{Compared, SEEN_FILE, Seen};
use crate::trust::error::TrustError;
use crate::trust::signed_catalog::{SignedCatalog, signature_path};

const CATALOG: &str = "catalog.toml";
const SIGNATURE: &str = "catalog.toml.minisig";
const NEXT_CATALOG: &str = "catalog-next.toml";
const NEXT_SIGNATURE: &str = "catalog-next.toml.minisig";
/// The pairs that can be complete, whatever a crash interrupted.
const PAIRS: [(&str, &str); 3] =
    [(CATALOG, SIGNATURE), (CATALOG, NEXT_SIGNATURE), (NEXT_CATALOG, NEXT_SIGNATURE)];

/// The store of one state directory.
#[derive(Debug, Clone)]
pub(crate) struct CatalogStore {
    state_dir: PathBuf,
}

/// The files of a catalog that was taken, open: whatever replaces them, they stay what was checked.
#[derive(Debug)]
pub(crate) struct TakenFiles {
    pub(crate) catalog: File,
    pub(crate) signature: File,
}

/// Forgets which version of a signer's catalog a state directory has seen. Returns that version. For a signer who has to
/// begin again.
///
/// # Errors
/// [`TrustError`] if the state directory cannot be read or changed.
pub fn forget_catalog_version(state_dir: &Path, signer: &Signer) -> Result<Option<u64>, TrustError> {
    CatalogStore::of(state_dir).forget(signer)
}

/// The steps in which a catalog is taken. A test ends the program after each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    NextCatalog,
    NextSignature,
    Catalog,
    Signature,
    Seen,
}

impl CatalogStore {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    /// Where the catalog is kept.
    pub(crate) fn path(&self) -> PathBuf {
        self.state_dir.join(CATALOG)
    }

    /// The catalog that is kept, if it is of this signer and not older than what was seen.
    ///
    /// # Errors
    /// [`TrustError`] if the state directory cannot be read.
    pub(crate) fn stored(&self, signer: &Signer) -> Result<Option<(SignedCatalog, TakenFiles)>, TrustError> {
        let Some(folder) = self.lock_if_there()? else { return Ok(None) };
        let seen = self.seen(&folder)?;
        let Some(stored) = self.read(&folder, signer) else { return Ok(None) };
        match seen.compare(signer.bytes(), stored.0.version, &stored.0.digest) {
            // A crash came between the catalog and its record.
            Compared::Same | Compared::Higher { .. } => Ok(Some(stored)),
            Compared::Older { .. } | Compared::SignedTwice | Compared::Full => Ok(None),
        }
    }

    /// Takes a catalog: keeps a copy, then records its version.
    ///
    /// # Errors
    /// [`TrustError::Older`] or [`TrustError::SignedTwice`] if it does not count any more; those of the disk.
    pub(crate) fn take(&self, candidate: &SignedCatalog, signer: &Signer) -> Result<TakenFiles, TrustError> {
        self.take_in_steps(candidate, signer, |_| Ok(()))
    }

    pub(super) fn take_in_steps(
        &self,
        candidate: &SignedCatalog,
        signer: &Signer,
        mut done: impl FnMut(Step) -> Result<(), LocalError>,
    ) -> Result<TakenFiles, TrustError> {
        let folder = self.lock()?;
        let mut seen = self.seen(&folder)?;
        let path = candidate.catalog.path();
        let compared = seen.compare(signer.bytes(), candidate.version, &candidate.digest);
        match compared {
            Compared::Older { seen } => {
                return Err(TrustError::Older { path: path.to_owned(), version: candidate.version, seen });
            }
            Compared::SignedTwice => {
                return Err(TrustError::SignedTwice { path: path.to_owned(), version: candidate.version });
            }
            Compared::Full => {
                return Err(TrustError::TooManySigners { path: self.state_dir.join(SEEN_FILE) });
            }
            Compared::Higher { jumps: Some(before) } => tracing::warn!(
                "the version of {} jumps from {before} to {}; its author may run out of versions",
                path.display(),
                candidate.version
            ),
            Compared::Same | Compared::Higher { jumps: None } => {}
        }
        let stored = self.read(&folder, signer);
        let is_stored = |(stored, _): &(SignedCatalog, TakenFiles)| stored.digest == candidate.digest;
        let taken = match stored.filter(is_stored) {
            Some((_, taken)) => taken,
            None => self.store(&folder, candidate, &mut done)?,
        };
        if compared != Compared::Same {
            seen.record(*signer.bytes(), candidate.version, candidate.digest);
            draft_file::replace(&self.state_dir.join(SEEN_FILE), seen.text().as_bytes(), 0o600)?;
            done(Step::Seen)?;
        }
        Ok(taken)
    }

    /// Forgets which version of a signer was seen, and the catalog that is kept of it. Returns the version.
    ///
    /// # Errors
    /// [`TrustError`] of the disk.
    pub(crate) fn forget(&self, signer: &Signer) -> Result<Option<u64>, TrustError> {
        let Some(folder) = self.lock_if_there()? else { return Ok(None) };
        let mut seen = self.seen(&folder)?;
        let forgotten = seen.forget(signer.bytes());
        if forgotten.is_some() {
            // First of all: no version may be recorded of which there is no catalog.
            draft_file::replace(&self.state_dir.join(SEEN_FILE), seen.text().as_bytes(), 0o600)?;
        }
        if self.read(&folder, signer).is_some() {
            for name in [CATALOG, SIGNATURE, NEXT_CATALOG, NEXT_SIGNATURE] {
                match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                    Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                    Err(error) => {
                        return Err(LocalError::io("remove", &self.state_dir.join(name))(error.into()).into());
                    }
                }
            }
            folder.sync_all().map_err(LocalError::io("sync", &self.state_dir))?;
        }
        Ok(forgotten)
    }

    /// The highest version that was seen of a signer.
    #[cfg(test)]
    pub(super) fn seen_version(&self, signer: &Signer) -> Option<u64> {
        let folder = self.lock_if_there().unwrap()?;
        self.seen(&folder).unwrap().version(signer.bytes())
    }

    fn lock(&self) -> Result<File, TrustError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir);
        made.map_err(LocalError::io("create the state folder", &self.state_dir))?;
        let folder = open_folder_of_user(&self.state_dir).map_err(LocalError::io("open", &self.state_dir))?;
        folder.lock().map_err(LocalError::io("lock", &self.state_dir))?;
        Ok(folder)
    }

    fn lock_if_there(&self) -> Result<Option<File>, TrustError> {
        match open_folder_of_user(&self.state_dir) {
            Ok(_) => self.lock().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::io("open", &self.state_dir)(error).into()),
        }
    }

    fn seen(&self, folder: &File) -> Result<Seen, TrustError> {
        let path = self.state_dir.join(SEEN_FILE);
        let read = if_present(open_ours(folder, SEEN_FILE))
            .and_then(|file| file.map(|file| read_whole(&file, limits::CATALOG_SEEN_BYTES_MAX)).transpose());
        let Some(bytes) = read.map_err(|error| error.of_ours("read", &path))? else {
            return Ok(Seen::default());
        };
        let text = String::from_utf8(bytes).map_err(|_| "is not text".to_owned());
        // Not replaced: a program that can damage it could take a version back.
        text.and_then(|text| Seen::parse(&text)).map_err(|what| ForeignState { path, what }.into())
    }

    /// The catalog that is kept, if its signature counts. What is damaged is as good as absent: the record of its
    /// version still is there.
    fn read(&self, folder: &File, signer: &Signer) -> Option<(SignedCatalog, TakenFiles)> {
        PAIRS.into_iter().find_map(|(catalog, signature)| {
            let read = self.read_pair(folder, catalog, signature, signer);
            read.unwrap_or_else(|reason| {
                tracing::debug!("{catalog} with {signature} is passed over: {reason}");
                None
            })
        })
    }

    fn read_pair(
        &self,
        folder: &File,
        catalog: &str,
        signature: &str,
        signer: &Signer,
    ) -> Result<Option<(SignedCatalog, TakenFiles)>, String> {
        let open =
            |name: &str| if_present(open_ours(folder, name)).map_err(|error: FileError| error.to_string());
        let (Some(catalog), Some(signature)) = (open(catalog)?, open(signature)?) else { return Ok(None) };
        let whole = |file: &File, bytes_max| read_whole(file, bytes_max).map_err(|error| error.to_string());
        let bytes = whole(&catalog, limits::CATALOG_BYTES_MAX)?;
        let bytes_of_signature = whole(&signature, limits::SIGNATURE_BYTES_MAX)?;
        let checked = SignedCatalog::check(&self.path(), bytes, bytes_of_signature, signer);
        let checked = checked.map_err(|error| error.to_string())?;
        Ok(Some((checked, TakenFiles { catalog, signature })))
    }

    /// Keeps a catalog instead of the one before.
    fn store(
        &self,
        folder: &File,
        signed: &SignedCatalog,
        done: &mut impl FnMut(Step) -> Result<(), LocalError>,
    ) -> Result<TakenFiles, TrustError> {
        draft_file::replace(&self.state_dir.join(NEXT_CATALOG), &signed.bytes, 0o644)?;
        done(Step::NextCatalog)?;
        draft_file::replace(&self.state_dir.join(NEXT_SIGNATURE), &signed.signature, 0o644)?;
        done(Step::NextSignature)?;
        for (from, to, step) in
            [(NEXT_CATALOG, CATALOG, Step::Catalog), (NEXT_SIGNATURE, SIGNATURE, Step::Signature)]
        {
            let path = self.state_dir.join(to);
            let renamed = rustix::fs::renameat(folder, from, folder, to).map_err(io::Error::from);
            renamed.and_then(|()| folder.sync_all()).map_err(LocalError::io("write", &path))?;
            done(step)?;
        }
        let open =
            |name| open_ours(folder, name).map_err(|error| error.of_ours("open", self.state_dir.join(name)));
        debug_assert_eq!(signature_path(&self.path()), self.state_dir.join(SIGNATURE));
        Ok(TakenFiles { catalog: open(CATALOG)?, signature: open(SIGNATURE)? })
    }
}

#[cfg(test)]
pub(super) mod tests;
