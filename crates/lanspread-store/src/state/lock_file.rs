//! A lock that is a file: the kernel's lock (`flock`) on it, which a killed process does not keep.
//!
//! The holder removes the file while it still holds the lock. A process that locked a file therefore checks that the file
//! is still the one under the name, and tries again if it is not.

use std::fs::{File, TryLockError};
use std::os::fd::AsFd;
use std::path::Path;

use lanspread_types::fault::LocalError;
use lanspread_types::regular_file::{is_under, open_or_create_ours};

/// Tries before giving up on a lock file that other holders keep removing.
const TRIES: usize = 32;

/// What came of an attempt to take a lock.
#[derive(Debug)]
pub enum LockAttempt {
    /// This process holds it, until the file is closed.
    Taken(File),
    /// Another one holds it.
    Held(File),
}

/// Takes the lock under a name, or finds that another process holds it. Never waits.
///
/// # Errors
/// [`LocalError::Foreign`] if something else is under the name; failures of this machine's disk, also if the folder
/// was removed meanwhile.
pub fn take(
    folder: impl AsFd,
    name: &str,
    permissions: u32,
    shown: &Path,
) -> Result<LockAttempt, LocalError> {
    take_after(folder, name, permissions, shown, || {})
}

/// Calls `opened` between opening the file and locking it.
fn take_after(
    folder: impl AsFd,
    name: &str,
    permissions: u32,
    shown: &Path,
    mut opened: impl FnMut(),
) -> Result<LockAttempt, LocalError> {
    let mut tries = 0;
    loop {
        let file = open_or_create_ours(&folder, name, permissions)
            .map_err(|error| error.of_ours("create", shown))?;
        opened();
        match file.try_lock() {
            Ok(()) if is_under(&file, &folder, name) => return Ok(LockAttempt::Taken(file)),
            // The holder before has just removed the file.
            Ok(()) if tries < TRIES => tries += 1,
            Ok(()) | Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Held(file)),
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", shown)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder() -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().unwrap();
        let opened = File::open(folder.path()).unwrap();
        (folder, opened)
    }

    #[test]
    fn one_process_holds_a_lock_until_it_closes_the_file() {
        let (folder, opened) = folder();
        let shown = folder.path().join("lock");
        let take = || take(&opened, "lock", 0o600, &shown).unwrap();
        let LockAttempt::Taken(held) = take() else { panic!("the lock is free") };
        assert!(matches!(take(), LockAttempt::Held(_)));
        drop(held);
        assert!(matches!(take(), LockAttempt::Taken(_)));
    }

    /// Without the check, two processes would hold the lock: one that of the removed file, the other one that of the
    /// new file.
    #[test]
    fn a_lock_on_a_file_that_its_holder_has_just_removed_does_not_count() {
        let (folder, opened) = folder();
        let shown = folder.path().join("lock");
        let LockAttempt::Taken(before) = take(&opened, "lock", 0o600, &shown).unwrap() else { panic!() };
        let mut before = Some(before);
        let mut other = None;
        let attempt = take_after(&opened, "lock", 0o600, &shown, || {
            if let Some(held) = before.take() {
                // The holder ends as every holder does, and a third process is faster than this one.
                fs::remove_file(&shown).unwrap();
                drop(held);
                other = Some(take(&opened, "lock", 0o600, &shown).unwrap());
            }
        });
        assert!(matches!(other, Some(LockAttempt::Taken(_))));
        assert!(matches!(attempt.unwrap(), LockAttempt::Held(_)), "two processes hold the lock");
    }

    #[test]
    fn a_lock_that_is_free_again_is_taken_under_its_name() {
        let (folder, opened) = folder();
        let shown = folder.path().join("lock");
        let mut removals = 2;
        let attempt = take_after(&opened, "lock", 0o600, &shown, || {
            if removals > 0 {
                removals -= 1;
                fs::remove_file(&shown).unwrap();
            }
        });
        let LockAttempt::Taken(file) = attempt.unwrap() else { panic!("no process holds it") };
        assert!(is_under(&file, &opened, "lock"));
    }

    #[test]
    fn a_lock_file_that_is_always_removed_ends_the_attempt() {
        let (folder, opened) = folder();
        let shown = folder.path().join("lock");
        let attempt = take_after(&opened, "lock", 0o600, &shown, || fs::remove_file(&shown).unwrap());
        assert!(matches!(attempt, Ok(LockAttempt::Held(_))));
    }
}
