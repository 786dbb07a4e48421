//! Walks an installed tree, sorted, one folder open at a time; links are reported and never followed.

use std::path::{Path, PathBuf};

use std::fs::File;
use std::io;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::layout::LOCAL_DIR;
use lanspread_types::limits;
use lanspread_types::text::printable;
use rustix::fs::OFlags;

use crate::error::StoreError;
use crate::state::games_dir::{GamesDir, open_root};
use crate::state::standing::{Standing, standing};

/// What is at a path of a tree, except folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundFile {
    /// A file of this many bytes.
    File(u64),
    /// A link, pipe, socket or device.
    Other,
}

/// Opens `local/` if it is a folder; `None` if it does not exist.
///
/// # Errors
/// [`StoreError::Foreign`] if it is something else; failures of this machine's disk.
pub fn open_local(games: &GamesDir, game: &GameId) -> Result<Option<Dir>, StoreError> {
    let path = games.root_path(game).join(LOCAL_DIR);
    match standing(games, game, LOCAL_DIR)? {
        Standing::Nothing => Ok(None),
        Standing::Other => {
            Err(ForeignState { path, what: "is not a folder made by lanspread".to_owned() }.into())
        }
        Standing::Folder => {
            let local = open_root(games, game)?.open_dir(LOCAL_DIR).map_err(LocalError::io("open", path))?;
            Ok(Some(local))
        }
    }
}

/// Visits everything in a tree except its folders, with its path below `top`, up to the first error.
pub(crate) fn walk(
    top: &Dir,
    shown: &Path,
    visit: &mut dyn FnMut(&Path, FoundFile) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        let entries = top.read_dir(here).map_err(LocalError::io("read", shown.join(&folder)))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(LocalError::io("read", shown.join(&folder)))?;
            let path = folder.join(entry.file_name());
            // The metadata of the entry itself: a link is not followed.
            let metadata = entry.metadata().map_err(LocalError::io("read", shown.join(&path)))?;
            names.push((path, metadata));
        }
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut folders = Vec::new();
        for (path, metadata) in names {
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                visit(&path, FoundFile::File(metadata.len()))?;
            } else {
                visit(&path, FoundFile::Other)?;
            }
        }
        waiting.extend(folders.into_iter().rev());
    }
    Ok(())
}

/// Opens a file below a folder, and says how long it is; `None` if something else is at the path. Opening never waits: a
/// pipe may have taken the place of a file since it was found.
///
/// # Errors
/// If the system refuses, also if there is nothing at the path.
pub(crate) fn open_file(folder: &Dir, path: impl AsRef<Path>) -> io::Result<Option<(File, u64)>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default());
    let file = folder.open_with(path, &options)?.into_std();
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

/// A path, made printable for people.
pub(crate) fn shown_path(path: &Path) -> String {
    printable(&path.to_string_lossy(), limits::PATH_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn everything_is_visited_once_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        for name in ["b/deep/er", "a", "empty"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("b/deep/er/file"), "123").unwrap();
        fs::write(folder.path().join("a/x"), "").unwrap();
        fs::write(folder.path().join("top"), "1").unwrap();
        symlink(outside.path(), folder.path().join("a/door")).unwrap();
        symlink("..", folder.path().join("b/loop")).unwrap();
        let top = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let mut seen = Vec::new();
        walk(&top, folder.path(), &mut |path, found| {
            seen.push((shown_path(path), found));
            Ok(())
        })
        .unwrap();
        let expected = [
            ("top", FoundFile::File(1)),
            ("a/door", FoundFile::Other),
            ("a/x", FoundFile::File(0)),
            ("b/loop", FoundFile::Other),
            ("b/deep/er/file", FoundFile::File(3)),
        ];
        assert_eq!(seen, expected.map(|(path, found)| (path.to_owned(), found)));
    }

    #[test]
    fn a_link_named_local_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        let game: GameId = "g".parse().unwrap();
        assert!(open_local(&games, &game).unwrap().is_none());
        fs::create_dir(folder.path().join("g")).unwrap();
        symlink("..", folder.path().join("g/local")).unwrap();
        assert!(matches!(open_local(&games, &game), Err(StoreError::Foreign(_))));
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::fs::write(folder.path().join("file"), "123").unwrap();
        let folder = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        assert!(open_file(&folder, "pipe").unwrap().is_none());
        assert!(open_file(&folder, ".").unwrap().is_none());
        assert_eq!(open_file(&folder, "file").unwrap().unwrap().1, 3);
        assert_eq!(open_file(&folder, "absent").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
