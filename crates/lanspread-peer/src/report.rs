//! Answers to questions, as data: what a peer says of itself, its games, its operations and other peers.
//!
//! Like events they print as one JSON object a line, with a stable kebab-case `event` name, and travel over the control
//! socket as they are.

use std::net::SocketAddr;

use lanspread_store::state::game_state::GameState;
use lanspread_types::content::Availability;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerName};
use serde::{Deserialize, Serialize};

use crate::error::PeerAnswer;
use crate::event::Code;
use crate::operation::OperationKind;
use crate::peer::{DiscoveredPeers, OfferedGame, PeerOffers, PeerStatus, SourcePeer, StreamInstallPlan};

/// One object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Report {
    /// A game on this machine.
    LocalGame {
        /// Which game.
        game: GameId,
        /// Version that is downloaded.
        version: Option<GameVersion>,
        /// Version that is installed, as far as its receipt says.
        installed_version: Option<GameVersion>,
        /// What this machine can do with it.
        state: Availability,
        /// Whether the sentinel is there.
        downloaded: bool,
        /// Whether `local/` is there.
        installed: bool,
        /// Bytes of its root files.
        bytes: u64,
    },
    /// A game that other peers offer.
    OfferedGame {
        /// Which game.
        game: GameId,
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
        peer: String,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
        /// How many games it offers.
        games: u64,
    },
    /// A peer that was asked and did not answer as it should.
    PeerUnavailable {
        /// The peer as it was named.
        peer: String,
        /// Stable kebab-case code.
        code: Code,
        /// Why, in one line.
        message: String,
    },
    /// No peer was found that could be asked; what is here was told all the same.
    NobodyFound {
        /// Where was looked, and why nobody may have been found.
        message: String,
        /// What to try.
        hint: Option<Code>,
    },
    /// A peer that is always asked, or not any more.
    SavedPeer {
        /// Where it listens.
        peer: PeerAddress,
        /// Whether it is saved now.
        saved: bool,
    },
    /// What a serving peer is doing.
    PeerStatus {
        /// Its identity.
        peer: String,
        /// Its name.
        name: PeerName,
        /// Where it answers.
        addr: SocketAddr,
        /// The games it offers.
        games: Vec<GameId>,
        /// Streams and downloads it is sending.
        active_outbound_transfers: u64,
        /// How many it sends at most at once.
        streams_max: u64,
        /// Connections open to it, the one that asks included.
        connections: u64,
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
        /// How many follow it.
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
        /// The other peers, and why they are none.
        dropped: Vec<PeerAnswer>,
        /// Files it would install.
        files: u64,
        /// Unpacked bytes.
        bytes: u64,
        /// Bytes it takes, with room for names and a margin.
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
    pub peer: String,
    /// Its address.
    pub addr: SocketAddr,
}

impl Report {
    /// The games of several peers: each game and version once, with the peers that offer it.
    pub(crate) fn offered_games(found: &DiscoveredPeers) -> Vec<Self> {
        let report = |offered: OfferedGame| Self::OfferedGame {
            game: offered.game,
            version: offered.version,
            bytes: offered.bytes,
            peer_count: offered.peers.len() as u64,
            peers: offered.peers,
        };
        Self::unavailable(found).chain(found.games().into_iter().map(report)).collect()
    }

    /// The peers themselves.
    pub(crate) fn peers(found: &DiscoveredPeers) -> Vec<Self> {
        Self::unavailable(found).chain(found.peers.iter().map(Self::from)).collect()
    }

    fn unavailable(found: &DiscoveredPeers) -> impl Iterator<Item = Self> {
        found.failed.iter().map(|failed| Self::PeerUnavailable {
            peer: failed.peer.clone(),
            code: failed.code.into(),
            message: failed.reason.clone(),
        })
    }
}

impl From<&GameState> for Report {
    fn from(state: &GameState) -> Self {
        Self::LocalGame {
            game: state.game.clone(),
            version: state.version.clone(),
            installed_version: state.installed_version.clone(),
            state: state.availability(),
            downloaded: state.downloaded(),
            installed: state.installed,
            bytes: state.root_bytes(),
        }
    }
}

impl From<&PeerOffers> for Report {
    fn from(offers: &PeerOffers) -> Self {
        Self::Peer {
            peer: offers.id.to_string(),
            name: offers.name.clone(),
            addr: offers.address,
            games: offers.games.len() as u64,
        }
    }
}

impl From<PeerStatus> for Report {
    fn from(status: PeerStatus) -> Self {
        Self::PeerStatus {
            peer: status.id.to_string(),
            name: status.name,
            addr: status.address,
            games: status.games.into_iter().map(|offer| offer.game).collect(),
            active_outbound_transfers: status.active_outbound_transfers,
            streams_max: status.streams_max,
            connections: status.connections,
        }
    }
}

impl From<StreamInstallPlan> for Report {
    fn from(plan: StreamInstallPlan) -> Self {
        let planned = |source: &SourcePeer| PlannedSource {
            name: source.name.clone(),
            peer: source.id.to_string(),
            addr: source.address,
        };
        Self::StreamInstallPlan {
            game: plan.game,
            version: plan.version,
            sources: plan.sources.iter().map(planned).collect(),
            dropped: plan.dropped,
            files: plan.totals.files,
            bytes: plan.totals.bytes,
            needed_bytes: plan.needed_bytes,
            free_bytes: plan.free_bytes,
            fits: plan.free_bytes >= plan.needed_bytes,
        }
    }
}
