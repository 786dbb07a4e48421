//! A room with everything that can be said, and one with nothing that can be left out.

use super::{addr, game, id, name, version};
use crate::report::operation::OperationKind;
use crate::report::room::{
    CellState, LinkKind, Room, RoomCell, RoomChanges, RoomGame, RoomLink, RoomLooking, RoomOperation,
    RoomSeat, RoomSummary, RoomWarning, SeatState,
};

/// Each kind of object twice: with all of its fields, and with those only that it always has.
pub(super) fn whole() -> Room {
    Room {
        seq: 1,
        self_peer: Some(id()),
        party: "abcd".to_owned(),
        uptime_ms: 1,
        peers: seats(),
        games: games(),
        cells: cells(),
        links: links(),
        operations: operations(),
        warnings: warnings(),
        summary: summary(),
        looking: Some(looking(Some("hint"))),
    }
}

pub(super) fn bare() -> Room {
    Room { summary: RoomSummary::default(), looking: None, ..whole() }
}

pub(super) fn alone() -> Room {
    Room { looking: Some(looking(None)), ..whole() }
}

pub(super) fn changes() -> RoomChanges {
    RoomChanges {
        seq: 2,
        peers: seats(),
        games: games(),
        cells: cells(),
        links: Some(links()),
        operations: Some(operations()),
        warnings: Some(warnings()),
        summary: Some(summary()),
    }
}

fn seats() -> Vec<RoomSeat> {
    let full = RoomSeat {
        peer: id(),
        name: name(),
        addr: addr(),
        version: Some("1".to_owned()),
        state: SeatState::Silent,
        silent_ms: Some(11_000),
        free_bytes: Some(1),
        receive_bytes_per_second: Some(1),
        send_bytes_per_second: Some(1),
        streams: 1,
        streams_max: 2,
        accepts: true,
        seat: true,
        games_ready: 0,
        games_wanted: 1,
        ready: false,
        seconds_left: Some(1),
    };
    let bare = RoomSeat {
        version: None,
        silent_ms: None,
        free_bytes: None,
        receive_bytes_per_second: None,
        send_bytes_per_second: None,
        seconds_left: None,
        ..full.clone()
    };
    vec![full, bare]
}

fn games() -> Vec<RoomGame> {
    let full = RoomGame {
        game: game(),
        title: "G".to_owned(),
        version: Some(version()),
        bytes: Some(1),
        unpacked_bytes: Some(1),
        wanted: true,
        peers: vec![id()],
    };
    vec![full.clone(), RoomGame { version: None, bytes: None, unpacked_bytes: None, ..full }]
}

fn cells() -> Vec<RoomCell> {
    let bare = RoomCell::of_nothing(id(), game());
    let full = RoomCell {
        peer: id(),
        game: game(),
        state: CellState::Streaming,
        version: Some(version()),
        shareable: true,
        operation: Some(1),
        kind: Some(OperationKind::StreamInstall),
        bytes: Some(1),
        bytes_total: Some(2),
        bytes_per_second: Some(1),
        seconds_left: Some(1),
        source: Some(id()),
        attempt: Some(1),
        waiting_for: Some(id()),
        before: Some(1),
        code: Some("no-place".into()),
        cause: Some("a".into()),
        message: Some(String::new()),
        hint: Some(String::new()),
    };
    vec![full, bare]
}

fn links() -> Vec<RoomLink> {
    let full = RoomLink {
        game: game(),
        from: id(),
        to: id(),
        kind: LinkKind::Stream,
        hop: 1,
        bytes: Some(1),
        bytes_total: Some(2),
        bytes_per_second: Some(1),
        slow: false,
    };
    vec![full.clone(), RoomLink { bytes: None, bytes_total: None, bytes_per_second: None, ..full }]
}

fn operations() -> Vec<RoomOperation> {
    let full = RoomOperation {
        operation: 1,
        kind: OperationKind::Verify,
        game: game(),
        running: true,
        followers: 1,
        waiting_for: Some(id()),
        before: Some(1),
        bytes: Some(1),
        bytes_total: Some(2),
        bytes_per_second: Some(1),
        seconds_left: Some(1),
    };
    let bare = RoomOperation {
        waiting_for: None,
        before: None,
        bytes: None,
        bytes_total: None,
        bytes_per_second: None,
        seconds_left: None,
        ..full.clone()
    };
    vec![full, bare]
}

fn warnings() -> Vec<RoomWarning> {
    let full = RoomWarning {
        code: "low-disk".into(),
        peer: id(),
        game: Some(game()),
        message: String::new(),
        hint: Some(String::new()),
    };
    vec![full.clone(), RoomWarning { game: None, hint: None, ..full }]
}

fn summary() -> RoomSummary {
    RoomSummary {
        ready: 1,
        seats: 2,
        problems: 1,
        seconds_left: Some(1),
        slowest: Some(id()),
        bytes_per_second: Some(1),
    }
}

fn looking(hint: Option<&str>) -> RoomLooking {
    RoomLooking {
        since_ms: 1,
        addrs: vec!["192.0.2.1:4107".to_owned()],
        message: String::new(),
        hint: hint.map(str::to_owned),
    }
}
