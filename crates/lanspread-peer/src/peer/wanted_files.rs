//! The files of the operations that outlive a daemon: their numbers, and what an earlier run has left.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::wanted;
use lanspread_types::fault::LocalError;

use crate::report::wanted_operation::WantedOperation;

/// The files of a daemon.
#[derive(Debug)]
pub(super) struct WantedOperations {
    /// The number of the next file.
    next: Mutex<u64>,
    /// What an earlier run has left, until this one serves.
    left: Mutex<Vec<(u64, WantedOperation)>>,
}

impl WantedOperations {
    /// Reads what is there. A file that is none of ours is reported and left alone.
    pub(super) fn read(games_dir: &Path) -> Result<Self, LocalError> {
        let games = GamesDir::open(games_dir)?;
        let (mut next, mut left) = (1, Vec::new());
        wanted::read_all(&games, |number, bytes| {
            next = number.saturating_add(1);
            match bytes.and_then(|bytes| WantedOperation::parse(&bytes)) {
                Ok(file) => left.push((number, file)),
                Err(what) => tracing::warn!("{}: {what}", wanted::path(&games, number).display()),
            }
        })?;
        Ok(Self { next: Mutex::new(next), left: Mutex::new(left) })
    }

    /// A number that no file has.
    pub(super) fn next_number(&self) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *next;
        *next = number.saturating_add(1);
        number
    }

    /// What an earlier run has left, in the order of its requests; nothing the second time.
    pub(super) fn take_left(&self) -> Vec<(u64, WantedOperation)> {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
