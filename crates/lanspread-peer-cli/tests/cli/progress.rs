//! What a person sees of an operation: bars on a terminal of any width, lines elsewhere.

use std::process::Command;

use crate::support::{Receiver, Running, Source, big_games, decoded_at_source, fixtures, peer};
use crate::terminal::Terminal;

fn install(receiver: &Receiver, source: &Source, game: &str) -> Command {
    let mut command = peer();
    command.args(["install", "--stream", game, "--peer", &source.address, "--games-dir"]);
    command.arg(receiver.games()).arg("--state-dir").arg(receiver.state());
    decoded_at_source(&mut command);
    command
}

fn is_bar(line: &str) -> bool {
    line.contains('\u{2588}') || line.contains('\u{2591}')
}

fn with_a_bar(terminal: &Terminal) -> String {
    terminal.wait_for("a bar", |screen| screen.lines().any(is_bar))
}

#[test]
fn a_bar_fits_terminals_of_any_width_and_an_interrupt_removes_it() {
    for (columns, sizes_are_shown) in [(80, true), (40, false), (100, true)] {
        let (source, receiver) = (Source::slow("only"), Receiver::new());
        let mut terminal = Terminal::start(&install(&receiver, &source, "big"), columns, 24);
        let screen = with_a_bar(&terminal);
        let bars: Vec<&str> = screen.lines().filter(|line| is_bar(line)).collect();
        assert_eq!(bars.len(), 1, "one game, one row:\n{screen}");
        assert!(
            bars[0].starts_with("big ") && bars[0].chars().count() <= usize::from(columns) - 3,
            "{screen}"
        );
        assert_eq!(bars[0].contains(" of 150.00 MiB"), sizes_are_shown, "{screen}");

        // The terminal echoes what was typed beside the bar.
        terminal.press("\u{3}");
        terminal.wait_for("the line about the interrupt", |screen| screen.contains("error: cancelled"));
        assert_eq!(terminal.finish().code(), Some(130));
        let screen = terminal.screen();
        assert!(!screen.lines().any(is_bar) && !screen.contains("^C"), "{columns} columns:\n{screen}");
        assert!(!screen.contains("only failed"), "a user who cancels is not the source's fault:\n{screen}");
    }
}

/// It is drawn again at the latest after a second, in the new width, and leaves nothing of the old one.
#[test]
fn a_bar_follows_the_width_of_its_terminal() {
    let (source, receiver) = (Source::slow("only"), Receiver::new());
    let terminal = Terminal::start(&install(&receiver, &source, "big"), 60, 24);
    with_a_bar(&terminal);
    terminal.resize(100, 24);
    let wide = terminal.wait_for("a wider bar", |screen| {
        screen.lines().any(|line| is_bar(line) && line.chars().count() > 80)
    });
    assert_eq!(wide.lines().filter(|line| is_bar(line)).count(), 1, "{wide}");
}

/// A network has bits. The rate is shown once it has been measured for two seconds.
#[test]
fn a_bar_has_the_unit_that_the_user_chose() {
    for (units, unit) in [("bits", "bit/s"), ("bytes", "B/s")] {
        let (source, receiver) = (Source::slow("only"), Receiver::new());
        let mut command = install(&receiver, &source, "big");
        command.args(["--units", units]);
        let terminal = Terminal::start(&command, 100, 24);
        with_a_bar(&terminal);
        let screen = terminal.wait_for("a rate", |screen| screen.lines().any(|line| line.contains("/s ")));
        assert!(screen.lines().any(|line| is_bar(line) && line.contains(unit)), "{screen}");
    }
}

/// No escape sequence reaches a terminal that does not understand it; the lines of text do.
#[test]
fn a_dumb_terminal_gets_lines() {
    let (source, receiver) = (Source::start("only", &fixtures("fixture-alpha")), Receiver::new());
    let mut command = install(&receiver, &source, "alpha-arena");
    command.env("TERM", "dumb");
    let mut terminal = Terminal::start(&command, 80, 24);
    assert_eq!(terminal.finish().code(), Some(0));
    let written = terminal.written();
    assert!(written.contains("attempt 1 from only") && written.contains("installed from only"), "{written}");
    assert!(!written.contains('\u{1b}') && !written.contains('\u{2588}'), "{written:?}");
}

/// Log lines would be written into a bar, and it into them.
#[test]
fn a_log_on_a_terminal_has_no_bar_in_it() {
    let (source, receiver) = (Source::start("only", &big_games()), Receiver::new());
    let mut command = install(&receiver, &source, "big");
    command.arg("-v");
    let mut terminal = Terminal::start(&command, 200, 50);
    assert_eq!(terminal.finish().code(), Some(0));
    let written = terminal.written();
    assert!(
        written.contains("asking 127.0.0.1:") && written.contains("3 files, 150.00 MiB in "),
        "{written}"
    );
    assert!(!is_bar(&written), "{written}");
}

/// A finished install leaves its lines and no bar.
#[test]
fn a_finished_install_leaves_no_bar() {
    let (source, receiver) = (Source::slow("only"), Receiver::new());
    let mut terminal = Terminal::start(&install(&receiver, &source, "big"), 80, 24);
    with_a_bar(&terminal);
    source.release();
    assert_eq!(terminal.finish().code(), Some(0));
    let screen = terminal.screen();
    assert!(!screen.lines().any(is_bar) && screen.contains("3 files, 150.00 MiB in "), "{screen}");
}

/// A client that joins an operation prints so at once, and then how far it is, also without a terminal.
#[test]
fn a_client_that_joins_is_told_what_it_joined_and_how_far_it_is() {
    let source = Source::slow("only");
    let daemon = Source::start("daemon", tempfile::tempdir().unwrap().path());
    let install = || {
        let mut command = peer();
        command.args(["install", "--stream", "big", "--peer", &source.address, "--games-dir"]);
        command.arg(daemon.games());
        command
    };
    let mut first = Running::start(install().env("LANSPREAD_JSON", "true"));
    first.wait_for("stream-progress");
    let mut second = Running::start(&mut install());
    let mut told = || second.next_on_stderr().unwrap();
    assert_eq!(told(), "big: joined the install --stream that was already requested\n");
    let next = told();
    assert!(next.starts_with("big: ") && next.contains(" %, ") && next.contains("of 150.00 MiB"), "{next}");
}
