//! Decides which source of a streamed install is tried next. Pure.
//!
//! Rules:
//! - Each source is tried once, in the order of the validated peers.
//! - A source without a place is left as long as another one has not been tried. After that, the install waits at the one
//!   with the best queue, and stays there as long as it moves: one that changes queues begins at their ends.
//! - A queue that stands still is left for another source, each time after twice as long: a source may say for ever that it has
//!   no place. If there is no other source, its queue is waited in.
//! - A source that is too slow is left only while another one has not been tried. It is tried again after the others have
//!   failed and no queue is left that may move, and then for as long as it lives.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_proto::queued::QueuePosition;
use lanspread_types::limits;

/// The order of the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptOrder {
    untried: VecDeque<usize>,
    /// Left because they had no place.
    queued: Vec<Queue>,
    /// Left because they were too slow.
    slow: VecDeque<usize>,
}

/// The queue of a source. Those that stood still less often are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Queue {
    stood_still: u32,
    position: QueuePosition,
    source: usize,
}

/// The next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextAttempt {
    /// Index of the source.
    pub(crate) source: usize,
    /// Whether another source has not been tried yet, so that this one is left if it is too slow or has no place.
    pub(crate) another_waits: bool,
    /// The best queue of the others, so that this one is left if it has a worse one.
    better: Option<QueuePosition>,
    /// For how long this source may say that its queue stands still. None if there is no other source.
    pub(crate) stays: Option<Duration>,
    stood_still: u32,
}

impl NextAttempt {
    /// Whether this source is left if this is its queue.
    pub(crate) fn leaves_queue(&self, position: QueuePosition) -> bool {
        self.another_waits || self.better.is_some_and(|better| better < position)
    }
}

impl AttemptOrder {
    /// The order of `sources` sources, none of which has been tried.
    pub(crate) fn new(sources: usize) -> Self {
        Self { untried: (0..sources).collect(), queued: Vec::new(), slow: VecDeque::new() }
    }

    /// The next source to try, if one is left.
    pub(crate) fn next(&mut self) -> Option<NextAttempt> {
        let best = self.queued.iter().min().copied();
        if let Some(source) = self.untried.pop_front() {
            let (another_waits, better) = (!self.untried.is_empty(), best.map(|best| best.position));
            let stays = self.stays(0);
            return Some(NextAttempt { source, another_waits, better, stays, stood_still: 0 });
        }
        let (source, stood_still) = match best.filter(|best| best.stood_still == 0 || self.slow.is_empty()) {
            Some(best) => {
                self.queued.retain(|queue| *queue != best);
                (best.source, best.stood_still)
            }
            None => (self.slow.pop_front()?, 0),
        };
        let stays = self.stays(stood_still);
        Some(NextAttempt { source, another_waits: false, better: None, stays, stood_still })
    }

    /// How long one waits in a queue that stood still so often, if there is another source.
    fn stays(&self, stood_still: u32) -> Option<Duration> {
        let is_alone = self.untried.is_empty() && self.queued.is_empty() && self.slow.is_empty();
        let doubled = 2_u32.pow(stood_still.min(STILL_DOUBLINGS_MAX));
        (!is_alone).then(|| limits::QUEUE_STILL_MAX * doubled)
    }

    /// This source was left because it was too slow.
    pub(crate) fn left(&mut self, source: usize) {
        self.slow.push_back(source);
    }

    /// The source of this attempt was left because it had no place, or because its queue stood still.
    pub(crate) fn queued(&mut self, next: NextAttempt, position: QueuePosition) {
        let stood_still = next.stood_still + u32::from(!next.leaves_queue(position));
        self.queued.push(Queue { stood_still, position, source: next.source });
    }
}

/// With [`limits::QUEUE_STILL_MAX`], that is nearly two days.
const STILL_DOUBLINGS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn next(order: &mut AttemptOrder) -> Option<(usize, bool)> {
        order.next().map(|next| (next.source, next.another_waits))
    }

    fn at(ahead: u32) -> QueuePosition {
        QueuePosition { ahead, in_ms: None }
    }

    #[test]
    fn each_source_is_tried_once_and_only_the_last_is_not_left() {
        let mut order = AttemptOrder::new(3);
        assert_eq!([(); 3].map(|()| next(&mut order)), [Some((0, true)), Some((1, true)), Some((2, false))]);
        assert_eq!(next(&mut order), None);
    }

    #[test]
    fn a_slow_source_is_tried_again_after_the_others_and_is_not_left_again() {
        let mut order = AttemptOrder::new(3);
        order.next();
        order.left(0);
        order.next();
        order.left(1);
        assert_eq!(next(&mut order), Some((2, false)));
        assert_eq!([(); 3].map(|()| next(&mut order)), [Some((0, false)), Some((1, false)), None]);
    }

    #[test]
    fn a_source_alone_is_never_left() {
        let mut order = AttemptOrder::new(1);
        let only = order.next().unwrap();
        assert!(!only.another_waits && !only.leaves_queue(at(1000)));
    }

    /// Every source is looked at; then the install waits in the best queue, and a slow source is the last resort.
    #[test]
    fn a_source_without_a_place_is_left_for_an_untried_one_and_then_for_a_better_queue() {
        for (last, stays) in [(4, false), (2, true), (1, true)] {
            let mut order = AttemptOrder::new(4);
            order.next();
            order.left(0);
            for (source, ahead) in [(1, 3), (2, 2)] {
                let next = order.next().unwrap();
                assert!(next.source == source && next.leaves_queue(at(0)), "another one may have a place");
                order.queued(next, at(ahead));
            }
            let third = order.next().unwrap();
            assert_eq!((third.source, third.leaves_queue(at(last))), (3, !stays), "{last}");
            if !stays {
                order.queued(third, at(last));
            }
            let best = order.next().unwrap();
            assert_eq!(best.source, 2, "it has the best queue of those that were left");
            assert!(!best.leaves_queue(at(1000)), "and one that waits there stays");
            let rest: Vec<usize> = std::iter::from_fn(|| order.next()).map(|next| next.source).collect();
            assert_eq!(rest, if stays { vec![1, 0] } else { vec![1, 3, 0] });
        }
    }

    /// One of them may say for ever that no receiver is before this one.
    #[test]
    fn a_queue_that_stands_still_is_left_for_the_others_and_then_waited_in_for_twice_as_long() {
        let mut order = AttemptOrder::new(3);
        let slow = order.next().unwrap();
        order.left(slow.source);
        let honest = order.next().unwrap();
        order.queued(honest, at(3));
        let liar = order.next().unwrap();
        assert!(!liar.leaves_queue(at(0)), "it says that it is the best one");
        assert_eq!(liar.stays, Some(limits::QUEUE_STILL_MAX));
        order.queued(liar, at(0));
        let second = order.next().unwrap();
        assert_eq!((second.source, second.stays), (1, Some(limits::QUEUE_STILL_MAX)));
        order.queued(second, at(3));
        assert_eq!(next(&mut order), Some((0, false)), "a slow one is better than a queue that stands still");
        let again = order.next().unwrap();
        assert_eq!((again.source, again.stays), (2, Some(limits::QUEUE_STILL_MAX * 2)));
        let last = order.next().unwrap();
        assert_eq!((last.source, last.stays), (1, None), "there is no other one");
    }
}
