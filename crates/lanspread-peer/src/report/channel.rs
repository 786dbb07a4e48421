//! Carries events from the parts of a peer to its subscribers.

use std::sync::{Arc, Mutex, PoisonError};

use lanspread_types::limits;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::report::event::PeerEvent;
use crate::report::history::EventHistory;
use crate::report::reported_event::ReportedEvent;

/// A subscription to a peer's events, from the moment it was made.
#[derive(Debug)]
pub struct PeerEvents(broadcast::Receiver<SharedEvent>);

/// A channel has room for [`limits::EVENT_QUEUE_ITEMS`] from its beginning, so what is in it is small.
type SharedEvent = Arc<PeerEvent>;

impl PeerEvents {
    /// The next event; none when the peer is gone.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        match self.0.recv().await {
            Ok(event) => Some(Arc::unwrap_or_clone(event)),
            Err(RecvError::Lagged(count)) => Some(PeerEvent::EventsLost { count }),
            Err(RecvError::Closed) => None,
        }
    }

    /// An event that has already happened, if there is one.
    pub fn try_next(&mut self) -> Option<PeerEvent> {
        match self.0.try_recv() {
            Ok(event) => Some(Arc::unwrap_or_clone(event)),
            Err(broadcast::error::TryRecvError::Lagged(count)) => Some(PeerEvent::EventsLost { count }),
            Err(_) => None,
        }
    }
}

/// Where the parts of a peer report events.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    peer: broadcast::Sender<SharedEvent>,
    /// The newest events of the peer, without progress.
    history: Arc<Mutex<EventHistory>>,
    /// The followers of one operation, which receive only its events.
    operation: Option<broadcast::Sender<SharedEvent>>,
}

impl EventSender {
    pub(crate) fn new() -> Self {
        Self {
            peer: broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS),
            history: Arc::default(),
            operation: None,
        }
    }

    /// A sender whose events go to the subscribers of the peer and to those of the operation.
    pub(crate) fn of_operation(&self) -> Self {
        Self {
            peer: self.peer.clone(),
            history: Arc::clone(&self.history),
            operation: Some(broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS)),
        }
    }

    /// Subscribes to the events from now on: of the operation, if this is the sender of one, otherwise of the whole
    /// peer.
    pub(crate) fn subscribe(&self) -> PeerEvents {
        PeerEvents(self.operation.as_ref().unwrap_or(&self.peer).subscribe())
    }

    pub(crate) fn report(&self, event: PeerEvent) {
        let event = Arc::new(event);
        // No subscriber is fine: events are optional.
        if let Some(operation) = &self.operation {
            let _ = operation.send(Arc::clone(&event));
        }
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push(ReportedEvent::now(PeerEvent::clone(&event)));
        // Still under the lock, so that history and rest meet without a gap.
        let _ = self.peer.send(event);
    }

    /// The newest events of the peer, and a subscription that continues where they end.
    pub(crate) fn history_and_rest(&self) -> (Vec<ReportedEvent>, PeerEvents) {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        (history.events(), PeerEvents(self.peer.subscribe()))
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
        let operation = peer.of_operation();
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
            peer.of_operation().report(event(count));
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
}
