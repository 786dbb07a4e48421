//! Whether a receiver takes its chunks from the network more slowly than they arrive.
//!
//! What a slow link brings is read when it comes. If a large part of a chunk often lies unread, or a chunk waits until another
//! one is proved, the machine is what is slow: what it was sent has arrived, and it has no time for it.

use std::io;

/// Looks at what lies unread on the connection of one upstream.
pub(crate) struct Backlog<F> {
    much: u64,
    unread_bytes: F,
    looks: Looks,
}

impl<F: Fn() -> io::Result<u64>> Backlog<F> {
    /// `unread_bytes` says how much has arrived and was not read.
    pub(crate) fn new(chunk_bytes: u64, unread_bytes: F) -> Self {
        Self { much: chunk_bytes / 2, unread_bytes, looks: Looks::default() }
    }

    /// Looks once more; `waits` says whether a chunk waits to be proved. Returns whether the receiver is behind what arrives.
    pub(crate) fn look(&mut self, waits: bool) -> io::Result<bool> {
        let lies = (self.unread_bytes)()? >= self.much;
        Ok(self.looks.add(lies || waits))
    }
}

/// What the last looks have seen, the newest in the lowest bit.
#[derive(Debug, Default)]
struct Looks(u16);

impl Looks {
    /// Adds one. Returns whether something had to wait in more than a third of the last ones.
    fn add(&mut self, has_to_wait: bool) -> bool {
        self.0 = (self.0 << 1) | u16::from(has_to_wait);
        self.0.count_ones() > u16::BITS / 3
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Whether the receiver is behind after the last of these looks.
    fn behind(looks: impl IntoIterator<Item = bool>) -> bool {
        let mut seen = Looks::default();
        looks.into_iter().map(|has_to_wait| seen.add(has_to_wait)).last().unwrap()
    }

    #[test]
    fn a_receiver_is_behind_if_something_has_to_wait_for_more_than_a_third_of_the_time() {
        assert!(behind((0..100).map(|look| look % 5 < 2)));
        assert!(behind((0..100).map(|look| look % 5 > 0)));
        assert!(!behind((0..100).map(|look| look % 4 == 0)));
    }

    /// A machine that has other work for half a second takes what has come when it goes on.
    #[test]
    fn a_short_hold_up_is_no_backlog_and_a_longer_one_is_until_it_ends() {
        assert!(!behind([true; 5]));
        assert!(behind([true; 6]));
        assert!(!behind([true; 100].into_iter().chain([false; 11])));
    }

    #[test]
    fn half_a_chunk_that_lies_unread_has_to_wait_and_so_does_a_chunk_that_is_to_be_proved() {
        let unread = Cell::new(0);
        let mut backlog = Backlog::new(100, || Ok(unread.get()));
        for (bytes, waits, is_behind) in
            [(49, false, false), (50, false, true), (0, false, false), (0, true, true)]
        {
            unread.set(bytes);
            let looks: Vec<_> = (0..16).map(|_| backlog.look(waits).unwrap()).collect();
            assert_eq!(looks.last(), Some(&is_behind), "{bytes} {waits}");
        }
    }

    #[test]
    fn a_look_that_fails_is_no_answer() {
        let mut backlog = Backlog::new(100, || Err(io::ErrorKind::Other.into()));
        assert!(backlog.look(false).is_err());
    }
}
