//! One operation per game, across processes: an advisory lock on a file that holds the holder's process id.
//!
//! Every operation also shares a lock of the games directory itself. If the disk is so full that not even an empty file
//! can be created, an operation takes that lock for itself alone instead of a file: then no other operation runs in the
//! games directory until it has ended, and it can free space.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCKS_DIR;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::StoreError;
use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir, readable};
use crate::state::lock_file::{self, LockAttempt};

/// Tries before giving up on a folder that other holders keep removing.
const TRIES: usize = 32;

/// The lock of one game, held until dropped.
#[derive(Debug)]
pub struct GameLock {
    games: Arc<GamesDir>,
    /// The locked file, its folder and its name. None if the disk was full: then the games directory is locked for this
    /// operation alone.
    file: Option<(Dir, String, File)>,
    /// Never read: closing it releases the lock of the games directory.
    _games_lock: OwnedFd,
}

impl GameLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`StoreError::InProgress`], with the process that holds it; [`StoreError::FreeingSpace`]; failures of this
    /// machine's disk.
    pub fn acquire(games: &Arc<GamesDir>, game: &GameId) -> Result<Self, StoreError> {
        let Some(shared) = lock_games(games, FlockOperation::NonBlockingLockShared)? else {
            return Err(StoreError::FreeingSpace { path: games.path().to_owned() });
        };
        match lock_game(games, game) {
            Ok(file) => Ok(Self { games: Arc::clone(games), file: Some(file), _games_lock: shared }),
            Err(StoreError::Local(full)) if full.is_disk_full() => {
                drop(shared);
                match lock_games(games, FlockOperation::NonBlockingLockExclusive)? {
                    Some(alone) => Ok(Self { games: Arc::clone(games), file: None, _games_lock: alone }),
                    None => Err(full.into()),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for GameLock {
    fn drop(&mut self) {
        if let Some((locks, name, _)) = &self.file
            && let Err(error) = locks.remove_file(name)
        {
            tracing::debug!("the lock file {name} cannot be removed: {error}");
        }
        self.games.remove_empty_state_folders();
    }
}

/// Locks the games directory; `None` if another operation holds a lock that excludes this one.
fn lock_games(games: &GamesDir, operation: FlockOperation) -> Result<Option<OwnedFd>, LocalError> {
    let failed = |error: Errno| LocalError::io("lock", games.path())(error.into());
    let folder = readable(games.dir()).map_err(failed)?;
    match flock(&folder, operation) {
        Ok(()) => Ok(Some(folder)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn lock_game(games: &GamesDir, game: &GameId) -> Result<(Dir, String, File), StoreError> {
    let name = format!("{game}.lock");
    let shown = games.state_path(LOCKS_DIR, &name);
    for _ in 0..TRIES {
        let locks = games.state_folder(LOCKS_DIR)?;
        match lock_file::take(&locks, &name, FILE_PERMISSIONS, &shown) {
            Ok(LockAttempt::Taken(mut file)) => {
                // The process id is for people. On a full disk there is no space for it.
                let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                if let Err(error) = written {
                    tracing::debug!("{} does not say which process holds it: {error}", shown.display());
                }
                return Ok((locks, name, file));
            }
            Ok(LockAttempt::Held(mut file)) => {
                let holder_pid = read_pid(&mut file);
                return Err(StoreError::InProgress { game: game.clone(), holder_pid });
            }
            // A holder that just ended removed the empty folder.
            Err(LocalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::InProgress { game: game.clone(), holder_pid: None })
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests;
