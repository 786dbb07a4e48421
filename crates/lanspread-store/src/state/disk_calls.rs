//! The system calls on which durability and atomicity depend, in one place: syncs and what shortens them, renames that
//! never replace, and times. Tests record their order here, and let any of them fail as some file system does.

use std::fs::{File, FileTimes};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::Path;

use cap_std::fs::Dir;
use rustix::fs::{Advice, RenameFlags};
use rustix::io::Errno;

/// Whether a file system answers like this because it does not know the call, and not because the call failed.
pub(crate) fn is_unknown_call(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

/// Makes the content of a file durable.
pub(crate) fn sync_file(file: &impl AsFd, shown: &Path) -> io::Result<()> {
    observed("sync-file", shown, || rustix::fs::fsync(file)).map_err(io::Error::from)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &impl AsFd, shown: &Path) -> rustix::io::Result<()> {
    observed("sync-folder", shown, || rustix::fs::fsync(folder))
}

/// Makes everything on the file system of a folder durable.
pub(super) fn sync_file_system(folder: &impl AsFd, shown: &Path) -> rustix::io::Result<()> {
    match observed("sync-file-system", shown, || rustix::fs::syncfs(folder)) {
        Err(error) if is_unknown_call(error) => {
            // This reaches every file system, and cannot fail.
            rustix::fs::sync();
            Ok(())
        }
        synced => synced,
    }
}

/// Asks the system to begin writing a part of a file to the disk, and waits for nothing. Whether it does so changes
/// only how much a later sync finds to do.
pub(crate) fn begin_write_back(
    file: &impl AsFd,
    offset: u64,
    length: NonZeroU64,
    shown: &Path,
) -> io::Result<()> {
    // On Linux this advice starts the write-back of the range, and drops only pages that are clean already. rustix has
    // no `sync_file_range`, which would say the same more plainly.
    let advise = || rustix::fs::fadvise(file, offset, Some(length), Advice::DontNeed);
    observed("begin-write-back", shown, advise).map_err(io::Error::from)
}

/// Renames something in a folder, never replacing anything. `shown` is the path of the new name.
pub(crate) fn rename_new(dir: &Dir, from: &str, to: &str, shown: &Path) -> io::Result<()> {
    match observed("rename", shown, || rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE))
    {
        Err(error) if is_unknown_call(error) => rename_if_free(dir, from, to),
        renamed => Ok(renamed?),
    }
}

/// The same on file systems that do not know the flag. The game is locked, so checking first is enough.
fn rename_if_free(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    match dir.symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => dir.rename(from, dir, to),
        Err(error) => Err(error),
    }
}

/// Renames a file from one folder to another, replacing what is there. `shown` is the path of the new name.
pub(crate) fn rename_over(from: (&Dir, &str), to: (&Dir, &str), shown: &Path) -> io::Result<()> {
    observed("rename", shown, || rustix::fs::renameat(from.0, from.1, to.0, to.1)).map_err(io::Error::from)
}

/// Sets the modification time of a file.
pub(crate) fn set_times(file: &File, times: FileTimes, shown: &Path) -> io::Result<()> {
    observed("set-times", shown, || Ok(())).map_err(io::Error::from).and_then(|()| file.set_times(times))
}

#[cfg(not(test))]
fn observed<T>(
    _call: &'static str,
    _shown: &Path,
    real: impl FnOnce() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    real()
}

#[cfg(test)]
fn observed<T>(
    call: &'static str,
    shown: &Path,
    real: impl FnOnce() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    script::take(call, shown).map_or_else(real, Err)
}

/// What a test sees of the calls of its thread, and lets fail.
#[cfg(test)]
pub(crate) mod script {
    use std::cell::RefCell;
    use std::path::Path;

    use rustix::io::Errno;

    thread_local! {
        static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
        static FAULTS: RefCell<Vec<(String, usize, Errno)>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes a call as `call name`, and returns the error with which it must fail.
    pub(super) fn take(call: &str, shown: &Path) -> Option<Errno> {
        let name = shown.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{call} {name}");
        CALLS.with_borrow_mut(|calls| calls.push(line.clone()));
        FAULTS.with_borrow_mut(|faults| {
            let fault =
                faults.iter_mut().find(|(begin, at, _)| *at > 0 && line.starts_with(begin.as_str()))?;
            fault.1 -= 1;
            (fault.1 == 0).then_some(fault.2)
        })
    }

    /// Runs `work`; the `at`-th call (from 1) that begins with `call` fails. Returns its result and all calls.
    pub(crate) fn failing<T>(
        call: &str,
        at: usize,
        errno: Errno,
        work: impl FnOnce() -> T,
    ) -> (T, Vec<String>) {
        FAULTS.set(vec![(call.to_owned(), at, errno)]);
        let done = watched(work);
        FAULTS.take();
        done
    }

    /// Runs `work`; every call that begins with `call` fails.
    pub(crate) fn refusing<T>(call: &str, errno: Errno, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        FAULTS.set((1..1000).map(|_| (call.to_owned(), 1, errno)).collect());
        let done = watched(work);
        FAULTS.take();
        done
    }

    /// Runs `work` and returns its result and its calls, in order.
    pub(crate) fn watched<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
        CALLS.take();
        let done = work();
        (done, CALLS.take())
    }
}
