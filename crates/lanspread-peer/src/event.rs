//! What a peer reports while it works.
//!
//! Events are data: the library never prints. Field names and the kebab-case `event` names are stable; fields may be
//! added. Bytes are unpacked bytes, durations milliseconds.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::archive::provider::ArchiveFormat;
use crate::error::AttemptFailure;
use crate::game::{GameId, GameVersion, PeerName};
use crate::limits;

/// One event.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum PeerEvent {
    /// The listener is open: other peers can connect.
    PeerReady {
        /// Address it listens on, with the real port.
        addr: SocketAddr,
        /// Name of this peer.
        name: PeerName,
        /// Identity of this peer.
        peer: String,
    },
    /// What an earlier crash left of an operation was put in order.
    GameRecovered {
        /// Which game.
        game: GameId,
        /// What was done.
        action: &'static str,
    },
    /// The sources of a streamed install are chosen.
    StreamInstallBegin {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// Names of the validated peers, in the order in which they are tried.
        sources: Vec<PeerName>,
    },
    /// One source is tried.
    StreamAttemptBegin {
        /// Which game.
        game: GameId,
        /// Counts from 1.
        attempt: usize,
        /// Name of the source.
        peer: PeerName,
        /// Its address.
        addr: SocketAddr,
    },
    /// An archive begins to arrive.
    ArchiveBegin {
        /// Which game.
        game: GameId,
        /// Name of the source.
        peer: PeerName,
        /// File name of the archive at the source.
        name: String,
        /// Container format.
        format: ArchiveFormat,
        /// Whether its files depend on the ones before them.
        solid: bool,
        /// Files in it.
        files: u64,
        /// Unpacked bytes in it.
        bytes: u64,
    },
    /// Bytes arrived.
    StreamProgress {
        /// Which game.
        game: GameId,
        /// Name of the source.
        peer: PeerName,
        /// Unpacked bytes received in this attempt.
        bytes: u64,
        /// Unpacked bytes of the game.
        bytes_total: u64,
    },
    /// A source failed; its staging is gone.
    StreamAttemptFailed {
        /// Which game.
        game: GameId,
        /// Counts from 1.
        attempt: usize,
        /// Name of the source.
        peer: PeerName,
        /// Stable kebab-case code.
        code: &'static str,
        /// Why, in one line.
        message: String,
    },
    /// The game is installed.
    StreamInstallFinished {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// Name of the source it came from.
        peer: PeerName,
        /// Files installed, copies included.
        files: u64,
        /// Bytes installed.
        bytes: u64,
        /// From the command to the durable rename.
        duration_ms: u64,
    },
    /// The game is not installed; the machine is as it was.
    StreamInstallFailed {
        /// Which game.
        game: GameId,
        /// Stable kebab-case code.
        code: &'static str,
        /// Why, in one line.
        message: String,
        /// Every attempt that was made, in order.
        attempts: Vec<AttemptFailure>,
    },
    /// A stream to another peer began.
    TransferBegin {
        /// Which game.
        game: GameId,
        /// Name of the receiver.
        peer: PeerName,
        /// Identity of the receiver.
        peer_id: String,
    },
    /// A stream to another peer ended.
    TransferEnd {
        /// Which game.
        game: GameId,
        /// Name of the receiver.
        peer: PeerName,
        /// `complete`, or the stable code of what ended it.
        outcome: &'static str,
        /// Unpacked bytes sent.
        bytes: u64,
    },
    /// The subscriber was too slow and lost events.
    EventsLost {
        /// How many.
        count: u64,
    },
}

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
pub(crate) struct EventSender(broadcast::Sender<PeerEvent>);

impl EventSender {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(limits::EVENT_QUEUE_ITEMS))
    }

    pub(crate) fn subscribe(&self) -> PeerEvents {
        PeerEvents(self.0.subscribe())
    }

    pub(crate) fn report(&self, event: PeerEvent) {
        // Nobody listening is fine: events are for whoever wants them.
        let _ = self.0.send(event);
    }
}
