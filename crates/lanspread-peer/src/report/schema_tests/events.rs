//! One of each kind of event but those about catalogs and packed streams, and a second one where a field can be missing.

use lanspread_types::content::{ArchiveFormat, InstallTrust};

use super::{addr, game, id, name, passed_over, version};
use crate::report::download::{DownloadBegin, DownloadFinished};
use crate::report::ensured::{EnsureAction, Ensured};
use crate::report::event::PeerEvent;
use crate::report::failure::AttemptFailure;
use crate::report::offender::{Offence, PenalisedPeer, ProvedLie, ServerLie};
use crate::report::operation::OperationKind;
use crate::report::queued::QueuedAt;
use crate::report::repair::{RepairBegin, RepairFailed, RepairFinished, VerifyFinished};
use crate::report::source_share::SourceShare;
use crate::report::wanted_operation::{
    AwaitedSource, Draining, DroppedOperation, QueuedOperation, RetriedOperation,
};

fn failure() -> AttemptFailure {
    AttemptFailure::new(&name(), "busy", String::new())
}

pub(super) fn all() -> Vec<PeerEvent> {
    [events(), ensured_events(), serving_events(), download_events()].concat()
}

/// What an *ensure* and an *absent* say.
fn ensured_events() -> Vec<PeerEvent> {
    let kept = Ensured::present(&game(), Some(version()), EnsureAction::None);
    let kept = Ensured { note: Some("no-peers".into()), ..kept };
    vec![PeerEvent::Ensured(kept), PeerEvent::Ensured(Ensured::absent(&game(), true))]
}

/// One of each kind of event about downloads.
fn download_events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, version, peer) = (game(), version(), name());
    vec![
        E::DownloadBegin(DownloadBegin {
            game: game.clone(),
            version: version.clone(),
            sources: vec![name()],
            files: 1,
            bytes_total: 1,
            bytes_kept: 0,
        }),
        E::DownloadProgress {
            game: game.clone(),
            bytes: 1,
            bytes_total: 2,
            sources: 1,
            source: Some("pc".to_owned()),
            source_id: Some(id()),
        },
        E::DownloadProgress {
            game: game.clone(),
            bytes: 1,
            bytes_total: 2,
            sources: 1,
            source: None,
            source_id: None,
        },
        E::DownloadSourceFailed {
            game: game.clone(),
            peer: peer.clone(),
            code: "busy".into(),
            message: String::new(),
            retry_ms: Some(1),
            sources_left: 1,
        },
        E::DownloadSourceFailed {
            game: game.clone(),
            peer: peer.clone(),
            code: "busy".into(),
            message: String::new(),
            retry_ms: None,
            sources_left: 0,
        },
        E::DownloadFinished(DownloadFinished {
            game: game.clone(),
            version: version.clone(),
            files: 1,
            bytes: 1,
            bytes_fetched: 1,
            sources: vec![SourceShare { peer: peer.clone(), chunks: 1, bytes: 1 }],
            waited_ms: 1,
            duration_ms: 1,
            bytes_per_second: 1,
            trust: InstallTrust::Verified,
        }),
        lied(Some("a.eti".to_owned()), Some(1)),
        lied(None, None),
    ]
}

fn lied(path: Option<String>, position: Option<u64>) -> PeerEvent {
    PeerEvent::PeerLied(ProvedLie {
        peer: "pc".parse().unwrap(),
        id: id(),
        game: game(),
        path,
        position,
        expected: "00".repeat(32),
        got: "11".repeat(32),
    })
}

/// One of each other kind of event.
fn events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, version, peer) = (game(), version(), name());
    let operation = 1;
    let kind = OperationKind::Verify;
    vec![
        E::PeerReady { addr: addr(), name: name(), peer: id() },
        E::NetworkOpen {},
        E::PartyEntered { party: "k7qf".to_owned() },
        E::GameRecovered { game: game.clone(), action: "promoted".into() },
        E::StreamInstallBegin { game: game.clone(), version: version.clone(), sources: vec![name()] },
        E::StreamAttemptBegin { game: game.clone(), attempt: 1, peer: name(), peer_id: id(), addr: addr() },
        E::ArchiveBegin {
            game: game.clone(),
            peer: peer.clone(),
            name: "a.eti".to_owned(),
            format: ArchiveFormat::Rar5,
            solid: true,
            files: 1,
            bytes: 1,
        },
        E::StreamProgress { game: game.clone(), peer: peer.clone(), bytes: 1, bytes_total: 2 },
        E::StreamAttemptFailed {
            game: game.clone(),
            attempt: 1,
            peer: peer.clone(),
            code: "busy".into(),
            message: String::new(),
        },
        E::StreamInstallFinished {
            game: game.clone(),
            version: version.clone(),
            peer: peer.clone(),
            files: 1,
            bytes: 1,
            trust: InstallTrust::Verified,
            waited_ms: 1,
            duration_ms: 1,
        },
        E::StreamInstallFailed {
            game: game.clone(),
            code: "busy".into(),
            message: String::new(),
            attempts: vec![failure()],
        },
        E::Finishing { game: game.clone(), bytes: 1 },
        E::Queued(QueuedAt {
            game: game.clone(),
            peer: name(),
            peer_id: Some(id()),
            ahead: 1,
            in_ms: Some(1),
            receivers: None,
        }),
        E::Queued(QueuedAt {
            game: game.clone(),
            peer: name(),
            peer_id: None,
            ahead: 0,
            in_ms: None,
            receivers: Some(2),
        }),
        E::DownloadFailed { game: game.clone(), code: "busy".into(), message: String::new(), bytes_kept: 0 },
        E::InstallBegin { game: game.clone(), version: version.clone(), bytes_total: 1, replaces: false },
        E::InstallProgress { game: game.clone(), bytes: 1, bytes_total: 2 },
        E::InstallFinished {
            game: game.clone(),
            version: version.clone(),
            files: 1,
            bytes: 1,
            trust: InstallTrust::Unverified,
            duration_ms: 1,
        },
        E::InstallFailed { game: game.clone(), code: "busy".into(), message: String::new() },
        E::AlreadyCurrent { game: game.clone(), version, differences: 1 },
        E::UninstallFinished { game: game.clone() },
        E::RemoveFinished { game: game.clone(), files: 1, bytes: 1 },
        E::VerifyProgress { game: game.clone(), bytes: 1, bytes_total: 2 },
        E::OperationQueued(QueuedOperation { operation, kind, game: game.clone(), resumed: false }),
        E::OperationRetry(RetriedOperation {
            kind,
            game: game.clone(),
            code: "nobody-found".into(),
            message: String::new(),
            retry_ms: 1,
        }),
        E::PeerDraining(Draining { transfers: 1, operations: 1, drain_ms: 1 }),
        E::SourceAwaited(AwaitedSource {
            game: game.clone(),
            peer: name(),
            code: "source-stopping".into(),
            retry_ms: 1,
            wait_ms: 1,
        }),
        E::OperationDropped(DroppedOperation { kind, game: game.clone(), starts: 3 }),
        E::OperationBegin { operation, kind, game: game.clone() },
        E::OperationEnd { operation, kind, game: game.clone(), outcome: "done".into() },
    ]
}

/// The same for the events of a peer that serves.
fn serving_events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, peer) = (game(), name());
    vec![
        E::LibraryChanged { revision: 1, games: 1, changed: vec![game.clone()] },
        E::FolderPassedOver(passed_over()),
        E::PeerFound { peer: id(), name: name(), addr: addr() },
        E::PeerLibraryChanged { peer: id(), name: name(), revision: 1, games: 1 },
        E::PeerLost { peer: id(), name: name(), reason: String::new() },
        E::ServerLied(ServerLie {
            server: "http://games.lan/{game}/{file}".parse().unwrap(),
            game: game.clone(),
            path: "a.eti".to_owned(),
            position: 0,
            expected: "00".repeat(32),
            got: "11".repeat(32),
        }),
        E::PeerPenalised(PenalisedPeer {
            game: game.clone(),
            peer: id(),
            name: name(),
            addr: addr(),
            offence: Offence::Lied,
            length_ms: 1,
            message: String::new(),
        }),
        E::DuplicateIdentity { peer: id(), names: vec![name()], addrs: vec![addr()] },
        E::VerifyDifference {
            game: game.clone(),
            part: "local".into(),
            path: "a".to_owned(),
            problem: "size".into(),
        },
        E::VerifyFinished(VerifyFinished {
            game: game.clone(),
            files: 1,
            bytes: 1,
            differences: 0,
            added: 0,
            trust: Some(InstallTrust::Verified),
        }),
        E::VerifyFinished(VerifyFinished {
            game: game.clone(),
            files: 1,
            bytes: 1,
            differences: 0,
            added: 0,
            trust: None,
        }),
        E::RepairBegin(RepairBegin {
            game: game.clone(),
            version: version(),
            entries: 1,
            bytes: 1,
            root_files: 1,
            root_bytes: 1,
        }),
        E::RepairFinished(RepairFinished {
            game: game.clone(),
            changed: true,
            files: 1,
            bytes: 1,
            bytes_fetched: 1,
            sources: vec![SourceShare { peer: peer.clone(), chunks: 1, bytes: 1 }],
            trust: Some(InstallTrust::Verified),
            duration_ms: 1,
        }),
        E::RepairFinished(RepairFinished {
            game: game.clone(),
            changed: false,
            files: 0,
            bytes: 0,
            bytes_fetched: 0,
            sources: vec![SourceShare { peer: peer.clone(), chunks: 0, bytes: 0 }],
            trust: None,
            duration_ms: 1,
        }),
        E::RepairFailed(RepairFailed { game: game.clone(), code: "no-peers".into(), message: String::new() }),
        E::TransferBegin { game: game.clone(), peer: peer.clone(), peer_id: id() },
        E::TransferEnd { game, peer, outcome: "complete".into(), bytes: 1 },
        E::EventsLost { count: 1 },
    ]
}
