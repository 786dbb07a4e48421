//! Which source is asked for a place in a wave, and for how long this receiver waits there if the source has none. Pure.
//!
//! A source that makes it wait for its next wave is left at once as long as another one has not been asked. After that, the
//! receiver waits at each of them in turn: nothing is lost by leaving, and one may say for ever that it has no place.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_types::limits;

use crate::peer::asking_order::AskingOrder;

/// The sources of one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JoinOrder<T> {
    asking: AskingOrder<T>,
    /// Those that had no place, in the order in which they are asked again.
    without_place: VecDeque<T>,
}

/// The source to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextJoin<T> {
    pub(super) source: T,
    /// How long it may be silent at first.
    pub(super) patience: Duration,
    /// How long it may make this receiver wait. None if there is no other one.
    pub(super) stays: Option<Duration>,
}

impl<T> JoinOrder<T> {
    pub(super) fn new(sources: impl IntoIterator<Item = T>) -> Self {
        let asking = AskingOrder::new(sources, limits::LISTING_DEADLINE);
        Self { asking, without_place: VecDeque::new() }
    }

    pub(super) fn next(&mut self) -> Option<NextJoin<T>> {
        let (source, patience, stays) = match self.asking.next() {
            Some((source, patience)) => (source, patience, Duration::ZERO),
            None => (self.without_place.pop_front()?, limits::LISTING_DEADLINE, limits::NEXT_WAVE_STAY),
        };
        let has_others = !self.asking.is_empty() || !self.without_place.is_empty();
        Some(NextJoin { source, patience, stays: has_others.then_some(stays) })
    }

    /// Whether a source has not been asked yet.
    pub(super) fn has_unasked(&self) -> bool {
        !self.asking.is_empty()
    }

    /// It was silent for `patience`.
    pub(super) fn was_silent(&mut self, source: T, patience: Duration) {
        self.asking.was_silent(source, patience);
    }

    /// It had no place for as long as it may make this receiver wait.
    pub(super) fn has_no_place(&mut self, source: T) {
        self.without_place.push_back(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_asked_before_one_is_waited_for_and_then_each_in_turn() {
        let mut order = JoinOrder::new(["liar", "honest", "gone"]);
        let mut asked = Vec::new();
        for _ in 0..7 {
            let NextJoin { source, stays, .. } = order.next().unwrap();
            asked.push((source, stays.map(|stays| stays.as_secs())));
            assert_eq!(order.has_unasked(), asked.len() < 3, "one that does not wait asks all of them");
            if source != "gone" {
                order.has_no_place(source);
            }
        }
        let (liar, honest) = (("liar", Some(60)), ("honest", Some(60)));
        let at_first = [("liar", Some(0)), ("honest", Some(0)), ("gone", Some(0))];
        assert_eq!(asked[..3], at_first);
        assert_eq!(asked[3..], [liar, honest, liar, honest]);
    }

    #[test]
    fn the_only_source_is_waited_for() {
        let mut order = JoinOrder::new(["one"]);
        assert_eq!(order.next().unwrap().stays, None);
        order.has_no_place("one");
        assert_eq!(order.next().unwrap().stays, None);
        assert_eq!(order.next(), None);
    }
}
