//! How events travel: from the parts of a peer to whoever subscribed.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::PeerEvent;
use crate::limits;

/// A subscription to a peer's events, from the moment it was made.
#[derive(Debug)]
pub struct PeerEvents(broadcast::Receiver<PeerEvent>);

impl PeerEvents {
    /// The next event, or nothing when the peer is gone.
    pub async fn next(&mut self) -> Option<PeerEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(PeerEvent::EventsLost { count }),
            Err(RecvError::Closed) => None,
        }
    }

    /// An event that has happened already, if there is one.
    pub fn try_next(&mut self) -> Option<PeerEvent> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(count)) => Some(PeerEvent::EventsLost { count }),
            Err(_) => None,
        }
    }
}

/// Where the parts of a peer report to.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    peer: broadcast::Sender<PeerEvent>,
    /// The followers of one operation, who hear nothing else.
    operation: Option<broadcast::Sender<PeerEvent>>,
}

impl EventSender {
    pub(crate) fn new() -> Self {
        Self { peer: broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS), operation: None }
    }

    /// A sender whose events go to the subscribers of the peer and to those of the operation.
    pub(crate) fn of_operation(&self) -> Self {
        Self { peer: self.peer.clone(), operation: Some(broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS)) }
    }

    /// What is reported from now on: of the operation if it is one's sender, otherwise of the whole peer.
    pub(crate) fn subscribe(&self) -> PeerEvents {
        PeerEvents(self.operation.as_ref().unwrap_or(&self.peer).subscribe())
    }

    pub(crate) fn report(&self, event: PeerEvent) {
        // Nobody listening is fine: events are for whoever wants them.
        if let Some(operation) = &self.operation {
            let _ = operation.send(event.clone());
        }
        let _ = self.peer.send(event);
    }
}
