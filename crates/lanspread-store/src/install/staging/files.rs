//! Creates files and folders below the handle of the staging folder, from any thread.

use std::fs::{File, FileTimes};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use lanspread_types::content::UnixSeconds;
use lanspread_types::entry_path::EntryPath;
use lanspread_types::fault::LocalError;

use crate::state::disk_calls::set_times;
use crate::state::games_dir::create_folder;

const MODE_FILE: u32 = 0o644;
const MODE_EXECUTABLE: u32 = 0o755;

/// The staging folder.
#[derive(Debug)]
pub(super) struct StagingFiles {
    staging: Dir,
    /// Path of the staging folder, for messages.
    shown: PathBuf,
}

/// The files whose times the file system refused.
#[derive(Debug, Default)]
pub(super) struct TimesRefused {
    pub(super) count: u64,
    /// The first refusal.
    pub(super) first: Option<LocalError>,
}

impl TimesRefused {
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}

impl StagingFiles {
    pub(super) fn new(staging: Dir, shown: PathBuf) -> Self {
        Self { staging, shown }
    }

    pub(super) fn create_folder(&self, path: &str) -> Result<(), LocalError> {
        create_folder(&self.staging, path).map_err(LocalError::io("create", self.shown.join(path)))
    }

    /// Creates a file with its final mode, in one call that follows no link out of the folder.
    pub(super) fn create(&self, path: &EntryPath, executable: bool) -> Result<File, LocalError> {
        let mode = if executable { MODE_EXECUTABLE } else { MODE_FILE };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let created = self.staging.open_with(path.as_str(), &options);
        Ok(created.map_err(self.io("create", path))?.into_std())
    }

    /// Opens an earlier file for reading.
    pub(super) fn open(&self, path: &EntryPath) -> io::Result<File> {
        Ok(self.staging.open(path.as_str())?.into_std())
    }

    /// Sets the time of a file. Its content is whole without it, so a refusal does not end the install.
    pub(super) fn set_modified(
        &self,
        file: &File,
        path: &EntryPath,
        modified: Option<UnixSeconds>,
        refused: &mut TimesRefused,
    ) {
        let Some(modified) = modified else { return };
        let seconds = u64::try_from(modified).unwrap_or(0).min(u64::from(u32::MAX));
        let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
        if let Err(error) = set_times(file, times, path.as_str().as_ref()) {
            let first = LocalError::io("set the time of", self.shown.join(path.as_str()))(error);
            refused.add(TimesRefused { count: 1, first: Some(first) });
        }
    }

    pub(super) fn io(
        &self,
        action: &'static str,
        path: &EntryPath,
    ) -> impl FnOnce(io::Error) -> LocalError + use<> {
        LocalError::io(action, self.shown.join(path.as_str()))
    }
}
