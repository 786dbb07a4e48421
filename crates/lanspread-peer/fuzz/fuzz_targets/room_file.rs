//! A room file: whatever is in it, it is refused in one line, or its games are within their bounds and are not both wanted
//! and absent.
#![no_main]

use lanspread_peer::{RoomFile, limits};
use libfuzzer_sys::fuzz_target;

fn fuzz(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match RoomFile::parse(text) {
        Ok(room) => {
            assert!(room.games().len() + room.absent().len() <= limits::GAMES_MAX);
            assert!(room.games().keys().all(|game| !room.absent().contains(game)));
        }
        Err(reason) => assert!(!reason.contains('\n'), "{reason:?}"),
    }
}

fuzz_target!(|input: &[u8]| fuzz(input));
