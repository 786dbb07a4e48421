//! Does it fit? Needed space against free space on the games directory's file system, less what others have booked.
//!
//! Every operation that brings bytes books them first, so that two that fit alone and not together are not both begun.
//! A booking is one small file below `.lanspread/bookings/`, locked (`flock`) by its operation for as long as it runs:
//! a booking whose lock can be had is of an operation that was killed, and does not count. Whoever books or looks
//! holds the lock of the folder, so that sums are never made while a booking is being written.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cap_std::fs::{Dir, OpenOptions};
use lanspread_types::content::Totals;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::BOOKINGS_DIR;
use lanspread_types::limits::{
    BOOKING_BYTES_MAX, PROGRESS_INTERVAL, SPACE_MARGIN_BYTES, SPACE_PER_ENTRY_BYTES,
};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::state::games_dir::{GamesDir, readable};

/// Tries before giving up on a folder that keeps vanishing under other operations.
const TRIES: usize = 64;

/// Bytes an install of these totals takes, with room for names and a margin. Pure.
pub fn needed_bytes(totals: Totals) -> u64 {
    totals
        .bytes
        .saturating_add(totals.entries().saturating_mul(SPACE_PER_ENTRY_BYTES))
        .saturating_add(SPACE_MARGIN_BYTES)
}

/// Bytes an ordinary user may still write beneath the games directory.
pub fn free_bytes(games: &GamesDir) -> Result<u64, LocalError> {
    let stat = rustix::fs::fstatvfs(games.dir())
        .map_err(|error| LocalError::io("read the free space of", games.path())(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What one operation has booked, as it stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Booked {
    needed_bytes: u64,
    written_bytes: u64,
}

impl Booked {
    /// Bytes that will still be taken.
    fn open_bytes(self) -> u64 {
        self.needed_bytes.saturating_sub(self.written_bytes)
    }
}

/// Whether it fits beside what others will still take. Pure.
fn fits(free_bytes: u64, needed_bytes: u64, others: impl Iterator<Item = Booked>) -> Result<(), u64> {
    let booked_bytes = others.map(Booked::open_bytes).fold(0, u64::saturating_add);
    if free_bytes.saturating_sub(booked_bytes) >= needed_bytes { Ok(()) } else { Err(booked_bytes) }
}

/// Space that an operation has booked, until it is dropped.
#[derive(Debug)]
pub struct Booking {
    games: Arc<GamesDir>,
    bookings: Dir,
    name: String,
    needed_bytes: u64,
    /// The locked file, and when it was written last.
    state: Mutex<(File, Instant)>,
}

impl Booking {
    /// Books space for an operation that holds the game's lock, or says with all numbers why there is none.
    pub fn take(games: &Arc<GamesDir>, game: &GameId, needed_bytes: u64) -> Result<Self, LocalError> {
        let name = format!("{game}.json");
        let shown = games.state_path(BOOKINGS_DIR, &name);
        for _ in 0..TRIES {
            let bookings = games.state_folder(BOOKINGS_DIR)?;
            let all = lock_folder(&bookings).map_err(LocalError::io("lock", &shown))?;
            let free_bytes = free_bytes(games)?;
            let others = others(games, &bookings, &name)?;
            if let Err(booked_bytes) = fits(free_bytes, needed_bytes, others.into_iter()) {
                drop(all);
                games.remove_empty_state_folders();
                let path = games.path().to_owned();
                return Err(LocalError::NotEnoughSpace { path, needed_bytes, free_bytes, booked_bytes });
            }
            let mut options = OpenOptions::new();
            let opened = bookings.open_with(&name, options.read(true).write(true).create(true));
            let mut file = match opened {
                Ok(file) => file.into_std(),
                // An operation that just ended removed the empty folder before we had its lock.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LocalError::io("create", &shown)(error)),
            };
            file.lock().map_err(LocalError::io("lock", &shown))?;
            let written = write(&mut file, Booked { needed_bytes, written_bytes: 0 });
            let (games, state) = (Arc::clone(games), Mutex::new((file, Instant::now())));
            // Dropped when it could not be written, which removes the file.
            let booking = Self { games, bookings, name, needed_bytes, state };
            return written.map(|()| booking).map_err(LocalError::io("write", &shown));
        }
        Err(LocalError::io("create", shown)(io::ErrorKind::NotFound.into()))
    }

    /// Says how much has been written, not too often: what is on the disk is no longer free, and must not count twice.
    pub fn note_written(&self, written_bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, renewed) = &mut *state;
        if renewed.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        *renewed = Instant::now();
        let booked = Booked { needed_bytes: self.needed_bytes, written_bytes };
        if let Err(error) = lock_folder(&self.bookings).and_then(|_all| write(file, booked)) {
            // The booking then counts more than it should, which can only refuse others too early.
            tracing::debug!("the booking {} is not renewed: {error}", self.name);
        }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        if let Err(error) = self.bookings.remove_file(&self.name) {
            tracing::debug!("the booking {} stays: {error}", self.name);
        }
        self.games.remove_empty_state_folders();
    }
}

/// Held until the result is dropped.
fn lock_folder(bookings: &Dir) -> io::Result<OwnedFd> {
    let folder = readable(bookings)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(folder)
}

fn write(file: &mut File, booked: Booked) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&serde_json::to_vec(&booked)?)
}

/// The bookings of other operations that still run. What killed ones left is removed.
fn others(games: &GamesDir, bookings: &Dir, ours: &str) -> Result<Vec<Booked>, LocalError> {
    let folder = games.state_path(BOOKINGS_DIR, "");
    let mut booked = Vec::new();
    for entry in bookings.entries().map_err(LocalError::io("read", &folder))? {
        let entry = entry.map_err(LocalError::io("read", &folder))?;
        let name = entry.file_name();
        if name == ours {
            continue;
        }
        let file = match entry.open() {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(LocalError::io("open", folder.join(&name))(error)),
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", folder.join(&name))(error)),
            Ok(()) => {
                tracing::debug!("removing the booking {} of an operation that is gone", name.display());
                let removed = bookings.remove_file(&name);
                removed.or_else(absent_is_fine).map_err(LocalError::io("remove", folder.join(&name)))?;
                continue;
            }
        }
        let mut bytes = Vec::new();
        file.take(BOOKING_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(LocalError::io("read", folder.join(&name)))?;
        match serde_json::from_slice(&bytes) {
            Ok(other) => booked.push(other),
            // A disk that was full when it was written. Its operation is about to fail.
            Err(error) => tracing::warn!("the booking {} does not count: {error}", name.display()),
        }
    }
    Ok(booked)
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_files_count_with_their_blocks_and_sums_never_wrap() {
        let totals = Totals { files: 10, directories: 2, bytes: 100 };
        assert_eq!(needed_bytes(totals), 100 + 12 * SPACE_PER_ENTRY_BYTES + SPACE_MARGIN_BYTES);
        let absurd = Totals { files: u64::MAX, directories: u64::MAX, bytes: u64::MAX };
        assert_eq!(needed_bytes(absurd), u64::MAX);
    }

    fn games() -> (tempfile::TempDir, Arc<GamesDir>) {
        let folder = tempfile::tempdir().unwrap();
        let games = Arc::new(GamesDir::open(folder.path()).unwrap());
        (folder, games)
    }

    fn id(name: &str) -> GameId {
        name.parse().unwrap()
    }

    #[test]
    fn what_can_never_fit_is_refused_with_all_numbers() {
        let (folder, games) = games();
        let error = Booking::take(&games, &id("a"), 1 << 60).unwrap_err();
        match error {
            LocalError::NotEnoughSpace { needed_bytes, free_bytes, booked_bytes, .. } => {
                assert!(needed_bytes > free_bytes && booked_bytes == 0);
            }
            LocalError::Io { .. } => panic!("{error}"),
        }
        games.remove_empty_state_folders();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    /// Two that fit alone and not together: the second one is refused as long as the first one runs.
    #[test]
    fn what_another_operation_has_booked_is_not_free() {
        let (folder, games) = games();
        let most = free_bytes(&games).unwrap() / 10 * 9;
        let first = Booking::take(&games, &id("a"), most).unwrap();
        // Another process has another handle.
        let theirs = Arc::new(GamesDir::open(folder.path()).unwrap());
        let error = Booking::take(&theirs, &id("b"), most).unwrap_err();
        assert!(
            matches!(error, LocalError::NotEnoughSpace { booked_bytes, .. } if booked_bytes == most),
            "{error}"
        );
        assert!(error.to_string().contains("booked"), "{error}");
        assert!(Booking::take(&theirs, &id("b"), 1).is_ok(), "what fits beside it is taken");
        drop(first);
        drop(Booking::take(&theirs, &id("b"), most).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn what_is_written_does_not_count_twice() {
        let (_folder, games) = games();
        let most = free_bytes(&games).unwrap() / 10 * 9;
        let first = Booking::take(&games, &id("a"), most).unwrap();
        first.state.lock().unwrap().1 -= PROGRESS_INTERVAL;
        first.note_written(most);
        assert!(Booking::take(&games, &id("b"), most).is_ok());
    }

    #[test]
    fn the_booking_of_a_killed_operation_does_not_count_and_is_removed() {
        let (folder, games) = games();
        let bookings = folder.path().join(".lanspread/bookings");
        std::fs::create_dir_all(&bookings).unwrap();
        std::fs::write(bookings.join("a.json"), r#"{"needed_bytes":1152921504606846976,"written_bytes":0}"#)
            .unwrap();
        drop(Booking::take(&games, &id("b"), 1).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn operations_that_come_and_go_do_not_lose_each_other_s_folder() {
        let (_folder, games) = games();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let games = &games;
                scope.spawn(move || {
                    for _ in 0..100 {
                        drop(Booking::take(games, &id(&format!("g{number}")), 1).unwrap());
                    }
                });
            }
        });
    }

    proptest! {
        /// What is accepted never takes more than is free together with what others will still take.
        #[test]
        fn nothing_is_given_out_twice(free in any::<u64>(), needed in any::<u64>(), others in proptest::collection::vec(any::<(u64, u64)>(), 0..4)) {
            let booked = || others.iter().map(|(needed, written)| Booked { needed_bytes: *needed, written_bytes: *written });
            let open: u128 = booked().map(|other| u128::from(other.open_bytes())).sum();
            let expected = open + u128::from(needed) <= u128::from(free) || needed == 0;
            prop_assert_eq!(fits(free, needed, booked()).is_ok(), expected);
        }
    }
}
