//! Rooms for tests, which say only what they are about.

use lanspread_peer::{PeerId, Room};
use serde_json::{Value, json};

pub(crate) fn id(number: u8) -> PeerId {
    PeerId::from([number; 16])
}

/// The room with these fields. What they leave out, also of peers, games and cells, is as in a quiet room.
pub(crate) fn room(said: Value) -> Room {
    let mut room = serde_json::to_value(Room::default()).unwrap();
    put_into(&mut room, said);
    let quiet = [
        (
            "peers",
            json!({
                "name": "pc", "addr": "10.0.0.1:4107", "state": "here", "streams": 0, "streams_max": 8, "accepts": false,
                "seat": true, "games_ready": 0, "games_wanted": 0, "ready": false,
            }),
        ),
        ("games", json!({ "title": "A game", "wanted": false, "peers": [] })),
        ("cells", json!({ "state": "absent" })),
    ];
    for (list, quiet) in quiet {
        for object in room[list].as_array_mut().unwrap() {
            let said = std::mem::replace(object, quiet.clone());
            put_into(object, said);
        }
    }
    serde_json::from_value(room).unwrap()
}

fn put_into(object: &mut Value, said: Value) {
    let Value::Object(said) = said else { panic!("it is no object: {said}") };
    object.as_object_mut().unwrap().extend(said);
}
