//! Decides which source of a streamed install is tried next. Pure.
//!
//! Rules:
//! - Each source is tried once, in the order of the validated peers.
//! - A source without a place is left as long as another one has not been tried. After that, the install waits at the one
//!   with the best queue, and stays there until its turn: one that changes queues begins at their ends.
//! - A source that is too slow is left only while another one has not been tried. It is tried again after the others have
//!   failed and no queue is left to wait in, and then for as long as it lives.

use std::collections::VecDeque;

use lanspread_proto::queued::QueuePosition;

/// The order of the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptOrder {
    untried: VecDeque<usize>,
    /// Left because they had no place.
    queued: Vec<(QueuePosition, usize)>,
    /// Left because they were too slow.
    slow: VecDeque<usize>,
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
        let better = self.queued.iter().min().map(|(position, _)| *position);
        if let Some(source) = self.untried.pop_front() {
            return Some(NextAttempt { source, another_waits: !self.untried.is_empty(), better });
        }
        let best = self.queued.iter().enumerate().min_by_key(|(_, queued)| **queued).map(|(place, _)| place);
        let queued = best.map(|place| self.queued.remove(place).1);
        let source = queued.or_else(|| self.slow.pop_front())?;
        Some(NextAttempt { source, another_waits: false, better: None })
    }

    /// This source was left because it was too slow.
    pub(crate) fn left(&mut self, source: usize) {
        self.slow.push_back(source);
    }

    /// This source was left because it had no place.
    pub(crate) fn queued(&mut self, source: usize, position: QueuePosition) {
        self.queued.push((position, source));
    }
}

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
                order.queued(source, at(ahead));
            }
            let third = order.next().unwrap();
            assert_eq!((third.source, third.leaves_queue(at(last))), (3, !stays), "{last}");
            if !stays {
                order.queued(3, at(last));
            }
            let best = order.next().unwrap();
            assert_eq!(best.source, 2, "it has the best queue of those that were left");
            assert!(!best.leaves_queue(at(1000)), "and one that waits there stays");
            let rest: Vec<usize> = std::iter::from_fn(|| order.next()).map(|next| next.source).collect();
            assert_eq!(rest, if stays { vec![1, 0] } else { vec![1, 3, 0] });
        }
    }
}
