//! How often something may happen. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::limits;
use tokio::time::Instant;

/// Allows a few at once and then one per interval. What was not used comes back with time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    at_once: u32,
    interval: Duration,
    /// When all of them are allowed again.
    full_at: Option<Instant>,
}

impl Allowance {
    pub(crate) fn new(at_once: u32, interval: Duration) -> Self {
        Self { at_once, interval, full_at: None }
    }

    /// How long the next one must wait; zero if it is allowed now.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let ahead = self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        ahead.saturating_sub(self.interval * self.at_once.saturating_sub(1))
    }

    /// Takes one, whether or not it was allowed.
    pub(crate) fn take(&mut self, now: Instant) {
        let from = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = Some(from + self.interval);
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// How often peers that were only heard of are dialled: at each address, and for announcements also in all.
#[derive(Debug)]
pub(crate) struct DialPace {
    total: Option<Allowance>,
    addresses: BTreeMap<IpAddr, Allowance>,
}

impl DialPace {
    /// For announcements, which can name any address.
    pub(crate) fn of_announcements() -> Self {
        let total = Allowance::new(limits::HINT_DIALS_AT_ONCE, limits::HINT_DIAL_INTERVAL);
        Self { total: Some(total), addresses: BTreeMap::new() }
    }

    /// For visitors, which can only name the address that they came from.
    pub(crate) fn of_visitors() -> Self {
        Self { total: None, addresses: BTreeMap::new() }
    }

    /// Allows one connection to this address.
    ///
    /// # Errors
    /// How long it must wait at least, if it is not allowed now.
    pub(crate) fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.addresses.len() >= limits::HINT_DIAL_ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            self.addresses.retain(|_, pace| !pace.is_full(now));
            if self.addresses.len() >= limits::HINT_DIAL_ADDRESSES_MAX {
                return Err(limits::HINT_DIAL_PER_ADDRESS_INTERVAL);
            }
        }
        let new =
            || Allowance::new(limits::HINT_DIALS_PER_ADDRESS_AT_ONCE, limits::HINT_DIAL_PER_ADDRESS_INTERVAL);
        let here = self.addresses.entry(address).or_insert_with(new);
        let wait = here.wait(now).max(self.total.map_or(Duration::ZERO, |total| total.wait(now)));
        if !wait.is_zero() {
            return Err(wait);
        }
        here.take(now);
        if let Some(total) = &mut self.total {
            total.take(now);
        }
        Ok(())
    }
}

/// How often peers that were only heard of are dialled. A visitor at least comes from the address that is dialled, so a
/// flood of announcements does not keep visitors waiting.
#[derive(Debug)]
pub(crate) struct Dials {
    announced: DialPace,
    visitors: DialPace,
}

impl Default for Dials {
    fn default() -> Self {
        Self { announced: DialPace::of_announcements(), visitors: DialPace::of_visitors() }
    }
}

impl Dials {
    /// The pace for a peer that has visited this one, or for one that was announced.
    pub(crate) fn of(&mut self, has_visited: bool) -> &mut DialPace {
        if has_visited { &mut self.visitors } else { &mut self.announced }
    }
}

/// Wait before the next try, in addition to the pause before every try. Together they double for the first tries; later
/// tries are rare.
pub(crate) fn pause(tries: u32) -> Duration {
    match tries {
        0 | 1 => Duration::ZERO,
        _ if tries > limits::NEIGHBOUR_RETRIES => limits::NEIGHBOUR_SLOW_RETRY,
        _ => limits::NEIGHBOUR_RETRY_PAUSE * (2u32.saturating_pow(tries - 1) - 1),
    }
}

/// The same for a peer that was only heard of and has never answered: they double all the way to a bound.
pub(crate) fn hint_pause(tries: u32) -> Duration {
    let doubled = 2u32.saturating_pow(tries.saturating_sub(1)) - 1;
    limits::NEIGHBOUR_RETRY_PAUSE.saturating_mul(doubled).min(limits::HINT_RETRY_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_allowed_at_once_and_then_one_per_interval() {
        let begin = Instant::now();
        let mut pace = Allowance::new(3, Duration::from_secs(2));
        let mut allowed_at = Vec::new();
        for tenth in 0..100 {
            let now = begin + Duration::from_millis(100 * tenth);
            if pace.wait(now).is_zero() {
                pace.take(now);
                allowed_at.push(tenth);
            }
        }
        assert_eq!(allowed_at, [0, 1, 2, 20, 40, 60, 80]);
        let wait = pace.wait(begin + Duration::from_millis(9900));
        assert_eq!(wait, Duration::from_millis(100), "it says how long to wait");
        let rested = begin + Duration::from_mins(1);
        for _ in 0..3 {
            assert!(pace.wait(rested).is_zero(), "what was not used comes back");
            pace.take(rested);
        }
        assert_eq!(pace.wait(rested), Duration::from_secs(2));
    }

    /// Connections that are allowed within a minute, if one is asked for every 10 ms.
    fn in_a_minute(mut pace: DialPace, address: impl Fn(u32) -> IpAddr) -> usize {
        let begin = Instant::now();
        let asked = (0..6000)
            .filter(|index| pace.take(address(*index), begin + Duration::from_millis(10) * *index).is_ok());
        asked.count()
    }

    #[test]
    fn one_machine_and_all_machines_together_are_dialled_a_bounded_number_of_times() {
        for pace in [DialPace::of_announcements(), DialPace::of_visitors()] {
            let one = in_a_minute(pace, |_| IpAddr::from([10, 0, 0, 1]));
            assert_eq!(one, 25, "16 at once and one every 6 s");
        }
        let many = |index: u32| IpAddr::from((0x0a00_0000 + index % 254).to_be_bytes());
        assert_eq!(in_a_minute(DialPace::of_announcements(), many), 247, "128 at once and two a second");
        let ten = |index: u32| IpAddr::from((0x0a00_0000 + index % 10).to_be_bytes());
        assert_eq!(in_a_minute(DialPace::of_visitors(), ten), 10 * 25, "each address has its own");
    }

    #[test]
    fn fifty_machines_that_start_together_are_dialled_at_once() {
        let (mut pace, now) = (DialPace::of_announcements(), Instant::now());
        assert!((0..50).all(|last| pace.take(IpAddr::from([10, 0, 0, last]), now).is_ok()));
    }

    #[test]
    fn the_table_of_machines_is_bounded_and_forgets() {
        let (mut pace, begin) = (DialPace::of_visitors(), Instant::now());
        for index in 0..50_000u32 {
            let now = begin + Duration::from_millis(u64::from(index));
            let _ = pace.take(IpAddr::from(index.to_be_bytes()), now);
            assert!(pace.addresses.len() <= limits::HINT_DIAL_ADDRESSES_MAX);
        }
        let later = begin + Duration::from_mins(2);
        assert_eq!(pace.take(IpAddr::from([10, 0, 0, 1]), later), Ok(()));
    }
    #[test]
    fn a_hint_without_an_answer_is_tried_ever_more_rarely() {
        let pauses: Vec<u128> = (0..=10).map(|tries| hint_pause(tries).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 500, 1500, 3500, 7500, 15_500, 31_500, 63_500, 120_000, 120_000]);
        assert_eq!(hint_pause(u32::MAX), limits::HINT_RETRY_PAUSE_MAX);
    }
}
