//! The places of the connections that a listener accepted.
//!
//! If every place is held, a newcomer gets the one that is idle longest of a guest with more than its share, or of any
//! guest if it has been idle for [`CONNECTION_IDLE_MIN`]. A connection that carries a transfer keeps its place: who may
//! transfer is decided where the transfers are.

use std::net::SocketAddr;

use lanspread_types::limits::{
    CONNECTION_IDLE_MIN, CONNECTIONS_MAX, CONNECTIONS_MIN, CONNECTIONS_OF_OPEN_FILES,
    CONNECTIONS_PER_ADDRESS_MAX, CONNECTIONS_SHARE,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guests::guest::Guest;
use crate::guests::places::{HeldPlace, Places};
use crate::guests::shares::{Loss, Shares};

/// The places of all connections.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    places: Places,
    begun: Instant,
}

/// The place of one connection, and what the connection does. It is idle at first.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Who connected.
    pub(crate) guest: Guest,
    place: HeldPlace,
    begun: Instant,
}

impl Seats {
    /// Places for as many connections as a process that may open so many files should have.
    pub(crate) fn new(open_files_max: Option<u64>) -> Self {
        let places = connections_max(open_files_max);
        let share = CONNECTIONS_SHARE.min((places / 4).max(1));
        let most = CONNECTIONS_PER_ADDRESS_MAX.min(places);
        let shares = Shares { places, share, kept: 0, most, idle_max: CONNECTION_IDLE_MIN };
        Self { places: Places::new(shares), begun: Instant::now() }
    }

    /// The place of a new connection, if there is one.
    pub(crate) fn take(&self, from: SocketAddr) -> Option<Seat> {
        let guest = Guest::at(from.ip());
        let place = self.places.take(guest)?;
        Some(Seat { guest, place, begun: self.begun })
    }

    /// Ends the connection that is idle longest, if it has been idle for long.
    pub(crate) fn end_idle(&self) -> bool {
        self.places.end_idle()
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.places.held()
    }
}

impl Seat {
    /// It waits for the other side to ask something.
    pub(crate) fn idles(&self) {
        self.place.idles();
    }

    /// It makes or sends an answer.
    pub(crate) fn answers(&self) {
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.place.set_loss(Loss::small(now_ms));
    }

    /// It carries a transfer, or is about to.
    pub(crate) fn transfers(&self) {
        self.place.set_loss(Loss::NEVER);
    }

    /// Cancelled when another connection has its place.
    pub(crate) fn taken(&self) -> CancellationToken {
        self.place.taken.clone()
    }
}

/// How many connections may be open, so that most of the files that the process may open are left for other work. Pure.
fn connections_max(open_files_max: Option<u64>) -> usize {
    let part = open_files_max.map_or(u64::MAX, |files| files / CONNECTIONS_OF_OPEN_FILES);
    usize::try_from(part).unwrap_or(usize::MAX).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn from(last: u8) -> SocketAddr {
        (IpAddr::from([10, 0, 0, last]), 1).into()
    }

    #[test]
    fn connections_leave_most_open_files_for_other_work() {
        let by_files = [(None, 256), (Some(u64::MAX), 256), (Some(1024), 256), (Some(256), 64), (Some(0), 8)];
        for (files, connections) in by_files {
            assert_eq!(connections_max(files), connections, "{files:?}");
        }
    }

    #[test]
    fn one_address_has_a_limit_of_its_own() {
        let seats = Seats::new(None);
        let held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| seats.take(from(1)).unwrap()).collect();
        assert!(seats.take(from(1)).is_none());
        assert!(seats.take(from(2)).is_some());
        drop(held);
        assert!(seats.take(from(1)).is_some());
        assert_eq!(seats.held(), 0, "nothing outlives its connection");
    }

    /// Four addresses hold every place, and keep each connection busy now and then. A newcomer is let in; the
    /// connections of the four keep being fewer, and never those of the newcomer.
    #[tokio::test(start_paused = true)]
    async fn a_few_addresses_cannot_hold_every_place() {
        let seats = Seats::new(None);
        let held: Vec<Seat> =
            (0..4).cycle().take(CONNECTIONS_MAX).map(|last| seats.take(from(last)).unwrap()).collect();
        for seat in &held {
            seat.answers();
            seat.idles();
        }
        for visit in 0..CONNECTIONS_SHARE {
            let visitor = seats.take(from(200)).unwrap_or_else(|| panic!("visit {visit}"));
            assert_eq!(seats.held(), CONNECTIONS_MAX);
            std::mem::forget(visitor);
        }
        let taken = held.iter().filter(|seat| seat.taken().is_cancelled()).count();
        assert_eq!(taken, CONNECTIONS_SHARE);
        assert!(seats.take(from(200)).is_none(), "it has its share");
        assert!(seats.take(from(1)).is_none());
    }

    /// As many addresses as places: the connection that is idle longest gives way, but none that was busy lately, and
    /// none with a transfer.
    #[tokio::test(start_paused = true)]
    async fn a_newcomer_takes_the_place_that_is_idle_longest() {
        let seats = Seats::new(Some(0));
        let held: Vec<Seat> = (0..8).map(|index| seats.take(from(index)).unwrap()).collect();
        assert!(seats.take(from(100)).is_none(), "none is idle for long");
        for (index, seat) in held.iter().enumerate() {
            match index {
                0 => seat.transfers(),
                1 => seat.answers(),
                _ => {}
            }
        }
        tokio::time::advance(CONNECTION_IDLE_MIN / 2).await;
        held[2].idles();
        tokio::time::advance(CONNECTION_IDLE_MIN / 2).await;
        let newcomers: Vec<_> = (100..110).map_while(|last| seats.take(from(last))).collect();
        assert_eq!(newcomers.len(), 5);
        let kept: Vec<bool> = held.iter().map(|seat| !seat.taken().is_cancelled()).collect();
        assert_eq!(kept, [true, true, true, false, false, false, false, false]);
        tokio::time::advance(CONNECTION_IDLE_MIN / 2).await;
        assert!(seats.end_idle() && held[2].taken().is_cancelled(), "the next one, also without a newcomer");
        assert!(!seats.end_idle());
    }
}
