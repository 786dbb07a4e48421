//! Lines on stdout and stderr.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::arguments;
use crate::logging::{self, Severity};

/// Prints a line of data.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a line that is not data.
pub(super) fn print_message(line: &str) {
    logging::write(Severity::Info, line);
}

/// Prints the one line of a failed command.
pub(super) fn print_error(line: &str) {
    logging::write(Severity::Error, &error_line(line));
}

/// The one line of a failed command, with its first word in red where stderr may be coloured.
pub(super) fn error_line(line: &str) -> String {
    match line.strip_prefix("error:").filter(|_| in_colour()) {
        Some(rest) => format!("\u{1b}[1;31merror:\u{1b}[0m{rest}"),
        None => line.to_owned(),
    }
}

/// Makes the choice of the user that of this process, the help included.
pub(crate) fn choose_color(choice: Option<arguments::ColorChoice>) {
    let choice = match choice.unwrap_or_default() {
        arguments::ColorChoice::Auto => ColorChoice::Auto,
        arguments::ColorChoice::Always => ColorChoice::Always,
        arguments::ColorChoice::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether stderr is coloured: as the user chose or, without a choice, as `NO_COLOR` (<https://no-color.org>),
/// `CLICOLOR_FORCE` and `CLICOLOR` (<https://bixense.com/clicolors>) and the terminal say. What reads the journal or objects
/// wants none.
pub(crate) fn in_colour() -> bool {
    logging::is_plain() && AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// The columns of the terminal that stdout is, if it says so, and whether it is one.
pub(super) fn stdout_columns() -> (Option<usize>, bool) {
    let stdout = io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|size| size.ws_col > 0);
    (size.map(|size| usize::from(size.ws_col)), stdout.is_terminal())
}

/// The same for stdout.
pub(super) fn stdout_in_colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// Whether stderr is a terminal whose cursor can be moved, so that a line can change in place.
pub(super) fn is_live_terminal() -> bool {
    logging::is_plain() && io::stderr().is_terminal() && moves_its_cursor(std::env::var_os("TERM").as_deref())
}

fn moves_its_cursor(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_or_unknown_terminal_gets_lines() {
        for (term, expected) in
            [(None, false), (Some(""), false), (Some("dumb"), false), (Some("xterm-256color"), true)]
        {
            assert_eq!(moves_its_cursor(term.map(OsStr::new)), expected, "{term:?}");
        }
    }
}
