//! The room: the peers around this one and the games of a party, as data for people. Which seat is not ready, and why.
//!
//! Bytes of streams, installs, updates and verifications are unpacked bytes, those of downloads bytes of root files; rates are
//! bytes of the same kind per second. What other peers tell is not proved. Fields that are not known are left out.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;
use crate::report::operation::OperationKind;

/// The room as one peer sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Room {
    /// Counts the changes that this peer has told of the room to one reader.
    pub seq: u64,
    /// Identity of the peer that tells it.
    #[serde(rename = "self")]
    pub self_peer: Option<PeerId>,
    /// The four characters of its party; empty without one.
    pub party: String,
    /// For how long it has served.
    pub uptime_ms: u64,
    /// The peers, itself among them, by name.
    pub peers: Vec<RoomSeat>,
    /// The games that a peer has, offers or works on, the wanted ones first.
    pub games: Vec<RoomGame>,
    /// The pairs of a peer and a game about which there is something to say, or which are wanted.
    pub cells: Vec<RoomCell>,
    /// Who sends which game to whom.
    pub links: Vec<RoomLink>,
    /// The operations of the peer that tells it, in the order of their turn.
    pub operations: Vec<RoomOperation>,
    /// What is odd and no failure.
    pub warnings: Vec<RoomWarning>,
    /// The room in numbers.
    pub summary: RoomSummary,
    /// Set while no other peer was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looking: Option<RoomLooking>,
}

/// What has changed in a room. Whole objects replace those of the same peer, of the same game, or of the same pair of both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomChanges {
    /// Counts the changes.
    pub seq: u64,
    /// Peers that are new or different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<RoomSeat>,
    /// Games that are new or different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub games: Vec<RoomGame>,
    /// Pairs that are new or different; one about which nothing is to be said any more is `absent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<RoomCell>,
    /// All links, if one has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<RoomLink>>,
    /// All operations, if one has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<RoomOperation>>,
    /// All warnings, if one has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<RoomWarning>>,
    /// The numbers, if one has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RoomSummary>,
}

impl Room {
    /// The room after these changes.
    pub fn apply(&mut self, changes: RoomChanges) {
        let RoomChanges { seq, peers, games, cells, links, operations, warnings, summary } = changes;
        self.seq = seq;
        for peer in peers {
            put(&mut self.peers, peer, |known, new| known.peer == new.peer);
        }
        for game in games {
            put(&mut self.games, game, |known, new| known.game == new.game);
        }
        for cell in cells {
            put(&mut self.cells, cell, |known, new| known.peer == new.peer && known.game == new.game);
        }
        // A room says nothing of a game that is neither at a peer nor wanted.
        let wanted: BTreeSet<_> =
            self.games.iter().filter(|game| game.wanted).map(|game| &game.game).collect();
        self.cells.retain(|cell| cell.state != CellState::Absent || wanted.contains(&cell.game));
        self.links = links.unwrap_or_else(|| std::mem::take(&mut self.links));
        self.operations = operations.unwrap_or_else(|| std::mem::take(&mut self.operations));
        self.warnings = warnings.unwrap_or_else(|| std::mem::take(&mut self.warnings));
        self.summary = summary.unwrap_or(self.summary);
    }
}

/// Puts an object in the place of the one that is the same thing, or at the end.
fn put<T>(all: &mut Vec<T>, new: T, is_same: impl Fn(&T, &T) -> bool) {
    match all.iter_mut().find(|known| is_same(known, &new)) {
        Some(known) => *known = new,
        None => all.push(new),
    }
}

/// Whether a peer is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SeatState {
    /// It was heard within [`SILENT_AFTER`](lanspread_types::limits::SILENT_AFTER).
    Here,
    /// It was not.
    Silent,
    /// Its connection is gone, and it does not answer.
    Lost,
}

/// A peer of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomSeat {
    /// Its identity.
    pub peer: PeerId,
    /// Its name.
    pub name: PeerName,
    /// Where it answers.
    pub addr: SocketAddr,
    /// The version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is heard.
    pub state: SeatState,
    /// For how long it has said nothing, if it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// Bytes that are free for games.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// What it receives in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_bytes_per_second: Option<u64>,
    /// What others receive from it in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_bytes_per_second: Option<u64>,
    /// Streams and downloads that it sends.
    pub streams: u64,
    /// The most that it sends at once.
    pub streams_max: u64,
    /// Whether this peer may have something done there.
    pub accepts: bool,
    /// Whether it is a seat: a peer that has only archives is a source.
    pub seat: bool,
    /// Wanted games that are installed in the wanted version and whole.
    pub games_ready: u64,
    /// Games that are wanted.
    pub games_wanted: u64,
    /// Whether it is heard and has all of them.
    pub ready: bool,
    /// When it has all of them, at this rate; none if it is stuck or has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// A game of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomGame {
    /// Which game.
    pub game: GameId,
    /// Its title in the catalog, or else its id.
    pub title: String,
    /// The version that is wanted: that of the room file, of the catalog, or else the one that most peers offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<GameVersion>,
    /// Bytes of its root files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes of its installed tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked_bytes: Option<u64>,
    /// Whether the room wants it. Without a list of games, every game is wanted that some seat has or works on.
    pub wanted: bool,
    /// Who offers it.
    pub peers: Vec<PeerId>,
}

/// What is so with a game at a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CellState {
    /// It is not there.
    Absent,
    /// An operation waits, for its turn there or for a place at a source.
    Waiting,
    /// It is streamed.
    Streaming,
    /// Its archives are downloaded.
    Downloading,
    /// It is unpacked.
    Installing,
    /// It is brought to another version.
    Updating,
    /// It is compared with what was installed.
    Verifying,
    /// What differs is brought back.
    Repairing,
    /// It is installed.
    Installed,
    /// Its archives are there, and it is not installed.
    Downloaded,
    /// It is there in another version than the wanted one.
    Outdated,
    /// What was begun was cancelled.
    Interrupted,
    /// It is not as it was installed.
    Damaged,
    /// What was asked for has failed.
    Failed,
    /// The peer is not heard.
    Unknown,
}

/// A game at a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomCell {
    /// Which peer.
    pub peer: PeerId,
    /// Which game.
    pub game: GameId,
    /// What is so.
    pub state: CellState,
    /// The version that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<GameVersion>,
    /// Whether its archives are there, so that others can have them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shareable: bool,
    /// Number of the operation there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// What it does, or did and has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<OperationKind>,
    /// Bytes so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// What comes in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How long the rest takes at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// From whom; of several, the one that sends most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PeerId>,
    /// The attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The source that has no place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<PeerId>,
    /// How many have their turn before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Stable code of what has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What the code alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Code>,
    /// Why, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do. The library gives none: the program that shows the room knows what its user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl RoomCell {
    /// A game that is not there.
    pub(crate) fn of_nothing(peer: PeerId, game: GameId) -> Self {
        Self {
            peer,
            game,
            state: CellState::Absent,
            version: None,
            shareable: false,
            operation: None,
            kind: None,
            bytes: None,
            bytes_total: None,
            bytes_per_second: None,
            seconds_left: None,
            source: None,
            attempt: None,
            waiting_for: None,
            before: None,
            code: None,
            cause: None,
            message: None,
            hint: None,
        }
    }
}

/// What a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LinkKind {
    /// A streamed install.
    Stream,
    /// A download.
    Download,
}

/// One peer that sends a game to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomLink {
    /// Which game.
    pub game: GameId,
    /// Who sends.
    pub from: PeerId,
    /// Who receives.
    pub to: PeerId,
    /// What it carries.
    pub kind: LinkKind,
    /// 1 from a peer that has the game; one more than that of its sender from a relay.
    pub hop: u64,
    /// What the receiver has of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// All of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// What comes in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Whether less than half of what reaches the sender has come for a while.
    pub slow: bool,
}

/// An operation of the peer that tells the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomOperation {
    /// Its number.
    pub operation: u64,
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// Whether it runs; it waits for its turn otherwise.
    pub running: bool,
    /// How many clients follow it.
    pub followers: u64,
    /// The source that has no place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<PeerId>,
    /// How many have their turn before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Bytes so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// What comes in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How long the rest takes at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// What is odd in a room, and no failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomWarning {
    /// `slow-link`, `low-disk`, `other-version` (of the program) or `duplicate-identity`.
    pub code: Code,
    /// At which peer.
    pub peer: PeerId,
    /// With which game.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub game: Option<GameId>,
    /// What is odd, in one line.
    pub message: String,
    /// What to do; see [`RoomCell::hint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A room in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomSummary {
    /// Seats that are ready.
    pub ready: u64,
    /// Seats.
    pub seats: u64,
    /// What needs a person: cells that have failed, are damaged or unknown, and warnings.
    pub problems: u64,
    /// When the last seat that is not stuck is ready, at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Which one that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<PeerId>,
    /// What all of them receive in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// Where this peer looks for others, while it has found none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomLooking {
    /// For how long.
    pub since_ms: u64,
    /// Its own addresses.
    pub addrs: Vec<String>,
    /// What it does to find them, in one line.
    pub message: String,
    /// What to do; see [`RoomCell::hint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
