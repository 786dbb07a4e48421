//! `install --stream` that succeeds: the tree, the events, the order of the sources.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    Receiver, Source, Tree, dead_address, decoded_at_source, finish, fixtures, peer, tool, unrar_tree,
};

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir() && !path.ends_with(".lanspread"));
    found.sort();
    found
}

/// The tree is the one that `unrar x` makes, and the game root holds only `local/`. Two archives become one tree.
#[test]
fn only_the_tree_is_left_of_solid_and_of_several_archives() {
    for fixture in ["fixture-solid", "fixture-multi"] {
        let games = fixtures(fixture);
        let source = Source::start("only", &games);
        let receiver = Receiver::new();
        receiver.run("cnctw", &[&source]).succeeded();
        assert_eq!(Tree::read(&receiver.local("cnctw")), unrar_tree(&games.join("cnctw")), "{fixture}");
        let left = receiver.disk().0.into_keys().filter(|path| !path.starts_with("cnctw/local/"));
        assert_eq!(
            left.collect::<Vec<_>>(),
            [".lanspread/", ".lanspread/receipts/", ".lanspread/receipts/cnctw.jsonl", "cnctw/"],
            "{fixture}: no archive, no sentinel, no staging, no lock"
        );
        source.assert_idle();
    }
}

#[test]
fn every_good_fixture_is_installed_as_unrar_extracts_it_by_both_decoders() {
    let unrar = tool("unrar");
    let mut seen = 0;
    for games in folders(&fixtures("")) {
        let fixture = games.file_name().unwrap().to_string_lossy().into_owned();
        if !fixture.starts_with("fixture-")
            || ["fixture-encrypted", "fixture-hostile"].contains(&fixture.as_str())
        {
            continue;
        }
        for options in [vec![], vec!["--unrar".as_ref(), unrar.as_os_str()]] {
            let source = Source::start_with("only", &games, &options);
            for root in folders(&games) {
                let game = root.file_name().unwrap().to_str().unwrap();
                let receiver = Receiver::new();
                let done = receiver.run(game, &[&source]);
                assert_eq!(done.status.code(), Some(0), "{fixture}/{game} {options:?}: {}", done.stderr);
                assert_eq!(
                    Tree::read(&receiver.local(game)),
                    unrar_tree(&root),
                    "{fixture}/{game} {options:?}"
                );
                seen += 1;
            }
            source.assert_idle();
        }
    }
    assert!(seen >= 2 * 20, "only {seen} installs");
}

/// The game root already exists and holds a file of the user.
#[test]
fn files_in_the_game_root_are_kept() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let receiver = Receiver::new();
    let notes = receiver.games().join("cnctw/notes.txt");
    fs::create_dir(notes.parent().unwrap()).unwrap();
    fs::write(&notes, "mine").unwrap();
    receiver.run("cnctw", &[&source]).succeeded();
    assert_eq!(fs::read_to_string(notes).unwrap(), "mine");
    assert!(receiver.local("cnctw").is_dir());
}

/// If one of several games fails, it decides the exit status, and the others are still installed.
#[test]
fn one_failing_game_does_not_prevent_the_others() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let done = finish(receiver.install("alpha-arena", &[&source]).args(["no-such-game", "alpha-racer"]));
    assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
    assert!(done.stderr.lines().all(|line| line.contains("no-such-game")), "{}", done.stderr);
    assert!(receiver.local("alpha-arena").is_dir() && receiver.local("alpha-racer").is_dir());
    assert!(!receiver.games().join("no-such-game").exists());
}

/// The variable for peers takes a list.
#[test]
fn variables_can_replace_options() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let receiver = Receiver::new();
    let mut command = peer();
    command.args(["install", "--stream", "cnctw"]).env("LANSPREAD_JSON", "true");
    command.env("LANSPREAD_GAMES_DIR", receiver.games()).env("LANSPREAD_STATE_DIR", receiver.state());
    command.env("LANSPREAD_PEER", format!("{},{}", dead_address(), source.address));
    finish(&mut command).succeeded().one("stream-install-finished");
    assert!(receiver.local("cnctw").is_dir());
}

/// Without --json, stdout holds data only, and an install has none. Events are reported on stderr.
#[test]
fn an_install_for_people_is_reported_on_stderr() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let receiver = Receiver::new();
    let mut command = peer();
    command
        .args(["install", "--stream", "cnctw", "--peer", &source.address, "--games-dir"])
        .arg(receiver.games());
    let done = finish(command.arg("--state-dir").arg(receiver.state()));
    done.succeeded();
    assert_eq!(done.stdout, "");
    let last = done.stderr.lines().last().unwrap();
    assert!(last.contains("cnctw 20250101 installed from only, unverified: 62 files"), "{}", done.stderr);
}

/// Events have the documented order and fields, and progress ends at the announced total.
#[test]
fn events_of_an_install_are_complete_and_in_order() {
    let mut source = Source::start("source-one", &fixtures("fixture-solid"));
    let done = finish(decoded_at_source(&mut Receiver::new().install("cnctw", &[&source])));
    let objects = done.succeeded().objects();
    let mut names: Vec<&str> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "operation-queued",
            "operation-begin",
            "stream-install-begin",
            "stream-attempt-begin",
            "archive-begin",
            "stream-progress",
            "finishing",
            "stream-install-finished",
            "operation-end"
        ]
    );
    assert!(objects.iter().all(|object| object["time"].as_str().is_some_and(|time| time.ends_with('Z'))));

    let begin = done.one("stream-install-begin");
    assert_eq!((&begin["game"], &begin["version"]), (&Value::from("cnctw"), &Value::from("20250101")));
    assert_eq!(begin["sources"], serde_json::json!(["source-one"]));
    let attempt = done.one("stream-attempt-begin");
    assert_eq!((&attempt["attempt"], &attempt["peer"]), (&Value::from(1), &Value::from("source-one")));
    let archive = done.one("archive-begin");
    assert_eq!((&archive["name"], &archive["solid"]), (&Value::from("cnctw.eti"), &Value::from(true)));
    let finished = done.one("stream-install-finished");
    for (field, value) in [("game", "cnctw"), ("version", "20250101"), ("peer", "source-one")] {
        assert_eq!(finished[field], value);
    }
    assert_eq!((&finished["files"], &finished["bytes"]), (&Value::from(62), &Value::from(1_407_710)));
    assert!(finished["waited_ms"].is_u64() && finished["duration_ms"].is_u64());
    assert_eq!(done.one("finishing")["bytes"], 1_407_710);

    let progress = done.named("stream-progress");
    let bytes: Vec<u64> = progress.iter().map(|object| object["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.is_sorted(), "{bytes:?}");
    assert_eq!(bytes.last(), Some(&1_407_710), "the last event does not report the whole game");
    assert!(
        progress.iter().all(|object| object["peer"] == "source-one" && object["bytes_total"] == 1_407_710)
    );

    let end = source.wait_for("transfer-end");
    assert_eq!((&end["outcome"], &end["bytes"]), (&"complete".into(), &1_407_710.into()));
}
