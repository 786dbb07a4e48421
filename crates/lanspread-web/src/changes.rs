//! What changed between two pictures of a room. Pure.
//!
//! A room is an object of which `peers`, `games` and `cells` are lists of objects with a key. Of these, only objects that
//! are new or different are part of a change, each as a whole. A reader that is slow misses nothing but what came between:
//! its next change is counted from the picture that it was sent last.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::commands::Commands;

/// The lists, and what tells their objects apart.
const KEYED: [(&str, &[&str]); 3] =
    [("peers", &["peer"]), ("games", &["game"]), ("cells", &["peer", "game"])];
/// Where the peers and the games are in that table.
const PEERS: usize = 0;
const GAMES: usize = 1;
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
    pub(crate) fn of(mut room: Map<String, Value>) -> Self {
        let mut picture = Self::default();
        for (list, (name, keys)) in KEYED.into_iter().enumerate() {
            let Some(Value::Array(objects)) = room.remove(name) else { continue };
            for object in objects {
                picture.objects.insert((list, key_of(&object, keys)), object);
            }
        }
        for name in WHOLE {
            picture.whole.insert(name, room.remove(name).unwrap_or(Value::Null));
        }
        for name in PASSING {
            room.remove(name);
        }
        picture.head = room;
        picture
    }

    /// Puts objects and lists in the place of those that they replace.
    pub(crate) fn replace(&mut self, mut changes: Map<String, Value>) {
        for (list, (name, keys)) in KEYED.into_iter().enumerate() {
            let Some(Value::Array(objects)) = changes.remove(name) else { continue };
            for object in objects {
                let key = (list, key_of(&object, keys));
                if self.says_nothing(&object) {
                    self.objects.remove(&key);
                } else {
                    self.objects.insert(key, object);
                }
            }
        }
        for (name, value) in changes {
            if let Some(place) = WHOLE.into_iter().find(|whole| *whole == name) {
                self.whole.insert(place, value);
            }
        }
    }

    /// Says how far the page goes: what it may do at most, and whether another machine accepts anything.
    pub(crate) fn tell_commands(&mut self, allowed: Commands) {
        let own = self.head.get("self");
        let accepts =
            |peer: &Value| peer.get("peer") != own && peer.get("accepts") == Some(&Value::Bool(true));
        let others_accept = self.objects.iter().any(|((list, _), peer)| *list == PEERS && accepts(peer));
        let (commands, reason) = allowed.in_room(others_accept);
        self.whole.insert("commands", json!(commands));
        self.whole.insert("commands_reason", json!(reason));
    }

    /// Whether an object is a cell of which a snapshot says nothing: the game is neither there nor wanted.
    fn says_nothing(&self, object: &Value) -> bool {
        let game = || key_of(object, &["game"]);
        object.get("state").is_some_and(|state| state == "absent")
            && self.objects.get(&(GAMES, game())).is_none_or(|game| game["wanted"] != true)
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

    fn picture(room: Value) -> Picture {
        let Value::Object(room) = room else { panic!("a room is an object") };
        Picture::of(room)
    }

    fn room(cells: &Value) -> Value {
        json!({
            "v": 1, "seq": 7, "time": "now", "self": "a", "party": "p", "links": [], "operations": [], "warnings": [],
            "summary": { "ready": 1 }, "peers": [{ "peer": "a" }, { "peer": "b" }], "games": [{ "game": "g" }], "cells": cells,
        })
    }

    #[test]
    fn a_snapshot_is_the_room_without_what_passes() {
        let cells = json!([{ "peer": "a", "game": "g", "state": "installed" }]);
        let mut expected = room(&cells);
        let fields = expected.as_object_mut().unwrap();
        fields.remove("seq");
        fields.remove("time");
        fields.extend(["looking", "commands", "commands_reason"].map(|name| (name.to_owned(), Value::Null)));
        assert_eq!(Value::Object(picture(room(&cells)).snapshot()), expected);
    }

    #[test]
    fn only_what_differs_is_part_of_a_change() {
        let cell = |state: &str| json!({ "peer": "a", "game": "g", "state": state });
        let other = json!({ "peer": "b", "game": "g", "state": "installed" });
        let before = picture(room(&json!([cell("streaming"), other])));
        let mut now = room(&json!([cell("installed"), other]));
        now["seq"] = json!(8);
        now["summary"] = json!({ "ready": 2 });
        let change = picture(now).since(&before).unwrap();
        assert_eq!(Value::Object(change), json!({ "cells": [cell("installed")], "summary": { "ready": 2 } }));
        assert_eq!(before.since(&before), Some(Map::new()));
    }

    #[test]
    fn a_cell_that_is_gone_is_absent_and_a_peer_that_is_gone_needs_a_snapshot() {
        let before = picture(room(&json!([{ "peer": "b", "game": "g", "state": "installed" }])));
        let change = picture(room(&json!([]))).since(&before).unwrap();
        assert_eq!(change["cells"], json!([{ "peer": "b", "game": "g", "state": "absent" }]));
        for list in ["peers", "games"] {
            let mut fewer = room(&json!([{ "peer": "b", "game": "g", "state": "installed" }]));
            fewer[list].as_array_mut().unwrap().pop();
            assert_eq!(picture(fewer).since(&before), None, "{list}");
        }
        let mut other = room(&json!([]));
        other["party"] = json!("another");
        assert_eq!(picture(other).since(&before), None);
    }

    #[test]
    fn changes_of_the_daemon_make_the_same_picture_as_its_whole_room() {
        let cell = |game: &str, state: &str| json!({ "peer": "a", "game": game, "state": state });
        let mut before = picture(room(&json!([cell("g", "installed"), cell("h", "installed")])));
        let Value::Object(changes) = json!({
            "seq": 9, "summary": { "ready": 2 },
            "games": [{ "game": "w", "wanted": true }],
            "cells": [cell("g", "streaming"), cell("h", "absent"), cell("w", "absent")],
        }) else {
            unreachable!()
        };
        before.replace(changes);
        let mut now = room(&json!([cell("g", "streaming"), cell("w", "absent")]));
        now["summary"] = json!({ "ready": 2 });
        now["games"].as_array_mut().unwrap().push(json!({ "game": "w", "wanted": true }));
        assert_eq!(before, picture(now));
    }

    #[test]
    fn that_another_machine_accepts_commands_is_a_change() {
        let with = |accepts: bool| {
            let mut room = room(&json!([]));
            room["peers"] = json!([{ "peer": "a", "accepts": true }, { "peer": "b", "accepts": accepts }]);
            let mut picture = picture(room);
            picture.tell_commands(Commands::Room);
            picture
        };
        assert_eq!(with(false).snapshot()["commands"], "own", "that it may command itself is not enough");
        let change = with(true).since(&with(false)).unwrap();
        assert_eq!((&change["commands"], &change["commands_reason"]), (&json!("room"), &Value::Null));
    }

    #[test]
    fn changes_that_a_slow_reader_missed_are_one_change() {
        let at = |bytes: u64| {
            picture(room(&json!([{ "peer": "a", "game": "g", "state": "streaming", "bytes": bytes }])))
        };
        let change = at(900).since(&at(1)).unwrap();
        assert_eq!(change["cells"].as_array().unwrap().len(), 1);
        assert_eq!(change["cells"][0]["bytes"], 900);
    }
}
