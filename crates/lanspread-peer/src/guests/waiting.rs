//! Waiting for a place: who waits where ([`crate::guests::queue`] decides), and who is woken.
//!
//! Each one that waits looks after the whole queue: when a place becomes free, it gives the places that are free to those whose
//! turn it is. One that leaves drops its [`Waiter`], which leaves the queue at once; a place that it was given and has not
//! taken goes to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_proto::queued::QueuePosition;
use tokio::sync::oneshot;

use crate::guests::guest::Guest;
use crate::guests::places::{HeldPlace, Places};
use crate::guests::queue::{Joined, PlaceQueue, QueueBounds, Ticket, estimate};

/// Places of one kind, and the queue for them. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct QueuedPlaces {
    pub(crate) places: Places,
    line: Arc<Mutex<Line>>,
}

#[derive(Debug)]
struct Line {
    queue: PlaceQueue,
    /// None is sent to one that has to go.
    wake: BTreeMap<Ticket, oneshot::Sender<Option<HeldPlace>>>,
}

/// One that waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    queued: QueuedPlaces,
    ticket: Ticket,
    turn: oneshot::Receiver<Option<HeldPlace>>,
}

/// How waiting ended.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It has a place.
    Place(HeldPlace),
    /// A guest of which fewer wait has its place in the queue.
    Displaced,
}

impl QueuedPlaces {
    pub(crate) fn new(places: Places, bounds: QueueBounds) -> Self {
        let line = Line { queue: PlaceQueue::new(bounds), wake: BTreeMap::new() };
        Self { places, line: Arc::new(Mutex::new(line)) }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// A guest waits for a place; none if too many wait.
    pub(crate) fn join(&self, guest: Guest) -> Option<Waiter> {
        let (wake, turn) = oneshot::channel();
        let mut line = self.lock();
        let ticket = match line.queue.join(guest) {
            Joined::Waits(ticket) => ticket,
            Joined::InsteadOf { ticket, displaced } => {
                if let Some(wake) = line.wake.remove(&displaced) {
                    // It may have gone by itself.
                    let _ = wake.send(None);
                }
                ticket
            }
            Joined::Full => return None,
        };
        line.wake.insert(ticket, wake);
        drop(line);
        Some(Waiter { queued: self.clone(), ticket, turn })
    }

    /// Gives the places that there are to those whose turn it is.
    fn advance(&self) {
        let mut line = self.lock();
        // One that cannot have a place now, because its guest has enough, keeps no other guest from one.
        for (ticket, guest) in line.queue.order() {
            let Some(place) = self.places.take(guest) else { continue };
            line.queue.has_turn(ticket);
            if let Some(wake) = line.wake.remove(&ticket) {
                // If it is gone, the place is free again for the next one.
                drop(wake.send(Some(place)));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Where it stands; the first if its turn has come.
    pub(crate) fn position(&self) -> QueuePosition {
        let ahead = self.queued.lock().queue.ahead(self.ticket).unwrap_or(0);
        let places = &self.queued.places;
        let in_ms = estimate(ahead, places.total(), &places.progress());
        QueuePosition {
            ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
            in_ms: in_ms.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
        }
    }

    /// Its turn, if it has come.
    pub(crate) fn now(&mut self) -> Option<Turn> {
        self.queued.advance();
        self.turn.try_recv().ok().map(Turn::from)
    }

    /// Waits for its turn. Cancel safe.
    pub(crate) async fn turn(&mut self) -> Turn {
        let Self { queued, turn, .. } = self;
        loop {
            // Listens before it looks, so that it misses no place in between.
            let mut freed = std::pin::pin!(queued.places.freed().notified());
            freed.as_mut().enable();
            queued.advance();
            tokio::select! {
                biased;
                // The sender is in the line until this waiter has its turn or has to go.
                turn = &mut *turn => return Turn::from(turn.unwrap_or(None)),
                () = freed => {}
            }
        }
    }
}

impl From<Option<HeldPlace>> for Turn {
    fn from(place: Option<HeldPlace>) -> Self {
        place.map_or(Self::Displaced, Self::Place)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut line = self.queued.lock();
        line.queue.remove(self.ticket);
        line.wake.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests;
