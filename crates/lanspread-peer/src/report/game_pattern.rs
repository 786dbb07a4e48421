//! Games that are named together: an id, or a pattern with `*` and `?` as a shell has them.

use std::fmt;
use std::str::FromStr;

use lanspread_types::ids::{GameId, WordError};
use lanspread_types::limits;
use lanspread_types::text::printable;
use serde::{Deserialize, Serialize};

/// An id, or a pattern that ids fit. A pattern has at most the characters of an id, `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GamePattern {
    /// This game.
    One(GameId),
    /// Each game whose id fits: `*` stands for any characters or none, `?` for one.
    Many(String),
}

impl GamePattern {
    /// The pattern that each id fits.
    pub fn every() -> Self {
        Self::Many("*".to_owned())
    }

    /// Whether an id fits.
    pub fn fits(&self, game: &GameId) -> bool {
        match self {
            Self::One(one) => one == game,
            Self::Many(pattern) => fits(pattern.as_bytes(), game.as_str().as_bytes()),
        }
    }
}

/// Whether a text fits a pattern. Takes at most as many steps as the product of their lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: that takes one more character.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match &mut star {
                Some((star_at, taken)) => {
                    *taken += 1;
                    (at, in_text) = (*star_at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

impl FromStr for GamePattern {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains(['*', '?']) {
            return text.parse().map(Self::One);
        }
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "._-*?".contains(character);
        if text.len() > limits::GAME_ID_BYTES_MAX || !text.chars().all(is_allowed) {
            let rule = "it has 1 to 64 letters, digits, `.`, `_`, `-`, `*` and `?`";
            return Err(WordError { what: "pattern of game ids", value: printable(text, 80), rule });
        }
        Ok(Self::Many(text.to_owned()))
    }
}

impl TryFrom<String> for GamePattern {
    type Error = WordError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GamePattern> for String {
    fn from(pattern: GamePattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for GamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(game) => formatter.write_str(game.as_str()),
            Self::Many(pattern) => formatter.write_str(pattern),
        }
    }
}

/// Among which games a pattern is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GamesAmong {
    /// Those on this machine.
    Here,
    /// Those of the catalog.
    Catalog,
    /// Those of the catalog or, without one, those that peers offer.
    Offered,
    /// The same, and without a catalog also those on this machine.
    Known,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_fits_as_in_a_shell() {
        for (pattern, fitting, others) in [
            ("cnc*", &["cnc", "cnctw", "cnc-ra"][..], &["acnc", "CNC"][..]),
            ("*", &["a", "1942"], &[]),
            ("?942", &["1942"], &["942", "11942"]),
            ("*tw", &["cnctw", "tw"], &["twx"]),
            ("a*b*c", &["abc", "axbxc", "abbbcc"], &["ab", "acb"]),
            ("a**b", &["ab", "axb"], &["a"]),
            ("cnctw", &["cnctw"], &["cnct"]),
        ] {
            let pattern: GamePattern = pattern.parse().unwrap();
            let fits = |game: &&str| pattern.fits(&game.parse().unwrap());
            assert!(fitting.iter().all(fits), "{pattern}");
            assert!(!others.iter().any(fits), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_has_the_characters_of_an_id() {
        assert!(matches!("a".parse(), Ok(GamePattern::One(_))));
        assert!(matches!("..*".parse(), Ok(GamePattern::Many(_))), "two dots may begin an id");
        for bad in ["", "a/b*", "../*", "a b?", "é*", &"*".repeat(65), &"a".repeat(65)] {
            assert!(bad.parse::<GamePattern>().is_err(), "{bad}");
        }
    }

    /// The same in the plain way.
    fn slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| slowly(rest, &text[taken..])),
            Some((b'?', rest)) => !text.is_empty() && slowly(rest, &text[1..]),
            Some((wanted, rest)) => text.first() == Some(wanted) && slowly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn every_pattern_fits_as_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), slowly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
