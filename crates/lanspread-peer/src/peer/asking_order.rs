//! In which order peers are asked for something that any of them may give, one after the other. Pure.
//!
//! A peer that is silent is left soon if another one has not been asked: it may trickle on purpose, or its link may be full.
//! It is asked once more after all others, with patience.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_types::limits;

/// The peers of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskingOrder<T> {
    unasked: VecDeque<T>,
    /// Left because they were silent.
    silent: VecDeque<T>,
    /// How long the last one to ask may be silent.
    patience: Duration,
}

impl<T> AskingOrder<T> {
    /// The order of peers of which none has been asked.
    pub(super) fn new(peers: impl IntoIterator<Item = T>, patience: Duration) -> Self {
        Self { unasked: peers.into_iter().collect(), silent: VecDeque::new(), patience }
    }

    /// The next peer to ask, and how long it may be silent.
    pub(super) fn next(&mut self) -> Option<(T, Duration)> {
        if let Some(peer) = self.unasked.pop_front() {
            let another_waits = !self.unasked.is_empty();
            let short = limits::SILENT_PEER_PATIENCE.min(self.patience);
            return Some((peer, if another_waits { short } else { self.patience }));
        }
        self.silent.pop_front().map(|peer| (peer, self.patience))
    }

    /// Whether no peer is left to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.unasked.is_empty() && self.silent.is_empty()
    }

    /// This peer was silent for `patience`, which [`Self::next`] gave it.
    pub(super) fn was_silent(&mut self, peer: T, patience: Duration) {
        if patience < self.patience {
            self.silent.push_back(peer);
        }
    }

    /// This peer may be asked again after all that have not been asked.
    pub(super) fn again(&mut self, peer: T) {
        self.unasked.push_back(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_silent_peer_is_left_soon_while_another_waits_and_asked_once_more_with_patience() {
        let mut order = AskingOrder::new(["mute", "trickle", "last"], PATIENCE);
        let mut asked = Vec::new();
        while let Some((peer, patience)) = order.next() {
            asked.push((peer, patience.as_secs()));
            order.was_silent(peer, patience);
        }
        let soon = limits::SILENT_PEER_PATIENCE.as_secs();
        assert_eq!(asked, [("mute", soon), ("trickle", soon), ("last", 20), ("mute", 20), ("trickle", 20)]);
    }

    #[test]
    fn the_only_peer_gets_all_patience_at_once() {
        let mut order = AskingOrder::new(["one"], PATIENCE);
        let (peer, patience) = order.next().unwrap();
        assert_eq!(patience, PATIENCE);
        order.again(peer);
        assert_eq!(order.next(), Some(("one", PATIENCE)), "it may have had an old file");
        assert_eq!(order.next(), None);
    }
}
