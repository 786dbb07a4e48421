//! A handle to the games directory, below which all changes are made.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Once;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout;
use rustix::fs::{Mode, OFlags};

use crate::state::disk_calls;
use crate::state::disk_calls::is_unknown_call;

/// Mode of the folders that we create, within the user's umask: no other user may write, whatever the umask.
const MODE_FOLDER: u32 = 0o755;
/// The same for files.
const MODE_FILE: u32 = 0o644;

/// Tries before giving up on a folder that ending operations keep removing.
const TRIES: usize = 64;

/// The games directory, opened once; links that lead out of it are not followed.
#[derive(Debug)]
pub struct GamesDir {
    path: PathBuf,
    dir: Dir,
}

impl GamesDir {
    /// Opens an existing folder.
    pub fn open(path: &Path) -> Result<Self, LocalError> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(LocalError::io("open the games folder", path))?;
        Ok(Self { path: path.to_owned(), dir })
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its handle.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Path of a game root, for messages.
    pub fn root_path(&self, game: &GameId) -> PathBuf {
        self.path.join(game.as_str())
    }

    /// Opens a folder below `.lanspread/` and creates what is missing.
    pub(crate) fn state_folder(&self, folder: &str) -> Result<Dir, LocalError> {
        let relative = Path::new(layout::STATE_DIR).join(folder);
        let shown = self.path.join(&relative);
        Self::again(|| {
            self.create_state_folders(&relative)?;
            self.dir.open_dir(&relative)
        })
        .map_err(LocalError::io("create", &shown))
    }

    /// Opens a file below `.lanspread/` for reading and writing, and its folder, and creates what is missing.
    pub(crate) fn state_file(&self, folder: &str, name: &str) -> Result<(Dir, File), LocalError> {
        let relative = Path::new(layout::STATE_DIR).join(folder);
        let mut options = new_file();
        options.read(true).create(true);
        Self::again(|| {
            self.create_state_folders(&relative)?;
            let dir = self.dir.open_dir(&relative)?;
            let file = dir.open_with(name, &options)?.into_std();
            Ok((dir, file))
        })
        .map_err(LocalError::io("create", self.state_path(folder, name)))
    }

    /// Creates a folder below `.lanspread/`, and that one, as far as they are missing.
    fn create_state_folders(&self, relative: &Path) -> io::Result<()> {
        for folder in [Path::new(layout::STATE_DIR), relative] {
            match create_folder(&self.dir, folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => created?,
            }
        }
        Ok(())
    }

    /// Repeats an attempt that failed because another operation just ended and removed an empty folder of
    /// `.lanspread/`.
    fn again<T>(attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
        // If the folder vanishes during an attempt, one call still finds it and the next one does not.
        let vanished = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            match attempt() {
                Err(error) if vanished(error.kind()) => {}
                other => return other,
            }
        }
        attempt()
    }

    /// Opens a folder below `.lanspread/` if it exists.
    pub(crate) fn existing_state_folder(&self, folder: &str) -> Result<Option<Dir>, LocalError> {
        let relative = Path::new(layout::STATE_DIR).join(folder);
        match self.dir.open_dir(&relative) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LocalError::io("open", self.path.join(&relative))(error)),
        }
    }

    /// The games that have a file with this ending in this folder below `.lanspread/`.
    pub(crate) fn games_with_state(&self, folder: &str, ending: &str) -> Result<Vec<GameId>, LocalError> {
        let Some(dir) = self.existing_state_folder(folder)? else { return Ok(Vec::new()) };
        let shown = self.state_path(folder, "");
        let mut games = Vec::new();
        for entry in dir.entries().map_err(LocalError::io("read", &shown))? {
            let name = entry.map_err(LocalError::io("read", &shown))?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(ending));
            games.extend(stem.and_then(|stem| stem.parse::<GameId>().ok()));
        }
        Ok(games)
    }

    /// Path of a file below `.lanspread/`, for messages.
    pub(crate) fn state_path(&self, folder: &str, file: &str) -> PathBuf {
        self.path.join(layout::STATE_DIR).join(folder).join(file)
    }

    /// Removes the empty folders of `.lanspread/`, so that a refused install leaves the machine as it was.
    pub(crate) fn remove_empty_state_folders(&self) {
        for folder in [
            layout::LOCKS_DIR,
            layout::INTENTS_DIR,
            layout::RECEIPTS_DIR,
            layout::DOWNLOADS_DIR,
            layout::BOOKINGS_DIR,
        ] {
            // It fails if the folder is not empty or does not exist; both are fine.
            let _ = self.dir.remove_dir(Path::new(layout::STATE_DIR).join(folder));
        }
        let _ = self.dir.remove_dir(layout::STATE_DIR);
    }
}

/// Creates one folder.
pub(crate) fn create_folder(parent: &Dir, path: impl AsRef<Path>) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(MODE_FOLDER);
    parent.create_dir_with(path, &builder)
}

/// How a file is opened for writing that may be created with it.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(MODE_FILE);
    options
}

/// Creates a file of ours for reading and writing in place of whatever is under its name: a link, another name of a
/// file or a pipe is removed, and never written to.
pub(crate) fn create_afresh(folder: &Dir, name: &str) -> io::Result<cap_std::fs::File> {
    match folder.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    folder.open_with(name, new_file().read(true).create_new(true))
}

/// Makes the entries of a folder durable. A file system that cannot sync folders does so by itself, or never: that is
/// no reason to refuse, and one warning for the whole process says so.
pub(crate) fn sync_folder(dir: &Dir, shown: &Path) -> Result<(), LocalError> {
    static WARNED: Once = Once::new();
    let synced = readable(dir).and_then(|folder| disk_calls::sync_folder(&folder, shown));
    match synced {
        Err(error) if is_unknown_call(error) => {
            WARNED.call_once(|| {
                let shown = shown.display();
                tracing::warn!("{shown} is on a file system that cannot sync folders: what is done there may be undone by a power failure");
            });
            Ok(())
        }
        synced => synced.map_err(|error| LocalError::io("sync", shown)(error.into())),
    }
}

/// Makes everything on the file system of a folder durable.
pub(crate) fn sync_file_system(dir: &Dir, shown: &Path) -> Result<(), LocalError> {
    let synced = readable(dir).and_then(|folder| disk_calls::sync_file_system(&folder, shown));
    synced.map_err(|error| LocalError::io("sync", shown)(error.into()))
}

/// Opens a folder for syncing: the handle that we hold (`O_PATH`) cannot be synced.
pub(crate) fn readable(dir: &Dir) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a game root.
pub(crate) fn open_root(games: &GamesDir, game: &GameId) -> Result<Dir, LocalError> {
    games.dir().open_dir(game.as_str()).map_err(LocalError::io("open", games.root_path(game)))
}
