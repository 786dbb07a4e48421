//! All games of a games directory, and the folders in it that are not served.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout::STATE_DIR;
use lanspread_types::limits;

use crate::state::game_state::GameState;
use crate::state::passed_over::{PassedOver, PassedOverReason, misnamed};

/// What is in a games directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The games, sorted by id.
    pub games: Vec<GameState>,
    /// The folders that look like games and are not served, sorted by name. If there are more than
    /// [`limits::PASSED_OVER_MAX`], the last one says how many.
    pub passed_over: Vec<PassedOver>,
}

/// What a folder of the games directory is.
#[derive(Debug)]
pub enum ScannedFolder {
    /// A game, and why it is not served although it looks like one, if that is so.
    Game(Box<GameState>, Option<PassedOver>),
    /// It looks like a game and is passed over.
    PassedOver(PassedOver),
    /// Neither.
    Nothing,
}

/// Reads the state of every game, sorted by id. A folder that cannot be read is passed over, so that one bad folder does
/// not hide the others.
///
/// # Errors
/// If the games directory itself cannot be read.
pub fn scan(games_dir: &Path) -> Result<Scan, LocalError> {
    let mut found = Scan::default();
    for entry in fs::read_dir(games_dir).map_err(LocalError::io("read", games_dir))? {
        let entry = entry.map_err(LocalError::io("read", games_dir))?;
        match scan_folder(games_dir, &entry.file_name()) {
            ScannedFolder::Game(state, passed_over) => {
                found.games.push(*state);
                found.passed_over.extend(passed_over);
            }
            ScannedFolder::PassedOver(passed_over) => found.passed_over.push(passed_over),
            ScannedFolder::Nothing => {}
        }
        if found.games.len() >= limits::GAMES_MAX {
            tracing::warn!("only {} games of {} are read", limits::GAMES_MAX, games_dir.display());
            break;
        }
    }
    found.games.sort_by(|one, other| one.game.cmp(&other.game));
    found.passed_over.sort_by(|one, other| one.folder.cmp(&other.folder));
    if let Some(more) = found.passed_over.len().checked_sub(limits::PASSED_OVER_MAX).filter(|more| *more > 0)
    {
        found.passed_over.truncate(limits::PASSED_OVER_MAX);
        let folder = games_dir.display().to_string();
        found.passed_over.push(PassedOver { folder, reason: PassedOverReason::More(more) });
    }
    Ok(found)
}

/// Reads one folder of the games directory.
pub fn scan_folder(games_dir: &Path, name: &OsStr) -> ScannedFolder {
    if name == STATE_DIR {
        return ScannedFolder::Nothing;
    }
    let game = match name.to_string_lossy().parse::<GameId>() {
        Ok(game) => game,
        Err(error) => {
            return misnamed(games_dir, name, &error)
                .map_or(ScannedFolder::Nothing, ScannedFolder::PassedOver);
        }
    };
    let passed_over = |reason| PassedOver { folder: game.to_string(), reason };
    match GameState::read(games_dir, &game) {
        Ok(Some(state)) => {
            let problem = state.problem.clone().map(passed_over);
            ScannedFolder::Game(Box::new(state), problem)
        }
        Ok(None) => ScannedFolder::Nothing,
        Err(error) => ScannedFolder::PassedOver(passed_over(PassedOverReason::Unreadable(error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn game(games: &Path, name: &str, sentinel: Option<(&str, &[u8])>) {
        let root = games.join(name);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a.eti"), "1").unwrap();
        if let Some((name, content)) = sentinel {
            fs::write(root.join(name), content).unwrap();
        }
    }

    fn codes(found: &Scan) -> Vec<(&str, &str)> {
        found.passed_over.iter().map(|passed| (passed.folder.as_str(), passed.reason.code())).collect()
    }

    #[test]
    fn each_folder_that_looks_like_a_game_is_a_game_or_passed_over_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let games = folder.path();
        game(games, "good", Some(("version.ini", b"1")));
        game(games, "wide", Some(("version.ini", b"\xff\xfe1\0\r\0\n\0")));
        game(games, "Age of Empires II", Some(("version.ini", b"1")));
        game(games, &"x".repeat(65), Some(("version.ini", b"1")));
        game(games, "a\u{202e}b", None);
        game(games, "case", Some(("Version.INI", b"1")));
        game(games, "no-sentinel", None);
        game(games, "empty-sentinel", Some(("version.ini", b"")));
        game(games, "pipe", None);
        mknodat(CWD, games.join("pipe/version.ini"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        // These do not look like games.
        fs::create_dir_all(games.join("my notes")).unwrap();
        fs::create_dir_all(games.join("streamed/local")).unwrap();
        fs::create_dir_all(games.join(".lanspread/locks")).unwrap();
        fs::write(games.join("a file.eti"), "1").unwrap();
        let found = scan(games).unwrap();
        let served: Vec<_> =
            found.games.iter().filter(|game| game.downloaded()).map(|game| game.game.as_str()).collect();
        assert_eq!(served, ["good", "wide"]);
        let long = "x".repeat(65);
        assert_eq!(
            codes(&found),
            [
                ("Age of Empires II", "folder-name"),
                ("a\\u{202e}b", "folder-name"),
                ("case", "sentinel-name"),
                ("empty-sentinel", "sentinel-unusable"),
                ("no-sentinel", "no-sentinel"),
                ("pipe", "sentinel-unusable"),
                (long.as_str(), "folder-name"),
            ]
        );
        let title = &found.passed_over[0].reason;
        assert_eq!(title.suggestion().unwrap().as_str(), "Age-of-Empires-II");
        let pipe = found.passed_over[5].reason.to_string();
        assert!(pipe.contains("a pipe"), "{pipe}");
    }

    /// While an operation puts the files of a game in their places, the game has archives and no sentinel.
    #[test]
    fn a_game_that_an_operation_changes_is_not_passed_over() {
        for state in ["intents/g.json", "downloads/g.draft"] {
            let folder = tempfile::tempdir().unwrap();
            game(folder.path(), "g", None);
            assert_eq!(codes(&scan(folder.path()).unwrap()), [("g", "no-sentinel")]);
            let file = folder.path().join(".lanspread").join(state);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            assert_eq!(codes(&scan(folder.path()).unwrap()), [], "{state}");
        }
    }

    #[test]
    fn a_wrong_games_directory_is_reported_in_a_bounded_list() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..limits::PASSED_OVER_MAX + 3 {
            game(folder.path(), &format!("no game {number:03}"), None);
        }
        let found = scan(folder.path()).unwrap();
        assert_eq!(found.passed_over.len(), limits::PASSED_OVER_MAX + 1);
        assert_eq!(found.passed_over.last().unwrap().reason, PassedOverReason::More(3));
    }

    #[test]
    fn a_folder_that_cannot_be_read_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        game(folder.path(), "good", Some(("version.ini", b"1")));
        game(folder.path(), "bad", Some(("version.ini", b"1")));
        std::os::unix::fs::symlink("gone", folder.path().join("bad/b.eti")).unwrap();
        let found = scan(folder.path()).unwrap();
        assert_eq!(codes(&found), [("bad", "folder-unreadable")]);
        assert_eq!(found.games.len(), 1);
    }
}
