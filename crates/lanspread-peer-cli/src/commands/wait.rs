//! `wait`: follows an operation of a daemon to its end.

use lanspread_peer::{CancellationToken, ControlReply, ControlRequest, PeerError};

use super::deadline::Deadline;
use crate::arguments::{Global, WaitArguments};
use crate::backend::Backend;
use crate::exit::CommandResult;
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;
use crate::signals::cancel_on_signal_or_panic;

pub(crate) async fn run(global: &Global, output: Output, wait: WaitArguments) -> CommandResult {
    let awaited = wait.awaited().map_err(PeerError::from)?;
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let games_dir = ChosenGamesDir::of_daemon(global, wait.games.games_dir.as_deref())?;
    let backend = Backend::daemon(&games_dir.path)?;
    let deadline = Deadline::new(wait.timeout);
    let mut reporter = output.reporter();
    let replies = backend.ask(ControlRequest::Wait { awaited }).await?;
    let waiting = replies.each(&cancel, async |reply| {
        if let ControlReply::Event(event) = reply {
            // A reader that has gone must not end the waiting.
            if let Err(error) = reporter.event(&event) {
                tracing::debug!("stdout: {error}");
            }
        }
        Ok(())
    });
    let waited = deadline.cancels(&cancel, waiting).await;
    drop(reporter);
    waited.map_err(|failure| deadline.explain(failure))
}
