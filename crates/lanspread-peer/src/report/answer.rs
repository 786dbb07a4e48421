//! Answers to requests, as data: what a peer reports about itself, its games, its operations and other peers.
//!
//! Like events, they are printed as one JSON object a line, with a stable kebab-case `event` name, and are sent over
//! the control socket unchanged.

use std::net::{IpAddr, SocketAddr};

use lanspread_types::content::Availability;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::failure::{Code, PeerAnswer};
use crate::report::operation::OperationKind;
use crate::report::passed_over::PassedOverFolder;

/// One object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// A game on this machine.
    LocalGame {
        /// Which game.
        game: GameId,
        /// Its title in the catalog, for people.
        title: Option<String>,
        /// Version that is downloaded.
        version: Option<GameVersion>,
        /// Version that is installed, according to its receipt.
        installed_version: Option<GameVersion>,
        /// What this machine can do with it.
        state: Availability,
        /// Whether the sentinel exists.
        downloaded: bool,
        /// Whether `local/` exists.
        installed: bool,
        /// Bytes of its root files.
        bytes: u64,
    },
    /// A folder of the games directory looks like a game and is not served.
    FolderPassedOver(PassedOverFolder),
    /// A game that other peers offer.
    OfferedGame {
        /// Which game.
        game: GameId,
        /// Its title in the catalog, for people.
        title: Option<String>,
        /// In which version.
        version: GameVersion,
        /// Bytes of its root files.
        bytes: u64,
        /// How many peers offer it in this version.
        peer_count: u64,
        /// Their names.
        peers: Vec<PeerName>,
    },
    /// Another peer that answers.
    Peer {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
        /// How many games it offers.
        games: u64,
    },
    /// A peer that was asked and did not answer as expected.
    PeerUnavailable {
        /// The peer as it was named.
        peer: String,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// No peer was found that could be asked. The games of this machine were reported nevertheless.
    NobodyFound {
        /// Where the search looked, and why it found no peer.
        message: String,
        /// The reason: `no-answer`, `nobody-named`, `other-version` or `nobody-heard`.
        cause: Option<Code>,
    },
    /// A peer that is always asked, or no longer.
    SavedPeer {
        /// Where it listens.
        peer: PeerAddress,
        /// Whether it is saved now.
        saved: bool,
    },
    /// What a serving peer is doing.
    PeerStatus {
        /// Its identity.
        peer: PeerId,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
        /// The games it offers.
        games: Vec<GameId>,
        /// Streams and downloads it is sending.
        active_outbound_transfers: u64,
        /// How many it sends at once, at most.
        streams_max: u64,
        /// Open connections to it, including the one that asks.
        connections: u64,
        /// Where these go. Only a daemon says so of itself; empty for another peer.
        receivers: Vec<ReceivingAddress>,
    },
    /// An operation that runs or waits.
    Operation {
        /// Its number, in this run of the peer.
        operation: u64,
        /// What it does.
        kind: OperationKind,
        /// With which game.
        game: GameId,
        /// Whether it runs; it waits otherwise.
        running: bool,
        /// How many clients follow it.
        followers: u64,
    },
    /// Operations were cancelled.
    OperationsCancelled {
        /// On which game.
        game: GameId,
        /// How many.
        count: u64,
    },
    /// What a streamed install would do.
    StreamInstallPlan {
        /// Which game.
        game: GameId,
        /// In which version.
        version: GameVersion,
        /// The sources, in the order in which they would be tried.
        sources: Vec<PlannedSource>,
        /// The other peers, and why they are not sources.
        dropped: Vec<PeerAnswer>,
        /// Files it would install.
        files: u64,
        /// Unpacked bytes.
        bytes: u64,
        /// Bytes that it needs, with room for names and a margin.
        needed_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
        /// Whether it fits.
        fits: bool,
    },
}

/// A source of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSource {
    /// Its name.
    pub name: PeerName,
    /// Its identity.
    pub peer: PeerId,
    /// Its address.
    pub addr: SocketAddr,
}

/// An address that receives streams or downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivingAddress {
    /// The address.
    pub addr: IpAddr,
    /// How many it receives.
    pub transfers: u64,
}
