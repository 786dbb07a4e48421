//! How long a window waits for its follower, and for all of them together.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a follower keeps a window from going on, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    None,
    /// It does not ask for what is here: its own machine is what is slow.
    Idle,
    /// It is being sent what it asked for, and the window is the one of a head. A source may send a head more than any link
    /// of its wave carries, so that it would be ahead of a follower that is as fast as all others.
    Busy,
}

/// For how long followers kept a window from going on, and how much of a patience that took.
///
/// The patience for an idle follower is a budget that is never filled up again: otherwise a slow one would slow all that are
/// before it for as long as the game takes. What a busy one takes of it comes back while it holds up nothing. So it is
/// waited for as long as it takes a third of what the head could get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    most: Duration,
    hold: Hold,
    /// When the time was counted last.
    counted_at: Option<Instant>,
    held_up: Duration,
    idle: Duration,
    busy: Duration,
    is_spent: bool,
}

impl Patience {
    /// That it waits for so long.
    pub(super) fn of(most: Duration) -> Self {
        let none = Duration::ZERO;
        Self {
            most,
            hold: Hold::None,
            counted_at: None,
            held_up: none,
            idle: none,
            busy: none,
            is_spent: false,
        }
    }

    /// From now on, the window is held up in this way.
    pub(super) fn count(&mut self, hold: Hold, now: Instant) {
        *self = Self { hold, ..self.at(now) };
    }

    pub(super) fn is_spent(&self, now: Instant) -> bool {
        self.at(now).is_spent
    }

    /// For how long the window has waited. Once the patience is spent it waits no longer.
    pub(super) fn held_up(&self, now: Instant) -> Duration {
        self.at(now).held_up
    }

    /// When the patience is spent if nothing changes.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        let counted_at = self.counted_at.filter(|_| self.hold != Hold::None && !self.is_spent);
        counted_at.map(|at| at + self.left())
    }

    fn left(&self) -> Duration {
        self.most.saturating_sub(self.idle + self.busy)
    }

    /// The same with the time until now counted.
    fn at(mut self, now: Instant) -> Self {
        let passed = self.counted_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.counted_at = self.counted_at.max(Some(now));
        if self.is_spent {
            return self;
        }
        let waited = passed.min(self.left());
        match self.hold {
            Hold::None => self.busy = self.busy.saturating_sub(passed * BUSY_COMES_BACK),
            Hold::Idle => self.idle += waited,
            Hold::Busy => self.busy += waited,
        }
        if self.hold != Hold::None {
            self.held_up += waited;
        }
        self.is_spent = self.left().is_zero();
        self
    }
}

/// What a busy follower took comes back so much faster. It loses all of it only if it holds its head up for more than two
/// thirds of the time.
const BUSY_COMES_BACK: u32 = 2;

#[cfg(test)]
mod tests {
    use lanspread_types::limits;

    use super::*;

    /// After how many turns of so many milliseconds with and without a hold the patience is spent.
    fn turns(hold: Hold, with_ms: u64, without_ms: u64) -> Option<u64> {
        let mut now = Instant::now();
        let mut patience = Patience::of(limits::FOLLOWER_PATIENCE);
        (0..10_000).find(|_| {
            patience.count(hold, now);
            now += Duration::from_millis(with_ms);
            patience.count(Hold::None, now);
            now += Duration::from_millis(without_ms);
            patience.is_spent(now)
        })
    }

    #[test]
    fn an_idle_follower_is_waited_for_so_long_in_all_and_a_busy_one_as_long_as_it_has_a_third_of_the_pace() {
        let in_all = u64::try_from(limits::FOLLOWER_PATIENCE.as_millis()).unwrap();
        assert_eq!(turns(Hold::Idle, 100, 900), Some(in_all / 100 - 1));
        assert_eq!(turns(Hold::Busy, 50, 50), None, "the head could have twice the pace");
        assert_eq!(turns(Hold::Busy, 64, 36), None);
        assert!(turns(Hold::Busy, 90, 10).is_some(), "ten times");
    }

    #[test]
    fn what_is_spent_does_not_come_back_and_no_more_is_waited() {
        let begun = Instant::now();
        let mut patience = Patience::of(limits::FOLLOWER_PATIENCE);
        patience.count(Hold::Busy, begun);
        let spent_at = begun + limits::FOLLOWER_PATIENCE;
        assert_eq!(patience.ends_at(), Some(spent_at));
        assert!(!patience.is_spent(spent_at.checked_sub(Duration::from_millis(1)).unwrap()));
        patience.count(Hold::None, spent_at);
        let later = spent_at + limits::FOLLOWER_PATIENCE;
        assert!(patience.is_spent(later));
        patience.count(Hold::Idle, later);
        let end = later + limits::FOLLOWER_PATIENCE;
        assert_eq!((patience.held_up(end), patience.ends_at()), (limits::FOLLOWER_PATIENCE, None));
    }
}
