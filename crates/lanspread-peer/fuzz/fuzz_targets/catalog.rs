//! Catalogs: one that is accepted says what its TOML says, with good words only; any other is refused in one line.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use lanspread_peer::{Catalog, GameId, GameVersion, TrustError, limits};
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn fuzz(input: &[u8]) {
    let path: PathBuf = FOLDER.path().join("catalog.toml");
    fs::write(&path, input).expect("a catalog");
    match Catalog::load(&path) {
        Ok(catalog) => check(&catalog, std::str::from_utf8(input).expect("TOML is text")),
        Err(TrustError::Catalog { reason, .. }) => assert!(!reason.contains('\n'), "{reason:?}"),
        Err(error) => panic!("{error}"),
    }
}

fn check(catalog: &Catalog, text: &str) {
    let table: Table = text.parse().expect("TOML");
    let schema = table.get("schema").and_then(Value::as_integer);
    let (keys, fields_max) = match schema {
        Some(1) => (&["schema", "games"][..], 2),
        Some(2) => (&["schema", "version", "name", "made", "expires", "games"][..], 6),
        other => panic!("schema {other:?}"),
    };
    assert!(table.keys().all(|key| keys.contains(&key.as_str())), "{table:?}");
    let content = catalog.content();
    assert_eq!(content.head.is_some(), schema == Some(2));
    // What is written reads as the same.
    let written = content.to_toml();
    let again = Catalog::of_bytes(Path::new("again.toml"), written.as_bytes()).expect("a catalog of ours");
    assert_eq!(again.content(), content, "{written}");
    let Some(games) = table.get("games") else { return };
    let games = games.as_table().expect("a table of games");
    assert!(games.len() <= limits::GAMES_MAX);
    for (id, game) in games {
        let id: GameId = id.parse().expect("a game id");
        let known = catalog.game(&id).expect("a game of the catalog");
        // A struct may also be written as an array.
        let (name, version, fields) = match game {
            Value::Array(fields) => (&fields[0], &fields[1], fields.len()),
            game => (&game["name"], &game["version"], game.as_table().expect("a game").len()),
        };
        assert_eq!(name.as_str(), Some(&*known.name));
        assert_eq!(version.as_str(), Some(known.version.as_str()));
        assert!(known.version.as_str().parse::<GameVersion>().is_ok());
        assert!((2..=fields_max).contains(&fields), "{game:?}");
    }
}

fuzz_target!(|input: &[u8]| fuzz(input));
