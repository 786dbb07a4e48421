//! The newest events of a peer, for clients that ask later.
//!
//! What other peers cause has a share of the places, and so has each of them: a peer that comes and goes, or changes
//! its library all the time, must not push out what this peer did.

use std::collections::VecDeque;

use lanspread_types::ids::PeerId;
use lanspread_types::limits;

use crate::report::event::PeerEvent;
use crate::report::offender::PenalisedPeer;
use crate::report::reported_event::ReportedEvent;

/// The newest events, without progress.
#[derive(Debug, Default)]
pub(crate) struct EventHistory(VecDeque<ReportedEvent>);

impl EventHistory {
    /// Adds an event. If it has no place, the oldest one of its kind gives its own.
    pub(crate) fn push(&mut self, reported: ReportedEvent) {
        let event = &reported.event;
        if event.is_progress() {
            return;
        }
        if let PeerEvent::PeerLibraryChanged { peer, .. } = event {
            // Only the newest state of a library matters.
            self.drop_oldest(
                1,
                |event| matches!(event, PeerEvent::PeerLibraryChanged { peer: other, .. } if other == peer),
            );
        }
        if let Some(peer) = caused_by(event) {
            self.drop_oldest(limits::EVENT_HISTORY_PER_PEER_ITEMS, |event| caused_by(event) == Some(peer));
        }
        if is_of_others(event) {
            self.drop_oldest(limits::EVENT_HISTORY_OTHERS_ITEMS, is_of_others);
        }
        self.drop_oldest(limits::EVENT_HISTORY_ITEMS, |_| true);
        self.0.push_back(reported);
    }

    /// All of them, the oldest first.
    pub(crate) fn events(&self) -> Vec<ReportedEvent> {
        self.0.iter().cloned().collect()
    }

    /// Makes room for one more of the events of a kind, if there are `limit` of them.
    fn drop_oldest(&mut self, limit: usize, of_kind: impl Fn(&PeerEvent) -> bool) {
        let mut oldest = None;
        let mut count = 0;
        for (index, reported) in self.0.iter().enumerate() {
            if of_kind(&reported.event) {
                oldest = oldest.or(Some(index));
                count += 1;
            }
        }
        if let Some(oldest) = oldest.filter(|_| count >= limit) {
            self.0.remove(oldest);
        }
    }
}

/// Whether another peer can cause such an event whenever it likes.
fn is_of_others(event: &PeerEvent) -> bool {
    caused_by(event).is_some() || matches!(event, PeerEvent::TransferEnd { .. })
}

/// The other peer that caused an event, if the event names its identity.
fn caused_by(event: &PeerEvent) -> Option<PeerId> {
    match event {
        PeerEvent::PeerFound { peer, .. }
        | PeerEvent::PeerLibraryChanged { peer, .. }
        | PeerEvent::PeerLost { peer, .. }
        | PeerEvent::PeerPenalised(PenalisedPeer { peer, .. })
        | PeerEvent::DuplicateIdentity { peer, .. }
        | PeerEvent::TransferBegin { peer_id: peer, .. } => Some(*peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(count: u64) -> PeerEvent {
        PeerEvent::EventsLost { count }
    }

    fn found(peer: PeerId) -> PeerEvent {
        PeerEvent::PeerFound { peer, name: "pc".parse().unwrap(), addr: ([10, 0, 0, 1], 1).into() }
    }

    fn changed(peer: PeerId, revision: u64) -> PeerEvent {
        PeerEvent::PeerLibraryChanged { peer, name: "pc".parse().unwrap(), revision, games: 1 }
    }

    fn count(history: &EventHistory, of_kind: impl Fn(&PeerEvent) -> bool) -> usize {
        history.events().iter().filter(|reported| of_kind(&reported.event)).count()
    }

    fn push(history: &mut EventHistory, event: PeerEvent) {
        history.push(ReportedEvent::now(event));
    }

    #[test]
    fn a_neighbour_that_changes_all_the_time_takes_one_place() {
        let (mut history, restless, calm) =
            (EventHistory::default(), PeerId::random().unwrap(), PeerId::random().unwrap());
        push(&mut history, own(1));
        push(&mut history, changed(calm, 7));
        for revision in 0..10_000 {
            push(&mut history, changed(restless, revision));
        }
        let events: Vec<PeerEvent> = history.events().into_iter().map(|reported| reported.event).collect();
        assert_eq!(events, [own(1), changed(calm, 7), changed(restless, 9_999)]);
    }

    #[test]
    fn what_others_cause_does_not_push_out_what_this_peer_did() {
        let (mut history, one) = (EventHistory::default(), PeerId::random().unwrap());
        for number in 0..200 {
            push(&mut history, own(number));
        }
        for _ in 0..1000 {
            push(&mut history, found(one));
        }
        assert_eq!(
            count(&history, |event| caused_by(event) == Some(one)),
            limits::EVENT_HISTORY_PER_PEER_ITEMS
        );
        let game: lanspread_types::ids::GameId = "g".parse().unwrap();
        for _ in 0..1000 {
            push(&mut history, found(PeerId::random().unwrap()));
            let (peer, outcome) = ("pc".parse().unwrap(), "busy".into());
            push(&mut history, PeerEvent::TransferEnd { game: game.clone(), peer, outcome, bytes: 0 });
        }
        assert_eq!(count(&history, is_of_others), limits::EVENT_HISTORY_OTHERS_ITEMS);
        assert_eq!(count(&history, |event| matches!(event, PeerEvent::EventsLost { .. })), 200);
        for number in 0..1000 {
            push(&mut history, own(number));
        }
        assert_eq!(history.events().len(), limits::EVENT_HISTORY_ITEMS);
    }
}
