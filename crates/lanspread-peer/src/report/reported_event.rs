//! An event with the time at which it was reported, as followers receive it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::report::event::PeerEvent;

/// An event with the time at which it was reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedEvent {
    /// When.
    #[serde(with = "milliseconds")]
    pub at: SystemTime,
    /// What.
    pub event: PeerEvent,
}

impl ReportedEvent {
    /// An event that happens now.
    pub fn now(event: PeerEvent) -> Self {
        Self { at: SystemTime::now(), event }
    }
}

/// Times as milliseconds since the Unix epoch.
mod milliseconds {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::disallowed_methods, reason = "a time for people, which nothing waits for")]
    pub(super) fn serialize<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let since = Duration::from_millis(u64::deserialize(deserializer)?);
        UNIX_EPOCH.checked_add(since).ok_or_else(|| serde::de::Error::custom("a time out of range"))
    }
}
