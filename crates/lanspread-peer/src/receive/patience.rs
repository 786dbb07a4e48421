//! How long an operation waits for a place, and how often it says so.

use std::sync::OnceLock;
use std::time::Duration;

use lanspread_proto::queued::QueuePosition;
use lanspread_types::limits;
use tokio::time::Instant;

use crate::report::operation::Wait;

/// The wait of one operation, at whichever sources.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    wait: Wait,
    since: OnceLock<Instant>,
}

impl Patience {
    pub(crate) fn new(wait: Wait) -> Self {
        Self { wait, since: OnceLock::new() }
    }

    /// It waits now. Returns until when it may; none if there is no bound.
    pub(crate) fn until(&self) -> Option<Instant> {
        let since = *self.since.get_or_init(Instant::now);
        self.wait.limit().map(|limit| since + limit)
    }

    /// Whether it may not wait any longer.
    pub(crate) fn is_over(&self) -> bool {
        self.until().is_some_and(|until| until <= Instant::now())
    }
}

/// Whether one queue moves.
#[derive(Debug, Default)]
pub(crate) struct QueueMoves {
    /// How many were before this receiver at least, and since when.
    least: Option<(u32, Instant)>,
}

impl QueueMoves {
    /// Until when the queue may stand still, if it may do so for `stays`.
    pub(crate) fn until(&mut self, position: QueuePosition, stays: Duration, now: Instant) -> Instant {
        let (ahead, since) = match self.least {
            Some((ahead, since)) if ahead <= position.ahead => (ahead, since),
            _ => (position.ahead, now),
        };
        self.least = Some((ahead, since));
        since + stays
    }
}

/// What was reported of one wait.
#[derive(Debug, Default)]
pub(crate) struct QueueReports {
    last: Option<(Instant, u32)>,
}

impl QueueReports {
    /// Whether nothing was reported yet.
    pub(crate) fn is_first(&self) -> bool {
        self.last.is_none()
    }

    /// Whether this position is to be reported: the first one, another one, and the same one after a while.
    pub(crate) fn is_due(&mut self, position: QueuePosition, now: Instant) -> bool {
        self.is_due_with(position.ahead, now)
    }

    /// The same for any number that says how long the queue is.
    pub(crate) fn is_due_with(&mut self, number: u32, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|(at, before)| {
            before != number || now.duration_since(at) >= limits::QUEUED_REPORT_INTERVAL
        });
        if is_due {
            self.last = Some((now, number));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_begins_with_the_first_wait_and_may_be_none_or_without_end() {
        let (always, none) = (Patience::new(Wait::Always), Patience::new(Wait::For { wait_ms: 0 }));
        let some = Patience::new(Wait::For { wait_ms: 5000 });
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(!some.is_over() && none.is_over() && !always.is_over());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(!some.is_over());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(some.is_over() && !always.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_is_reported_when_it_changes_and_now_and_then() {
        let (mut reports, begun) = (QueueReports::default(), Instant::now());
        let reported: Vec<u64> = (0..30)
            .filter(|second| {
                let ahead = if *second < 3 { 2 } else { 1 };
                let position = QueuePosition { ahead, in_ms: u32::try_from(*second).ok() };
                reports.is_due(position, begun + Duration::from_secs(*second))
            })
            .collect();
        assert_eq!(reported, [0, 3, 13, 23]);
    }

    /// A source may let others in before this receiver for ever.
    #[tokio::test(start_paused = true)]
    async fn a_queue_moves_only_if_fewer_are_ahead_than_ever() {
        let (mut moves, begun) = (QueueMoves::default(), Instant::now());
        let said = [3, 3, 2, 3, 2, 1, 1].into_iter().enumerate();
        let until: Vec<u64> = said
            .map(|(minute, ahead)| {
                let now = begun + Duration::from_mins(minute as u64);
                let position = QueuePosition { ahead, in_ms: None };
                (moves.until(position, Duration::from_mins(10), now) - begun).as_secs() / 60
            })
            .collect();
        assert_eq!(until, [10, 10, 12, 12, 12, 15, 15]);
    }
}
