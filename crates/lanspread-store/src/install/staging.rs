//! A sink that writes entries below the handle of the staging folder and verifies every file.
//!
//! Invariants: every file is newly created. No link is created, and none is followed out of the staging folder. A file
//! counts only if its CRC-32 equals the one that the source computed and the one in the archive, if it has one. Of its
//! mode only *executable* is kept, within the user's umask. Times are clamped to what every file system can hold.

use std::fs::{File, FileTimes};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use lanspread_archive::SinkError;
use lanspread_archive::provider::EntrySink;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::content::{CopyEntry, DirectoryEntry, EntryStep, FileEntry, Totals, UnixSeconds};
use lanspread_types::entry_path::{EntryKind, EntryPath, NamePolicy, PathIndex};
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::limits::DATA_CHUNK_BYTES;

use crate::state::receipt::ReceiptDraft;

const MODE_FILE: u32 = 0o644;
const MODE_EXECUTABLE: u32 = 0o755;

/// Writes one tree.
#[derive(Debug)]
pub struct StagingSink {
    staging: Dir,
    /// Path of the staging folder, for messages.
    shown: PathBuf,
    paths: PathIndex,
    receipt: ReceiptDraft,
    open: Option<OpenFile>,
    totals: Totals,
}

/// The file that is being received.
#[derive(Debug)]
struct OpenFile {
    entry: FileEntry,
    file: File,
    checksum: ChecksumHasher,
}

impl StagingSink {
    pub(crate) fn new(staging: Dir, shown: PathBuf, policy: NamePolicy, receipt: ReceiptDraft) -> Self {
        Self { staging, shown, paths: PathIndex::new(policy), receipt, open: None, totals: Totals::default() }
    }

    /// Completes the draft of the receipt and returns what was written.
    pub fn complete(self) -> Result<Totals, LocalError> {
        self.receipt.complete(self.totals)?;
        Ok(self.totals)
    }

    /// Checks that the entry's path is free, and creates its folders.
    fn place(&mut self, path: &EntryPath, kind: EntryKind) -> Result<(), SinkError> {
        let new_folders = self.paths.insert(path, kind).map_err(ContentError::Name)?;
        for folder in new_folders {
            self.staging.create_dir(folder).map_err(LocalError::io("create", self.shown.join(folder)))?;
        }
        Ok(())
    }

    fn create(&self, path: &EntryPath, executable: bool) -> Result<File, LocalError> {
        let mode = if executable { MODE_EXECUTABLE } else { MODE_FILE };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let created = self.staging.open_with(path.as_str(), &options);
        Ok(created.map_err(self.io("create", path))?.into_std())
    }

    fn io(
        &self,
        action: &'static str,
        path: &EntryPath,
    ) -> impl FnOnce(std::io::Error) -> LocalError + use<> {
        LocalError::io(action, self.shown.join(path.as_str()))
    }

    fn record(&mut self, path: &EntryPath, size: u64, checksum: Checksum) -> Result<(), LocalError> {
        self.totals.files += 1;
        self.totals.bytes += size;
        self.receipt.file(path.as_str(), size, checksum)
    }
}

impl EntrySink for StagingSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) | EntryStep::ArchiveEnd => Ok(()),
            EntryStep::Directory(directory) => self.directory(&directory),
            EntryStep::FileBegin(file) => self.file_begin(file),
            EntryStep::Data(bytes) => self.data(bytes),
            EntryStep::FileEnd(checksum) => self.file_end(checksum),
            EntryStep::Copy(copy) => self.copy(&copy),
        }
    }
}

impl StagingSink {
    fn directory(&mut self, directory: &DirectoryEntry) -> Result<(), SinkError> {
        self.place(&directory.path, EntryKind::Directory)?;
        self.totals.directories += 1;
        Ok(())
    }

    fn file_begin(&mut self, file: FileEntry) -> Result<(), SinkError> {
        self.place(&file.path, EntryKind::File)?;
        let created = self.create(&file.path, file.executable)?;
        self.open = Some(OpenFile { entry: file, file: created, checksum: ChecksumHasher::default() });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        // The grammar passes no data without an open file.
        let Some(open) = &mut self.open else { return Err(SinkError::Closed) };
        open.checksum.update(bytes);
        if let Err(error) = open.file.write_all(bytes) {
            let path = open.entry.path.clone();
            return Err(self.io("write", &path)(error).into());
        }
        Ok(())
    }

    fn file_end(&mut self, checksum: Checksum) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else { return Err(SinkError::Closed) };
        let got = open.checksum.finish();
        let entry = open.entry;
        for expected in [Some(checksum), entry.checksum].into_iter().flatten() {
            if expected != got {
                return Err(ContentError::Checksum { path: entry.path.to_string(), expected, got }.into());
            }
        }
        set_modified(&open.file, entry.modified).map_err(self.io("set the time of", &entry.path))?;
        Ok(self.record(&entry.path, entry.size, got)?)
    }

    fn copy(&mut self, copy: &CopyEntry) -> Result<(), SinkError> {
        self.place(&copy.path, EntryKind::File)?;
        let unknown = || ContentError::UnknownOriginal {
            path: copy.path.to_string(),
            original: copy.original.to_string(),
        };
        let mut original = self.staging.open(copy.original.as_str()).map_err(|_| unknown())?.into_std();
        let metadata = original.metadata().map_err(self.io("read", &copy.original))?;
        if !metadata.is_file() || metadata.len() != copy.size {
            return Err(unknown().into());
        }
        let mut file = self.create(&copy.path, copy.executable)?;
        let mut checksum = ChecksumHasher::default();
        let mut buffer = vec![0; DATA_CHUNK_BYTES];
        loop {
            let count = original.read(&mut buffer).map_err(self.io("read", &copy.original))?;
            if count == 0 {
                break;
            }
            checksum.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(self.io("write", &copy.path))?;
        }
        set_modified(&file, copy.modified).map_err(self.io("set the time of", &copy.path))?;
        Ok(self.record(&copy.path, copy.size, checksum.finish())?)
    }
}

fn set_modified(file: &File, modified: Option<UnixSeconds>) -> std::io::Result<()> {
    let Some(modified) = modified else { return Ok(()) };
    let seconds = u64::try_from(modified).unwrap_or(0).min(u64::from(u32::MAX));
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use lanspread_types::entry_path::NameProblem;
    use lanspread_types::ids::PeerId;

    use super::*;
    use crate::state::games_dir::GamesDir;

    struct Fixture {
        folder: tempfile::TempDir,
        sink: StagingSink,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        games.dir().create_dir("staging").unwrap();
        let (game, version, name) = ("g".parse().unwrap(), "1".parse().unwrap(), "pc".parse().unwrap());
        let receipt =
            ReceiptDraft::create(&games, &game, &version, &name, PeerId::random().unwrap()).unwrap();
        let staging = games.dir().open_dir("staging").unwrap();
        let sink = StagingSink::new(staging, folder.path().join("staging"), NamePolicy::Portable, receipt);
        Fixture { folder, sink }
    }

    fn path(name: &str) -> EntryPath {
        EntryPath::parse(name, NamePolicy::Portable).unwrap()
    }

    fn file(name: &str, content: &[u8]) -> FileEntry {
        let checksum = Some(Checksum::of(content));
        FileEntry {
            path: path(name),
            size: content.len() as u64,
            checksum,
            modified: None,
            executable: false,
        }
    }

    fn put(sink: &mut StagingSink, entry: &FileEntry, content: &[u8]) -> Result<(), SinkError> {
        sink.file_begin(entry.clone())?;
        if !content.is_empty() {
            sink.data(content)?;
        }
        sink.file_end(Checksum::of(content))
    }

    #[test]
    fn files_folders_and_copies_become_a_tree() {
        let Fixture { folder, mut sink } = fixture();
        sink.directory(&DirectoryEntry { path: path("empty") }).unwrap();
        let entry = FileEntry { executable: true, modified: Some(1_700_000_000), ..file("a/b/run", b"code") };
        put(&mut sink, &entry, b"code").unwrap();
        put(&mut sink, &FileEntry { modified: Some(-5), ..file("a/zero", b"") }, b"").unwrap();
        let copy = CopyEntry {
            path: path("c/run2"),
            original: path("a/b/run"),
            size: 4,
            modified: Some(i64::MAX),
            executable: false,
        };
        sink.copy(&copy).unwrap();
        assert_eq!(sink.complete().unwrap(), Totals { files: 3, directories: 1, bytes: 8 });

        let root = folder.path().join("staging");
        let run = std::fs::metadata(root.join("a/b/run")).unwrap();
        assert_eq!(run.permissions().mode() & 0o7111, 0o111, "executable and nothing else");
        assert_eq!(run.mtime(), 1_700_000_000);
        assert_eq!(std::fs::read(root.join("c/run2")).unwrap(), b"code");
        assert_eq!(std::fs::metadata(root.join("c/run2")).unwrap().permissions().mode() & 0o7111, 0);
        assert_eq!(std::fs::metadata(root.join("a/zero")).unwrap().mtime(), 0, "clamped");
        assert!(root.join("empty").is_dir());
        let receipt = std::fs::read_to_string(folder.path().join(".lanspread/receipts/g.draft")).unwrap();
        assert_eq!(receipt.lines().count(), 5);
        assert!(receipt.ends_with("{\"files\":3,\"directories\":1,\"bytes\":8}\n"));
    }

    #[test]
    fn content_is_compared_with_the_checksums_of_archive_and_source() {
        let Fixture { folder: _folder, mut sink } = fixture();
        let entry = file("a", b"good");
        sink.file_begin(entry).unwrap();
        sink.data(b"evil").unwrap();
        let error = sink.file_end(Checksum::of(b"evil")).unwrap_err();
        assert!(
            matches!(error, SinkError::Content(ContentError::Checksum { .. })),
            "the archive's CRC-32: {error}"
        );
        sink.file_begin(FileEntry { checksum: None, ..file("b", b"good") }).unwrap();
        sink.data(b"evil").unwrap();
        let error = sink.file_end(Checksum::of(b"good")).unwrap_err();
        assert!(
            matches!(error, SinkError::Content(ContentError::Checksum { .. })),
            "the source's CRC-32: {error}"
        );
    }

    #[test]
    fn a_second_entry_never_replaces_the_first() {
        let Fixture { folder, mut sink } = fixture();
        put(&mut sink, &file("a", b"first"), b"first").unwrap();
        for (name, expected) in
            [("a", NameProblem::Duplicate), ("A", NameProblem::Collision), ("a/b", NameProblem::Duplicate)]
        {
            match put(&mut sink, &file(name, b"x"), b"x") {
                Err(SinkError::Content(ContentError::Name(error))) => {
                    assert_eq!(error.problem, expected, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(std::fs::read(folder.path().join("staging/a")).unwrap(), b"first");
    }

    #[test]
    fn a_copy_needs_an_earlier_file_of_its_size() {
        let Fixture { folder: _folder, mut sink } = fixture();
        put(&mut sink, &file("a", b"four"), b"four").unwrap();
        sink.directory(&DirectoryEntry { path: path("d") }).unwrap();
        for (name, original, size) in [("x", "missing", 4), ("y", "a", 5), ("z", "d", 0)] {
            let copy = CopyEntry {
                path: path(name),
                original: path(original),
                size,
                modified: None,
                executable: false,
            };
            let error = sink.copy(&copy).unwrap_err();
            assert!(
                matches!(error, SinkError::Content(ContentError::UnknownOriginal { .. })),
                "{name}: {error}"
            );
        }
    }

    /// A link that is planted in staging while it is filled is never written through.
    #[test]
    fn a_planted_link_leads_nowhere() {
        let Fixture { folder, mut sink } = fixture();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("staging/door")).unwrap();
        assert!(put(&mut sink, &file("door/x", b"x"), b"x").is_err());
        std::fs::write(outside.path().join("target"), "kept").unwrap();
        std::os::unix::fs::symlink(outside.path().join("target"), folder.path().join("staging/file"))
            .unwrap();
        assert!(put(&mut sink, &file("file", b"x"), b"x").is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(outside.path().join("target")).unwrap(), b"kept");
    }
}
