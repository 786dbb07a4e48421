//! Checks the schema of events and answers against `docs/event-schema.json`, and `docs/events.md` against the schema.

mod answers;
mod catalog;
mod events;
mod machine;
mod packed;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lanspread_testing::json_schema::Schema;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::report::passed_over::PassedOverFolder;

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

fn id() -> PeerId {
    PeerId::from([0; 16])
}

fn passed_over() -> PassedOverFolder {
    let (folder, code) = ("a b".to_owned(), "folder-name".into());
    PassedOverFolder { folder, code, message: String::new(), suggestion: Some(game()) }
}

/// What only the command prints; its own tests compare this with what it prints. A field in the second list may be
/// missing.
fn of_the_command() -> Samples {
    let object = |fields: Value| fields.as_object().unwrap().clone();
    let (game, games) = (game(), vec![game()]);
    let error = object(json!({"code": "busy", "message": "", "exit_status": 1}));
    let mut full = error.clone();
    full.append(&mut object(json!({"hint": "", "game": &game})));
    let summary = object(json!({"done": games, "failed": games, "exit_status": 1}));
    let retry = json!({"game": game, "code": "busy", "message": "", "retry": 1, "retries": 2, "delay_ms": 3});
    [
        ("error".to_owned(), vec![error, full]),
        ("retry".to_owned(), vec![object(retry)]),
        ("summary".to_owned(), vec![summary]),
    ]
    .into()
}

/// The schema of one field, from all values that it has.
fn field_schema(values: &[&Value]) -> Value {
    let (mut types, mut objects) = (BTreeSet::new(), Vec::new());
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
                objects.push(fields.clone());
                "object"
            }
        });
    }
    if !objects.is_empty() {
        schema.append(&mut object_schema(&objects));
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
    assert_eq!(names, known, "a sample of each kind, in one of these files");
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// What every object has beside its own fields.
fn envelope() -> Map<String, Value> {
    let envelope = json!({"v": {"const": crate::report::EVENTS_VERSION}, "time": {"$ref": "#/$defs/time"}});
    envelope.as_object().unwrap().clone()
}

/// Whether a kind of object is an event of a peer, and no answer.
fn is_event(kind: &str) -> bool {
    let unknown = serde_json::from_str::<crate::report::event::PeerEvent>(r#"{"event":"?"}"#).unwrap_err();
    unknown.to_string().split('`').skip(3).step_by(2).any(|known| known == kind)
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
        for (field, schema) in envelope() {
            properties.insert(field, schema);
        }
        if is_event(event) {
            let number = |text: &str| json!({"type": "integer", "description": text});
            let seq = "counts the events of one run of the peer; missing if only this reader is told";
            properties.insert("seq".to_owned(), number(seq));
            properties.insert("operation".to_owned(), number("the operation that reported it"));
        }
        // The command adds it, to tell a user what to do.
        if ["nobody-found", "ended-operation"].contains(&&**event) {
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
    let mut top = envelope();
    top.insert("event".to_owned(), json!({"type": "string"}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An object that lanspread-peer-cli prints with --json",
        "description": "docs/events.md describes the events. Fields may be added.",
        "type": "object",
        "required": ["event", "time", "v"],
        "properties": top,
        "oneOf": kinds,
        "$defs": definitions,
    })
}

fn all_samples() -> Samples {
    let mut samples = of_the_command();
    add([events::all(), packed::events(), catalog::events()].concat(), &mut samples);
    add([answers::all(), catalog::answers(), machine::answers()].concat(), &mut samples);
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
            assert!(schema.problem(&object.clone().into()).is_some_and(|problem| problem.contains("`v`")));
            object.insert("v".to_owned(), json!(crate::report::EVENTS_VERSION));
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
