use std::path::PathBuf;

use lanspread_trust::manifest::{ManifestFile, encode};

use super::*;

fn fixtures(fixture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(fixture)
}

fn state(games: &Path, game: &str) -> GameState {
    GameState::read(games, &game.parse().unwrap()).unwrap().unwrap()
}

fn stamps(state: &GameState) -> FileStamps {
    FileStamps::read(&state.root, &state.root_files).unwrap()
}

/// A copy of a game that a test may change.
fn copy_of(fixture: &str, game: &str) -> tempfile::TempDir {
    let games = tempfile::tempdir().unwrap();
    std::fs::create_dir(games.path().join(game)).unwrap();
    for file in state(&fixtures(fixture), game).root_files {
        let from = fixtures(fixture).join(game).join(&file.name);
        std::fs::copy(from, games.path().join(game).join(&file.name)).unwrap();
    }
    games
}

#[test]
fn a_packing_list_reads_each_byte_once_and_reads_as_a_manifest() {
    let state = state(&fixtures("fixture-volumes"), "volumes-few");
    let mut read = 0;
    let cancel = CancellationToken::new();
    let (list, packed) = packing_list(&state, &stamps(&state), &mut |bytes| read += bytes, &cancel).unwrap();
    assert_eq!(read, state.root_bytes());
    let mut bytes = Vec::new();
    encode(&list, &packed, &mut bytes).unwrap();
    let opened = ManifestFile::check(&bytes[..], bytes.len() as u64, None).unwrap();
    assert_eq!(opened.manifest(), &list);
    let files: Vec<_> = list.archives.iter().map(|archive| archive.files.clone()).collect();
    assert_eq!(volumes(&list.root_files), Some(files));
    let without_first: Vec<_> =
        list.root_files.iter().filter(|file| !file.name.ends_with(".part1.eti")).cloned().collect();
    assert_eq!(volumes(&without_first), None, "the first volume is missing");
    assert!(!list.has_tree() && list.archives.iter().all(|archive| !archive.headers.is_empty()));
    for (index, file) in list.root_files.iter().enumerate() {
        let content = std::fs::read(state.root.join(&file.name)).unwrap();
        for (number, chunk) in (0..).zip(content.chunks(list.chunk_bytes() as usize)) {
            assert_eq!(opened.chunk(index, number).unwrap(), ContentDigest::of(chunk));
        }
    }
}

/// In the middle of reading, and by a file that has the same size.
#[test]
fn files_that_change_while_they_are_read_make_no_list() {
    let games = copy_of("fixture-volumes", "volumes-few");
    let state = state(games.path(), "volumes-few");
    let last = state.root.join("version.ini");
    let mut changed = false;
    let mut change = |_| {
        if !std::mem::replace(&mut changed, true) {
            let content = std::fs::read(&last).unwrap();
            std::fs::remove_file(&last).unwrap();
            std::fs::write(&last, content).unwrap();
        }
    };
    let cancel = CancellationToken::new();
    let made = packing_list(&state, &stamps(&state), &mut change, &cancel).map(|_| ());
    let error = made.unwrap_err();
    assert!(error.to_string().contains("its files changed"), "{error}");
}

#[test]
fn reading_can_be_cancelled_after_each_chunk() {
    let state = state(&fixtures("fixture-volumes"), "volumes-few");
    let cancel = CancellationToken::new();
    let made = packing_list(&state, &stamps(&state), &mut |_| cancel.cancel(), &cancel).map(|_| ());
    assert!(matches!(made, Err(StoreError::Cancelled)));
}

/// A receiver that was sent such archives would refuse them, so a list of them is of no use.
#[test]
fn archives_that_a_receiver_would_refuse_have_no_list() {
    let cancel = CancellationToken::new();
    for (fixture, game) in [
        ("fixture-hostile", "hostile-parent"),
        ("fixture-hostile", "hostile-case"),
        ("fixture-encrypted", "encrypted-data"),
        ("fixture-encrypted", "encrypted-headers"),
    ] {
        let state = state(&fixtures(fixture), game);
        let mut read = 0;
        let made = packing_list(&state, &stamps(&state), &mut |bytes| read += bytes, &cancel).map(|_| ());
        assert!(matches!(made, Err(StoreError::Archive { .. })), "{game}: {made:?}");
        assert_eq!(read, 0, "{game} is refused before it is read");
    }
}
