//! Checks the schema of events and answers against `docs/event-schema.json`, and `docs/events.md` against the schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lanspread_types::content::{ArchiveFormat, Availability};
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::report::answer::{Answer, PlannedSource, ReceivingAddress};
use crate::report::event::{PeerEvent, SourceShare};
use crate::report::failure::{AttemptFailure, PeerAnswer};
use crate::report::operation::OperationKind;

/// Event name → field name → type.
type Schema = BTreeMap<String, BTreeMap<String, String>>;

fn game() -> GameId {
    "g".parse().unwrap()
}

fn version() -> GameVersion {
    "1".parse().unwrap()
}

fn name() -> PeerName {
    "pc".parse().unwrap()
}

fn addr() -> std::net::SocketAddr {
    ([10, 0, 0, 1], 4107).into()
}

fn failure() -> AttemptFailure {
    AttemptFailure::new(&name(), "busy", String::new())
}

/// One of each kind of event about downloads.
fn download_events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, version, peer) = (game(), version(), name());
    vec![
        E::DownloadBegin {
            game: game.clone(),
            version: version.clone(),
            sources: vec![name()],
            files: 1,
            bytes_total: 1,
            bytes_kept: 0,
        },
        E::DownloadProgress { game: game.clone(), bytes: 1, bytes_total: 2, sources: 1 },
        E::DownloadSourceFailed {
            game: game.clone(),
            peer: peer.clone(),
            code: "busy".into(),
            message: String::new(),
            retry_ms: Some(1),
            sources_left: 1,
        },
        E::DownloadFinished {
            game: game.clone(),
            version: version.clone(),
            files: 1,
            bytes: 1,
            bytes_fetched: 1,
            sources: vec![SourceShare { peer: peer.clone(), chunks: 1, bytes: 1 }],
            waited_ms: 1,
            duration_ms: 1,
            bytes_per_second: 1,
        },
    ]
}

/// One of each other kind of event.
fn events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, version, peer) = (game(), version(), name());
    let id = || "00".repeat(16).parse().unwrap();
    let operation = 1;
    let kind = OperationKind::Verify;
    vec![
        E::PeerReady { addr: addr(), name: name(), peer: id() },
        E::GameRecovered { game: game.clone(), action: "promoted".into() },
        E::StreamInstallBegin { game: game.clone(), version: version.clone(), sources: vec![name()] },
        E::StreamAttemptBegin { game: game.clone(), attempt: 1, peer: name(), addr: addr() },
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
        E::DownloadFailed { game: game.clone(), code: "busy".into(), message: String::new(), bytes_kept: 0 },
        E::InstallBegin { game: game.clone(), version: version.clone(), bytes_total: 1, replaces: false },
        E::InstallProgress { game: game.clone(), bytes: 1, bytes_total: 2 },
        E::InstallFinished {
            game: game.clone(),
            version: version.clone(),
            files: 1,
            bytes: 1,
            duration_ms: 1,
        },
        E::InstallFailed { game: game.clone(), code: "busy".into(), message: String::new() },
        E::AlreadyCurrent { game: game.clone(), version },
        E::UninstallFinished { game: game.clone() },
        E::RemoveFinished { game: game.clone(), files: 1, bytes: 1 },
        E::VerifyProgress { game: game.clone(), bytes: 1, bytes_total: 2 },
        E::VerifyDifference {
            game: game.clone(),
            part: "local".into(),
            path: "a".to_owned(),
            problem: "size".into(),
        },
        E::VerifyFinished { game: game.clone(), files: 1, bytes: 1, differences: 0, added: 0 },
        E::OperationQueued { operation, kind, game: game.clone() },
        E::OperationBegin { operation, kind, game: game.clone() },
        E::OperationEnd { operation, kind, game: game.clone(), outcome: "done".into() },
    ]
}

/// The same for the events of a peer that serves.
fn serving_events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, peer) = (game(), name());
    let id = || "00".repeat(16).parse().unwrap();
    vec![
        E::LibraryChanged { revision: 1, games: 1, changed: vec![game.clone()] },
        E::FolderPassedOver {
            folder: "a b".to_owned(),
            code: "folder-name".into(),
            message: String::new(),
            suggestion: Some(game.clone()),
        },
        E::PeerFound { peer: id(), name: name(), addr: addr() },
        E::PeerLibraryChanged { peer: id(), name: name(), revision: 1, games: 1 },
        E::PeerLost { peer: id(), name: name(), reason: String::new() },
        E::DuplicateIdentity { peer: id(), names: vec![name()], addrs: vec![addr()] },
        E::TransferBegin { game: game.clone(), peer: peer.clone(), peer_id: id() },
        E::TransferEnd { game, peer, outcome: "complete".into(), bytes: 1 },
        E::EventsLost { count: 1 },
    ]
}

/// One of each kind of answer.
fn reports() -> Vec<Answer> {
    use Answer as R;
    let id = || "00".repeat(16).parse().unwrap();
    vec![
        R::LocalGame {
            game: game(),
            version: Some(version()),
            installed_version: Some(version()),
            state: Availability::Ready,
            downloaded: true,
            installed: true,
            bytes: 1,
        },
        R::FolderPassedOver {
            folder: "a b".to_owned(),
            code: "folder-name".into(),
            message: String::new(),
            suggestion: Some(game()),
        },
        R::OfferedGame { game: game(), version: version(), bytes: 1, peer_count: 1, peers: vec![name()] },
        R::Peer { peer: id(), name: name(), addr: addr(), games: 1 },
        R::PeerUnavailable { peer: "x:1".to_owned(), code: "busy".into(), message: String::new() },
        R::NobodyFound { message: String::new(), cause: Some("nobody-heard".into()) },
        R::SavedPeer { peer: "10.0.0.1:4107".parse().unwrap(), saved: true },
        R::PeerStatus {
            peer: id(),
            name: name(),
            addr: addr(),
            games: vec![game()],
            active_outbound_transfers: 0,
            streams_max: 1,
            connections: 1,
            receivers: vec![ReceivingAddress { addr: addr().ip(), transfers: 1 }],
        },
        R::Operation { operation: 1, kind: OperationKind::Verify, game: game(), running: true, followers: 1 },
        R::OperationsCancelled { game: game(), count: 1 },
        R::StreamInstallPlan {
            game: game(),
            version: version(),
            sources: vec![PlannedSource { name: name(), peer: id(), addr: addr() }],
            dropped: vec![PeerAnswer { peer: "pc".to_owned(), reason: String::new() }],
            files: 1,
            bytes: 1,
            needed_bytes: 1,
            free_bytes: 1,
            fits: true,
        },
    ]
}

fn type_name(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "integer".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => format!("array of {}", items.first().map_or("nothing".to_owned(), type_name)),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {}", type_name(value))).collect();
            format!("object ({})", fields.join(", "))
        }
    }
}

/// Adds the form of one object of each kind, and proves that none is missing: the decoder lists all kinds when it meets
/// an unknown one.
fn add<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(samples: Vec<T>, schema: &mut Schema) {
    let mut names = Vec::new();
    for sample in samples {
        let Value::Object(mut fields) = serde_json::to_value(&sample).unwrap() else { panic!("{sample:?}") };
        assert_eq!(serde_json::from_value::<T>(Value::Object(fields.clone())).unwrap(), sample);
        let name = fields.remove("event").unwrap().as_str().unwrap().to_owned();
        schema.insert(
            name.clone(),
            fields.iter().map(|(name, value)| (name.clone(), type_name(value))).collect(),
        );
        names.push(name);
    }
    let unknown = serde_json::from_str::<T>(r#"{"event":"?"}"#).unwrap_err().to_string();
    let known = unknown.split('`').skip(3).step_by(2).map(str::to_owned);
    names.sort();
    let mut known: Vec<String> = known.collect();
    known.sort();
    assert_eq!(names, known, "a sample of each kind, in this file");
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Catches unintended changes of the schema: to accept a change, run the test with `LANSPREAD_WRITE_SCHEMA=1`.
#[test]
fn events_and_answers_have_the_documented_schema() {
    let mut schema = Schema::new();
    add([events(), serving_events(), download_events()].concat(), &mut schema);
    add(reports(), &mut schema);
    let written = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = docs().join("event-schema.json");
    if std::env::var_os("LANSPREAD_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, expected, "run it with LANSPREAD_WRITE_SCHEMA=1 if the change is intended");

    let text = std::fs::read_to_string(docs().join("events.md")).unwrap();
    for (event, fields) in &schema {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{event}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/events.md has no row for {event}"));
        for field in fields.keys() {
            assert!(row.contains(&format!("`{field}`")), "docs/events.md: {event} without {field}: {row}");
        }
    }
}
