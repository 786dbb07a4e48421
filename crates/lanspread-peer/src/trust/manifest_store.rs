//! The manifests that a machine has: beside the catalog in force, and those that peers handed on, in
//! `<state-dir>/manifests/<sha256>.lsm`.
//!
//! A manifest is named by its digest, so it does not matter who handed it on. What arrives is written to a draft; length
//! and digest are checked before it has its name. What no catalog names any more is removed when another one is stored,
//! and all of them together have a bound.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lanspread_trust::catalog::{CatalogGame, MANIFESTS_DIR, ManifestReference, open_manifest};
use lanspread_trust::draft_file::DraftFile;
use lanspread_trust::manifest::{MANIFEST_EXTENSION, ManifestError, ManifestFile, file_name};
use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use lanspread_types::regular_file::{FileError, if_present, open_folder_of_user, open_of_user, open_ours};

use crate::trust::catalog::Catalog;

/// The manifests of one state directory, and of the catalog that is in force.
#[derive(Debug)]
pub(crate) struct ManifestStore {
    state_dir: PathBuf,
}

impl ManifestStore {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    /// The manifest that a catalog names for a game, if it is here. A damaged file is as good as none if there is a
    /// whole one elsewhere.
    ///
    /// # Errors
    /// [`ManifestError`] if what is here is not what the catalog names.
    pub(crate) fn named(
        &self,
        catalog: &Catalog,
        game: &GameId,
        known: &CatalogGame,
    ) -> Result<Option<ManifestFile>, ManifestError> {
        let beside = open_manifest(folder_of(catalog.path()), game, known);
        match beside {
            Ok(Some(opened)) => Ok(Some(opened)),
            Ok(None) => open_manifest(&self.state_dir, game, known),
            Err(error) => match open_manifest(&self.state_dir, game, known) {
                Ok(Some(opened)) => Ok(Some(opened)),
                _ => Err(error),
            },
        }
    }

    /// The file of a manifest, to hand it on. Its digest is not checked: the peer that asked for it does that.
    pub(crate) fn file(
        &self,
        catalog: Option<&Catalog>,
        digest: &ContentDigest,
    ) -> Result<Option<File>, FileError> {
        let name = file_name(digest);
        if let Some(catalog) = catalog {
            let beside = folder_of(catalog.path()).join(MANIFESTS_DIR).join(&name);
            if let Some(file) = if_present(open_of_user(&beside))? {
                return Ok(Some(file));
            }
        }
        match open_folder_of_user(&self.folder()) {
            Ok(folder) => if_present(open_ours(folder, &name)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to store a manifest. Makes room for it first: those that `catalog` does not name are removed.
    ///
    /// # Errors
    /// [`LocalError`].
    pub(crate) fn begin(
        &self,
        reference: ManifestReference,
        catalog: &Catalog,
    ) -> Result<ArrivingManifest, LocalError> {
        let folder = self.folder();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(LocalError::io("create", &folder))?;
        let named = catalog.content().games.values().filter_map(|game| game.manifest);
        let named: BTreeSet<ContentDigest> = named.map(|reference| reference.digest).collect();
        for digest in superfluous(self.stored(), &named, reference.bytes) {
            let path = folder.join(file_name(&digest));
            tracing::info!("{} is removed: no catalog here names it, or there are too many", path.display());
            std::fs::remove_file(&path).map_err(LocalError::io("remove", &path))?;
        }
        let draft = DraftFile::create(&folder.join(file_name(&reference.digest)), 0o644)?;
        Ok(ArrivingManifest { draft, reference, bytes: 0, hasher: ContentHasher::default() })
    }

    fn folder(&self) -> PathBuf {
        self.state_dir.join(MANIFESTS_DIR)
    }

    /// The manifests in the state directory. What cannot be read is not there.
    fn stored(&self) -> Vec<StoredManifest> {
        let Ok(folder) = std::fs::read_dir(self.folder()) else { return Vec::new() };
        let stored = folder.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let digest = name.to_str()?.strip_suffix(MANIFEST_EXTENSION)?.strip_suffix('.')?.parse().ok()?;
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some(StoredManifest { digest, bytes: metadata.len(), modified: metadata.modified().ok()? })
        });
        stored.take(limits::MANIFESTS_KEPT_MAX).collect()
    }
}

/// A manifest in the state directory.
#[derive(Debug, Clone, Copy)]
struct StoredManifest {
    digest: ContentDigest,
    bytes: u64,
    modified: SystemTime,
}

/// Which manifests go, so that one of `needed` bytes has room: those that are not named, then the oldest. Pure.
fn superfluous(
    mut stored: Vec<StoredManifest>,
    named: &BTreeSet<ContentDigest>,
    needed: u64,
) -> Vec<ContentDigest> {
    stored.sort_by_key(|manifest| (named.contains(&manifest.digest), manifest.modified, manifest.digest));
    let mut bytes = stored.iter().map(|manifest| manifest.bytes).sum::<u64>().saturating_add(needed);
    let mut count = stored.len() + 1;
    let goes = stored.into_iter().take_while(|manifest| {
        let is_too_much = bytes > limits::MANIFESTS_KEPT_BYTES_MAX || count > limits::MANIFESTS_KEPT_MAX;
        bytes -= manifest.bytes;
        count -= 1;
        is_too_much || !named.contains(&manifest.digest)
    });
    goes.map(|manifest| manifest.digest).collect()
}

/// A manifest that arrives.
#[derive(Debug)]
pub(crate) struct ArrivingManifest {
    draft: DraftFile,
    reference: ManifestReference,
    bytes: u64,
    hasher: ContentHasher,
}

/// Why what has arrived is not the manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTheManifest {
    /// It has another length.
    #[error("{expected} bytes expected, {got} came")]
    Length { expected: u64, got: u64 },
    /// It has another digest.
    #[error("its SHA-256 is {got}")]
    Digest { got: ContentDigest },
    /// This machine's disk.
    #[error(transparent)]
    Local(#[from] LocalError),
}

impl From<std::io::Error> for NotTheManifest {
    fn from(error: std::io::Error) -> Self {
        LocalError::io("read", "a manifest")(error).into()
    }
}

impl ArrivingManifest {
    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), NotTheManifest> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.reference.bytes {
            return Err(NotTheManifest::Length { expected: self.reference.bytes, got: self.bytes });
        }
        self.hasher.update(bytes);
        let written = self.draft.file().write_all(bytes);
        Ok(written.map_err(LocalError::io("write", Path::new(&file_name(&self.reference.digest))))?)
    }

    /// Gives the manifest its name, if it is the one that was asked for.
    pub(crate) fn finish(self) -> Result<(), NotTheManifest> {
        let Self { draft, reference, bytes, hasher } = self;
        if bytes != reference.bytes {
            return Err(NotTheManifest::Length { expected: reference.bytes, got: bytes });
        }
        let got = hasher.finish();
        if got != reference.digest {
            return Err(NotTheManifest::Digest { got });
        }
        Ok(draft.finish()?)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
