//! Compares what is here with what was recorded, part by part. What a part is made of is its own business; counting,
//! telling and stopping are done here.

use std::io::Read;
use std::time::Instant;

use cap_std::fs::Dir;
use lanspread_types::checksum::{Checksum, ChecksumHasher};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;
use lanspread_types::limits;
use lanspread_types::text::printable;
use tokio_util::sync::CancellationToken;

use super::games_dir::GamesDir;
use super::receipt::{self, InstalledFile, Receipt, ReceiptError};
use super::tree::{Found, open_local, shown_path, walk};
use crate::error::PeerError;
use crate::event::{EventSender, PeerEvent};

/// Something that can be compared with its record.
pub(crate) trait VerifyPart: Send {
    /// Bytes it should have.
    fn bytes(&self) -> u64;
    /// Compares it, and tells `comparison` of every file and every difference.
    ///
    /// # Errors
    /// [`PeerError::Cancelled`] as `comparison` says so, or this machine's disk.
    fn compare(&self, comparison: &mut Comparison) -> Result<(), PeerError>;
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Missing,
    Size,
    Content,
    /// Nobody installed it: told, and no fault.
    Added,
}

impl Problem {
    fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Size => "size",
            Self::Content => "content",
            Self::Added => "added",
        }
    }
}

/// One comparison of one game.
#[derive(Debug)]
pub(crate) struct Comparison {
    game: GameId,
    events: EventSender,
    cancel: CancellationToken,
    bytes_total: u64,
    counts: Counts,
    reported: Instant,
}

/// What a comparison has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Files compared, missing ones included.
    pub(crate) files: u64,
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Files that are missing or differ.
    pub(crate) differences: u64,
    /// Files that nobody installed.
    pub(crate) added: u64,
}

/// Compares every part, and tells of the result.
pub(crate) fn compare(
    game: &GameId,
    parts: &[Box<dyn VerifyPart>],
    events: &EventSender,
    cancel: &CancellationToken,
) -> Result<Counts, PeerError> {
    let mut comparison = Comparison {
        game: game.clone(),
        events: events.clone(),
        cancel: cancel.clone(),
        bytes_total: parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes())),
        counts: Counts::default(),
        reported: Instant::now(),
    };
    for part in parts {
        part.compare(&mut comparison)?;
    }
    Ok(comparison.counts)
}

impl Comparison {
    /// Reads a file to its end and returns its length and its CRC-32, telling of the progress.
    pub(crate) fn read(
        &mut self,
        mut file: impl Read,
    ) -> Result<std::io::Result<(u64, Checksum)>, PeerError> {
        let (mut buffer, mut length, mut checksum) =
            (vec![0; limits::DATA_CHUNK_BYTES], 0, ChecksumHasher::default());
        loop {
            self.go_on()?;
            let count = match file.read(&mut buffer) {
                Ok(0) => return Ok(Ok((length, checksum.finish()))),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            checksum.update(&buffer[..count]);
            length += count as u64;
            self.advance(count as u64);
        }
    }

    /// Whether nobody has cancelled.
    pub(crate) fn go_on(&self) -> Result<(), PeerError> {
        if self.cancel.is_cancelled() { Err(PeerError::Cancelled) } else { Ok(()) }
    }

    /// Counts bytes that were compared.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.counts.bytes += bytes;
        if self.reported.elapsed() >= limits::PROGRESS_INTERVAL {
            self.reported = Instant::now();
            self.events.report(PeerEvent::VerifyProgress {
                game: self.game.clone(),
                bytes: self.counts.bytes,
                bytes_total: self.bytes_total,
            });
        }
    }

    /// Counts a file that was compared and is as it should be, or is not; `part` is `local` or `download`.
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
            self.events.report(PeerEvent::VerifyDifference {
                game: self.game.clone(),
                part: part.into(),
                path: printable(path, limits::PATH_BYTES_MAX),
                problem: problem.code().into(),
            });
        }
    }
}

/// An installed tree and its receipt.
pub(crate) struct InstalledTree {
    local: Dir,
    shown: std::path::PathBuf,
    receipt: Receipt,
}

/// Name of this part in events.
const PART: &str = "local";

impl InstalledTree {
    /// The installed tree of a locked game: nothing without `local/`, or without a receipt.
    ///
    /// # Errors
    /// [`PeerError::NotVerifiable`] for a receipt that cannot be read.
    pub(crate) fn find(games: &GamesDir, game: &GameId) -> Result<Option<Self>, PeerError> {
        let Some(local) = open_local(games, game)? else { return Ok(None) };
        let receipt = receipt::read(games, game).map_err(|error| match error {
            ReceiptError::Local(error) => PeerError::Local(error),
            malformed @ ReceiptError::Malformed { .. } => PeerError::NotVerifiable {
                game: game.clone(),
                reason: format!("its receipt cannot be read: {malformed}"),
            },
        })?;
        let shown = games.root_path(game).join(LOCAL_DIR);
        Ok(receipt.map(|receipt| Self { local, shown, receipt }))
    }

    fn judge(
        &self,
        path: &std::path::Path,
        size: u64,
        installed: InstalledFile,
        comparison: &mut Comparison,
    ) -> Result<Option<Problem>, PeerError> {
        if size != installed.size {
            return Ok(Some(Problem::Size));
        }
        let io = |action| LocalError::io(action, self.shown.join(path));
        let file = self.local.open(path).map_err(io("open"))?;
        let (length, checksum) = comparison.read(file)?.map_err(io("read"))?;
        Ok(if length != installed.size {
            Some(Problem::Size)
        } else if checksum != installed.checksum {
            Some(Problem::Content)
        } else {
            None
        })
    }
}

impl VerifyPart for InstalledTree {
    fn bytes(&self) -> u64 {
        self.receipt.totals.bytes
    }

    fn compare(&self, comparison: &mut Comparison) -> Result<(), PeerError> {
        let mut missing = self.receipt.files.clone();
        walk(&self.local, &self.shown, &mut |path, found| {
            comparison.go_on()?;
            // A link in the place of a file is not that file.
            let installed = match found {
                Found::File(size) => {
                    path.to_str().and_then(|name| missing.remove(name)).map(|installed| (size, installed))
                }
                Found::Other => None,
            };
            let problem = match installed {
                Some((size, installed)) => self.judge(path, size, installed, comparison)?,
                None => Some(Problem::Added),
            };
            comparison.file(PART, &shown_path(path), problem);
            Ok(())
        })?;
        for path in missing.keys() {
            comparison.file(PART, path, Some(Problem::Missing));
        }
        Ok(())
    }
}
