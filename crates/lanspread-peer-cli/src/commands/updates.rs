//! What an update would change: `update` without games, `update --check`, `list --updates`.

use lanspread_peer::{
    Answer, AskOptions, CancellationToken, ControlReply, ControlRequest, ErrorCategory, GameId,
};

use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::output::Output;

/// Shows each of these games, or of all games on this machine, with the version here and the wanted one. With
/// `only_outdated`, it shows only those that an update would change. Returns how many those are.
pub(super) async fn show(
    backend: &Backend<'_>,
    output: Output,
    games: Vec<GameId>,
    ask: AskOptions,
    only_outdated: bool,
    cancel: &CancellationToken,
) -> Result<u64, Failure> {
    let mut outdated = 0;
    let replies = backend.ask(ControlRequest::Updates { games, ask }).await?;
    replies
        .each(cancel, async |reply| {
            if let ControlReply::Report { report } = reply {
                let is_outdated = matches!(&report, Answer::GameUpdate(update) if update.outdated);
                outdated += u64::from(is_outdated);
                if is_outdated || !only_outdated {
                    output.report(&report)?;
                }
            }
            Ok(())
        })
        .await?;
    Ok(outdated)
}

/// The result of a check that found so many games to update. Everything about it has been printed.
pub(super) fn checked(outdated: u64) -> CommandResult {
    if outdated == 0 {
        return Ok(());
    }
    let message = format!("{outdated} games can be updated");
    let failure = Failure::new("outdated", None, message, ErrorCategory::Refused);
    Err(Failure { status: crate::exit::OUTDATED, ..failure.reported() })
}
