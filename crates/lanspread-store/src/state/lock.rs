//! One operation per game, across processes: an advisory lock on a file that holds the holder's process id.
//!
//! The kernel keeps the lock (`flock`) and releases it if the holder is killed. The holder removes the file while it
//! still holds the lock, so a process that acquires a lock checks that the locked file is still the one at the path.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::error::StoreError;
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCKS_DIR;

use crate::state::games_dir::GamesDir;

/// Tries before giving up on a lock file that other holders keep removing.
const TRIES: usize = 32;

/// The lock of one game, held until dropped.
#[derive(Debug)]
pub struct GameLock {
    games: Arc<GamesDir>,
    locks: Dir,
    name: String,
    /// The lock is released when this is closed.
    _file: File,
}

impl GameLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`StoreError::InProgress`], with the process that holds it; failures of this machine's disk.
    pub fn acquire(games: &Arc<GamesDir>, game: &GameId) -> Result<Self, StoreError> {
        let name = format!("{game}.lock");
        let shown = games.state_path(LOCKS_DIR, &name);
        for _ in 0..TRIES {
            let locks = games.state_folder(LOCKS_DIR)?;
            let mut options = OpenOptions::new();
            let opened = locks.open_with(&name, options.read(true).write(true).create(true));
            let mut file = match opened {
                Ok(file) => file.into_std(),
                // A holder that just ended removed the empty folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LocalError::io("open", &shown)(error).into()),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::InProgress {
                        game: game.clone(),
                        holder_pid: read_pid(&mut file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", &shown)(error).into()),
            }
            if is_at(&file, &locks, &name) {
                file.set_len(0).map_err(LocalError::io("write", &shown))?;
                writeln!(file, "{}", std::process::id()).map_err(LocalError::io("write", &shown))?;
                return Ok(Self { games: Arc::clone(games), locks, name, _file: file });
            }
        }
        Err(StoreError::InProgress { game: game.clone(), holder_pid: None })
    }
}

impl Drop for GameLock {
    fn drop(&mut self) {
        if let Err(error) = self.locks.remove_file(&self.name) {
            tracing::debug!("the lock file {} cannot be removed: {error}", self.name);
        }
        self.games.remove_empty_state_folders();
    }
}

fn is_at(file: &File, locks: &Dir, name: &str) -> bool {
    match (file.metadata(), locks.metadata(name)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn games() -> (tempfile::TempDir, Arc<GamesDir>) {
        let folder = tempfile::tempdir().unwrap();
        let games = Arc::new(GamesDir::open(folder.path()).unwrap());
        (folder, games)
    }

    #[test]
    fn a_second_operation_is_refused_with_the_process_that_holds_the_game() {
        let (_folder, games) = games();
        let game: GameId = "g".parse().unwrap();
        let _held = GameLock::acquire(&games, &game).unwrap();
        match GameLock::acquire(&games, &game) {
            Err(StoreError::InProgress { holder_pid, .. }) => {
                assert_eq!(holder_pid, Some(std::process::id()));
            }
            other => panic!("{other:?}"),
        }
        assert!(
            GameLock::acquire(&games, &"other".parse().unwrap()).is_ok(),
            "games do not block each other"
        );
    }

    #[test]
    fn a_released_lock_leaves_nothing_and_can_be_taken_again() {
        let (folder, games) = games();
        let game: GameId = "g".parse().unwrap();
        for _ in 0..3 {
            drop(GameLock::acquire(&games, &game).unwrap());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn two_holders_never_overlap_while_files_come_and_go() {
        let (_folder, games) = games();
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let game: GameId = "g".parse().unwrap();
                    for _ in 0..200 {
                        if let Ok(_lock) = GameLock::acquire(&games, &game) {
                            use std::sync::atomic::Ordering::SeqCst;
                            assert_eq!(inside.fetch_add(1, SeqCst), 0);
                            std::thread::yield_now();
                            inside.fetch_sub(1, SeqCst);
                        }
                    }
                });
            }
        });
    }
}
