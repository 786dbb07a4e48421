//! What a panic does to this process: one line on stderr, and in the end exit status 1.
//!
//! A command cancels its work when anything in it panics, cleans up and ends. The daemon ends only if it lost a part that
//! it cannot do without (`Peer::broken`): what serves one connection or one request ends alone. Nothing aborts, because
//! guards release what a panicking task held.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::thread;

use lanspread_peer::{CancellationToken, ErrorCategory};

use crate::exit::Failure;
use crate::logging::{self, Severity};
use crate::process_limits;

/// The first panic, in words.
static FIRST: OnceLock<String> = OnceLock::new();
static SEEN: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
/// While the runtime starts, it panics if the system gives it no threads, and cannot be stopped after that.
static STARTING: AtomicBool = AtomicBool::new(false);

/// Reports every panic of this process in one line.
pub(crate) fn report_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        let what = describe(panic);
        if STARTING.load(Ordering::Relaxed) {
            process_limits::end(&what);
        }
        let name = thread::current().name().unwrap_or("unnamed").to_owned();
        let mut line = format!("internal fault in thread {name}: {what}");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            line += &format!("\n{backtrace}");
        }
        logging::write(Severity::Critical, &line);
        let _ = FIRST.set(what);
        SEEN.cancel();
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("a panic without a text").replace('\n', " ");
    match panic.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message,
    }
}

/// Runs what starts the runtime.
pub(crate) fn while_starting<T>(start: impl FnOnce() -> T) -> T {
    STARTING.store(true, Ordering::Relaxed);
    let started = start();
    STARTING.store(false, Ordering::Relaxed);
    started
}

/// Completes when anything has panicked.
pub(crate) async fn first() {
    SEEN.cancelled().await;
}

/// The failure of a command in which something has panicked.
pub(crate) fn failure() -> Option<Failure> {
    let what = FIRST.get()?;
    let message = format!("internal fault: {what}");
    Some(Failure::new("internal", None, message, ErrorCategory::Unexpected))
}

/// Tests of the built program need a fault of ours. Only in debug builds, and not for users.
pub(crate) fn if_a_test_wants(place: &str) {
    let wanted = cfg!(debug_assertions)
        && std::env::var_os("LANSPREAD_TEST_PANIC").is_some_and(|wanted| wanted == place);
    assert!(!wanted, "a test wanted a panic of {place}");
}
