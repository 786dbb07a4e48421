//! Decides which source of a streamed install is tried next. Pure.
//!
//! Each source is tried once, in the order of the validated peers. A source that is too slow is left only while another
//! one has not been tried. It is tried again after the others have failed, and then for as long as it lives.

use std::collections::VecDeque;

/// The order of the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turns {
    untried: VecDeque<usize>,
    /// Left because they were too slow.
    slow: VecDeque<usize>,
}

/// The next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Index of the source.
    pub(crate) source: usize,
    /// Whether another source has not been tried yet, so that this one is left if it is too slow.
    pub(crate) another_waits: bool,
}

impl Turns {
    /// Turns of `sources` sources, none of which has been tried.
    pub(crate) fn new(sources: usize) -> Self {
        Self { untried: (0..sources).collect(), slow: VecDeque::new() }
    }

    /// The next source to try, if one is left.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        let source = self.untried.pop_front().or_else(|| self.slow.pop_front())?;
        Some(Turn { source, another_waits: !self.untried.is_empty() })
    }

    /// The source of the last turn was left because it was too slow.
    pub(crate) fn left(&mut self, source: usize) {
        self.slow.push_back(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(turns: &mut Turns) -> Option<(usize, bool)> {
        turns.next().map(|turn| (turn.source, turn.another_waits))
    }

    #[test]
    fn each_source_has_one_turn_and_only_the_last_is_not_left() {
        let mut turns = Turns::new(3);
        assert_eq!([(); 3].map(|()| next(&mut turns)), [Some((0, true)), Some((1, true)), Some((2, false))]);
        assert_eq!(next(&mut turns), None);
    }

    #[test]
    fn a_slow_source_gets_a_second_turn_after_the_others_and_is_not_left_again() {
        let mut turns = Turns::new(3);
        turns.next();
        turns.left(0);
        turns.next();
        turns.left(1);
        assert_eq!(next(&mut turns), Some((2, false)));
        assert_eq!([(); 3].map(|()| next(&mut turns)), [Some((0, false)), Some((1, false)), None]);
    }

    #[test]
    fn a_source_alone_is_never_left() {
        let mut turns = Turns::new(1);
        assert_eq!(next(&mut turns), Some((0, false)));
    }
}
