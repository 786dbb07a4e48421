//! Why reading or changing a game on disk can fail.

use std::path::{Path, PathBuf};

use lanspread_archive::ArchiveError;
use lanspread_trust::manifest::Deviation;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion};

/// Everything that can go wrong on this machine's disk with one game.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    #[error("{}", user_files(game, path, *count, files))]
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
    /// Something of the user is where a folder or a file of the game belongs.
    #[error("{count} things in {} are where files of {game} belong: {}", path.display(), first_of(files, *count))]
    InTheWay {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
        /// Number of these things.
        count: u64,
        /// The first of them.
        files: Vec<String>,
    },
    /// There is no receipt of the installed tree, so every file in it may be the user's.
    #[error("nothing records how {game} was installed: {} in {} would be lost", all_of(*count), path.display())]
    NoReceipt {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
        /// Number of files in it.
        count: u64,
    },
    /// The installed tree is verified, and the one that would replace it would not be.
    #[error(
        "{game} in {} is verified, and there is no manifest to verify what would replace it",
        path.display()
    )]
    VerifiedHere {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
    },
    /// What is in the archives on this machine is not what the manifest lists.
    #[error("the archives of {game} on this machine hold something else: {deviation}")]
    NotAsListed {
        /// The game asked for.
        game: GameId,
        /// The first thing that is not as listed.
        deviation: Box<Deviation>,
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
    #[error("{game}: {} from what was installed or downloaded", differing(*differences))]
    Differences {
        /// The game that was compared.
        game: GameId,
        /// Number of these files.
        differences: u64,
        /// What a repair has to fetch.
        damage: Damage,
    },
    /// What its sources have is not what was downloaded, although they say so.
    #[error("what the sources of {game} have of {file} is not what was downloaded")]
    OtherBytes {
        /// The game that was repaired.
        game: GameId,
        /// The first file that would be another one.
        file: String,
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
            Self::VerifiedHere { .. } => "verified-here",
            Self::NotAsListed { .. } => "not-as-listed",
            Self::UserFiles { .. } | Self::NoReceipt { .. } => "user-files",
            Self::InTheWay { .. } => "in-the-way",
            Self::Archive { source, .. } => source.code(),
            Self::Differences { .. } => "differences",
            Self::OtherBytes { .. } => "other-files-offered",
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

/// Which parts of a game differ from their records, and how the game came to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The installed tree; no archives are on this machine.
    Streamed,
    /// The installed tree, which the archives on this machine can replace.
    InstalledFromArchives,
    /// The downloaded files.
    Downloaded,
    /// The downloaded files and the installed tree.
    DownloadedAndInstalled,
    /// The downloaded files; the sentinel is missing, so the game does not count as downloaded any more.
    DownloadIncomplete,
}

impl Damage {
    /// The damage of a game whose installed tree or downloaded files differ. Pure.
    pub fn of(tree_differs: bool, download_differs: bool, is_downloaded: bool) -> Self {
        match (tree_differs, download_differs, is_downloaded) {
            (true, true, true) => Self::DownloadedAndInstalled,
            (true, false, true) => Self::InstalledFromArchives,
            (true, _, false) => Self::Streamed,
            (false, _, true) => Self::Downloaded,
            (false, _, false) => Self::DownloadIncomplete,
        }
    }

    /// Stable kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Streamed => "streamed",
            Self::InstalledFromArchives => "installed-from-archives",
            Self::Downloaded => "downloaded",
            Self::DownloadedAndInstalled => "downloaded-and-installed",
            Self::DownloadIncomplete => "download-incomplete",
        }
    }
}

fn differing(files: u64) -> String {
    if files == 1 {
        "1 file is missing or differs".to_owned()
    } else {
        format!("{files} files are missing or differ")
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn user_files(game: &GameId, path: &Path, count: u64, files: &[String]) -> String {
    let (path, files) = (path.display(), first_of(files, count));
    match count {
        1 => format!("1 file in {path} is not part of {game} or was changed and would be lost: {files}"),
        _ => format!(
            "{count} files in {path} are not part of {game} or were changed and would be lost: {files}"
        ),
    }
}

fn all_of(count: u64) -> String {
    if count == 1 { "the only file".to_owned() } else { format!("all {count} files") }
}

/// Names in one line, with `…` if there are more than these.
fn first_of(names: &[String], count: u64) -> String {
    let more = if (names.len() as u64) < count { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_and_several_are_named_in_a_sentence_each() {
        let game: GameId = "g".parse().unwrap();
        let path = PathBuf::from("games/g/local");
        let lost = |count, files: &[&str]| {
            let files = files.iter().map(|name| (*name).to_owned()).collect();
            StoreError::UserFiles { game: game.clone(), path: path.clone(), count, files }.to_string()
        };
        let one = "1 file in games/g/local is not part of g or was changed and would be lost: save";
        assert_eq!(lost(1, &["save"]), one);
        let many = "3 files in games/g/local are not part of g or were changed and would be lost: a, b, …";
        assert_eq!(lost(3, &["a", "b"]), many);
        let unrecorded = StoreError::NoReceipt { game, path, count: 1 }.to_string();
        assert!(
            unrecorded.contains("installed: the only file in games/g/local would be lost"),
            "{unrecorded}"
        );
    }

    #[test]
    fn the_damage_says_what_has_to_be_fetched() {
        for (tree_differs, download_differs, is_downloaded, expected) in [
            (true, false, false, Damage::Streamed),
            (true, true, false, Damage::Streamed),
            (true, false, true, Damage::InstalledFromArchives),
            (false, true, true, Damage::Downloaded),
            (true, true, true, Damage::DownloadedAndInstalled),
            (false, true, false, Damage::DownloadIncomplete),
        ] {
            assert_eq!(Damage::of(tree_differs, download_differs, is_downloaded), expected);
        }
    }

    #[test]
    fn one_file_differs_and_two_differ() {
        assert_eq!(differing(1), "1 file is missing or differs");
        assert_eq!(differing(2), "2 files are missing or differ");
    }
}
