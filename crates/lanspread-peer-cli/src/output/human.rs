//! Events for people: lines, and progress bars on a terminal.

use std::io;
use std::time::Instant;

use lanspread_peer::{GameId, OperationKind, PeerEvent, ReportedEvent};

use super::bars::Bars;
use super::ensure_words;
use super::lines::{print, print_error};
use super::looking::Looking;
use super::progress::Progress;
use super::reporter::Reporter;
use super::severity::severity;
use super::words;
use crate::exit::{Failure, Retry};
use crate::logging;

/// Shows the operations of this command on stderr: events as lines, and progress as bars on a terminal.
pub(super) struct OperationsReporter {
    bars: Bars,
    /// An upstream that is tried again and again is reported once.
    last_line: String,
    /// Until there is something else to show.
    looking: Option<Looking>,
}

impl OperationsReporter {
    pub(super) fn new() -> Self {
        Self { bars: Bars::on_stderr(), last_line: String::new(), looking: None }
    }

    /// The bars, and what stays above them, in the place of the line that says that peers are looked for.
    fn bars(&mut self) -> &mut Bars {
        self.looking = None;
        &mut self.bars
    }
}

impl Reporter for OperationsReporter {
    fn event(&mut self, reported: &ReportedEvent) -> io::Result<()> {
        let (event, now) = (&reported.event, Instant::now());
        if let Some(progress) = Progress::of(event) {
            self.bars().show(&progress, now);
            return Ok(());
        }
        if let PeerEvent::Queued(queued) = event {
            self.bars().wait(queued, now);
            return Ok(());
        }
        if let Some(game) = event.game() {
            self.bars.chain(game, event);
        }
        if let PeerEvent::StreamAttemptBegin { game, attempt, .. } = event {
            self.bars.attempt(game, *attempt);
        }
        if let Some(game) = event.game().filter(|_| words::ends_progress(event)) {
            self.bars().end(game, now);
        }
        if words::is_about_operations(event) {
            return Ok(());
        }
        if let Some(line) = words::event(event).filter(|line| *line != self.last_line) {
            self.bars().line(&line, now);
            self.last_line = line;
        }
        Ok(())
    }

    fn joined(&mut self, kind: OperationKind, game: &GameId) {
        let now = Instant::now();
        self.bars().show_next(game, now);
        self.bars.line(&format!("{game}: joined the {kind} that was already requested"), now);
    }

    fn failure(&mut self, failure: &Failure) {
        let now = Instant::now();
        if let Some(game) = &failure.game {
            self.bars().end(game, now);
        }
        self.bars().error(&failure.line_of_game(), now);
    }

    fn retry(&mut self, retry: &Retry) {
        let now = Instant::now();
        self.bars().end(&retry.game, now);
        self.bars.line(&ensure_words::retry(retry), now);
    }

    fn looking(&mut self, looking: Option<Looking>) {
        self.looking = looking;
    }

    fn tick(&mut self) {
        if self.looking.is_none() {
            self.bars.redraw(Instant::now());
        }
    }
}

/// Shows everything that happens at a peer, a line for each event but those of progress.
pub(super) struct ListenReporter {
    /// The events are the answer of this command, and not messages beside its work.
    pub(super) are_data: bool,
}

impl Reporter for ListenReporter {
    fn event(&mut self, reported: &ReportedEvent) -> io::Result<()> {
        let line = Some(&reported.event).filter(|event| !event.is_progress()).and_then(words::event);
        match line {
            Some(line) if self.are_data => print(&line),
            Some(line) => {
                logging::write(severity(&reported.event), &line);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn failure(&mut self, failure: &Failure) {
        print_error(&failure.line_of_game());
    }
}
