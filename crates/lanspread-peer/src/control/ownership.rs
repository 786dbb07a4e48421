//! Ownership of a games directory by a daemon: a lock file in it names the daemon's control socket.
//!
//! The lock is the kernel's (`flock`), so a killed daemon owns nothing. On a full disk a daemon owns the folder without
//! naming its socket: commands then work beside it. It tries again until it has written its name.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lanspread_store::state::lock_file::{self, LockAttempt};
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::layout::{DAEMON_FILE, STATE_DIR};
use lanspread_types::limits;
use lanspread_types::regular_file::{
    if_present, open_folder_of_ours, open_folder_of_user, open_or_create_folder_of_ours, open_ours,
    read_whole,
};
use rustix::fs::AtFlags;
use serde::{Deserialize, Serialize};

use crate::control::error::ControlError;

/// How often to try to read the file of a daemon that is just starting and has not written it yet.
const READ_TRIES: u32 = 50;
const READ_WAIT: Duration = Duration::from_millis(20);

/// Tries before giving up on a folder that ending operations keep removing.
const FOLDER_TRIES: u32 = 64;

/// A running daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its process.
    pub pid: u32,
    /// Its control socket.
    pub socket: PathBuf,
    /// The socket on which it can only be asked, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asking: Option<PathBuf>,
}

/// Permissions of the file, less the umask: no other user may write to it, whatever the umask.
const PERMISSIONS: u32 = 0o644;

/// What a daemon owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnedFolder<'a> {
    /// A games directory. The lock file is in its `.lanspread/`, which is created if it is missing.
    GamesDir(&'a Path),
    /// The peer's state directory.
    StateDir(&'a Path),
}

impl OwnedFolder<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::GamesDir(path) | Self::StateDir(path) => path,
        }
    }

    fn file(&self) -> PathBuf {
        match self {
            Self::GamesDir(path) => path.join(STATE_DIR).join(DAEMON_FILE),
            Self::StateDir(path) => path.join(DAEMON_FILE),
        }
    }

    /// Opens the folder of the lock file. The path itself is the user's and may be a link.
    fn open(&self) -> Result<Folder, LocalError> {
        let path = self.path();
        match self {
            Self::StateDir(_) => {
                fs::create_dir_all(path).map_err(LocalError::io("create", path))?;
                let folder = open_folder_of_user(path).map_err(LocalError::io("open", path))?;
                Ok(Folder { folder: folder.into(), in_games_dir: None })
            }
            Self::GamesDir(_) => {
                let games = open_folder_of_user(path).map_err(LocalError::io("open", path))?;
                let folder = open_or_create_folder_of_ours(&games, STATE_DIR);
                let folder = folder.map_err(|error| error.of_ours("create", path.join(STATE_DIR)))?;
                Ok(Folder { folder, in_games_dir: Some(games) })
            }
        }
    }
}

/// The folder of a lock file.
#[derive(Debug)]
struct Folder {
    folder: OwnedFd,
    /// The games directory, if the folder is its `.lanspread/`.
    in_games_dir: Option<File>,
}

/// Ownership of a folder, until dropped.
#[derive(Debug)]
pub(crate) struct Owned {
    folder: Folder,
    path: PathBuf,
    daemon: Daemon,
    /// Closing it releases the lock.
    file: File,
}

/// Takes ownership of a folder for the daemon of this process. On a full disk the daemon is not named; see
/// [`Owned::name`].
///
/// # Errors
/// [`ControlError::DaemonRunning`]; [`ControlError::Foreign`] if a link or something else is in the place of the file;
/// [`ControlError::Local`].
pub(crate) fn own(place: OwnedFolder<'_>, daemon: &Daemon) -> Result<Owned, ControlError> {
    let path = place.file();
    let mut tries = 0;
    let (folder, attempt) = loop {
        let folder = place.open()?;
        match lock_file::take(&folder.folder, DAEMON_FILE, PERMISSIONS, &path) {
            // An operation that just ended has removed the empty folder.
            Err(LocalError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && tries < FOLDER_TRIES =>
            {
                tries += 1;
            }
            attempt => break (folder, attempt?),
        }
    };
    match attempt {
        LockAttempt::Held(file) => {
            let holder_pid = read(&file).ok().map(|daemon| daemon.pid);
            Err(ControlError::DaemonRunning { path: place.path().to_owned(), holder_pid })
        }
        LockAttempt::Taken(file) => {
            let mut owned = Owned { folder, path, daemon: daemon.clone(), file };
            match owned.name() {
                Err(error) if !error.is_disk_full() => Err(error.into()),
                _ => Ok(owned),
            }
        }
    }
}

impl Owned {
    /// Writes which daemon it is, so that commands find it.
    ///
    /// # Errors
    /// As full as long as the disk is full.
    pub(crate) fn name(&mut self) -> Result<(), LocalError> {
        let file = &mut self.file;
        let written = (|| {
            let bytes = serde_json::to_vec(&self.daemon)?;
            file.rewind()?;
            // Over the name of a daemon that was killed, if there is one: that takes no space.
            file.write_all(&bytes)?;
            file.set_len(bytes.len() as u64)?;
            // Some file systems find out only now that there is no space. Otherwise it need not be durable: a daemon
            // does not survive a power failure either.
            file.sync_all().or_else(|error| if is_lack_of_space(&error) { Err(error) } else { Ok(()) })
        })();
        written.map_err(|error| {
            // Half a name is none.
            let _ = file.set_len(0);
            LocalError::io("write", &self.path)(error)
        })
    }

    /// Whether the file names the daemon.
    fn is_named(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() > 0)
    }
}

fn is_lack_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Drop for Owned {
    fn drop(&mut self) {
        let Folder { folder, in_games_dir } = &self.folder;
        if let Err(error) = rustix::fs::unlinkat(folder, DAEMON_FILE, AtFlags::empty()) {
            tracing::debug!("cannot remove {}: {error}", self.path.display());
        }
        if let Some(games) = in_games_dir {
            // Fails if the folder holds something else, which is fine.
            let _ = rustix::fs::unlinkat(games, STATE_DIR, AtFlags::REMOVEDIR);
        }
    }
}

/// Ownership of a games directory that a full disk may delay.
#[derive(Debug, Clone)]
pub(crate) struct Ownership {
    games_dir: PathBuf,
    daemon: Daemon,
    /// None as long as the file could not be created.
    owned: Arc<Mutex<Option<Owned>>>,
}

impl Ownership {
    /// Takes ownership of a games directory, as far as the disk has space for it.
    ///
    /// # Errors
    /// As [`own`], except that a full disk is no error.
    pub(crate) fn take(games_dir: &Path, daemon: &Daemon) -> Result<Self, ControlError> {
        let owned = match own(OwnedFolder::GamesDir(games_dir), daemon) {
            Ok(owned) => Some(owned),
            Err(ControlError::Local(error)) if error.is_disk_full() => None,
            Err(error) => return Err(error),
        };
        let (games_dir, daemon) = (games_dir.to_owned(), daemon.clone());
        Ok(Self { games_dir, daemon, owned: Arc::new(Mutex::new(owned)) })
    }

    /// Whether commands can find the daemon.
    pub(crate) fn is_complete(&self) -> bool {
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        owned.as_ref().is_some_and(Owned::is_named)
    }

    /// Does what a full disk has not allowed so far.
    ///
    /// # Errors
    /// As [`own`]; as full as long as the disk is full.
    pub(crate) fn complete(&self) -> Result<(), ControlError> {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        if owned.is_none() {
            *owned = Some(own(OwnedFolder::GamesDir(&self.games_dir), &self.daemon)?);
        }
        owned.as_mut().map_or(Ok(()), Owned::name).map_err(ControlError::from)
    }
}

/// Finds the daemon that owns a games directory, if there is one. Changes nothing.
///
/// # Errors
/// [`ControlError::Local`] if the lock file cannot be read, [`ControlError::Foreign`] if something else is in its place
/// or another program holds it.
pub fn find_daemon(games_dir: &Path) -> Result<Option<Daemon>, ControlError> {
    let path = OwnedFolder::GamesDir(games_dir).file();
    for _ in 0..READ_TRIES {
        let Some(file) = open_lock_file(games_dir)? else { return Ok(None) };
        match file.try_lock_shared() {
            // No process holds it: a daemon was killed.
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", &path)(error).into()),
        }
        if let Ok(daemon) = read(&file) {
            return Ok(Some(daemon));
        }
        // The daemon holds the lock and has not written the file yet, or is just ending.
        std::thread::sleep(READ_WAIT);
    }
    if open_lock_file(games_dir)?.is_some_and(|file| file.metadata().is_ok_and(|found| found.len() == 0)) {
        // The disk was full when it started. A command that frees space must not need it.
        tracing::warn!(
            "a daemon owns {} but had no space to name its socket; this command works beside it",
            games_dir.display()
        );
        return Ok(None);
    }
    let what = "is held by a process that is not a lanspread daemon".to_owned();
    Err(ForeignState { path, what }.into())
}

fn open_lock_file(games_dir: &Path) -> Result<Option<File>, LocalError> {
    let games = match open_folder_of_user(games_dir) {
        Ok(games) => games,
        // A fault of the games directory itself is reported when the directory is opened.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(LocalError::io("read", games_dir)(error)),
    };
    let folder = match if_present(open_folder_of_ours(&games, STATE_DIR)) {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(None),
        Err(error) => return Err(error.of_ours("read", games_dir.join(STATE_DIR))),
    };
    if_present(open_ours(&folder, DAEMON_FILE))
        .map_err(|error| error.of_ours("read", OwnedFolder::GamesDir(games_dir).file()))
}

fn read(mut file: &File) -> io::Result<Daemon> {
    file.rewind()?;
    let bytes = read_whole(file, limits::DAEMON_FILE_BYTES_MAX).map_err(io::Error::other)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests;
