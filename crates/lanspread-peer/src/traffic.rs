//! What this peer sends and receives of games: counted by kind, and held to the limits of its user.
//!
//! There is one line in each direction ([`line`], pure). It is asked between two frames, so that a message never waits for
//! it: what sends says that it is alive meanwhile. Without a limit, asking is one look at a number.

mod limiter;
mod line;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lanspread_types::rate_limit::RateLimit;

use self::limiter::Limiter;

/// What is sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrafficKind {
    /// Entries of decoded archives and of installed trees.
    Stream,
    /// Root files, in chunks that are asked for.
    Download,
    /// Chunks of packed streams.
    Packed,
    /// What HTTP servers send.
    Http,
}

/// Who has its turn at a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineUser {
    /// A machine that is sent something, however many connections it has.
    Guest(IpAddr),
    /// An operation of this peer that receives something, from however many sources.
    Operation(u64),
}

/// The limits of a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrafficLimits {
    /// For what it sends of games, to all peers together.
    pub up: RateLimit,
    /// For what it receives of games, from all peers and servers together.
    pub down: RateLimit,
}

impl TrafficLimits {
    /// The same with this limit for what is sent.
    #[must_use]
    pub fn with_up(mut self, up: RateLimit) -> Self {
        self.up = up;
        self
    }

    /// The same with this limit for what is received.
    #[must_use]
    pub fn with_down(mut self, down: RateLimit) -> Self {
        self.down = down;
        self
    }
}

/// What one peer sends and receives.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    up: Direction,
    down: Direction,
    operations: AtomicU64,
}

#[derive(Debug, Default)]
struct Direction {
    limiter: Limiter<LineUser>,
    bytes: [AtomicU64; KINDS.len()],
}

const KINDS: [TrafficKind; 4] =
    [TrafficKind::Stream, TrafficKind::Download, TrafficKind::Packed, TrafficKind::Http];

/// Counts and limits what one transfer moves.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    traffic: Arc<Traffic>,
    is_up: bool,
    kind: TrafficKind,
    user: LineUser,
}

/// Makes the meters of one operation that receives.
#[derive(Debug, Clone)]
pub(crate) struct Downlink {
    traffic: Arc<Traffic>,
    user: LineUser,
}

impl Traffic {
    /// The limits in force.
    pub(crate) fn limits(&self) -> TrafficLimits {
        TrafficLimits { up: self.up.limiter.limit(), down: self.down.limiter.limit() }
    }

    /// Sets limits, for what is under way too.
    pub(crate) fn set_limits(&self, limits: TrafficLimits) {
        self.up.limiter.set(limits.up);
        self.down.limiter.set(limits.down);
    }

    /// Meters what is sent to a machine.
    pub(crate) fn sent_to(self: &Arc<Self>, network: IpAddr, kind: TrafficKind) -> Meter {
        Meter { traffic: Arc::clone(self), is_up: true, kind, user: LineUser::Guest(network) }
    }

    /// Meters what one more operation receives.
    pub(crate) fn downlink(self: &Arc<Self>) -> Downlink {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        Downlink { traffic: Arc::clone(self), user: LineUser::Operation(number) }
    }
}

impl Traffic {
    /// Bytes that were sent, by kind.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (&'static str, u64)> {
        // Nothing is sent as an HTTP server.
        self.up.counted().filter(|(kind, _)| *kind != TrafficKind::Http.code())
    }

    /// Bytes that were received, by kind.
    pub(crate) fn received(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.down.counted()
    }
}

impl Direction {
    fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.iter().map(|kind| (kind.code(), self.bytes[*kind as usize].load(Ordering::Relaxed)))
    }
}

impl TrafficKind {
    /// Its word in metrics.
    fn code(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Download => "download",
            Self::Packed => "packed",
            Self::Http => "http",
        }
    }
}

impl Downlink {
    /// The meter of one kind.
    pub(crate) fn meter(&self, kind: TrafficKind) -> Meter {
        Meter { traffic: Arc::clone(&self.traffic), is_up: false, kind, user: self.user }
    }
}

impl Meter {
    fn direction(&self) -> &Direction {
        if self.is_up { &self.traffic.up } else { &self.traffic.down }
    }

    /// Whether there is a limit, so that [`Self::pass`] may wait.
    pub(crate) fn is_limited(&self) -> bool {
        self.direction().limiter.is_set()
    }

    /// Waits until so many bytes may pass. What is sent waits before, what is received is waited for after it has come, so that
    /// the next bytes come later. Cancel safe: bytes that did not pass count for nothing.
    pub(crate) async fn pass(&self, bytes: u64) {
        if self.is_limited() {
            self.direction().limiter.pass(self.user, bytes).await;
        }
    }

    /// Counts bytes that were sent or received.
    pub(crate) fn count(&self, bytes: u64) {
        self.direction().bytes[self.kind as usize].fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Traffic {
    /// Traffic at the lowest rate, whose lines others have for so long.
    pub(crate) fn occupied(time: std::time::Duration) -> Arc<Self> {
        let rate = lanspread_types::limits::LIMIT_RATE_MIN;
        let limit = RateLimit::of_bytes_per_second(rate).unwrap();
        let traffic = Arc::new(Self::default());
        traffic.set_limits(TrafficLimits { up: limit, down: limit });
        for direction in [&traffic.up, &traffic.down] {
            direction.limiter.occupy(LineUser::Operation(u64::MAX), rate * time.as_secs());
        }
        traffic
    }
}

#[cfg(test)]
impl Meter {
    /// A meter of nothing that has a limit.
    pub(crate) fn unlimited() -> Self {
        Arc::new(Traffic::default()).downlink().meter(TrafficKind::Stream)
    }
}

#[cfg(test)]
mod tests;
