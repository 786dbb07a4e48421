//! The file that says which games the machines of a room are to have: `room.toml`.
//!
//! ```toml
//! name = "Friday"                                      # optional, for people
//! absent = ["demo"]                                    # optional: games that are not to be there
//!
//! [games]
//! cnctw = "20250101"                                   # this version
//! q3a = { version = "1.32", as = "archives" }          # with its archives, so that it is shared
//! ut = "any"                                           # whatever version is there
//! doom = "current"                                     # what the catalog names, or else most peers have
//! ```
//!
//! Invariants: unknown keys are errors, because a misspelt key must not silently mean something else. A game is wanted or
//! to be absent, never both, and there are at most [`limits::GAMES_MAX`] of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use lanspread_types::ids::{GameId, RoomName};
use lanspread_types::limits;
use lanspread_types::regular_file::read_of_user;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::report::failure::ErrorCategory;
use crate::report::wanted::{GameForm, WantedVersion};

/// Which games the machines of a room are to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomFile {
    name: Option<RoomName>,
    games: BTreeMap<GameId, RoomFileGame>,
    absent: BTreeSet<GameId>,
}

/// What a room wants of one game.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomFileGame {
    /// In which version.
    pub version: WantedVersion,
    /// What of it is to be there.
    pub form: GameForm,
}

/// A room file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the room file {} cannot be used: {reason}", path.display())]
pub struct RoomFileError {
    path: PathBuf,
    reason: String,
}

impl RoomFileError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        "room-file"
    }

    /// Category of the failure.
    pub fn category(&self) -> ErrorCategory {
        ErrorCategory::Usage
    }
}

impl RoomFile {
    /// Reads a room file. It may be a link: the organiser may keep it elsewhere.
    ///
    /// # Errors
    /// [`RoomFileError`] with the line that is wrong.
    pub fn load(path: &Path) -> Result<Self, RoomFileError> {
        let unusable = |reason: String| RoomFileError { path: path.to_owned(), reason };
        let bytes = read_of_user(path, limits::ROOM_FILE_BYTES_MAX);
        let bytes = bytes.map_err(|error| unusable(error.to_string()))?;
        let text = str::from_utf8(&bytes).map_err(|_| unusable("it is not UTF-8 text".to_owned()))?;
        Self::parse(text).map_err(unusable)
    }

    /// Reads the text of a room file.
    ///
    /// # Errors
    /// One line that says what is wrong, with the number of its line where that is known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let RoomToml { name, games, absent } =
            toml::from_str(text).map_err(|error| one_line(&error, text))?;
        let count = games.len() + absent.len();
        if count > limits::GAMES_MAX {
            return Err(format!("it names {count} games, the limit is {}", limits::GAMES_MAX));
        }
        let absent: BTreeSet<GameId> = absent.into_iter().collect();
        if let Some(both) = games.keys().find(|game| absent.contains(game)) {
            return Err(format!("{both} is a game of the room and in `absent`"));
        }
        Ok(Self { name, games, absent })
    }

    /// The name of the room, for people.
    pub fn name(&self) -> Option<&RoomName> {
        self.name.as_ref()
    }

    /// The games that are to be there, and what is wanted of each.
    pub fn games(&self) -> &BTreeMap<GameId, RoomFileGame> {
        &self.games
    }

    /// The games that are not to be there.
    pub fn absent(&self) -> &BTreeSet<GameId> {
        &self.absent
    }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let before = text.as_bytes().iter().take(span.start);
            format!("line {}: {message}", 1 + before.filter(|byte| **byte == b'\n').count())
        }
        None => message,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomToml {
    name: Option<RoomName>,
    #[serde(default)]
    games: BTreeMap<GameId, RoomFileGame>,
    #[serde(default)]
    absent: Vec<GameId>,
}

/// A version as it is written.
struct VersionWord(WantedVersion);

impl VersionWord {
    fn of<E: Error>(word: &str) -> Result<WantedVersion, E> {
        word.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for VersionWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&String::deserialize(deserializer)?).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GameTable {
    version: Option<VersionWord>,
    #[serde(rename = "as")]
    form: Option<FormWord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FormWord {
    Streamed,
    Archives,
}

impl From<FormWord> for GameForm {
    fn from(word: FormWord) -> Self {
        match word {
            FormWord::Streamed => Self::Streamed,
            FormWord::Archives => Self::Archives,
        }
    }
}

/// A version, or a table.
struct RoomGameVisitor;

impl<'de> Visitor<'de> for RoomGameVisitor {
    type Value = RoomFileGame;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a version in quotes, \"any\", \"current\", or a table with `version` and `as`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<RoomFileGame, E> {
        Ok(RoomFileGame { version: VersionWord::of(word)?, form: GameForm::default() })
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<RoomFileGame, M::Error> {
        let GameTable { version, form } = GameTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RoomFileGame {
            version: version.map_or(WantedVersion::Current, |VersionWord(version)| version),
            form: form.map_or(GameForm::default(), GameForm::from),
        })
    }
}

impl<'de> Deserialize<'de> for RoomFileGame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RoomGameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exactly(version: &str) -> WantedVersion {
        WantedVersion::Exactly { version: version.parse().unwrap() }
    }

    #[test]
    fn a_room_says_which_games_are_wanted_and_which_are_not() {
        let room = RoomFile::parse(
            r#"
            name = "Friday"
            absent = ["demo"]
            [games]
            cnctw = "20250101"
            q3a = { version = "1.32", as = "archives" }
            ut = "any"
            doom = "current"
            hl = { as = "streamed" }
            "1942" = {}
            "#,
        )
        .unwrap();
        let (default, current) = (GameForm::AsHere, WantedVersion::Current);
        let expected = [
            ("1942", current.clone(), default),
            ("cnctw", exactly("20250101"), default),
            ("doom", current.clone(), default),
            ("hl", current, GameForm::Streamed),
            ("q3a", exactly("1.32"), GameForm::Archives),
            ("ut", WantedVersion::Any, default),
        ];
        let expected: BTreeMap<GameId, RoomFileGame> = expected
            .into_iter()
            .map(|(game, version, form)| (game.parse().unwrap(), RoomFileGame { version, form }))
            .collect();
        assert_eq!(*room.games(), expected);
        assert_eq!(room.name().unwrap().as_str(), "Friday");
        assert_eq!(*room.absent(), BTreeSet::from(["demo".parse().unwrap()]));
        assert_eq!(RoomFile::parse(""), Ok(RoomFile::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, parts) in [
            ("[games]\na = \"1\"\nb = 1", &["line 3", "in quotes"][..]),
            ("[games]\na = { vresion = \"1\" }", &["line 2", "vresion"]),
            ("[games]\na = { as = \"both\" }", &["line 2", "both"]),
            ("[games]\n\"../a\" = \"1\"", &["line 2", "../a"]),
            ("[games]\na = \"\"", &["line 2", "version"]),
            ("[games]\na = \"1\"\na = \"2\"", &["line 3", "duplicate"]),
            ("absent = [\"a/b\"]", &["line 1", "a/b"]),
            ("gmaes = 1", &["line 1", "gmaes"]),
            ("name = \"a\\u0007b\"", &["line 1", "control"]),
            ("absent = [\"a\"]\n[games]\na = \"1\"", &["a is a game of the room and in `absent`"]),
        ] {
            let reason = RoomFile::parse(text).unwrap_err();
            assert!(parts.iter().all(|part| reason.contains(part)) && !reason.contains('\n'), "{reason}");
        }
        let error = RoomFile::load(Path::new("/no/such/room.toml")).unwrap_err();
        assert!(error.to_string().contains("/no/such/room.toml"), "{error}");
        assert_eq!((error.code(), error.category()), ("room-file", ErrorCategory::Usage));
    }

    #[test]
    fn a_room_has_no_more_games_than_a_games_directory() {
        let games: Vec<String> = (0..=limits::GAMES_MAX).map(|number| format!("\"g{number}\"")).collect();
        let reason = RoomFile::parse(&format!("absent = [{}]", games.join(","))).unwrap_err();
        assert!(reason.contains(&limits::GAMES_MAX.to_string()), "{reason}");
        assert!(RoomFile::parse(&format!("absent = [{}]", games[1..].join(","))).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_room_or_one_line_that_says_why_not(text in "[\\PC\n\"={}.\\[\\]]{0,200}") {
            if let Err(reason) = RoomFile::parse(&text) {
                prop_assert!(!reason.contains('\n'), "{reason}");
            }
        }
    }
}
