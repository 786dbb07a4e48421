//! The digests of what a decoder pushes.

use std::collections::BTreeMap;

use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_trust::manifest::{EntryContent, ManifestEntries};
use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::content::{EntryStep, FileEntry};
use lanspread_types::entry_path::EntryPath;
use lanspread_types::limits::MANIFEST_PART_BYTES;

use crate::catalog_build::progress::Progress;

/// Takes the entries of all archives of a game.
pub(super) struct DigestSink {
    entries: BTreeMap<EntryPath, Seen>,
    open: Option<OpenFile>,
    progress: Progress,
}

#[derive(Debug, Clone)]
enum Seen {
    Folder,
    File { size: u64, executable: bool, digest: ContentDigest, parts: Vec<ContentDigest> },
}

struct OpenFile {
    file: FileEntry,
    whole: ContentHasher,
    /// The part that is arriving, and how much of it has; nothing if the file is too small for parts.
    part: Option<(ContentHasher, u64)>,
    parts: Vec<ContentDigest>,
}

impl OpenFile {
    fn new(file: FileEntry) -> Self {
        let part = (file.size > MANIFEST_PART_BYTES).then(|| (ContentHasher::default(), 0));
        Self { file, whole: ContentHasher::default(), part, parts: Vec::new() }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        let Some((hasher, arrived)) = &mut self.part else { return };
        while !bytes.is_empty() {
            let missing = usize::try_from(MANIFEST_PART_BYTES - *arrived).unwrap_or(usize::MAX);
            let (of_part, rest) = bytes.split_at(missing.min(bytes.len()));
            hasher.update(of_part);
            *arrived += of_part.len() as u64;
            bytes = rest;
            if *arrived == MANIFEST_PART_BYTES {
                self.parts.push(std::mem::take(hasher).finish());
                *arrived = 0;
            }
        }
    }

    fn finish(mut self) -> (EntryPath, Seen) {
        if let Some((hasher, _)) = self.part.filter(|(_, arrived)| *arrived > 0) {
            self.parts.push(hasher.finish());
        }
        let FileEntry { path, size, executable, .. } = self.file;
        (path, Seen::File { size, executable, digest: self.whole.finish(), parts: self.parts })
    }
}

impl DigestSink {
    pub(super) fn new(progress: Progress) -> Self {
        Self { entries: BTreeMap::new(), open: None, progress }
    }

    /// The entries, sorted by path.
    pub(super) fn entries(&self) -> Option<ManifestEntries> {
        let mut entries = ManifestEntries::default();
        for (path, seen) in &self.entries {
            let content = match seen {
                Seen::Folder => EntryContent::Folder,
                Seen::File { size, executable, digest, parts } => {
                    EntryContent::File { size: *size, executable: *executable, digest, parts }
                }
            };
            entries.push(path, content)?;
        }
        Some(entries)
    }
}

impl EntrySink for DigestSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) | EntryStep::ArchiveEnd => {}
            EntryStep::Directory(directory) => {
                self.entries.insert(directory.path, Seen::Folder);
            }
            EntryStep::FileBegin(file) => self.open = Some(OpenFile::new(file)),
            EntryStep::Data(bytes) => {
                let Some(open) = &mut self.open else { return Err(SinkError::Closed) };
                open.take(bytes);
                self.progress.add(bytes.len() as u64);
            }
            EntryStep::FileEnd(_) => {
                let Some(open) = self.open.take() else { return Err(SinkError::Closed) };
                let (path, seen) = open.finish();
                self.entries.insert(path, seen);
            }
            EntryStep::Copy(copy) => {
                let Some(Seen::File { size, digest, parts, .. }) = self.entries.get(&copy.original) else {
                    return Err(SinkError::Closed);
                };
                let (size, digest, parts) = (*size, *digest, parts.clone());
                let seen = Seen::File { size, executable: copy.executable, digest, parts };
                self.entries.insert(copy.path, seen);
                self.progress.add(copy.size);
            }
        }
        Ok(())
    }
}
