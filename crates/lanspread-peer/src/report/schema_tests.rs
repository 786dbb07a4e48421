//! Checks the schema of events and answers against `docs/event-schema.json`, and `docs/events.md` against the schema.

mod catalog;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lanspread_testing::json_schema::Schema;
use lanspread_types::content::{ArchiveFormat, Availability, InstallTrust};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::report::answer::{Answer, PeerTrust, PlannedSource, ReceivingAddress};
use crate::report::event::PeerEvent;
use crate::report::failure::{AttemptFailure, PeerAnswer};
use crate::report::offender::{Offence, PenalisedPeer, ProvedLie, ServerLie};
use crate::report::operation::OperationKind;
use crate::report::packed_stream::{
    GapFilled, PackedPlaced, RelayBegin, RelayEnd, UpstreamBegin, UpstreamEnd, UpstreamKind,
};
use crate::report::passed_over::PassedOverFolder;
use crate::report::queued::QueuedAt;
use crate::report::source_share::SourceShare;

/// Event name → the objects of that kind that are known, without `event`.
type Samples = BTreeMap<String, Vec<Map<String, Value>>>;

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

fn passed_over() -> PassedOverFolder {
    let (folder, code) = ("a b".to_owned(), "folder-name".into());
    PassedOverFolder { folder, code, message: String::new(), suggestion: Some(game()) }
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
        E::DownloadSourceFailed {
            game: game.clone(),
            peer: peer.clone(),
            code: "busy".into(),
            message: String::new(),
            retry_ms: None,
            sources_left: 0,
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
            trust: InstallTrust::Verified,
        },
        lied(Some("a.eti".to_owned()), Some(1)),
        lied(None, None),
    ]
}

fn lied(path: Option<String>, position: Option<u64>) -> PeerEvent {
    PeerEvent::PeerLied(ProvedLie {
        peer: "pc".parse().unwrap(),
        id: PeerId::from([0; 16]),
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
    let id = || PeerId::from([0; 16]);
    let operation = 1;
    let kind = OperationKind::Verify;
    vec![
        E::PeerReady { addr: addr(), name: name(), peer: id() },
        E::NetworkOpen {},
        E::PartyEntered { party: "k7qf".to_owned() },
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
        E::PackedPlaced(PackedPlaced {
            game: game.clone(),
            peer: peer.clone(),
            position: 1,
            relays: vec![name()],
            starts_in_ms: 0,
        }),
        E::UpstreamBegin(UpstreamBegin {
            game: game.clone(),
            upstream: "pc".to_owned(),
            kind: UpstreamKind::Relay,
            chunk: 0,
        }),
        E::UpstreamEnd(UpstreamEnd {
            game: game.clone(),
            upstream: "pc".to_owned(),
            kind: UpstreamKind::Source,
            chunk: 1,
            chunks: 1,
            bytes: 1,
            code: "complete".into(),
            message: String::new(),
        }),
        E::GapFilled(GapFilled { game: game.clone(), chunk: 1, chunks: 1 }),
        E::RelayBegin(RelayBegin { game: game.clone(), follower: name(), chunk: 0 }),
        E::RelayEnd(RelayEnd {
            game: game.clone(),
            follower: name(),
            chunks: 1,
            bytes: 1,
            outcome: "complete".into(),
        }),
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
        E::Queued(QueuedAt { game: game.clone(), peer: name(), ahead: 1, in_ms: Some(1) }),
        E::Queued(QueuedAt { game: game.clone(), peer: name(), ahead: 1, in_ms: None }),
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
        E::VerifyFinished {
            game: game.clone(),
            files: 1,
            bytes: 1,
            differences: 0,
            added: 0,
            trust: Some(InstallTrust::Verified),
        },
        E::VerifyFinished { game: game.clone(), files: 1, bytes: 1, differences: 0, added: 0, trust: None },
        E::OperationQueued { operation, kind, game: game.clone() },
        E::OperationBegin { operation, kind, game: game.clone() },
        E::OperationEnd { operation, kind, game: game.clone(), outcome: "done".into() },
    ]
}

/// The same for the events of a peer that serves.
fn serving_events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, peer) = (game(), name());
    let id = || PeerId::from([0; 16]);
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
        E::TransferBegin { game: game.clone(), peer: peer.clone(), peer_id: id() },
        E::TransferEnd { game, peer, outcome: "complete".into(), bytes: 1 },
        E::EventsLost { count: 1 },
    ]
}

/// One of each kind of answer.
#[expect(clippy::too_many_lines, reason = "a list")]
fn reports() -> Vec<Answer> {
    use Answer as R;
    let id = || PeerId::from([0; 16]);
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
        },
        R::FolderPassedOver(passed_over()),
        R::FolderPassedOver(PassedOverFolder { suggestion: None, ..passed_over() }),
        R::OfferedGame {
            game: game(),
            title: None,
            version: version(),
            bytes: 1,
            peer_count: 1,
            peers: vec![name()],
        },
        R::OfferedGame {
            game: game(),
            title: Some("A game".to_owned()),
            version: version(),
            bytes: 1,
            peer_count: 1,
            peers: vec![name()],
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
        R::PeerStatus {
            peer: id(),
            name: name(),
            addr: addr(),
            games: vec![game()],
            active_outbound_transfers: 0,
            streams_max: 1,
            connections: 1,
            waiting: 1,
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

/// What only the command prints; its own tests compare this with what it prints. A field in the second list may be
/// missing.
fn of_the_command() -> Samples {
    let object = |fields: Value| fields.as_object().unwrap().clone();
    let (game, games) = (game(), vec![game()]);
    let error = object(json!({"code": "busy", "message": "", "exit_status": 1}));
    let mut full = error.clone();
    full.append(&mut object(json!({"hint": "", "game": game})));
    let summary = object(json!({"done": games, "failed": games, "exit_status": 1}));
    [("error".to_owned(), vec![error, full]), ("summary".to_owned(), vec![summary])].into()
}

/// The schema of one field, from all values that it has.
fn field_schema(values: &[&Value]) -> Value {
    let mut types = BTreeSet::new();
    let mut schema = Map::new();
    for value in values {
        types.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(items) => {
                let items: Vec<&Value> = items.iter().collect();
                assert!(!items.is_empty(), "a sample with items says what the items are");
                schema.insert("items".to_owned(), field_schema(&items));
                "array"
            }
            Value::Object(fields) => {
                schema.append(&mut object_schema(std::slice::from_ref(fields)));
                "object"
            }
        });
    }
    let types: Vec<&str> = types.into_iter().collect();
    let types = if let [one] = types.as_slice() { json!(one) } else { json!(types) };
    schema.insert("type".to_owned(), types);
    Value::Object(schema)
}

/// The fields of an object. Those that every sample has are required.
fn object_schema(samples: &[Map<String, Value>]) -> Map<String, Value> {
    let names: BTreeSet<&String> = samples.iter().flat_map(Map::keys).collect();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for name in names {
        let values: Vec<&Value> = samples.iter().filter_map(|sample| sample.get(name)).collect();
        if values.len() == samples.len() {
            required.push(name.clone());
        }
        properties.insert(name.clone(), field_schema(&values));
    }
    [("properties".to_owned(), properties.into()), ("required".to_owned(), required.into())]
        .into_iter()
        .collect()
}

/// Adds the objects of each kind, and proves that no kind is missing: the decoder lists all kinds when it meets an
/// unknown one.
fn add<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    objects: Vec<T>,
    samples: &mut Samples,
) {
    let mut names = BTreeSet::new();
    for object in objects {
        let Value::Object(mut fields) = serde_json::to_value(&object).unwrap() else { panic!("{object:?}") };
        assert_eq!(serde_json::from_value::<T>(Value::Object(fields.clone())).unwrap(), object);
        let name = fields.remove("event").unwrap().as_str().unwrap().to_owned();
        samples.entry(name.clone()).or_default().push(fields);
        names.insert(name);
    }
    let unknown = serde_json::from_str::<T>(r#"{"event":"?"}"#).unwrap_err().to_string();
    let known: BTreeSet<String> = unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert_eq!(names, known, "a sample of each kind, in this file");
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// JSON Schema 2020-12 of everything that a command prints with `--json`.
fn schema_of(samples: &Samples) -> Value {
    let mut definitions = Map::new();
    for (event, samples) in samples {
        let mut definition = object_schema(samples);
        let mut properties = match definition.remove("properties") {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        };
        properties.insert("event".to_owned(), json!({"const": event}));
        properties.insert("time".to_owned(), json!({"$ref": "#/$defs/time"}));
        // The command adds it, to tell a user what to do.
        if event == "nobody-found" {
            properties.insert("hint".to_owned(), json!({"type": ["null", "string"]}));
        }
        definition.insert("properties".to_owned(), properties.into());
        definition.insert("type".to_owned(), "object".into());
        definitions.insert(event.clone(), definition.into());
    }
    let kinds: Vec<Value> =
        definitions.keys().map(|event| json!({"$ref": format!("#/$defs/{event}")})).collect();
    definitions.insert(
        "time".to_owned(),
        json!({"type": "string", "format": "date-time", "description": "RFC 3339, UTC, with milliseconds"}),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An object that lanspread-peer-cli prints with --json",
        "description": "docs/events.md describes the events. Fields may be added.",
        "type": "object",
        "required": ["event", "time"],
        "properties": {"event": {"type": "string"}, "time": {"$ref": "#/$defs/time"}},
        "oneOf": kinds,
        "$defs": definitions,
    })
}

fn all_samples() -> Samples {
    let mut samples = of_the_command();
    add([events(), serving_events(), download_events(), catalog::events()].concat(), &mut samples);
    add([reports(), catalog::answers()].concat(), &mut samples);
    samples
}

/// Catches unintended changes of the schema: to accept a change, run the test with `LANSPREAD_WRITE_SCHEMA=1`.
#[test]
fn events_and_answers_have_the_documented_schema() {
    let samples = all_samples();
    let written = serde_json::to_string_pretty(&schema_of(&samples)).unwrap() + "\n";
    let path = docs().join("event-schema.json");
    if std::env::var_os("LANSPREAD_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, expected, "run it with LANSPREAD_WRITE_SCHEMA=1 if the change is intended");

    let schema = Schema::parse(&expected).unwrap();
    for (event, objects) in &samples {
        for object in objects {
            let mut object = object.clone();
            object.insert("event".to_owned(), json!(event));
            assert!(schema.problem(&object.clone().into()).is_some_and(|problem| problem.contains("`time`")));
            object.insert("time".to_owned(), json!("2026-01-01T00:00:00.000Z"));
            assert_eq!(schema.problem_strictly(&object.clone().into()), None);
            let required = schema_of(&samples)["$defs"][event]["required"].clone();
            for field in required.as_array().unwrap().iter().filter_map(Value::as_str) {
                let mut object = object.clone();
                object.remove(field);
                assert!(schema.problem(&object.into()).is_some(), "{event} without {field}");
            }
        }
    }
}

#[test]
fn the_page_of_events_names_every_event_and_field() {
    let samples = all_samples();
    let text = std::fs::read_to_string(docs().join("events.md")).unwrap();
    for (event, objects) in &samples {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{event}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/events.md has no row for {event}"));
        for field in objects.iter().flat_map(Map::keys) {
            assert!(row.contains(&format!("`{field}`")), "docs/events.md: {event} without {field}: {row}");
        }
    }
}
