//! Lines on stdout and stderr.

use std::io::{self, IsTerminal, Write};

/// Prints a line of data.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a line that is not data.
pub(super) fn print_message(line: &str) {
    // If even stderr is closed, there is no reader to report that to.
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

/// Whether stderr may be coloured: it is a terminal, and `NO_COLOR` (<https://no-color.org>) does not forbid it.
pub(crate) fn in_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}
