//! The identity of this peer: created once and kept in the user's state directory.

use std::io;
use std::path::{Path, PathBuf};

use lanspread_trust::made_once;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use lanspread_types::regular_file::read_whole;

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
        match made_once::read(state_dir, FILE, |file| read_whole(file, limits::PEER_ID_BYTES_MAX))? {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                return PeerId::of_record(text.trim()).map_err(|_| {
                    let what = "holds no peer identity; remove it and this peer gets a new one".to_owned();
                    ForeignState { path: path.clone(), what }.into()
                });
            }
            None => create(state_dir)?,
        }
    }
    Err(LocalError::io("read", &path)(io::ErrorKind::NotFound.into()).into())
}

/// A random number for one run of a peer.
pub(crate) fn instance() -> Result<u64, TrustError> {
    getrandom::u64().map_err(TrustError::NoRandomNumbers)
}

fn create(state_dir: &Path) -> Result<(), TrustError> {
    let id = PeerId::random().map_err(TrustError::NoRandomNumbers)?;
    made_once::make(state_dir, FILE, &id.to_string(), format!("{id}\n").as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

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
