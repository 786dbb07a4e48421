#![expect(clippy::needless_pass_by_value, reason = "what `json!` makes is passed on as it is")]

use serde_json::{Value, json};

use super::*;

const SIZE: Size = Size { columns: 80, rows: 24 };

fn id(number: u8) -> PeerId {
    [number; 16].into()
}

fn seat(number: u8, name: &str, more: Value) -> Value {
    let mut seat = json!({
        "peer": id(number), "name": name, "addr": "10.0.0.1:4107", "state": "here", "streams": 0, "streams_max": 8,
        "accepts": false, "seat": true, "games_ready": 0, "games_wanted": 1, "ready": false,
    });
    seat.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    seat
}

fn room(peers: Value, cells: Value, summary: Value) -> Room {
    let game = json!({"game": "cnctw", "title": "C", "wanted": true, "peers": []});
    serde_json::from_value(json!({
        "seq": 1, "self": id(1), "party": "", "uptime_ms": 1, "peers": peers, "games": [game], "cells": cells,
        "links": [], "operations": [], "warnings": [], "summary": summary,
    }))
    .unwrap()
}

fn three_seats() -> Room {
    let mut answer = Answer::Room(Box::new(room(
        json!([
            seat(1, "den", json!({"seat": false})),
            seat(2, "seat-2", json!({})),
            seat(3, "seat-3", json!({"state": "lost"})),
        ]),
        json!([
            {"peer": id(1), "game": "cnctw", "state": "downloaded", "shareable": true},
            {"peer": id(2), "game": "cnctw", "state": "failed", "code": "disk-full", "message": "the disk is full"},
            {"peer": id(3), "game": "cnctw", "state": "unknown"},
        ]),
        json!({"ready": 0, "seats": 2, "problems": 2, "seconds_left": 75, "slowest": id(2), "bytes_per_second": 1_048_576}),
    )));
    if let Answer::Room(room) = &mut answer {
        let silent = json!({"code": "no-word", "peer": id(3), "message": "no word from it"});
        room.warnings = vec![serde_json::from_value(silent).unwrap()];
    }
    hinted(&mut answer);
    let Answer::Room(room) = answer else { panic!() };
    *room
}

#[test]
fn the_slowest_machine_and_what_needs_a_person_come_first() {
    let lines = table(&three_seats(), SIZE);
    let expected =
        "0 of 2 machines ready   1 min 15 s left, the slowest is seat-2   1.00 MiB/s   2 things need you";
    assert_eq!(lines[0], expected);
    assert!(lines[2].starts_with("  \u{2715} seat-2  cnctw  the disk is full ("), "{}", lines[2]);
    assert!(lines[3].contains("seat-3") && lines[3].contains("no word") && lines[3].contains("cable"));
    assert_eq!(lines[5], "                  ready   cnctw");
    assert_eq!(lines[6], "den               source  \u{25a3} archives");
    assert_eq!(lines[7], "seat-2            0/1     \u{2715} disk full");
    assert_eq!(lines[8], "seat-3            lost    ? no word");
}

#[test]
fn what_does_not_fit_is_counted() {
    let peers: Vec<Value> =
        (1..=60).map(|number| seat(number, &format!("seat-{number}"), json!({}))).collect();
    let room = room(json!(peers), json!([]), json!({"ready": 0, "seats": 60, "problems": 0}));
    let lines = table(&room, Size { columns: 40, rows: 10 });
    assert!(lines.len() < 10, "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "and 55 more machines");
    let narrow = table(&room, Size { columns: 1, rows: 1 });
    assert!(!narrow.is_empty());
}

/// A terminal breaks a line that is wider, and writes nothing into its last column.
#[test]
fn no_row_is_wider_than_the_terminal_however_many_games_there_are() {
    let named = "seat-with-a-name-of-more-columns";
    let mut room =
        room(json!([seat(1, named, json!({}))]), json!([]), json!({"ready": 0, "seats": 1, "problems": 0}));
    let game = room.games[0].clone();
    for (columns, expected) in [(74, 2), (75, 2), (80, 2), (87, 2), (88, 3), (160, 7)] {
        room.games = (0..100).map(|_| game.clone()).collect();
        for (index, game) in room.games.iter_mut().enumerate() {
            game.game = format!("game-with-a-long-id-{index}").parse().unwrap();
        }
        let lines = table(&room, Size { columns, rows: 24 });
        let widest = lines.iter().map(|line| line.width()).max().unwrap();
        assert!(widest < columns, "{widest} of {columns}: {lines:#?}");
        assert!(lines[2].ends_with(&format!("and {} more", 100 - expected)), "{columns}: {}", lines[2]);
    }
    room.games.truncate(3);
    let lines = table(&room, Size { columns: 74, rows: 24 });
    assert!(!lines[2].contains("more"), "three games fit: {}", lines[2]);
}

#[test]
fn an_empty_room_says_what_it_does() {
    let mut room = room(json!([]), json!([]), json!({"ready": 0, "seats": 0, "problems": 0}));
    room.games.clear();
    room.looking =
        Some(serde_json::from_value(json!({"since_ms": 1, "addrs": [], "message": "it looks"})).unwrap());
    assert_eq!(table(&room, SIZE)[1], "no other machine was found yet: it looks");
}
