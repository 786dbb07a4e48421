//! The identity of this peer: created once and kept in the user's state directory.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use lanspread_types::regular_file::{if_present, open_folder_of_user, open_ours, read_whole};

use crate::trust::error::TrustError;

const FILE: &str = "peer-id";

/// The default folder for the identity and the settings: `$XDG_STATE_HOME/lanspread`, or `~/.local/state/lanspread`. None
/// if neither variable is set.
/// Source: XDG Base Directory Specification 0.8.
pub fn default_state_dir() -> Option<PathBuf> {
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("lanspread"))
}

/// The state directory that was given, or the default one.
pub(crate) fn state_dir(given: Option<PathBuf>) -> Result<PathBuf, TrustError> {
    let state_dir = given.or_else(default_state_dir).ok_or(TrustError::NoStateDir)?;
    // Absolute, because a daemon publishes the path of its socket, and other programs may run in another folder.
    Ok(std::path::absolute(&state_dir).map_err(LocalError::io("find", &state_dir))?)
}

/// Reads the identity, or creates one. Two programs that start at once get the same one.
pub(crate) fn load_or_create(state_dir: &Path) -> Result<PeerId, TrustError> {
    let path = state_dir.join(FILE);
    for _ in 0..2 {
        match read(state_dir)? {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                return text.trim().parse().map_err(|_| {
                    let what = "holds no peer identity; remove it and this peer gets a new one".to_owned();
                    ForeignState { path: path.clone(), what }.into()
                });
            }
            None => create(state_dir, &path)?,
        }
    }
    Err(LocalError::io("read", &path)(io::ErrorKind::NotFound.into()).into())
}

/// The content of the file, if there is one.
fn read(state_dir: &Path) -> Result<Option<Vec<u8>>, LocalError> {
    let path = state_dir.join(FILE);
    let folder = match open_folder_of_user(state_dir) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LocalError::io("read", &path)(error)),
    };
    let read = if_present(open_ours(&folder, FILE))
        .and_then(|file| file.map(|file| read_whole(&file, limits::PEER_ID_BYTES_MAX)).transpose());
    read.map_err(|error| error.of_ours("read", &path))
}

/// A random number for one run of a peer.
pub(crate) fn instance() -> Result<u64, TrustError> {
    getrandom::u64().map_err(TrustError::NoRandomNumbers)
}

fn create(state_dir: &Path, path: &Path) -> Result<(), TrustError> {
    let id = PeerId::random().map_err(TrustError::NoRandomNumbers)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
    made.map_err(LocalError::io("create the state folder", state_dir))?;
    // Written completely under a name of its own, then linked: the first link wins.
    let draft = state_dir.join(format!("{FILE}.{}.{id}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    })();
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(LocalError::io("write", path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("a/b");
        let ids: Vec<PeerId> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| load_or_create(&state_dir).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_broken_identity_is_reported_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "nonsense").unwrap();
        assert!(matches!(load_or_create(folder.path()), Err(TrustError::Foreign(_))));
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), "nonsense");
    }

    /// Nothing is created where a link leads, and nothing is waited for.
    #[test]
    fn an_identity_is_not_read_through_a_link_or_a_pipe_and_not_if_it_is_huge() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join(FILE), folder.path().join("target"));
        let refused = |what: &str| {
            let refused = load_or_create(folder.path());
            assert!(matches!(refused, Err(TrustError::Foreign(_))), "{what}: {refused:?}");
            assert!(!target.exists(), "{what}");
            fs::remove_file(&path).unwrap();
        };
        std::os::unix::fs::symlink(&target, &path).unwrap();
        refused("link");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        refused("pipe");
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        refused("huge");
        load_or_create(folder.path()).unwrap();
    }
}
