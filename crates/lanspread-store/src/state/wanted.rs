//! The operations that a daemon was asked for and has not ended: `<number>.json` below `.lanspread/wanted/`, so that they
//! survive it. This module knows names and bytes; what is in them is known above.
//!
//! Invariants: a file appears complete and durable under its name, or not at all. Numbers are in the order of the requests.
//! Only the daemon that owns the games directory reads, writes and removes these files. They may contain the URL of a
//! server with credentials, so that only the user of the daemon can read them.

use std::io::{self, Write};
use std::path::PathBuf;

use cap_std::fs::Dir;
use lanspread_types::fault::LocalError;
use lanspread_types::layout::WANTED_DIR;
use lanspread_types::limits;
use lanspread_types::regular_file::{create_ours, open_ours, read_whole};

use crate::state::disk_calls::sync_file;
use crate::state::games_dir::{GamesDir, sync_folder};

const ENDING: &str = ".json";
/// What a killed daemon did not finish writing.
const BEGUN: &str = ".json.new";
const PERMISSIONS: u32 = 0o600;

/// Where a file is, for messages.
pub fn path(games: &GamesDir, number: u64) -> PathBuf {
    games.state_path(WANTED_DIR, &format!("{number}{ENDING}"))
}

/// Writes a file, durably. It replaces one of the same number.
///
/// # Errors
/// [`LocalError`]; then what was there before is still there.
pub fn write(games: &GamesDir, number: u64, bytes: &[u8]) -> Result<(), LocalError> {
    let (name, begun) = (format!("{number}{ENDING}"), format!("{number}{BEGUN}"));
    let shown = games.state_path(WANTED_DIR, &name);
    let create = |folder: &_, name: &str| create_ours(folder, name, PERMISSIONS);
    let (folder, mut file) = games.state_file(WANTED_DIR, &begun, create)?;
    let written = games
        .refuse_if_full()
        .and_then(|()| file.write_all(bytes))
        .map_err(LocalError::io("write", &shown))
        .and_then(|()| sync_file(&file, &shown).map_err(LocalError::io("sync", &shown)))
        .and_then(|()| folder.rename(&begun, &folder, &name).map_err(LocalError::io("write", &shown)));
    if let Err(error) = written {
        if let Err(error) = absent_is_fine(folder.remove_file(&begun)) {
            tracing::debug!("{begun} is left to the next start: {error}");
        }
        games.remove_empty_state_folders();
        return Err(error);
    }
    sync_folder(&folder, &shown)
}

/// Removes a file, durably, if it is there.
///
/// # Errors
/// [`LocalError`].
pub fn remove(games: &GamesDir, number: u64) -> Result<(), LocalError> {
    let Some(folder) = games.existing_state_folder(WANTED_DIR)? else { return Ok(()) };
    let name = format!("{number}{ENDING}");
    let shown = games.state_path(WANTED_DIR, &name);
    absent_is_fine(folder.remove_file(&name)).map_err(LocalError::io("remove", &shown))?;
    sync_folder(&folder, &shown)?;
    games.remove_empty_state_folders();
    Ok(())
}

/// Reads all files in the order of their numbers, and removes what a killed daemon did not finish. `each` gets the content
/// of a file, or why it cannot be read. More files than can be of a daemon are not read.
///
/// # Errors
/// [`LocalError`] if the folder cannot be read.
pub fn read_all(
    games: &GamesDir,
    mut each: impl FnMut(u64, Result<Vec<u8>, String>),
) -> Result<(), LocalError> {
    let Some(folder) = games.existing_state_folder(WANTED_DIR)? else { return Ok(()) };
    let shown = games.state_path(WANTED_DIR, "");
    let mut numbers = Vec::new();
    for entry in folder.entries().map_err(LocalError::io("read", &shown))? {
        let name = entry.map_err(LocalError::io("read", &shown))?.file_name();
        let Some(name) = name.to_str() else { continue };
        if number_of(name, BEGUN).is_some() {
            // It was never accepted.
            absent_is_fine(folder.remove_file(name)).map_err(LocalError::io("remove", shown.join(name)))?;
        }
        numbers.extend(number_of(name, ENDING));
    }
    numbers.sort_unstable();
    let too_many = numbers.len().saturating_sub(limits::WANTED_OPERATIONS_MAX);
    if too_many > 0 {
        tracing::warn!("{}: {too_many} more files than a daemon writes are not read", shown.display());
        numbers.truncate(limits::WANTED_OPERATIONS_MAX);
    }
    for number in numbers {
        each(number, read(&folder, number));
    }
    Ok(())
}

fn read(folder: &Dir, number: u64) -> Result<Vec<u8>, String> {
    let opened = open_ours(folder, format!("{number}{ENDING}"));
    let read = opened.and_then(|file| read_whole(&file, limits::WANTED_BYTES_MAX));
    read.map_err(|error| error.to_string())
}

/// The number in the name of a file, written as this module writes it.
fn number_of(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rustix::io::Errno;

    use super::*;
    use crate::state::disk_calls::script;

    fn games() -> (tempfile::TempDir, GamesDir) {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        (folder, games)
    }

    fn found(games: &GamesDir) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        read_all(games, |number, bytes| {
            let text = bytes.map(|bytes| String::from_utf8(bytes).unwrap());
            all.push((number, text.unwrap_or_else(|error| format!("! {error}"))));
        })
        .unwrap();
        all
    }

    #[test]
    fn files_come_back_in_the_order_of_their_numbers_until_they_are_removed() {
        let (folder, games) = games();
        for (number, bytes) in [(10, "b"), (9, "a"), (100, "c"), (9, "A")] {
            write(&games, number, bytes.as_bytes()).unwrap();
        }
        assert_eq!(found(&games), [(9, "A".into()), (10, "b".into()), (100, "c".into())]);
        let file = folder.path().join(".lanspread/wanted/9.json");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        for number in [9, 10, 100, 100] {
            remove(&games, number).unwrap();
        }
        assert_eq!(found(&games), []);
        assert!(!folder.path().join(".lanspread").exists(), "nothing is left");
    }

    #[test]
    fn a_file_is_durable_before_it_has_its_name_and_a_failed_one_leaves_nothing() {
        let (folder, games) = games();
        let (written, calls) = script::watched(|| write(&games, 1, b"a"));
        written.unwrap();
        assert_eq!(calls, ["sync-file 1.json", "sync-folder 1.json"]);
        let (failed, _) = script::failing("sync-file", 1, Errno::IO, || write(&games, 1, b"b"));
        assert!(failed.is_err());
        assert_eq!(found(&games), [(1, "a".into())], "what was there stays");
        remove(&games, 1).unwrap();
        games.pretend_full();
        assert!(write(&games, 2, b"b").unwrap_err().is_disk_full());
        assert!(!folder.path().join(".lanspread").exists());
    }

    #[test]
    fn what_is_not_a_file_of_ours_is_reported_and_left_alone() {
        let (folder, games) = games();
        write(&games, 3, b"ok").unwrap();
        let wanted = folder.path().join(".lanspread/wanted");
        fs::write(wanted.join("2.json.new"), "half").unwrap();
        fs::create_dir(wanted.join("4.json")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", wanted.join("5.json")).unwrap();
        let huge = fs::File::create(wanted.join("6.json")).unwrap();
        huge.set_len(limits::WANTED_BYTES_MAX + 1).unwrap();
        for other in ["07.json", "+8.json", "x.json", "9", "18446744073709551616.json"] {
            fs::write(wanted.join(other), "other").unwrap();
        }
        let all = found(&games);
        let refused: Vec<u64> =
            all.iter().filter(|(_, text)| text.starts_with("! ")).map(|file| file.0).collect();
        assert_eq!((all.len(), refused), (4, vec![4, 5, 6]), "{all:?}");
        assert!(!wanted.join("2.json.new").exists(), "what was not finished is gone");
        assert!(wanted.join("07.json").exists());
    }
}
