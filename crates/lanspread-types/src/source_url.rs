//! Servers that have games: URLs with places for the names of a game and a file. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{GameId, WordError};
use crate::limits;
use crate::web_url::{WebUrl, percent_encoded, shown_of_text};

const GAME: &str = "{game}";
const FILE: &str = "{file}";

/// A server that has the files of games.
///
/// `{game}` and `{file}` in its path or query stand for the names, percent-encoded. A URL without `{file}` names a folder:
/// `/{file}` is added, and before it `/{game}` if the URL has no `{game}` either, as in a games directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(String);

impl SourceUrl {
    /// The whole text as it was written, with its credentials.
    pub fn secret_text(&self) -> &str {
        &self.0
    }

    /// The URL of a file of a game.
    ///
    /// # Errors
    /// If long names make it too long.
    pub fn of_file(&self, game: &GameId, file: &str) -> Result<WebUrl, WordError> {
        let template = template(&self.0);
        WebUrl::parse(
            &template.replace(GAME, &percent_encoded(game.as_str())).replace(FILE, &percent_encoded(file)),
        )
    }
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
        let url = WebUrl::parse(&without).map_err(|WordError { rule, .. }| WordError {
            what: "URL of a source",
            value: shown_of_text(&text),
            rule,
        })?;
        // Neither name may choose the server.
        let (start, _) = text.split_once("://").unwrap_or_default();
        let rest = &text[start.len() + 3..];
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains(['{', '}']) {
            return Err(fail("{game} and {file} must be in its path or query"));
        }
        drop(url);
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
            let url = source.of_file(&game, "x y.eti").unwrap();
            let expected = WebUrl::parse(&expected.replace(GAME, "a.b")).unwrap();
            assert_eq!((url.origin(), url.target()), (expected.origin(), expected.target()), "{source:?}");
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
