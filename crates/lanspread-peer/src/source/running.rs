//! A transfer that runs: what it may cost to end it, why it ends before it is complete, and how it ended.

use lanspread_proto::message::{Refusal, RefusalCode};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::guests::places::{ExpectedBytes, HeldPlace};
use crate::guests::queue::QueueBounds;
use crate::guests::shares::{Loss, Shares};
use crate::traffic::{Meter, TrafficKind};

/// What a transfer sends. It decides which one gives way: a download continues later where it stopped, a stream begins
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferKind {
    Stream,
    Download,
    /// Archives as they are, to a decoder: it goes on from another upstream where it stopped.
    Packed,
}

impl TransferKind {
    /// What it counts as.
    pub(super) fn traffic(self) -> TrafficKind {
        match self {
            Self::Stream => TrafficKind::Stream,
            Self::Download => TrafficKind::Download,
            Self::Packed => TrafficKind::Packed,
        }
    }

    /// What is lost if the transfer ends after so many bytes.
    fn loss(self, bytes: u64) -> Loss {
        match self {
            Self::Download | Self::Packed => Loss::small(bytes),
            Self::Stream => Loss::large(bytes),
        }
    }
}

/// The shares of the places for transfers.
pub(super) fn transfer_shares(streams_max: usize) -> Shares {
    let part = streams_max / limits::TRANSFER_SHARES;
    Shares {
        places: streams_max,
        share: part.max(1),
        kept: part,
        most: streams_max,
        // A receiver that has more to fetch asks ahead, and continues later where it stopped.
        idle_max: limits::TRANSFER_IDLE_MIN,
    }
}

/// How many receivers may wait for a place of one kind.
pub(super) const QUEUE_BOUNDS: QueueBounds =
    QueueBounds { total: limits::QUEUE_MAX, per_guest: limits::QUEUE_PER_GUEST_MAX };

/// How a transfer ended.
#[derive(Debug)]
pub(super) struct StreamEnd {
    /// `complete`, or the stable code of what ended it.
    pub(crate) outcome: &'static str,
    /// Data bytes handed to the socket.
    pub(crate) bytes: u64,
}

/// A transfer that runs, as the code sees it that sends its bytes.
pub(super) struct Running<'r> {
    stop: &'r CancellationToken,
    place: &'r HeldPlace,
    kind: TransferKind,
    meter: Meter,
}

/// Why a source ends a transfer before it is complete, although nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlyEnd {
    /// The peer stops, or an operation needs the game quiet.
    Stopping,
    /// Another guest has its place.
    GaveWay,
    /// Its receiver takes less than the least that a receiver must take.
    ReceiverSlow,
}

impl EarlyEnd {
    /// The refusal that its receiver gets.
    pub(super) fn refusal(self) -> Refusal {
        let kib = limits::RECEIVER_WINDOW_BYTES_MIN / 1024;
        let (code, message) = match self {
            Self::Stopping => (RefusalCode::Stopping, "the source stopped sending it".to_owned()),
            Self::GaveWay => (RefusalCode::Busy, "its place went to a peer that had fewer".to_owned()),
            Self::ReceiverSlow => (RefusalCode::Busy, format!("a receiver must take {kib} KiB in a minute")),
        };
        Refusal::new(code, &message)
    }

    /// How the source reports it.
    pub(super) fn outcome(self) -> &'static str {
        match self {
            Self::Stopping => RefusalCode::Stopping.as_str(),
            Self::GaveWay => "gave-way",
            Self::ReceiverSlow => "receiver-slow",
        }
    }
}

impl<'r> Running<'r> {
    pub(super) fn new(
        stop: &'r CancellationToken,
        place: &'r HeldPlace,
        kind: TransferKind,
        meter: Meter,
    ) -> Self {
        Self { stop, place, kind, meter }
    }

    /// Counts and limits what it sends.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Waits until the transfer must end.
    pub(super) async fn must_end(&self) -> EarlyEnd {
        tokio::select! {
            () = self.stop.cancelled() => EarlyEnd::Stopping,
            () = self.place.taken.cancelled() => EarlyEnd::GaveWay,
        }
    }

    /// Notes that the receiver owes the next request, and nothing is owed to it.
    pub(super) fn idles(&self) {
        self.place.idles();
    }

    /// Notes how many bytes were sent so far, or are about to be.
    pub(super) fn sent(&self, bytes: u64) {
        self.place.set_loss(self.kind.loss(bytes));
        self.place.sent(bytes);
    }

    /// How many bytes will be sent in all, to be noted as soon as it is known.
    pub(super) fn expected(&self) -> ExpectedBytes {
        self.place.expected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A download continues later where it stopped, a stream begins again; of each kind, less is lost of what has sent
    /// less.
    #[test]
    fn a_download_costs_less_than_a_stream_and_a_young_transfer_less_than_an_old_one() {
        let (download, stream) = (TransferKind::Download, TransferKind::Stream);
        assert!(download.loss(u64::MAX) < stream.loss(0) && stream.loss(u64::MAX) < Loss::NEVER);
        assert!(download.loss(1) < download.loss(2) && stream.loss(1) < stream.loss(2));
    }
}
