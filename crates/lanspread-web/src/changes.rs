//! What changed between two pictures of a room. Pure.
//!
//! A room is an object of which `peers`, `games` and `cells` are lists of objects with a key. Of these, only objects that
//! are new or different are part of a change, each as a whole. A reader that is slow misses nothing but what came between:
//! its next change is counted from the picture that it was sent last.

use std::collections::BTreeMap;

use lanspread_peer::{Room, RoomSeat};
use serde_json::{Map, Value, json};

use crate::commands::Commands;

/// The lists, and what tells their objects apart.
const KEYED: [(&str, &[&str]); 3] =
    [("peers", &["peer"]), ("games", &["game"]), ("cells", &["peer", "game"])];
/// What is sent as a whole when any of it changes.
const WHOLE: [&str; 7] =
    ["links", "operations", "warnings", "summary", "looking", "commands", "commands_reason"];
/// What differs in every picture, and is no change.
const PASSING: [&str; 3] = ["seq", "time", "uptime_ms"];

fn key_of(object: &Value, keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| object.get(*key).and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
}

/// One picture of a room.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Picture {
    /// Its objects by list and key.
    objects: BTreeMap<(usize, Vec<String>), Value>,
    whole: BTreeMap<&'static str, Value>,
    /// Everything else, such as whose room it is.
    head: Map<String, Value>,
}

impl Picture {
    /// A room, and how far the page goes in it: what it may do at most, and whether another machine accepts anything.
    pub(crate) fn of(room: &Room, allowed: Commands) -> serde_json::Result<Self> {
        let accepts = |peer: &RoomSeat| peer.accepts && Some(peer.peer) != room.self_peer;
        let (commands, reason) = allowed.in_room(room.peers.iter().any(accepts));
        let mut picture = Self::default();
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(room)?)?;
        for (list, (name, keys)) in KEYED.into_iter().enumerate() {
            let Some(Value::Array(objects)) = fields.remove(name) else { continue };
            for object in objects {
                picture.objects.insert((list, key_of(&object, keys)), object);
            }
        }
        for name in WHOLE {
            picture.whole.insert(name, fields.remove(name).unwrap_or(Value::Null));
        }
        picture.whole.insert("commands", json!(commands));
        picture.whole.insert("commands_reason", json!(reason));
        for name in PASSING {
            fields.remove(name);
        }
        picture.head = fields;
        Ok(picture)
    }

    /// The whole room, as it is sent first.
    pub(crate) fn snapshot(&self) -> Map<String, Value> {
        let mut room = self.head.clone();
        for (list, (name, _)) in KEYED.into_iter().enumerate() {
            let objects = self.objects.iter().filter(|((of, _), _)| *of == list);
            room.insert(name.to_owned(), objects.map(|(_, object)| object.clone()).collect());
        }
        room.extend(self.whole.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        room
    }

    /// What is different in this picture. None if a change cannot say it, because a peer or a game is no longer there.
    pub(crate) fn since(&self, before: &Self) -> Option<Map<String, Value>> {
        if self.head != before.head {
            return None;
        }
        let mut change = Map::new();
        let mut add = |list: usize, object: Value| {
            let objects = change.entry(KEYED[list].0).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(objects) = objects {
                objects.push(object);
            }
        };
        for (key, object) in &self.objects {
            if before.objects.get(key) != Some(object) {
                add(key.0, object.clone());
            }
        }
        for (list, keys) in before.objects.keys().filter(|key| !self.objects.contains_key(key)) {
            let [peer, game] = keys.as_slice() else { return None };
            // A cell that is no longer listed: the game is not there any more, and is not wanted there.
            add(*list, serde_json::json!({ "peer": peer, "game": game, "state": "absent" }));
        }
        for (name, value) in &self.whole {
            if before.whole.get(name) != Some(value) {
                change.insert((*name).to_owned(), value.clone());
            }
        }
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{id, room};

    fn picture(cells: &Value) -> Picture {
        picture_of(json!({ "cells": cells }))
    }

    /// Of a room of two peers and one game.
    fn picture_of(fields: Value) -> Picture {
        let mut said = json!({
            "self": id(1), "party": "p", "peers": [{ "peer": id(1) }, { "peer": id(2) }], "games": [{ "game": "g" }],
        });
        let Value::Object(fields) = fields else { panic!("a room is an object") };
        said.as_object_mut().unwrap().extend(fields);
        Picture::of(&room(said), Commands::Room).unwrap()
    }

    #[test]
    fn a_snapshot_is_the_room_without_what_passes() {
        let snapshot = picture(&json!([{ "peer": id(1), "game": "g", "state": "installed" }])).snapshot();
        let mut fields: Vec<&str> = snapshot.keys().map(String::as_str).collect();
        fields.sort_unstable();
        let expected =
            "cells commands commands_reason games links looking operations party peers self summary warnings";
        assert_eq!(fields.join(" "), expected);
        assert_eq!((snapshot["peers"].as_array().unwrap().len(), &snapshot["looking"]), (2, &Value::Null));
    }

    #[test]
    fn only_what_differs_is_part_of_a_change() {
        let cell = |peer: u8, state: &str| json!({ "peer": id(peer), "game": "g", "state": state });
        let before = picture(&json!([cell(1, "streaming"), cell(2, "installed")]));
        let now = json!({
            "seq": 8, "uptime_ms": 9, "cells": [cell(1, "installed"), cell(2, "installed")],
            "summary": { "ready": 2, "seats": 2, "problems": 0 },
        });
        let change = picture_of(now).since(&before).unwrap();
        let summary = json!({ "ready": 2, "seats": 2, "problems": 0 });
        assert_eq!(Value::Object(change), json!({ "cells": [cell(1, "installed")], "summary": summary }));
        assert_eq!(before.since(&before), Some(Map::new()));
    }

    #[test]
    fn a_cell_that_is_gone_is_absent_and_a_peer_that_is_gone_needs_a_snapshot() {
        let cells = json!([{ "peer": id(2), "game": "g", "state": "installed" }]);
        let before = picture(&cells);
        let change = picture(&json!([])).since(&before).unwrap();
        assert_eq!(change["cells"], json!([{ "peer": id(2), "game": "g", "state": "absent" }]));
        for fewer in
            [json!({ "peers": [{ "peer": id(1) }] }), json!({ "games": [] }), json!({ "party": "another" })]
        {
            assert_eq!(picture_of(fewer.clone()).since(&before), None, "{fewer}");
        }
    }

    #[test]
    fn that_another_machine_accepts_commands_is_a_change() {
        let with = |accepts: bool| {
            let other = json!({ "peer": id(2), "accepts": accepts });
            picture_of(json!({ "peers": [{ "peer": id(1), "accepts": true }, other] }))
        };
        assert_eq!(with(false).snapshot()["commands"], "own", "that it may command itself is not enough");
        let change = with(true).since(&with(false)).unwrap();
        assert_eq!((&change["commands"], &change["commands_reason"]), (&json!("room"), &Value::Null));
    }

    #[test]
    fn changes_that_a_slow_reader_missed_are_one_change() {
        let at = |bytes: u64| {
            picture(&json!([{ "peer": id(1), "game": "g", "state": "streaming", "bytes": bytes }]))
        };
        let change = at(900).since(&at(1)).unwrap();
        assert_eq!(change["cells"].as_array().unwrap().len(), 1);
        assert_eq!(change["cells"][0]["bytes"], 900);
    }
}
