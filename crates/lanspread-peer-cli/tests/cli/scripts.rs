//! What scripts ask of commands: many games at once, operations that go on alone, time limits, further tries, and only
//! some sources.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Finished, Receiver, Source, Tree, copy_tree, dead_address, finish, fixtures, peer};

const GAME: &str = "alpha-racer";
const GAMES: [&str; 3] = ["alpha-arena", "alpha-racer", "common-quest"];

fn command(receiver: &Receiver, words: &[&str]) -> Command {
    let mut command = peer();
    command.env("LANSPREAD_GAMES_DIR", receiver.games()).env("LANSPREAD_STATE_DIR", receiver.state());
    command.args(words).arg("--json");
    command
}

fn run(receiver: &Receiver, source: &Source, words: &[&str]) -> Finished {
    finish(command(receiver, words).env("LANSPREAD_PEER", &source.address))
}

fn code(done: &Finished) -> Value {
    done.one("error")["code"].clone()
}

/// A daemon of an empty games directory that knows the source.
fn daemon(source: &Source) -> Source {
    let empty = tempfile::tempdir().unwrap();
    Source::start_with("receiver", empty.path(), ["--peer", &source.address])
}

fn of_daemon(daemon: &Source, words: &[&str]) -> Finished {
    let mut command = peer();
    command.env("LANSPREAD_GAMES_DIR", daemon.games()).env("LANSPREAD_STATE_DIR", daemon.state());
    finish(command.args(words).arg("--json"))
}

#[test]
fn a_detached_operation_goes_on_alone_and_can_be_awaited() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let daemon = daemon(&source);
    let started =
        of_daemon(&daemon, &["install", "--stream", GAME, "nosuch", "--detach", "--peer", &source.address]);
    let started = started.succeeded().named("detached-operation");
    assert_eq!((&started[0]["operation"], &started[0]["game"]), (&json!(1), &json!(GAME)));
    assert_eq!(started[0]["kind"], "stream-install");
    of_daemon(&daemon, &["wait", GAME, "--timeout", "1m"]).succeeded();
    assert!(daemon.games().join(GAME).join("local").is_dir());
    // It has ended, and that is remembered: by its number and by its game.
    for awaited in ["1", GAME] {
        let ended = of_daemon(&daemon, &["wait", awaited]).succeeded().one("operation-end");
        assert_eq!((&ended["outcome"], &ended["operation"]), (&json!("done"), &json!(1)), "{awaited}");
    }
    of_daemon(&daemon, &["wait", "nosuch"]).failed(3, &["nosuch"]);
    assert_eq!(code(&of_daemon(&daemon, &["wait", "99"])), "no-operation");
    of_daemon(&daemon, &["wait", "never"]).failed(5, &["never"]);
    of_daemon(&daemon, &["wait", "1942", "--game"]).failed(5, &["no operation on 1942"]);
    of_daemon(&daemon, &["wait", "a/b"]).failed(2, &["a/b"]);
}

#[test]
fn without_a_daemon_nothing_is_detached() {
    let receiver = Receiver::new();
    let done = finish(&mut command(&receiver, &["install", GAME, "--detach"]));
    done.failed(3, &["no daemon serves"]);
    assert_eq!(code(&done), "no-daemon");
    finish(&mut command(&receiver, &["wait", GAME])).failed(3, &["no daemon serves"]);
    finish(&mut command(&receiver, &["install", GAME, "--detach", "--timeout", "1s"]))
        .failed(2, &["--detach"]);
}

#[test]
fn what_takes_too_long_is_cancelled_and_undone() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    source.signal("STOP");
    let receiver = Receiver::new();
    let began = Instant::now();
    let done = run(&receiver, &source, &["install", "--stream", GAME, "nosuch", "--timeout", "1s"]);
    assert_eq!(done.status.code(), Some(124), "{}", done.stderr);
    assert!(done.named("error").iter().all(|error| error["code"] == "timed-out"), "{}", done.stdout);
    assert_eq!(done.one("summary")["exit_status"], 124);
    assert!(began.elapsed().as_secs() >= 1);
    source.signal("CONT");
    receiver.assert_untouched();
    // In a daemon that no other client follows, the operation is cancelled too.
    let daemon = daemon(&source);
    source.signal("STOP");
    let done =
        of_daemon(&daemon, &["install", "--stream", GAME, "--timeout", "1s", "--peer", &source.address]);
    done.failed(124, &["not done within 1s"]);
    source.signal("CONT");
    of_daemon(&daemon, &["wait", GAME]).failed(130, &["cancelled"]);
}

#[test]
fn a_failure_that_may_pass_is_tried_again_and_another_one_is_not() {
    let receiver = Receiver::new();
    let mut dead =
        command(&receiver, &["install", "--stream", GAME, "--retries", "2", "--retry-delay", "0s"]);
    let done = finish(dead.env("LANSPREAD_PEER", dead_address()));
    done.failed(3, &[GAME]);
    let retries: Vec<Value> = done.named("retry").iter().map(|retry| retry["retry"].clone()).collect();
    assert_eq!(retries, [json!(1), json!(2)]);
    let retry = &done.named("retry")[0];
    assert_eq!(
        (&retry["retries"], &retry["delay_ms"], &retry["code"]),
        (&json!(2), &json!(0), &json!("not-offered"))
    );
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let ok = run(&receiver, &source, &["install", "--stream", GAME, "--retries", "2"]);
    assert!(ok.succeeded().named("retry").is_empty());
    let again = run(&receiver, &source, &["install", "--stream", GAME, "--retries", "2"]);
    again.failed(5, &[GAME]);
    assert!(again.named("retry").is_empty(), "{}", again.stdout);
}

#[test]
fn only_the_named_peers_are_sources() {
    let one = Source::start("one", &fixtures("fixture-alpha"));
    let two = Source::start("two", &fixtures("fixture-alpha"));
    let id = two.ready["peer"].as_str().unwrap().to_owned();
    let both = format!("{},{}", one.address, two.address);
    for only in ["two", id.as_str(), &id[..14], &id[5..13], two.address.as_str()] {
        let receiver = Receiver::new();
        let mut install = command(&receiver, &["install", "--stream", GAME, "--only-from", only]);
        let done = finish(install.env("LANSPREAD_PEER", &both));
        assert_eq!(done.succeeded().one("stream-install-finished")["peer"], "two", "{only}");
        let begin = done.one("stream-install-begin");
        assert_eq!(begin["sources"], json!(["two"]), "{only}");
    }
    // Nothing comes from the other one, even if the named one is gone.
    let receiver = Receiver::new();
    drop(two);
    let mut install = command(&receiver, &["install", "--stream", GAME, "--only-from", &id]);
    finish(install.env("LANSPREAD_PEER", &one.address)).failed(3, &["one"]);
    receiver.assert_untouched();
    let mut install = command(&receiver, &["install", "--stream", GAME, "--only-from", "a peer"]);
    let unknown = finish(install.env("LANSPREAD_PEER", &one.address));
    unknown.failed(3, &["a peer"]);
    assert_eq!(code(&unknown), "no-such-peer");
    // A peer may be named by its name, too, if it is found: here by its address.
    let mut list = command(&receiver, &["list", "--peer", "one"]);
    finish(list.args(["--peer", &one.address])).succeeded();
}

#[test]
fn patterns_and_all_games_are_those_that_fit_the_command() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let installed = |receiver: &Receiver| GAMES.map(|game| receiver.local(game).is_dir());
    run(&receiver, &source, &["ensure", "alpha-*"]).succeeded();
    assert_eq!(installed(&receiver), [true, true, false]);
    let none = run(&receiver, &source, &["install", "--stream", "zzz*"]);
    none.failed(3, &["zzz*"]);
    assert_eq!(code(&none), "no-game");
    run(&receiver, &source, &["install", "--stream", "common-?uest"]).succeeded();
    let verified = run(&receiver, &source, &["verify", "--all"]);
    assert_eq!(verified.succeeded().named("verify-finished").len(), 3);
    run(&receiver, &source, &["uninstall", "*-quest", "alpha-arena"]).succeeded();
    assert_eq!(installed(&receiver), [false, true, false]);
    run(&receiver, &source, &["absent", "zzz*"]).succeeded();
    let absent = run(&receiver, &source, &["absent", "--all"]);
    assert_eq!(absent.succeeded().named("ensured").len(), 1, "{}", absent.stdout);
    assert_eq!(installed(&receiver), [false; 3]);
    assert!(run(&receiver, &source, &["absent", "--all"]).succeeded().named("ensured").is_empty());
    // All games are those of the catalog.
    run(&receiver, &source, &["ensure", "--all"]).failed(2, &["no catalog"]);
    let catalog = receiver.state().with_file_name("catalog.toml");
    let mut text = String::new();
    for game in &GAMES[..2] {
        text += &format!("[games.{game}]\nname = \"x\"\nversion = \"{}\"\n", version(game));
    }
    fs::write(&catalog, format!("schema = 1\n{text}")).unwrap();
    let words = ["ensure", "--all", "--catalog", catalog.to_str().unwrap()];
    let changed = |done: &Finished| {
        let ensured = done.succeeded().named("ensured");
        ensured.iter().map(|object| object["changed"] == true).collect::<Vec<_>>()
    };
    assert_eq!(changed(&run(&receiver, &source, &words)), [true, true]);
    assert_eq!(changed(&run(&receiver, &source, &words)), [false, false]);
    finish(&mut command(&receiver, &["ensure", "../*"])).failed(2, &["../*"]);
}

fn version(game: &str) -> String {
    let sentinel = fixtures("fixture-alpha").join(game).join("version.ini");
    fs::read_to_string(sentinel).unwrap().trim().to_owned()
}

#[test]
fn a_check_says_what_an_update_would_change_and_changes_nothing() {
    let old = tempfile::tempdir().unwrap();
    let games: PathBuf = old.path().join("games");
    copy_tree(&fixtures("fixture-alpha"), &games);
    fs::write(games.join(GAME).join("version.ini"), "20240101").unwrap();
    let (old, new) = (Source::start("old", &games), Source::start("new", &fixtures("fixture-alpha")));
    let receiver = Receiver::new();
    run(&receiver, &old, &["install", "--stream", GAME, "alpha-arena"]).succeeded();
    let before: Tree = receiver.disk();
    assert_eq!(run(&receiver, &old, &["update"]).succeeded().named("game-update").len(), 2);
    let checked = run(&receiver, &new, &["update"]);
    assert_eq!(checked.status.code(), Some(10), "{}", checked.stderr);
    assert_eq!(checked.stderr, "");
    let outdated: Vec<Value> =
        checked.named("game-update").into_iter().filter(|update| update["outdated"] == true).collect();
    assert_eq!(outdated.len(), 1);
    assert_eq!(outdated[0]["installed_version"], "20240101");
    assert_eq!((&outdated[0]["game"], &outdated[0]["wanted"]), (&json!(GAME), &json!(version(GAME))));
    assert_eq!(run(&receiver, &new, &["update", "--check", GAME]).status.code(), Some(10));
    run(&receiver, &new, &["update", "--check", "alpha-arena"]).succeeded();
    run(&receiver, &new, &["update", "--check", "nosuch"]).failed(3, &["nosuch"]);
    let listed = run(&receiver, &new, &["list", "--updates"]);
    let listed: Vec<Value> =
        listed.succeeded().named("game-update").iter().map(|update| update["game"].clone()).collect();
    assert_eq!(listed, [json!(GAME)]);
    // No peer answers: nothing is known to be outdated.
    let alone = finish(command(&receiver, &["update"]).env("LANSPREAD_PEER", dead_address()));
    let notes: Vec<Value> =
        alone.succeeded().named("game-update").iter().map(|update| update["note"].clone()).collect();
    assert!(notes.iter().all(|note| note == "unreachable"), "{notes:?}");
    assert_eq!(receiver.disk(), before);
    run(&receiver, &new, &["update", "--all"]).succeeded();
    run(&receiver, &new, &["update"]).succeeded();
}
