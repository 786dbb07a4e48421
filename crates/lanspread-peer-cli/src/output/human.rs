//! Events for people: lines, and progress bars on a terminal.

use std::io::{self, IsTerminal};

use lanspread_peer::PeerEvent;
use lanspread_peer::ReportedEvent;

use super::bars::{Bars, Progress};
use super::reporter::Reporter;
use super::words;

/// Shows events as lines, and progress as bars on a terminal.
pub(super) struct HumanReporter {
    bars: Bars,
    /// Whether everything that happens at a peer is shown, and not only the operations of this command.
    is_listener: bool,
}

impl HumanReporter {
    pub(super) fn of_operations() -> Self {
        Self { bars: Bars::new(io::stderr().is_terminal()), is_listener: false }
    }

    pub(super) fn of_a_peer() -> Self {
        Self { bars: Bars::new(false), is_listener: true }
    }
}

impl Reporter for HumanReporter {
    fn event(&mut self, reported: &ReportedEvent) {
        let event = &reported.event;
        if let Some(progress) = Progress::of(event) {
            if !self.is_listener {
                self.bars.show(&progress);
            }
            return;
        }
        if let PeerEvent::StreamAttemptBegin { game, attempt, .. } = event {
            self.bars.attempt(game, *attempt);
        }
        if let Some(game) = event.game().filter(|_| words::ends_progress(event)) {
            self.bars.end(game);
        }
        if !self.is_listener && words::is_about_operations(event) {
            return;
        }
        if let Some(line) = words::event(event) {
            self.bars.line(&line);
        }
    }
}
