//! What the system allows this process: threads and open files. Too few of them are an error at once, because nothing
//! could report it well in the middle of an operation.

use std::num::NonZero;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use lanspread_peer::ErrorCategory;
use lanspread_peer::limits::{DESCRIPTORS_MIN, DESCRIPTORS_WANTED, THREADS_FREE_MIN};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::Failure;
use crate::output::Output;

/// How often to look whether the threads of the probe are gone, and how long to wait in between.
const LOOKS: u32 = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// Checks the limits, and raises the one for open files as far as the system lets this process. Returns how many threads
/// the runtime may use to move frames.
pub(crate) fn check() -> Result<usize, Failure> {
    check_descriptors()?;
    let wanted = thread::available_parallelism().map_or(1, NonZero::get);
    let startable = startable_threads(wanted + THREADS_FREE_MIN);
    workers(startable, wanted).ok_or_else(|| {
        let needed = THREADS_FREE_MIN + 1;
        let message = format!("this process may start {startable} more threads, and needs {needed}");
        failure("threads", message)
    })
}

/// The threads for the runtime, if enough are left for everything else.
fn workers(startable: usize, wanted: usize) -> Option<usize> {
    startable.checked_sub(THREADS_FREE_MIN).filter(|workers| *workers > 0).map(|workers| workers.min(wanted))
}

/// Starts up to `wanted` threads together and ends them again. Returns how many there were.
fn startable_threads(wanted: usize) -> usize {
    let gate = RwLock::new(());
    let started = thread::scope(|scope| {
        let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        let start = |_: &usize| thread::Builder::new().spawn_scoped(scope, || drop(gate.read())).is_ok();
        let started = (0..wanted).take_while(start).count();
        drop(closed);
        started
    });
    // A thread that was joined may still count for a moment.
    for _ in 0..LOOKS {
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads <= 1 {
            break;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    started
}

fn check_descriptors() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: Some(raised(limit.current, limit.maximum)), ..limit };
    if limit.current.is_some_and(|current| raised.current > Some(current))
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!("the limit of open files cannot be raised: {error}");
    }
    match getrlimit(Resource::Nofile).current {
        Some(current) if current < DESCRIPTORS_MIN => {
            let message =
                format!("this process may open {current} files at once, and needs {DESCRIPTORS_MIN}");
            Err(failure("descriptors", message))
        }
        _ => Ok(()),
    }
}

/// The limit to ask for: what is wanted, as far as the system allows it, and never less than there is.
fn raised(current: Option<u64>, maximum: Option<u64>) -> u64 {
    let wanted = maximum.map_or(DESCRIPTORS_WANTED, |maximum| maximum.min(DESCRIPTORS_WANTED));
    current.map_or(wanted, |current| current.max(wanted))
}

/// The failure of a runtime that cannot start.
pub(crate) fn cannot_start(what: &str) -> Failure {
    failure("threads", format!("cannot start: {what}"))
}

/// Ends this process, which cannot start.
pub(crate) fn end(what: &str) -> ! {
    let failure = cannot_start(what);
    let json = std::env::args_os().any(|word| word == "--json");
    Output { json, quiet: false }.failure(&failure);
    std::process::exit(failure.status.into())
}

fn failure(cause: &'static str, message: String) -> Failure {
    Failure::new("process-limit", Some(cause), message, ErrorCategory::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_leaves_threads_for_everything_else() {
        assert_eq!(workers(THREADS_FREE_MIN + 64, 64), Some(64));
        assert_eq!(workers(THREADS_FREE_MIN + 3, 64), Some(3));
        assert_eq!(workers(THREADS_FREE_MIN + 1, 64), Some(1));
        assert_eq!(workers(THREADS_FREE_MIN, 64), None);
        assert_eq!(workers(0, 64), None);
    }

    #[test]
    fn the_limit_of_open_files_is_only_raised() {
        assert_eq!(raised(Some(1024), Some(1_048_576)), DESCRIPTORS_WANTED);
        assert_eq!(raised(Some(1024), Some(4096)), 4096);
        assert_eq!(raised(Some(1024), None), DESCRIPTORS_WANTED);
        assert_eq!(raised(Some(1_048_576), Some(1_048_576)), 1_048_576);
        assert_eq!(raised(Some(20), Some(20)), 20);
    }
}
