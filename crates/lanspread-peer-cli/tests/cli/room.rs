//! `room`: what daemons tell each other, and what one has done at another.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Finished, Source, Tree, eventually, finish, fixtures, peer};

/// A command that asks the daemon of a games directory.
fn at(source: &Source, arguments: &[&str]) -> Finished {
    finish(
        peer().args(arguments).arg("--games-dir").arg(source.games()).arg("--state-dir").arg(source.state()),
    )
}

fn room(source: &Source) -> Value {
    at(source, &["room", "--json"]).succeeded().one("room")
}

fn id(source: &Source) -> &str {
    source.ready["peer"].as_str().unwrap()
}

fn name_of(room: &Value, peer: &Value) -> String {
    let seats = room["peers"].as_array().unwrap();
    seats
        .iter()
        .find(|seat| &seat["peer"] == peer)
        .map_or(String::new(), |seat| seat["name"].as_str().unwrap().to_owned())
}

/// The cell of a peer of this name and a game.
fn cell(room: &Value, name: &str, game: &str) -> Option<Value> {
    let cells = room["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["game"] == game && name_of(room, &cell["peer"]) == name).cloned()
}

fn eventually_is(source: &Source, name: &str, game: &str, state: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("{game} at {name} is {state}"), || {
        last = room(source);
        cell(&last, name, game).is_some_and(|cell| cell["state"] == state)
    });
    last
}

/// A den with archives, and an empty seat that knows it and accepts operations from it.
fn den_and_seat(empty: &Path) -> (Source, Source) {
    let den = Source::start("den", &fixtures("fixture-alpha"));
    let options = ["--peer", &den.address, "--accept-from", id(&den)].map(str::to_owned);
    let seat = Source::start_with("seat-1", empty, options);
    (den, seat)
}

/// Each machine tells the others what it has. One that the user of another machine has named may have a game installed there,
/// and sees how that goes; the second time nothing is done.
#[test]
fn a_game_is_installed_on_a_seat_that_accepts_and_the_room_shows_it() {
    let empty = TempDir::new().unwrap();
    let (den, seat) = den_and_seat(empty.path());
    let before = eventually_is(&den, "den", "alpha-arena", "downloaded");
    assert_eq!(before["summary"]["seats"], 1, "a peer that only has archives is no seat: {before}");
    eventually("the seat accepts", || {
        let room = room(&den);
        let seats = room["peers"].as_array().unwrap().clone();
        seats.iter().any(|seat| seat["name"] == "seat-1" && seat["accepts"] == true)
    });
    for changed in [true, false] {
        let asked = at(&den, &["room", "install", "alpha-arena", "--on", "all", "--json"]);
        let accepted = asked.succeeded().one("seat-accepted");
        assert_eq!((&accepted["name"], &accepted["kind"]), (&json!("seat-1"), &json!("ensure")));
        let done = eventually_is(&den, "seat-1", "alpha-arena", "installed");
        assert_eq!(done["summary"]["ready"], 1, "{done}");
        assert_eq!(cell(&done, "seat-1", "alpha-arena").unwrap().get("shareable"), None, "it was streamed");
        eventually("the operation of the seat has ended", || {
            let events = at(&seat, &["events", "--json"]).succeeded().named("ensured");
            events.last().is_some_and(|ensured| ensured["changed"] == changed)
        });
    }
    // The den hears of the end later than the seat itself.
    eventually("the den shows it", || {
        let shown = at(&den, &["room", "--once"]).succeeded().stdout.clone();
        shown.starts_with("1 of 1 machine ready")
            && shown.contains("seat-1            1/1     \u{2713} streamed")
    });
}

/// The other machine looks what it would do, and does nothing; then it does just that.
#[test]
fn a_dry_run_says_what_each_machine_would_do() {
    let empty = TempDir::new().unwrap();
    let (den, seat) = den_and_seat(empty.path());
    eventually_is(&seat, "den", "alpha-arena", "downloaded");
    let looked = || at(&den, &["room", "install", "alpha-arena", "--on", "seat-1", "--dry-run", "--json"]);
    let before = Tree::read(&seat.games());
    let plan = looked().succeeded().one("seat-planned");
    assert_eq!(
        (&plan["name"], &plan["kind"], &plan["game"]),
        (&json!("seat-1"), &json!("ensure"), &json!("alpha-arena"))
    );
    assert_eq!(
        (&plan["changed"], &plan["fits"], &plan["lost_files"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(Tree::read(&seat.games()), before, "a dry run changes nothing there");
    let shown =
        at(&den, &["room", "install", "alpha-arena", "--on", "all", "--dry-run"]).succeeded().stdout.clone();
    assert!(shown.starts_with("seat-1: alpha-arena ") && shown.contains("; needs "), "{shown}");

    at(&den, &["room", "install", "alpha-arena", "--on", "seat-1"]).succeeded();
    eventually_is(&den, "seat-1", "alpha-arena", "installed");
    let tree = Tree::read(&seat.games().join("alpha-arena/local"));
    let sizes = tree.0.values().filter_map(|file| file.split_once(" bytes ")?.0.parse::<u64>().ok());
    assert_eq!(plan["bytes"], sizes.sum::<u64>(), "it wrote what it said");
    assert_eq!(looked().succeeded().one("seat-planned")["changed"], false);

    let missing = at(&den, &["room", "install", "no-such-game", "--on", "seat-1", "--dry-run", "--json"]);
    let refused = missing.failed(5, &["seat-1: ", "no-such-game"]).one("seat-refused");
    assert_eq!(refused["code"], "not-offered");
    at(&seat, &["room", "install", "alpha-arena", "--on", "den", "--dry-run"])
        .failed(5, &["den: ", "it does not accept operations from this peer"]);
}

/// Only the identity counts that the user of the machine has named, and only for what brings or checks games.
#[test]
fn a_machine_does_nothing_for_others_that_its_user_has_not_named() {
    let empty = TempDir::new().unwrap();
    let (den, seat) = den_and_seat(empty.path());
    eventually_is(&seat, "den", "alpha-arena", "downloaded");
    let refused = at(&seat, &["room", "install", "alpha-arena", "--on", "den"]);
    refused.failed(5, &["den: ", "it does not accept operations from this peer", "--accept-from"]);
    at(&seat, &["room", "install", "alpha-arena", "--on", "all"])
        .failed(3, &["accepts operations", "--accept-from"]);
    at(&den, &["room", "install", "alpha-arena", "--on", "nobody"])
        .failed(3, &["no peer answers as `nobody`"]);
    at(&den, &["room", "install", "alpha-arena", "--on", "all,seat-1"])
        .failed(2, &["`all` stands for every machine"]);
    assert!(!seat.games().join("alpha-arena").exists());
}

/// A failure at a seat is shown at the others with its reason and what to do, and a machine that is gone is not forgotten.
#[test]
fn the_room_shows_what_failed_and_who_is_gone() {
    let empty = TempDir::new().unwrap();
    let (den, seat) = den_and_seat(empty.path());
    eventually_is(&den, "den", "alpha-arena", "downloaded");
    fs::write(seat.games().join("alpha-arena"), "a file in the place of the game").unwrap();
    let install = at(&seat, &["install", "--stream", "alpha-arena", "--json"]);
    assert_ne!(install.status.code(), Some(0), "{}", install.stdout);
    let failed = eventually_is(&den, "seat-1", "alpha-arena", "failed");
    let cell = cell(&failed, "seat-1", "alpha-arena").unwrap();
    let message = cell["message"].as_str().unwrap();
    assert!(cell["code"].is_string() && message.contains("alpha-arena"), "{cell}");
    assert!(
        !message.contains(seat.games().to_str().unwrap()),
        "no other machine learns the paths of its folders: {cell}"
    );
    assert_eq!(failed["summary"]["problems"], 1, "{failed}");
    drop(seat);
    eventually("the seat is lost", || {
        let room = room(&den);
        let seats = room["peers"].as_array().unwrap().clone();
        seats.iter().any(|seat| seat["name"] == "seat-1" && seat["state"] == "lost")
    });
}

/// A list of games says what the room wants, also what no machine has yet.
#[test]
fn a_room_file_says_when_a_machine_is_ready() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("room.toml");
    fs::write(&file, "[games]\ncnctw = \"any\"\n").unwrap();
    let option = file.to_str().unwrap();
    let den = Source::start_with("den", &fixtures("fixture-alpha"), ["--room", option]);
    let room = room(&den);
    assert_eq!(room["games"][0]["game"], "cnctw", "{room}");
    assert_eq!(room["games"][0]["wanted"], true);
    assert!(room["games"].as_array().unwrap()[1..].iter().all(|game| game["wanted"] == false));
    let other = TempDir::new().unwrap();
    fs::write(&file, "[games]\n../x = 1\n").unwrap();
    let mut command = peer();
    command.args(["serve", "--listen", "127.0.0.1:0", "--no-discovery", "--room", option]);
    command.arg("--games-dir").arg(other.path()).arg("--state-dir").arg(other.path());
    finish(&mut command).failed(2, &["room.toml", "line 2"]);
}
