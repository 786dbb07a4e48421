//! A packed stream: the archives of a game as they are, in chunks, from a source or from a relay.
//!
//! A receiver asks the source of a game for a place with [`Join`], and then each upstream that it uses with [`Follow`].
//! What follows [`crate::message::Reply::Following`] on such a connection is this:
//!
//! - The receiver sends [`FollowMessage`]s. It asks ahead, at most [`limits::PACKED_ASKED_MAX`] chunks.
//! - The upstream answers what was asked, in that order: with one data frame, which is the whole chunk, or with
//!   [`UpstreamMessage::Gone`]. After that, everything asked before [`FollowMessage::Resume`] is void.
//! - Between two answers, the upstream says at intervals that it is alive and how far it is.
//! - The receiver says [`FollowMessage::Done`] when it has the last chunk, and only then may a relay go.
//!
//! Chunks are the listed chunks of the archives in the manifest that both sides named, counted through from 0 in the order
//! of the archives and their volumes. A chunk proves itself by its digest there, so it does not matter who sends it.

use std::net::SocketAddr;

use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
#[cfg(doc)]
use lanspread_types::limits;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Which bytes a packed stream is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackedGame {
    /// The game.
    pub game: GameId,
    /// Its version.
    pub version: GameVersion,
    /// The manifest that lists its chunks.
    pub manifest: ContentDigest,
}

/// Asks a source for a place in a wave of receivers of one game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What is wanted.
    pub packed: PackedGame,
    /// Port on which the receiver answers followers; `None` if it does not relay. Its address is that of the connection.
    pub relay_port: Option<u16>,
    /// Chunks that its window has room for.
    pub window: u64,
}

/// A place in a wave. A receiver only ever follows peers of its own wave with smaller positions, and sources, so that
/// followers never form a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The wave: a random number of the source that formed it.
    pub wave: u64,
    /// Position in the wave, from 0.
    pub position: u32,
}

/// The place of a receiver, and the relays that it may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its place.
    pub place: Place,
    /// When the wave begins.
    pub starts_in_ms: u32,
    /// Relays before it in the wave, the nearest first; at most [`limits::PACKED_RELAYS_NAMED_MAX`]. After them come sources.
    pub relays: Vec<RelayOffer>,
}

/// When the next wave may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextWave {
    /// In how many milliseconds, if the source can tell.
    pub in_ms: Option<u32>,
    /// How many receivers wait for it, this one included.
    pub receivers: u32,
}

/// A relay of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOffer {
    /// Who it is.
    pub peer: PeerId,
    /// Its name, for people.
    pub name: PeerName,
    /// Where it answers.
    pub address: SocketAddr,
    /// Its position.
    pub position: u32,
    /// A follower that it has, which relays nothing and lets others go before it.
    pub instead_of: Option<PeerId>,
}

/// Asks an upstream, a source or a relay, for the chunks of a packed stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// What is wanted.
    pub packed: PackedGame,
    /// The first chunk that is wanted.
    pub at: u64,
    /// The follower's place. A relay takes only followers of its own wave with later places.
    pub place: Place,
    /// The follower of this relay that the new one could not go on with, and replaces.
    pub instead_of: Option<PeerId>,
}

/// What a follower sends to its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum FollowMessage {
    /// The chunk is wanted.
    Ask { chunk: u64 },
    /// It has heard that a chunk is gone. What it asked before is void; what it asks from now on counts.
    Resume,
    /// It has everything.
    Done,
}

/// What an upstream sends to its follower between chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum UpstreamMessage {
    /// It is alive, and has the chunks before `hi`. `full`: its own machine is what holds it up: its window is full, or what it
    /// was sent lies unread.
    Alive { hi: u64, full: bool, wave: WaveNews },
    /// What is asked is no longer here; `lo` is the oldest chunk that is, and it stays for a while.
    Gone { lo: u64 },
    /// The follower should find another upstream: this one ends, or has another follower.
    Leave { why: LeaveReason },
    /// The upstream cannot go on.
    Failed(Refusal),
}

/// What an upstream knows of the wave of its follower. It is for people: nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveNews {
    /// How many places the wave has; 0 if the upstream does not know.
    pub places: u32,
    /// The slowest receiver from the head of the wave to this upstream, if one was measured.
    pub slowest: Option<SlowReceiver>,
}

/// A receiver, and its pace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowReceiver {
    /// Its name.
    pub name: PeerName,
    /// Packed bytes that it gets in a second.
    pub bytes_per_second: u64,
}

/// Why an upstream sends a follower away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveReason {
    /// Another receiver took this follower's place.
    Replaced,
    /// It is cancelled or has failed.
    Ending,
}

impl LeaveReason {
    /// Stable kebab-case code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Ending => "relay-ending",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::message::{Reply, Request};
    use crate::queued::QueuePosition;

    fn packed() -> PackedGame {
        PackedGame {
            game: "g".parse().unwrap(),
            version: "1".parse().unwrap(),
            manifest: ContentDigest([9; 32]),
        }
    }

    const PLACE: Place = Place { wave: 5, position: 3 };

    /// Golden bytes of what asks for a packed stream.
    #[test]
    fn requests_have_fixed_bytes() {
        let of_game = [&[1, b'g', 1, b'1'][..], &[9; 32]].concat();
        let join = Request::Join(Join { packed: packed(), relay_port: Some(7), window: 64 });
        assert_eq!(codec::encode(&join).unwrap(), [&[9][..], &of_game, &[1, 7, 64]].concat());
        let follow = Request::Follow(Follow { packed: packed(), at: 300, place: PLACE, instead_of: None });
        let tail = [251, 44, 1, 5, 3, 0];
        assert_eq!(codec::encode(&follow).unwrap(), [&[10][..], &of_game, &tail].concat());
        let cannot_reach = Request::CannotReach { wave: 5, relay: PeerId::of_key(&[1; 32]) };
        assert_eq!(codec::encode(&cannot_reach).unwrap()[..2], [11, 5]);
    }

    #[test]
    fn answers_have_fixed_bytes() {
        let relay = RelayOffer {
            peer: PeerId::of_key(&[1; 32]),
            name: "a".parse().unwrap(),
            address: ([10, 0, 0, 1], 300).into(),
            position: 2,
            instead_of: None,
        };
        let id = codec::encode(&relay.peer).unwrap();
        let placement = Placement { place: PLACE, starts_in_ms: 0, relays: vec![relay] };
        let expected =
            [&[9, 5, 3, 0, 1][..], &id, &[1, b'a'], &[0, 10, 0, 0, 1, 251, 44, 1], &[2, 0]].concat();
        assert_eq!(codec::encode(&Reply::Placed(placement)).unwrap(), expected);
        assert_eq!(
            codec::encode(&Reply::Queued(QueuePosition { ahead: 2, in_ms: Some(3) })).unwrap(),
            [10, 2, 1, 3]
        );
        assert_eq!(codec::encode(&Reply::Following { lo: 1, hi: 2 }).unwrap(), [11, 1, 2]);
        assert_eq!(codec::encode(&Reply::Noted).unwrap(), [12]);
        let next = NextWave { in_ms: Some(3), receivers: 6 };
        assert_eq!(codec::encode(&Reply::NextWave(next)).unwrap(), [13, 1, 3, 6]);
    }

    #[test]
    fn messages_between_chunks_have_fixed_bytes() {
        let encoded = |message: FollowMessage| codec::encode(&message).unwrap();
        assert_eq!(encoded(FollowMessage::Ask { chunk: 300 }), [0, 251, 44, 1]);
        assert_eq!(encoded(FollowMessage::Resume), [1]);
        assert_eq!(encoded(FollowMessage::Done), [2]);
        let encoded = |message: UpstreamMessage| codec::encode(&message).unwrap();
        let wave = WaveNews::default();
        assert_eq!(encoded(UpstreamMessage::Alive { hi: 1, full: true, wave }), [0, 1, 1, 0, 0]);
        let slowest = Some(SlowReceiver { name: "a".parse().unwrap(), bytes_per_second: 300 });
        let wave = WaveNews { places: 8, slowest };
        assert_eq!(
            encoded(UpstreamMessage::Alive { hi: 1, full: false, wave }),
            [0, 1, 0, 8, 1, 1, b'a', 251, 44, 1]
        );
        assert_eq!(encoded(UpstreamMessage::Gone { lo: 2 }), [1, 2]);
        assert_eq!(encoded(UpstreamMessage::Leave { why: LeaveReason::Ending }), [2, 1]);
        let refusal = Refusal::new(crate::refusal::RefusalCode::Stopping, "x");
        assert_eq!(encoded(UpstreamMessage::Failed(refusal)), [3, 6, 1, b'x']);
    }
}
