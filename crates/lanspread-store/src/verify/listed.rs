//! Compares an installed tree with the manifest of its version, on several threads, and records that it is verified.
//!
//! Invariants: a file is *verified* if its path, its size, its executable bit and the SHA-256 of all its bytes are those
//! that the manifest lists. A file of parts is read by several threads at once, and counts only if its stamp is the same
//! before each of its parts is read. Files that the user added are reported and are no fault; a file that the receipt
//! names and the manifest does not is one. The receipt is replaced only if nothing differs.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use cap_std::fs::Dir;
use lanspread_trust::manifest::{EntryContent, Manifest, ManifestFile};
use lanspread_types::checksum::{ContentDigest, ContentHasher};
use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::error::StoreError;
use crate::state::games_dir::GamesDir;
use crate::state::receipt;
use crate::state::receipt::{FileLine, FileStamp, ReceiptDraft};
use crate::state::receipt_reader::Receipt;
use crate::state::tree::open_file;
use crate::state::tree::{FoundFile, shown_path, walk};
use crate::verify::comparison::{Comparison, INSTALLED, Problem, VerifyPart};

/// An installed tree, its receipt, and the manifest of its version.
pub(crate) struct ListedTree {
    pub(crate) games: Arc<GamesDir>,
    pub(crate) local: Dir,
    pub(crate) shown: PathBuf,
    pub(crate) receipt: Receipt,
    pub(crate) manifest: Arc<ManifestFile>,
}

impl VerifyPart for ListedTree {
    fn bytes(&self) -> u64 {
        self.manifest.manifest().entries.totals().bytes
    }

    fn compare(&self, comparison: &mut Comparison<'_>) -> Result<(), StoreError> {
        let game = &self.receipt.head.game;
        let is_known = self.receipt.head.manifest == Some(self.manifest.digest());
        let draft = if is_known {
            None
        } else {
            let head = self.receipt.head.verified(self.manifest.digest());
            Some(ReceiptDraft::create(&self.games, &head)?)
        };
        let is_lifting = draft.is_some();
        let compared = self.compare_all(comparison, draft, None);
        if is_lifting {
            match &compared {
                Ok(Some(_)) => receipt::publish(&self.games, game)?,
                // The draft says nothing that anyone may believe.
                Ok(None) | Err(_) => receipt::discard(&self.games, game)?,
            }
        }
        compared.map(|_| ())
    }
}

impl ListedTree {
    /// Compares everything, and returns the stamp of each entry that is a file and is as listed.
    pub(crate) fn stamps(
        &self,
        comparison: &mut Comparison<'_>,
    ) -> Result<Vec<Option<FileStamp>>, StoreError> {
        let mut stamps = vec![None; self.manifest.manifest().entries.len()];
        self.compare_all(comparison, None, Some(&mut stamps))?;
        Ok(stamps)
    }

    /// Compares everything. Returns the draft, complete and durable, if it was given and nothing differs. `stamps` gets the
    /// stamp of each file that is as listed.
    fn compare_all(
        &self,
        comparison: &mut Comparison<'_>,
        draft: Option<ReceiptDraft>,
        stamps: Option<&mut Vec<Option<FileStamp>>>,
    ) -> Result<Option<ReceiptDraft>, StoreError> {
        let manifest = self.manifest.manifest();
        let cancel = comparison.cancel_token();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.min(limits::VERIFY_THREADS_MAX);
        let (jobs, waiting) = sync_channel(limits::VERIFY_JOBS_WAITING);
        let (read, results) = channel();
        let readers = Readers {
            local: &self.local,
            manifest,
            waiting: Mutex::new(waiting),
            read_bytes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            cancel,
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                let (readers, read) = (&readers, read.clone());
                let started = thread::Builder::new().name("verify".to_owned());
                let started = started.spawn_scoped(scope, move || readers.read_all(&read));
                started.map_err(LocalError::io("start a thread to read", &self.shown))?;
            }
            drop(read);
            let run = Run {
                tree: self,
                comparison,
                readers: &readers,
                jobs: Some(jobs),
                results,
                seen: vec![false; manifest.entries.len()],
                begun: HashMap::new(),
                draft,
                stamps,
                differs: false,
            };
            let ended = run.run();
            // Whatever still waits is not wanted.
            readers.stop.store(true, Ordering::Relaxed);
            ended
        })
    }
}

/// One file, or one part of a file that is listed in parts.
struct Job {
    entry: usize,
    part: usize,
    path: PathBuf,
}

/// What a reader found.
struct JobResult {
    job: Job,
    found: io::Result<Found>,
}

/// What is at a path.
enum Found {
    /// No file.
    Nothing,
    File {
        size: u64,
        executable: bool,
        stamp: FileStamp,
        /// Whether the bytes that were read are the listed ones.
        matches: bool,
    },
    /// The comparison has ended.
    Stopped,
}

/// What all threads that read share.
struct Readers<'a> {
    local: &'a Dir,
    manifest: &'a Manifest,
    waiting: Mutex<Receiver<Job>>,
    /// Bytes that were read and not reported yet.
    read_bytes: AtomicU64,
    stop: AtomicBool,
    cancel: CancellationToken,
}

impl Readers<'_> {
    /// A thread that reads, until no job can come any more.
    fn read_all(&self, results: &Sender<JobResult>) {
        let mut buffer = vec![0; limits::DATA_CHUNK_BYTES];
        loop {
            let job = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let found = self.read(&job, &mut buffer);
            if results.send(JobResult { job, found }).is_err() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.cancel.is_cancelled()
    }

    fn read(&self, job: &Job, buffer: &mut [u8]) -> io::Result<Found> {
        let listed = self.manifest.entries.at(job.entry).content;
        let EntryContent::File { size: listed_size, digest, parts, .. } = listed else {
            return Ok(Found::Nothing);
        };
        if self.is_over() {
            return Ok(Found::Stopped);
        }
        let opened = match open_file(self.local, &job.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => opened?,
        };
        let Some((file, size)) = opened else { return Ok(Found::Nothing) };
        let metadata = file.metadata()?;
        // Read before the first byte: whatever is written later gives the file another stamp.
        let (stamp, executable) = (FileStamp::of(&metadata), metadata.mode() & 0o111 != 0);
        let (begin, length, expected) = match parts.get(job.part) {
            None => (0, listed_size, digest),
            Some(part) => {
                let begin = job.part as u64 * limits::MANIFEST_PART_BYTES;
                (begin, limits::MANIFEST_PART_BYTES.min(listed_size - begin), part)
            }
        };
        if size != listed_size {
            return Ok(Found::File { size, executable, stamp, matches: false });
        }
        let Some(digest) = self.digest(&file, begin, length, buffer)? else { return Ok(Found::Stopped) };
        Ok(Found::File { size, executable, stamp, matches: digest == *expected })
    }

    /// The digest of a part of a file; `None` if the comparison has ended. A file that has become shorter has another.
    fn digest(
        &self,
        file: &File,
        mut begin: u64,
        mut length: u64,
        buffer: &mut [u8],
    ) -> io::Result<Option<ContentDigest>> {
        let mut hasher = ContentHasher::default();
        while length > 0 {
            if self.is_over() {
                return Ok(None);
            }
            let take = usize::try_from(length).map_or(buffer.len(), |length| length.min(buffer.len()));
            let count = match file.read_at(&mut buffer[..take], begin) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..count]);
            self.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
            begin += count as u64;
            length -= count as u64;
        }
        Ok(Some(hasher.finish()))
    }
}

/// A file of which jobs are not done.
struct Begun {
    jobs_left: usize,
    stamp: Option<FileStamp>,
    problem: Option<Problem>,
}

/// One running comparison: this thread walks the tree, hands out jobs, and reports.
struct Run<'r, 'c> {
    tree: &'r ListedTree,
    comparison: &'r mut Comparison<'c>,
    readers: &'r Readers<'r>,
    /// `None` once all jobs are handed out.
    jobs: Option<SyncSender<Job>>,
    results: Receiver<JobResult>,
    /// The entries of the manifest that are there.
    seen: Vec<bool>,
    begun: HashMap<usize, Begun>,
    draft: Option<ReceiptDraft>,
    stamps: Option<&'r mut Vec<Option<FileStamp>>>,
    differs: bool,
}

impl Run<'_, '_> {
    fn run(mut self) -> Result<Option<ReceiptDraft>, StoreError> {
        let tree = self.tree;
        walk(&tree.local, &tree.shown, &mut |path, found| self.found(path, found))?;
        self.jobs = None;
        while !self.begun.is_empty() {
            self.wait()?;
        }
        self.missing();
        let Some(mut draft) = self.draft.filter(|_| !self.differs) else { return Ok(None) };
        draft.complete(tree.manifest.manifest().entries.totals())?;
        draft.sync()?;
        Ok(Some(draft))
    }

    /// Something in the tree.
    fn found(&mut self, path: &Path, found: FoundFile) -> Result<(), StoreError> {
        self.comparison.go_on()?;
        let entries = &self.tree.manifest.manifest().entries;
        let name = path.to_str();
        // A link in the place of a file does not count as the file.
        let is_file = matches!(found, FoundFile::File(_));
        let listed = name.filter(|_| is_file).and_then(|name| entries.place(name));
        let Some((entry, EntryContent::File { parts, .. })) = listed else {
            let is_installed = name.is_some_and(|name| self.tree.receipt.files.contains_key(name));
            let problem = if is_installed && is_file { Problem::Unlisted } else { Problem::Added };
            self.report(&shown_path(path), Some(problem));
            return Ok(());
        };
        self.seen[entry] = true;
        let jobs = parts.len().max(1);
        self.begun.insert(entry, Begun { jobs_left: jobs, stamp: None, problem: None });
        for part in 0..jobs {
            self.hand_out(Job { entry, part, path: path.to_owned() })?;
        }
        Ok(())
    }

    /// Hands a job out. While no reader is free, results are taken.
    fn hand_out(&mut self, mut job: Job) -> Result<(), StoreError> {
        loop {
            let Some(jobs) = &self.jobs else { return Ok(()) };
            job = match jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(job)) => job,
                Err(TrySendError::Disconnected(_)) => return Err(readers_ended()),
            };
            self.wait()?;
        }
    }

    /// Waits for a result, and reports the progress.
    fn wait(&mut self) -> Result<(), StoreError> {
        let result = self.results.recv_timeout(limits::PROGRESS_INTERVAL);
        self.comparison.advance(self.readers.read_bytes.swap(0, Ordering::Relaxed));
        match result {
            Ok(result) => self.judge(result),
            Err(RecvTimeoutError::Timeout) => self.comparison.go_on(),
            Err(RecvTimeoutError::Disconnected) => Err(readers_ended()),
        }
    }

    fn judge(&mut self, JobResult { job, found }: JobResult) -> Result<(), StoreError> {
        self.comparison.go_on()?;
        let found = found.map_err(LocalError::io("read", self.tree.shown.join(&job.path)))?;
        let entry = self.tree.manifest.manifest().entries.at(job.entry);
        let EntryContent::File { size, executable, digest, .. } = entry.content else { return Ok(()) };
        let Some(begun) = self.begun.get_mut(&job.entry) else { return Ok(()) };
        let problem = match found {
            Found::Stopped => None,
            Found::Nothing => Some(Problem::Missing),
            Found::File { size: got, .. } if got != size => Some(Problem::Size),
            Found::File { matches: false, .. } => Some(Problem::Content),
            // Another process writes to it.
            Found::File { stamp, .. } if begun.stamp.is_some_and(|first| first != stamp) => {
                Some(Problem::Content)
            }
            Found::File { executable: got, stamp, .. } => {
                begun.stamp = Some(stamp);
                (got != executable).then_some(Problem::Executable)
            }
        };
        begun.problem = begun.problem.or(problem);
        begun.jobs_left -= 1;
        if begun.jobs_left > 0 {
            return Ok(());
        }
        let Begun { stamp, problem, .. } = *begun;
        self.begun.remove(&job.entry);
        if let (None, Some(stamps)) = (problem, &mut self.stamps) {
            stamps[job.entry] = stamp;
        }
        if let (None, Some(draft)) = (problem, &mut self.draft) {
            draft.file(&FileLine { path: entry.path, size, crc32: None, sha256: Some(*digest), stamp })?;
        }
        self.report(entry.path, problem);
        Ok(())
    }

    /// Reports what is listed and not there.
    fn missing(&mut self) {
        let entries = &self.tree.manifest.manifest().entries;
        for (at, entry) in entries.iter().enumerate() {
            let is_there = match entry.content {
                EntryContent::File { .. } => self.seen[at],
                EntryContent::Folder => {
                    self.tree.local.symlink_metadata(entry.path).is_ok_and(|found| found.is_dir())
                }
            };
            if !is_there {
                self.report(entry.path, Some(Problem::Missing));
            }
        }
    }

    fn report(&mut self, path: &str, problem: Option<Problem>) {
        self.differs |= problem.is_some_and(|problem| problem != Problem::Added);
        self.comparison.file(INSTALLED, path, problem);
    }
}

fn readers_ended() -> StoreError {
    StoreError::Internal("the threads that read the installed tree ended".to_owned())
}

#[cfg(test)]
mod tests;
