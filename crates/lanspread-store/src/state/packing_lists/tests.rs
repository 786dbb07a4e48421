use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lanspread_trust::manifest::encode;
use lanspread_types::layout::STATE_DIR;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::packing::packing_list;
use crate::state::game_state::GameState;

/// A game of a fixture, its list, and what the list was made of.
struct Listed {
    folder: tempfile::TempDir,
    games: GamesDir,
    game: GameId,
    content: Vec<u8>,
    made_of: MadeOf,
}

impl Listed {
    fn new() -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fixture-alpha");
        let game: GameId = "alpha-racer".parse().unwrap();
        let state = GameState::read(&fixture, &game).unwrap().unwrap();
        let files = FileStamps::read(&state.root, &state.root_files).unwrap();
        let (list, packed) = packing_list(&state, &files, &mut |_| (), &CancellationToken::new()).unwrap();
        let mut content = Vec::new();
        encode(&list, &packed, &mut content).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        Self { folder, games, game, content, made_of: MadeOf { files, manifest: None } }
    }

    fn keep(&self) -> Result<File, LocalError> {
        let digest = ContentDigest::of(&self.content);
        keep(&self.games, &self.game, &self.made_of, digest, &self.content)
    }

    fn found(&self) -> Option<ContentDigest> {
        find(&self.games, &self.game, &self.made_of).unwrap().map(|list| list.digest())
    }

    fn path(&self, ending: &str) -> PathBuf {
        let folder = self.folder.path().join(STATE_DIR).join(PACKING_DIR);
        folder.join(format!("{}{ending}", self.game))
    }

    fn is_untouched(&self) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().next().is_none()
    }
}

#[test]
fn a_list_is_found_by_what_it_was_made_of_and_leaves_nothing_when_it_is_forgotten() {
    let listed = Listed::new();
    assert_eq!(listed.found(), None);
    listed.keep().unwrap();
    assert_eq!(listed.found(), Some(ContentDigest::of(&listed.content)));
    let of_a_manifest = MadeOf { manifest: Some(ContentDigest([1; 32])), ..listed.made_of.clone() };
    assert!(find(&listed.games, &listed.game, &of_a_manifest).unwrap().is_none());
    let other = Listed::new();
    let of_other_files = GameState::read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fixture-alpha"),
        &"alpha-arena".parse().unwrap(),
    );
    let state = of_other_files.unwrap().unwrap();
    let files = FileStamps::read(&state.root, &state.root_files).unwrap();
    assert!(find(&listed.games, &listed.game, &MadeOf { files, manifest: None }).unwrap().is_none());
    assert_eq!(kept(&listed.games).unwrap(), vec![listed.game.clone()]);
    forget(&listed.games, &listed.game);
    assert!(kept(&listed.games).unwrap().is_empty() && listed.is_untouched());
    forget(&other.games, &other.game);
}

/// Every state in which a process that is killed may leave the four names.
#[test]
fn what_a_killed_process_leaves_is_never_taken_for_a_list() {
    let listed = Listed::new();
    listed.keep().unwrap();
    let record = std::fs::read(listed.path(RECORD)).unwrap();
    let half = &listed.content[..listed.content.len() / 2];
    let states: [&[(&str, &[u8])]; 6] = [
        &[(LIST_BEGUN, half)],
        &[(LIST_BEGUN, &listed.content)],
        &[(LIST, &listed.content)],
        &[(LIST, &listed.content), (RECORD_BEGUN, &record[..record.len() / 2])],
        // A new list beside the record of the one before it, and a list that never reached the disk.
        &[(LIST, half), (RECORD, &record)],
        &[(LIST, b""), (RECORD, &record)],
    ];
    for state in states {
        for ending in [LIST, LIST_BEGUN, RECORD, RECORD_BEGUN] {
            let _ = std::fs::remove_file(listed.path(ending));
        }
        for (ending, content) in state {
            std::fs::write(listed.path(ending), content).unwrap();
        }
        let endings: Vec<&str> = state.iter().map(|(ending, _)| *ending).collect();
        assert_eq!(listed.found(), None, "{endings:?}");
        assert_eq!(kept(&listed.games).unwrap(), vec![listed.game.clone()], "{endings:?}");
    }
    listed.keep().unwrap();
    assert!(listed.found().is_some());
    forget(&listed.games, &listed.game);
    assert!(listed.is_untouched());
}

#[test]
fn a_link_in_the_place_of_a_list_is_reported_and_not_followed() {
    let listed = Listed::new();
    listed.keep().unwrap();
    let elsewhere = listed.folder.path().join("elsewhere");
    std::fs::rename(listed.path(LIST), &elsewhere).unwrap();
    symlink(&elsewhere, listed.path(LIST)).unwrap();
    let error = find(&listed.games, &listed.game, &listed.made_of).unwrap_err();
    assert!(matches!(error, LocalError::Foreign(_)), "{error}");
    // The next list replaces the link, and not what it points to.
    listed.keep().unwrap();
    assert!(listed.found().is_some());
    assert_eq!(std::fs::read(elsewhere).unwrap(), listed.content);
}

#[test]
fn a_full_disk_keeps_no_list_and_nothing_half_written() {
    let listed = Listed::new();
    listed.games.pretend_full();
    assert!(listed.keep().unwrap_err().is_disk_full());
    assert!(listed.is_untouched());
}
