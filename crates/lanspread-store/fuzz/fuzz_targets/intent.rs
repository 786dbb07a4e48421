//! Intents on disk: one that is ours is followed and then gone, any other is reported and left as it is.
#![no_main]

use std::fs;
use std::sync::{Arc, LazyLock};

use lanspread_store::error::StoreError;
use lanspread_store::recover::lock_and_recover;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::intent::is_recorded;
use lanspread_types::ids::GameId;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STEPS: [&str; 6] =
    ["install-begin", "install-promote", "update-begin", "update-promote", "uninstall", "remove"];

struct Machine {
    folder: tempfile::TempDir,
    games: Arc<GamesDir>,
    game: GameId,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let games = Arc::new(GamesDir::open(folder.path()).expect("a games directory"));
    Machine { folder, games, game: "g".parse().expect("a game id") }
});

fn fuzz(input: &[u8]) {
    let Machine { folder, games, game } = &*MACHINE;
    let intents = folder.path().join(".lanspread/intents");
    fs::create_dir_all(&intents).expect("a folder");
    fs::write(intents.join("g.json"), input).expect("an intent");
    // An installed tree that no intent may cost.
    let kept = folder.path().join("g/local/kept");
    fs::create_dir_all(folder.path().join("g/local")).expect("a folder");
    fs::write(&kept, "kept").expect("a file");
    match lock_and_recover(games, game) {
        Ok(recovered) => {
            assert!(is_ours(input), "{:?} is followed", String::from_utf8_lossy(input));
            assert!(!recovered.actions.is_empty() && !is_recorded(folder.path(), game));
        }
        Err(StoreError::Foreign(_)) => {
            assert!(!is_as_we_write_it(input), "{:?} is refused", String::from_utf8_lossy(input));
            assert_eq!(fs::read(intents.join("g.json")).expect("the intent is still there"), input);
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(fs::read(&kept).expect("the tree is still there"), b"kept");
}

/// The bytes that this program writes, of each intent.
fn is_as_we_write_it(input: &[u8]) -> bool {
    STEPS.iter().any(|step| {
        [true, false].iter().any(|created_root| {
            input == format!(r#"{{"schema":1,"step":"{step}","created_root":{created_root}}}"#).as_bytes()
        })
    })
}

/// The form of an intent, once more and in other words.
fn is_ours(input: &[u8]) -> bool {
    let (schema, step, created_root) = match serde_json::from_slice(input) {
        Ok(Value::Object(fields)) if fields.len() == 3 => {
            let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
            (field("schema"), field("step"), field("created_root"))
        }
        // A struct may also be written as an array.
        Ok(Value::Array(fields)) => {
            let Ok([schema, step, created_root]) = <[Value; 3]>::try_from(fields) else { return false };
            (schema, step, created_root)
        }
        _ => return false,
    };
    schema == 1 && created_root.is_boolean() && step.as_str().is_some_and(|step| STEPS.contains(&step))
}

fuzz_target!(|input: &[u8]| fuzz(input));
