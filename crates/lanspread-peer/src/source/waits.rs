//! Who waits for a place, by name, for people. What decides is elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_types::ids::{GameId, PeerName};
use lanspread_types::limits;

use crate::report::packed_status::WaitingReceiver;

/// The receivers that wait now.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    next: u64,
    receivers: BTreeMap<u64, WaitingReceiver>,
}

/// Those that want one game.
#[derive(Clone, Copy)]
pub(crate) struct WaitsFor<'w> {
    waits: &'w Waits,
    game: &'w GameId,
}

/// A receiver waits until this is dropped.
#[derive(Debug)]
pub(crate) struct WaitingGuard<'w> {
    waits: &'w Waits,
    number: u64,
}

impl Waits {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn for_game<'w>(&'w self, game: &'w GameId) -> WaitsFor<'w> {
        WaitsFor { waits: self, game }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.known().receivers.len()
    }

    /// Those that have waited longest, the first first.
    pub(crate) fn named(&self) -> Vec<WaitingReceiver> {
        self.known().receivers.values().take(limits::WAITING_NAMED_MAX).cloned().collect()
    }
}

impl<'w> WaitsFor<'w> {
    /// How many of them there are.
    pub(crate) fn count(self) -> usize {
        self.waits.known().receivers.values().filter(|receiver| receiver.game == *self.game).count()
    }

    /// A receiver begins to wait.
    pub(crate) fn add(self, peer: &PeerName) -> WaitingGuard<'w> {
        let mut known = self.waits.known();
        let number = known.next;
        known.next += 1;
        known.receivers.insert(number, WaitingReceiver { peer: peer.clone(), game: self.game.clone() });
        WaitingGuard { waits: self.waits, number }
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.waits.known().receivers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_named_while_it_waits_and_the_first_comes_first() {
        let (waits, game) = (Waits::default(), "g".parse().unwrap());
        let name = |number: usize| format!("seat-{number}").parse::<PeerName>().unwrap();
        let first = waits.for_game(&game).add(&name(1));
        let other_game = "other".parse().unwrap();
        assert_eq!((waits.for_game(&game).count(), waits.for_game(&other_game).count()), (1, 0));
        let _others: Vec<_> = (2..=limits::WAITING_NAMED_MAX + 2)
            .map(|number| waits.for_game(&game).add(&name(number)))
            .collect();
        assert_eq!(waits.named()[0], WaitingReceiver { peer: name(1), game: game.clone() });
        drop(first);
        assert_eq!(waits.named()[0].peer, name(2));
        assert_eq!(
            (waits.count(), waits.named().len()),
            (limits::WAITING_NAMED_MAX + 1, limits::WAITING_NAMED_MAX)
        );
    }
}
