//! Lines and progress bars for people.

use std::io::{self, IsTerminal, Write};

use lanspread_peer::PeerEvent;
use lanspread_peer::control::ReportedEvent;

use super::bars::{Bars, Progress};
use super::{Reporter, words};

/// Prints a line of data.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a line that is no data.
pub(super) fn print_message(line: &str) {
    // When even stderr is gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints the one line of a failed command.
pub(super) fn print_error(line: &str) {
    let rest = line.strip_prefix("error:").filter(|_| in_colour());
    match rest {
        Some(rest) => print_message(&format!("\u{1b}[1;31merror:\u{1b}[0m{rest}")),
        None => print_message(line),
    }
}

/// Whether stderr may be coloured: a terminal, and no `NO_COLOR` (<https://no-color.org>).
pub(crate) fn in_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}

/// Shows events as lines, and progress as bars on a terminal.
pub(super) struct HumanReporter {
    bars: Bars,
    /// Everything that happens at a peer is shown, not the operations of this command.
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
