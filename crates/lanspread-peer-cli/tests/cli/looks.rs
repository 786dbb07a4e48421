//! Colours and units of what people read.

use std::process::Command;

use crate::support::{Receiver, Source, finish, fixtures, peer};
use crate::terminal::Terminal;

/// The first word of a failure, in red.
const RED: &str = "\u{1b}[1;31merror:";

/// A command that fails without asking anyone.
fn fails(folder: &std::path::Path) -> Command {
    let mut command = peer();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    command.args(["operations", "--games-dir"]).arg(folder).arg("--state-dir").arg(folder);
    command
}

/// The order is `--color`, its variable, its key, `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, the terminal.
#[test]
fn words_are_coloured_as_the_user_says_and_otherwise_on_a_terminal() {
    /// Words, variables; whether it is coloured in a pipe, and on a terminal.
    type Row = (&'static [&'static str], &'static [(&'static str, &'static str)], bool, bool);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lanspread.toml");
    std::fs::write(&config, "color = \"always\"\n").unwrap();
    let config = config.to_str().unwrap();
    let table: &[Row] = &[
        (&[], &[], false, true),
        (&["--color", "always"], &[("NO_COLOR", "1")], true, true),
        (&["--color=never"], &[("CLICOLOR_FORCE", "1"), ("LANSPREAD_COLOR", "always")], false, false),
        (&["--color", "auto"], &[("LANSPREAD_COLOR", "always")], false, true),
        (&[], &[("LANSPREAD_COLOR", "always"), ("NO_COLOR", "1")], true, true),
        (&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false, false),
        (&[], &[("NO_COLOR", "")], false, true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, true),
        (&[], &[("CLICOLOR", "0")], false, false),
        (&[], &[("TERM", "dumb")], false, false),
        (&["--color", "always", "--log-format", "json"], &[], false, false),
    ];
    let by_file = (vec!["--config", config], vec![("NO_COLOR", "1")], true, true);
    let rows = table.iter().map(|row| (row.0.to_vec(), row.1.to_vec(), row.2, row.3)).chain([by_file]);
    for (words, variables, in_a_pipe, on_a_terminal) in rows {
        let mut command = fails(folder.path());
        command.args(&words).envs(variables.iter().copied());
        let stderr = finish(&mut command).stderr;
        assert_eq!(stderr.contains(RED), in_a_pipe, "{words:?} {variables:?}: {stderr:?}");
        let mut terminal = Terminal::start(&command, 100, 24);
        terminal.finish();
        let written = terminal.written();
        assert_eq!(written.contains(RED), on_a_terminal, "{words:?} {variables:?}: {written:?}");
    }
}

/// A search takes some seconds, in which there is nothing else to show. Nothing of it stays.
#[test]
fn a_terminal_says_that_peers_are_looked_for_while_they_are() {
    let state = tempfile::tempdir().unwrap();
    for words in [&["peers"][..], &["list", "--games-dir"]] {
        let source = Source::start("den", &fixtures("fixture-solid"));
        let mut command = peer();
        command.args(words);
        if words.len() > 1 {
            command.arg(state.path());
        }
        command.args(["--peer", &source.address, "--state-dir"]).arg(state.path());
        source.signal("STOP");
        let mut terminal = Terminal::start(&command, 100, 24);
        terminal.wait_for("the line", |screen| screen == "looking for peers …");
        source.signal("CONT");
        assert_eq!(terminal.finish().code(), Some(0));
        let screen = terminal.screen();
        assert!(screen.contains("den") && !screen.contains("looking"), "{screen}");
        assert_eq!(finish(&mut command).succeeded().stderr, "", "no terminal");
    }
}

/// Also before an operation has a source. What it then shows takes the place of the line.
#[test]
fn a_terminal_says_that_an_operation_looks_for_peers() {
    const GAME: &str = "alpha-racer";
    let seat = Receiver::new();
    for (words, last) in [
        (&["download"][..], "downloaded"),
        (&["install"], "installed"),
        (&["update"], "already at version"),
        (&["ensure"], "unchanged"),
        (&["install", "--stream", "--dry-run"], "already installed"),
    ] {
        let source = Source::start("den", &fixtures("fixture-alpha"));
        let mut command = peer();
        command.args(words).args([GAME, "--peer", &source.address, "--games-dir"]).arg(seat.games());
        command.arg("--state-dir").arg(seat.state());
        let asks = ["download", "update"].contains(&words[0]);
        if asks {
            source.signal("STOP");
        }
        let mut terminal = Terminal::start(&command, 100, 24);
        if asks {
            terminal.wait_for("the line", |screen| screen == "looking for peers …");
            source.signal("CONT");
        }
        terminal.finish();
        let screen = terminal.screen();
        assert!(screen.contains(last) && !screen.contains("looking"), "{words:?}: {screen}");
    }
}

/// What two programs that do not understand each other can differ in.
#[test]
fn the_long_version_names_the_protocol() {
    let short = finish(peer().arg("-V")).succeeded().stdout.clone();
    let long = finish(peer().arg("--version")).succeeded().stdout.clone();
    assert_eq!(short, format!("lanspread-peer-cli {}\n", env!("CARGO_PKG_VERSION")));
    assert!(long.starts_with(short.trim_end()), "{long}");
    assert!(long.contains(&format!("protocol {}", lanspread_peer::PROTOCOL_VERSION)), "{long}");
}

/// It is printed before the command line is parsed to its end.
#[test]
fn the_help_and_what_is_wrong_with_a_command_line_have_the_same_colours() {
    let folder = tempfile::tempdir().unwrap();
    let help =
        |words: &[&str]| finish(fails(folder.path()).arg("--help").args(words)).succeeded().stdout.clone();
    assert!(!help(&[]).contains('\u{1b}'));
    let coloured = help(&["--color", "always"]);
    assert!(coloured.contains("\u{1b}[1m\u{1b}[92mUsage:"), "{coloured:?}");
    assert!(!help(&["--color", "never"]).contains('\u{1b}'));
    let wrong = |words: &[&str]| finish(peer().args(words)).stderr;
    assert!(wrong(&["frobnicate", "--color", "always"]).contains(RED));
    assert!(!wrong(&["frobnicate"]).contains('\u{1b}'));
    finish(peer().args(["list", "--color", "sometimes"])).failed(2, &["sometimes", "auto, always, never"]);
}
