//! The operations of one peer. Operations on one game queue; operations on different games run in parallel up to a
//! limit. Clients can join, follow, list and cancel them. This room does not know what an operation does, only that
//! something performs it ([`Perform`]).
//!
//! `queue` decides, this module runs. Every operation is one task of the peer, and its followers share its events and
//! its outcome. When a follower leaves, the operation keeps running; only the last follower can give it up.

mod error;
mod follow;
mod outcome_counts;
mod outcomes;
mod queue;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_types::ids::GameId;
use lanspread_types::limits;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use self::error::OperationsError;
pub(crate) use self::follow::Followed;
use self::outcome_counts::OutcomeCounts;
use self::outcomes::Outcomes;
use self::queue::{Entry, Full, OperationId, Queue, Submitted};
use crate::report::channel::{EventSender, PeerEvents};
use crate::report::event::PeerEvent;
use crate::report::failure::{ErrorCategory, OperationFailure};
use crate::report::operation::{OperationKind, OperationOptions, OperationRequest};
use crate::report::operation_outcome::EndedOperation;
use crate::report::operation_progress::OperationProgress;
use crate::report::reported_event::ReportedEvent;
use crate::report::wanted_operation::QueuedOperation;
use crate::task::Tasks;

/// What a running operation works on, where it reports, and how it is stopped.
#[derive(Debug, Clone)]
pub(crate) struct OperationContext {
    pub(crate) game: GameId,
    pub(crate) options: OperationOptions,
    pub(crate) events: EventSender,
    pub(crate) cancel: CancellationToken,
}

/// Performs operations. The peer implements it.
pub(crate) trait Perform: Send + Sync {
    /// Performs one operation to its end.
    fn perform(&self, kind: OperationKind, context: OperationContext) -> Performing<'_>;
}

/// A running operation.
pub(crate) type Performing<'a> = Pin<Box<dyn Future<Output = Result<(), OperationFailure>> + Send + 'a>>;

/// How an operation ended.
pub type OperationOutcome = Result<(), OperationFailure>;

/// An operation that is running or waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperationInfo {
    /// Its number, in this run of the peer.
    pub operation: u64,
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// Whether it is running; otherwise it is waiting.
    pub running: bool,
    /// How many followers it has.
    pub followers: usize,
    /// How far it is.
    pub progress: OperationProgress,
    /// Whether an earlier run of the daemon was asked for it.
    #[serde(default)]
    pub resumed: bool,
}

/// An operation on its way into the queue.
pub(crate) struct Submission {
    pub(crate) request: OperationRequest,
    pub(crate) performer: Arc<dyn Perform>,
    /// Whether an earlier run of the daemon was asked for it.
    pub(crate) resumed: bool,
    /// Hears how it ended, unless the request joins another operation.
    pub(crate) ended: Option<oneshot::Sender<OperationEnding>>,
}

/// Why an operation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationEnding {
    /// It is done, has failed, or was cancelled by a client.
    Over,
    /// This peer stops, and the operation has not got to its end.
    Stopped,
}

/// All operations of a peer.
pub(crate) struct Operations {
    events: EventSender,
    tasks: Tasks,
    state: Mutex<State>,
}

struct State {
    /// No more operations begin, and those that run are cancelled.
    closed: bool,
    /// No more operations begin.
    draining: bool,
    queue: Queue,
    live: HashMap<OperationId, Live>,
    /// How the newest operation on each game ended.
    outcomes: Outcomes,
    counts: OutcomeCounts,
}

/// What the followers of one operation share.
struct Live {
    performer: Arc<dyn Perform>,
    events: EventSender,
    cancel: CancellationToken,
    outcome: watch::Sender<Option<OperationOutcome>>,
    followers: usize,
    resumed: bool,
    /// Whether a client has cancelled it.
    is_cancelled: bool,
    ended: Option<oneshot::Sender<OperationEnding>>,
}

impl Operations {
    pub(crate) fn new(running_max: usize, events: EventSender, tasks: Tasks) -> Arc<Self> {
        let queue = Queue::new(running_max, limits::OPERATIONS_WAITING_MAX);
        let state = Mutex::new(State {
            closed: false,
            draining: false,
            queue,
            live: HashMap::new(),
            outcomes: Outcomes::default(),
            counts: OutcomeCounts::default(),
        });
        Arc::new(Self { events, tasks, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends an operation that waits, and cancels one that runs.
    fn cancel(&mut self, entry: &Entry) {
        let is_closed = self.closed;
        let Some(live) = self.live.get_mut(&entry.id) else { return };
        live.is_cancelled |= !is_closed;
        live.cancel.cancel();
        if !entry.running {
            let OperationRequest { kind, game, .. } = entry.request.clone();
            let failure = OperationFailure::new("cancelled", ErrorCategory::Interrupted, "cancelled");
            let outcome = failure.code.clone();
            live.events.report(PeerEvent::OperationEnd { operation: entry.id, kind, game, outcome });
            self.end(entry.id, Err(failure));
        }
    }

    fn end(&mut self, id: OperationId, outcome: OperationOutcome) {
        if let Some(Entry { request, .. }) = self.queue.remove(id) {
            self.counts.add(request.kind, outcome.as_ref().err());
            self.outcomes.ended(EndedOperation::now(id, request.kind, request.game, outcome.as_ref().err()));
        }
        if let Some(live) = self.live.remove(&id) {
            let is_stopped = self.closed && !live.is_cancelled && outcome.is_err();
            if let Some(ended) = live.ended {
                // If what keeps it has gone, it is kept.
                let _ = ended.send(if is_stopped { OperationEnding::Stopped } else { OperationEnding::Over });
            }
            live.outcome.send_replace(Some(outcome));
        }
    }
}

/// A follower of one operation. Dropping it leaves the operation running.
pub struct OperationHandle {
    operations: Arc<Operations>,
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

    /// Whether the request joined an operation that was already running or waiting.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// The next event of the operation; nothing when it has ended and every event was returned.
    pub async fn next_event(&mut self) -> Option<PeerEvent> {
        self.next_reported().await.map(|reported| reported.event)
    }

    /// The same with its time and number.
    pub async fn next_reported(&mut self) -> Option<ReportedEvent> {
        tokio::select! {
            biased;
            event = self.events.next_reported() => event,
            // A thread that is about to end may still hold a sender of these events.
            _ = self.outcome.wait_for(Option::is_some) => self.events.try_next_reported(),
        }
    }

    /// How it ended. Cancel-safe.
    pub async fn outcome(&mut self) -> OperationOutcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(OperationFailure::new(
                "internal",
                ErrorCategory::Unexpected,
                "internal fault: an operation ended without an outcome",
            )),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// Cancels the operation unless it has another follower. Returns whether it was cancelled.
    pub fn give_up(&self) -> bool {
        let mut state = self.operations.state();
        let entry = state.queue.entries().iter().find(|entry| entry.id == self.id).cloned();
        let alone = state.live.get(&self.id).is_some_and(|live| live.followers == 1);
        let (Some(entry), true) = (entry, alone) else { return false };
        state.cancel(&entry);
        // An operation that waited for it may begin.
        self.operations.start(&mut state);
        true
    }
}

impl Drop for OperationHandle {
    fn drop(&mut self) {
        if let Some(live) = self.operations.state().live.get_mut(&self.id) {
            live.followers -= 1;
        }
    }
}

impl Operations {
    /// Requests an operation. It runs when its turn comes, even if it has lost its followers. An equal request joins it
    /// until it is done.
    ///
    /// # Errors
    /// [`OperationsError::QueueFull`]; [`OperationsError::Closed`] if the peer is stopping.
    pub(crate) fn submit(
        self: &Arc<Self>,
        request: OperationRequest,
        performer: Arc<dyn Perform>,
    ) -> Result<OperationHandle, OperationsError> {
        self.submit_as(Submission { request, performer, resumed: false, ended: None })
    }

    /// The same for one that may outlive this peer.
    pub(crate) fn submit_as(
        self: &Arc<Self>,
        submission: Submission,
    ) -> Result<OperationHandle, OperationsError> {
        let Submission { request, performer, resumed, ended } = submission;
        let mut state = self.state();
        if state.closed {
            return Err(OperationsError::Closed);
        }
        if state.draining {
            return Err(OperationsError::Draining);
        }
        let submitted =
            state.queue.submit(&request).map_err(|Full(waiting)| OperationsError::QueueFull { waiting })?;
        let (id, joined) = match submitted {
            Submitted::Joined(id) => (id, true),
            Submitted::New(id) => (id, false),
        };
        let live = state.live.entry(id).or_insert_with(|| Live {
            performer,
            events: self.events.of_operation(Some(id)),
            cancel: CancellationToken::new(),
            outcome: watch::Sender::new(None),
            followers: 0,
            resumed,
            is_cancelled: false,
            ended,
        });
        let handle = live.follow(self, id, joined);
        if !joined {
            let OperationRequest { kind, game, .. } = request;
            live.events.report(PeerEvent::OperationQueued(QueuedOperation {
                operation: id,
                kind,
                game,
                resumed,
            }));
        }
        self.start(&mut state);
        Ok(handle)
    }

    /// The running and waiting operations, in the order of their requests.
    pub(crate) fn running(&self) -> Vec<OperationInfo> {
        let state = self.state();
        let info = |entry: &Entry| OperationInfo {
            operation: entry.id,
            kind: entry.request.kind,
            game: entry.request.game.clone(),
            running: entry.running,
            followers: state.live.get(&entry.id).map_or(0, |live| live.followers),
            progress: state.live.get(&entry.id).map(|live| live.events.progress()).unwrap_or_default(),
            resumed: state.live.get(&entry.id).is_some_and(|live| live.resumed),
        };
        state.queue.entries().iter().map(info).collect()
    }

    /// How many operations of each kind have ended in which way.
    pub(crate) fn counts(&self) -> Vec<(OperationKind, &'static str, u64)> {
        self.state().counts.all()
    }

    /// How the newest operation on each game has ended, as far as that is remembered.
    pub(crate) fn ended(&self) -> Vec<EndedOperation> {
        self.state().outcomes.all()
    }

    /// Cancels every operation on a game, no matter which client requested it. Returns how many there were.
    ///
    /// # Errors
    /// [`OperationsError::NoOperation`] if there is none.
    pub(crate) fn cancel(self: &Arc<Self>, game: &GameId) -> Result<usize, OperationsError> {
        let mut state = self.state();
        let entries = state.queue.of_game(game);
        if entries.is_empty() {
            return Err(OperationsError::NoOperation { game: game.clone() });
        }
        for entry in &entries {
            state.cancel(entry);
        }
        self.start(&mut state);
        Ok(entries.len())
    }

    /// From now on no operation begins. Those that wait go on waiting.
    pub(crate) fn drain(&self) {
        self.state().draining = true;
    }

    /// Whether no more operations begin, and those that run are cancelled.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Cancels one operation, no matter which client requested it. Returns its game.
    ///
    /// # Errors
    /// [`OperationsError::NoSuchOperation`] if it has ended, or never was.
    pub(crate) fn cancel_one(self: &Arc<Self>, operation: u64) -> Result<GameId, OperationsError> {
        let mut state = self.state();
        let entry = state.queue.entries().iter().find(|entry| entry.id == operation).cloned();
        let entry = entry.ok_or(OperationsError::NoSuchOperation { operation })?;
        state.cancel(&entry);
        self.start(&mut state);
        Ok(entry.request.game)
    }

    /// Cancels all operations. No more operations begin.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for entry in state.queue.entries().to_vec() {
            state.cancel(&entry);
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        if state.draining {
            return;
        }
        for id in state.queue.start() {
            let request =
                state.queue.entries().iter().find(|entry| entry.id == id).map(|entry| &entry.request);
            let (Some(request), Some(live)) = (request.cloned(), state.live.get(&id)) else { continue };
            let (performer, events) = (Arc::clone(&live.performer), live.events.clone());
            let running = Arc::clone(self).run(id, request, performer, events, live.cancel.clone());
            self.tasks.spawn_contained("operation", running);
        }
    }

    async fn run(
        self: Arc<Self>,
        id: OperationId,
        request: OperationRequest,
        performer: Arc<dyn Perform>,
        events: EventSender,
        cancel: CancellationToken,
    ) {
        let OperationRequest { kind, game, options } = request;
        let unended =
            Unended { operations: Arc::clone(&self), id, kind, game: game.clone(), events: events.clone() };
        events.report(PeerEvent::OperationBegin { operation: id, kind, game: game.clone() });
        let context = OperationContext { game: game.clone(), options, events: events.clone(), cancel };
        let outcome = performer.perform(kind, context).await;
        unended.end(outcome);
    }
}

/// A running operation. If it panics, its followers learn that it has failed, and the next operation begins.
struct Unended {
    operations: Arc<Operations>,
    id: OperationId,
    kind: OperationKind,
    game: GameId,
    events: EventSender,
}

impl Unended {
    fn end(&self, outcome: OperationOutcome) {
        let said = outcome.as_ref().map_or_else(|failure| failure.code.clone(), |()| "done".into());
        let (operation, kind, game) = (self.id, self.kind, self.game.clone());
        // Told below the lock: who hears of the end and then asks, finds that the operation has ended.
        let mut state = self.operations.state();
        self.events.report(PeerEvent::OperationEnd { operation, kind, game, outcome: said });
        state.end(self.id, outcome);
        self.operations.start(&mut state);
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "internal fault: the operation ended abnormally";
            self.end(Err(OperationFailure::new("internal", ErrorCategory::Unexpected, what)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics on its first operation.
    struct Panics(std::sync::atomic::AtomicBool);

    impl Perform for Panics {
        fn perform(&self, _kind: OperationKind, _context: OperationContext) -> Performing<'_> {
            Box::pin(async {
                assert!(self.0.swap(true, std::sync::atomic::Ordering::Relaxed), "as the test wants");
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn an_operation_that_panics_fails_and_the_next_one_runs() {
        let tasks = Tasks::default();
        let operations = Operations::new(1, EventSender::new(), tasks.clone());
        let performer: Arc<dyn Perform> = Arc::new(Panics(false.into()));
        let request = |kind| OperationRequest {
            kind,
            game: "g".parse().unwrap(),
            options: OperationOptions::default(),
        };
        let mut first = operations.submit(request(OperationKind::Verify), Arc::clone(&performer)).unwrap();
        let mut second = operations.submit(request(OperationKind::Remove), performer).unwrap();
        assert_eq!(first.outcome().await.unwrap_err().code, "internal");
        assert_eq!(second.outcome().await, Ok(()));
        assert_eq!(operations.running(), []);
        assert!(!tasks.broken().is_cancelled(), "the peer goes on");
    }

    /// Runs until it is cancelled.
    struct Waits;

    impl Perform for Waits {
        fn perform(&self, _kind: OperationKind, context: OperationContext) -> Performing<'_> {
            Box::pin(async move {
                context.cancel.cancelled().await;
                Err(OperationFailure::new("cancelled", ErrorCategory::Interrupted, "cancelled"))
            })
        }
    }

    #[tokio::test]
    async fn the_end_of_an_operation_is_told_when_it_is_in_no_list() {
        let events = EventSender::new();
        let operations = Operations::new(1, events.clone(), Tasks::default());
        let (kind, game): (_, GameId) = (OperationKind::Verify, "g".parse().unwrap());
        let request = OperationRequest { kind, game: game.clone(), options: OperationOptions::default() };
        let handle = operations.submit(request, Arc::new(Waits)).unwrap();
        let mut heard = events.subscribe();
        let (id, operations_of_it) = (handle.operation(), Arc::clone(&operations));
        let unended = Unended { operations: operations_of_it, id, kind, game, events };
        let listed = operations.state();
        let (ends, begun) = std::sync::mpsc::channel();
        let ending = std::thread::spawn(move || {
            ends.send(()).unwrap();
            unended.end(Ok(()));
        });
        begun.recv().unwrap();
        for _ in 0..10_000 {
            assert_eq!(heard.try_next(), None, "it is still listed");
            std::thread::yield_now();
        }
        drop(listed);
        ending.join().unwrap();
        assert!(matches!(heard.try_next(), Some(PeerEvent::OperationEnd { .. })));
        assert_eq!(operations.running(), []);
    }

    #[tokio::test]
    async fn one_operation_is_cancelled_by_its_number_and_the_others_on_its_game_are_not() {
        let operations = Operations::new(1, EventSender::new(), Tasks::default());
        let request = |kind| OperationRequest {
            kind,
            game: "g".parse().unwrap(),
            options: OperationOptions::default(),
        };
        let mut handles = Vec::new();
        for kind in [OperationKind::Verify, OperationKind::Remove, OperationKind::Uninstall] {
            handles.push(operations.submit(request(kind), Arc::new(Waits)).unwrap());
        }
        let waiting = handles[1].operation();
        assert_eq!(operations.cancel_one(waiting).unwrap().as_str(), "g");
        assert_eq!(handles[1].outcome().await.unwrap_err().code, "cancelled");
        let left: Vec<u64> = operations.running().iter().map(|info| info.operation).collect();
        assert_eq!(left, [handles[0].operation(), handles[2].operation()]);
        assert_eq!(operations.cancel_one(waiting).unwrap_err().code(), "no-operation", "it has ended");
        operations.cancel_one(handles[0].operation()).unwrap();
        assert_eq!(handles[0].outcome().await.unwrap_err().code, "cancelled");
    }
}
