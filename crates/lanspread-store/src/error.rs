//! What a change to a game, or a look at it, can fail with.

use std::path::PathBuf;

use lanspread_archive::ArchiveError;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion};

/// Everything that can go wrong on this machine's disk with one game.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `local/` is there already.
    #[error("{game} is already installed in {}", path.display())]
    AlreadyInstalled {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
    },
    /// The archives of this version are there already.
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
    /// There is nothing downloaded.
    #[error("{game} is not downloaded: {} holds no archive with a version.ini", path.display())]
    NotDownloaded {
        /// The game asked for.
        game: GameId,
        /// Its game root.
        path: PathBuf,
    },
    /// The installed tree holds files that nobody can bring back.
    #[error("{count} files in {} are not part of {game} or were changed and would be lost: {}", path.display(), first_of(files, *count))]
    UserFiles {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
        /// How many there are.
        count: u64,
        /// The first of them.
        files: Vec<String>,
    },
    /// The installed tree was not installed by lanspread, so that every file in it may be the user's.
    #[error("nothing records how {game} was installed: all {count} files in {} would be lost", path.display())]
    NoReceipt {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
        /// Files in it.
        count: u64,
    },
    /// An archive of this machine cannot be unpacked.
    #[error("{game} cannot be installed from its archives: {source}")]
    Archive {
        /// The game asked for.
        game: GameId,
        /// What is wrong with which archive.
        source: ArchiveError,
    },
    /// What is on this machine differs from what was installed or downloaded.
    #[error("{game}: {differences} files are missing or not as they were installed or downloaded")]
    Differences {
        /// The game that was compared.
        game: GameId,
        /// How many files.
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
        /// Process that holds the lock, when it could be read.
        holder_pid: Option<u32>,
    },
    /// Something stands where only we write.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    /// A fault of ours.
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
            Self::UserFiles { .. } | Self::NoReceipt { .. } => "user-files",
            Self::Archive { source, .. } => source.code(),
            Self::Differences { .. } => "differences",
            Self::NotVerifiable { .. } => "not-verifiable",
            Self::InProgress { .. } => "in-progress",
            Self::Foreign(_) => "foreign-state",
            Self::Local(local) => local.code(),
            Self::Cancelled => "cancelled",
            Self::Internal(_) => "internal",
        }
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The first names of a longer list, which says that it is longer.
fn first_of(names: &[String], count: u64) -> String {
    let more = if (names.len() as u64) < count { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
