//! The one way to open a file by a name that lanspread knows: a sentinel, a catalog, a record, a lock.
//!
//! Anyone who may write to a folder can put a pipe, a device, a link or a huge file under such a name. Invariants:
//!
//! - Opening never waits: a pipe without a writer does not stop the thread.
//! - What is opened is a regular file. Anything else is an error that says what is there.
//! - A file of ours is never opened through a link, and never written if it has a second name (a hard link).
//! - A file is read completely only if it is no larger than its bound.
//!
//! A file of the user (a sentinel, a catalog, a config file, an archive) may be a link: the user may keep it elsewhere.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::fault::{ForeignState, LocalError};

/// Permissions of a folder of ours, less the umask: no other user may write to it, whatever the umask.
const FOLDER_PERMISSIONS: u32 = 0o755;

/// What is under a name where a file is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAFile {
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

impl NotAFile {
    /// `None` for a regular file.
    fn of(kind: FileType) -> Option<Self> {
        match kind {
            FileType::RegularFile => None,
            FileType::Directory => Some(Self::Folder),
            FileType::Symlink => Some(Self::Link),
            FileType::Fifo => Some(Self::Pipe),
            FileType::Socket => Some(Self::Socket),
            _ => Some(Self::Device),
        }
    }
}

impl fmt::Display for NotAFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Folder => "a folder",
            Self::Link => "a link",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// Why a file was not opened or not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else is under the name.
    #[error("it is {0}, not a file")]
    NotAFile(NotAFile),
    /// A file of ours has a second name.
    #[error("it has a second name (a hard link)")]
    HardLink,
    /// A file or a link is in the place of a folder of ours.
    #[error("it is not a folder made by lanspread")]
    NotAFolder,
    /// It is larger than its bound.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

impl FileError {
    /// The same about a file of ours at `path`. What no crash of lanspread leaves there is a [`ForeignState`].
    pub fn of_ours(self, action: &'static str, path: impl AsRef<Path>) -> LocalError {
        let path = path.as_ref();
        let what = match self {
            Self::Io(error) => return LocalError::io(action, path)(error),
            Self::NotAFile(found) => format!("is {found}, not a file made by lanspread"),
            Self::HardLink => "has a second name (a hard link)".to_owned(),
            Self::NotAFolder => "is not a folder made by lanspread".to_owned(),
            Self::TooLarge(bytes_max) => format!("is larger than {bytes_max} bytes"),
        };
        ForeignState { path: path.to_owned(), what }.into()
    }

    /// Whether there is nothing under the name.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<FileError> for io::Error {
    /// For callers whose error is one of the system.
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidInput, other),
        }
    }
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// `None` instead of an error if there is nothing under the name.
///
/// # Errors
/// Every other error.
pub fn if_present<T>(opened: Result<T, FileError>) -> Result<Option<T>, FileError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file of the user for reading. It may be a link.
///
/// # Errors
/// [`FileError`], also if there is nothing at the path.
pub fn open_of_user(path: &Path) -> Result<File, FileError> {
    open(CWD, path, OFlags::RDONLY, Mode::empty(), Links::Followed)
}

/// Opens a file of ours for reading. `name` is one name in the folder.
///
/// # Errors
/// [`FileError`], also if there is nothing under the name.
pub fn open_ours(folder: impl AsFd, name: impl AsRef<Path>) -> Result<File, FileError> {
    open(folder, name.as_ref(), OFlags::RDONLY, Mode::empty(), Links::Refused)
}

/// Opens a file of ours for reading and writing, as it is.
///
/// # Errors
/// [`FileError`], also if there is nothing under the name.
pub fn open_ours_to_write(folder: impl AsFd, name: impl AsRef<Path>) -> Result<File, FileError> {
    sole(open(folder, name.as_ref(), OFlags::RDWR, Mode::empty(), Links::Refused)?)
}

/// The same, but creates an empty file with these permissions if there is nothing under the name.
///
/// # Errors
/// [`FileError`].
pub fn open_or_create_ours(
    folder: impl AsFd,
    name: impl AsRef<Path>,
    permissions: u32,
) -> Result<File, FileError> {
    let mode = Mode::from_raw_mode(permissions);
    sole(open(folder, name.as_ref(), OFlags::RDWR | OFlags::CREATE, mode, Links::Refused)?)
}

/// Creates a file of ours, for reading and writing. A file or link that is there is removed first, never changed.
///
/// # Errors
/// [`FileError::NotAFile`] if there is a folder, pipe, socket or device; [`FileError::Io`].
pub fn create_ours(folder: impl AsFd, name: impl AsRef<Path>, permissions: u32) -> Result<File, FileError> {
    let (folder, name) = (folder.as_fd(), name.as_ref());
    match found(folder, name, Links::Refused) {
        None | Some(NotAFile::Link) => {}
        Some(other) => return Err(FileError::NotAFile(other)),
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    open(folder, name, flags, Mode::from_raw_mode(permissions), Links::Refused)
}

/// Opens a folder of the user, such as a games directory or a state directory. It may be a link.
///
/// # Errors
/// Those of the system; `NotADirectory` if something else is at the path.
pub fn open_folder_of_user(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
}

/// Opens a folder of ours for paths below it (`O_PATH`), never through a link.
///
/// # Errors
/// [`FileError::NotAFolder`]; [`FileError::Io`], also if there is nothing under the name.
pub fn open_folder_of_ours(folder: impl AsFd, name: impl AsRef<Path>) -> Result<OwnedFd, FileError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, name.as_ref(), flags, Mode::empty()) {
        Ok(opened) => Ok(opened),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(FileError::NotAFolder),
        Err(error) => Err(error.into()),
    }
}

/// The same, but creates the folder if there is nothing under the name.
///
/// # Errors
/// [`FileError::NotAFolder`]; [`FileError::Io`], as not found if another process removes it meanwhile.
pub fn open_or_create_folder_of_ours(
    folder: impl AsFd,
    name: impl AsRef<Path>,
) -> Result<OwnedFd, FileError> {
    let opened = open_folder_of_ours(&folder, &name);
    if !opened.as_ref().is_err_and(FileError::is_absent) {
        return opened;
    }
    match rustix::fs::mkdirat(&folder, name.as_ref(), Mode::from_raw_mode(FOLDER_PERMISSIONS)) {
        Ok(()) | Err(Errno::EXIST) => open_folder_of_ours(folder, name),
        Err(error) => Err(error.into()),
    }
}

/// Reads a whole file.
///
/// # Errors
/// [`FileError::TooLarge`] before anything is read, if it has more than `bytes_max` bytes; [`FileError::Io`].
pub fn read_whole(file: &File, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    if file.metadata()?.len() > bytes_max {
        return Err(FileError::TooLarge(bytes_max));
    }
    let mut bytes = Vec::new();
    // It may have grown meanwhile.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(FileError::TooLarge(bytes_max)) } else { Ok(bytes) }
}

/// Reads a whole file of the user.
///
/// # Errors
/// [`FileError`], also if there is nothing at the path.
pub fn read_of_user(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    read_whole(&open_of_user(path)?, bytes_max)
}

/// Whether an open file is still the one under its name: its holder may have removed it, and another one may have been
/// created.
pub fn is_under(file: &File, folder: impl AsFd, name: impl AsRef<Path>) -> bool {
    match (file.metadata(), rustix::fs::statat(folder, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.st_ino && ours.dev() == there.st_dev,
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Followed,
    Refused,
}

/// What is under a name, if it is something else than a file.
fn found(folder: impl AsFd, name: &Path, links: Links) -> Option<NotAFile> {
    let flags = if links == Links::Followed { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    let stat = rustix::fs::statat(folder, name, flags).ok()?;
    NotAFile::of(FileType::from_raw_mode(stat.st_mode))
}

fn open(folder: impl AsFd, name: &Path, flags: OFlags, mode: Mode, links: Links) -> Result<File, FileError> {
    open_after(folder, name, flags, mode, links, || {})
}

/// Calls `asked` between asking what is under the name and opening it.
fn open_after(
    folder: impl AsFd,
    name: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
    asked: impl FnOnce(),
) -> Result<File, FileError> {
    // Asked first, because opening a device can already do something.
    if let Some(other) = found(&folder, name, links) {
        return Err(FileError::NotAFile(other));
    }
    asked();
    let mut flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    let file = File::from(match rustix::fs::openat(&folder, name, flags, mode) {
        Ok(opened) => opened,
        // Something else has taken the name since it was asked.
        Err(error) => match found(&folder, name, links) {
            Some(other) => return Err(FileError::NotAFile(other)),
            None => return Err(error.into()),
        },
    });
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    NotAFile::of(kind).map_or(Ok(file), |other| Err(FileError::NotAFile(other)))
}

/// Refuses a file that is about to be written if it has a second name. No name at all is fine: its holder has just
/// removed it.
fn sole(file: File) -> Result<File, FileError> {
    if file.metadata()?.nlink() > 1 { Err(FileError::HardLink) } else { Ok(file) }
}

#[cfg(test)]
mod tests;
