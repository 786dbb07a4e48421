//! What a receiver knows of its wave, and passes on to its follower: how many places there are, and which receiver from the
//! head of the wave to itself is the slowest. Pure: the time is given.
//!
//! It is for people. Nothing is decided by it, because a relay may say what it likes.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_proto::packed::{SlowReceiver, WaveNews};
use lanspread_types::ids::PeerName;
use tokio::time::Instant;

use crate::packed::plan::UpstreamId;
use crate::report::packed_stream::SlowestReceiver;

/// What a receiver has got so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) chunks: u64,
    /// For how long its follower kept it from asking for more.
    pub(crate) held_up: Duration,
    pub(crate) now: Instant,
}

/// What was heard of a wave, and the pace of this receiver.
#[derive(Debug, Default)]
pub(crate) struct WaveView {
    places: u32,
    /// The slowest receiver ahead, and the upstream that named it.
    slowest: Option<(UpstreamId, SlowReceiver)>,
    pace: Pace,
}

impl WaveView {
    /// Takes what an upstream said. Returns whether anything is new.
    pub(crate) fn hear(&mut self, upstream: UpstreamId, news: WaveNews) -> bool {
        let before = (self.places, self.slowest.clone());
        // A source that did not form the wave knows none of its places.
        self.places = self.places.max(news.places);
        match news.slowest {
            Some(slowest) => self.slowest = Some((upstream, slowest)),
            None => self.left(upstream),
        }
        before != (self.places, self.slowest.clone())
    }

    /// An upstream is no longer followed: what was ahead of it concerns this receiver no more.
    pub(crate) fn left(&mut self, upstream: UpstreamId) {
        self.slowest.take_if(|(named_by, _)| *named_by == upstream);
    }

    /// Places of the wave; 0 if that is not known.
    pub(crate) fn places(&self) -> u32 {
        self.places
    }

    /// The slowest receiver ahead, if one was named.
    pub(crate) fn slowest(&self) -> Option<SlowestReceiver> {
        let (_, SlowReceiver { name, bytes_per_second }) = self.slowest.as_ref()?;
        Some(SlowestReceiver { peer: name.clone(), bytes_per_second: *bytes_per_second })
    }

    /// What the follower of this receiver hears. `arrived` is none once everything is here: it has no pace then.
    pub(crate) fn passed_on(
        &mut self,
        own: &PeerName,
        chunk_bytes: u64,
        arrived: Option<Arrived>,
    ) -> WaveNews {
        let ahead = self.slowest.as_ref().map(|(_, slowest)| slowest);
        let own_pace = arrived.and_then(|arrived| self.pace.per_second(chunk_bytes, arrived));
        let own = own_pace.map(|bytes_per_second| SlowReceiver { name: own.clone(), bytes_per_second });
        WaveNews { places: self.places, slowest: slower(ahead, own) }
    }
}

/// The slower of the slowest receiver ahead and this one. All that follow a slow receiver have its pace, so this one is
/// named only if it is clearly slower.
fn slower(ahead: Option<&SlowReceiver>, own: Option<SlowReceiver>) -> Option<SlowReceiver> {
    match (ahead, own) {
        (Some(ahead), Some(own)) => {
            let limit = ahead.bytes_per_second / 100 * CLEARLY_SLOWER_PERCENT;
            Some(if own.bytes_per_second < limit { own } else { ahead.clone() })
        }
        (ahead, own) => own.or_else(|| ahead.cloned()),
    }
}

/// How fast chunks arrive while the follower does not hold this receiver up, over the last seconds.
#[derive(Debug, Default)]
struct Pace(VecDeque<Arrived>);

impl Pace {
    /// Bytes that arrive in a second; nothing until enough time was measured.
    fn per_second(&mut self, chunk_bytes: u64, arrived: Arrived) -> Option<u64> {
        let Arrived { chunks, held_up, now } = arrived;
        if self.0.back().is_some_and(|before| before.held_up > held_up) {
            // It has another follower.
            self.0.clear();
        }
        // One sample from before the span stays, so that the span is always covered.
        while self.0.get(1).is_some_and(|sample| now.saturating_duration_since(sample.now) >= PACE_SPAN) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|sample| now.saturating_duration_since(sample.now) >= PACE_SAMPLE) {
            self.0.push_back(arrived);
        }
        let first = self.0.front()?;
        let passed = now.saturating_duration_since(first.now);
        let measured = passed.saturating_sub(held_up.saturating_sub(first.held_up));
        if measured < PACE_SPAN_MIN {
            return None;
        }
        let bytes = u128::from(chunks.saturating_sub(first.chunks)) * u128::from(chunk_bytes);
        u64::try_from(bytes * 1000 / measured.as_millis()).ok()
    }
}

/// A pace is the average of this time, so that it neither jumps nor lags.
const PACE_SPAN: Duration = Duration::from_secs(10);
/// A pace that was measured over less time says nothing.
const PACE_SPAN_MIN: Duration = Duration::from_secs(2);
/// The time between two samples: it bounds how many are kept, however many followers ask.
const PACE_SAMPLE: Duration = Duration::from_millis(500);
/// In percent of the pace ahead: two that have the same pace differ by less.
const CLEARLY_SLOWER_PERCENT: u64 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> PeerName {
        name.parse().unwrap()
    }

    fn news(places: u32, slowest: Option<(&str, u64)>) -> WaveNews {
        let receiver = |(named, bytes_per_second)| SlowReceiver { name: name(named), bytes_per_second };
        WaveNews { places, slowest: slowest.map(receiver) }
    }

    fn arrived(begun: Instant, seconds: u64, chunks: u64, held_up: u64) -> Arrived {
        let held_up = Duration::from_secs(held_up);
        Arrived { chunks, held_up, now: begun + Duration::from_secs(seconds) }
    }

    /// What a receiver passes on after twenty seconds in which so many chunks arrived in each.
    fn passed_on(view: &mut WaveView, per_second: u64) -> WaveNews {
        let begun = Instant::now();
        let told = (0..=20).map(|second| {
            view.passed_on(&name("me"), 1, Some(arrived(begun, second, per_second * second, 0)))
        });
        told.last().unwrap()
    }

    #[test]
    fn the_slowest_from_the_head_to_a_receiver_is_passed_on_and_one_that_only_follows_it_is_not() {
        let told = |ahead: Option<(&str, u64)>, own| {
            let mut view = WaveView::default();
            view.hear(0, news(8, ahead));
            passed_on(&mut view, own)
        };
        assert_eq!(told(None, 85), news(8, Some(("me", 85))), "it is the head");
        assert_eq!(told(Some(("seat-1", 8500)), 8500), news(8, Some(("seat-1", 8500))), "the same pace");
        assert_eq!(told(Some(("seat-1", 8500)), 8000), news(8, Some(("seat-1", 8500))), "nearly the same");
        assert_eq!(told(Some(("seat-1", 8500)), 6100), news(8, Some(("me", 6100))));
        assert_eq!(told(Some(("seat-1", 6100)), 8500), news(8, Some(("seat-1", 6100))), "it catches up");
    }

    #[test]
    fn a_pace_is_that_of_the_last_seconds_without_the_time_in_which_the_follower_held_it_up() {
        let (mut view, begun) = (WaveView::default(), Instant::now());
        let mut told = |seconds, chunks, held_up| {
            let news = view.passed_on(&name("me"), 2, Some(arrived(begun, seconds, chunks, held_up)));
            news.slowest.map(|slowest| slowest.bytes_per_second)
        };
        assert_eq!([told(0, 0, 0), told(1, 100, 0), told(2, 200, 0)], [None, None, Some(200)]);
        assert_eq!(told(6, 300, 3), Some(200), "three of these seconds do not count");
        assert_eq!(told(7, 300, 0), None, "another follower: a new measurement");
        let later: Vec<_> = (8..=30).map(|second| told(second, 300, 0)).collect();
        assert_eq!(later.last(), Some(&Some(0)), "nothing has arrived for a long time");
    }

    #[test]
    fn a_receiver_that_has_everything_has_no_pace() {
        let mut view = WaveView::default();
        passed_on(&mut view, 85);
        assert_eq!(view.passed_on(&name("me"), 1, None), news(0, None));
    }

    #[test]
    fn samples_are_bounded_however_often_they_are_asked_for() {
        let (mut view, begun) = (WaveView::default(), Instant::now());
        for millis in 0..60_000 {
            let now = begun + Duration::from_millis(millis);
            let arrived = Arrived { chunks: millis, held_up: Duration::ZERO, now };
            view.passed_on(&name("me"), 1, Some(arrived));
        }
        assert!(view.pace.0.len() <= 22, "{}", view.pace.0.len());
    }

    #[test]
    fn places_only_grow_and_the_slowest_is_forgotten_with_the_upstream_that_named_it() {
        let mut view = WaveView::default();
        assert!(view.hear(1, news(8, Some(("seat-1", 61)))));
        assert!(!view.hear(1, news(8, Some(("seat-1", 61)))), "nothing is new");
        assert!(!view.hear(2, news(0, None)), "a source that fills a gap");
        assert_eq!((view.places(), view.slowest().unwrap().peer), (8, name("seat-1")));
        view.left(2);
        assert!(view.slowest().is_some());
        view.left(1);
        assert_eq!((view.places(), view.slowest()), (8, None));
    }
}
