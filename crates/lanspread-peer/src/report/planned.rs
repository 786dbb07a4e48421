//! What an operation would do, and what it would take its bytes from.

use std::net::SocketAddr;
use std::path::Path;

use lanspread_store::state::booking::Estimate;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::failure::PeerAnswer;
use crate::report::operation::{DecodeAt, OperationKind};
use crate::report::packed_stream::UpstreamKind;

/// What an operation would do, as far as that can be told beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperationPlan {
    /// Which operation.
    pub kind: OperationKind,
    /// On which game.
    pub game: GameId,
    /// The version that it is about; none if nothing says it.
    pub version: Option<GameVersion>,
    /// Whether it would change anything.
    pub changed: bool,
    /// What it would do, in this order.
    pub steps: Vec<PlannedStep>,
    /// Bytes that it would fetch; none if only its sources know.
    pub fetched_bytes: Option<u64>,
    /// Files that it would write to the installed tree; none if only its sources know.
    pub files: Option<u64>,
    /// Bytes of them, unpacked; none if only its sources know.
    pub bytes: Option<u64>,
    /// Bytes that it would remove.
    pub removed_bytes: u64,
    /// How many files that the user added or changed would be lost.
    pub lost_files: u64,
    /// The first of them.
    pub lost: Vec<String>,
    /// The peers that it would fetch from, in the order in which they would be tried.
    pub sources: Vec<PlannedSource>,
    /// The other peers, and why they are not sources.
    pub dropped: Vec<PeerAnswer>,
    /// The most disk that it would take at any time, beyond what is taken now and with a margin; none if only its sources
    /// know.
    pub needed_bytes: Option<u64>,
    /// Bytes that may still be written below the games directory.
    pub free_bytes: u64,
    /// Bytes of these that operations on other games have booked and not yet written.
    pub booked_bytes: u64,
    /// The same of files and folders; none if only its sources know.
    pub needed_inodes: Option<u64>,
    /// Files and folders that may still be made there; none if the file system does not say.
    pub free_inodes: Option<u64>,
    /// Files and folders of these that operations on other games have booked and not yet made.
    pub booked_inodes: u64,
    /// Whether it fits beside them, in bytes and in numbers of files; none if only its sources know.
    pub fits: Option<bool>,
    /// Where a streamed install would be decoded; none for everything else.
    pub decode_at: Option<DecodeAt>,
    /// The upstreams of a packed stream that are known before it joins a wave, in their order. Relays are known then.
    pub upstreams: Vec<PlannedUpstream>,
    /// The most memory that a streamed install would take on this machine; none for everything else.
    pub memory_bytes: Option<u64>,
}

impl OperationPlan {
    /// Bytes that are free and that no other operation has booked.
    pub fn usable_bytes(&self) -> u64 {
        self.free_bytes.saturating_sub(self.booked_bytes)
    }

    /// The error with which the operation would end because this games directory is too small for it.
    pub fn missing_space(&self, games_dir: &Path) -> Option<LocalError> {
        let estimate = Estimate {
            needed_bytes: self.needed_bytes?,
            free_bytes: self.free_bytes,
            booked_bytes: self.booked_bytes,
            needed_inodes: self.needed_inodes?,
            free_inodes: self.free_inodes,
            booked_inodes: self.booked_inodes,
        };
        estimate.missing(games_dir)
    }
}

/// What an operation would do at another peer, as that peer says. Amounts are none that only its sources know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeatPlan {
    /// Identity of that peer.
    pub peer: PeerId,
    /// Its name.
    pub name: PeerName,
    /// With which game.
    pub game: GameId,
    /// Which operation.
    pub kind: OperationKind,
    /// The version that it is about; none if nothing says it.
    pub version: Option<GameVersion>,
    /// Whether it would change anything.
    pub changed: bool,
    /// Bytes that it would fetch.
    pub fetched_bytes: Option<u64>,
    /// Bytes that it would write to the installed tree, unpacked.
    pub bytes: Option<u64>,
    /// How many files that the user there added or changed would be lost.
    pub lost_files: u64,
    /// The most disk that it would take there at any time, with a margin.
    pub needed_bytes: Option<u64>,
    /// Bytes that may still be written below the games directory there, and that no other operation there has booked.
    pub free_bytes: u64,
    /// Whether it fits, in bytes and in numbers of files.
    pub fits: Option<bool>,
}

/// A step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PlannedStep {
    /// The installed tree is streamed from another peer.
    Stream,
    /// The archives are downloaded.
    Download,
    /// The archives are unpacked.
    Unpack,
    /// What differs of the archives or of the installed tree is fetched and replaced.
    Repair,
    /// The installed tree is removed.
    Uninstall,
    /// The downloaded files are removed.
    Remove,
    /// Everything that is here is read and compared.
    Compare,
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

/// An upstream of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedUpstream {
    /// Name of the peer, or the address of the server.
    pub upstream: String,
    /// What kind it is.
    pub kind: UpstreamKind,
}
