//! Servers that have games: URLs with places for the names of a game and a file. Pure.
//!
//! `s3://BUCKET/…` is an object store. Where it is and who may read it is not part of the URL.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{GameId, WordError};
use crate::limits;
use crate::web_url::{NOT_WEB, WebUrl, percent_encoded, shown_of_text};

const GAME: &str = "{game}";
const FILE: &str = "{file}";
const OBJECTS: &str = "s3://";

/// A server that has the files of games.
///
/// `{game}` and `{file}` in its path or query stand for the names, percent-encoded. A URL without `{file}` names a folder:
/// `/{file}` is added, and before it `/{game}` if the URL has no `{game}` either, as in a games directory.
///
/// In `s3://BUCKET/PREFIX`, nothing is percent-encoded: the keys of objects are names as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(String);

impl SourceUrl {
    /// The whole text as it was written, with its credentials.
    pub fn secret_text(&self) -> &str {
        &self.0
    }

    /// Whether it is an object store.
    pub fn is_object_store(&self) -> bool {
        self.0.starts_with(OBJECTS)
    }

    /// Where a file of a game is.
    ///
    /// # Errors
    /// If long names make its URL too long.
    pub fn of_file(&self, game: &GameId, file: &str) -> Result<FileAddress, WordError> {
        let template = template(&self.0);
        if let Some(object) = template.strip_prefix(OBJECTS) {
            let (bucket, key) = object.split_once('/').unwrap_or_default();
            let key = key.replace(GAME, game.as_str()).replace(FILE, file);
            return Ok(FileAddress::Object(ObjectAddress { bucket: bucket.to_owned(), key }));
        }
        WebUrl::parse(
            &template.replace(GAME, &percent_encoded(game.as_str())).replace(FILE, &percent_encoded(file)),
        )
        .map(FileAddress::Web)
    }
}

/// Where a server has a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAddress {
    /// A URL that can be requested.
    Web(WebUrl),
    /// An object of an object store.
    Object(ObjectAddress),
}

/// An object of an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectAddress {
    /// A checked name: it can be a part of a host name and of a path.
    pub bucket: String,
    /// Its name in the bucket, not encoded.
    pub key: String,
}

/// What is wrong with the part of a URL after `s3://`, if anything is.
fn wrong_object(object: &str) -> Option<&'static str> {
    let (bucket, key) = object.split_once('/').unwrap_or((object, ""));
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_inside = |byte: u8| is_alphanumeric(&byte) || b".-".contains(&byte);
    let ends = [bucket.as_bytes().first(), bucket.as_bytes().last()];
    let has_ends = ends.iter().all(|byte| byte.is_some_and(is_alphanumeric));
    if !has_ends
        || !(3..=63).contains(&bucket.len())
        || !bucket.bytes().all(is_inside)
        || bucket.contains("..")
    {
        return Some("its bucket must have 3 to 63 characters: small letters, digits, `.` and `-`");
    }
    if key.contains('?') {
        return Some("an s3:// URL has no query");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it must have printable ASCII characters only");
    }
    // Servers and proxies would merge them, and the signature would be that of another object.
    let mut parts = key.trim_end_matches('/').split('/');
    if !key.is_empty() && parts.any(|part| matches!(part, "" | "." | "..")) {
        return Some("no part of its path may be empty, `.` or `..`");
    }
    None
}

/// The whole URL, with its places.
fn template(text: &str) -> String {
    if text.contains(FILE) {
        return text.to_owned();
    }
    let folder = text.trim_end_matches('/');
    if folder.contains(GAME) { format!("{folder}/{FILE}") } else { format!("{folder}/{GAME}/{FILE}") }
}

impl TryFrom<String> for SourceUrl {
    type Error = WordError;
    fn try_from(text: String) -> Result<Self, WordError> {
        let fail = |rule| WordError { what: "URL of a source", value: shown_of_text(&text), rule };
        if text.len() > limits::URL_BYTES_MAX {
            return Err(fail("it is too long"));
        }
        if text.contains('#') {
            return Err(fail("`#` and what follows is not sent to a server"));
        }
        let without = text.replace(GAME, "x").replace(FILE, "x");
        if without.contains(['{', '}']) {
            return Err(fail("the only places in it are {game} and {file}"));
        }
        if !text.contains(FILE) && text.contains('?') {
            return Err(fail("a URL with a query must say where {file} belongs"));
        }
        if let Some(object) = text.strip_prefix(OBJECTS) {
            return wrong_object(object).map_or_else(|| Ok(Self(text.clone())), |rule| Err(fail(rule)));
        }
        WebUrl::parse(&without).map_err(|WordError { rule, .. }| WordError {
            what: "URL of a source",
            value: shown_of_text(&text),
            rule: if rule == NOT_WEB { "it must begin with http://, https:// or s3://" } else { rule },
        })?;
        // Neither name may choose the server.
        let (start, _) = text.split_once("://").unwrap_or_default();
        let rest = &text[start.len() + 3..];
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains(['{', '}']) {
            return Err(fail("{game} and {file} must be in its path or query"));
        }
        Ok(Self(text))
    }
}

impl FromStr for SourceUrl {
    type Err = WordError;
    fn from_str(text: &str) -> Result<Self, WordError> {
        Self::try_from(text.to_owned())
    }
}

impl From<SourceUrl> for String {
    fn from(url: SourceUrl) -> Self {
        url.0
    }
}

/// Without credentials and query.
impl fmt::Display for SourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.split('?').next().unwrap_or_default();
        let (scheme, rest) = path.split_once("://").unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let place = authority.rsplit('@').next().unwrap_or_default();
        let query = if self.0.contains('?') { "?…" } else { "" };
        write!(formatter, "{scheme}://{place}{path}{query}")
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_their_places_or_are_added_as_in_a_games_directory() {
        let game: GameId = "a.b".parse().unwrap();
        for (source, expected) in [
            ("http://h", "http://h/a.b/x%20y.eti"),
            ("http://h/games/", "http://h/games/a.b/x%20y.eti"),
            ("http://h/{game}", "http://h/{game}/x%20y.eti"),
            ("http://h/g/{game}/{file}", "http://h/g/{game}/x%20y.eti"),
            ("http://h/one-game/{file}", "http://h/one-game/x%20y.eti"),
            ("http://h/{file}?g={game}", "http://h/x%20y.eti?g={game}"),
        ] {
            let source: SourceUrl = source.parse().unwrap();
            let FileAddress::Web(url) = source.of_file(&game, "x y.eti").unwrap() else { panic!("{source}") };
            let expected = WebUrl::parse(&expected.replace(GAME, "a.b")).unwrap();
            assert_eq!((url.origin(), url.target()), (expected.origin(), expected.target()), "{source:?}");
        }
    }

    #[test]
    fn objects_have_the_names_as_they_are() {
        let game: GameId = "a.b".parse().unwrap();
        for (source, bucket, key) in [
            ("s3://games", "games", "a.b/x y.eti"),
            ("s3://games/", "games", "a.b/x y.eti"),
            ("s3://my.games-1/p%20q/", "my.games-1", "p%20q/a.b/x y.eti"),
            ("s3://games/{file}", "games", "x y.eti"),
            ("s3://games/p/{game}-{file}", "games", "p/a.b-x y.eti"),
        ] {
            let parsed: SourceUrl = source.parse().unwrap();
            let expected = ObjectAddress { bucket: bucket.to_owned(), key: key.to_owned() };
            assert_eq!(parsed.of_file(&game, "x y.eti").unwrap(), FileAddress::Object(expected), "{source}");
            assert_eq!(parsed.to_string(), source);
        }
        for bad in [
            "s3://",
            "s3:///x",
            "s3://ab",
            "s3://Games",
            "s3://-games",
            "s3://games.",
            "s3://ga..mes",
            "s3://key:secret@games/x",
            "s3://games:9000/x",
            "s3://{game}/{file}",
            "s3://games/{file}?X-Amz-Signature=secret",
            "s3://games/?q",
            "s3://games//x",
            "s3://games/../x",
            "s3://games/x/.",
            "s3://games/a b",
            "s3://games/\u{e4}",
            &format!("s3://{}", "g".repeat(64)),
        ] {
            let refused = bad.parse::<SourceUrl>().expect_err(bad);
            assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
        }
    }

    #[test]
    fn a_source_is_checked_once_and_shows_no_credentials() {
        for bad in [
            "",
            "h",
            "ftp://h/",
            "http://{game}/",
            "http://u{file}@h/{game}",
            "http://h/{games}",
            "http://h/{",
            "http://h/}",
            "http://h/?q",
            "http://h/#x",
            "http://h/{file}#",
            "http://h/\u{1b}",
            "http://h/a b",
            &format!("http://h/{}", "x".repeat(2048)),
        ] {
            assert!(bad.parse::<SourceUrl>().is_err(), "{bad}");
        }
        let source: SourceUrl = "https://user:secret@h:8/g/{file}?sig=secret".parse().unwrap();
        for shown in [source.to_string(), format!("{source:?}")] {
            assert_eq!(shown, "https://h:8/g/{file}?…");
        }
        assert_eq!(
            serde_json::from_str::<SourceUrl>(&serde_json::to_string(&source).unwrap()).unwrap(),
            source
        );
        let refused = "https://user:secret@h/{x}?secret".parse::<SourceUrl>().unwrap_err();
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    }

    #[test]
    fn the_longest_names_make_a_url_that_can_be_requested() {
        let source: SourceUrl = format!("http://h/{}/{{game}}/{{file}}", "x".repeat(2000)).parse().unwrap();
        let game: GameId = "g".repeat(64).parse().unwrap();
        assert!(source.of_file(&game, &"\u{e4}".repeat(127)).is_ok());
    }
}
