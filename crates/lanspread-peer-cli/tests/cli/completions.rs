//! The tab key in real shells: every command completes exactly the options that its help lists.
//!
//! `scripts/test.sh` installs the shells. Elsewhere, a test whose shell is missing says so and checks nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Running, Source, copy_tree, finish, fixtures, peer};
use crate::terminal::Terminal;

const PROGRAM: &str = "lanspread-peer-cli";

/// A shell that is installed on this machine, and a folder with the script of the program for it.
struct Shell {
    name: &'static str,
    folder: TempDir,
}

impl Shell {
    fn find(name: &'static str) -> Option<Self> {
        if Command::new(name).arg("--version").output().is_err() {
            println!("{name} is not installed: its completions are NOT checked");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = finish(peer().args(["completions", name])).succeeded().stdout.clone();
        std::fs::write(folder.path().join("script"), script).unwrap();
        Some(Self { name, folder })
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("script")
    }

    /// The shell without the settings of the user who runs the tests.
    fn command(&self) -> Command {
        let mut command = Command::new(self.name);
        command.env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path());
        command.env_remove("ZDOTDIR").current_dir(self.folder.path());
        command
    }
}

/// A machine whose shells can run the program: two games, a saved peer, and a daemon that knows a third game.
struct Machine {
    home: TempDir,
    source: Source,
    daemon: Option<Running>,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let source = Source::start("den", &fixtures("fixture-solid"));
        copy_tree(&fixtures("fixture-alpha"), &home.path().join("games"));
        std::fs::create_dir(home.path().join("bin")).unwrap();
        for name in [PROGRAM, "lanspread"] {
            let program = env!("CARGO_BIN_EXE_lanspread-peer-cli");
            std::os::unix::fs::symlink(program, home.path().join("bin").join(name)).unwrap();
        }
        let machine = Self { home, source, daemon: None };
        finish(machine.settle(&mut peer()).args(["peers", "add", &machine.source.address])).succeeded();
        machine
    }

    fn settle<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.home.path().join("bin").display());
        command.env("PATH", path).env("LANSPREAD_GAMES_DIR", self.home.path().join("games"));
        command
            .env("LANSPREAD_STATE_DIR", self.home.path().join("state"))
            .env("LANSPREAD_CONFIG", "/dev/null");
        command.env("LANSPREAD_NO_DISCOVERY", "1")
    }

    fn serve(&mut self) {
        let mut command = peer();
        self.settle(&mut command).args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        let mut daemon = Running::start(&mut command);
        daemon.wait_for("peer-ready");
        self.daemon = Some(daemon);
    }

    /// What the program offers after these words.
    fn candidates(&self, words: &[&str]) -> Vec<String> {
        let done = finish(self.settle(&mut peer()).args(["candidates", "--"]).args(words));
        done.succeeded().stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }
}

/// A command with the words that can follow it.
struct Expected {
    /// Without the program's name.
    words: Vec<String>,
    options: BTreeSet<String>,
}

impl Expected {
    fn line(&self) -> String {
        [PROGRAM].into_iter().chain(self.words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

/// The names in the first column of a section of a help page.
fn listed(help: &str, section: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.is_empty());
    let entries = lines.filter(|line| line.starts_with("  ") && !line.starts_with("    "));
    entries.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// Every command, and every command below it, as their help pages list them.
fn commands() -> Vec<Expected> {
    let mut found = Vec::new();
    let mut waiting = vec![Vec::new()];
    while let Some(words) = waiting.pop() {
        let help = finish(peer().args(&words).arg("--help")).succeeded().stdout.clone();
        for name in listed(&help, "Commands:") {
            if name != "help" {
                waiting.push(words.iter().cloned().chain([name]).collect());
            }
        }
        let is_long = |word: &&str| word.starts_with("--") && word.len() > 2;
        let heads = help.lines().filter(|line| line.trim_start().starts_with('-'));
        let options = heads.flat_map(|line| line.split([' ', ',', '[', '.']).filter(is_long));
        found.push(Expected { words, options: options.map(str::to_owned).collect() });
    }
    assert!(found.len() > 20, "{}", found.len());
    found
}

/// The long options in what a shell shows.
fn options_in(shown: &str) -> BTreeSet<String> {
    let words = shown.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

/// What bash offers for a line, by the function that the script registers.
fn bash(shell: &Shell, words: &[&str]) -> Vec<String> {
    const PRESS_TAB: &str = r#"
        source "$1" || exit 1
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        [[ $(complete -p "$1") =~ \ -F\ ([^\ ]+) ]] || exit 2
        # Outside of a real tab key, compopt only complains.
        compopt() { :; }
        "${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = shell.command();
    command.args(["--norc", "--noprofile", "-c", PRESS_TAB, "bash"]).arg(shell.script()).args(words);
    let done = finish(&mut command);
    done.succeeded().stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn with_program<'a>(words: &'a [String], last: &'a str) -> Vec<&'a str> {
    [PROGRAM].into_iter().chain(words.iter().map(String::as_str)).chain([last]).collect()
}

#[test]
fn bash_completes_every_command() {
    let Some(shell) = Shell::find("bash") else { return };
    for expected in commands() {
        let offered = bash(&shell, &with_program(&expected.words, "--"));
        let offered: BTreeSet<String> = offered.into_iter().collect();
        assert_eq!(offered, expected.options, "{}", expected.line());
    }
    let offered = bash(&shell, &[PROGRAM, ""]);
    for command in commands().iter().filter(|expected| expected.words.len() == 1) {
        assert!(offered.contains(&command.words[0]), "{offered:?}");
    }
}

/// The script works after a path, after options with values, and for the values themselves.
#[test]
fn bash_completes_values_and_what_follows_options() {
    let Some(shell) = Shell::find("bash") else { return };
    for (words, expected) in [
        (&["install", "--names", ""][..], &["portable", "native"][..]),
        (&["install", "cnctw", "--names", "na"], &["native"]),
        (&["--state-dir", "/tmp", "update", "cnctw", "--forc"], &["--force"]),
        (&["--json", "peers", ""], &["add", "remove", "list"]),
        (&["peers", "li"], &["list"]),
        (&["completions", "z"], &["zsh"]),
        (&["ls", "--upd"], &["--updates"]),
        (&["to"], &["top"]),
        (&["peers", "l"], &["list", "ls"]),
        (&["help", "inst"], &["install"]),
        (&["install", "--games-dir", "scr"], &[]),
    ] {
        let words: Vec<&str> = [PROGRAM].into_iter().chain(words.iter().copied()).collect();
        let offered = bash(&shell, &words);
        if words.last() == Some(&"") {
            assert!(
                expected.iter().all(|word| offered.iter().any(|it| it == word)),
                "{words:?}: {offered:?}"
            );
        } else {
            assert_eq!(offered, expected, "{words:?}");
        }
    }
}

/// The program offers what is on the disk, and with a daemon what its peers have. It creates nothing.
#[test]
fn games_and_peers_are_offered_where_they_are_wanted() {
    let mut machine = Machine::new();
    let address = machine.source.address.clone();
    let alpha = ["alpha-arena", "alpha-racer", "common-quest"];
    assert_eq!(machine.candidates(&["install", ""]), alpha);
    assert_eq!(machine.candidates(&["ls", ""]), alpha);
    assert_eq!(machine.candidates(&["update", "alpha-arena", ""]), ["alpha-racer", "common-quest"]);
    assert_eq!(machine.candidates(&["install", "--peer", ""]), std::slice::from_ref(&address));
    assert_eq!(machine.candidates(&["peers", "remove", ""]), std::slice::from_ref(&address));
    assert_eq!(
        machine.candidates(&["serve", "--deny-peer", ""]),
        [machine.source.ready["peer"].as_str().unwrap()]
    );
    assert_eq!(machine.candidates(&["cancel", ""]), [""; 0]);
    assert_eq!(machine.candidates(&["install", "--games-dir", "/nowhere", ""]), [""; 0]);
    assert_eq!(machine.candidates(&["install", "--st"]), [""; 0]);
    let catalog = machine.home.path().join("catalog.toml");
    std::fs::write(&catalog, "schema = 1\n[games.of-the-party]\nname = \"A title\"\nversion = \"1\"\n")
        .unwrap();
    let catalog = catalog.to_str().unwrap();
    assert!(machine.candidates(&["install", "--catalog", catalog, ""]).contains(&"of-the-party".to_owned()));
    machine.serve();
    assert_eq!(machine.candidates(&["install", ""]), ["alpha-arena", "alpha-racer", "cnctw", "common-quest"]);
    assert_eq!(machine.candidates(&["verify", ""]), alpha);
    assert_eq!(machine.candidates(&["install", "--peer", ""]), [address]);
}

#[test]
fn bash_completes_games_and_peers() {
    let Some(shell) = Shell::find("bash") else { return };
    let machine = Machine::new();
    let address = machine.source.address.clone();
    let (host, port) = address.split_once(':').unwrap();
    let mut command = shell.command();
    machine.settle(command.args(["--norc", "--noprofile", "-i"]).env("PS1", "ready> "));
    let mut terminal = Terminal::start(&command, 120, 40);
    terminal.press(&format!("source '{}'\n", shell.script().display()));
    for (typed, completed) in [
        ("lanspread-peer-cli install --stream alpha-r", "lanspread-peer-cli install --stream alpha-racer"),
        ("lanspread verify alpha-a", "lanspread verify alpha-arena"),
        // Bash sees three words here.
        (
            &format!("lanspread install --peer {host}:{}", &port[..2]),
            &format!("lanspread install --peer {address}"),
        ),
        ("lanspread peers remove 127", &format!("lanspread peers remove {address}")),
        ("lanspread install --nam", "lanspread install --names"),
    ] {
        terminal.press(&format!("{typed}\t"));
        terminal.wait_for(completed, |screen| screen.contains(completed));
        terminal.press("\u{15}");
    }
    terminal.press("exit\n");
    terminal.finish();
}

#[test]
fn fish_completes_games_and_peers() {
    let Some(shell) = Shell::find("fish") else { return };
    let machine = Machine::new();
    let lines = ["verify alpha-", "install --peer ", "peers remove ", "ls alpha-"];
    let lines = lines.map(|line| format!("{PROGRAM} {line}"));
    let mut command = shell.command();
    machine.settle(&mut command).args([
        "--no-config",
        "--command",
        "source $argv[1]; for line in $argv[2..]; complete -C $line; echo; end",
    ]);
    let done = finish(command.arg("--").arg(shell.script()).args(&lines));
    let answers: Vec<&str> = done.succeeded().stdout.split("\n\n").collect();
    assert_eq!(answers[0], "alpha-arena\tdownloaded\nalpha-racer\tdownloaded");
    let peer = format!("{}\tden", machine.source.address);
    assert_eq!(answers[3].trim_end(), answers[0], "an alias");
    assert!(answers[1..3].iter().all(|answer| answer.trim_end() == peer), "{answers:?}");
}

#[test]
fn zsh_completes_games_and_peers() {
    let Some(shell) = Shell::find("zsh") else { return };
    std::fs::rename(shell.script(), shell.folder.path().join(format!("_{PROGRAM}"))).unwrap();
    let machine = Machine::new();
    let address = &machine.source.address;
    let mut command = shell.command();
    machine.settle(command.args(["-f", "-i"]).env("PS1", "ready> ").env("LISTMAX", "0"));
    let mut terminal = Terminal::start(&command, 200, 60);
    let folder = shell.folder.path().display();
    terminal.press(&format!(
        "fpath=('{folder}' $fpath); autoload -Uz compinit && compinit -u -D && echo load''ed\n"
    ));
    terminal.wait_for("zsh is ready", |screen| screen.contains("loaded"));
    for (typed, completed) in [
        ("lanspread-peer-cli install --stream alpha-r", "lanspread-peer-cli install --stream alpha-racer"),
        ("lanspread verify alpha-a", "lanspread verify alpha-arena"),
        ("lanspread peers remove 127", &format!("lanspread peers remove {address}")),
        ("lanspread install --peer ", &format!("lanspread install --peer {address}")),
        ("lanspread verify alpha-", "alpha-racer  -- downloaded"),
        ("lanspread ls alpha-a", "lanspread ls alpha-arena"),
    ] {
        terminal.press(&format!("\u{c}{typed}\t"));
        let screen = terminal.wait_for(completed, |screen| screen.contains(completed));
        assert!(!screen.contains("not found"), "{screen}");
        terminal.press("\u{15}");
    }
    terminal.press("exit\n");
    terminal.finish();
}

/// The same in a bash that a person uses: keys and all, and file names where a folder is wanted.
#[test]
fn bash_completes_what_a_person_types() {
    let Some(shell) = Shell::find("bash") else { return };
    std::fs::create_dir(shell.folder.path().join("many-games")).unwrap();
    let mut command = shell.command();
    command.args(["--norc", "--noprofile", "-i"]).env("PS1", "ready> ");
    let mut terminal = Terminal::start(&command, 120, 40);
    terminal.press(&format!("source '{}'\n", shell.script().display()));
    for (typed, completed) in [
        ("install --str", "install --stream "),
        ("install --names nat", "install --names native "),
        ("update --games-dir many", "update --games-dir many-games/"),
        ("uninst", "uninstall "),
        ("peers re", "peers remove "),
    ] {
        terminal.press(&format!("{PROGRAM} {typed}\t"));
        let expected = format!("{PROGRAM} {completed}").trim_end().to_owned();
        terminal.wait_for(&expected, |screen| screen.contains(&expected));
        // Ends the line without running it.
        terminal.press("\u{15}");
    }
    terminal.press("exit\n");
    terminal.finish();
}

#[test]
fn fish_completes_every_command() {
    let Some(shell) = Shell::find("fish") else { return };
    let expected = commands();
    let lines: Vec<String> = expected.iter().map(|expected| format!("{} --", expected.line())).collect();
    let values = [format!("{PROGRAM} completions z"), format!("{PROGRAM} install --names n")];
    // One shell for all lines: it takes long to start.
    let mut command = shell.command();
    command.args([
        "--no-config",
        "--command",
        "source $argv[1]; for line in $argv[2..]; complete -C $line; echo; end",
    ]);
    command.arg("--").arg(shell.script()).args(lines.iter().chain(&values));
    let done = finish(&mut command);
    let answers: Vec<&str> = done.succeeded().stdout.split("\n\n").collect();
    for (expected, answer) in expected.iter().zip(&answers) {
        // Each line is an option and, after a tab, what it is for.
        let firsts: Vec<&str> = answer.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(options_in(&firsts.join(" ")), expected.options, "{}: {answer}", expected.line());
    }
    let names = |answer: &str| -> Vec<String> {
        answer.lines().filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect()
    };
    assert_eq!(names(answers[lines.len()]), ["zsh"]);
    assert_eq!(names(answers[lines.len() + 1]), ["native"]);
}

#[test]
fn zsh_completes_every_command() {
    let Some(shell) = Shell::find("zsh") else { return };
    std::fs::rename(shell.script(), shell.folder.path().join(format!("_{PROGRAM}"))).unwrap();
    let mut command = shell.command();
    command.args(["-f", "-i"]).env("PS1", "ready> ").env("LISTMAX", "0");
    // So large that it shows every list as a whole, without asking.
    let mut terminal = Terminal::start(&command, 400, 120);
    let folder = shell.folder.path().display();
    terminal.press(&format!(
        "fpath=('{folder}' $fpath); autoload -Uz compinit && compinit -u -D && echo load''ed\n"
    ));
    terminal.wait_for("zsh is ready", |screen| screen.contains("loaded"));
    for expected in commands() {
        terminal.press(&format!("\u{c}{} --\t", expected.line()));
        let mut shown = BTreeSet::new();
        terminal.wait_for(&format!("zsh completes {}: {:?}", expected.line(), expected.options), |screen| {
            shown = options_in(screen);
            shown == expected.options
        });
        // Ends the line and what was listed below it.
        terminal.press("\u{15}");
    }
    for (typed, completed) in [
        ("completions z", "completions zsh"),
        ("install --names n", "install --names native"),
        // Values that the shell cannot know: the key does nothing, and does no harm.
        ("install --peer \tx", "install --peer x"),
        ("serve --listen \tx", "serve --listen x"),
        ("serve --name \tx", "serve --name x"),
        ("install --discover-timeout \t1", "install --discover-timeout 1"),
        ("peers add \tx", "peers add x"),
        ("install \tx", "install x"),
    ] {
        terminal.press(&format!("\u{c}{PROGRAM} {typed}\t"));
        let expected = format!("{PROGRAM} {completed}");
        let screen = terminal.wait_for(&expected, |screen| screen.contains(&expected));
        assert!(!screen.contains("not found"), "{screen}");
        terminal.press("\u{15}");
    }
    terminal.press("exit\n");
    terminal.finish();
}
