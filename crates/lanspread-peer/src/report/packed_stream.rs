//! Events of packed streams, as data: which upstreams bring the chunks, and to which follower they are passed on.

use lanspread_types::ids::{GameId, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;

/// What kind of upstream brings chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UpstreamKind {
    /// A receiver of the same wave with an earlier place.
    Relay,
    /// A peer that has the archives.
    Source,
    /// An HTTP server that has them.
    Http,
}

/// The place of a receiver in its wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedPlaced {
    /// Which game.
    pub game: GameId,
    /// Name of the source that gave the place.
    pub peer: PeerName,
    /// Its identity.
    pub peer_id: PeerId,
    /// Position in the wave, from 0.
    pub position: u32,
    /// Names of the relays before it that it may follow, the nearest first.
    pub relays: Vec<PeerName>,
    /// Milliseconds until the wave begins.
    pub starts_in_ms: u32,
}

/// The receiver of a wave that gets its chunks most slowly. The relays say so, and one may lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowestReceiver {
    /// Its name.
    pub peer: PeerName,
    /// Packed bytes that it gets in a second.
    pub bytes_per_second: u64,
}

/// What a receiver has heard of its wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveProgress {
    /// Which game.
    pub game: GameId,
    /// Places that the wave has; 0 if that is not known.
    pub places: u32,
    /// The slowest receiver before this one, if one was measured.
    pub slowest: Option<SlowestReceiver>,
    /// Packed bytes of the whole game, to compare the pace with that of unpacked bytes.
    pub packed_bytes: u64,
}

/// An upstream begins to bring chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamBegin {
    /// Which game.
    pub game: GameId,
    /// Name of the peer, or the address of the server.
    pub upstream: String,
    /// Identity of the peer.
    pub peer_id: Option<PeerId>,
    /// What kind it is.
    pub kind: UpstreamKind,
    /// The first chunk that is wanted.
    pub chunk: u64,
}

/// An upstream brings no more chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamEnd {
    /// Which game.
    pub game: GameId,
    /// Name of the peer, or the address of the server.
    pub upstream: String,
    /// What kind it is.
    pub kind: UpstreamKind,
    /// The chunk that is wanted next.
    pub chunk: u64,
    /// Chunks that it brought.
    pub chunks: u64,
    /// Bytes of these chunks.
    pub bytes: u64,
    /// `complete` if it was no longer needed, or the stable code of what ended it.
    pub code: Code,
    /// Why, in one line; empty if it was no longer needed.
    pub message: String,
}

/// A follower begins to be fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayBegin {
    /// Which game.
    pub game: GameId,
    /// Name of the follower.
    pub follower: PeerName,
    /// The oldest chunk that is here.
    pub chunk: u64,
}

/// A follower is no longer fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayEnd {
    /// Which game.
    pub game: GameId,
    /// Name of the follower.
    pub follower: PeerName,
    /// Chunks that were passed on to it.
    pub chunks: u64,
    /// Bytes of these chunks.
    pub bytes: u64,
    /// `complete`, or the stable code of what ended it.
    pub outcome: Code,
}

/// What a relay no longer had was brought by a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapFilled {
    /// Which game.
    pub game: GameId,
    /// The first chunk of the gap.
    pub chunk: u64,
    /// How many chunks it had.
    pub chunks: u64,
}

/// A packed stream is done with here, and a follower is still fed. The operation ends when it has everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayLingers {
    /// Which game.
    pub game: GameId,
    /// Name of the follower.
    pub follower: PeerName,
    /// It has the chunks before this one.
    pub chunk: u64,
    /// How many chunks there are.
    pub chunks: u64,
    /// For how long it is fed at most.
    pub most_ms: u64,
}

/// A packed stream was decoded or written to the disk whole: where its bytes came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedFinished {
    /// Which game.
    pub game: GameId,
    /// The upstreams that brought bytes, in the order in which they were to be tried.
    pub shares: Vec<UpstreamShare>,
    /// The same by their kind.
    pub brought: BytesByKind,
    /// How often the stream continued from another upstream because one had failed.
    pub changes: u64,
    /// The chunk that was wanted at the last of these changes.
    pub change_chunk: Option<u64>,
    /// How many chunks there are.
    pub chunks: u64,
    /// Bytes of the archives that were written to the disk: all of a download, and none of an install.
    pub bytes_stored: u64,
    /// Bytes that arrived twice.
    pub bytes_twice: u64,
}

/// Packed bytes by the kind of the upstreams that brought them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesByKind {
    /// From receivers of the same wave.
    pub relay_bytes: u64,
    /// From peers that have the archives.
    pub source_bytes: u64,
    /// From HTTP servers.
    pub http_bytes: u64,
}

/// What one upstream brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamShare {
    /// Name of the peer, or the address of the server.
    pub upstream: String,
    /// What kind it is.
    pub kind: UpstreamKind,
    /// Packed bytes.
    pub bytes: u64,
}
