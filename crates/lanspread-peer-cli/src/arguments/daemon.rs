//! How a daemon stops, and who may command it.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueHint};
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
    fn a_time_to_drain_has_a_unit_and_a_bound() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21_600)] {
            assert_eq!(text.parse(), Ok(DrainTime(Duration::from_secs(seconds))), "{text}");
        }
        for bad in ["", "10", "m", "7h", "-1s", "1d", "18446744073709551615h"] {
            assert!(bad.parse::<DrainTime>().is_err(), "{bad}");
        }
    }
}
