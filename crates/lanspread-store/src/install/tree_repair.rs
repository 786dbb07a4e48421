//! What is wrong with an installed tree, and what it must be again.
//!
//! Invariants: only entries that the manifest, or else the receipt, says to belong to the game are replaced. A file that
//! takes the place of another one has the size and the content that is written there, from whatever source it came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanspread_archive::provider::WantedEntries;
use lanspread_trust::manifest::{EntryContent, ManifestFile};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{InstallTrust, Totals};
use lanspread_types::entry_path::EntryPath;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};

use crate::error::StoreError;
use crate::state::games_dir::GamesDir;
use crate::state::receipt::{ChecksumText, FileLine, FileStamp, ReceiptDraft, ReceiptHead};
use crate::state::receipt_reader;
use crate::state::receipt_reader::{InstalledContent, InstalledFile, Receipt};

/// Whether a manifest says what belongs to a tree of this version: a packing list says nothing about a tree.
pub(crate) fn lists_tree(manifest: &ManifestFile, version: &GameVersion) -> bool {
    let manifest = manifest.manifest();
    manifest.version == *version && manifest.has_tree()
}

/// The entries of an installed tree that are not as they should be.
#[derive(Debug)]
pub struct TreeRepair {
    /// First line of the receipt of the repaired tree.
    pub(crate) head: ReceiptHead,
    pub(crate) files: BTreeMap<String, WantedFile>,
    pub(crate) folders: BTreeSet<String>,
    /// Files of an earlier install that the manifest does not list.
    pub(crate) unlisted: BTreeSet<String>,
    kept: Kept,
    /// Of the repaired tree.
    totals: Totals,
}

/// A file that is missing or different.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedFile {
    pub(crate) installed: InstalledFile,
    /// Whether it can be executed; `None` if only its source knows that.
    pub(crate) executable: Option<bool>,
    /// Whether only that is different, so that its content is in the tree.
    pub(crate) has_content: bool,
}

/// What is known of the files that are as they should be.
#[derive(Debug)]
enum Kept {
    /// Compared with the manifest; the stamp of each entry that is as listed.
    Listed { manifest: Arc<ManifestFile>, stamps: Vec<Option<FileStamp>> },
    /// Compared with the receipt, which says everything.
    Recorded,
}

impl TreeRepair {
    /// A repair of a tree that was compared with its manifest. `stamps` has those of the entries that are as listed, and
    /// `damaged` the paths of all others, with what is known to be wrong with them.
    pub(crate) fn listed(
        receipt: &Receipt,
        manifest: &Arc<ManifestFile>,
        stamps: Vec<Option<FileStamp>>,
        damaged: &Damaged,
    ) -> Self {
        let entries = &manifest.manifest().entries;
        let (mut files, mut folders) = (BTreeMap::new(), BTreeSet::new());
        for entry in entries.iter().filter(|entry| damaged.has(entry.path)) {
            match entry.content {
                EntryContent::Folder => {
                    folders.insert(entry.path.to_owned());
                }
                EntryContent::File { size, executable, digest, .. } => {
                    let installed = InstalledFile { size, content: InstalledContent::Digest(*digest) };
                    let has_content = damaged.only_mode.contains(entry.path);
                    let wanted = WantedFile { installed, executable: Some(executable), has_content };
                    files.insert(entry.path.to_owned(), wanted);
                }
            }
        }
        let unlisted = receipt.files.keys().filter(|path| entries.find(path).is_none() && damaged.has(path));
        Self {
            head: receipt.head.verified(manifest.digest()),
            files,
            folders,
            unlisted: unlisted.cloned().collect(),
            kept: Kept::Listed { manifest: Arc::clone(manifest), stamps },
            totals: entries.totals(),
        }
    }

    /// A repair of a tree that was compared with its receipt.
    pub(crate) fn recorded(receipt: &Receipt, damaged: &Damaged) -> Self {
        let files = receipt.files.iter().filter(|(path, _)| damaged.has(path));
        let wanted = |installed| WantedFile { installed, executable: None, has_content: false };
        Self {
            head: receipt.head.clone(),
            files: files.map(|(path, installed)| (path.clone(), wanted(*installed))).collect(),
            folders: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            kept: Kept::Recorded,
            totals: receipt.totals,
        }
    }

    /// The version of the tree.
    pub fn version(&self) -> &GameVersion {
        &self.head.version
    }

    /// Whether the repaired tree is one that was compared with a manifest.
    pub fn trust(&self) -> InstallTrust {
        self.head.trust
    }

    /// The manifest of the repaired tree, if it was compared with one.
    pub fn manifest(&self) -> Option<ContentDigest> {
        self.head.manifest
    }

    /// Chooses the entries that must come from elsewhere.
    pub fn wanted(self: &Arc<Self>) -> WantedEntries {
        let repair = Arc::clone(self);
        Arc::new(move |path: &EntryPath| repair.wants(path.as_str()))
    }

    /// Whether an entry must come from elsewhere.
    pub(crate) fn wants(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|wanted| !wanted.has_content)
    }

    /// Whether content must come from elsewhere.
    pub fn needs_content(&self) -> bool {
        self.files.values().any(|wanted| !wanted.has_content && wanted.installed.size > 0)
    }

    /// Whether anything at all must come from an archive or another peer.
    pub fn needs_source(&self) -> bool {
        self.files.values().any(|wanted| !wanted.has_content)
    }

    /// The first entry that must come from elsewhere, in the order of a manifest.
    pub fn first_wanted(&self) -> Option<&str> {
        let first = self.files.iter().find(|(_, wanted)| !wanted.has_content);
        first.map(|(path, _)| path.as_str())
    }

    /// What will be written.
    pub fn staged(&self) -> Totals {
        Totals {
            files: self.files.len() as u64,
            directories: self.folders.len() as u64,
            bytes: self.files.values().fold(0, |sum, wanted| sum.saturating_add(wanted.installed.size)),
        }
    }

    /// Number of entries that are replaced, made or removed.
    pub fn entries(&self) -> u64 {
        self.staged().entries() + self.unlisted.len() as u64
    }

    /// Number of files that are removed.
    pub fn removed(&self) -> u64 {
        self.unlisted.len() as u64
    }

    /// The paths that are replaced or made, and whether a folder belongs there.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, bool)> {
        let files = self.files.keys().map(|path| (path.as_str(), false));
        files.chain(self.folders.iter().map(|path| (path.as_str(), true)))
    }

    /// Of the repaired tree.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The draft of the receipt, with everything that is kept.
    pub(crate) fn draft(&self, games: &GamesDir, game: &GameId) -> Result<ReceiptDraft, StoreError> {
        let mut draft = ReceiptDraft::create(games, &self.head)?;
        match &self.kept {
            Kept::Listed { manifest, stamps } => {
                let entries = manifest.manifest().entries.iter();
                for (entry, stamp) in entries.zip(stamps) {
                    let EntryContent::File { size, digest, .. } = entry.content else { continue };
                    if self.files.contains_key(entry.path) {
                        continue;
                    }
                    let sha256 = Some(*digest);
                    draft.file(&FileLine { path: entry.path, size, crc32: None, sha256, stamp: *stamp })?;
                }
            }
            Kept::Recorded => {
                let mut failed: Result<(), LocalError> = Ok(());
                receipt_reader::read_each(games, game, |_, file| {
                    if failed.is_ok() && !self.files.contains_key(file.path) {
                        failed = draft.file(&line(file.path, file.installed, file.stamp));
                    }
                    Ok(())
                })?;
                failed?;
            }
        }
        Ok(draft)
    }
}

/// The line of a file in a receipt.
pub(crate) fn line(path: &str, installed: InstalledFile, stamp: Option<FileStamp>) -> FileLine<'_> {
    let (crc32, sha256) = match installed.content {
        InstalledContent::Checksum(checksum) => (Some(ChecksumText(checksum)), None),
        InstalledContent::Digest(digest) => (None, Some(digest)),
    };
    FileLine { path, size: installed.size, crc32, sha256, stamp }
}

/// The paths that differ, as a comparison reports them.
#[derive(Debug, Default)]
pub(crate) struct Damaged {
    pub(crate) paths: BTreeSet<String>,
    /// Those of which only the mode differs.
    pub(crate) only_mode: BTreeSet<String>,
}

impl Damaged {
    /// Reported paths are printable. One that stands for two entries repairs both.
    fn has(&self, path: &str) -> bool {
        self.paths.contains(&lanspread_types::text::printable(path, lanspread_types::limits::PATH_BYTES_MAX))
    }
}
