//! The output of commands: JSON lines for programs, plain lines or progress bars for people.
//!
//! Data goes to stdout. Progress, messages for people and logs go to stderr.

mod bars;
mod catalog_words;
mod chain;
mod ensure_words;
mod game_words;
mod human;
mod json;
mod lines;
mod looking;
mod operation_words;
mod packed_words;
mod peer_words;
mod plan_words;
mod progress;
mod qr;
mod quantities;
mod repair_words;
mod reporter;
mod room_screen;
mod room_table;
mod screen;
mod setup_words;
mod severity;
mod status_words;
mod table;
mod words;

#[cfg(feature = "web")]
use lanspread_peer::PeerEvent;
use lanspread_peer::{Answer, OptionSetting, PartyText};

use crate::exit::{Failure, Summary};

use progress::cut;

pub(crate) use lines::{choose_color, in_colour};
pub(crate) use looking::Looking;
pub(crate) use quantities::choose_unit;
pub(crate) use reporter::Reporter;
pub(crate) use room_screen::RoomScreen;

/// How this run prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// The reporter for the operations of this command. On a terminal it shows progress bars.
    pub(crate) fn reporter(self) -> Box<dyn Reporter> {
        if self.json {
            Box::new(json::JsonReporter)
        } else if self.quiet {
            Box::new(reporter::Silence)
        } else {
            Box::new(human::OperationsReporter::new())
        }
    }

    /// The reporter for everything that happens at the peer of this process. It shows lines beside the work.
    pub(crate) fn listener(self) -> Box<dyn Reporter> {
        if self.json {
            Box::new(json::JsonReporter)
        } else if self.quiet {
            Box::new(reporter::Silence)
        } else {
            Box::new(human::ListenReporter { are_data: false })
        }
    }

    /// The reporter for events that a user asked for. They are data, so they are never left out.
    pub(crate) fn answering(self) -> Box<dyn Reporter> {
        if self.json {
            Box::new(json::JsonReporter)
        } else {
            Box::new(human::ListenReporter { are_data: true })
        }
    }

    /// Prints one object of an answer, as a JSON line or as text for people. A peer that could not be asked is also
    /// reported on stderr.
    pub(crate) fn report(self, report: &Answer) -> std::io::Result<()> {
        let is_failure = matches!(report, Answer::PeerUnavailable { .. } | Answer::NobodyFound { .. });
        if is_failure {
            lines::print_message(&words::report(report));
        }
        if self.json {
            json::print_answer(report)
        } else if is_failure {
            Ok(())
        } else {
            lines::print(&words::report(report))
        }
    }

    /// Prints one object about this process, as a JSON line or as a message for people.
    #[cfg(feature = "web")]
    pub(crate) fn announce(self, report: &Answer) -> std::io::Result<()> {
        if self.json {
            return json::print_answer(report);
        }
        self.note(&words::report(report));
        Ok(())
    }

    /// Whether an object of an answer is kept for [`Output::games`].
    pub(crate) fn is_for_the_table(self, report: &Answer) -> bool {
        !self.json && game_words::is_of_a_game(report)
    }

    /// Prints a table of games for people or, of games that were named, all that is known.
    pub(crate) fn games(self, reports: &[Answer], in_detail: bool) -> std::io::Result<()> {
        // As objects they were printed one by one.
        if self.json || reports.is_empty() {
            return Ok(());
        }
        let (columns, is_terminal) = lines::stdout_columns();
        let rows =
            if in_detail { game_words::details(reports) } else { game_words::table(reports, is_terminal) };
        // A row that is broken in two is no row of a table.
        let shown =
            |row: &String| columns.filter(|_| !in_detail).map_or(row.clone(), |columns| cut(row, columns));
        rows.iter().try_for_each(|row| lines::print(&shown(row)))
    }

    /// Prints settings: as JSON lines, or as a table for people.
    pub(crate) fn settings(self, settings: &[OptionSetting]) -> std::io::Result<()> {
        if self.json {
            let mut answers = settings.iter().cloned().map(Answer::OptionSetting);
            return answers.try_for_each(|answer| json::print_answer(&answer));
        }
        setup_words::settings(settings).iter().try_for_each(|line| lines::print(line))
    }

    /// Says that peers are looked for, until the value is dropped; nothing if that would be no line for people.
    pub(crate) fn looking(self) -> Option<Looking> {
        (!self.json && !self.quiet).then(Looking::on_stderr)
    }

    /// Prints a line for people that is no data.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            lines::print_message(text);
        }
    }

    /// Prints the failure that ended a command, unless it has been reported already.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.is_reported {
            return;
        }
        if self.json {
            json::print_failure(failure);
        }
        lines::print_error(&failure.line());
    }

    /// Prints what became of a request for several games.
    pub(crate) fn summary(self, summary: &Summary) {
        if self.json {
            json::print_summary(summary);
        } else if !self.quiet {
            lines::print_message(&words::summary(summary));
        }
    }
}

/// One line about an event; nothing for an event that people need no line about.
#[cfg(feature = "web")]
pub(crate) fn words_of(event: &PeerEvent) -> Option<String> {
    words::event(event)
}

/// Prints a secret that the user asked for, and nothing else.
pub(crate) fn print_secret(text: &PartyText) -> std::io::Result<()> {
    lines::print(text.reveal())
}

/// Prints a secret as a QR code.
pub(crate) fn print_qr(text: &PartyText) -> std::io::Result<()> {
    let Some(rows) = qr::half_blocks(text.reveal()) else { return Ok(()) };
    // White blocks on black, whatever the colours of the terminal are; without colours, as on a dark terminal.
    let (begin, end) = if lines::stdout_in_colour() { ("\u{1b}[97;40m", "\u{1b}[0m") } else { ("", "") };
    rows.iter().try_for_each(|row| lines::print(&format!("{begin}{row}{end}")))
}
