//! `list`: all games, one row each, or all that is known of those that were named.

use std::collections::BTreeSet;

use lanspread_peer::{
    Answer, AskOptions, CancellationToken, ControlReply, ControlRequest, ErrorCategory, GameId,
};

use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::output::Output;
use crate::signals::cancel_on_signal_or_panic;

pub(super) async fn show(
    backend: Backend<'_>,
    output: Output,
    options: AskOptions,
    wanted: &[GameId],
) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let mut listing = Listing { output, wanted, found: BTreeSet::new(), rows: Vec::new(), notes: Vec::new() };
    let looking = output.looking();
    let listed = listing.fill(&backend, ControlRequest::List(options), &cancel).await;
    drop(looking);
    // Only a daemon has operations beside this command; as objects they are those of `operations`.
    let listed = match &backend {
        Backend::Daemon { .. } if listed.is_ok() && !output.json => {
            listing.fill(&backend, ControlRequest::Operations { ended: false }, &cancel).await
        }
        _ => listed,
    };
    let closed = backend.close().await;
    // What was found counts also if the rest failed.
    output.games(&listing.rows, !wanted.is_empty())?;
    listing.notes.iter().try_for_each(|note| output.report(note))?;
    listed?;
    listing.nothing_is_missing()?;
    Ok(closed?)
}

/// What is reported of games, all of them or those that were named.
struct Listing<'a> {
    output: Output,
    wanted: &'a [GameId],
    found: BTreeSet<GameId>,
    /// For the table.
    rows: Vec<Answer>,
    /// What is printed below it.
    notes: Vec<Answer>,
}

impl Listing<'_> {
    async fn fill(
        &mut self,
        backend: &Backend<'_>,
        request: ControlRequest,
        cancel: &CancellationToken,
    ) -> CommandResult {
        let replies = backend.ask(request).await?;
        replies
            .each(cancel, async |reply| {
                if let ControlReply::Report { report } = reply {
                    self.take(report)?;
                }
                Ok(())
            })
            .await
    }

    fn take(&mut self, report: Answer) -> CommandResult {
        let (Answer::LocalGame { game, .. }
        | Answer::OfferedGame { game, .. }
        | Answer::Operation { game, .. }) = &report
        else {
            // People read what is missing below what is there.
            if self.output.json {
                return Ok(self.output.report(&report)?);
            }
            self.notes.push(report);
            return Ok(());
        };
        if !self.wanted.is_empty() && !self.wanted.contains(game) {
            return Ok(());
        }
        self.found.insert(game.clone());
        if self.output.is_for_the_table(&report) {
            self.rows.push(report);
            return Ok(());
        }
        Ok(self.output.report(&report)?)
    }

    fn nothing_is_missing(&self) -> CommandResult {
        match self.wanted.iter().find(|game| !self.found.contains(game)) {
            None => Ok(()),
            Some(game) => {
                let message = format!("{game} is not here, and no peer that answered offers it");
                Err(Failure::new("not-offered", None, message, ErrorCategory::NotOffered).of_game(game))
            }
        }
    }
}
