//! A file that appears under its name complete and durable, or not at all.
//!
//! It is written under a name of its own beside its place, synced, renamed, and the folder is synced. If the process is
//! killed, a draft can be left: `.NAME.PID.draft`, which no program reads and the next draft of that process number replaces.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lanspread_types::fault::LocalError;
use lanspread_types::regular_file::{create_ours, open_folder_of_user};
use rustix::fs::AtFlags;

/// A file that is being written. Dropping it removes the draft.
#[derive(Debug)]
pub struct DraftFile {
    file: File,
    folder: File,
    draft: OsString,
    /// Where it will be.
    path: PathBuf,
    name: OsString,
    is_done: bool,
}

impl DraftFile {
    /// Begins a file in a folder that exists.
    ///
    /// # Errors
    /// [`LocalError`].
    pub fn create(path: &Path, permissions: u32) -> Result<Self, LocalError> {
        let failed = LocalError::io("write", path);
        let Some(name) = path.file_name().map(OsString::from) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = match open_folder_of_user(parent) {
            Ok(folder) => folder,
            Err(error) => return Err(failed(error)),
        };
        let mut draft = OsString::from(".");
        draft.push(&name);
        draft.push(format!(".{}.draft", std::process::id()));
        match create_ours(&folder, &draft, permissions) {
            Ok(file) => Ok(Self { file, folder, draft, path: path.to_owned(), name, is_done: false }),
            Err(error) => Err(error.of_ours("write", path)),
        }
    }

    /// The file, to write and to read what was written.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file in its place, where it replaces another one.
    ///
    /// # Errors
    /// [`LocalError`]; the place is then as it was, unless only the last sync failed.
    pub fn finish(mut self) -> Result<(), LocalError> {
        let moved = self.file.sync_all().and_then(|()| {
            rustix::fs::renameat(&self.folder, &self.draft, &self.folder, &self.name).map_err(io::Error::from)
        });
        moved.map_err(LocalError::io("write", &self.path))?;
        self.is_done = true;
        self.folder.sync_all().map_err(LocalError::io("sync", &self.path))
    }
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        if !self.is_done {
            // It was made by us and no program reads it: if it cannot be removed, nothing is lost.
            let _ = rustix::fs::unlinkat(&self.folder, &self.draft, AtFlags::empty());
        }
    }
}

/// Writes a whole file.
///
/// # Errors
/// [`LocalError`]; the place is then as it was.
pub fn replace(path: &Path, bytes: &[u8], permissions: u32) -> Result<(), LocalError> {
    let mut draft = DraftFile::create(path, permissions)?;
    draft.file().write_all(bytes).map_err(LocalError::io("write", path))?;
    draft.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|name| name.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_complete_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one", 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut draft = DraftFile::create(&path, 0o644).unwrap();
        draft.file().write_all(b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        drop(draft);
        assert_eq!(names(folder.path()), ["a"]);
        let mut draft = DraftFile::create(&path, 0o644).unwrap();
        draft.file().write_all(b"two").unwrap();
        draft.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::create_dir(&path).unwrap();
        let refused = replace(&path, b"one", 0o644).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("cannot write {}", path.display())), "{refused}");
        assert!(replace(&folder.path().join("no/a"), b"one", 0o644).is_err());
        assert_eq!(names(folder.path()), ["a"]);
    }
}
