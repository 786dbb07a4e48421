//! The time in what the programs for scenarios print.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the Unix epoch: every event of the scenarios has a time.
#[expect(clippy::disallowed_methods, reason = "a time of day, not a duration")]
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
