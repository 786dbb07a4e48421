//! What is printed: JSON lines for programs, plain lines or progress bars for people.
//!
//! stdout holds data only; progress and messages for people go to stderr, logs too.

mod human;
mod json;

use lanspread_peer::PeerEvent;
use serde::Serialize;

use crate::exit::Failure;

pub(crate) use human::{bytes, state_words};

/// Shows the events of a running operation.
pub(crate) trait Reporter {
    /// One event.
    fn event(&mut self, event: &PeerEvent);
}

/// How this run prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// The reporter for a running operation.
    pub(crate) fn reporter(self) -> Box<dyn Reporter> {
        if self.json {
            Box::new(json::JsonReporter)
        } else if self.quiet {
            Box::new(Silence)
        } else {
            Box::new(human::HumanReporter::new())
        }
    }

    /// One object of a listing: as a JSON line, or as the text that people read.
    pub(crate) fn object(
        self,
        object: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> std::io::Result<()> {
        if self.json { json::print(object) } else { human::print(&text()) }
    }

    /// The end of a failed command.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            json::print_failure(failure);
        }
        human::print_error(&failure.line());
    }
}

/// Shows nothing.
struct Silence;

impl Reporter for Silence {
    fn event(&mut self, _event: &PeerEvent) {}
}
