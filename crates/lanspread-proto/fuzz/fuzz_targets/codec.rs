//! Control messages: what decodes encodes to the same message, and no byte is left over or missing.
#![no_main]

use std::fmt::Debug;

use lanspread_proto::chunk::{ChunkMessage, ChunkRequest};
use lanspread_proto::codec::{decode, encode};
use lanspread_proto::message::{Hello, Refusal, Reply, Request, StreamMessage};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use lanspread_types::text::is_display_hazard;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte chooses the message, the others are its payload.
fn fuzz(input: &[u8]) {
    let Some((choice, payload)) = input.split_first() else { return };
    match choice % 6 {
        0 => drop(decoded::<Hello>(payload)),
        1 => drop(decoded::<ChunkRequest>(payload)),
        2 => match decoded::<Request>(payload) {
            Some(Request::Details { game }) => check_words(&game, None),
            Some(
                Request::Totals { game, version }
                | Request::StreamInstall { game, version }
                | Request::Download { game, version },
            ) => check_words(&game, Some(&version)),
            _ => {}
        },
        3 => match decode(payload) {
            Ok(Reply::Refused(refusal)) => check_refusal(&refusal),
            Ok(Reply::Games { games, .. }) => {
                games.iter().for_each(|offer| check_words(&offer.game, Some(&offer.version)));
                decoded::<Reply>(payload);
            }
            Ok(Reply::Activity { games, .. }) => games.iter().for_each(|game| {
                check_words(&game.game, game.installed_version.as_ref());
                if let Some(failure) = &game.failure {
                    assert!(!failure.message.contains(is_display_hazard), "{failure:?}");
                    assert!(failure.code.len() <= limits::CODE_BYTES_MAX, "{failure:?}");
                }
            }),
            _ => drop(decoded::<Reply>(payload)),
        },
        4 => match decode(payload) {
            Ok(StreamMessage::Failed(refusal)) => check_refusal(&refusal),
            _ => drop(decoded::<StreamMessage>(payload)),
        },
        _ => match decode(payload) {
            Ok(ChunkMessage::Failed(refusal)) => check_refusal(&refusal),
            _ => drop(decoded::<ChunkMessage>(payload)),
        },
    }
}

fn decoded<M: Serialize + DeserializeOwned + PartialEq + Debug>(payload: &[u8]) -> Option<M> {
    let message: M = decode(payload).ok()?;
    // A peer may write a number in more bytes than it needs; we do not.
    let mut bytes = encode(&message).expect("what was decoded can be encoded");
    assert!(bytes.len() <= payload.len());
    assert_eq!(decode::<M>(&bytes).expect("what was encoded can be decoded"), message);
    assert!(decode::<M>(&bytes[..bytes.len() - 1]).is_err(), "cut off");
    bytes.push(0);
    assert!(decode::<M>(&bytes).is_err(), "a trailing byte");
    Some(message)
}

fn check_words(game: &GameId, version: Option<&GameVersion>) {
    assert!(game.as_str().parse::<GameId>().is_ok(), "{game}");
    assert!(version.is_none_or(|version| version.as_str().parse::<GameVersion>().is_ok()), "{version:?}");
}

/// Its text is made printable when it arrives, so it need not be the text that was sent.
fn check_refusal(refusal: &Refusal) {
    assert!(!refusal.message.contains(is_display_hazard), "{refusal:?}");
    // Escaped, a character has at most `\u{10ffff}`.
    assert!(refusal.message.len() <= limits::MESSAGE_BYTES_MAX / 4 * 10 + '…'.len_utf8(), "{refusal:?}");
}

fuzz_target!(|input: &[u8]| fuzz(input));
