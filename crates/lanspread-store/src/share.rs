//! Reads an installed tree for other peers, entry by entry, as long as it is the one that was verified.
//!
//! Invariants:
//!
//! - Only a tree whose receipt is *verified* by the given manifest is read, and of it only the files that the manifest
//!   lists, in the order of the manifest. What else is in the tree is never looked at.
//! - A file is opened below handles of its folders, never through a link, and only if it is still the one that was verified:
//!   its device is that of the tree, and size, inode and times are those in the receipt.
//! - Whatever is pushed was compared with the manifest first: a file that was changed without a trace in its times ends
//!   the push before its last byte has left.
//! - The user owns the tree, and may change it at any time. Nothing here keeps them from it.

mod folders;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_trust::manifest::{EntryContent, ManifestCheck, ManifestEntry, ManifestFile};
use lanspread_types::checksum::ChecksumHasher;
use lanspread_types::content::{ArchiveSummary, DirectoryEntry, EntryStep, FileEntry, Totals};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::share::folders::Folders;
use crate::state::games_dir::GamesDir;
use crate::state::receipt::FileStamp;
use crate::state::receipt_reader;
use crate::state::receipt_reader::InstalledContent;
use crate::state::tree::open_local;

/// Why a tree cannot be read for others, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is no tree, or it was not verified by this manifest.
    #[error("it is not installed, or was not verified by this manifest")]
    NotVerified,
    /// A file is no longer the one that was verified.
    #[error("`{path}` is no longer what was verified: {what}")]
    Changed {
        /// Its path in the tree.
        path: String,
        /// What is different.
        what: String,
    },
    /// The transfer was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The sink takes no more.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// This machine's disk, or its records.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An installed tree that was verified by a manifest.
#[derive(Debug)]
pub struct SharedTree {
    local: Dir,
    device: u64,
    shown: PathBuf,
    manifest: Arc<ManifestFile>,
    /// What identifies the file of each entry.
    stamps: Vec<Option<FileStamp>>,
}

impl SharedTree {
    /// Opens the installed tree of a game.
    ///
    /// # Errors
    /// [`ShareError::NotVerified`]; [`ShareError::Store`].
    pub fn open(games_dir: &Path, game: &GameId, manifest: Arc<ManifestFile>) -> Result<Self, ShareError> {
        let games = GamesDir::open(games_dir).map_err(StoreError::from)?;
        let local = open_local(&games, game)?.ok_or(ShareError::NotVerified)?;
        let shown = games.root_path(game).join(lanspread_types::layout::LOCAL_DIR);
        let entries = &manifest.manifest().entries;
        let mut stamps = vec![None; entries.len()];
        let read = receipt_reader::read_each(&games, game, |head, file| {
            // Another manifest is judged by the first line, below.
            if head.manifest != Some(manifest.digest()) {
                return Ok(());
            }
            let not_listed = || format!("`{}` is not as the manifest lists it", file.path);
            let (place, content) = entries.place(file.path).ok_or_else(not_listed)?;
            match content {
                EntryContent::File { size, digest, .. }
                    if size == file.installed.size
                        && file.installed.content == InstalledContent::Digest(*digest) => {}
                _ => return Err(not_listed()),
            }
            stamps[place] = file.stamp;
            Ok(())
        });
        let head = read.map_err(StoreError::from)?;
        if head.and_then(|head| head.manifest) != Some(manifest.digest()) {
            return Err(ShareError::NotVerified);
        }
        let device =
            local.dir_metadata().map_err(LocalError::io("read", &shown)).map_err(StoreError::from)?;
        let device = cap_std::fs::MetadataExt::dev(&device);
        Ok(Self { local, device, shown, manifest, stamps })
    }

    /// Whether every file is still the one that was verified, without a look at its content.
    ///
    /// # Errors
    /// [`ShareError::Changed`] with the first one that is not; [`ShareError::Cancelled`]; [`ShareError::Store`].
    pub fn check(&self, cancel: &CancellationToken) -> Result<(), ShareError> {
        let mut folders = Folders::new(&self.local);
        for (place, entry) in self.manifest.manifest().entries.iter().enumerate() {
            if cancel.is_cancelled() {
                return Err(ShareError::Cancelled);
            }
            if let EntryContent::File { size, .. } = entry.content {
                self.open_file(&mut folders, place, entry.path, size)?;
            }
        }
        Ok(())
    }

    /// The sums over the entries that [`Self::push`] pushes.
    pub fn totals(&self, from_path: Option<&str>) -> Totals {
        let mut totals = Totals::default();
        for entry in self.entries(from_path).map(|(_, entry)| entry) {
            match entry.content {
                EntryContent::Folder => totals.directories += 1,
                EntryContent::File { size, .. } => {
                    totals.files += 1;
                    totals.bytes += size;
                }
            }
        }
        totals
    }

    /// The archives as which the entries are pushed: those of the manifest. The first one has all the entries.
    pub fn archives(&self, from_path: Option<&str>) -> Vec<ArchiveSummary> {
        let manifest = self.manifest.manifest();
        let mut totals = Some(self.totals(from_path));
        let summaries = manifest.archives.iter().map(|archive| ArchiveSummary {
            name: archive
                .files
                .first()
                .map_or_else(String::new, |file| manifest.root_files[*file].name.clone()),
            format: archive.format,
            solid: archive.solid,
            totals: totals.take().unwrap_or_default(),
        });
        summaries.collect()
    }

    /// Pushes the entries into `sink`, in the order of the manifest, from a path on if there is one.
    ///
    /// # Errors
    /// [`ShareError`]. What was pushed before is as the manifest lists it, but for a file whose end was not pushed.
    pub fn push(
        &self,
        from_path: Option<&str>,
        sink: &mut dyn EntrySink,
        cancel: &CancellationToken,
    ) -> Result<(), ShareError> {
        let mut pushing = Pushing {
            sink,
            check: ManifestCheck::new(self.manifest.shared()),
            cancel,
            buffer: vec![0; limits::DATA_CHUNK_BYTES],
        };
        let mut folders = Folders::new(&self.local);
        for (number, summary) in self.archives(from_path).into_iter().enumerate() {
            pushing.step(EntryStep::ArchiveBegin(summary))?;
            if number == 0 {
                for (place, entry) in self.entries(from_path) {
                    self.push_entry(&mut folders, place, &entry, &mut pushing)?;
                }
            }
            pushing.step(EntryStep::ArchiveEnd)?;
        }
        Ok(())
    }

    fn entries(&self, from_path: Option<&str>) -> impl Iterator<Item = (usize, ManifestEntry<'_>)> {
        let all = self.manifest.manifest().entries.iter().enumerate();
        let from = from_path.map(str::to_owned);
        all.skip_while(move |(_, entry)| from.as_deref().is_some_and(|from| entry.path < from))
    }

    fn push_entry(
        &self,
        folders: &mut Folders<'_>,
        place: usize,
        entry: &ManifestEntry<'_>,
        pushing: &mut Pushing<'_>,
    ) -> Result<(), ShareError> {
        let parsed = EntryPath::parse(entry.path, NamePolicy::Portable);
        // The manifest was checked with this policy.
        let path = parsed.map_err(|error| StoreError::Internal(error.to_string()))?;
        let EntryContent::File { size, executable, .. } = entry.content else {
            return pushing.step(EntryStep::Directory(DirectoryEntry { path }));
        };
        let (file, modified) = self.open_file(folders, place, entry.path, size)?;
        let (checksum, modified) = (None, Some(modified));
        pushing.step(EntryStep::FileBegin(FileEntry { path, size, checksum, modified, executable }))?;
        self.push_content(file, entry.path, size, pushing)
    }

    fn push_content(
        &self,
        mut file: File,
        path: &str,
        size: u64,
        pushing: &mut Pushing<'_>,
    ) -> Result<(), ShareError> {
        let mut checksum = ChecksumHasher::default();
        let mut buffer = std::mem::take(&mut pushing.buffer);
        let mut left = size;
        while left > 0 {
            if pushing.cancel.is_cancelled() {
                return Err(ShareError::Cancelled);
            }
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let count = match file.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(changed(path, "it has become shorter")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(path, error)),
            };
            checksum.update(&buffer[..count]);
            left -= count as u64;
            pushing.step(EntryStep::Data(&buffer[..count]))?;
        }
        pushing.buffer = buffer;
        pushing.step(EntryStep::FileEnd(checksum.finish()))
    }

    /// Opens a file, if it is the one that was verified. Returns the time of its last change as well, in seconds.
    fn open_file(
        &self,
        folders: &mut Folders<'_>,
        place: usize,
        path: &str,
        size: u64,
    ) -> Result<(File, i64), ShareError> {
        let Some(stamp) = self.stamps[place] else { return Err(changed(path, "it was not installed")) };
        let file = match folders.open(path) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(changed(path, "no file is there")),
            Err(error) => return Err(self.unreadable(path, error)),
        };
        let metadata = file.metadata().map_err(|error| self.unreadable(path, error))?;
        if metadata.len() != size {
            return Err(changed(path, format!("it has {} bytes, not {size}", metadata.len())));
        }
        if metadata.dev() != self.device || FileStamp::of(&metadata) != stamp {
            return Err(changed(path, "it was written to, replaced or moved since"));
        }
        Ok((file, metadata.mtime()))
    }

    fn unreadable(&self, path: &str, error: io::Error) -> ShareError {
        StoreError::from(LocalError::io("read", self.shown.join(path))(error)).into()
    }
}

/// Where entries go, after they were compared with the manifest.
struct Pushing<'p> {
    sink: &'p mut dyn EntrySink,
    check: ManifestCheck,
    cancel: &'p CancellationToken,
    buffer: Vec<u8>,
}

impl Pushing<'_> {
    fn step(&mut self, step: EntryStep<&[u8]>) -> Result<(), ShareError> {
        self.check.take(&step, |bytes| bytes).map_err(|deviation| ShareError::Changed {
            path: deviation.path.clone().unwrap_or_default(),
            what: format!("{} expected, got {}", deviation.expected, deviation.got),
        })?;
        Ok(self.sink.take(step)?)
    }
}

fn changed(path: &str, what: impl Into<String>) -> ShareError {
    ShareError::Changed { path: path.to_owned(), what: what.into() }
}

#[cfg(test)]
mod tests;
