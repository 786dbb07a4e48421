//! Decides whether an operation fits: compares the space it needs with the free space on the file system of the games
//! directory, less what other operations have booked.
//!
//! Every operation that writes a game books its space first, so that two operations that fit alone but not together are
//! not both begun. A booking is one small file below `.lanspread/bookings/`, which its operation keeps locked (`flock`)
//! while it runs. If the lock is free, the operation was killed, and its booking does not count. Bookings are read and
//! written under a lock of the folder, so that no sum is computed while a booking is being written.

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

/// Tries before giving up on a folder that other operations keep removing.
const TRIES: usize = 64;

/// Bytes that an install of these totals takes, including names and a margin. Pure.
pub fn needed_bytes(totals: Totals) -> u64 {
    totals
        .bytes
        .saturating_add(totals.entries().saturating_mul(SPACE_PER_ENTRY_BYTES))
        .saturating_add(SPACE_MARGIN_BYTES)
}

/// Bytes that an ordinary user may still write to the file system of the games directory.
///
/// # Errors
/// If the system does not report them.
pub fn free_bytes(games: &GamesDir) -> Result<u64, LocalError> {
    let stat = rustix::fs::fstatvfs(games.dir())
        .map_err(|error| LocalError::io("read the free space of", games.path())(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What one operation has booked: the content of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Booked {
    needed_bytes: u64,
    written_bytes: u64,
}

impl Booked {
    /// Bytes that the operation will still write.
    fn open_bytes(self) -> u64 {
        self.needed_bytes.saturating_sub(self.written_bytes)
    }
}

/// Whether an operation fits beside what the others will still write; if not, returns that sum. Pure.
fn fits(free_bytes: u64, needed_bytes: u64, others: impl Iterator<Item = Booked>) -> Result<(), u64> {
    let booked_bytes = others.map(Booked::open_bytes).fold(0, u64::saturating_add);
    if free_bytes.saturating_sub(booked_bytes) >= needed_bytes { Ok(()) } else { Err(booked_bytes) }
}

/// Space that an operation has booked. Dropping it ends the booking.
#[derive(Debug)]
pub struct Booking {
    games: Arc<GamesDir>,
    bookings: Dir,
    name: String,
    needed_bytes: u64,
    /// The locked file, and when it was last written.
    state: Mutex<(File, Instant)>,
}

impl Booking {
    /// Books space for an operation that holds the game's lock.
    ///
    /// # Errors
    /// [`LocalError::NotEnoughSpace`], with all numbers; other failures of this machine's disk.
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
                // Another operation just ended and removed the empty folder before we had locked it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LocalError::io("create", &shown)(error)),
            };
            file.lock().map_err(LocalError::io("lock", &shown))?;
            let written = write(&mut file, Booked { needed_bytes, written_bytes: 0 });
            let (games, state) = (Arc::clone(games), Mutex::new((file, Instant::now())));
            // If writing failed, the booking is dropped, which removes the file.
            let booking = Self { games, bookings, name, needed_bytes, state };
            return written.map(|()| booking).map_err(LocalError::io("write", &shown));
        }
        Err(LocalError::io("create", shown)(io::ErrorKind::NotFound.into()))
    }

    /// Records how much has been written, at most every [`PROGRESS_INTERVAL`]. Written bytes are no longer free, and
    /// must not count twice.
    pub fn note_written(&self, written_bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, renewed) = &mut *state;
        if renewed.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        *renewed = Instant::now();
        let booked = Booked { needed_bytes: self.needed_bytes, written_bytes };
        if let Err(error) = lock_folder(&self.bookings).and_then(|_all| write(file, booked)) {
            // The booking then counts more than it should, so others can only be refused too early.
            tracing::debug!("the booking {} cannot be renewed: {error}", self.name);
        }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        if let Err(error) = self.bookings.remove_file(&self.name) {
            tracing::debug!("the booking {} cannot be removed: {error}", self.name);
        }
        self.games.remove_empty_state_folders();
    }
}

/// Locks the folder until the result is dropped.
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

/// The bookings of other operations that still run. Bookings of killed operations are removed.
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
            // The disk was full when it was written, and its operation is about to fail.
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
            error => panic!("{error}"),
        }
        games.remove_empty_state_folders();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    /// Of two operations that fit alone but not together, the second one is refused as long as the first one runs.
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
        assert!(Booking::take(&theirs, &id("b"), 1).is_ok(), "a booking that fits beside it is accepted");
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
        /// An accepted operation never needs more than is left beside what the others will still write.
        #[test]
        fn no_space_is_booked_twice(free in any::<u64>(), needed in any::<u64>(), others in proptest::collection::vec(any::<(u64, u64)>(), 0..4)) {
            let booked = || others.iter().map(|(needed, written)| Booked { needed_bytes: *needed, written_bytes: *written });
            let open: u128 = booked().map(|other| u128::from(other.open_bytes())).sum();
            let expected = open + u128::from(needed) <= u128::from(free) || needed == 0;
            prop_assert_eq!(fits(free, needed, booked()).is_ok(), expected);
        }
    }
}
