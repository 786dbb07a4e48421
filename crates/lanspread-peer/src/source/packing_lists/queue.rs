//! Which packing list is made next, and when another one will be ready. Pure.
//!
//! The games that a peer asks about come first, in the order of asking; then the others, by name. A game whose files were
//! just changed waits until their times have settled.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use lanspread_types::ids::GameId;
use lanspread_types::limits;

/// The games that have no packing list yet.
#[derive(Debug)]
pub(in crate::source) struct Queue {
    waiting: BTreeMap<GameId, Waiting>,
    asked: VecDeque<GameId>,
    /// The games that are being read, each one interrupted by the next.
    making: Vec<Making>,
    /// How fast lists are made.
    bytes_per_second: u64,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    not_before: Instant,
}

#[derive(Debug)]
struct Making {
    game: GameId,
    bytes: u64,
    read: u64,
    is_asked: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            asked: VecDeque::new(),
            making: Vec::new(),
            bytes_per_second: limits::PACKING_RATE_ASSUMED,
        }
    }
}

impl Queue {
    /// Adds a game of so many bytes. One that waits already, or is being read, stays as it is.
    pub(in crate::source) fn add(&mut self, game: &GameId, bytes: u64, not_before: Instant) {
        if !self.is_making(game) {
            self.waiting.entry(game.clone()).or_insert(Waiting { bytes, not_before });
        }
    }

    /// A peer asks about a game, which was added.
    pub(in crate::source) fn ask(&mut self, game: &GameId) {
        if let Some(making) = self.making.iter_mut().find(|making| making.game == *game) {
            making.is_asked = true;
        } else if self.waiting.contains_key(game) && !self.asked.contains(game) {
            self.asked.push_back(game.clone());
        }
    }

    pub(in crate::source) fn remove(&mut self, game: &GameId) {
        self.waiting.remove(game);
        self.asked.retain(|asked| asked != game);
    }

    /// Takes the next game. While one is being read, only one that was asked for, and only if that one was not.
    pub(in crate::source) fn take(&mut self, now: Instant) -> Option<GameId> {
        let only_asked = match self.making.last() {
            Some(making) if making.is_asked => return None,
            making => making.is_some(),
        };
        let is_due =
            |game: &&GameId| self.waiting.get(*game).is_some_and(|waiting| waiting.not_before <= now);
        let asked = self.asked.iter().find(is_due);
        let next = asked.or_else(|| self.waiting.keys().find(is_due).filter(|_| !only_asked))?.clone();
        let (waiting, is_asked) = (self.waiting.remove(&next)?, self.asked.contains(&next));
        self.asked.retain(|asked| *asked != next);
        self.making.push(Making { game: next.clone(), bytes: waiting.bytes, read: 0, is_asked });
        Some(next)
    }

    /// When the next game can be taken, if one waits.
    pub(in crate::source) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.not_before).min()
    }

    /// Bytes of the game that was taken last were read.
    pub(in crate::source) fn read(&mut self, bytes: u64) {
        if let Some(making) = self.making.last_mut() {
            making.read = making.read.saturating_add(bytes);
        }
    }

    /// Whether a peer waits for the game that was taken last.
    pub(in crate::source) fn is_asked(&self) -> bool {
        self.making.last().is_some_and(|making| making.is_asked)
    }

    /// The game that was taken last is done, or given up. `pure` is how long it was read without a pause.
    pub(in crate::source) fn done(&mut self, pure: Duration) {
        let Some(making) = self.making.pop() else { return };
        let milliseconds = u64::try_from(pure.as_millis()).unwrap_or(u64::MAX);
        if making.read >= MEASURED_BYTES_MIN && milliseconds > 0 {
            self.bytes_per_second = (making.read / milliseconds).saturating_mul(1000).max(1);
        }
    }

    /// In how many milliseconds the list of a game may be ready that is asked about now; none if it is not being made.
    pub(in crate::source) fn ready_in_ms(&self, game: &GameId, now: Instant) -> Option<u32> {
        let mut bytes: u64 = 0;
        let mut wait = Duration::ZERO;
        // A game that interrupts another one does not wait for its rest.
        if let Some(making) = self.making.iter().find(|making| making.game == *game) {
            bytes = making.bytes.saturating_sub(making.read);
        } else {
            let own = self.waiting.get(game)?;
            wait = own.not_before.saturating_duration_since(now);
            let asked = self.asked.iter().take_while(|asked| *asked != game);
            let before = asked.filter_map(|asked| self.waiting.get(asked)).map(|waiting| waiting.bytes);
            let making = self.making.iter().filter(|making| making.is_asked);
            let making = making.map(|making| making.bytes.saturating_sub(making.read));
            bytes = before.chain(making).fold(bytes.saturating_add(own.bytes), u64::saturating_add);
        }
        let reading = u128::from(bytes) * 1000 / u128::from(self.bytes_per_second);
        Some(u32::try_from(reading.max(wait.as_millis())).unwrap_or(u32::MAX))
    }

    fn is_making(&self, game: &GameId) -> bool {
        self.making.iter().any(|making| making.game == *game)
    }
}

/// A game of fewer bytes says nothing about the rate.
const MEASURED_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn game(name: &str) -> GameId {
        name.parse().unwrap()
    }

    fn queue(games: &[&str], now: Instant) -> Queue {
        let mut queue = Queue::default();
        for name in games {
            queue.add(&game(name), GB, now);
        }
        queue
    }

    #[test]
    fn a_game_that_a_peer_asks_about_is_the_next_one() {
        let now = Instant::now();
        let mut queue = queue(&["a", "b", "c", "d"], now);
        assert_eq!(queue.take(now), Some(game("a")));
        assert_eq!(queue.take(now), None, "one at a time");
        queue.ask(&game("d"));
        queue.ask(&game("c"));
        assert_eq!(queue.take(now), Some(game("d")), "it interrupts one that no peer waits for");
        assert_eq!(queue.take(now), None, "and is not interrupted itself");
        queue.done(Duration::ZERO);
        assert_eq!(queue.take(now), Some(game("c")));
        queue.done(Duration::ZERO);
        queue.ask(&game("a"));
        assert!(queue.is_asked(), "it is read already, and a peer waits for it now");
        queue.done(Duration::ZERO);
        assert_eq!(queue.take(now), Some(game("b")));
        queue.done(Duration::ZERO);
        assert_eq!((queue.take(now), queue.next_due()), (None, None));
    }

    #[test]
    fn the_estimate_counts_what_is_read_before() {
        let now = Instant::now();
        let mut queue = queue(&["a", "b", "c"], now);
        let ms = |queue: &Queue, name: &str| queue.ready_in_ms(&game(name), now);
        assert_eq!(ms(&queue, "c"), Some(5000), "1 GB at 200 MB/s");
        assert_eq!(ms(&queue, "x"), None);
        queue.ask(&game("b"));
        assert_eq!(ms(&queue, "c"), Some(10_000), "after b");
        queue.take(now);
        queue.read(GB / 2);
        assert_eq!((ms(&queue, "b"), ms(&queue, "c")), (Some(2500), Some(7500)));
        queue.read(GB / 2);
        queue.done(Duration::from_secs(10));
        assert_eq!(ms(&queue, "c"), Some(10_000), "the disk has 100 MB/s");
        assert_eq!(ms(&queue, "b"), None, "it is ready");
    }

    #[test]
    fn a_game_whose_files_have_not_settled_lets_others_pass() {
        let now = Instant::now();
        let later = now + Duration::from_secs(4);
        let mut queue = queue(&["b"], now);
        queue.add(&game("a"), 1, later);
        queue.ask(&game("a"));
        assert_eq!(queue.take(now), Some(game("b")));
        assert_eq!(queue.ready_in_ms(&game("a"), now), Some(4000));
        queue.done(Duration::ZERO);
        assert_eq!((queue.take(now), queue.next_due()), (None, Some(later)));
        assert_eq!(queue.take(later), Some(game("a")));
        queue.remove(&game("a"));
        queue.done(Duration::ZERO);
        queue.add(&game("a"), 1, now);
        queue.remove(&game("a"));
        assert_eq!(queue.take(later), None);
    }
}
