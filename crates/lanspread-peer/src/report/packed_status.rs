//! What a peer does with packed streams now, as data.

use std::net::IpAddr;

use lanspread_types::ids::{GameId, GameVersion, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::packed_stream::{BytesByKind, SlowestReceiver};

/// A wave of receivers that a source feeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveStatus {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Receivers that have a place in it.
    pub receivers: u64,
    /// The newest chunk that the first of them was sent, from 0.
    pub chunk: u64,
    /// How many chunks there are.
    pub chunks: u64,
}

/// An install whose chunks may be passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Position of this peer in its wave, from 0.
    pub position: u32,
    /// Places that the wave has, as far as this peer has heard; 0 if it has not.
    pub places: u32,
    /// The slowest receiver before it in the wave, if one was measured.
    pub slowest: Option<SlowestReceiver>,
    /// Packed bytes that arrived so far.
    pub brought: BytesByKind,
    /// Name of the follower, if there is one now.
    pub follower: Option<PeerName>,
    /// The follower has the chunks before this one.
    pub chunk: u64,
    /// How many chunks there are.
    pub chunks: u64,
}

/// A receiver that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingReceiver {
    /// Its name.
    pub peer: PeerName,
    /// Which game it wants.
    pub game: GameId,
}

/// An address that receives streams or downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivingAddress {
    /// The address.
    pub addr: IpAddr,
    /// How many it receives.
    pub transfers: u64,
}
