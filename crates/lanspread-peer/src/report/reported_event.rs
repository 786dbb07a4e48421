//! An event with its place in the run of the peer, as followers receive it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::report::event::PeerEvent;

/// An event with its place in the run of the peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedEvent {
    /// When it was reported.
    #[serde(with = "milliseconds")]
    pub at: SystemTime,
    /// Counts the events of this run of the peer from 1. None for what only one follower is told, such as how many events
    /// it has lost.
    #[serde(default)]
    pub seq: Option<u64>,
    /// The operation that reported it, if one did.
    #[serde(default)]
    pub operation: Option<u64>,
    /// What happened.
    pub event: PeerEvent,
}

impl ReportedEvent {
    /// An event that happens now, and is told to one follower only.
    pub fn now(event: PeerEvent) -> Self {
        Self { at: SystemTime::now(), seq: None, operation: None, event }
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
