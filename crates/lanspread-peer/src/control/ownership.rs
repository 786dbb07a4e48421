//! Ownership of a games directory by a daemon: a lock file in it names the daemon's control socket.
//!
//! The lock is the kernel's (`flock`), so a killed daemon owns nothing. The daemon removes the file while it still
//! holds the lock. A process that locks the file therefore checks that the locked file is still the one at the path.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::layout::{DAEMON_FILE, STATE_DIR};
use lanspread_types::limits;
use serde::{Deserialize, Serialize};

use crate::control::error::ControlError;

/// How often to try to read the file of a daemon that is just starting and has not written it yet.
const READ_TRIES: u32 = 50;
const READ_WAIT: Duration = Duration::from_millis(20);

/// A running daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its process.
    pub pid: u32,
    /// Its control socket.
    pub socket: PathBuf,
}

/// Ownership of a folder, until dropped.
#[derive(Debug)]
pub(crate) struct Owned {
    path: PathBuf,
    /// Closing it releases the lock.
    _file: File,
}

/// Takes ownership of a folder for the daemon of this process. The folder is `.lanspread/` of a games directory or the
/// peer's state directory; it is created if it is missing.
pub(crate) fn own(folder: &Path, shown: &Path, daemon: &Daemon) -> Result<Owned, ControlError> {
    fs::create_dir_all(folder).map_err(LocalError::io("create", folder))?;
    let path = folder.join(DAEMON_FILE);
    loop {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(LocalError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder_pid = read(&mut file).ok().map(|daemon| daemon.pid);
                return Err(ControlError::DaemonRunning { path: shown.to_owned(), holder_pid });
            }
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", &path)(error).into()),
        }
        if !is_at(&file, &path) {
            continue; // the previous daemon has just removed it
        }
        let written = (|| {
            file.set_len(0)?;
            file.write_all(&serde_json::to_vec(daemon)?)
        })();
        written.map_err(LocalError::io("write", &path))?;
        return Ok(Owned { path, _file: file });
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("cannot remove {}: {error}", self.path.display());
        }
        if let Some(folder) = self.path.parent().filter(|folder| folder.ends_with(STATE_DIR)) {
            // Fails if the folder holds something else, which is fine.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Finds the daemon that owns a games directory, if there is one. Changes nothing.
///
/// # Errors
/// [`ControlError::Local`] if the lock file cannot be read, [`ControlError::Foreign`] if another program holds it.
pub fn find_daemon(games_dir: &Path) -> Result<Option<Daemon>, ControlError> {
    let path = games_dir.join(STATE_DIR).join(DAEMON_FILE);
    for _ in 0..READ_TRIES {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            // A fault of the games directory itself is reported when the directory is opened.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(LocalError::io("read", &path)(error).into()),
        };
        match file.try_lock_shared() {
            // No process holds it: a daemon was killed.
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", &path)(error).into()),
        }
        if let Ok(daemon) = read(&mut file) {
            return Ok(Some(daemon));
        }
        // The daemon holds the lock and has not written the file yet, or is just ending.
        std::thread::sleep(READ_WAIT);
    }
    let what = "is held by a process that is not a lanspread daemon".to_owned();
    Err(ForeignState { path, what }.into())
}

fn read(file: &mut File) -> io::Result<Daemon> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(limits::DAEMON_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon() -> Daemon {
        Daemon { pid: std::process::id(), socket: "/run/x/control.sock".into() }
    }

    #[test]
    fn one_daemon_owns_a_games_directory_and_is_found_there() {
        let games = tempfile::tempdir().unwrap();
        let folder = games.path().join(STATE_DIR);
        assert_eq!(find_daemon(games.path()).unwrap(), None);
        let owned = own(&folder, games.path(), &daemon()).unwrap();
        assert_eq!(find_daemon(games.path()).unwrap(), Some(daemon()));
        match own(&folder, games.path(), &daemon()).unwrap_err() {
            ControlError::DaemonRunning { holder_pid, .. } => {
                assert_eq!(holder_pid, Some(std::process::id()));
            }
            other => panic!("{other}"),
        }
        drop(owned);
        assert_eq!(find_daemon(games.path()).unwrap(), None);
        assert_eq!(fs::read_dir(games.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn the_file_of_a_killed_daemon_owns_nothing() {
        let games = tempfile::tempdir().unwrap();
        let folder = games.path().join(STATE_DIR);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(DAEMON_FILE), serde_json::to_vec(&daemon()).unwrap()).unwrap();
        assert_eq!(find_daemon(games.path()).unwrap(), None);
        own(&folder, games.path(), &daemon()).unwrap();
    }
}
