//! One of each kind of answer but those about catalogs, and a second one where a field can be missing.

use lanspread_types::content::{Availability, InstallTrust};

use super::{addr, game, id, name, packed, passed_over, room, version};
use crate::report::answer::Answer;
use crate::report::catalog_listing::CatalogListing;
use crate::report::failure::PeerAnswer;
use crate::report::offender::Offence;
use crate::report::operation::{DecodeAt, OperationKind};
use crate::report::operation_outcome::EndedReport;
use crate::report::operation_progress::{OperationProgress, OperationStep};
use crate::report::packed_status::ReceivingAddress;
use crate::report::passed_over::PassedOverFolder;
use crate::report::peer_trust::PeerTrust;
use crate::report::planned::{OperationPlan, PlannedSource, PlannedStep, SeatPlan};
use crate::report::script_answers::{DetachedOperation, GameUpdate, MatchedGame};

fn operation(progress: OperationProgress) -> Answer {
    let kind = OperationKind::Verify;
    Answer::Operation {
        operation: 1,
        kind,
        game: game(),
        running: true,
        followers: 1,
        progress,
        resumed: true,
    }
}

fn listed() -> CatalogListing {
    CatalogListing { listed_version: Some(version()), unpacked_bytes: Some(1) }
}

/// One of each kind of answer.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn all() -> Vec<Answer> {
    use Answer as R;
    vec![
        R::LocalGame {
            game: game(),
            title: Some("A game".to_owned()),
            version: Some(version()),
            installed_version: Some(version()),
            trust: Some(InstallTrust::Verified),
            state: Availability::Ready,
            downloaded: true,
            downloaded_trust: Some(InstallTrust::Unverified),
            installed: true,
            bytes: 1,
            shares_entries: false,
            listed: listed(),
        },
        R::LocalGame {
            game: game(),
            title: None,
            version: None,
            installed_version: None,
            trust: None,
            state: Availability::LocalOnly,
            downloaded: false,
            downloaded_trust: None,
            installed: true,
            bytes: 0,
            shares_entries: true,
            listed: CatalogListing::default(),
        },
        R::MatchedGame(MatchedGame { game: game() }),
        R::GameUpdate(GameUpdate {
            game: game(),
            title: Some("A game".to_owned()),
            version: Some(version()),
            installed_version: Some(version()),
            wanted: Some(version()),
            outdated: true,
            note: None,
        }),
        R::GameUpdate(GameUpdate {
            game: game(),
            title: None,
            version: None,
            installed_version: None,
            wanted: None,
            outdated: false,
            note: Some("not-offered".into()),
        }),
        R::DetachedOperation(DetachedOperation {
            operation: 1,
            kind: OperationKind::Verify,
            game: game(),
            joined: false,
        }),
        R::FolderPassedOver(passed_over()),
        R::FolderPassedOver(PassedOverFolder { suggestion: None, ..passed_over() }),
        R::OfferedGame {
            game: game(),
            title: None,
            version: version(),
            bytes: 1,
            peer_count: 1,
            peers: vec![name()],
            listed: listed(),
        },
        R::OfferedGame {
            game: game(),
            title: Some("A game".to_owned()),
            version: version(),
            bytes: 1,
            peer_count: 1,
            peers: vec![name()],
            listed: CatalogListing::default(),
        },
        R::Peer {
            peer: id(),
            name: name(),
            addr: addr(),
            games: 1,
            trust: PeerTrust::Unknown,
            name_warning: Some("same-name".into()),
            offence: Some(Offence::Lied),
            penalty_left_ms: Some(1),
        },
        R::Peer {
            peer: id(),
            name: name(),
            addr: addr(),
            games: 1,
            trust: PeerTrust::Trusted,
            name_warning: None,
            offence: None,
            penalty_left_ms: None,
        },
        R::DecidedPeer { peer: id(), name: None, trust: PeerTrust::Trusted, reason: None },
        R::DecidedPeer {
            peer: id(),
            name: Some(name()),
            trust: PeerTrust::Denied,
            reason: Some(String::new()),
        },
        R::Penalty {
            peer: Some(id()),
            addr: None,
            offence: Offence::BrokeProtocol,
            left_ms: 1,
            message: String::new(),
            cleared: false,
        },
        R::Penalty {
            peer: None,
            addr: Some("2001:db8::/64".parse().unwrap()),
            offence: Offence::FailedHandshake,
            left_ms: 1,
            message: String::new(),
            cleared: true,
        },
        R::Metrics { text: String::new() },
        R::Limits { up_bytes_per_second: Some(1), down_bytes_per_second: Some(1) },
        R::Limits { up_bytes_per_second: None, down_bytes_per_second: None },
        R::PeerUnavailable { peer: "x:1".to_owned(), code: "busy".into(), message: String::new() },
        R::NobodyFound { message: String::new(), cause: Some("nobody-heard".into()) },
        R::NobodyFound { message: String::new(), cause: None },
        R::SavedPeer { peer: "10.0.0.1:4107".parse().unwrap(), saved: true, id: None, name: None },
        R::SavedPeer {
            peer: "10.0.0.1:4107".parse().unwrap(),
            saved: true,
            id: Some(id()),
            name: Some(name()),
        },
        status(Some(1)),
        status(None),
        operation(OperationProgress::default()),
        operation(OperationProgress {
            step: OperationStep::Streaming,
            version: Some(version()),
            bytes: Some(1),
            bytes_total: Some(2),
            bytes_per_second: Some(1),
            source: Some("pc".to_owned()),
            source_id: Some(id()),
            position: Some(1),
            places: Some(2),
            attempt: Some(1),
            waiting_for: Some(name()),
            waiting_for_id: Some(id()),
            ahead: Some(1),
            in_ms: Some(1),
        }),
        R::Room(Box::new(room::whole())),
        R::Room(Box::new(room::bare())),
        R::Room(Box::new(room::alone())),
        R::RoomChanged(Box::new(room::changes())),
        R::RoomChanged(Box::default()),
        R::SeatAccepted {
            peer: id(),
            name: name(),
            game: game(),
            kind: OperationKind::Download,
            operation: 1,
        },
        R::SeatPlanned(seat_plan()),
        R::SeatPlanned(SeatPlan {
            version: None,
            fetched_bytes: None,
            bytes: None,
            needed_bytes: None,
            fits: None,
            ..seat_plan()
        }),
        R::SeatRefused {
            peer: id(),
            name: name(),
            game: game(),
            code: "not-permitted".into(),
            message: String::new(),
        },
        R::EndedOperation(ended()),
        R::EndedOperation(EndedReport { message: None, cause: None, ..ended() }),
        R::OperationsCancelled { game: game(), count: 1 },
        R::PageReady {
            url: "http://127.0.0.1:8080/".to_owned(),
            token_file: Some("/state/web-token".to_owned()),
        },
        R::PageReady { url: "http://127.0.0.1:8080/".to_owned(), token_file: None },
        R::OperationPlan(Box::new(plan())),
        R::OperationPlan(Box::new(OperationPlan {
            version: None,
            fetched_bytes: None,
            files: None,
            bytes: None,
            needed_bytes: None,
            needed_inodes: None,
            free_inodes: None,
            fits: None,
            decode_at: None,
            memory_bytes: None,
            ..plan()
        })),
    ]
}

fn status(limit: Option<u64>) -> Answer {
    Answer::PeerStatus {
        peer: id(),
        name: name(),
        addr: addr(),
        games: vec![game()],
        active_outbound_transfers: 0,
        streams_max: 1,
        connections: 1,
        waiting: 1,
        receivers: vec![ReceivingAddress { addr: addr().ip(), transfers: 1 }],
        waves: packed::waves(),
        relays: packed::relays(),
        waiting_receivers: packed::waiting_receivers(),
        up_bytes_per_second: limit,
        down_bytes_per_second: limit,
    }
}

fn seat_plan() -> SeatPlan {
    SeatPlan {
        peer: id(),
        name: name(),
        game: game(),
        kind: OperationKind::Ensure,
        version: Some(version()),
        changed: true,
        fetched_bytes: Some(1),
        bytes: Some(1),
        lost_files: 1,
        needed_bytes: Some(1),
        free_bytes: 1,
        fits: Some(true),
    }
}

fn ended() -> EndedReport {
    EndedReport {
        operation: 1,
        kind: OperationKind::StreamInstall,
        game: game(),
        ago_ms: 1,
        outcome: "no-peers".into(),
        message: Some(String::new()),
        cause: Some("no-answer".into()),
    }
}

fn plan() -> OperationPlan {
    OperationPlan {
        kind: OperationKind::StreamInstall,
        game: game(),
        version: Some(version()),
        changed: true,
        steps: vec![PlannedStep::Stream],
        fetched_bytes: Some(1),
        files: Some(1),
        bytes: Some(1),
        removed_bytes: 1,
        lost_files: 1,
        lost: vec!["save".to_owned()],
        sources: vec![PlannedSource { name: name(), peer: id(), addr: addr() }],
        dropped: vec![PeerAnswer { peer: "pc".to_owned(), reason: String::new() }],
        needed_bytes: Some(1),
        free_bytes: 1,
        booked_bytes: 1,
        needed_inodes: Some(1),
        free_inodes: Some(1),
        booked_inodes: 1,
        fits: Some(true),
        decode_at: Some(DecodeAt::Receiver),
        upstreams: vec![packed::planned()],
        memory_bytes: Some(1),
    }
}
