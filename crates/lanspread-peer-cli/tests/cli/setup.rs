//! `init` and `config`: a new machine is set up, by a person and by a script, and says where its settings come from.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Finished, Tree, finish, peer, wait};
use crate::terminal::Terminal;

/// A user on a new machine.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = peer();
        command.env("HOME", self.home.path()).env_remove("LANSPREAD_CONFIG");
        command.env_remove("LANSPREAD_NO_DISCOVERY").current_dir(self.home.path()).args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Finished {
        finish(&mut self.command(words))
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path(CONFIG)).unwrap()
    }

    /// The setting of an option.
    fn setting(&self, key: &str) -> serde_json::Value {
        let done = self.run(&["config", "show", "--json"]);
        let mut found: Vec<_> =
            done.succeeded().named("option-setting").into_iter().filter(|it| it["key"] == key).collect();
        assert_eq!(found.len(), 1, "{key}: {}", done.stdout);
        found.remove(0)
    }
}

const CONFIG: &str = ".config/lanspread/lanspread.toml";

/// The program alone asks three questions on a terminal, and a person may press Enter three times.
#[test]
fn a_newcomer_is_asked_and_every_question_has_a_default() {
    let user = User::new();
    let mut terminal = Terminal::start(&user.command(&[]), 160, 40);
    for question in ["Folder for the games [", "Name that other peers see [", "Party: "] {
        terminal.wait_for(question, |screen| screen.contains(question));
        terminal.press("\n");
    }
    assert_eq!(terminal.finish().code(), Some(0), "{}", terminal.screen());
    let screen = terminal.screen();
    assert!(screen.contains("lanspread.toml is written") && screen.contains("next: "), "{screen}");
    let games = user.path(".local/share/lanspread/games");
    assert!(games.is_dir());
    assert!(user.config().ends_with(&format!("games-dir = \"{}\"\n", games.display())), "{}", user.config());
    assert!(!user.path(".local/state/lanspread").exists(), "a machine of no party needs no state for it");

    // Now the program alone is the help again.
    let mut terminal = Terminal::start(&user.command(&[]), 160, 200);
    assert_eq!(terminal.finish().code(), Some(2));
    assert!(terminal.screen().contains("First steps:"), "{}", terminal.screen());
}

/// Wrong answers are asked for again; what was answered is what the next command uses.
#[test]
fn answers_are_checked_one_by_one() {
    let user = User::new();
    let mut terminal = Terminal::start(&user.command(&["init"]), 160, 40);
    terminal.wait_for("the folder", |screen| screen.contains("Folder for the games ["));
    terminal.press("~/my games\n");
    terminal.wait_for("the name", |screen| screen.contains("Name that other peers see ["));
    terminal.press(&format!("{}\n", "x".repeat(100)));
    terminal.wait_for("the name again", |screen| screen.matches("Name that other peers see [").count() == 2);
    terminal.press("den\n");
    terminal.wait_for("the party", |screen| screen.contains("Party: "));
    terminal.press("party1x\n");
    terminal.wait_for("the party again", |screen| screen.matches("Party: ").count() == 2);
    terminal.press("new\n");
    assert_eq!(terminal.finish().code(), Some(0), "{}", terminal.screen());
    assert!(terminal.screen().contains("party1"), "the line is for the others: {}", terminal.screen());
    assert!(user.path("my games").is_dir());
    let shown = user.setting("games-dir");
    assert_eq!(shown["values"], json!([user.path("my games").to_str().unwrap()]));
    user.run(&["party", "show"]).succeeded();
}

/// Until the last answer is here, nothing is on the disk.
#[test]
fn an_interrupted_init_changes_nothing() {
    let user = User::new();
    let mut terminal = Terminal::start(&user.command(&["init"]), 160, 40);
    for (question, keys) in [
        ("Folder for the games [", "games\n"),
        ("Name that other peers see [", "den\n"),
        ("Party: ", "\u{4}"),
    ] {
        terminal.wait_for(question, |screen| screen.contains(question));
        terminal.press(keys);
    }
    assert_eq!(terminal.finish().code(), Some(130), "{}", terminal.screen());
    assert_eq!(Tree::read(user.home.path()), Tree::empty());
}

#[test]
fn a_script_gives_options_and_is_asked_nothing() {
    let user = User::new();
    let alone = user.run(&[]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(alone.stderr.contains("First steps:"), "{}", alone.stderr);
    let done = user.run(&["init", "--json"]);
    done.failed(2, &["no terminal", "--yes"]);
    assert_eq!(done.one("error")["code"], "no-answers");
    assert_eq!(Tree::read(user.home.path()), Tree::empty());

    let words = ["init", "--json", "--yes", "--games-dir", "a\"b", "--name", "den", "--party", "new"];
    let done = user.run(&words);
    let set_up = done.succeeded().one("machine-set-up");
    assert_eq!(set_up["games_dir"], user.path("a\"b").to_str().unwrap());
    assert_eq!((&set_up["games_dir_created"], &set_up["name"]), (&json!(true), &json!("den")));
    assert_eq!(set_up["party"], done.one("party")["party"]);
    let shown = user.setting("games-dir");
    assert_eq!(shown["values"], json!([set_up["games_dir"]]), "what was written is not what is read");
    let line = done.one("party")["line"].as_str().unwrap().to_owned();

    // Another machine joins, with the line from its standard input.
    let other = User::new();
    let mut command = other.command(&["init", "--json", "--yes", "--party", "-"]);
    let mut running = command.stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut running.stdin.take().unwrap(), format!("{line}\n").as_bytes()).unwrap();
    assert!(wait(&mut running).success());
    let shown = other.run(&["party", "show", "--json"]).succeeded().one("party");
    assert_eq!(shown["party"], set_up["party"]);

    let wrong = User::new();
    wrong.run(&["init", "--yes", "--party", "party1x"]).failed(2, &["no party line"]);
    fs::write(wrong.path("file"), "").unwrap();
    wrong.run(&["init", "--yes", "--games-dir", "file"]).failed(7, &["file"]);
    assert!(!wrong.path(CONFIG).exists());
}

#[test]
fn a_config_file_is_replaced_only_with_consent_and_is_kept() {
    let user = User::new();
    user.run(&["init", "--yes", "--name", "one"]).succeeded();
    let first = user.config();
    let done = user.run(&["init", "--json", "--yes", "--name", "two"]);
    done.failed(5, &["lanspread.toml", "--replace"]);
    assert_eq!(done.one("error")["code"], "config-exists");

    let mut terminal = Terminal::start(&user.command(&["init", "--name", "two"]), 160, 40);
    terminal.wait_for("the question", |screen| screen.contains("Replace it, and keep a copy [no]"));
    terminal.press("\n");
    assert_eq!(terminal.finish().code(), Some(5));
    assert_eq!(user.config(), first);

    let done = user.run(&["init", "--json", "--yes", "--replace", "--name", "two"]);
    let set_up = done.succeeded().one("machine-set-up");
    let kept = set_up["old_config_file"].as_str().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), first);
    assert!(user.config().contains("name = \"two\"\n"), "{}", user.config());

    // A file that is named may be missing: it is the one to write.
    let done = user.run(&["init", "--json", "--yes", "--config", "other/a.toml"]);
    assert_eq!(done.succeeded().one("machine-set-up")["config_file"], "other/a.toml");
    assert!(user.path("other/a.toml").is_file());
}

/// Of each value, the program says which of the four places it comes from.
#[test]
fn every_setting_says_where_it_comes_from() {
    let user = User::new();
    fs::create_dir_all(user.path(".config/lanspread")).unwrap();
    let url = "https://me:secret@games.lan/x";
    let text = format!("# a comment\nmax-streams = 2\n\nsources = [\n  '{url}',\n]\nno-discovery = true\n");
    fs::write(user.path(CONFIG), text).unwrap();
    let mut command = user.command(&["--state-dir", "here"]);
    command.env("LANSPREAD_MAX_STREAMS", "3").env("LANSPREAD_PEER", "a:1,b:2").env("LANSPREAD_QUIET", "yes");
    let done = finish(command.args(["config", "show", "--json"]));
    let found = done.succeeded().named("option-setting");
    let setting = |key: &str| found.iter().find(|it| it["key"] == key).unwrap_or_else(|| panic!("{key}"));
    let path = user.path(CONFIG).to_str().unwrap().to_owned();
    for (key, values, origin, place) in [
        ("state-dir", json!(["here"]), "command-line", json!([null, null, null])),
        ("json", json!(["true"]), "command-line", json!([null, null, null])),
        ("max-streams", json!(["3"]), "variable", json!(["LANSPREAD_MAX_STREAMS", null, null])),
        ("peer", json!(["a:1", "b:2"]), "variable", json!(["LANSPREAD_PEER", null, null])),
        ("quiet", json!(["true"]), "variable", json!(["LANSPREAD_QUIET", null, null])),
        ("sources", json!(["https://games.lan/x"]), "file", json!([null, path, 4])),
        ("no-discovery", json!(["true"]), "file", json!([null, path, 7])),
        ("discover-timeout", json!(["3"]), "default", json!([null, null, null])),
        ("listen", json!(["0.0.0.0:4107"]), "default", json!([null, null, null])),
        ("verbose", json!(["0"]), "default", json!([null, null, null])),
        ("catalog", json!([]), "default", json!([null, null, null])),
    ] {
        let it = setting(key);
        assert_eq!((&it["values"], &it["origin"]), (&values, &json!(origin)), "{key}");
        assert_eq!(json!([it["variable"], it["path"], it["line"]]), place, "{key}");
    }
    assert!(!done.stdout.contains("secret"), "{}", done.stdout);
    let games = user.path(".local/share/lanspread/games");
    assert_eq!(setting("games-dir")["values"], json!([games.to_str().unwrap()]));
    assert!(!games.exists(), "a question creates no folder");

    // For people: a table.
    let shown = user.run(&["config", "show"]).succeeded().stdout.clone();
    let row = shown.lines().find(|line| line.starts_with("max-streams ")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["max-streams", "2", &format!("{path}:2")]);
    finish(user.command(&["config", "show"]).env("LANSPREAD_MAX_STREAMS", "many"))
        .failed(2, &["LANSPREAD_MAX_STREAMS", "many"]);
    finish(user.command(&["config", "show"]).env("LANSPREAD_NO_RELAY", "perhaps"))
        .failed(2, &["LANSPREAD_NO_RELAY", "perhaps"]);
}

/// Even a wrong config file is found: its user wants to edit it.
#[test]
fn the_path_of_the_config_file_is_printed_whatever_it_contains() {
    let user = User::new();
    let path = user.path(CONFIG);
    let done = user.run(&["config", "path"]);
    // The machine that runs this test may have a file for all users.
    if !PathBuf::from("/etc/lanspread/lanspread.toml").exists() {
        assert_eq!(done.succeeded().stdout.trim(), path.to_str().unwrap());
        assert!(done.stderr.contains("init"), "{}", done.stderr);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "nonsense").unwrap();
    let done = user.run(&["config", "path", "--json"]);
    let file = done.succeeded().one("config-file");
    assert_eq!((&file["path"], &file["exists"]), (&json!(path.to_str().unwrap()), &json!(true)));
    user.run(&["config", "show"]).failed(2, &["line 1"]);
}
