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
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let status = signals.next().await;
        FIRST.store(status, Ordering::Relaxed);
        let first_at = Instant::now();
        cancel.cancel();
        loop {
            signals.next().await;
            if counts(TAKEN.load(Ordering::Relaxed), first_at.elapsed()) {
                std::process::exit(status.into());
            }
        }
    });
    Ok(())
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
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if is_hang_up_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
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
