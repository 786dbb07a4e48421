//! Decides who waits, in which order, and for how long about. Pure.
//!
//! The networks take turns in rounds, as in [`crate::guests::turns`]: each has one turn per round, in the order in which
//! they came, and one that comes new joins the next round. Within a network, who came first is first. The queue is bounded
//! in all and per network. If it is full, one that comes takes the last place of the network that waits most, if that has
//! two more.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::guests::guest::Guest;

/// One that waits, by the order of arrival.
pub(crate) type Ticket = u64;

/// How many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueBounds {
    pub(crate) total: usize,
    pub(crate) per_guest: usize,
}

/// Those that wait.
#[derive(Debug, Clone)]
pub(crate) struct PlaceQueue {
    bounds: QueueBounds,
    next: Ticket,
    /// The round of the last turn.
    round: u64,
    networks: BTreeMap<IpAddr, Network>,
}

#[derive(Debug, Clone)]
struct Network {
    /// The round of its next turn.
    round: u64,
    waiting: VecDeque<(Ticket, Guest)>,
}

/// What became of one that wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It waits.
    Waits(Ticket),
    /// It waits in the place of another one, which does no more.
    InsteadOf { ticket: Ticket, displaced: Ticket },
    /// Too many wait.
    Full,
}

impl PlaceQueue {
    pub(crate) fn new(bounds: QueueBounds) -> Self {
        Self { bounds, next: 0, round: 0, networks: BTreeMap::new() }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.networks.values().map(|network| network.waiting.len()).sum()
    }

    /// How many of a network wait.
    fn of_network(&self, network: IpAddr) -> usize {
        self.networks.get(&network).map_or(0, |network| network.waiting.len())
    }

    /// A guest wants to wait.
    pub(crate) fn join(&mut self, guest: Guest) -> Joined {
        let theirs = self.of_network(guest.network);
        if theirs >= self.bounds.per_guest {
            return Joined::Full;
        }
        let displaced = if self.len() < self.bounds.total {
            None
        } else {
            let most = self.networks.values().max_by_key(|network| network.waiting.len());
            let last = most.filter(|network| network.waiting.len() > theirs + 1);
            match last.and_then(|network| network.waiting.back()) {
                Some(&(ticket, _)) => Some(ticket),
                None => return Joined::Full,
            }
        };
        if let Some(displaced) = displaced {
            self.remove(displaced);
        }
        let ticket = self.next;
        self.next += 1;
        let round = self.round + 1;
        let new = || Network { round, waiting: VecDeque::new() };
        self.networks.entry(guest.network).or_insert_with(new).waiting.push_back((ticket, guest));
        displaced.map_or(Joined::Waits(ticket), |displaced| Joined::InsteadOf { ticket, displaced })
    }

    /// One that waited has gone, or was sent away.
    pub(crate) fn remove(&mut self, ticket: Ticket) {
        for network in self.networks.values_mut() {
            network.waiting.retain(|(waiting, _)| *waiting != ticket);
        }
        self.networks.retain(|_, network| !network.waiting.is_empty());
    }

    /// One that waited has its turn.
    pub(crate) fn has_turn(&mut self, ticket: Ticket) {
        let is_of = |network: &Network| network.waiting.iter().any(|(waiting, _)| *waiting == ticket);
        if let Some(network) = self.networks.values_mut().find(|network| is_of(network)) {
            self.round = self.round.max(network.round);
            network.round += 1;
        }
        self.remove(ticket);
    }

    /// Everyone that waits, the next one first.
    pub(crate) fn order(&self) -> Vec<(Ticket, Guest)> {
        let turns = self.networks.values().flat_map(|network| (network.round..).zip(&network.waiting));
        let mut turns: Vec<(u64, Ticket, Guest)> =
            turns.map(|(round, (ticket, guest))| (round, *ticket, *guest)).collect();
        turns.sort_by_key(|(round, ticket, _)| (*round, *ticket));
        turns.into_iter().map(|(_, ticket, guest)| (ticket, guest)).collect()
    }

    /// How many have their turn before this one, if it waits.
    pub(crate) fn ahead(&self, ticket: Ticket) -> Option<usize> {
        self.order().iter().position(|(waiting, _)| *waiting == ticket)
    }
}

/// A transfer that runs: for how long it has, and for how long it may still, if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) taken: Duration,
    pub(crate) left: Option<Duration>,
}

/// How long it may take until one with so many ahead has a place of so many. Each place that is held becomes free when its
/// transfer ends; one that follows is assumed to take as long as the ones that run. None if too little is known.
pub(crate) fn estimate(ahead: usize, places: usize, running: &[Progress]) -> Option<Duration> {
    // A place that is not held is not for this one now, and nothing says when it will be.
    if places == 0 || running.len() < places {
        return None;
    }
    let (rounds, place) = (ahead / places, ahead % places);
    let mut left: Vec<Duration> = running.iter().filter_map(|one| one.left).collect();
    left.sort();
    let first = *left.get(place)?;
    if rounds == 0 {
        return Some(first);
    }
    let whole: Duration = running.iter().filter_map(|one| Some(one.taken + one.left?)).sum();
    let whole = whole / u32::try_from(left.len()).ok()?;
    Some(first + whole.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests;
