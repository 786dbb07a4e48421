//! Lines at the bottom of a terminal that change in place, below the lines that stay.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::progress::cut;

/// The columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Size {
    /// The size of the terminal that stderr is, or that of a classic terminal if it does not say.
    pub(super) fn of_stderr() -> Self {
        Self::of(rustix::termios::tcgetwinsize(io::stderr()).ok())
    }

    /// The same of the terminal that stdout is.
    pub(super) fn of_stdout() -> Self {
        Self::of(rustix::termios::tcgetwinsize(io::stdout()).ok())
    }

    fn of(size: Option<rustix::termios::Winsize>) -> Self {
        let known = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        known.map_or(Self { columns: 80, rows: 24 }, |size| Self {
            columns: usize::from(size.ws_col),
            rows: usize::from(size.ws_row),
        })
    }
}

/// The changing lines of one terminal. The cursor rests at the end of the last one.
pub(super) struct Screen<W: Write> {
    terminal: W,
    /// How many columns each line that is shown takes.
    shown: Vec<usize>,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(terminal: W) -> Self {
        Self { terminal, shown: Vec::new() }
    }

    /// Shows these lines in place of those that are shown.
    pub(super) fn show(&mut self, lines: &[String], size: Size) -> io::Result<()> {
        let mut text = self.erase(size);
        self.place(lines, size, &mut text);
        self.write(&text)
    }

    /// Prints a line that stays, above these lines that change.
    pub(super) fn print_above(&mut self, line: &str, lines: &[String], size: Size) -> io::Result<()> {
        let mut text = self.erase(size);
        text += line;
        text += "\n";
        self.place(lines, size, &mut text);
        self.write(&text)
    }

    /// What removes the lines that are shown. A terminal that became narrower has broken each of them into several rows.
    fn erase(&mut self, size: Size) -> String {
        let rows: usize = self.shown.iter().map(|columns| columns.div_ceil(size.columns.max(1)).max(1)).sum();
        self.shown.clear();
        match rows {
            0 => String::new(),
            1 => "\r\u{1b}[J".to_owned(),
            rows => format!("\r\u{1b}[{}A\u{1b}[J", rows - 1),
        }
    }

    fn place(&mut self, lines: &[String], size: Size, text: &mut String) {
        // Rows above the top of the terminal could not be erased again.
        for line in lines.iter().take(size.rows.saturating_sub(1)) {
            let line = cut(line, size.columns.saturating_sub(1));
            if !self.shown.is_empty() {
                text.push('\n');
            }
            self.shown.push(line.width());
            *text += &line;
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.terminal.write_all(text.as_bytes())?;
        self.terminal.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 40, rows: 6 };

    /// A terminal and what it shows.
    struct Terminal(vt100::Parser);

    impl Terminal {
        fn new(size: Size) -> Self {
            let cells = |count| u16::try_from(count).unwrap();
            Self(vt100::Parser::new(cells(size.rows), cells(size.columns), 100))
        }

        fn feed(&mut self, screen: &mut Screen<Vec<u8>>) {
            // As the line discipline of a terminal does.
            let text = String::from_utf8(std::mem::take(&mut screen.terminal)).unwrap();
            self.0.process(text.replace('\n', "\r\n").as_bytes());
        }

        fn rows(&self) -> Vec<String> {
            let text = self.0.screen().contents();
            text.lines().map(|line| line.trim_end().to_owned()).collect()
        }
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_change_in_place_and_disappear() {
        let (mut terminal, mut screen) = (Terminal::new(SIZE), Screen::new(Vec::new()));
        screen.show(&lines(&["a 1", "b 1"]), SIZE).unwrap();
        terminal.feed(&mut screen);
        assert_eq!(terminal.rows(), ["a 1", "b 1"]);
        screen.print_above("done", &lines(&["a 2", "b 2"]), SIZE).unwrap();
        terminal.feed(&mut screen);
        assert_eq!(terminal.rows(), ["done", "a 2", "b 2"]);
        screen.show(&lines(&["b 3"]), SIZE).unwrap();
        screen.print_above("also done", &[], SIZE).unwrap();
        terminal.feed(&mut screen);
        assert_eq!(terminal.rows(), ["done", "also done"]);
    }

    #[test]
    fn an_echoed_interrupt_is_erased_with_its_line() {
        let (mut terminal, mut screen) = (Terminal::new(SIZE), Screen::new(Vec::new()));
        // The widest line that a bar has.
        screen.show(&lines(&["x".repeat(37).as_str()]), SIZE).unwrap();
        terminal.feed(&mut screen);
        terminal.0.process(b"^C");
        screen.print_above("error: cancelled", &[], SIZE).unwrap();
        terminal.feed(&mut screen);
        assert_eq!(terminal.rows(), ["error: cancelled"]);
    }

    #[test]
    fn a_line_that_a_narrower_terminal_broke_is_erased() {
        let (mut terminal, mut screen) = (Terminal::new(SIZE), Screen::new(Vec::new()));
        screen.print_above("stays", &lines(&["x".repeat(37).as_str()]), SIZE).unwrap();
        terminal.feed(&mut screen);
        let narrow = Size { columns: 20, rows: 6 };
        // This emulator does not break lines when it shrinks, as most terminals do: the rows are made here.
        let mut terminal = Terminal::new(narrow);
        terminal.0.process(format!("stays\r\n{}\r\n{}", "x".repeat(20), "x".repeat(17)).as_bytes());
        screen.show(&lines(&["y"]), narrow).unwrap();
        terminal.feed(&mut screen);
        assert_eq!(terminal.rows(), ["stays", "y"]);
    }

    #[test]
    fn no_more_lines_are_shown_than_can_be_erased() {
        let (mut terminal, mut screen) = (Terminal::new(SIZE), Screen::new(Vec::new()));
        let many: Vec<String> = (0..20).map(|number| format!("game {number}")).collect();
        for _ in 0..3 {
            screen.show(&many, SIZE).unwrap();
        }
        screen.print_above("end", &[], SIZE).unwrap();
        terminal.feed(&mut screen);
        assert_eq!(terminal.rows(), ["end"]);
    }

    #[test]
    fn a_line_never_reaches_the_last_column() {
        let mut screen = Screen::new(Vec::new());
        screen.show(&lines(&["x".repeat(80).as_str()]), SIZE).unwrap();
        assert_eq!(screen.shown, [39]);
    }
}
