use serde_json::{Value, json};

use super::*;

/// Objects as `--json` prints them.
fn answers(objects: &[Value]) -> Vec<Answer> {
    objects.iter().map(|object| serde_json::from_value(object.clone()).unwrap()).collect()
}

fn local(game: &str, version: &str, listed: Option<&str>) -> Value {
    json!({
        "event": "local-game", "game": game, "title": listed.map(|_| "The Game"), "version": version,
        "installed_version": null, "trust": null, "state": "ready", "downloaded": true, "downloaded_trust": "verified",
        "installed": false, "bytes": 3 << 20, "shares_entries": false, "listed_version": listed,
        "unpacked_bytes": listed.map(|_| 5 << 20),
    })
}

fn offered(game: &str, version: &str, peers: &[&str]) -> Value {
    json!({
        "event": "offered-game", "game": game, "title": null, "version": version, "bytes": 7, "peer_count": peers.len(),
        "peers": peers, "listed_version": null, "unpacked_bytes": null,
    })
}

fn operation(game: &str, running: bool) -> Value {
    json!({
        "event": "operation", "operation": 1, "kind": "stream-install", "game": game, "running": running, "followers": 1,
        "resumed": false, "step": "streaming", "bytes": 42, "bytes_total": 100,
    })
}

/// The cells of a row, which are two spaces apart at least.
fn cells(row: &str) -> Vec<&str> {
    row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn a_game_that_is_here_and_offered_has_one_row() {
    let reports = answers(&[
        local("a", "1", Some("2")),
        offered("a", "2", &["den", "kay", "lee", "may"]),
        offered("a", "1", &["zoe"]),
        offered("b", "9", &["den"]),
    ]);
    let rows = table(&reports, true);
    let expected = [
        vec!["GAME", "VERSION", "STATE", "PACKED", "UNPACKED", "SOURCES", "TITLE"],
        vec![
            "a",
            "1",
            "downloaded, verified, update to 2",
            "3.00 MiB",
            "5.00 MiB",
            "den, kay, lee and 1 other",
            "The Game",
        ],
        vec!["b", "9", "not here", "7 B", "-", "den"],
    ];
    assert_eq!(rows.iter().map(|row| cells(row)).collect::<Vec<_>>(), expected);
    assert_eq!(cells(&table(&reports, false)[0])[0], "a", "a script is told no header");
}

#[test]
fn an_update_is_what_the_catalog_or_most_peers_have() {
    let update = |listed: Option<&str>, offers: &[Value]| {
        let reports = answers(&[&[local("a", "1", listed)], offers].concat());
        let games = Game::all(&reports);
        games.values().next().unwrap().update().map(ToString::to_string)
    };
    let two = |peers: &[&str]| offered("a", "2", peers);
    assert_eq!(update(None, &[two(&["x"])]).as_deref(), Some("2"));
    assert_eq!(update(None, &[two(&["x", "y"]), offered("a", "1", &["z"])]).as_deref(), Some("2"));
    assert_eq!(update(None, &[two(&["x"]), offered("a", "1", &["z"])]), None, "no side is larger");
    assert_eq!(update(None, &[offered("a", "1", &["z"])]), None);
    assert_eq!(update(Some("1"), &[two(&["x"])]), None, "the catalog wants what is here");
    assert_eq!(update(Some("3"), &[two(&["x"])]), None, "no peer has it");
}

#[test]
fn what_happens_to_a_game_is_its_state() {
    let state = |running| {
        let reports = answers(&[local("a", "1", None), operation("a", running)]);
        cells(&table(&reports, false)[0])[2].to_owned()
    };
    assert_eq!([state(true), state(false)], ["streaming 42 %", "waiting for its turn"]);
    // A game of which nothing is here yet.
    assert_eq!(cells(&table(&answers(&[operation("n", true)]), false)[0])[..3], ["n", "-", "streaming 42 %"]);
}

#[test]
fn a_named_game_shows_all_that_is_known() {
    let reports = answers(&[local("a", "1", Some("2")), offered("a", "2", &["den", "kay"])]);
    assert_eq!(
        details(&reports),
        [
            "a  The Game",
            "  state           downloaded, verified, update to 2",
            "  downloaded      1, verified",
            "  in the catalog  2",
            "  packed          3.00 MiB",
            "  unpacked        5.00 MiB",
            "  offered         2, 7 B, by den, kay",
        ]
    );
}
