//! Which operation runs when. Pure.
//!
//! Operations on one game run one after the other, in the order of their requests. Operations on different games run in
//! parallel up to a limit. A request that equals an unfinished operation joins it.

use lanspread_types::ids::GameId;

use crate::report::operation::OperationRequest;

/// Number of an operation, counted from 1 in each run of the peer.
pub(crate) type OperationId = u64;

/// The running and waiting operations, in the order of their requests.
#[derive(Debug)]
pub(crate) struct Queue {
    running_max: usize,
    waiting_max: usize,
    last: OperationId,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: OperationId,
    pub(crate) request: OperationRequest,
    pub(crate) running: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// An equal operation is already running or waiting.
    Joined(OperationId),
    /// The request is a new operation.
    New(OperationId),
}

/// The queue is full; the number of waiting operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) usize);

impl Queue {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        Self { running_max, waiting_max, last: 0, entries: Vec::new() }
    }

    /// Adds a request; [`Self::start`] returns it when it may run.
    pub(crate) fn submit(&mut self, request: &OperationRequest) -> Result<Submitted, Full> {
        if let Some(same) = self.entries.iter().find(|entry| entry.request == *request) {
            return Ok(Submitted::Joined(same.id));
        }
        let waiting = self.entries.iter().filter(|entry| !entry.running).count();
        if waiting >= self.waiting_max {
            return Err(Full(waiting));
        }
        self.last += 1;
        self.entries.push(Entry { id: self.last, request: request.clone(), running: false });
        Ok(Submitted::New(self.last))
    }

    /// Starts and returns the operations that may run now. Each operation is returned once.
    pub(crate) fn start(&mut self) -> Vec<OperationId> {
        let mut free = self.running_max - self.entries.iter().filter(|entry| entry.running).count();
        let mut started = Vec::new();
        for index in 0..self.entries.len() {
            let (earlier, rest) = self.entries.split_at_mut(index);
            let entry = &mut rest[0];
            // An earlier operation on the same game, running or waiting, has precedence.
            let held = earlier.iter().any(|other| other.request.game == entry.request.game);
            if free > 0 && !entry.running && !held {
                entry.running = true;
                free -= 1;
                started.push(entry.id);
            }
        }
        started
    }

    /// Removes an operation that has ended or was cancelled, and returns it.
    pub(crate) fn remove(&mut self, id: OperationId) -> Option<Entry> {
        let place = self.entries.iter().position(|entry| entry.id == id)?;
        Some(self.entries.remove(place))
    }

    /// All running and waiting operations.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The operations on one game.
    pub(crate) fn of_game(&self, game: &GameId) -> Vec<Entry> {
        self.entries.iter().filter(|entry| entry.request.game == *game).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::operation::{OperationKind, OperationOptions};

    fn request(kind: OperationKind, game: &str) -> OperationRequest {
        OperationRequest { kind, game: game.parse().unwrap(), options: OperationOptions::default() }
    }

    fn new(queue: &mut Queue, kind: OperationKind, game: &str) -> OperationId {
        match queue.submit(&request(kind, game)).unwrap() {
            Submitted::New(id) => id,
            Submitted::Joined(id) => panic!("joined {id}"),
        }
    }

    #[test]
    fn the_same_request_is_one_operation_until_it_is_done() {
        let mut queue = Queue::new(2, 8);
        let first = new(&mut queue, OperationKind::Download, "a");
        assert_eq!(queue.submit(&request(OperationKind::Download, "a")), Ok(Submitted::Joined(first)));
        queue.start();
        assert_eq!(queue.submit(&request(OperationKind::Download, "a")), Ok(Submitted::Joined(first)));
        let mut forced = request(OperationKind::Download, "a");
        forced.options.force = true;
        assert!(
            matches!(queue.submit(&forced), Ok(Submitted::New(_))),
            "different options make a different operation"
        );
        queue.remove(first);
        assert!(matches!(queue.submit(&request(OperationKind::Download, "a")), Ok(Submitted::New(_))));
    }

    #[test]
    fn operations_on_one_game_keep_their_order_and_do_not_delay_other_games() {
        let mut queue = Queue::new(2, 8);
        let download = new(&mut queue, OperationKind::Download, "a");
        let remove = new(&mut queue, OperationKind::Remove, "a");
        let verify = new(&mut queue, OperationKind::Verify, "a");
        let other = new(&mut queue, OperationKind::Verify, "b");
        assert_eq!(queue.start(), [download, other]);
        queue.remove(other);
        assert_eq!(
            queue.start(),
            [] as [u64; 0],
            "one more may run, but an earlier operation holds the game"
        );
        queue.remove(download);
        assert_eq!(queue.start(), [remove]);
        queue.remove(remove);
        assert_eq!(queue.start(), [verify]);
    }

    #[test]
    fn running_and_waiting_operations_are_limited() {
        let mut queue = Queue::new(1, 2);
        let first = new(&mut queue, OperationKind::Verify, "a");
        assert_eq!(queue.start(), [first]);
        new(&mut queue, OperationKind::Verify, "b");
        new(&mut queue, OperationKind::Verify, "c");
        assert_eq!(queue.start(), [] as [u64; 0]);
        assert_eq!(queue.submit(&request(OperationKind::Verify, "d")), Err(Full(2)));
    }

    proptest! {
        /// For any order of requests and ends, the limit holds, no two operations on one game run at once, and every
        /// operation runs in the end.
        #[test]
        fn everything_runs_once(steps in proptest::collection::vec((0u8..3, 0u8..4, any::<bool>()), 0..60)) {
            let kinds = [OperationKind::Verify, OperationKind::Remove, OperationKind::Download];
            let mut queue = Queue::new(2, 100);
            let (mut begun, mut submitted) = (Vec::new(), 0);
            let mut running: Vec<OperationId> = Vec::new();
            for (kind, game, ends) in steps {
                let request = request(kinds[usize::from(kind)], &format!("g{game}"));
                if let Submitted::New(_) = queue.submit(&request).unwrap() {
                    submitted += 1;
                }
                if ends && !running.is_empty() {
                    queue.remove(running.remove(0));
                }
                running.extend(queue.start());
                begun.extend(running.iter().copied());
                prop_assert!(running.len() <= 2);
                let mut games: Vec<_> = queue.entries().iter().filter(|e| e.running).map(|e| &e.request.game).collect();
                games.sort();
                let count = games.len();
                games.dedup();
                prop_assert_eq!(games.len(), count);
            }
            while let Some(id) = running.pop() {
                queue.remove(id);
                running.extend(queue.start());
                begun.extend(running.iter().copied());
            }
            begun.sort_unstable();
            begun.dedup();
            prop_assert_eq!(begun.len(), submitted);
            prop_assert!(queue.entries().is_empty());
        }
    }
}
