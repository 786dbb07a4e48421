//! A small file of a state directory that is made once and never replaced.
//!
//! It is written complete under a name of its own, then linked: if two programs start at once, the first link wins, and
//! both read the same file. It is not opened through a link, and only its owner can read it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use lanspread_types::fault::LocalError;
use lanspread_types::regular_file::{FileError, create_ours, if_present, open_folder_of_user, open_ours};

/// What `read` makes of the file; `None` if there is none.
///
/// # Errors
/// [`LocalError`] if something else is in its place, or if it cannot be read.
pub fn read<T>(
    state_dir: &Path,
    name: &str,
    read: impl FnOnce(&File) -> Result<T, FileError>,
) -> Result<Option<T>, LocalError> {
    let path = state_dir.join(name);
    let folder = match open_folder_of_user(state_dir) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LocalError::io("read", &path)(error)),
    };
    let opened = if_present(open_ours(&folder, name));
    let content = opened.and_then(|file| file.map(|file| read(&file)).transpose());
    content.map_err(|error| error.of_ours("read", &path))
}

/// Makes the file, and the state directory if it is missing. Says whether it is the one that is there now: another
/// program may have been faster. `unique` tells the drafts of two threads apart.
///
/// # Errors
/// [`LocalError`]; no draft is left.
pub fn make(state_dir: &Path, name: &str, unique: &str, content: &[u8]) -> Result<bool, LocalError> {
    let path = state_dir.join(name);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
    made.map_err(LocalError::io("create the state folder", state_dir))?;
    let folder = open_folder_of_user(state_dir).map_err(LocalError::io("open", state_dir))?;
    let draft = format!("{name}.{}.{unique}", std::process::id());
    let mut file = create_ours(&folder, &draft, 0o600)
        .map_err(|error| error.of_ours("write", state_dir.join(&draft)))?;
    let written = (|| {
        file.write_all(content)?;
        file.sync_all()?;
        match fs::hard_link(state_dir.join(&draft), &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    })();
    let removed = fs::remove_file(state_dir.join(&draft));
    let is_ours = written.and_then(|is_ours| removed.map(|()| is_ours)).and_then(|is_ours| {
        folder.sync_all()?;
        Ok(is_ours)
    });
    is_ours.map_err(LocalError::io("write", &path))
}
