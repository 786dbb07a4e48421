//! The catalog file: the known games, their expected versions, and the manifests that say what is in them.
//!
//! ```toml
//! schema = 2
//! version = 7                          # never goes down; `catalog build` counts it
//! name = "Summer party"                # optional, as are the two times
//! made = 2026-07-01T18:00:00Z
//! expires = 2026-07-05T00:00:00Z       # a warning only
//! sources = ["http://games.lan/{game}/{file}"]  # optional: HTTP servers that have the files
//!
//! [games.cnctw]
//! name = "A title for people"
//! version = "20250101"
//! manifest = "3f2a…"                   # SHA-256 of manifests/3f2a….lsm; both or neither of these two
//! manifest_bytes = 21612345
//! bytes = 100000000000                 # of the root files, and unpacked; as in the manifest
//! unpacked_bytes = 120000000000
//! ```
//!
//! Invariants: unknown keys are errors, because a misspelt key must not silently mean something else. Schema 1 has
//! `schema` and `[games.ID] name, version`, and nothing else. What [`CatalogContent::to_toml`] writes, [`parse`] reads as
//! the same content.

mod manifests;

use std::collections::BTreeMap;
use std::time::SystemTime;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{CatalogName, GameId, GameVersion};
use lanspread_types::limits;
use lanspread_types::source_url::SourceUrl;
use serde::Deserialize;
use toml::value::Datetime;

pub use self::manifests::{MANIFESTS_DIR, disagreement, open_manifest};

/// What a catalog file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogContent {
    /// What schema 2 says beyond the games; schema 1 says nothing of it.
    pub head: Option<CatalogHead>,
    /// The games.
    pub games: BTreeMap<GameId, CatalogGame>,
}

/// What a catalog of schema 2 says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogHead {
    /// From 1 to [`limits::CATALOG_VERSION_MAX`].
    pub version: u64,
    /// Its name, for people.
    pub name: Option<CatalogName>,
    /// When it was built.
    pub made: Option<CatalogTime>,
    /// Until when its author vouches for it.
    pub expires: Option<CatalogTime>,
    /// HTTP servers that have its games; at most [`limits::SERVERS_MAX`].
    pub sources: Vec<SourceUrl>,
}

/// A moment in a catalog, to the second: RFC 3339, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogTime(SystemTime);

impl CatalogTime {
    /// This moment, less its fraction of a second.
    pub fn now() -> Self {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self::parse(&now).unwrap_or(Self(SystemTime::UNIX_EPOCH))
    }

    fn parse(text: &str) -> Option<Self> {
        humantime::parse_rfc3339(text).ok().map(Self)
    }

    /// Whether the moment has passed.
    pub fn has_passed(self) -> bool {
        self.0 < SystemTime::now()
    }
}

impl std::fmt::Display for CatalogTime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&humantime::format_rfc3339(self.0), formatter)
    }
}

/// One game of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogGame {
    /// Title, for people.
    pub name: String,
    /// The version that is served and installed.
    pub version: GameVersion,
    /// The manifest of this version.
    pub manifest: Option<ManifestReference>,
    /// Bytes of its root files.
    pub bytes: Option<u64>,
    /// Bytes of all files of its installed tree.
    pub unpacked_bytes: Option<u64>,
}

/// Names a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestReference {
    /// SHA-256 of all its bytes.
    pub digest: ContentDigest,
    /// How many they are.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct AnySchema {
    schema: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOfSchema1 {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(default)]
    games: BTreeMap<GameId, GameOfSchema1>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GameOfSchema1 {
    name: String,
    version: GameVersion,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOfSchema2 {
    #[serde(rename = "schema")]
    _schema: u32,
    version: u64,
    name: Option<CatalogName>,
    made: Option<Datetime>,
    expires: Option<Datetime>,
    #[serde(default)]
    sources: Vec<SourceUrl>,
    #[serde(default)]
    games: BTreeMap<GameId, GameOfSchema2>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GameOfSchema2 {
    name: String,
    version: GameVersion,
    manifest: Option<ContentDigest>,
    manifest_bytes: Option<u64>,
    bytes: Option<u64>,
    unpacked_bytes: Option<u64>,
}

/// Reads a catalog.
///
/// # Errors
/// One line that says what is wrong, with the number of its line where that is known.
pub fn parse(text: &str) -> Result<CatalogContent, String> {
    let AnySchema { schema } = read(text)?;
    let content = match schema {
        1 => {
            let FileOfSchema1 { games, .. } = read(text)?;
            let games = games.into_iter().map(|(game, known)| (game, known.into()));
            CatalogContent { head: None, games: games.collect() }
        }
        2 => of_schema_2(read(text)?)?,
        other => return Err(format!("it has schema {other}, this program reads schema 1 and 2")),
    };
    if content.games.len() > limits::GAMES_MAX {
        return Err(format!("it names {} games, the limit is {}", content.games.len(), limits::GAMES_MAX));
    }
    Ok(content)
}

fn of_schema_2(file: FileOfSchema2) -> Result<CatalogContent, String> {
    let FileOfSchema2 { version, name, made, expires, sources, games, .. } = file;
    if !(1..=limits::CATALOG_VERSION_MAX).contains(&version) {
        return Err(format!(
            "its version is {version}, from 1 to {} is allowed",
            limits::CATALOG_VERSION_MAX
        ));
    }
    if sources.len() > limits::SERVERS_MAX {
        return Err(format!("it names {} sources, the limit is {}", sources.len(), limits::SERVERS_MAX));
    }
    let (made, expires) = (time("made", made)?, time("expires", expires)?);
    let head = CatalogHead { version, name, made, expires, sources };
    let games = games.into_iter().map(|(game, known)| {
        let known = game_of_schema_2(&game, known)?;
        Ok((game, known))
    });
    Ok(CatalogContent { head: Some(head), games: games.collect::<Result<_, String>>()? })
}

fn time(key: &str, written: Option<Datetime>) -> Result<Option<CatalogTime>, String> {
    let Some(written) = written else { return Ok(None) };
    match CatalogTime::parse(&written.to_string()) {
        Some(time) => Ok(Some(time)),
        None => Err(format!("{key} is {written}; a time in UTC is expected, such as 2026-07-01T18:00:00Z")),
    }
}

fn game_of_schema_2(game: &GameId, known: GameOfSchema2) -> Result<CatalogGame, String> {
    let GameOfSchema2 { name, version, manifest, manifest_bytes, bytes, unpacked_bytes } = known;
    let manifest = match (manifest, manifest_bytes) {
        (Some(digest), Some(bytes)) => Some(ManifestReference { digest, bytes }),
        (None, None) => None,
        _ => {
            return Err(format!(
                "{game} has only one of manifest and manifest_bytes; both are expected, or neither"
            ));
        }
    };
    if let Some(ManifestReference { bytes, .. }) =
        manifest.filter(|known| known.bytes > limits::MANIFEST_BYTES_MAX)
    {
        return Err(format!(
            "the manifest of {game} has {bytes} bytes, the limit is {}",
            limits::MANIFEST_BYTES_MAX
        ));
    }
    for (key, count) in [("bytes", bytes), ("unpacked_bytes", unpacked_bytes)] {
        if let Some(count) = count.filter(|count| *count > limits::GAME_BYTES_MAX) {
            return Err(format!("{key} of {game} is {count}, the limit is {}", limits::GAME_BYTES_MAX));
        }
    }
    Ok(CatalogGame { name, version, manifest, bytes, unpacked_bytes })
}

impl From<GameOfSchema1> for CatalogGame {
    fn from(GameOfSchema1 { name, version }: GameOfSchema1) -> Self {
        Self { name, version, manifest: None, bytes: None, unpacked_bytes: None }
    }
}

fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| one_line(&error, text))
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: {message}", before.matches('\n').count() + 1)
        }
        None => message,
    }
}

impl CatalogContent {
    /// The catalog as a file. Without a head it is one of schema 1, which has no manifests.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        match &self.head {
            None => text.push_str("schema = 1\n"),
            Some(CatalogHead { version, name, made, expires, sources }) => {
                text.push_str(&format!("schema = 2\nversion = {version}\n"));
                if let Some(name) = name {
                    text.push_str(&format!("name = {}\n", quoted(name.as_str())));
                }
                for (key, time) in [("made", made), ("expires", expires)] {
                    if let Some(time) = time {
                        text.push_str(&format!("{key} = {time}\n"));
                    }
                }
                if !sources.is_empty() {
                    let urls: Vec<String> = sources.iter().map(|url| quoted(url.secret_text())).collect();
                    text.push_str(&format!("sources = [{}]\n", urls.join(", ")));
                }
            }
        }
        for (game, CatalogGame { name, version, manifest, bytes, unpacked_bytes }) in &self.games {
            text.push_str(&format!("\n[games.{}]\nname = {}\n", key(game), quoted(name)));
            text.push_str(&format!("version = {}\n", quoted(version.as_str())));
            if self.head.is_none() {
                continue;
            }
            if let Some(ManifestReference { digest, bytes }) = manifest {
                text.push_str(&format!("manifest = \"{digest}\"\nmanifest_bytes = {bytes}\n"));
            }
            for (key, count) in [("bytes", bytes), ("unpacked_bytes", unpacked_bytes)] {
                if let Some(count) = count {
                    text.push_str(&format!("{key} = {count}\n"));
                }
            }
        }
        text
    }
}

/// A game id as a key: without quotes where that means the same.
fn key(game: &GameId) -> String {
    if game.as_str().contains('.') { quoted(game.as_str()) } else { game.to_string() }
}

/// A text as a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
