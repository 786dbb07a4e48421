//! Takes of a whole game only what a repair wants, and compares it with what must be there.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use cap_std::fs::Dir;
use lanspread_archive::SinkError;
use lanspread_types::checksum::{Checksum, ChecksumHasher, ContentHasher};
use lanspread_types::content::{CopyEntry, DirectoryEntry, EntryStep, FileEntry};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::limits::DATA_CHUNK_BYTES;

use crate::install::tree_repair::{TreeRepair, WantedFile};
use crate::state::receipt_reader::InstalledContent;
use crate::state::tree::open_file;

/// Where picked entries go.
pub(super) trait StagePicked {
    /// Takes a step of what is staged.
    fn stage(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError>;
    /// Opens a file that was staged before.
    fn open_staged(&mut self, path: &EntryPath) -> Result<std::fs::File, LocalError>;
}

/// What is picked, and what of it has come.
#[derive(Debug)]
pub(super) struct Picking {
    repair: Arc<TreeRepair>,
    /// The tree that is repaired.
    local: Dir,
    /// The file that is being received, if it is wanted.
    open: Option<OpenPick>,
    /// Entries that have come.
    taken: BTreeSet<String>,
    /// Bytes of content that came, wanted or not.
    bytes: u64,
}

#[derive(Debug)]
struct OpenPick {
    path: String,
    wanted: WantedFile,
    digest: ContentHasher,
}

impl Picking {
    pub(super) fn new(repair: Arc<TreeRepair>, local: Dir) -> Self {
        Self { repair, local, open: None, taken: BTreeSet::new(), bytes: 0 }
    }

    pub(super) fn repair(&self) -> &TreeRepair {
        &self.repair
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first entry that is wanted and has not come.
    pub(super) fn missing(&self) -> Option<ContentError> {
        let files = self.repair.files.keys().filter(|path| self.repair.wants(path));
        let path = files.into_iter().find(|path| !self.taken.contains(*path))?;
        Some(ContentError::NotInstalled { path: path.clone(), what: "it is not there".to_owned() })
    }

    /// Takes a step of the whole game.
    pub(super) fn pick(
        &mut self,
        sink: &mut impl StagePicked,
        step: EntryStep<&[u8]>,
    ) -> Result<(), SinkError> {
        match step {
            EntryStep::ArchiveBegin(_) | EntryStep::ArchiveEnd | EntryStep::Directory(_) => Ok(()),
            EntryStep::FileBegin(file) => self.begin(sink, file),
            EntryStep::Data(bytes) => {
                self.bytes += bytes.len() as u64;
                self.data(sink, bytes)
            }
            EntryStep::FileEnd(checksum) => self.end(sink, checksum),
            EntryStep::Copy(copy) => {
                if self.repair.files.get(copy.path.as_str()).is_none_or(|wanted| wanted.has_content) {
                    return Ok(());
                }
                self.copy(sink, &copy)
            }
        }
    }

    /// Notes an entry that has come; false if it is not wanted.
    fn takes(&mut self, path: &EntryPath) -> bool {
        self.repair.wants(path.as_str()) && self.taken.insert(path.to_string())
    }

    fn begin(&mut self, sink: &mut impl StagePicked, file: FileEntry) -> Result<(), SinkError> {
        let wanted = self.repair.files.get(file.path.as_str()).filter(|wanted| !wanted.has_content).copied();
        let Some(wanted) = wanted.filter(|_| self.takes(&file.path)) else {
            return Ok(());
        };
        if file.size != wanted.installed.size {
            let what = format!("it has {} bytes, not {}", file.size, wanted.installed.size);
            return Err(not_installed(&file.path, what));
        }
        self.begin_wanted(sink, file, wanted)
    }

    fn begin_wanted(
        &mut self,
        sink: &mut impl StagePicked,
        mut file: FileEntry,
        wanted: WantedFile,
    ) -> Result<(), SinkError> {
        file.executable = wanted.executable.unwrap_or(file.executable);
        let path = file.path.to_string();
        self.open = Some(OpenPick { path, wanted, digest: ContentHasher::default() });
        sink.stage(EntryStep::FileBegin(file))
    }

    fn data(&mut self, sink: &mut impl StagePicked, bytes: &[u8]) -> Result<(), SinkError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if let InstalledContent::Digest(_) = open.wanted.installed.content {
            open.digest.update(bytes);
        }
        sink.stage(EntryStep::Data(bytes))
    }

    /// The source says what CRC-32 its bytes have; what must be there is said by the receipt or the manifest.
    fn end(&mut self, sink: &mut impl StagePicked, checksum: Checksum) -> Result<(), SinkError> {
        let Some(OpenPick { path, wanted, digest }) = self.open.take() else { return Ok(()) };
        let what = match wanted.installed.content {
            InstalledContent::Checksum(expected) if expected != checksum => {
                Some(format!("its CRC-32 is {checksum}, not {expected}"))
            }
            InstalledContent::Digest(expected) => {
                let got = digest.finish();
                (got != expected).then(|| format!("its SHA-256 is {got}, not {expected}"))
            }
            InstalledContent::Checksum(_) => None,
        };
        match what {
            Some(what) => Err(ContentError::NotInstalled { path, what }.into()),
            None => sink.stage(EntryStep::FileEnd(checksum)),
        }
    }

    /// A copy of a file that is staged, or that is whole in the tree.
    fn copy(&mut self, sink: &mut impl StagePicked, copy: &CopyEntry) -> Result<(), SinkError> {
        let is_staged = self.taken.contains(copy.original.as_str());
        let CopyEntry { path, size, modified, executable, .. } = copy.clone();
        let file = FileEntry { path, size, checksum: None, modified, executable };
        let original = if is_staged {
            Some(sink.open_staged(&copy.original)?)
        } else {
            self.open_local(&copy.original)?
        };
        self.begin(sink, file)?;
        self.content(sink, original, &copy.original)
    }

    /// Stages the files of which only the mode is wrong, from the tree itself.
    pub(super) fn stage_own(&mut self, sink: &mut impl StagePicked) -> Result<(), SinkError> {
        let own = self.repair.files.iter().filter(|(_, wanted)| wanted.has_content);
        let own: Vec<_> = own.map(|(path, wanted)| (path.clone(), *wanted)).collect();
        for (path, wanted) in own {
            // A receipt and a manifest have such paths only.
            let path = EntryPath::parse(&path, NamePolicy::Native).map_err(ContentError::Name)?;
            let original = self.open_local(&path)?;
            let modified = original.as_ref().and_then(|file| file.metadata().ok());
            let modified = modified.map(|metadata| std::os::unix::fs::MetadataExt::mtime(&metadata));
            let size = wanted.installed.size;
            let file = FileEntry { path: path.clone(), size, checksum: None, modified, executable: false };
            self.begin_wanted(sink, file, wanted)?;
            self.content(sink, original, &path)?;
        }
        Ok(())
    }

    /// Stages the folders.
    pub(super) fn make_folders(&mut self, sink: &mut impl StagePicked) -> Result<(), SinkError> {
        let repair = Arc::clone(&self.repair);
        for path in &repair.folders {
            let path = EntryPath::parse(path, NamePolicy::Native).map_err(ContentError::Name)?;
            sink.stage(EntryStep::Directory(DirectoryEntry { path }))?;
        }
        Ok(())
    }

    fn open_local(&self, path: &EntryPath) -> Result<Option<std::fs::File>, LocalError> {
        match open_file(&self.local, path.as_str()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => {
                let opened = opened.map_err(LocalError::io("open", path.as_str()))?;
                Ok(opened.map(|(file, _)| file))
            }
        }
    }

    /// The whole content of the open file.
    fn content(
        &mut self,
        sink: &mut impl StagePicked,
        original: Option<std::fs::File>,
        shown: &EntryPath,
    ) -> Result<(), SinkError> {
        let Some(size) = self.open.as_ref().map(|open| open.wanted.installed.size) else { return Ok(()) };
        let (mut checksum, mut buffer) = (ChecksumHasher::default(), vec![0; DATA_CHUNK_BYTES]);
        let mut original = original.map(|file| file.take(size));
        let mut length = 0;
        while let Some(file) = &mut original {
            let count = match file.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                count => count.map_err(LocalError::io("read", shown.as_str()))?,
            };
            if count == 0 {
                break;
            }
            length += count as u64;
            checksum.update(&buffer[..count]);
            self.data(sink, &buffer[..count])?;
        }
        if length != size {
            return Err(not_installed(shown, format!("it has {length} bytes, not {size}")));
        }
        self.end(sink, checksum.finish())
    }
}

fn not_installed(path: &EntryPath, what: String) -> SinkError {
    ContentError::NotInstalled { path: path.to_string(), what }.into()
}
