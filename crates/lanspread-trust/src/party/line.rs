//! The line that makes a machine a member: `party1…`, 38 characters, or 89 with the key of the catalog's signer.

use std::fmt;

use lanspread_types::text_form::{self, TextFormError, characters};
use zeroize::Zeroizing;

use crate::party::{PARTY_KEY_BYTES, PartyKey};

const PREFIX: &str = "party";
const SIGNER_BYTES: usize = 32;
/// Characters of a line.
pub const LINE_CHARACTERS: usize = characters(PREFIX, PARTY_KEY_BYTES);
/// Characters of a line that also holds the key of the catalog's signer.
pub const LONG_LINE_CHARACTERS: usize = characters(PREFIX, PARTY_KEY_BYTES + SIGNER_BYTES);

/// Why a text is no party line. What was given is never quoted: it may be a secret with a slip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartyLineError {
    /// It does not begin with `party1`.
    #[error("it does not begin with `party1`")]
    OtherStart,
    /// It has capitals and small letters.
    #[error("it mixes capitals and small letters")]
    MixedCase,
    /// It is the line of another version of this program.
    #[error("it is of another version of this program")]
    OtherVersion,
    /// A character is wrong, missing or too many.
    #[error(
        "a character is wrong or missing ({LINE_CHARACTERS} or {LONG_LINE_CHARACTERS} characters are expected, {0} came)"
    )]
    Damaged(usize),
    /// It is a line with a key that everybody has.
    #[error("it holds no key")]
    NoKey,
}

/// What a party line says.
#[derive(Debug, Clone)]
pub struct PartyLine {
    /// The key of the party.
    pub key: PartyKey,
    /// The Ed25519 key of the person who signs the catalog of the party.
    pub catalog_signer: Option<[u8; SIGNER_BYTES]>,
}

/// A party line as text. It is a secret: it has no output for people of its own, and is overwritten when it is dropped.
#[derive(Clone)]
pub struct PartyText(Zeroizing<String>);

impl PartyText {
    /// The text, to show it or to write it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PartyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PartyText")
    }
}

impl PartyLine {
    /// Reads a line, with white space around it.
    ///
    /// # Errors
    /// [`PartyLineError`].
    pub fn parse(text: &str) -> Result<Self, PartyLineError> {
        let text = text.trim();
        let damaged = || PartyLineError::Damaged(text.chars().count());
        let bytes = text_form::decode(PREFIX, text).map_err(|error| match error {
            TextFormError::OtherStart => PartyLineError::OtherStart,
            TextFormError::MixedCase => PartyLineError::MixedCase,
            TextFormError::OtherPrefix => PartyLineError::OtherVersion,
            TextFormError::Damaged => damaged(),
        })?;
        let bytes = Zeroizing::new(bytes);
        let (key, signer) = bytes.split_first_chunk::<PARTY_KEY_BYTES>().ok_or_else(damaged)?;
        let catalog_signer = match signer {
            [] => None,
            signer => Some(signer.try_into().map_err(|_| damaged())?),
        };
        let key = PartyKey::from_bytes(Zeroizing::new(*key)).ok_or(PartyLineError::NoKey)?;
        Ok(Self { key, catalog_signer })
    }

    /// The line.
    pub fn text(&self) -> PartyText {
        let mut bytes = Zeroizing::new(Vec::with_capacity(PARTY_KEY_BYTES + SIGNER_BYTES));
        bytes.extend_from_slice(self.key.bytes());
        bytes.extend_from_slice(self.catalog_signer.as_ref().map_or(&[], |signer| signer));
        PartyText(Zeroizing::new(text_form::encode(PREFIX, &bytes)))
    }

    /// Whether both lines are of one party and name one signer.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.key.bytes() == other.key.bytes() && self.catalog_signer == other.catalog_signer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    /// Calculated with the reference implementation of BIP-350 in Python.
    const LINE: &str = "party1qqqsyqcyq5rqwzqfpg9scrgwpuf8fyaf";
    const LONG_LINE: &str =
        "party1qqqsyqcyq5rqwzqfpg9scrgwp746h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46h2at4w46k08knmx";

    fn line(catalog_signer: Option<[u8; 32]>) -> PartyLine {
        PartyLine { key: PartyKey::from_bytes(Zeroizing::new(KEY)).unwrap(), catalog_signer }
    }

    #[test]
    fn lines_have_golden_texts() {
        for (of, text, characters) in
            [(line(None), LINE, LINE_CHARACTERS), (line(Some([0xab; 32])), LONG_LINE, LONG_LINE_CHARACTERS)]
        {
            assert_eq!((of.text().reveal(), text.len()), (text, characters));
            for written in [text.to_owned(), text.to_ascii_uppercase(), format!("  {text}\r\n")] {
                assert!(PartyLine::parse(&written).unwrap().says_the_same(&of), "{written}");
            }
        }
        assert_eq!((LINE_CHARACTERS, LONG_LINE_CHARACTERS), (38, 89));
        assert!(!line(None).says_the_same(&line(Some([0xab; 32]))));
        let other = PartyLine { key: PartyKey::random().unwrap(), catalog_signer: None };
        assert!(!line(None).says_the_same(&other));
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why_and_is_not_quoted() {
        let of = |bytes: &[u8]| text_form::encode(PREFIX, bytes);
        let mut mixed = LINE.to_owned();
        mixed.replace_range(7..8, &LINE[7..8].to_ascii_uppercase());
        for (text, why) in [
            ("", "begin with `party1`"),
            ("peer1l5gs6vqa9urhmc2pfw8enazpky8nndga", "begin with `party1`"),
            (&mixed, "mixes capitals"),
            (&LINE[..37], "wrong or missing (38 or 89 characters are expected, 37 came)"),
            (&LINE.replacen('q', "p", 1), "wrong or missing (38 or 89 characters are expected, 38 came)"),
            (&LONG_LINE[..60], "60 came"),
            (&of(&KEY[..15]), "36 came"),
            (&of(&[7; 17]), "40 came"),
            (&of(&[7; 47]), "88 came"),
            (&of(&[7; 49]), "91 came"),
            (&of(&[0; 16]), "holds no key"),
            (&text_form::encode("partyb", &KEY), "another version"),
        ] {
            let refused = PartyLine::parse(text).unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
            assert!(text.is_empty() || !refused.contains(text), "{refused}");
        }
    }

    #[test]
    fn every_single_error_is_found() {
        for text in [LINE, LONG_LINE] {
            for at in 0..text.len() {
                for character in b' '..=b'~' {
                    let mut other = text.as_bytes().to_vec();
                    other[at] = character;
                    let other = String::from_utf8(other).unwrap();
                    assert_eq!(PartyLine::parse(&other).is_ok(), other == text, "{other}");
                }
                let mut shorter = text.to_owned();
                shorter.remove(at);
                assert!(PartyLine::parse(&shorter).is_err(), "{shorter}");
            }
        }
    }

    #[test]
    fn neither_a_line_nor_its_text_is_shown() {
        let of = line(None);
        let shown = format!("{of:?} {:?}", of.text());
        assert_eq!(shown, "PartyLine { key: PartyKey, catalog_signer: None } PartyText");
    }
}
