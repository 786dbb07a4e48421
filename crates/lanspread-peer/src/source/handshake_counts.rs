//! How the handshakes of those that connected ended.

use std::sync::atomic::{AtomicU64, Ordering};

use lanspread_proto::WireError;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeEnd {
    /// The other side has proved who it is, and is let in.
    Done,
    /// It is of another party or version, or is not let in.
    Refused,
    /// It has proved nothing.
    Failed,
    /// There were too many at once.
    GaveWay,
}

impl HandshakeEnd {
    pub(crate) const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::Failed, Self::GaveWay];

    /// The end of a handshake that failed.
    pub(super) fn of(error: &WireError) -> Self {
        match error {
            WireError::OtherParty { .. } | WireError::NotAdmitted { .. } | WireError::Version { .. } => {
                Self::Refused
            }
            _ => Self::Failed,
        }
    }

    /// Its word in metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::GaveWay => "gave-way",
        }
    }
}

/// How many ended in which way.
#[derive(Debug, Default)]
pub(crate) struct HandshakeCounts([AtomicU64; HandshakeEnd::ALL.len()]);

impl HandshakeCounts {
    pub(super) fn add(&self, end: HandshakeEnd) {
        self.0[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, end: HandshakeEnd) -> u64 {
        self.0[end as usize].load(Ordering::Relaxed)
    }
}
