//! Compares a game with its records, part by part. Each part knows what it consists of; this module counts, reports and
//! stops.

use std::io::Read;
use std::time::Instant;

use crate::error::StoreError;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio_util::sync::CancellationToken;

/// Name of the part that is the installed tree, in events.
pub const INSTALLED: &str = "local";

/// Something that can be compared with its record.
pub trait VerifyPart: Send {
    /// Bytes that it should have.
    fn bytes(&self) -> u64;
    /// Compares it, and reports every file and every difference to `comparison`.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`], or a failure of this machine's disk.
    fn compare(&self, comparison: &mut Comparison<'_>) -> Result<(), StoreError>;
}

/// Receives the progress of a comparison.
pub trait VerifyObserver {
    /// `bytes` of `bytes_total` were read. Called at most every [`limits::PROGRESS_INTERVAL`].
    fn progress(&mut self, bytes: u64, bytes_total: u64);
    /// A file is not as it was recorded, or was never recorded.
    fn difference(&mut self, difference: Difference);
}

/// One file that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `local` or `download`.
    pub part: &'static str,
    /// Path in that part, safe to print.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It has another size.
    Size,
    /// It has the right size but other content.
    Content,
    /// Its content is right, but not whether it can be executed.
    Executable,
    /// It was installed by lanspread, and the manifest does not list it.
    Unlisted,
    /// It was not installed by lanspread: it is reported, but not as a fault.
    Added,
}

impl Problem {
    /// Stable kebab-case code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Size => "size",
            Self::Content => "content",
            Self::Executable => "executable",
            Self::Unlisted => "unlisted",
            Self::Added => "added",
        }
    }
}

/// A running comparison of one game.
pub struct Comparison<'a> {
    observer: &'a mut dyn VerifyObserver,
    cancel: CancellationToken,
    bytes_total: u64,
    counts: Counts,
    reported: Instant,
}

/// What a comparison has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files compared, including missing ones.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Files that are missing or differ.
    pub differences: u64,
    /// Files that lanspread did not install.
    pub added: u64,
}

/// Whether a comparison that finds everything right records that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// It does.
    On,
    /// It changes nothing; the game need not be locked.
    Off,
}

/// Compares every part, and returns the counts.
///
/// # Errors
/// [`StoreError::Cancelled`], or a failure of this machine's disk. Differences are not an error.
pub fn compare(
    parts: &[Box<dyn VerifyPart>],
    observer: &mut dyn VerifyObserver,
    cancel: &CancellationToken,
) -> Result<Counts, StoreError> {
    let bytes_total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.bytes()));
    let mut comparison = Comparison::new(bytes_total, observer, cancel);
    for part in parts {
        part.compare(&mut comparison)?;
    }
    Ok(comparison.counts)
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(
        bytes_total: u64,
        observer: &'a mut dyn VerifyObserver,
        cancel: &CancellationToken,
    ) -> Self {
        let (counts, reported) = (Counts::default(), Instant::now());
        Self { observer, cancel: cancel.clone(), bytes_total, counts, reported }
    }

    /// What it has found so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads a file to its end, reports the progress, and returns its length and its CRC-32.
    pub(crate) fn read(&mut self, file: impl Read) -> Result<std::io::Result<(u64, Checksum)>, StoreError> {
        let mut checksum = ChecksumHasher::default();
        let length = self.read_into(file, |bytes| checksum.update(bytes))?;
        Ok(length.map(|length| (length, checksum.finish())))
    }

    /// Reads a file to its end, reports the progress, and returns its length.
    pub(crate) fn read_into(
        &mut self,
        mut file: impl Read,
        mut take: impl FnMut(&[u8]),
    ) -> Result<std::io::Result<u64>, StoreError> {
        let (mut buffer, mut length) = (vec![0; limits::DATA_CHUNK_BYTES], 0);
        loop {
            self.go_on()?;
            let count = match file.read(&mut buffer) {
                Ok(0) => return Ok(Ok(length)),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            take(&buffer[..count]);
            length += count as u64;
            self.advance(count as u64);
        }
    }

    /// Is cancelled when the comparison is.
    pub(crate) fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Fails if the comparison was cancelled.
    pub(crate) fn go_on(&self) -> Result<(), StoreError> {
        if self.cancel.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
    }

    /// Counts bytes that were read.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.counts.bytes += bytes;
        if self.reported.elapsed() >= limits::PROGRESS_INTERVAL {
            self.reported = Instant::now();
            self.observer.progress(self.counts.bytes, self.bytes_total);
        }
    }

    /// Counts a file that was compared, and reports what is wrong with it, if anything; `part` is `local` or
    /// `download`.
    pub(crate) fn file(&mut self, part: &'static str, path: &str, problem: Option<Problem>) {
        match problem {
            Some(Problem::Added) => self.counts.added += 1,
            Some(_) => {
                self.counts.files += 1;
                self.counts.differences += 1;
            }
            None => self.counts.files += 1,
        }
        if let Some(problem) = problem {
            let path = printable(path, limits::PATH_BYTES_MAX);
            self.observer.difference(Difference { part, path, problem });
        }
    }
}
