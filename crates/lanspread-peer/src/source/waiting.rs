//! How a request comes to a place: at once, or after a wait in the queue, of which its receiver hears.
//!
//! The place is taken before the gate is asked: a transfer beyond the limit costs no look at the disk. One that waits holds
//! no reader, so that no operation waits for it, and its connection counts as neither idle nor as carrying a transfer.

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply, StreamMessage};
use lanspread_proto::queued::QueuePosition;
use lanspread_types::limits;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::running::EarlyEnd;
use crate::guests::guest::Guest;
use crate::guests::places::HeldPlace;
use crate::guests::waiting::{QueuedPlaces, Turn};
use crate::source::waits::WaitsFor;
use crate::transport::seats::Seat;

/// Who asks for a place, and until when.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) guest: &'a Guest,
    pub(super) seat: &'a Seat,
    pub(super) stop: &'a CancellationToken,
    /// If the source begins no more such transfers once this is cancelled.
    pub(super) draining: Option<&'a CancellationToken>,
}

impl Asking<'_> {
    /// Whether no such transfer begins.
    fn is_late(&self) -> bool {
        self.draining.is_some_and(CancellationToken::is_cancelled)
    }

    /// Waits until no such transfer begins.
    async fn late(&self) {
        let draining = async {
            match self.draining {
                Some(draining) => draining.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = draining => {}
        }
    }
}

/// The messages of one kind of transfer.
pub(super) trait WaitingMessage: Serialize {
    fn queued(position: QueuePosition) -> Self;
    fn refused(refusal: Refusal) -> Self;
}

impl WaitingMessage for StreamMessage {
    fn queued(position: QueuePosition) -> Self {
        Self::Queued(position)
    }

    fn refused(refusal: Refusal) -> Self {
        Self::Failed(refusal)
    }
}

impl WaitingMessage for Reply {
    fn queued(position: QueuePosition) -> Self {
        Self::Queued(position)
    }

    fn refused(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A place for the transfer that a connection asks for; none if its receiver was refused or has gone.
pub(super) async fn place<M: WaitingMessage, S: AsyncRead + AsyncWrite>(
    queued: &QueuedPlaces,
    waits: WaitsFor<'_>,
    connection: &mut Connection<S>,
    asking: Asking<'_>,
) -> Result<Option<HeldPlace>, WireError> {
    let Asking { guest, seat, stop, .. } = asking;
    if asking.is_late() {
        connection.send(&M::refused(EarlyEnd::Stopping.refusal())).await?;
        return Ok(None);
    }
    let Some(mut waiter) = queued.join(*guest) else {
        connection.send(&M::refused(busy(queued, guest))).await?;
        return Ok(None);
    };
    let mut turn = waiter.now();
    let _named = turn.is_none().then(|| waits.add(&connection.theirs.name));
    let mut next_word = Instant::now();
    while turn.is_none() {
        seat.answers();
        if next_word <= Instant::now() {
            next_word = Instant::now() + limits::KEEP_ALIVE_INTERVAL;
            let word = M::queued(waiter.position());
            tokio::select! {
                biased;
                sent = connection.send(&word) => sent?,
                // Nothing can follow half a frame.
                () = stop.cancelled() => return Ok(None),
            }
        }
        turn = tokio::select! {
            biased;
            () = asking.late() => {
                let farewell = M::refused(EarlyEnd::Stopping.refusal());
                // Whether or not it still listens.
                let _ = timeout(limits::FAREWELL_DEADLINE, connection.send(&farewell)).await;
                return Ok(None);
            }
            () = connection.gone() => return Ok(None),
            turn = waiter.turn() => Some(turn),
            () = sleep_until(next_word) => None,
        };
    }
    if let Some(Turn::Place(place)) = turn {
        seat.transfers();
        return Ok(Some(place));
    }
    let refusal = Refusal::new(RefusalCode::Busy, "its place in the queue went to a peer that had fewer");
    connection.send(&M::refused(refusal)).await?;
    Ok(None)
}

fn busy(queued: &QueuedPlaces, guest: &Guest) -> Refusal {
    let (total, waiting) = (queued.places.total(), queued.waiting());
    let theirs = queued.places.held_by(guest);
    let message = format!(
        "it already serves {total} receivers at most, {theirs} of them at this address, and {waiting} wait for a place"
    );
    Refusal::new(RefusalCode::Busy, &message)
}
