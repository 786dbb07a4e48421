//! The identity of this peer: a key that is made once and kept in the user's state directory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lanspread_tls::identity::Identity;
use lanspread_trust::identity_key::IdentityKey;
use lanspread_trust::made_once;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::limits;
use lanspread_types::regular_file::read_whole;
use zeroize::Zeroizing;

use crate::trust::error::TrustError;

const IDENTITY_FILE: &str = "identity.pem";
/// What had the identity before there were keys.
const FORMER_FILE: &str = "peer-id";
/// Files that say that a state directory was used before. A newcomer makes a party and the key of a catalog before its
/// peer runs for the first time, so they say nothing.
const OF_USED_STATE: [&str; 3] = ["peers.toml", "catalog-seen", "penalties.jsonl"];

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

/// Reads the identity, or makes one. Two programs that start at once get the same one. A damaged one is left alone.
///
/// # Errors
/// [`TrustError::Foreign`] if something else is in its place.
pub(crate) fn load_or_make(state_dir: &Path) -> Result<Identity, TrustError> {
    if let Some(key) = read(state_dir)? {
        remove_former(state_dir)?;
        return ready(&key);
    }
    let was_used = OF_USED_STATE.iter().find(|name| state_dir.join(name).symlink_metadata().is_ok());
    let made = IdentityKey::random().map_err(TrustError::NoRandomNumbers)?;
    let unique = made.peer_id().to_string();
    let is_ours = made_once::make(state_dir, IDENTITY_FILE, &unique, made.pem().as_bytes())?;
    // If another program was faster, its key is the one that counts.
    let key = read(state_dir)?.ok_or_else(|| {
        LocalError::io("read", state_dir.join(IDENTITY_FILE))(io::ErrorKind::NotFound.into())
    })?;
    if is_ours && remove_former(state_dir)? {
        tracing::warn!(
            "this peer has a new identity, {}: the number in {} could not be proved, and the file was removed",
            key.peer_id(),
            state_dir.join(FORMER_FILE).display()
        );
    } else if is_ours && let Some(other) = was_used {
        tracing::warn!(
            "this peer has a new identity, {}: {} has {other} but no {IDENTITY_FILE}, and peers that knew another \
             identity of this machine do not know this one",
            key.peer_id(),
            state_dir.display()
        );
    }
    ready(&key)
}

fn read(state_dir: &Path) -> Result<Option<IdentityKey>, TrustError> {
    let read = |file: &File| Ok(Zeroizing::new(read_whole(file, limits::IDENTITY_BYTES_MAX)?));
    let Some(bytes) = made_once::read(state_dir, IDENTITY_FILE, read)? else { return Ok(None) };
    let key = IdentityKey::parse_pem(&bytes).map_err(|problem| ForeignState {
        path: state_dir.join(IDENTITY_FILE),
        what: format!(
            "{problem}; restore it, or remove it and this peer gets a new identity that others do not know"
        ),
    })?;
    Ok(Some(key))
}

/// Removes the identity of version 1 of the protocol, which was a number that cannot be proved. The key that takes its
/// place is on disk by then. Says whether there was one.
fn remove_former(state_dir: &Path) -> Result<bool, TrustError> {
    let path = state_dir.join(FORMER_FILE);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LocalError::io("remove", &path)(error).into()),
    }
}

fn ready(key: &IdentityKey) -> Result<Identity, TrustError> {
    Identity::new(key).map_err(|error| TrustError::Encryption(error.to_string()))
}

/// A random number for one run of a peer.
pub(crate) fn instance() -> Result<u64, TrustError> {
    getrandom::u64().map_err(TrustError::NoRandomNumbers)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use lanspread_types::ids::PeerId;

    use super::*;

    fn id(state_dir: &Path) -> PeerId {
        load_or_make(state_dir).unwrap().peer_id()
    }

    #[test]
    fn an_identity_is_made_once_and_only_its_user_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("a/b");
        let ids: Vec<PeerId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| id(&state_dir))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "no draft is left");
        assert_eq!(fs::metadata(state_dir.join(IDENTITY_FILE)).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_identity_is_reported_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IDENTITY_FILE);
        id(folder.path());
        let good = fs::read_to_string(&path).unwrap();
        for damaged in ["", "nonsense", &good[..good.len() / 2], &good.repeat(2)] {
            fs::write(&path, damaged).unwrap();
            let error = load_or_make(folder.path()).unwrap_err();
            assert!(matches!(error, TrustError::Foreign(_)), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }

    /// A lost key is a new peer, also where other state was kept.
    #[test]
    fn a_lost_identity_is_replaced_by_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let before = id(folder.path());
        fs::write(folder.path().join("peers.toml"), "peers = []\n").unwrap();
        fs::remove_file(folder.path().join(IDENTITY_FILE)).unwrap();
        let after = id(folder.path());
        assert_ne!(before, after);
        assert_eq!(id(folder.path()), after);
    }

    /// The key is there before the number goes: whatever is interrupted, the next start completes it.
    #[test]
    fn the_number_of_version_1_gives_way_to_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let former = folder.path().join(FORMER_FILE);
        fs::write(&former, "00112233445566778899aabbccddeeff\n").unwrap();
        let after = id(folder.path());
        assert!(!former.exists());
        fs::write(&former, "interrupted before it was removed").unwrap();
        assert_eq!(id(folder.path()), after);
        assert!(!former.exists());
        fs::remove_file(folder.path().join(IDENTITY_FILE)).unwrap();
        fs::create_dir(folder.path().join(IDENTITY_FILE)).unwrap();
        fs::write(&former, "no key can be made").unwrap();
        load_or_make(folder.path()).unwrap_err();
        assert!(former.exists());
    }

    /// Nothing is made where a link leads, and nothing is waited for.
    #[test]
    fn an_identity_is_not_read_through_a_link_or_a_pipe_and_not_if_it_is_huge() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join(IDENTITY_FILE), folder.path().join("target"));
        let refused = |what: &str| {
            let refused = load_or_make(folder.path());
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
        load_or_make(folder.path()).unwrap();
    }
}
