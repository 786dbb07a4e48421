//! Values of options that are no words of the library.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::ValueEnum;
use lanspread_peer::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_BYTES_MIN, PORT_DEFAULT, WAIT_MAX};
use lanspread_peer::{DecodeAt, NamePolicy, PeerAddress, PeerId, PeerName, WordError};

/// A name under which a browser asks for a page, in lower case.
#[cfg(feature = "web")]
pub(crate) fn web_name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    is_name
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "a name is such as den.local, without a port".to_owned())
}

/// The size of a dictionary in bytes, written as `4GiB`, `4G` or `1536m`. A type of its own, because the config file then
/// takes it as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DictionaryBytes(pub(crate) u64);

impl FromStr for DictionaryBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let shift = match unit.to_ascii_lowercase().as_str() {
            "k" | "kib" => Some(10),
            "m" | "mib" => Some(20),
            "g" | "gib" => Some(30),
            _ => None,
        };
        let bytes =
            number.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        let bytes = bytes.ok_or("a size is a number with a unit, such as 512MiB or 4GiB")?;
        let fits = (DICTIONARY_BYTES_MIN..=DICTIONARY_BYTES_MAX).contains(&bytes);
        fits.then_some(Self(bytes)).ok_or_else(|| "a dictionary has 128KiB to 64GiB".to_owned())
    }
}

/// A time to wait, written as `90s`, `5m` or `2h`, in milliseconds. A type of its own for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitTime(pub(crate) u64);

impl FromStr for WaitTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit_ms = match unit {
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let time =
            number.parse::<u64>().ok().zip(unit_ms).and_then(|(number, unit_ms)| number.checked_mul(unit_ms));
        let time = time.ok_or("a time is a number with a unit, such as 90s, 5m or 2h")?;
        let fits = u128::from(time) <= WAIT_MAX.as_millis();
        fits.then_some(Self(time)).ok_or_else(|| "the longest wait with a bound is 168h".to_owned())
    }
}

/// The URL of a source as it was given. It is checked later, because the parser of the command line would print a wrong
/// one with its credentials.
#[derive(Clone)]
pub(crate) struct GivenUrl(pub(crate) String);

impl std::fmt::Debug for GivenUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl FromStr for GivenUrl {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A peer as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GivenPeer {
    Address(PeerAddress),
    Id(PeerId),
    /// Its name, the beginning of its id, or the name of its machine.
    Named(String),
}

impl GivenPeer {
    /// Its address, if that was given.
    pub(crate) fn address(&self) -> Option<PeerAddress> {
        match self {
            Self::Address(address) => Some(address.clone()),
            Self::Id(_) | Self::Named(_) => None,
        }
    }

    /// Whether its address has to be looked up.
    pub(crate) fn is_looked_up(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// Its address, if what was given is the name of a machine.
    pub(crate) fn as_host(&self) -> Option<PeerAddress> {
        match self {
            Self::Address(address) => Some(address.clone()),
            Self::Named(host) => format!("{host}:{PORT_DEFAULT}").parse().ok(),
            Self::Id(_) => None,
        }
    }
}

impl fmt::Display for GivenPeer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Id(id) => id.fmt(formatter),
            Self::Named(name) => formatter.write_str(name),
        }
    }
}

impl FromStr for GivenPeer {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::from((address, PORT_DEFAULT)).into()));
        }
        if text.contains(':') {
            return text.parse().map(Self::Address);
        }
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            // Every word that a peer may have as its name.
            Err(_) => text.parse::<PeerName>().map(|name| Self::Named(name.to_string())),
        }
    }
}

/// Which file names are accepted.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Names {
    /// Names that Linux, Windows and macOS can hold
    Portable,
    /// Names that this system can hold
    Native,
}

impl From<Names> for NamePolicy {
    fn from(names: Names) -> Self {
        match names {
            Names::Portable => Self::Portable,
            Names::Native => Self::Native,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_a_unit_and_bounds() {
        for (text, bytes) in
            [("1GiB", 1 << 30), ("64g", 64 << 30), ("128K", 128 << 10), ("1536MiB", 1536 << 20)]
        {
            assert_eq!(text.parse(), Ok(DictionaryBytes(bytes)), "{text}");
        }
        for (text, wait_ms) in [("0s", 0), ("90s", 90_000), ("5m", 300_000), ("168h", 604_800_000)] {
            assert_eq!(text.parse(), Ok(WaitTime(wait_ms)), "{text}");
        }
        for bad in ["", "4", "s", "4 s", "-4s", "169h", "1.5m", "1d", "4S", "99999999999999999999s"] {
            assert!(bad.parse::<WaitTime>().is_err(), "{bad}");
        }
        for bad in ["", "4", "g", "4 GiB", "-4g", "65g", "127k", "4t", "1.5g", "99999999999999999999g"] {
            assert!(bad.parse::<DictionaryBytes>().is_err(), "{bad}");
        }
    }
}

/// Where a streamed game is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecodePlace {
    /// On this machine, from the packed archive, which is never stored
    #[default]
    Here,
    /// At the source
    Source,
}

impl From<DecodePlace> for DecodeAt {
    fn from(place: DecodePlace) -> Self {
        match place {
            DecodePlace::Here => Self::Receiver,
            DecodePlace::Source => Self::Source,
        }
    }
}
