//! SIGINT and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the token on the first SIGINT or SIGTERM. The second one ends the process at once and leaves the clean-up to
/// the next command.
pub(crate) fn cancel_on_signal(cancel: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for wanted in ["cancel", "exit"] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if wanted == "exit" {
                std::process::exit(130);
            }
            cancel.cancel();
        }
    });
    Ok(())
}
