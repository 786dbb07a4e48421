//! A handle to the games directory, below which all changes are made.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use lanspread_types::fault::LocalError;
use lanspread_types::ids::GameId;
use lanspread_types::layout;
use lanspread_types::regular_file::{
    FileError, if_present, open_folder_of_ours, open_or_create_folder_of_ours,
};
use rustix::fs::{Mode, OFlags};

use crate::state::disk_calls;
use crate::state::disk_calls::is_unknown_call;

/// Mode of the folders that we create, within the user's umask: no other user may write, whatever the umask.
const FOLDER_PERMISSIONS: u32 = 0o755;
/// The same for files.
pub(crate) const FILE_PERMISSIONS: u32 = 0o644;

/// Tries before giving up on a folder that ending operations keep removing.
const TRIES: usize = 64;

/// The games directory, opened once; links that lead out of it are not followed.
#[derive(Debug)]
pub struct GamesDir {
    path: PathBuf,
    dir: Dir,
    #[cfg(test)]
    is_full: std::sync::atomic::AtomicBool,
}

impl GamesDir {
    /// Opens an existing folder.
    pub fn open(path: &Path) -> Result<Self, LocalError> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(LocalError::io("open the games folder", path))?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            #[cfg(test)]
            is_full: std::sync::atomic::AtomicBool::default(),
        })
    }

    /// From now on nothing that takes space can be created in the games directory.
    #[cfg(test)]
    pub(crate) fn pretend_full(&self) {
        self.is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Where something is created that takes space. Only a test of a full disk refuses it.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "only a test refuses")
    )]
    pub(crate) fn refuse_if_full(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.is_full.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
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
        let shown = self.state_path(folder, "");
        Self::again(|| self.try_state_folder(folder)).map_err(|error| error.of_ours("create", &shown))
    }

    /// Opens a file below `.lanspread/`, and its folder, which is created if it is missing.
    pub(crate) fn state_file(
        &self,
        folder: &str,
        name: &str,
        open: impl Fn(&Dir, &str) -> Result<File, FileError>,
    ) -> Result<(Dir, File), LocalError> {
        let opened = Self::again(|| {
            let dir = self.try_state_folder(folder)?;
            let file = open(&dir, name)?;
            Ok((dir, file))
        });
        opened.map_err(|error| error.of_ours("create", self.state_path(folder, name)))
    }

    fn try_state_folder(&self, folder: &str) -> Result<Dir, FileError> {
        if let Some(existing) = self.try_existing_state_folder(folder)? {
            return Ok(existing);
        }
        self.refuse_if_full()?;
        let state = open_or_create_folder_of_ours(&self.dir, layout::STATE_DIR)?;
        Ok(open_or_create_folder_of_ours(state, folder)?.into())
    }

    /// Repeats an attempt that failed because another operation just ended and removed an empty folder of
    /// `.lanspread/`.
    fn again<T>(attempt: impl Fn() -> Result<T, FileError>) -> Result<T, FileError> {
        for _ in 0..TRIES {
            match attempt() {
                Err(error) if error.is_absent() => {}
                other => return other,
            }
        }
        attempt()
    }

    /// Opens a folder below `.lanspread/` if it exists.
    pub(crate) fn existing_state_folder(&self, folder: &str) -> Result<Option<Dir>, LocalError> {
        let opened = self.try_existing_state_folder(folder);
        opened.map_err(|error| error.of_ours("open", self.state_path(folder, "")))
    }

    fn try_existing_state_folder(&self, folder: &str) -> Result<Option<Dir>, FileError> {
        let Some(state) = if_present(open_folder_of_ours(&self.dir, layout::STATE_DIR))? else {
            return Ok(None);
        };
        Ok(if_present(open_folder_of_ours(state, folder))?.map(Dir::from))
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
            layout::PACKING_DIR,
            layout::WANTED_DIR,
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
    builder.mode(FOLDER_PERMISSIONS);
    parent.create_dir_with(path, &builder)
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
    let begun = Instant::now();
    let synced = readable(dir).and_then(|folder| disk_calls::sync_file_system(&folder, shown));
    tracing::info!("syncing the file system of {} took {} ms", shown.display(), begun.elapsed().as_millis());
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
