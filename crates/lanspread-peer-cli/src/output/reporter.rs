//! The interface through which commands show events, whatever form the output has.

use std::io;

use lanspread_peer::{GameId, OperationKind, PeerEvent, ReportedEvent};

use super::looking::Looking;
use crate::exit::{Failure, Retry};

/// Shows events, and what happens to the requests of this command.
pub(crate) trait Reporter {
    /// Shows one event.
    ///
    /// # Errors
    /// The reader of the output has gone.
    fn event(&mut self, event: &ReportedEvent) -> io::Result<()>;

    /// The request for a game joined an operation that already runs or waits.
    fn joined(&mut self, _kind: OperationKind, _game: &GameId) {}

    /// The request for one of several games failed.
    fn failure(&mut self, failure: &Failure);

    /// The request for a game failed, and is made again.
    fn retry(&mut self, _retry: &Retry) {}

    /// Says that the command looks for peers, until there is something else to show.
    fn looking(&mut self, _looking: Option<Looking>) {}

    /// Time has passed without an event.
    fn tick(&mut self) {}
}

impl dyn Reporter + '_ {
    /// Shows an event that happens now.
    pub(crate) fn happened(&mut self, event: PeerEvent) -> io::Result<()> {
        self.event(&ReportedEvent::now(event))
    }
}

/// Shows failures only.
pub(super) struct Silence;

impl Reporter for Silence {
    fn event(&mut self, _event: &ReportedEvent) -> io::Result<()> {
        Ok(())
    }

    fn failure(&mut self, failure: &Failure) {
        super::lines::print_error(&failure.line_of_game());
    }
}
