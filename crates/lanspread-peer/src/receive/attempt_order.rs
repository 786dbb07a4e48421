//! Decides which source of a streamed install is tried next. Pure.
//!
//! Each source is tried once, in the order of the validated peers. A source that is too slow is left only while another
//! one has not been tried. It is tried again after the others have failed, and then for as long as it lives.

use std::collections::VecDeque;

/// The order of the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptOrder {
    untried: VecDeque<usize>,
    /// Left because they were too slow.
    slow: VecDeque<usize>,
}

/// The next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextAttempt {
    /// Index of the source.
    pub(crate) source: usize,
    /// Whether another source has not been tried yet, so that this one is left if it is too slow.
    pub(crate) another_waits: bool,
}

impl AttemptOrder {
    /// The order of `sources` sources, none of which has been tried.
    pub(crate) fn new(sources: usize) -> Self {
        Self { untried: (0..sources).collect(), slow: VecDeque::new() }
    }

    /// The next source to try, if one is left.
    pub(crate) fn next(&mut self) -> Option<NextAttempt> {
        let source = self.untried.pop_front().or_else(|| self.slow.pop_front())?;
        Some(NextAttempt { source, another_waits: !self.untried.is_empty() })
    }

    /// This source was left because it was too slow.
    pub(crate) fn left(&mut self, source: usize) {
        self.slow.push_back(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(order: &mut AttemptOrder) -> Option<(usize, bool)> {
        order.next().map(|next| (next.source, next.another_waits))
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
        assert_eq!(next(&mut order), Some((0, false)));
    }
}
