//! The small words: what parses prints as it was given, and can be shown and used as a name.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use lanspread_types::checksum::Checksum;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId, PeerName};
use lanspread_types::limits;
use lanspread_types::text::{is_display_hazard, printable};
use libfuzzer_sys::fuzz_target;

fn fuzz(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(game) = parsed::<GameId>(text) {
        assert!(game.len() <= limits::GAME_ID_BYTES_MAX && !matches!(&*game, "" | "." | ".." | ".lanspread"));
        assert!(game.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{game}");
    }
    for label in [parsed::<GameVersion>(text), parsed::<PeerName>(text)].into_iter().flatten() {
        assert!((1..=limits::LABEL_BYTES_MAX).contains(&label.len()) && label.trim() == label);
        assert!(!label.contains(is_display_hazard), "{label:?}");
    }
    if let Some(address) = parsed::<PeerAddress>(text) {
        let (_, port) = address.rsplit_once(':').expect("a port");
        assert!(port.bytes().all(|byte| byte.is_ascii_digit()), "{address:?}");
    }
    if let Some(id) = parsed::<PeerId>(&text.to_ascii_lowercase()) {
        assert_eq!(id.len(), 37, "{id}");
        assert_eq!(text.parse::<PeerId>().is_ok(), text == id || text == id.to_ascii_uppercase(), "{text}");
        assert_eq!(PeerId::of_record(&id), id.parse());
    }
    parsed::<Checksum>(&text.to_ascii_lowercase());
    let shown = printable(text, 80);
    assert!(!shown.contains(is_display_hazard));
    assert_eq!(shown == text, !text.contains(is_display_hazard) && text.chars().count() <= 80);
}

/// The word as it prints, which is how it was given.
fn parsed<W: FromStr + Display>(text: &str) -> Option<String> {
    let word = text.parse::<W>().ok()?.to_string();
    assert_eq!(word, text);
    Some(word)
}

fuzz_target!(|input: &[u8]| fuzz(input));
