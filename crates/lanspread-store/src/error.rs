//! Why reading or changing a game on disk can fail.

use std::path::PathBuf;

use lanspread_archive::ArchiveError;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion};

/// Everything that can go wrong on this machine's disk with one game.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `local/` already exists.
    #[error("{game} is already installed in {}", path.display())]
    AlreadyInstalled {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
    },
    /// The archives of this version are already downloaded.
    #[error("{game} is already downloaded in version {version}")]
    AlreadyDownloaded {
        /// The game asked for.
        game: GameId,
        /// The version of its sentinel.
        version: GameVersion,
    },
    /// There is no `local/`.
    #[error("{game} is not installed: there is no {}", path.display())]
    NotInstalled {
        /// The game asked for.
        game: GameId,
        /// Where the installed tree would be.
        path: PathBuf,
    },
    /// The game is not downloaded.
    #[error("{game} is not downloaded: {} holds no archive with a version.ini", path.display())]
    NotDownloaded {
        /// The game asked for.
        game: GameId,
        /// Its game root.
        path: PathBuf,
    },
    /// The archives hold no file.
    #[error("{game} has no files: the archives in {} are empty", path.display())]
    NoFiles {
        /// The game asked for.
        game: GameId,
        /// Its game root.
        path: PathBuf,
    },
    /// The installed tree holds files that cannot be fetched again.
    #[error("{count} files in {} are not part of {game} or were changed and would be lost: {}", path.display(), first_of(files, *count))]
    UserFiles {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
        /// Number of these files.
        count: u64,
        /// The first of them.
        files: Vec<String>,
    },
    /// There is no receipt of the installed tree, so every file in it may be the user's.
    #[error("nothing records how {game} was installed: all {count} files in {} would be lost", path.display())]
    NoReceipt {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
        /// Number of files in it.
        count: u64,
    },
    /// An archive on this machine cannot be unpacked.
    #[error("{game} cannot be installed from its archives: {source}")]
    Archive {
        /// The game asked for.
        game: GameId,
        /// Which archive, and what is wrong with it.
        source: ArchiveError,
    },
    /// Files on this machine differ from what was installed or downloaded.
    #[error("{game}: {differences} files are missing or differ from what was installed or downloaded")]
    Differences {
        /// The game that was compared.
        game: GameId,
        /// Number of these files.
        differences: u64,
    },
    /// There is no record to compare with.
    #[error("{game} cannot be verified: {reason}")]
    NotVerifiable {
        /// The game asked for.
        game: GameId,
        /// What is missing.
        reason: String,
    },
    /// Another operation holds the game.
    #[error("another operation on {game} is in progress{}", pid(*holder_pid))]
    InProgress {
        /// The game asked for.
        game: GameId,
        /// Process that holds the lock, if it could be read.
        holder_pid: Option<u32>,
    },
    /// The disk is full, and an operation has the games directory for itself until it has freed space.
    #[error("the disk of {} is full, and an operation that frees space runs there alone", path.display())]
    FreeingSpace {
        /// The games directory.
        path: PathBuf,
    },
    /// Something is in a place where only lanspread writes.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk failed.
    #[error(transparent)]
    Local(LocalError),
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    /// A bug in lanspread.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl StoreError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyInstalled { .. } => "already-installed",
            Self::AlreadyDownloaded { .. } => "already-downloaded",
            Self::NotInstalled { .. } => "not-installed",
            Self::NotDownloaded { .. } => "not-downloaded",
            Self::NoFiles { .. } => "no-files",
            Self::UserFiles { .. } | Self::NoReceipt { .. } => "user-files",
            Self::Archive { source, .. } => source.code(),
            Self::Differences { .. } => "differences",
            Self::NotVerifiable { .. } => "not-verifiable",
            Self::InProgress { .. } | Self::FreeingSpace { .. } => "in-progress",
            Self::Foreign(_) => "foreign-state",
            Self::Local(local) => local.code(),
            Self::Cancelled => "cancelled",
            Self::Internal(_) => "internal",
        }
    }
}

impl From<LocalError> for StoreError {
    /// Foreign state keeps its own variant, whichever layer reports it.
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Names in one line, with `…` if there are more than these.
fn first_of(names: &[String], count: u64) -> String {
    let more = if (names.len() as u64) < count { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
