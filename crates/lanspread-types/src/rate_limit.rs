//! A limit for bytes per second, as users write it: `20MiB/s`, `100Mbit/s` or `none`.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{LIMIT_RATE_MAX, LIMIT_RATE_MIN};

/// At most so many bytes per second, or no limit. As text `none`, or a whole number and a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RateLimit(Option<NonZeroU64>);

/// Why a text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateLimitError {
    /// It is no number with a unit.
    #[error("a limit is `none`, or a whole number with a unit: 20MiB/s, 20MB/s or 100Mbit/s")]
    Form,
    /// It is lower than [`LIMIT_RATE_MIN`] or higher than [`LIMIT_RATE_MAX`].
    #[error("a limit is at least 256KiB/s (receivers would give up below it) and at most 1TiB/s")]
    Bounds,
}

/// Each unit and its bits, the most usual ones of a size first.
const UNITS: [(&str, u64); 11] = [
    ("TiB/s", 8 << 40),
    ("GiB/s", 8 << 30),
    ("MiB/s", 8 << 20),
    ("KiB/s", 8 << 10),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("GB/s", 8_000_000_000),
    ("MB/s", 8_000_000),
    ("kB/s", 8_000),
    ("B/s", 8),
];

impl RateLimit {
    /// No limit.
    pub const NONE: Self = Self(None);

    /// At most so many bytes per second.
    ///
    /// # Errors
    /// [`RateLimitError::Bounds`].
    pub fn of_bytes_per_second(bytes: u64) -> Result<Self, RateLimitError> {
        let fits = (LIMIT_RATE_MIN..=LIMIT_RATE_MAX).contains(&bytes);
        NonZeroU64::new(bytes).filter(|_| fits).map(|bytes| Self(Some(bytes))).ok_or(RateLimitError::Bounds)
    }

    /// Bytes per second; none if there is no limit.
    pub const fn bytes_per_second(self) -> Option<NonZeroU64> {
        self.0
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        if text.eq_ignore_ascii_case("none") || text == "0" {
            return Ok(Self::NONE);
        }
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).ok_or(RateLimitError::Form)?;
        let (number, unit) = text.split_at(unit_at);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        // Of `MiB` and `Mbit` the size of the letters says nothing. Of `MB` it does: `Mb` is read as bits elsewhere.
        let is_it = |name: &str| name == unit || (name.contains('i') && name.eq_ignore_ascii_case(unit));
        let bits = UNITS.iter().find(|(name, _)| is_it(name)).map(|(_, bits)| *bits);
        let bits = bits.filter(|_| !number.is_empty()).ok_or(RateLimitError::Form)?;
        // A number that does not fit is beyond the bounds.
        let number: u128 = number.parse().map_err(|_| RateLimitError::Bounds)?;
        if number == 0 {
            return Ok(Self::NONE);
        }
        let bytes = number.checked_mul(bits.into()).ok_or(RateLimitError::Bounds)? / 8;
        Self::of_bytes_per_second(u64::try_from(bytes).map_err(|_| RateLimitError::Bounds)?)
    }
}

impl fmt::Display for RateLimit {
    /// The largest unit of which it is a whole number.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return formatter.write_str("none") };
        // Below 2^43 by its bound.
        let bits = bytes.get() * 8;
        let fitting = UNITS.iter().find(|(_, unit)| bits.is_multiple_of(*unit));
        let (name, unit) = fitting.copied().unwrap_or(("B/s", 8));
        write!(formatter, "{}{name}", bits / unit)
    }
}

impl TryFrom<String> for RateLimit {
    type Error = RateLimitError;

    fn try_from(text: String) -> Result<Self, RateLimitError> {
        text.parse()
    }
}

impl From<RateLimit> for String {
    fn from(limit: RateLimit) -> Self {
        limit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_written_in_bytes_or_bits() {
        for (text, bytes) in [
            ("20MiB/s", 20 << 20),
            ("20 MiB/s", 20 << 20),
            ("256KiB/s", 256 << 10),
            ("100Mbit/s", 12_500_000),
            ("1gbit/s", 125_000_000),
            ("1MB/s", 1_000_000),
            ("1TiB/s", 1 << 40),
            ("300000B/s", 300_000),
        ] {
            assert_eq!(text.parse(), RateLimit::of_bytes_per_second(bytes), "{text}");
            assert!(RateLimit::of_bytes_per_second(bytes).is_ok(), "{text}");
        }
        for none in ["none", "None", "0", "0B/s", "0 Mbit/s"] {
            assert_eq!(none.parse(), Ok(RateLimit::NONE), "{none}");
        }
    }

    #[test]
    fn other_texts_and_rates_out_of_bounds_are_refused() {
        for bad in ["", "20", "MiB/s", "20MiB", "20Mb/s", "-1MiB/s", "1.5MiB/s", "20  MiB/s", "20MiB/s ", "½"]
        {
            assert_eq!(bad.parse::<RateLimit>(), Err(RateLimitError::Form), "{bad}");
        }
        let huge = format!("{}TiB/s", u128::MAX);
        for bad in ["255KiB/s", "1kbit/s", "2TiB/s", "99999999999999999999999999999999999999999B/s", &huge] {
            assert_eq!(bad.parse::<RateLimit>(), Err(RateLimitError::Bounds), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_limit_is_read_as_it_is_written(bytes in LIMIT_RATE_MIN..=LIMIT_RATE_MAX) {
            let limit = RateLimit::of_bytes_per_second(bytes).unwrap();
            prop_assert_eq!(limit.to_string().parse(), Ok(limit));
        }

        #[test]
        fn no_text_makes_a_limit_out_of_bounds(text in ".{0,24}") {
            if let Ok(limit) = text.parse::<RateLimit>() {
                let bytes = limit.bytes_per_second().map_or(LIMIT_RATE_MIN, NonZeroU64::get);
                prop_assert!((LIMIT_RATE_MIN..=LIMIT_RATE_MAX).contains(&bytes));
            }
        }
    }
}
