//! Checked words that name things: games, versions, peers.
//!
//! Each type has one parser, so a value of the type is always valid. The words are shown to users as they are, so none
//! of them may hold a control character.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::limits;
use crate::text::{is_display_hazard, printable};
use crate::text_form::{self, TextFormError};

/// A word from outside that breaks a rule of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a {what}: {rule}")]
pub struct WordError {
    /// What it should have been, such as `game id`.
    pub what: &'static str,
    /// What was given, escaped and cut for display.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl WordError {
    fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        Self { what, value: printable(value, 80), rule }
    }
}

macro_rules! checked_word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The word itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = WordError;
            fn try_from(value: String) -> Result<Self, WordError> {
                Self::check(&value)?;
                Ok(Self(value))
            }
        }
        impl FromStr for $name {
            type Err = WordError;
            fn from_str(value: &str) -> Result<Self, WordError> {
                Self::try_from(value.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }
    };
}

checked_word! {
    /// Folder name of a game: `[A-Za-z0-9._-]{1,64}`, but not `.`, `..` or `.lanspread`.
    GameId
}
checked_word! {
    /// Version of a game: one trimmed line of at most 64 bytes, compared for equality only.
    GameVersion
}
checked_word! {
    /// The name that a peer shows to people: one trimmed line of at most 64 bytes.
    PeerName
}
checked_word! {
    /// The name of a catalog, for people: one trimmed line of at most 64 bytes.
    CatalogName
}

checked_word! {
    /// The name of a room, for people: one trimmed line of at most 64 bytes.
    RoomName
}

impl GameId {
    fn check(value: &str) -> Result<(), WordError> {
        let fail = |rule| Err(WordError::new("game id", value, rule));
        if value.is_empty() || value.len() > limits::GAME_ID_BYTES_MAX {
            return fail("it must have 1 to 64 characters");
        }
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return fail("only letters, digits, `.`, `_` and `-` are allowed");
        }
        if value == "." || value == ".." || value == crate::layout::STATE_DIR {
            return fail("this name is reserved");
        }
        Ok(())
    }
}

impl GameId {
    /// A game id that looks like this name; `None` if too little of the name is left.
    pub fn like(name: &str) -> Option<Self> {
        let mut id = String::new();
        for character in name.nfd().filter(|character| !is_combining_mark(*character)) {
            let is_allowed = character.is_ascii_alphanumeric() || "._-".contains(character);
            if is_allowed {
                id.push(character);
            } else if !id.ends_with('-') {
                id.push('-');
            }
        }
        id.truncate(limits::GAME_ID_BYTES_MAX);
        id.trim_matches('-').parse().ok()
    }
}

fn check_label(what: &'static str, value: &str) -> Result<(), WordError> {
    let fail = |rule| Err(WordError::new(what, value, rule));
    if value.is_empty() || value.len() > limits::LABEL_BYTES_MAX {
        return fail("it must have 1 to 64 bytes");
    }
    if value.trim() != value {
        return fail("it must not begin or end with white space");
    }
    if value.chars().any(is_display_hazard) {
        return fail("it must not hold control characters");
    }
    Ok(())
}

impl GameVersion {
    fn check(value: &str) -> Result<(), WordError> {
        check_label("version", value)
    }
}

impl PeerName {
    fn check(value: &str) -> Result<(), WordError> {
        check_label("peer name", value)
    }
}

impl CatalogName {
    fn check(value: &str) -> Result<(), WordError> {
        check_label("catalog name", value)
    }
}

impl RoomName {
    fn check(value: &str) -> Result<(), WordError> {
        check_label("room name", value)
    }
}

/// Identity of a peer.
///
/// Shown and written as a word with check characters, `peer1…`, and sent to peers as 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 16]);

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 16]>::deserialize(deserializer).map(Self)
        }
    }
}

impl PeerId {
    /// The identity of a peer whose public key has this SHA-256: its first half.
    pub fn of_key(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }

    /// A new random identity.
    ///
    /// # Errors
    /// If the system cannot provide random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Begins the text of every identity.
const PEER_ID_PREFIX: &str = "peer";
/// Characters by which people tell peers apart.
const SHORT_PEER_ID_CHARACTERS: usize = 8;

impl PeerId {
    /// The first 8 characters after `peer1`, to tell peers apart in a list. Nothing may be decided by them.
    pub fn short(&self) -> String {
        let start = PEER_ID_PREFIX.len() + 1;
        self.to_string().chars().skip(start).take(SHORT_PEER_ID_CHARACTERS).collect()
    }

    /// Reads an identity from a file that this program wrote: before version 2 of the protocol, those were 32 hexadecimal
    /// digits.
    ///
    /// # Errors
    /// [`WordError`].
    pub fn of_record(text: &str) -> Result<Self, WordError> {
        // `from_str_radix` also takes a sign.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return text.parse();
        }
        let number = u128::from_str_radix(text, 16);
        number.map(|number| Self(number.to_be_bytes())).or_else(|_| text.parse())
    }
}

impl From<[u8; 16]> for PeerId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&text_form::encode(PEER_ID_PREFIX, &self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for PeerId {
    type Err = WordError;
    fn from_str(value: &str) -> Result<Self, WordError> {
        let fail = |rule| WordError::new("peer id", value, rule);
        let bytes = text_form::decode(PEER_ID_PREFIX, value).map_err(|error| {
            fail(match error {
                TextFormError::OtherStart => "it must begin with `peer1`",
                TextFormError::MixedCase => "it must not mix capitals and small letters",
                TextFormError::OtherPrefix => "it is of another version of this program",
                TextFormError::Damaged => "a character is wrong or missing (37 are expected)",
            })
        })?;
        bytes.try_into().map(Self).map_err(|_| fail("it must have 37 characters"))
    }
}

/// Where a peer listens: `HOST:PORT`, with an IPv6 address in brackets. A name is resolved when the peer is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerAddress(String);

impl PeerAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PeerAddress {
    type Error = WordError;
    fn try_from(value: String) -> Result<Self, WordError> {
        value.parse()
    }
}

impl From<PeerAddress> for String {
    fn from(address: PeerAddress) -> Self {
        address.0
    }
}

impl FromStr for PeerAddress {
    type Err = WordError;
    fn from_str(value: &str) -> Result<Self, WordError> {
        let fail = |rule| WordError { what: "peer address", value: printable(value, 80), rule };
        let (host, port) = value.rsplit_once(':').ok_or_else(|| fail("it must be HOST:PORT"))?;
        // `parse` also takes a sign.
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || port.parse::<u16>().map_or(true, |port| port == 0) {
            return Err(fail("its port must be a number from 1 to 65535"));
        }
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if host.len() > 255 || !(plain || bracketed && value.parse::<SocketAddr>().is_ok()) {
            return Err(fail("its host must be a name, an IPv4 address or an IPv6 address in brackets"));
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn game_ids_are_plain_folder_names() {
        for good in ["cnctw", "A.b-c_9", "...", &"x".repeat(64)] {
            assert!(good.parse::<GameId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", ".lanspread", &"x".repeat(65)] {
            assert!(bad.parse::<GameId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_title_suggests_an_id() {
        for (title, id) in [
            ("Age of Empires II", Some("Age-of-Empires-II")),
            ("C&C", Some("C-C")),
            ("x+y", Some("x-y")),
            ("\u{dc}nreal (1998)", Some("Unreal-1998")),
            ("it's", Some("it-s")),
            ("cnctw", Some("cnctw")),
            ("\u{6b66}\u{5668}", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(GameId::like(title).as_ref().map(GameId::as_str), id, "{title}");
        }
        assert_eq!(GameId::like(&"long ".repeat(99)).unwrap().as_str().len(), 64);
    }

    #[test]
    fn labels_cannot_disturb_a_terminal() {
        assert!("20250101".parse::<GameVersion>().is_ok());
        assert!("party pc 7".parse::<PeerName>().is_ok());
        for bad in ["", " x", "x\n", "a\u{1b}[2J", "a\u{202e}b", &"x".repeat(65)] {
            assert!(bad.parse::<PeerName>().is_err(), "{bad:?}");
        }
    }

    /// The identity of the key whose seed is 32 times 1.
    const ID: [u8; 16] = 0xfd11_0d30_1d2f_077d_e141_4b8f_99f4_41b1_u128.to_be_bytes();
    const TEXT: &str = "peer1l5gs6vqa9urhmc2pfw8enazpky8nndga";

    #[test]
    fn peer_ids_have_a_golden_text_and_a_short_form() {
        let id = PeerId::from(ID);
        assert_eq!((id.to_string().as_str(), id.short().as_str()), (TEXT, "l5gs6vqa"));
        assert_eq!(TEXT.parse::<PeerId>(), Ok(id));
        assert_eq!(TEXT.to_ascii_uppercase().parse::<PeerId>(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{TEXT}\""));
        assert_eq!(serde_json::from_str::<PeerId>(&json).unwrap(), id);
        let id = PeerId::random().unwrap();
        assert_eq!(id.to_string().parse::<PeerId>(), Ok(id));
    }

    #[test]
    fn a_peer_id_that_cannot_be_read_says_why() {
        let long = text_form::encode("peer", &[0; 17]);
        for (text, why) in [
            ("", "begin with `peer1`"),
            ("l5gs6vqa", "begin with `peer1`"),
            (&"1".repeat(32), "begin with `peer1`"),
            ("peer1L5gs6vqa9urhmc2pfw8enazpky8nndga", "capitals"),
            ("peer1l5gs6vqa9urhmc2pfw8enazpky8nndg", "wrong or missing"),
            ("peer1l5gs6vqa9urhmc2pfw8enazpky8nndgq", "wrong or missing"),
            (&long, "37 characters"),
            (&text_form::encode("peers", &ID), "another version"),
        ] {
            let refused = text.parse::<PeerId>().unwrap_err();
            assert!(refused.rule.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn files_of_earlier_versions_hold_peer_ids_in_hexadecimal_digits() {
        let digits = "fd110d301d2f077de1414b8f99f441b1";
        for text in [digits, &digits.to_ascii_uppercase(), TEXT] {
            assert_eq!(PeerId::of_record(text), Ok(PeerId::from(ID)), "{text}");
        }
        for bad in ["", "+d110d301d2f077de1414b8f99f441b1", &"é".repeat(16), &"zz".repeat(16), &digits[1..]]
        {
            assert!(PeerId::of_record(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn peer_addresses_are_host_and_port() {
        for good in ["10.0.0.1:4000", "pc-7.lan:1", "[fe80::1]:65535", "a:1"] {
            assert!(good.parse::<PeerAddress>().is_ok(), "{good}");
        }
        for bad in ["", "x", "x:", "x:0", "x:65536", ":1", "fe80::1:4000", "[x]:1", "a b:1", "x:+1"] {
            assert!(bad.parse::<PeerAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn wire_words_are_checked_while_decoding() {
        assert!(serde_json::from_str::<GameId>("\"ok\"").is_ok());
        assert!(serde_json::from_str::<GameId>("\"../x\"").is_err());
    }
}
