//! Everything of which a room is made.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};

use crate::room::memory::RoomPeer;

/// This peer itself.
#[derive(Debug, Clone)]
pub(crate) struct OurSeat {
    pub(crate) id: PeerId,
    pub(crate) name: PeerName,
    pub(crate) address: SocketAddr,
    pub(crate) head: ActivityHead,
    pub(crate) games: Vec<GameActivity>,
}

/// What is known of a game beside what peers tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownGame {
    pub(crate) title: Option<String>,
    pub(crate) version: Option<GameVersion>,
    pub(crate) bytes: Option<u64>,
    pub(crate) unpacked_bytes: Option<u64>,
}

/// An offer of a game.
#[derive(Debug, Clone)]
pub(crate) struct RoomOffer {
    pub(crate) peer: PeerId,
    pub(crate) version: GameVersion,
    pub(crate) bytes: u64,
}

/// Everything of which a room is made.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) ours: OurSeat,
    pub(crate) others: BTreeMap<PeerId, RoomPeer>,
    pub(crate) offers: BTreeMap<GameId, Vec<RoomOffer>>,
    /// Of the catalog.
    pub(crate) catalog: BTreeMap<GameId, KnownGame>,
    /// The games that the room wants, in a version if it says so; none if no list says which.
    pub(crate) wanted: Option<BTreeMap<GameId, Option<GameVersion>>>,
    /// Identities that two running peers have.
    pub(crate) duplicates: BTreeSet<PeerId>,
}
