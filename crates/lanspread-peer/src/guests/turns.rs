//! Turns at work that is done a few at a time: a guest that asks much waits for itself, not the others for it.
//!
//! One network never has every turn at once. The networks take turns in rounds: each has one turn per round, and one
//! that comes new joins the next round, so that no stream of newcomers starves the others. Each connection waits for one
//! turn at most, so the bound of the connections bounds the queue.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::guests::guest::Guest;

/// Turns at one kind of work. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct RequestTurns {
    /// Turns at the same time.
    places: usize,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    running: usize,
    /// The networks that have a turn or wait for one.
    networks: BTreeMap<IpAddr, Network>,
    waiting: Vec<Waiting>,
    /// The round of the turn that began last.
    round: u64,
}

#[derive(Debug, Clone, Copy)]
struct Network {
    running: usize,
    waiting: usize,
    /// The round of its next turn.
    round: u64,
}

#[derive(Debug)]
struct Waiting {
    network: IpAddr,
    wake: oneshot::Sender<RequestTurn>,
}

/// One turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct RequestTurn {
    turns: RequestTurns,
    network: IpAddr,
}

impl RequestTurns {
    pub(crate) fn new(places: usize) -> Self {
        Self { places, queue: Arc::default() }
    }

    /// Waits for a turn.
    pub(crate) async fn next(&self, guest: &Guest) -> RequestTurn {
        let (wake, woken) = oneshot::channel();
        {
            let mut queue = self.lock();
            let round = queue.round + 1;
            let new = || Network { running: 0, waiting: 0, round };
            queue.networks.entry(guest.network).or_insert_with(new).waiting += 1;
            queue.waiting.push(Waiting { network: guest.network, wake });
        }
        self.begin();
        match woken.await {
            Ok(turn) => turn,
            // The queue lives as long as `self`, and wakes or keeps each one that waits.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives turns to those that wait.
    fn begin(&self) {
        loop {
            // The lock is free again when a turn that is not taken is dropped.
            let next = self.lock().choose(self.places);
            let Some(waiting) = next else { return };
            let turn = RequestTurn { turns: self.clone(), network: waiting.network };
            drop(waiting.wake.send(turn));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many run and wait.
    #[cfg(test)]
    fn count(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.running, queue.waiting.len())
    }
}

impl Queue {
    /// The next to have a turn, which is then counted.
    fn choose(&mut self, places: usize) -> Option<Waiting> {
        if self.running >= places {
            return None;
        }
        // Those that have stopped waiting are forgotten first.
        let Self { waiting, networks, .. } = self;
        waiting.retain(|one| {
            let waits = !one.wake.is_closed();
            if !waits && let Some(network) = networks.get_mut(&one.network) {
                network.waiting -= 1;
            }
            waits
        });
        networks.retain(|_, network| network.running + network.waiting > 0);
        let most = (places / 2).max(1);
        let may = waiting.iter().enumerate().filter_map(|(index, one)| {
            let network = networks.get(&one.network)?;
            (network.running < most).then_some((network.round, index))
        });
        let (_, index) = may.min()?;
        let next = waiting.remove(index);
        self.running += 1;
        if let Some(network) = self.networks.get_mut(&next.network) {
            network.running += 1;
            network.waiting -= 1;
            self.round = network.round;
            network.round += 1;
        }
        Some(next)
    }
}

impl Drop for RequestTurn {
    fn drop(&mut self) {
        {
            let mut queue = self.turns.lock();
            queue.running -= 1;
            if let Some(network) = queue.networks.get_mut(&self.network) {
                network.running -= 1;
                if network.running + network.waiting == 0 {
                    queue.networks.remove(&self.network);
                }
            }
        }
        self.turns.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(last: u8) -> Guest {
        Guest::at(IpAddr::from([10, 0, 0, last]))
    }

    /// Waits in a task; the order in which turns begin is what the channel receives.
    fn wait(
        turns: &RequestTurns,
        last: u8,
        number: u32,
        begun: &tokio::sync::mpsc::UnboundedSender<(u32, RequestTurn)>,
    ) -> tokio::task::JoinHandle<()> {
        let (turns, begun) = (turns.clone(), begun.clone());
        tokio::spawn(async move {
            let turn = turns.next(&guest(last)).await;
            let _ = begun.send((number, turn));
        })
    }

    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Sixty requests of one guest and then one of another: the other one has a turn at once.
    #[tokio::test]
    async fn a_flood_delays_only_its_sender() {
        let turns = RequestTurns::new(2);
        let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..60 {
            wait(&turns, 1, number, &sender);
        }
        settle().await;
        let (first, flood) = begun.recv().await.unwrap();
        assert_eq!((first, turns.count()), (0, (1, 59)), "one network never has every turn");
        wait(&turns, 2, 100, &sender);
        settle().await;
        let (other, turn) = begun.try_recv().unwrap();
        assert_eq!(other, 100);
        drop((flood, turn));
        let mut rest = 0;
        while rest < 59 {
            drop(begun.recv().await.unwrap());
            rest += 1;
        }
        assert_eq!(turns.count(), (0, 0));
        assert!(turns.lock().networks.is_empty(), "nothing is left of them");
    }

    /// With one turn at a time, guests take turns, however many requests each has.
    #[tokio::test]
    async fn guests_take_turns() {
        let turns = RequestTurns::new(1);
        let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
        for (number, last) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
            wait(&turns, last, number, &sender);
            settle().await;
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            let (number, turn) = begun.recv().await.unwrap();
            order.push(number);
            drop(turn);
            settle().await;
        }
        assert_eq!(order, [0, 1, 3, 5, 2, 4]);
    }

    /// Two guests that come and go without end do not starve a third one.
    #[tokio::test]
    async fn newcomers_starve_no_guest() {
        let turns = RequestTurns::new(1);
        let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
        wait(&turns, 1, 1, &sender);
        settle().await;
        for number in [2, 3] {
            wait(&turns, 2, number, &sender);
        }
        settle().await;
        let mut of_the_second = 0;
        for newcomer in 0..4 {
            wait(&turns, 3 + newcomer % 2, 100, &sender);
            settle().await;
            let (number, turn) = begun.recv().await.unwrap();
            of_the_second += usize::from(number < 100 && number > 1);
            drop(turn);
            settle().await;
        }
        assert_eq!(of_the_second, 2);
    }

    /// One that stops waiting, before or after its turn has come, leaves the turn to the next.
    #[tokio::test]
    async fn a_turn_of_one_that_is_gone_goes_to_the_next() {
        let turns = RequestTurns::new(1);
        let held = turns.next(&guest(1)).await;
        let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let gone = wait(&turns, 2, 1, &sender);
        wait(&turns, 3, 2, &sender);
        settle().await;
        gone.abort();
        settle().await;
        drop(held);
        assert_eq!(begun.recv().await.unwrap().0, 2);
        settle().await;
        // Its turn has come, but it ends before it notices.
        let woken = wait(&turns, 4, 3, &sender);
        woken.abort();
        settle().await;
        assert_eq!(turns.count(), (0, 0));
    }
}
