//! Bytes as a word that people copy: bech32m (BIP-350), such as `peer1l5gs6vqa9urhmc2pfw8enazpky8nndga`.
//!
//! A word is a prefix, `1`, and five bits a character, of which the last six characters check the others: every single
//! character that is wrong, missing or too many is found, and so is every pair of neighbours in the wrong order. A word
//! is written in small letters and read in small letters or capitals, which a QR code holds in less space, but not in
//! both. What was wrong is never quoted: some of these words are secrets.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
use bech32::{Bech32m, Hrp};

/// Why a text is not a word with the wanted prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormError {
    /// It does not begin with the prefix and `1`.
    OtherStart,
    /// It has capitals and small letters.
    MixedCase,
    /// It is a whole word whose prefix only begins with the wanted one.
    OtherPrefix,
    /// A character is wrong, missing or too many.
    Damaged,
}

/// The word for these bytes. The prefix must be a few small letters.
pub fn encode(prefix: &'static str, bytes: &[u8]) -> String {
    let prefix = Hrp::parse_unchecked(prefix);
    bytes.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&prefix).chars().collect()
}

/// The number of characters of the word for so many bytes.
pub const fn characters(prefix: &str, bytes: usize) -> usize {
    prefix.len() + 1 + (bytes * 8).div_ceil(5) + 6
}

/// The bytes of a word.
///
/// # Errors
/// [`TextFormError`].
pub fn decode(prefix: &'static str, word: &str) -> Result<Vec<u8>, TextFormError> {
    let begins = |start: &str| word.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start));
    if !begins(prefix) {
        return Err(TextFormError::OtherStart);
    }
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    if has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) {
        return Err(TextFormError::MixedCase);
    }
    let read = CheckedHrpstring::new::<Bech32m>(word);
    if word.as_bytes().get(prefix.len()) != Some(&b'1') {
        return Err(if read.is_ok() { TextFormError::OtherPrefix } else { TextFormError::OtherStart });
    }
    let read = read.map_err(|_| TextFormError::Damaged)?;
    let bytes: Vec<u8> = read.byte_iter().collect();
    // One content has one word: the bits that fill the last character must be zero, and the last `1` ends the prefix.
    if encode(prefix, &bytes).eq_ignore_ascii_case(word) { Ok(bytes) } else { Err(TextFormError::Damaged) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

    #[test]
    fn a_word_is_read_in_small_letters_or_capitals() {
        let word = encode("peer", &[0xab; 16]);
        assert_eq!(word.len(), characters("peer", 16));
        assert_eq!(decode("peer", &word), Ok(vec![0xab; 16]));
        assert_eq!(decode("peer", &word.to_ascii_uppercase()), Ok(vec![0xab; 16]));
        let mut mixed = word.clone();
        mixed.replace_range(..1, "P");
        assert_eq!(decode("peer", &mixed), Err(TextFormError::MixedCase));
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let word = encode("peer", &[7; 16]);
        for (text, error) in [
            ("", TextFormError::OtherStart),
            ("pe", TextFormError::OtherStart),
            ("party1qqqq", TextFormError::OtherStart),
            ("peerage", TextFormError::OtherStart),
            ("peé", TextFormError::OtherStart),
            ("peer", TextFormError::OtherStart),
            ("peer1", TextFormError::Damaged),
            ("peer1é", TextFormError::Damaged),
            (&word[..word.len() - 1], TextFormError::Damaged),
            (&format!("{word} "), TextFormError::Damaged),
            (&encode("peerb", &[7; 16]), TextFormError::OtherPrefix),
            // The checksum of bech32, not of bech32m.
            (
                &bech32::encode::<bech32::Bech32>(Hrp::parse_unchecked("peer"), &[7; 16]).unwrap(),
                TextFormError::Damaged,
            ),
        ] {
            assert_eq!(decode("peer", text), Err(error), "{text}");
        }
    }

    /// A prefix that holds a `1` itself, and bits that fill the last character.
    #[test]
    fn one_content_has_one_word() {
        let with_one = bech32::encode::<Bech32m>(Hrp::parse("peer1x").unwrap(), &[7; 16]).unwrap();
        assert_eq!(decode("peer", &with_one), Err(TextFormError::Damaged));
        let peer = Hrp::parse_unchecked("peer");
        let mut digits: Vec<bech32::Fe32> = [7; 16].into_iter().bytes_to_fes().collect();
        *digits.last_mut().unwrap() = bech32::Fe32::try_from(digits.last().unwrap().to_u8() | 1).unwrap();
        let filled: String = digits.into_iter().with_checksum::<Bech32m>(&peer).chars().collect();
        assert!(CheckedHrpstring::new::<Bech32m>(&filled).is_ok());
        assert_eq!(decode("peer", &filled), Err(TextFormError::Damaged));
    }

    #[test]
    fn every_single_error_and_every_swap_of_neighbours_is_found() {
        for bytes in [vec![0x5a; 16], (0..48).collect::<Vec<u8>>()] {
            let word = encode("party", &bytes);
            assert_eq!(decode("party", &word), Ok(bytes));
            let refused = |text: &[u8]| {
                let text = std::str::from_utf8(text).unwrap();
                assert!(text == word || decode("party", text).is_err(), "{text}");
            };
            for at in 0..word.len() {
                for character in 0..0x80 {
                    let mut other = word.clone().into_bytes();
                    other[at] = character;
                    refused(&other);
                    other.insert(at, word.as_bytes()[at]);
                    refused(&other);
                    let mut inserted = word.clone().into_bytes();
                    inserted.insert(at, character);
                    refused(&inserted);
                }
                let mut shorter = word.clone().into_bytes();
                shorter.remove(at);
                refused(&shorter);
                let mut swapped = word.clone().into_bytes();
                swapped.swap(at, (at + 1) % word.len());
                refused(&swapped);
            }
            for character in ALPHABET {
                let mut longer = word.clone().into_bytes();
                longer.push(*character);
                refused(&longer);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let word = encode("party", &bytes);
            prop_assert_eq!(word.len(), characters("party", bytes.len()));
            prop_assert_eq!(decode("party", &word), Ok(bytes));
        }

        #[test]
        fn any_text_is_refused_or_is_the_word_of_its_bytes(text in "(peer1)?[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{0,40}") {
            if let Ok(bytes) = decode("peer", &text) {
                prop_assert_eq!(encode("peer", &bytes), text);
            }
        }
    }
}
