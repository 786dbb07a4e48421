//! Where a daemon opens its control socket.
//!
//! The address of a Unix socket is short, and a state directory may have a longer path. Then the socket is in a folder of
//! this user elsewhere, under a name that is the same in every run: the identity of the state directory's inode. Commands
//! read the path in `daemon.json`. Such a folder is used only if no other user can open it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::layout;
use lanspread_types::limits::CONTROL_SOCKET_PATH_BYTES_MAX;

use crate::control::error::ControlError;

/// The path for the control socket of a daemon with this state directory, which exists.
pub(crate) fn choose(state_dir: &Path) -> Result<PathBuf, ControlError> {
    let user = rustix::process::geteuid().as_raw();
    let runtime_dir =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let runtime_dir = runtime_dir.map(|path| path.join("lanspread"));
    let below = |folder: PathBuf| folder.join(format!("lanspread-{user}"));
    let elsewhere = runtime_dir.into_iter().chain([below(std::env::temp_dir()), below("/tmp".into())]);
    choose_among(state_dir, elsewhere, user)
}

/// The folder for sockets that a group may open: that of the service manager (`RuntimeDirectory=`), or one below `/tmp`. Every
/// user can look into it, and only this one can write to it.
pub(crate) fn choose_shared(state_dir: &Path) -> Result<SharedSockets, ControlError> {
    let user = rustix::process::geteuid().as_raw();
    let of_service = std::env::var_os("RUNTIME_DIRECTORY")
        .and_then(|folders| std::env::split_paths(&folders).next())
        .filter(|folder| folder.is_absolute());
    let metadata = fs::metadata(state_dir).map_err(LocalError::io("read", state_dir))?;
    let folder = of_service.unwrap_or_else(|| {
        // One for each state directory, so that two daemons do not meet.
        format!("/tmp/lanspread-{user}-{:x}-{:x}", metadata.dev(), metadata.ino()).into()
    });
    open_shared(&folder, user)?;
    Ok(SharedSockets {
        commands: folder.join(layout::CONTROL_SOCKET),
        questions: folder.join(layout::ASKING_SOCKET),
    })
}

/// Where the sockets of a daemon are that a group may open.
pub(crate) struct SharedSockets {
    pub(crate) commands: PathBuf,
    pub(crate) questions: PathBuf,
}

/// Creates the folder, or checks that the one that is there is a folder of this user to which no other user can write.
fn open_shared(folder: &Path, user: u32) -> Result<(), ControlError> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LocalError::io("create", folder)(error).into());
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder).map_err(LocalError::io("read", folder))?;
    if metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    let what =
        "is not a folder of this user to which no other user can write, so no socket can be in it".to_owned();
    Err(ForeignState { path: folder.to_owned(), what }.into())
}

fn choose_among(
    state_dir: &Path,
    elsewhere: impl IntoIterator<Item = PathBuf>,
    user: u32,
) -> Result<PathBuf, ControlError> {
    let usual = state_dir.join(layout::CONTROL_SOCKET);
    if fits(&usual) {
        return Ok(usual);
    }
    let metadata = fs::metadata(state_dir).map_err(LocalError::io("read", state_dir))?;
    let name = format!("{:x}-{:x}.sock", metadata.dev(), metadata.ino());
    let too_long = io::Error::other("the path is too long for a socket");
    let mut refused = LocalError::io("open the control socket", &usual)(too_long).into();
    for folder in elsewhere {
        let path = folder.join(&name);
        if fits(&path) {
            match open_private(&folder, user) {
                Ok(()) => return Ok(path),
                Err(error) => refused = error,
            }
        }
    }
    Err(refused)
}

fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= CONTROL_SOCKET_PATH_BYTES_MAX
}

/// Creates the folder, or checks that the one that is there is a folder of this user that no other user can open.
fn open_private(folder: &Path, user: u32) -> Result<(), ControlError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LocalError::io("create", folder)(error).into());
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder).map_err(LocalError::io("read", folder))?;
    let others = metadata.mode() & 0o077;
    if metadata.is_dir() && metadata.uid() == user && others == 0 {
        return Ok(());
    }
    let what = "is not a folder that only this user can open, so no socket can be in it".to_owned();
    Err(ForeignState { path: folder.to_owned(), what }.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn long(folder: &Path) -> PathBuf {
        let path = folder.join("d".repeat(CONTROL_SOCKET_PATH_BYTES_MAX));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_socket_with_a_long_path_goes_to_a_private_folder() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("state");
        assert_eq!(choose_among(&short, [], user()).unwrap(), short.join("control.sock"));
        let (long, elsewhere) = (long(folder.path()), folder.path().join("elsewhere"));
        assert!(choose_among(&long, [], user()).unwrap_err().to_string().contains("too long"));
        let path = choose_among(&long, [long.clone(), elsewhere.clone()], user()).unwrap();
        assert!(path.starts_with(&elsewhere) && fits(&path), "{}", path.display());
        assert_eq!(fs::metadata(&elsewhere).unwrap().mode() & 0o777, 0o700);
        std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(choose_among(&long, [elsewhere], user()).unwrap(), path, "the same in the next run");
    }

    #[test]
    fn a_shared_folder_is_of_this_user_and_nobody_else_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (new, open, link) =
            (folder.path().join("new"), folder.path().join("open"), folder.path().join("link"));
        open_shared(&new, user()).unwrap();
        open_shared(&new, user()).unwrap();
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o775)).unwrap();
        symlink(&new, &link).unwrap();
        for (refused, user) in [(open, user()), (link, user()), (new, user() + 1)] {
            assert!(
                matches!(open_shared(&refused, user), Err(ControlError::Foreign(_))),
                "{}",
                refused.display()
            );
        }
    }

    #[test]
    fn a_folder_that_others_can_open_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (long, open) = (long(folder.path()), folder.path().join("open"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o750)).unwrap();
        let (link, private) = (folder.path().join("link"), folder.path().join("private"));
        DirBuilder::new().mode(0o700).create(&private).unwrap();
        symlink(&private, &link).unwrap();
        for (refused, user) in [(open, user()), (link, user()), (private, user() + 1)] {
            let error = choose_among(&long, [refused.clone()], user).unwrap_err();
            assert!(matches!(error, ControlError::Foreign(_)), "{}: {error}", refused.display());
        }
    }
}
