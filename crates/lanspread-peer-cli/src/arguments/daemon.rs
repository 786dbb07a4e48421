//! How a daemon stops, and who may command it.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueHint};
use lanspread_peer::CommandGroups;
use lanspread_peer::limits::DRAIN_MAX;

use crate::help::heading::SERVING;

/// How a daemon stops.
#[derive(Debug, Args)]
pub(crate) struct StopOptions {
    /// On SIGTERM or SIGINT, begin nothing new and let what runs end for at most this long, up to 6h; a second signal ends it at
    /// once
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_DRAIN", value_hint = ValueHint::Other, value_name = "TIME", default_value = "0s")]
    pub(crate) drain: DrainTime,
}

/// Who may use the daemon beside its user and root.
#[derive(Debug, Args)]
pub(crate) struct SocketOptions {
    /// Let members of this group command the daemon: a name of /etc/group, or a number
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_SOCKET_GROUP", value_hint = ValueHint::Other, value_name = "GROUP")]
    pub(crate) socket_group: Option<GroupNumber>,
    /// Let members of this group ask the daemon (`list`, `status`, `room`, `operations`, `events`), and not command it
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_SOCKET_READ_GROUP", value_hint = ValueHint::Other, value_name = "GROUP")]
    pub(crate) socket_read_group: Option<GroupNumber>,
}

impl From<&SocketOptions> for CommandGroups {
    fn from(options: &SocketOptions) -> Self {
        let number = |group: Option<GroupNumber>| group.map(|GroupNumber(number)| number);
        Self { commanding: number(options.socket_group), asking: number(options.socket_read_group) }
    }
}

/// The number of a group of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupNumber(u32);

impl FromStr for GroupNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        let groups = std::fs::read_to_string("/etc/group").map_err(|error| format!("/etc/group: {error}"))?;
        let number = number_of(&groups, text);
        number.map(Self).ok_or_else(|| format!("/etc/group has no group {text}; a number works too"))
    }
}

/// The number of a group in the text of /etc/group, whose lines are `NAME:PASSWORD:NUMBER:MEMBERS`. Pure.
fn number_of(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    })
}

/// A time to drain, written as `90s`, `5m` or `2h`. A type of its own, because the config file then takes it as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DrainTime(pub(crate) Duration);

impl FromStr for DrainTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let seconds = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let time =
            number.parse::<u64>().ok().zip(seconds).and_then(|(number, unit)| number.checked_mul(unit));
        let time = time.ok_or("a time is a number with a unit, such as 90s, 5m or 2h")?;
        let time = Duration::from_secs(time);
        (time <= DRAIN_MAX).then_some(Self(time)).ok_or_else(|| "the longest time to drain is 6h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_name_or_a_number() {
        let groups = "root:x:0:\ngames:x:60:a,b\nbroken:x\n";
        assert_eq!(number_of(groups, "games"), Some(60));
        for none in ["game", "broken", "", "x"] {
            assert_eq!(number_of(groups, none), None, "{none}");
        }
        assert_eq!("1234".parse(), Ok(GroupNumber(1234)));
        assert!("no such group".parse::<GroupNumber>().is_err());
    }

    #[test]
    fn a_time_to_drain_has_a_unit_and_a_bound() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21_600)] {
            assert_eq!(text.parse(), Ok(DrainTime(Duration::from_secs(seconds))), "{text}");
        }
        for bad in ["", "10", "m", "7h", "-1s", "1d", "18446744073709551615h"] {
            assert!(bad.parse::<DrainTime>().is_err(), "{bad}");
        }
    }
}
