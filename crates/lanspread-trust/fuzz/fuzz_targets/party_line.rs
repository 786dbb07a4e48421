//! Party lines: what is accepted has one spelling, and a line in which one character is wrong is none.
#![no_main]

use lanspread_trust::party::{LINE_CHARACTERS, LONG_LINE_CHARACTERS, PartyLine};
use libfuzzer_sys::fuzz_target;

fn fuzz(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(line) = PartyLine::parse(text) else { return };
    let written = line.text();
    let written = written.reveal();
    assert_eq!(text.trim().to_ascii_lowercase(), written);
    let characters = if line.catalog_signer.is_some() { LONG_LINE_CHARACTERS } else { LINE_CHARACTERS };
    assert_eq!(written.len(), characters);
    assert!(PartyLine::parse(written).expect("a line of ours").says_the_same(&line));
    assert!(!line.key.is_open_network(), "everybody has that key");
    for (place, right) in written.char_indices() {
        let wrong = if right == 'q' { "p" } else { "q" };
        let mut changed = written.to_owned();
        changed.replace_range(place..=place, wrong);
        assert!(PartyLine::parse(&changed).is_err(), "{place}");
    }
}

fuzz_target!(|input: &[u8]| fuzz(input));
