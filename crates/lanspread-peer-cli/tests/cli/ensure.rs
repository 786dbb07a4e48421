//! `ensure` and `absent`: a script may run them again and again, and each time it is told what was changed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Finished, Receiver, Source, Tree, copy_tree, dead_address, finish, fixtures, peer};

const GAME: &str = "alpha-racer";
const VERSION: &str = "20250102";

fn command(receiver: &Receiver, words: &[&str]) -> Command {
    let mut command = peer();
    command.env("LANSPREAD_GAMES_DIR", receiver.games()).env("LANSPREAD_STATE_DIR", receiver.state());
    command.args(words).arg("--json");
    command
}

fn run(receiver: &Receiver, source: &Source, words: &[&str]) -> Finished {
    finish(command(receiver, words).env("LANSPREAD_PEER", &source.address))
}

/// Without any peer: every attempt to reach one would fail.
fn run_alone(receiver: &Receiver, words: &[&str]) -> Finished {
    finish(command(receiver, words).env("LANSPREAD_PEER", dead_address()))
}

/// The action, `changed`, the version and the note of the only game.
fn ensured(done: &Finished) -> (Value, Value, Value, Value) {
    let mut object = done.succeeded().one("ensured");
    let mut take = |field: &str| object[field].take();
    (take("action"), take("changed"), take("version"), take("note"))
}

fn did(action: &str) -> (Value, Value, Value, Value) {
    (json!(action), json!(action != "none"), json!(VERSION), Value::Null)
}

/// A receiver with a catalog that names the game in this version.
fn catalog(receiver: &Receiver, version: &str) -> PathBuf {
    let path = receiver.state().with_file_name("catalog.toml");
    fs::write(&path, format!("schema = 1\n[games.{GAME}]\nname = \"Racer\"\nversion = \"{version}\"\n"))
        .unwrap();
    path
}

/// Changes the version of the game that a source serves.
fn games_in_version(version: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_tree(&fixtures("fixture-alpha"), &folder.path().join("games"));
    fs::write(folder.path().join("games").join(GAME).join("version.ini"), version).unwrap();
    folder
}

fn first_files(receiver: &Receiver) -> Vec<PathBuf> {
    let tree = receiver.local(GAME);
    let paths = Tree::read(&tree).0.into_keys().filter(|path| !path.ends_with('/'));
    paths.map(|path| tree.join(path)).collect()
}

#[test]
fn the_second_time_nothing_changes_and_a_version_needs_no_peer() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let game = format!("{GAME}@{VERSION}");
    assert_eq!(ensured(&run(&receiver, &source, &["ensure", &game])), did("installed"));
    let before = receiver.disk();
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game])), did("none"));
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &format!("{GAME}@any")])), did("none"));
    assert_eq!(receiver.disk(), before);
    assert!(!receiver.games().join(GAME).join("version.ini").exists(), "it was streamed");
}

#[test]
fn without_a_catalog_what_is_here_stays_if_nobody_answers() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    run_alone(&receiver, &["ensure", GAME]).failed(3, &[GAME]);
    run(&receiver, &source, &["ensure", GAME]).succeeded();
    assert_eq!(ensured(&run(&receiver, &source, &["ensure", GAME])), did("none"), "compared with the source");
    let (action, changed, version, note) = ensured(&run_alone(&receiver, &["ensure", GAME]));
    assert_eq!((action, changed, version), (json!("none"), json!(false), json!(VERSION)));
    assert_eq!(note, "no-peers");
}

#[test]
fn the_catalog_decides_and_an_older_version_of_peers_does_not() {
    let (old, new) = (games_in_version("20240101"), games_in_version("20260101"));
    let old = Source::start("old", &old.path().join("games"));
    let new = Source::start("new", &new.path().join("games"));
    let receiver = Receiver::new();
    let with_catalog = |version: &str, source: &Source| {
        let catalog = catalog(&receiver, version);
        run(&receiver, source, &["ensure", GAME, "--catalog", catalog.to_str().unwrap()])
    };
    let is = |action: &str, version: &str, note: Value| {
        (json!(action), json!(action != "none"), json!(version), note)
    };
    assert_eq!(ensured(&with_catalog("20240101", &old)), is("installed", "20240101", Value::Null));
    assert_eq!(ensured(&with_catalog("20260101", &new)), is("updated", "20260101", Value::Null));
    // Only peers say that the older one is current.
    let kept = run(&receiver, &old, &["ensure", GAME]);
    assert_eq!(ensured(&kept), is("none", "20260101", json!("newer-here")));
    // The catalog says so, or the user.
    assert_eq!(ensured(&with_catalog("20240101", &old)), is("updated", "20240101", Value::Null));
    let asked = format!("{GAME}@20260101");
    assert_eq!(ensured(&run(&receiver, &new, &["ensure", &asked])), is("updated", "20260101", Value::Null));
    // No peer has this one, and the catalog names another one.
    let none = format!("{GAME}@19990101");
    run(&receiver, &new, &["ensure", &none]).failed(3, &["19990101", "20260101"]);
    let file = catalog(&receiver, "20260101");
    let refused = run(&receiver, &new, &["ensure", &none, "--catalog", file.to_str().unwrap()]);
    refused.failed(3, &["the catalog names version 20260101"]);
    assert_eq!(refused.one("error")["code"], "version-not-offered");
    assert_eq!(ensured(&with_catalog("20260101", &new)), is("none", "20260101", Value::Null));
}

#[test]
fn archives_are_kept_and_fetched_as_it_was_asked() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let game = format!("{GAME}@{VERSION}");
    let sentinel = receiver.games().join(GAME).join("version.ini");
    assert_eq!(ensured(&run(&receiver, &source, &["ensure", &game])), did("installed"));
    assert_eq!(ensured(&run(&receiver, &source, &["ensure", &game, "--archives"])), did("downloaded"));
    assert!(sentinel.exists());
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game, "--archives"])), did("none"));
    // From here on the archives are here, and a tree that is gone comes from them.
    fs::remove_dir_all(receiver.local(GAME)).unwrap();
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game])), did("installed"));
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game, "--streamed"])), did("none"));
}

#[test]
fn a_missing_file_is_repaired_and_files_of_the_user_are_not_lost() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let game = format!("{GAME}@{VERSION}");
    run(&receiver, &source, &["ensure", &game]).succeeded();
    let whole = receiver.disk();
    let files = first_files(&receiver);
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(ensured(&run(&receiver, &source, &["ensure", &game])), did("repaired"));
    assert_eq!(Tree::read(&receiver.local(GAME)), {
        let prefix = format!("{GAME}/local/");
        let tree = whole.0.into_iter();
        Tree(
            tree.filter_map(|(path, file)| Some((path.strip_prefix(&prefix)?.to_owned(), file)))
                .filter(|(path, _)| !path.is_empty())
                .collect(),
        )
    });
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game])), did("none"));
    // The same size, other bytes: only reading shows it.
    let content = fs::read(&files[0]).unwrap();
    fs::write(&files[0], content.iter().map(|byte| !byte).collect::<Vec<u8>>()).unwrap();
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game])), did("none"));
    assert_eq!(ensured(&run(&receiver, &source, &["ensure", &game, "--verify"])), did("repaired"));
    assert_eq!(fs::read(&files[0]).unwrap(), content);
    // A version that would replace the tree, with a file of the user in it.
    let new = games_in_version("20260101");
    let new = Source::start("new", &new.path().join("games"));
    fs::write(receiver.local(GAME).join("save.dat"), "mine").unwrap();
    assert_eq!(ensured(&run_alone(&receiver, &["ensure", &game])), did("none"), "added files are no damage");
    let newer = format!("{GAME}@20260101");
    run(&receiver, &new, &["ensure", &newer]).failed(5, &["save.dat"]);
    assert_eq!(fs::read_to_string(receiver.local(GAME).join("save.dat")).unwrap(), "mine");
    run(&receiver, &new, &["absent", GAME]).failed(5, &["save.dat"]);
    run(&receiver, &new, &["ensure", &newer, "--force"]).succeeded();
    assert!(!receiver.local(GAME).join("save.dat").exists());
}

#[test]
fn an_absent_game_may_be_made_absent_again() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    run(&receiver, &source, &["ensure", GAME, "--archives"]).succeeded();
    let removed = run_alone(&receiver, &["absent", GAME]).succeeded().one("ensured");
    assert_eq!((&removed["present"], &removed["action"]), (&json!(false), &json!("removed")));
    assert!(!receiver.local(GAME).exists() && !receiver.games().join(GAME).join("version.ini").exists());
    for game in [GAME, "never-here"] {
        let again = run_alone(&receiver, &["absent", game]).succeeded().one("ensured");
        assert_eq!((&again["changed"], &again["version"]), (&json!(false), &Value::Null), "{game}");
    }
}

#[test]
fn a_room_file_says_what_is_wanted_and_what_is_not() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let room = receiver.state().with_file_name("room.toml");
    let text =
        format!("absent = [\"common-quest\"]\n[games]\n{GAME} = \"{VERSION}\"\nalpha-arena = \"any\"\n");
    fs::write(&room, text).unwrap();
    run(&receiver, &source, &["ensure", "common-quest"]).succeeded();
    let words = ["ensure", "--file", room.to_str().unwrap()];
    let changed = |done: &Finished| -> Vec<(String, bool)> {
        let mut changed: Vec<_> = done
            .succeeded()
            .named("ensured")
            .iter()
            .map(|object| (object["game"].as_str().unwrap().to_owned(), object["changed"] == true))
            .collect();
        changed.sort();
        changed
    };
    let all =
        |is_changed| ["alpha-arena", GAME, "common-quest"].map(|game| (game.to_owned(), is_changed)).to_vec();
    assert_eq!(changed(&run(&receiver, &source, &words)), all(true));
    let before = receiver.disk();
    assert_eq!(changed(&run_alone(&receiver, &words)), all(false));
    assert_eq!(receiver.disk(), before);
    fs::write(&room, "[games]\na = \"1\"\nb = 2\n").unwrap();
    run_alone(&receiver, &words).failed(2, &["room.toml", "line 3", "docs/room-file.md"]);
    finish(&mut command(&receiver, &["ensure"])).failed(2, &["GAME[@VERSION]"]);
}

#[test]
fn a_person_reads_one_line_for_each_game() {
    let receiver = Receiver::new();
    let done = finish(
        peer()
            .env("LANSPREAD_GAMES_DIR", receiver.games())
            .env("LANSPREAD_STATE_DIR", receiver.state())
            .args(["absent", GAME]),
    );
    assert_eq!(done.succeeded().stderr, format!("{GAME} is not here: unchanged\n"));
}
