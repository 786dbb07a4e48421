//! Opens files below a folder, never through a link.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cap_std::fs::Dir;
use lanspread_types::regular_file::{FileError, open_folder_of_ours, open_ours};

/// A folder, and those on the way to the file that was opened last: files of one folder follow each other.
pub(super) struct Folders<'t> {
    top: &'t Dir,
    open: Vec<(String, OwnedFd)>,
}

impl<'t> Folders<'t> {
    pub(super) fn new(top: &'t Dir) -> Self {
        Self { top, open: Vec::new() }
    }

    /// Opens a file by its path below the folder; `None` if there is none, or something else than a file, or a link on
    /// the way.
    pub(super) fn open(&mut self, path: &str) -> io::Result<Option<File>> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let wanted: Vec<&str> = folders.split('/').filter(|name| !name.is_empty()).collect();
        let shared = self.open.iter().zip(&wanted).take_while(|((open, _), wanted)| open == *wanted).count();
        self.open.truncate(shared);
        for name in &wanted[shared..] {
            match open_folder_of_ours(self.deepest(), name) {
                Ok(folder) => self.open.push(((*name).to_owned(), folder)),
                Err(error) => return absent(error),
            }
        }
        open_ours(self.deepest(), name).map_or_else(absent, |file| Ok(Some(file)))
    }

    fn deepest(&self) -> BorrowedFd<'_> {
        self.open.last().map_or_else(|| self.top.as_fd(), |(_, folder)| folder.as_fd())
    }
}

/// Nothing, or not what was expected, is no fault of the disk.
fn absent(error: FileError) -> io::Result<Option<File>> {
    match error {
        FileError::Io(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}
