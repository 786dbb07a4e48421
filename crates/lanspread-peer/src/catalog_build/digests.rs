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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lanspread_types::checksum::Checksum;
    use lanspread_types::content::CopyEntry;
    use lanspread_types::entry_path::NamePolicy;
    use lanspread_types::ids::GameId;

    use super::*;
    use crate::catalog_build::observer::BuildObserver;
    use crate::peer::error::PeerError;
    use crate::report::event::PeerEvent;

    struct Deaf;

    impl BuildObserver for Deaf {
        fn event(&self, _event: PeerEvent) {}
        fn failed(&self, _game: &GameId, _error: &PeerError) {}
    }

    /// The pieces that a decoder pushes end anywhere.
    #[test]
    fn a_large_file_has_a_digest_for_each_part_and_its_copy_the_same() {
        let observer: Arc<dyn BuildObserver> = Arc::new(Deaf);
        let mut sink = DigestSink::new(Progress::new(&"g".parse().unwrap(), 1, &observer));
        let path = |name| EntryPath::parse(name, NamePolicy::Portable).unwrap();
        let part = usize::try_from(MANIFEST_PART_BYTES).unwrap();
        let bytes: Vec<u8> =
            (0..2 * part + 5).map(|index| u8::try_from((index >> 20) % 251).unwrap()).collect();
        for (name, length) in [("large", bytes.len()), ("whole", 2 * part), ("small", part)] {
            let size = length as u64;
            let file = FileEntry { path: path(name), size, checksum: None, modified: None, executable: true };
            sink.take(EntryStep::FileBegin(file)).unwrap();
            for piece in bytes[..length].chunks(3 * 1024 * 1024 + 7) {
                sink.take(EntryStep::Data(piece)).unwrap();
            }
            sink.take(EntryStep::FileEnd(Checksum::from_crc32(0))).unwrap();
        }
        let (copy, original) = (path("copy"), path("large"));
        let size = bytes.len() as u64;
        sink.take(EntryStep::Copy(CopyEntry {
            path: copy,
            original,
            size,
            modified: None,
            executable: false,
        }))
        .unwrap();
        let entries = sink.entries().unwrap();
        let digests = |bytes: &[u8]| bytes.chunks(part).map(ContentDigest::of).collect::<Vec<_>>();
        for (name, length, is_executable) in [
            ("large", bytes.len(), true),
            ("copy", bytes.len(), false),
            ("whole", 2 * part, true),
            ("small", part, true),
        ] {
            let content = entries.find(name).unwrap().content;
            let expected = if length > part { digests(&bytes[..length]) } else { Vec::new() };
            let EntryContent::File { size, executable, digest, parts } = content else { panic!("{name}") };
            assert_eq!((size, executable), (length as u64, is_executable), "{name}");
            assert_eq!(*digest, ContentDigest::of(&bytes[..length]), "{name}");
            assert_eq!(parts, expected, "{name}");
        }
    }
}
