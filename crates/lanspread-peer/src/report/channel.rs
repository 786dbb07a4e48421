//! Carries events from the parts of a peer to its subscribers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use lanspread_types::limits;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use crate::report::event::PeerEvent;
use crate::report::history::EventHistory;
use crate::report::operation_progress::{OperationProgress, ProgressMeter};
use crate::report::reported_event::ReportedEvent;

/// A subscription to a peer's events, from the moment it was made.
///
/// Events arrive in the order of their numbers ([`ReportedEvent::seq`]), which is that in which they happened. A subscriber
/// that lags behind by more than [`limits::EVENT_QUEUE_ITEMS`] loses the oldest ones, and learns how many it has lost
/// ([`PeerEvent::EventsLost`]) at the place where they are missing.
#[derive(Debug)]
pub struct PeerEvents(broadcast::Receiver<SharedEvent>);

/// A channel has room for [`limits::EVENT_QUEUE_ITEMS`] from its beginning, so what is in it is small.
type SharedEvent = Arc<ReportedEvent>;

impl PeerEvents {
    /// The next event; none when the peer is gone.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        self.next_reported().await.map(|reported| reported.event)
    }

    /// An event that has already happened, if there is one.
    pub fn try_next(&mut self) -> Option<PeerEvent> {
        self.try_next_reported().map(|reported| reported.event)
    }

    /// The next event with its time, number and operation; none when the peer is gone.
    pub async fn next_reported(&mut self) -> Option<ReportedEvent> {
        match self.0.recv().await {
            Ok(event) => Some(Arc::unwrap_or_clone(event)),
            Err(RecvError::Lagged(count)) => Some(ReportedEvent::now(PeerEvent::EventsLost { count })),
            Err(RecvError::Closed) => None,
        }
    }

    /// An event that has already happened, with its time, number and operation, if there is one.
    pub fn try_next_reported(&mut self) -> Option<ReportedEvent> {
        match self.0.try_recv() {
            Ok(event) => Some(Arc::unwrap_or_clone(event)),
            Err(broadcast::error::TryRecvError::Lagged(count)) => {
                Some(ReportedEvent::now(PeerEvent::EventsLost { count }))
            }
            Err(_) => None,
        }
    }
}

/// The events of a subscription as a [`Stream`], in the order of their numbers; see [`PeerEvents`]. It ends when the peer is
/// gone.
pub struct PeerEventStream(ReusableBoxFuture<'static, (Option<ReportedEvent>, PeerEvents)>);

impl PeerEvents {
    /// The same as a [`Stream`], with the time, number and operation of each event.
    pub fn into_stream(self) -> PeerEventStream {
        PeerEventStream(ReusableBoxFuture::new(next_of(self)))
    }
}

async fn next_of(mut events: PeerEvents) -> (Option<ReportedEvent>, PeerEvents) {
    let next = events.next_reported().await;
    (next, events)
}

impl Stream for PeerEventStream {
    type Item = ReportedEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ReportedEvent>> {
        let (next, events) = ready!(self.0.poll(context));
        self.0.set(next_of(events));
        Poll::Ready(next)
    }
}

/// Where the parts of a peer report events.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    peer: broadcast::Sender<SharedEvent>,
    /// What is remembered of the peer's events.
    memory: Arc<Mutex<Memory>>,
    /// The operation that reports through this sender.
    operation: Option<OperationEvents>,
}

/// What is remembered of the events of a peer.
#[derive(Debug, Default)]
struct Memory {
    /// Number of the last event.
    seq: u64,
    /// The newest ones, without progress.
    history: EventHistory,
}

/// The events of one operation.
#[derive(Debug, Clone)]
struct OperationEvents {
    /// Number of the operation; none if it is a call of the embedding program.
    operation: Option<u64>,
    /// Its followers, which receive only its events.
    followers: broadcast::Sender<SharedEvent>,
    meter: Arc<Mutex<ProgressMeter>>,
}

impl EventSender {
    pub(crate) fn new() -> Self {
        Self {
            peer: broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS),
            memory: Arc::default(),
            operation: None,
        }
    }

    /// A sender whose events go to the subscribers of the peer and to those of the operation of this number. A call of the
    /// embedding program has none.
    pub(crate) fn of_operation(&self, operation: Option<u64>) -> Self {
        let followers = broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS);
        Self {
            peer: self.peer.clone(),
            memory: Arc::clone(&self.memory),
            operation: Some(OperationEvents { operation, followers, meter: Arc::default() }),
        }
    }

    /// How far the operation of this sender is.
    pub(crate) fn progress(&self) -> OperationProgress {
        self.operation.as_ref().map_or_else(OperationProgress::default, |operation| {
            let meter = operation.meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.progress(Instant::now())
        })
    }

    /// Subscribes to the events from now on: of the operation, if this is the sender of one, otherwise of the whole
    /// peer.
    pub(crate) fn subscribe(&self) -> PeerEvents {
        let operation = self.operation.as_ref();
        PeerEvents(operation.map_or(&self.peer, |operation| &operation.followers).subscribe())
    }

    pub(crate) fn report(&self, event: PeerEvent) {
        if let Some(OperationEvents { meter, .. }) = &self.operation {
            meter.lock().unwrap_or_else(PoisonError::into_inner).take(&event, Instant::now());
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.seq += 1;
        let operation = self.operation.as_ref().and_then(|operation| operation.operation);
        let reported = ReportedEvent { seq: Some(memory.seq), operation, ..ReportedEvent::now(event) };
        let reported = Arc::new(reported);
        memory.history.push(ReportedEvent::clone(&reported));
        // Still under the lock, so that history and rest meet without a gap and numbers only grow. No subscriber is fine:
        // events are optional.
        if let Some(OperationEvents { followers, .. }) = &self.operation {
            let _ = followers.send(Arc::clone(&reported));
        }
        let _ = self.peer.send(reported);
    }

    /// The newest events of the peer, and a subscription that continues where they end.
    pub(crate) fn history_and_rest(&self) -> (Vec<ReportedEvent>, PeerEvents) {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        (memory.history.events(), PeerEvents(self.peer.subscribe()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(count: u64) -> PeerEvent {
        PeerEvent::EventsLost { count }
    }

    #[test]
    fn the_followers_of_an_operation_receive_only_its_events() {
        let peer = EventSender::new();
        let operation = peer.of_operation(Some(7));
        let (mut all, mut own) = (peer.subscribe(), operation.subscribe());
        peer.report(event(1));
        operation.report(event(2));
        assert_eq!((all.try_next(), all.try_next()), (Some(event(1)), Some(event(2))));
        assert_eq!((own.try_next(), own.try_next()), (Some(event(2)), None));
    }

    #[test]
    fn history_is_bounded_and_meets_the_rest_without_a_gap() {
        let peer = EventSender::new();
        for count in 0..=limits::EVENT_HISTORY_ITEMS as u64 {
            peer.of_operation(Some(7)).report(event(count));
            let game = "g".parse().unwrap();
            peer.report(PeerEvent::InstallProgress { game, bytes: 1, bytes_total: 2 });
        }
        let (history, mut rest) = peer.history_and_rest();
        assert_eq!(history.len(), limits::EVENT_HISTORY_ITEMS);
        assert_eq!(
            history[0].event,
            event(1),
            "the oldest event was dropped first, and progress took no place"
        );
        peer.report(event(7));
        assert_eq!(rest.try_next(), Some(event(7)));
    }

    #[test]
    fn events_are_numbered_and_say_which_operation_reported_them() {
        let peer = EventSender::new();
        let (mut all, operation) = (peer.subscribe(), peer.of_operation(Some(7)));
        peer.report(event(1));
        operation.report(event(2));
        let mut told = || all.try_next_reported().map(|reported| (reported.seq, reported.operation));
        assert_eq!((told(), told(), told()), (Some((Some(1), None)), Some((Some(2), Some(7))), None));
    }

    async fn next(stream: &mut PeerEventStream) -> Option<ReportedEvent> {
        std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
    }

    #[tokio::test]
    async fn a_stream_has_the_events_in_their_order_and_ends_with_the_peer() {
        let peer = EventSender::new();
        let mut stream = peer.subscribe().into_stream();
        peer.report(event(1));
        peer.report(event(2));
        assert_eq!(next(&mut stream).await.map(|reported| reported.event), Some(event(1)));
        assert_eq!(next(&mut stream).await.and_then(|reported| reported.seq), Some(2));
        drop(peer);
        assert_eq!(next(&mut stream).await, None);
        assert_eq!(next(&mut stream).await, None, "and stays at its end");
    }
}
