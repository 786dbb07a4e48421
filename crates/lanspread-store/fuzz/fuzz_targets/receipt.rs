//! Receipts of installs: one that is accepted adds up, and no part of it passes for the whole.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use lanspread_store::error::StoreError;
use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::verify;
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::ids::GameId;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

struct Machine {
    _folder: tempfile::TempDir,
    games: Arc<GamesDir>,
    game: GameId,
    receipt: PathBuf,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("g/local")).expect("an installed tree");
    fs::create_dir_all(folder.path().join(".lanspread/receipts")).expect("a folder");
    let games = Arc::new(GamesDir::open(folder.path()).expect("a games directory"));
    let receipt = folder.path().join(".lanspread/receipts/g.jsonl");
    Machine { games, game: "g".parse().expect("a game id"), receipt, _folder: folder }
});

fn fuzz(input: &[u8]) {
    let Some(bytes) = read(input) else { return };
    check(input, bytes);
    let last_line = input[..input.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for cut in [input.len() / 2, last_line, input.len() - 1] {
        assert!(read(&input[..cut]).is_none(), "cut at {cut} it passes for whole");
    }
    assert!(read(&[input, b"{}\n"].concat()).is_none(), "a line behind the totals");
}

/// Bytes of the files of a receipt that is accepted.
fn read(receipt: &[u8]) -> Option<u64> {
    let machine = &*MACHINE;
    fs::write(&machine.receipt, receipt).expect("a receipt");
    match verify::parts(&machine.games, &machine.game, None) {
        Ok(parts) => Some(parts[0].bytes()),
        Err(StoreError::NotVerifiable { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Adds it up once more.
fn check(input: &[u8], bytes: u64) {
    let text = std::str::from_utf8(input).expect("JSON is text");
    let lines: Vec<Value> =
        text.split_terminator('\n').map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let [head, files @ .., tail] = &lines[..] else { panic!("{} lines", lines.len()) };
    // A struct may also be written as an array.
    let of_head = |name: &str, place: usize| match head {
        Value::Array(fields) => fields.get(place).cloned().unwrap_or_default(),
        head => head[name].clone(),
    };
    assert!([1, 2].map(Value::from).contains(&of_head("schema", 0)));
    assert_eq!(of_head("game", 1), Value::from("g"));
    let is_verified = of_head("trust", 5) == "verified";
    assert_eq!(is_verified, !of_head("manifest", 6).is_null());
    let mut names = std::collections::HashSet::new();
    let mut sum = 0;
    for file in files {
        let (path, size, sha256) = match file {
            Value::Array(fields) => (&fields[0], &fields[1], fields.get(3).unwrap_or(&Value::Null)),
            file => (&file["path"], &file["size"], &file["sha256"]),
        };
        assert_eq!(is_verified, !sha256.is_null(), "{path}");
        let path = path.as_str().expect("a path");
        assert!(EntryPath::parse(path, NamePolicy::Native).is_ok(), "{path:?}");
        assert!(names.insert(path), "{path:?} is there twice");
        sum += size.as_u64().expect("a size");
    }
    assert_eq!(bytes, sum);
    let total = |name: &str, place: usize| match tail {
        Value::Array(fields) => fields[place].as_u64(),
        tail => tail[name].as_u64(),
    };
    assert_eq!((total("files", 0), total("bytes", 2)), (Some(files.len() as u64), Some(sum)));
}

fuzz_target!(|input: &[u8]| fuzz(input));
