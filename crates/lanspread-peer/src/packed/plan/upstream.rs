//! What the plan of a packed stream knows of one upstream.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_types::limits;
use tokio::time::Instant;

/// What kind of upstream it is, the preferred kind first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Relay,
    Source,
    Http,
}

impl Tier {
    /// How long an upstream may take until it says whether it can be asked. A relay has its chunks in memory, and the one
    /// before it may be asked instead; a source looks at its disk.
    pub(crate) fn answers_within(self) -> Duration {
        match self {
            Self::Relay => limits::PACKED_IDLE,
            Self::Source | Self::Http => limits::LISTING_DEADLINE,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Resting,
    Opening,
    /// It has no place, and this receiver is in its queue. As long as that is so, it is as if it were not there.
    Queued,
    Open,
    /// Asked to end.
    Closing,
    /// Failed; tried again at this time.
    Waiting(Instant),
    /// Tried again only if nothing else is left.
    Left,
    Never,
}

#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) tier: Tier,
    pub(super) phase: Phase,
    /// The chunks it owes, in the order in which they were asked, and since when.
    pub(super) asked: VecDeque<(u64, Instant)>,
    /// It has no chunk before this one.
    pub(super) lo: u64,
    pub(super) gaps: u32,
    pub(super) failures: u32,
    /// Whether its own machine is what holds it up, as it says.
    pub(super) full: bool,
    /// When its last chunk came, or it was opened.
    pub(super) progressed_at: Instant,
    /// Time per chunk while it owed some, once one has come.
    pub(super) per_chunk: Option<Duration>,
    /// Chunks that may be asked ahead: fewer if another upstream had to bring what it owed.
    pub(super) ahead: usize,
    /// Whether another upstream had to bring what it owed, since its last chunk.
    pub(super) is_relieved: bool,
    /// How long it has held this receiver up lately.
    pub(super) slow_for: Duration,
}

impl Upstream {
    pub(super) fn new(tier: Tier, now: Instant) -> Self {
        Self {
            tier,
            phase: Phase::Resting,
            asked: VecDeque::new(),
            lo: 0,
            gaps: 0,
            failures: 0,
            full: false,
            progressed_at: now,
            per_chunk: None,
            ahead: limits::PACKED_AHEAD,
            is_relieved: false,
            slow_for: Duration::ZERO,
        }
    }

    /// For how long it has owed something and brought nothing.
    pub(super) fn idles(&self, now: Instant) -> Duration {
        let is_asked = self.phase == Phase::Open && !self.asked.is_empty();
        if is_asked { now.saturating_duration_since(self.progressed_at) } else { Duration::ZERO }
    }

    /// Whether it may bring something, now or after a wait.
    pub(super) fn may_help(&self, tries: u32) -> bool {
        match self.phase {
            Phase::Waiting(_) => self.failures < tries,
            Phase::Queued | Phase::Left | Phase::Never => false,
            _ => true,
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.phase, Phase::Opening | Phase::Open | Phase::Closing)
    }
}
