//! SIGINT, SIGTERM and SIGHUP, and panics: what ends a command before it is done.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use lanspread_peer::CancellationToken;
use lanspread_peer::limits::SIGNAL_TAKEN_DEADLINE;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::panics;

/// Exit status of a command that a signal ended, as shells have it: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;
/// The same for SIGHUP.
const HUNG_UP: u8 = 129;

/// The exit status for the first signal; 0 before it.
static FIRST: AtomicU8 = AtomicU8::new(0);
/// Whether the command has begun to end because of it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The exit status of the signal that arrived first, if it is not the one for an interrupted command.
pub(crate) fn status() -> Option<u8> {
    Some(FIRST.load(Ordering::Relaxed)).filter(|status| *status == HUNG_UP)
}

/// Reports that the command has begun to end because of a signal. From now on another one ends it at once.
pub(crate) fn taken() {
    TAKEN.store(true, Ordering::Relaxed);
}

/// Cancels the token on the first signal. The next one, once the command has taken the first, ends the process at once
/// and leaves the clean-up to the next command.
pub(crate) fn cancel_on_signal(cancel: CancellationToken) -> std::io::Result<()> {
    let signals = Signals::new(true)?;
    tokio::spawn(cancel_in_turn(signals, cancel, None));
    Ok(())
}

/// The signals of a daemon: the first one cancels `stop`, and the next one that counts cancels `hurry`, after which it ends
/// as after the first one of a command. Under a service manager SIGHUP is no reason to end, but to read settings again.
pub(crate) fn of_daemon(
    stop: CancellationToken,
    hurry: CancellationToken,
    is_service: bool,
) -> std::io::Result<Reloads> {
    let signals = Signals::new(!is_service)?;
    tokio::spawn(cancel_in_turn(signals, stop, Some(hurry)));
    Ok(Reloads(if is_service { Some(signal(SignalKind::hangup())?) } else { None }))
}

/// The requests to read settings again.
pub(crate) struct Reloads(Option<Signal>);

impl Reloads {
    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        let told = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if told.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

async fn cancel_in_turn(
    mut signals: Signals,
    first: CancellationToken,
    mut second: Option<CancellationToken>,
) {
    let status = signals.next().await;
    FIRST.store(status, Ordering::Relaxed);
    let mut since = Instant::now();
    first.cancel();
    loop {
        signals.next().await;
        if !counts(TAKEN.load(Ordering::Relaxed), since.elapsed()) {
            continue;
        }
        match second.take() {
            Some(second) => second.cancel(),
            None => std::process::exit(status.into()),
        }
        // The next one may be the same wish again.
        TAKEN.store(false, Ordering::Relaxed);
        since = Instant::now();
    }
}

/// Cancels the token on the first signal, as [`cancel_on_signal`] does, and when anything in this process panics.
pub(crate) fn cancel_on_signal_or_panic(cancel: CancellationToken) -> std::io::Result<()> {
    let on_panic = cancel.clone();
    tokio::spawn(async move {
        panics::first().await;
        on_panic.cancel();
    });
    cancel_on_signal(cancel)
}

/// Whether a signal after the first one ends the process at once. Two signals in a row are often one wish, because a
/// terminal and a script both pass on Ctrl-C, and a command that starts has not yet looked at the first one.
fn counts(is_first_taken: bool, since_first: Duration) -> bool {
    is_first_taken || since_first > SIGNAL_TAKEN_DEADLINE
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None if the process was started so that it survives its terminal (`nohup`).
    hang_up: Option<Signal>,
}

impl Signals {
    /// With SIGHUP if that ends this process.
    fn new(hang_up: bool) -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if !hang_up || is_hang_up_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// Waits for a signal; returns its exit status.
    async fn next(&mut self) -> u8 {
        let hung_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => INTERRUPTED,
            _ = hung_up => HUNG_UP,
        }
    }
}

/// Whether this process ignored SIGHUP when it was started. Where the system does not say, it did not.
fn is_hang_up_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status))
}

fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_counts_once_the_first_was_taken() {
        assert!(!counts(false, Duration::ZERO));
        assert!(!counts(false, SIGNAL_TAKEN_DEADLINE));
        assert!(counts(true, Duration::ZERO));
        assert!(counts(false, SIGNAL_TAKEN_DEADLINE * 2), "a command that hangs can be ended");
    }

    #[test]
    fn a_process_under_nohup_ignores_hang_ups() {
        let status = |mask| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores_hang_up(&status("0000000000000001")));
        assert!(ignores_hang_up(&status("0000000000001003")));
        assert!(!ignores_hang_up(&status("0000000000001000")));
        assert!(!ignores_hang_up("Name:\tx\n"));
    }
}
