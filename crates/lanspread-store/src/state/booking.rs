//! Decides whether an operation fits: compares the space it needs, in bytes and in files and folders, with what is free
//! on the file system of the games directory, less what other operations have booked. A file system that does not say
//! how many files it can hold is asked for bytes only.
//!
//! Every operation that writes a game books its space first, so that two operations that fit alone but not together are
//! not both begun. A booking is one small file below `.lanspread/bookings/`, which its operation keeps locked (`flock`)
//! while it runs. If the lock is free, the operation was killed, and its booking does not count. Bookings are read and
//! written under a lock of the folder, so that no sum is computed while a booking is being written.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cap_std::fs::Dir;
use lanspread_types::content::Totals;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::BOOKINGS_DIR;
use lanspread_types::limits::{
    BOOKING_BYTES_MAX, BOOKING_STEP_BYTES, BOOKING_STEP_INODES, PROGRESS_INTERVAL, SPACE_BLOCK_BYTES_MAX,
    SPACE_MARGIN_BYTES, SPACE_MARGIN_INODES, SPACE_PER_ENTRY_BYTES,
};
use lanspread_types::regular_file::{create_ours, open_ours};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::state::games_dir::{FILE_PERMISSIONS, GamesDir, readable};

/// Length of a booking: four numbers of 20 digits, their names, and spaces.
const BOOKING_BYTES: usize = 192;

/// Tries before giving up on a folder that other operations keep removing.
const TRIES: usize = 64;

/// Space on a file system: bytes, and files and folders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DiskRoom {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

/// What an install has written or is about to write. Each folder has a block of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) folders: u64,
}

impl Written {
    fn room(self, entry_bytes: u64) -> DiskRoom {
        DiskRoom {
            bytes: self.bytes.saturating_add(self.folders.saturating_mul(entry_bytes)),
            inodes: self.files.saturating_add(self.folders),
        }
    }
}

/// How much of the margin an operation leaves to everything else on the disk. The rest is for what it cannot know
/// beforehand: its receipt, and some folders on the way to its files.
const SLACK: DiskRoom = DiskRoom { bytes: SPACE_MARGIN_BYTES / 2, inodes: SPACE_MARGIN_INODES / 2 };

/// The space that an ordinary user may still use.
#[derive(Debug, Clone, Copy)]
struct Free {
    bytes: u64,
    /// `None` if the file system does not say how many files it can hold.
    inodes: Option<u64>,
    /// Space that a file or folder takes beyond its bytes.
    entry_bytes: u64,
}

impl Free {
    fn of(games: &GamesDir) -> Result<Self, LocalError> {
        let stat = rustix::fs::fstatvfs(games.dir())
            .map_err(|error| LocalError::io("read the free space of", games.path())(error.into()))?;
        Ok(Self {
            bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            inodes: (stat.f_files > 0).then_some(stat.f_favail),
            entry_bytes: entry_bytes(stat.f_frsize),
        })
    }
}

/// How the free space is found out: [`Free::of`], except in tests.
type FreeOf = fn(&GamesDir) -> Result<Free, LocalError>;

/// Space that a file or folder takes beyond its bytes: one block of the file system, if its size can be believed. Pure.
fn entry_bytes(block_bytes: u64) -> u64 {
    if block_bytes > SPACE_BLOCK_BYTES_MAX {
        SPACE_PER_ENTRY_BYTES
    } else {
        block_bytes.max(SPACE_PER_ENTRY_BYTES)
    }
}

/// Space that an operation of these totals takes, with a margin. Pure.
fn needed(totals: Totals, entry_bytes: u64) -> DiskRoom {
    let entries = totals.entries();
    DiskRoom {
        bytes: totals
            .bytes
            .saturating_add(entries.saturating_mul(entry_bytes))
            .saturating_add(SPACE_MARGIN_BYTES),
        inodes: entries.saturating_add(SPACE_MARGIN_INODES),
    }
}

/// What an operation needs on the file system of the games directory, with a margin, what an ordinary user may still
/// use there, and what of that the other operations have booked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes that it needs.
    pub needed_bytes: u64,
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Bytes of these that the other operations will still write.
    pub booked_bytes: u64,
    /// Files and folders that it needs.
    pub needed_inodes: u64,
    /// Files and folders that may still be created; `None` if the file system does not say.
    pub free_inodes: Option<u64>,
    /// Files and folders of these that the other operations will still create.
    pub booked_inodes: u64,
}

impl Estimate {
    fn new(needed: DiskRoom, free: Free, others: impl Iterator<Item = Booked>) -> Self {
        let booked = others.map(Booked::open).fold(DiskRoom::default(), |sum, other| DiskRoom {
            bytes: sum.bytes.saturating_add(other.bytes),
            inodes: sum.inodes.saturating_add(other.inodes),
        });
        Self {
            needed_bytes: needed.bytes,
            free_bytes: free.bytes,
            booked_bytes: booked.bytes,
            needed_inodes: needed.inodes,
            free_inodes: free.inodes,
            booked_inodes: booked.inodes,
        }
    }

    /// What is missing, if the operation does not fit beside the others: the error with which it is refused. Pure.
    pub fn missing(&self, games_dir: &Path) -> Option<LocalError> {
        let path = games_dir.to_owned();
        let Self { needed_bytes, free_bytes, booked_bytes, needed_inodes, free_inodes, booked_inodes } =
            *self;
        if free_bytes.saturating_sub(booked_bytes) < needed_bytes {
            return Some(LocalError::NotEnoughSpace { path, needed_bytes, free_bytes, booked_bytes });
        }
        let free_inodes =
            free_inodes.filter(|inodes| inodes.saturating_sub(booked_inodes) < needed_inodes)?;
        Some(LocalError::NotEnoughInodes { path, needed_inodes, free_inodes, booked_inodes })
    }
}

/// Bytes that may still be written, whatever operations have booked of them.
///
/// # Errors
/// If the system does not report the free space.
pub fn free_bytes(games: &GamesDir) -> Result<u64, LocalError> {
    Ok(Free::of(games)?.bytes)
}

/// Estimates whether an operation of these totals on this game would fit beside the operations on other games. It books
/// nothing and changes nothing.
///
/// # Errors
/// If the system does not report the free space, or the bookings cannot be read.
pub fn estimate(games: &GamesDir, game: &GameId, totals: Totals) -> Result<Estimate, LocalError> {
    let entry_bytes = Free::of(games)?.entry_bytes;
    estimate_room(games, game, needed(totals, entry_bytes), Free::of)
}

fn estimate_room(
    games: &GamesDir,
    game: &GameId,
    needed: DiskRoom,
    free_of: FreeOf,
) -> Result<Estimate, LocalError> {
    let Some(bookings) = games.existing_state_folder(BOOKINGS_DIR)? else {
        return Ok(Estimate::new(needed, free_of(games)?, std::iter::empty()));
    };
    let shown = games.state_path(BOOKINGS_DIR, "");
    let _all = lock_folder(&bookings).map_err(LocalError::io("lock", shown))?;
    let others = others(games, &bookings, &file_name(game), Dead::Leave)?;
    Ok(Estimate::new(needed, free_of(games)?, others.into_iter()))
}

/// What one operation has booked: the content of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Booked {
    needed_bytes: u64,
    written_bytes: u64,
    #[serde(default)]
    needed_inodes: u64,
    #[serde(default)]
    written_inodes: u64,
}

impl Booked {
    fn new(needed: DiskRoom, written: DiskRoom) -> Self {
        Self {
            needed_bytes: needed.bytes,
            written_bytes: written.bytes,
            needed_inodes: needed.inodes,
            written_inodes: written.inodes,
        }
    }

    /// What the operation will still use.
    fn open(self) -> DiskRoom {
        DiskRoom {
            bytes: self.needed_bytes.saturating_sub(self.written_bytes),
            inodes: self.needed_inodes.saturating_sub(self.written_inodes),
        }
    }
}

/// Space that an operation has booked. Dropping it ends the booking.
#[derive(Debug)]
pub struct Booking {
    games: Arc<GamesDir>,
    bookings: Dir,
    name: String,
    /// Space that a file or folder takes beyond its bytes.
    entry_bytes: u64,
    free_of: FreeOf,
    state: Mutex<BookingState>,
}

#[derive(Debug)]
struct BookingState {
    /// The locked file.
    file: File,
    /// When it was last written.
    renewed: Instant,
    needed: DiskRoom,
}

impl Booking {
    /// Books space for an operation of these totals that holds the game's lock.
    ///
    /// # Errors
    /// [`LocalError::NotEnoughSpace`] or [`LocalError::NotEnoughInodes`], with all numbers; other failures of this
    /// machine's disk.
    pub fn take(games: &Arc<GamesDir>, game: &GameId, totals: Totals) -> Result<Self, LocalError> {
        let free = Free::of(games)?;
        Self::take_room(games, game, needed(totals, free.entry_bytes), Free::of)
    }

    fn take_room(
        games: &Arc<GamesDir>,
        game: &GameId,
        needed: DiskRoom,
        free_of: FreeOf,
    ) -> Result<Self, LocalError> {
        let name = file_name(game);
        let shown = games.state_path(BOOKINGS_DIR, &name);
        for _ in 0..TRIES {
            let bookings = games.state_folder(BOOKINGS_DIR)?;
            let all = lock_folder(&bookings).map_err(LocalError::io("lock", &shown))?;
            let free = free_of(games)?;
            let others = others(games, &bookings, &name, Dead::Remove)?;
            let booked = others.len();
            tracing::info!(
                "{game} needs {} bytes; {} are free, and other operations have {booked} bookings",
                needed.bytes,
                free.bytes
            );
            if let Some(missing) = Estimate::new(needed, free, others.into_iter()).missing(games.path()) {
                drop(all);
                games.remove_empty_state_folders();
                return Err(missing);
            }
            let file = match create_ours(&bookings, &name, FILE_PERMISSIONS) {
                Ok(file) => file,
                // Another operation just ended and removed the empty folder before we had locked it.
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error.of_ours("create", &shown)),
            };
            file.lock().map_err(LocalError::io("lock", &shown))?;
            let written = write(&file, Booked::new(needed, DiskRoom::default()));
            let state = Mutex::new(BookingState { file, renewed: Instant::now(), needed });
            // If writing failed, the booking is dropped, which removes the file.
            let (games, entry_bytes) = (Arc::clone(games), free.entry_bytes);
            let booking = Self { games, bookings, name, entry_bytes, free_of, state };
            return written.map(|()| booking).map_err(LocalError::io("write", &shown));
        }
        Err(LocalError::io("create", shown)(io::ErrorKind::NotFound.into()))
    }

    /// Records how many bytes of the content of files have been written, at most every [`PROGRESS_INTERVAL`].
    pub fn note_written(&self, written_bytes: u64) {
        self.renew(DiskRoom { bytes: written_bytes, inodes: 0 });
    }

    /// Space that a file of this length takes on the disk beyond its bytes: the rest of its last block.
    pub(crate) fn rest_of_block(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(self.entry_bytes).saturating_sub(bytes)
    }

    /// Records what has been written or is about to be; `waiting` is the part of it that is not on the disk yet. An
    /// operation that needs more than it has booked books more, if that fits.
    ///
    /// # Errors
    /// [`LocalError::NotEnoughSpace`] or [`LocalError::NotEnoughInodes`]; other failures of this machine's disk.
    pub(crate) fn cover(&self, counted: Written, waiting: Written) -> Result<(), LocalError> {
        let (counted, waiting) = (counted.room(self.entry_bytes), waiting.room(self.entry_bytes));
        let written = DiskRoom {
            bytes: counted.bytes.saturating_sub(waiting.bytes),
            inodes: counted.inodes.saturating_sub(waiting.inodes),
        };
        let needed = self.state().needed;
        if counted.bytes > needed.bytes.saturating_sub(SLACK.bytes)
            || counted.inodes > needed.inodes.saturating_sub(SLACK.inodes)
        {
            return self.extend(counted, written);
        }
        self.renew(written);
        Ok(())
    }

    fn extend(&self, counted: DiskRoom, written: DiskRoom) -> Result<(), LocalError> {
        let shown = self.games.state_path(BOOKINGS_DIR, &self.name);
        let mut state = self.state();
        let _all = lock_folder(&self.bookings).map_err(LocalError::io("lock", &shown))?;
        let needed = DiskRoom {
            bytes: counted.bytes.saturating_add(SLACK.bytes + BOOKING_STEP_BYTES).max(state.needed.bytes),
            inodes: counted
                .inodes
                .saturating_add(SLACK.inodes + BOOKING_STEP_INODES)
                .max(state.needed.inodes),
        };
        let (free, booked) = ((self.free_of)(&self.games)?, Booked::new(needed, written));
        let others = others(&self.games, &self.bookings, &self.name, Dead::Remove)?;
        let estimate = Estimate::new(booked.open(), free, others.into_iter());
        estimate.missing(self.games.path()).map_or(Ok(()), Err)?;
        write(&state.file, booked).map_err(LocalError::io("write", &shown))?;
        (state.needed, state.renewed) = (needed, Instant::now());
        Ok(())
    }

    /// Writes the booking again, at most every [`PROGRESS_INTERVAL`]: written bytes are no longer free, and must not
    /// count twice.
    fn renew(&self, written: DiskRoom) {
        let mut state = self.state();
        if state.renewed.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        state.renewed = Instant::now();
        let booked = Booked::new(state.needed, written);
        if let Err(error) = lock_folder(&self.bookings).and_then(|_all| write(&state.file, booked)) {
            // The booking then counts more than it should, so others can only be refused too early.
            tracing::debug!("the booking {} cannot be renewed: {error}", self.name);
        }
    }

    fn state(&self) -> MutexGuard<'_, BookingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of the bookings of killed operations when bookings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dead {
    Remove,
    Leave,
}

fn file_name(game: &GameId) -> String {
    format!("{game}.json")
}

impl Drop for Booking {
    fn drop(&mut self) {
        if let Err(error) = self.bookings.remove_file(&self.name) {
            tracing::debug!("the booking {} cannot be removed: {error}", self.name);
        }
        self.games.remove_empty_state_folders();
    }
}

/// Removes what a killed operation has booked for a game. The game is locked, so no other operation has.
pub(crate) fn remove_dead_of(games: &GamesDir, game: &GameId) -> Result<(), LocalError> {
    let Some(bookings) = games.existing_state_folder(BOOKINGS_DIR)? else { return Ok(()) };
    let name = file_name(game);
    bookings
        .remove_file(&name)
        .or_else(absent_is_fine)
        .map_err(LocalError::io("remove", games.state_path(BOOKINGS_DIR, &name)))
}

/// Removes the bookings of operations that were killed.
///
/// # Errors
/// If the bookings cannot be read or removed.
pub(crate) fn remove_dead(games: &GamesDir) -> Result<(), LocalError> {
    let Some(bookings) = games.existing_state_folder(BOOKINGS_DIR)? else { return Ok(()) };
    let all = lock_folder(&bookings).map_err(LocalError::io("lock", games.state_path(BOOKINGS_DIR, "")))?;
    others(games, &bookings, "", Dead::Remove)?;
    drop(all);
    games.remove_empty_state_folders();
    Ok(())
}

/// Locks the folder until the result is dropped.
fn lock_folder(bookings: &Dir) -> io::Result<OwnedFd> {
    let folder = readable(bookings)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(folder)
}

/// Writes a booking over the earlier one. It always has the same length, so that it needs no new space on a full disk
/// and is never cut.
fn write(file: &File, booked: Booked) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(&booked)?;
    bytes.resize(BOOKING_BYTES, b' ');
    file.write_all_at(&bytes, 0)
}

/// The bookings of other operations that still run. Those of killed operations do not count.
fn others(games: &GamesDir, bookings: &Dir, ours: &str, dead: Dead) -> Result<Vec<Booked>, LocalError> {
    let folder = games.state_path(BOOKINGS_DIR, "");
    let mut booked = Vec::new();
    for entry in bookings.entries().map_err(LocalError::io("read", &folder))? {
        let entry = entry.map_err(LocalError::io("read", &folder))?;
        let name = entry.file_name();
        if name == ours {
            continue;
        }
        let file = match open_ours(bookings, &name) {
            Ok(file) => file,
            Err(error) if error.is_absent() => continue,
            Err(error) => {
                let shown = folder.join(&name);
                tracing::warn!("{} is not a booking and does not count: {error}", shown.display());
                continue;
            }
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", folder.join(&name))(error)),
            Ok(()) if dead == Dead::Leave => continue,
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
            // The disk was full when it was written first, and its operation is about to fail.
            Err(error) => tracing::warn!("the booking {} does not count: {error}", name.display()),
        }
    }
    Ok(booked)
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests;
