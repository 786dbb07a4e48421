//! The running daemons of one user: each keeps a locked file in the user's state directory, so that a command that names
//! no games directory finds them.
//!
//! This is a convenience, not ownership: a daemon that cannot write the file serves all the same. The lock is the
//! kernel's, so the file of a killed daemon counts for nothing. A file gets its name only when it is locked and complete;
//! a reader therefore never takes a starting daemon for a killed one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lanspread_types::layout::DAEMONS_DIR;
use lanspread_types::limits;
use lanspread_types::regular_file::{open_folder_of_user, open_ours, read_whole};
use rustix::fs::AtFlags;
use serde::{Deserialize, Serialize};

const EXTENSION: &str = "json";

/// A running daemon of this user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningDaemon {
    /// Its process.
    pub pid: u32,
    /// The games directory that it serves.
    pub games_dir: PathBuf,
    /// Its state directory.
    pub state_dir: PathBuf,
}

/// The file of a running daemon, until dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    path: PathBuf,
    /// Closing it releases the lock.
    _file: File,
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Lists a daemon in the state directory of its user.
pub(crate) fn list(user_state_dir: &Path, daemon: &RunningDaemon) -> io::Result<Listed> {
    // A program that runs as root with the variables of another user leaves no folder of root in that user's home.
    if !is_of_this_user(user_state_dir) {
        return Err(io::Error::other("the folder belongs to another user"));
    }
    let folder = user_state_dir.join(DAEMONS_DIR);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    // Two daemons in two containers can have one process number.
    let name = format!("{}-{:016x}", daemon.pid, getrandom::u64().map_err(io::Error::other)?);
    let (draft, path) = (folder.join(format!("{name}.draft")), folder.join(format!("{name}.{EXTENSION}")));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = (|| {
        file.try_lock()?;
        file.write_all(&serde_json::to_vec(daemon)?)?;
        fs::rename(&draft, &path)
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    Ok(Listed { path, _file: file })
}

/// The running daemons in the state directory of a user, sorted by games directory. Removes the files of killed ones.
pub fn running_daemons(user_state_dir: &Path) -> Vec<RunningDaemon> {
    let path = user_state_dir.join(DAEMONS_DIR);
    let (Ok(folder), Ok(entries)) = (open_folder_of_user(&path), fs::read_dir(&path)) else {
        return Vec::new();
    };
    let names = entries.take(limits::DAEMON_FILES_MAX).filter_map(|entry| Some(entry.ok()?.file_name()));
    let names = names.filter(|name| Path::new(name).extension().is_some_and(|found| found == EXTENSION));
    let mut running: Vec<_> = names.filter_map(|name| running_daemon(&folder, Path::new(&name))).collect();
    running.sort_by(|one, other| one.games_dir.cmp(&other.games_dir));
    running
}

fn running_daemon(folder: &File, name: &Path) -> Option<RunningDaemon> {
    let file = open_ours(folder, name).ok()?;
    if !file.metadata().is_ok_and(|metadata| is_own(&metadata)) {
        return None;
    }
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        Ok(()) => {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
            return None;
        }
        Err(TryLockError::Error(_)) => return None,
    }
    serde_json::from_slice(&read_whole(&file, limits::DAEMON_FILE_BYTES_MAX).ok()?).ok()
}

/// Whether the folder, or the nearest one above it that exists, belongs to this user.
fn is_of_this_user(folder: &Path) -> bool {
    folder.ancestors().find_map(|path| path.metadata().ok()).is_some_and(|metadata| is_own(&metadata))
}

fn is_own(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(games_dir: &str) -> RunningDaemon {
        RunningDaemon { pid: 7, games_dir: games_dir.into(), state_dir: "/s".into() }
    }

    #[test]
    fn every_running_daemon_is_found_until_it_ends() {
        let state = tempfile::tempdir().unwrap();
        let user = state.path().join("lanspread");
        assert_eq!(running_daemons(&user), []);
        let b = list(&user, &daemon("/b")).unwrap();
        let a = list(&user, &daemon("/a")).unwrap();
        assert_eq!(running_daemons(&user), [daemon("/a"), daemon("/b")]);
        drop(a);
        assert_eq!(running_daemons(&user), [daemon("/b")]);
        drop(b);
        assert_eq!(fs::read_dir(user.join(DAEMONS_DIR)).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn what_is_no_running_daemon_counts_for_nothing() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join(DAEMONS_DIR);
        fs::create_dir(&folder).unwrap();
        let killed = folder.join("1-0.json");
        fs::write(&killed, serde_json::to_vec(&daemon("/a")).unwrap()).unwrap();
        let running = list(state.path(), &daemon("/b")).unwrap();
        std::os::unix::fs::symlink(&running.path, folder.join("link.json")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("fifo.json"), rustix::fs::Mode::RUSR).unwrap();
        fs::write(folder.join("2-0.draft"), "{").unwrap();
        assert_eq!(running_daemons(state.path()), [daemon("/b")]);
        assert!(!killed.exists(), "the file of a killed daemon is removed");
        assert!(folder.join("link.json").is_symlink(), "what is not ours is left alone");
    }
}
