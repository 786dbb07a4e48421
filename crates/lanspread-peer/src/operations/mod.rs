//! The operations of one peer: they queue per game, run beside each other across games up to a limit, can be joined,
//! followed, listed and cancelled.
//!
//! `queue` decides, this module runs. Every operation is one task of the peer; its followers share its events and
//! its outcome. A follower that goes leaves the operation running, unless it gives it up and nobody else follows.

mod queue;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_types::ids::GameId;
use lanspread_types::limits;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::queue::{Entry, Full, OperationId, Queue, Submitted};
use crate::error::PeerError;
use crate::event::{EventSender, PeerEvent, PeerEvents};
use crate::operation::{OperationContext, OperationFailure, OperationKind, OperationRequest};
use crate::peer::Peer;

/// How an operation ended.
pub type OperationOutcome = Result<(), OperationFailure>;

/// An operation that runs or waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationInfo {
    /// Its number, in this run of the peer.
    pub operation: u64,
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// Whether it runs; it waits otherwise.
    pub running: bool,
    /// How many follow it.
    pub followers: usize,
}

/// All operations of a peer.
#[derive(Debug)]
pub(crate) struct Operations(Mutex<State>);

#[derive(Debug)]
struct State {
    /// None begins any more.
    closed: bool,
    queue: Queue,
    live: HashMap<OperationId, Live>,
}

/// What the followers of one operation share.
#[derive(Debug)]
struct Live {
    events: EventSender,
    cancel: CancellationToken,
    outcome: watch::Sender<Option<OperationOutcome>>,
    followers: usize,
}

impl Operations {
    pub(crate) fn new(running_max: usize) -> Self {
        let queue = Queue::new(running_max, limits::OPERATIONS_WAITING_MAX);
        Self(Mutex::new(State { closed: false, queue, live: HashMap::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends what waits, and tells what runs to end.
    fn cancel(&mut self, entry: &Entry) {
        let Some(live) = self.live.get(&entry.id) else { return };
        live.cancel.cancel();
        if !entry.running {
            let OperationRequest { kind, game, .. } = entry.request.clone();
            let failure = OperationFailure::from(PeerError::Cancelled);
            let outcome = failure.code.clone();
            live.events.report(PeerEvent::OperationEnd { operation: entry.id, kind, game, outcome });
            self.end(entry.id, Err(failure));
        }
    }

    fn end(&mut self, id: OperationId, outcome: OperationOutcome) {
        self.queue.remove(id);
        if let Some(live) = self.live.remove(&id) {
            live.outcome.send_replace(Some(outcome));
        }
    }
}

/// A follower of one operation. Dropping it leaves the operation running.
pub struct OperationHandle {
    peer: Peer,
    id: OperationId,
    joined: bool,
    events: PeerEvents,
    outcome: watch::Receiver<Option<OperationOutcome>>,
}

impl OperationHandle {
    /// Its number, in this run of the peer.
    pub fn operation(&self) -> u64 {
        self.id
    }

    /// Whether it had been asked for before.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// The next event of the operation; nothing when it has ended and everything was told.
    pub async fn next_event(&mut self) -> Option<PeerEvent> {
        tokio::select! {
            biased;
            event = self.events.next() => event,
            // The sender of its events may live on in a thread that is just ending.
            _ = self.outcome.wait_for(Option::is_some) => self.events.try_next(),
        }
    }

    /// How it ended. Cancel-safe.
    pub async fn outcome(&mut self) -> OperationOutcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(PeerError::Internal("an operation ended without an outcome".to_owned()).into()),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// Cancels the operation unless somebody else follows it. Returns whether it is cancelled.
    pub fn give_up(&self) -> bool {
        let mut state = self.peer.operations().state();
        let entry = state.queue.entries().iter().find(|entry| entry.id == self.id).cloned();
        let alone = state.live.get(&self.id).is_some_and(|live| live.followers == 1);
        let (Some(entry), true) = (entry, alone) else { return false };
        state.cancel(&entry);
        // What waited behind it may begin.
        self.peer.start_operations(&mut state);
        true
    }
}

impl Drop for OperationHandle {
    fn drop(&mut self) {
        if let Some(live) = self.peer.operations().state().live.get_mut(&self.id) {
            live.followers -= 1;
        }
    }
}

impl Peer {
    /// Asks for an operation. It runs when its turn comes, whether or not anybody follows it; the same request before
    /// it is done joins it.
    ///
    /// # Errors
    /// [`PeerError::QueueFull`]; [`PeerError::Cancelled`] when the peer stops.
    pub fn submit(&self, request: OperationRequest) -> Result<OperationHandle, PeerError> {
        let mut state = self.operations().state();
        if state.closed {
            return Err(PeerError::Cancelled);
        }
        let submitted =
            state.queue.submit(&request).map_err(|Full(waiting)| PeerError::QueueFull { waiting })?;
        let (id, joined) = match submitted {
            Submitted::Joined(id) => (id, true),
            Submitted::New(id) => (id, false),
        };
        let live = state.live.entry(id).or_insert_with(|| Live {
            events: self.event_sender().of_operation(),
            cancel: CancellationToken::new(),
            outcome: watch::Sender::new(None),
            followers: 0,
        });
        live.followers += 1;
        let handle = OperationHandle {
            peer: self.clone(),
            id,
            joined,
            events: live.events.subscribe(),
            outcome: live.outcome.subscribe(),
        };
        if !joined {
            let OperationRequest { kind, game, .. } = request;
            live.events.report(PeerEvent::OperationQueued { operation: id, kind, game });
        }
        self.start_operations(&mut state);
        Ok(handle)
    }

    /// What runs and waits, in the order in which it was asked for.
    pub fn running_operations(&self) -> Vec<OperationInfo> {
        let state = self.operations().state();
        let info = |entry: &Entry| OperationInfo {
            operation: entry.id,
            kind: entry.request.kind,
            game: entry.request.game.clone(),
            running: entry.running,
            followers: state.live.get(&entry.id).map_or(0, |live| live.followers),
        };
        state.queue.entries().iter().map(info).collect()
    }

    /// Cancels every operation on a game, whoever asked for it; returns how many.
    ///
    /// # Errors
    /// [`PeerError::NoOperation`] when there is none.
    pub fn cancel_operations(&self, game: &GameId) -> Result<usize, PeerError> {
        let mut state = self.operations().state();
        let entries = state.queue.of_game(game);
        if entries.is_empty() {
            return Err(PeerError::NoOperation { game: game.clone() });
        }
        for entry in &entries {
            state.cancel(entry);
        }
        self.start_operations(&mut state);
        Ok(entries.len())
    }

    /// Cancels all operations; none begins any more.
    pub(crate) fn close_operations(&self) {
        let mut state = self.operations().state();
        state.closed = true;
        for entry in state.queue.entries().to_vec() {
            state.cancel(&entry);
        }
    }

    fn start_operations(&self, state: &mut State) {
        for id in state.queue.start() {
            let request =
                state.queue.entries().iter().find(|entry| entry.id == id).map(|entry| &entry.request);
            let (Some(request), Some(live)) = (request.cloned(), state.live.get(&id)) else { continue };
            let (peer, events, cancel) = (self.clone(), live.events.clone(), live.cancel.clone());
            self.tasks()
                .spawn("operation", async move { peer.run_operation(id, request, events, cancel).await });
        }
    }

    async fn run_operation(
        self,
        id: OperationId,
        request: OperationRequest,
        events: EventSender,
        cancel: CancellationToken,
    ) {
        let OperationRequest { kind, game, options } = request;
        events.report(PeerEvent::OperationBegin { operation: id, kind, game: game.clone() });
        let context = OperationContext { game: game.clone(), options, events: events.clone(), cancel };
        let outcome = self.perform(kind, &context).await.map_err(OperationFailure::from);
        let said = outcome.as_ref().map_or_else(|failure| failure.code.clone(), |()| "done".into());
        events.report(PeerEvent::OperationEnd { operation: id, kind, game, outcome: said });
        let mut state = self.operations().state();
        state.end(id, outcome);
        self.start_operations(&mut state);
    }
}

#[cfg(test)]
mod tests;
