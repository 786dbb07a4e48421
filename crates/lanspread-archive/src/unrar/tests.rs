//! The provider against the real `unrar` on every fixture, and against programs that misbehave.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use lanspread_testing::programs;
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveSummary, CopyEntry, DirectoryEntry, EntryStep, FileEntry};
use lanspread_types::limits::DICTIONARY_BYTES_DEFAULT;

use super::*;
use crate::error::SinkError;
use crate::provider::EntrySink;

mod misbehaving;
mod real;

/// A workspace folder, whichever way the tests are run.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A tree as installed: directories, and files with content, executable bit and modification time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Tree {
    directories: std::collections::BTreeSet<String>,
    files: BTreeMap<String, TreeFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TreeFile {
    content: Vec<u8>,
    executable: bool,
    modified: Option<i64>,
}

impl Tree {
    fn add_parents(&mut self, path: &str) {
        let parents = path.match_indices('/').map(|(index, _)| path[..index].to_owned());
        self.directories.extend(parents);
    }

    /// Reads what the real program extracted.
    fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.read_folder(root, root);
        tree
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                self.directories.insert(name);
                self.read_folder(root, &path);
            } else {
                let executable = metadata.mode() & 0o111 != 0;
                let content = fs::read(&path).unwrap();
                let file = TreeFile { content, executable, modified: Some(metadata.mtime()) };
                self.files.insert(name, file);
            }
        }
    }
}

/// Builds a [`Tree`] and holds the provider to the grammar of [`EntrySink`].
#[derive(Default)]
struct TreeSink {
    tree: Tree,
    open: Option<(FileEntry, Vec<u8>)>,
    ended: bool,
    /// If set, refuses the first chunk, like a sink whose other end is gone.
    closed: bool,
}

impl EntrySink for TreeSink {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) => {
                assert!(self.open.is_none());
                self.ended = false;
            }
            EntryStep::Directory(directory) => self.directory(&directory),
            EntryStep::FileBegin(file) => self.file_begin(&file),
            EntryStep::Data(bytes) => return self.chunk(bytes),
            EntryStep::FileEnd(checksum) => self.file_end(checksum),
            EntryStep::Copy(copy) => self.copy(&copy),
            EntryStep::ArchiveEnd => {
                assert!(self.open.is_none());
                self.ended = true;
            }
        }
        Ok(())
    }
}

impl TreeSink {
    fn directory(&mut self, directory: &DirectoryEntry) {
        assert!(self.open.is_none());
        self.tree.add_parents(directory.path.as_str());
        self.tree.directories.insert(directory.path.as_str().to_owned());
    }

    fn file_begin(&mut self, file: &FileEntry) {
        assert!(self.open.replace((file.clone(), Vec::new())).is_none());
    }

    fn chunk(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        assert!(!bytes.is_empty());
        self.open.as_mut().unwrap().1.extend_from_slice(bytes);
        if self.closed { Err(SinkError::Closed) } else { Ok(()) }
    }

    fn file_end(&mut self, checksum: Checksum) {
        let (file, content) = self.open.take().unwrap();
        assert_eq!(checksum, Checksum::of(&content));
        assert_eq!(file.size, content.len() as u64);
        self.tree.add_parents(file.path.as_str());
        let entry = TreeFile { content, executable: file.executable, modified: file.modified };
        assert!(self.tree.files.insert(file.path.as_str().to_owned(), entry).is_none());
    }

    fn copy(&mut self, copy: &CopyEntry) {
        let content = self.tree.files[copy.original.as_str()].content.clone();
        assert_eq!(copy.size, content.len() as u64);
        self.tree.add_parents(copy.path.as_str());
        let entry = TreeFile { content, executable: copy.executable, modified: copy.modified };
        assert!(self.tree.files.insert(copy.path.as_str().to_owned(), entry).is_none());
    }
}

/// Inspects and extracts into `sink`.
fn run(
    provider: &UnrarProvider,
    archive: &ArchiveSet,
    sink: &Rc<RefCell<TreeSink>>,
) -> Result<(), ArchiveError> {
    let cancel = CancellationToken::new();
    let listing = Arc::new(provider.inspect(archive, &cancel)?);
    let shared: SharedSink = Rc::<RefCell<TreeSink>>::clone(sink);
    provider.extract(archive, &listing, shared, &cancel)
}

/// Inspects and extracts into a tree.
fn decode(provider: &UnrarProvider, archive: &ArchiveSet) -> Result<Tree, ArchiveError> {
    let sink = Rc::new(RefCell::new(TreeSink::default()));
    let result = run(provider, archive, &sink);
    let sink = sink.take();
    assert_eq!(sink.ended, result.is_ok(), "an archive ends exactly if it is complete");
    result.map(|()| sink.tree)
}
