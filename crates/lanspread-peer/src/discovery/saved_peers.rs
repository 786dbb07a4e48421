//! Peers that the user wants to ask each time: `peers.toml` in the state directory.
//!
//! ```toml
//! peers = [
//!     "10.0.0.5:4100",
//! ]
//! ```
//! The file is replaced as a whole. A program that changes it locks the state directory itself.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::PeerAddress;
use lanspread_types::limits;
use lanspread_types::regular_file::{create_ours, if_present, open_folder_of_user, open_ours, read_whole};
use serde::Deserialize;

use crate::report::failure::ErrorCategory;
use crate::trust::error::TrustError;
use crate::trust::identity;

const FILE: &str = "peers.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedFile {
    peers: Vec<PeerAddress>,
}

/// The saved peers cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedPeersError {
    /// The limit is reached.
    #[error("{} peers are already saved, the limit", limits::SAVED_PEERS_MAX)]
    TooMany,
    /// A peer that is not in the list.
    #[error("{peer} is not a saved peer")]
    NotSaved {
        /// The peer as given.
        peer: String,
    },
    /// There is no state directory.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The file is not a list of saved peers.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk.
    #[error(transparent)]
    Local(LocalError),
}

impl From<LocalError> for SavedPeersError {
    /// Foreign state keeps its own variant, whichever layer reports it.
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

impl SavedPeersError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "invalid-config",
            Self::NotSaved { .. } => "not-saved",
            Self::Trust(error) => error.code(),
            Self::Foreign(_) => "foreign-state",
            Self::Local(error) => error.code(),
        }
    }

    /// Class of the failure.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::TooMany => ErrorCategory::Usage,
            Self::NotSaved { .. } | Self::Foreign(_) => ErrorCategory::Refused,
            Self::Trust(error) => error.category(),
            Self::Local(_) => ErrorCategory::Local,
        }
    }
}

/// The saved peers of one state directory.
#[derive(Debug, Clone)]
pub struct SavedPeers {
    state_dir: PathBuf,
}

impl SavedPeers {
    /// The saved peers of a state directory; without one, of the user's.
    ///
    /// # Errors
    /// [`SavedPeersError::Trust`] if there is no home folder to look in.
    pub fn of(state_dir: Option<PathBuf>) -> Result<Self, SavedPeersError> {
        Ok(Self { state_dir: identity::state_dir(state_dir)? })
    }

    /// The saved peers, in the order in which they were added.
    ///
    /// # Errors
    /// [`SavedPeersError::Foreign`] if the file is not a list of saved peers, [`SavedPeersError::Local`] if it cannot
    /// be read.
    pub fn load(&self) -> Result<Vec<PeerAddress>, SavedPeersError> {
        let path = self.path();
        let folder = match open_folder_of_user(&self.state_dir) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LocalError::io("read", &path)(error).into()),
        };
        let read = if_present(open_ours(&folder, FILE))
            .and_then(|file| file.map(|file| read_whole(&file, limits::SAVED_PEERS_BYTES_MAX)).transpose());
        let Some(bytes) = read.map_err(|error| error.of_ours("read", &path))? else { return Ok(Vec::new()) };
        let foreign = |what| SavedPeersError::from(ForeignState { path: path.clone(), what });
        let text = String::from_utf8(bytes).map_err(|_| foreign("is not text".to_owned()))?;
        parse(&text).map_err(foreign)
    }

    /// Saves a peer. Returns whether it was not saved yet.
    ///
    /// # Errors
    /// [`SavedPeersError::TooMany`], and as for [`Self::load`].
    pub fn add(&self, peer: &PeerAddress) -> Result<bool, SavedPeersError> {
        self.change(|peers| {
            if peers.contains(peer) {
                return Ok(false);
            }
            if peers.len() >= limits::SAVED_PEERS_MAX {
                return Err(SavedPeersError::TooMany);
            }
            peers.push(peer.clone());
            Ok(true)
        })
    }

    /// Removes a saved peer. Returns whether it was saved.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn remove(&self, peer: &PeerAddress) -> Result<bool, SavedPeersError> {
        self.change(|peers| {
            let before = peers.len();
            peers.retain(|saved| saved != peer);
            Ok(peers.len() < before)
        })
    }

    fn path(&self) -> PathBuf {
        self.state_dir.join(FILE)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<PeerAddress>) -> Result<bool, SavedPeersError>,
    ) -> Result<bool, SavedPeersError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir);
        made.map_err(LocalError::io("create the state folder", &self.state_dir))?;
        let folder = open_folder_of_user(&self.state_dir).map_err(LocalError::io("open", &self.state_dir))?;
        folder.lock().map_err(LocalError::io("lock", &self.state_dir))?;
        let mut peers = self.load()?;
        let changed = change(&mut peers)?;
        if changed {
            replace(&folder, &self.path(), &write(&peers))?;
        }
        Ok(changed)
    }
}

fn parse(text: &str) -> Result<Vec<PeerAddress>, String> {
    let file: SavedFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("cannot be used, line {line}: {}", error.message().replace('\n', " "))
    })?;
    if file.peers.len() > limits::SAVED_PEERS_MAX {
        return Err(format!("names more than {} peers", limits::SAVED_PEERS_MAX));
    }
    Ok(file.peers)
}

/// Addresses contain no character that a TOML string must escape.
fn write(peers: &[PeerAddress]) -> String {
    let mut text = "peers = [\n".to_owned();
    for peer in peers {
        text += &format!("    \"{peer}\",\n");
    }
    text + "]\n"
}

/// Writes a new file beside the old one and renames it. Nothing is written through a link.
fn replace(folder: &File, path: &Path, text: &str) -> Result<(), LocalError> {
    let beside = format!("{FILE}.new");
    let created = create_ours(folder, &beside, 0o600);
    let mut file = created.map_err(|error| error.of_ours("create", path.with_file_name(&beside)))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| Ok(rustix::fs::renameat(folder, &beside, folder, FILE)?));
    renamed.and_then(|()| folder.sync_all()).map_err(LocalError::io("write", path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn saved(folder: &Path) -> SavedPeers {
        SavedPeers::of(Some(folder.join("state"))).unwrap()
    }

    fn peer(text: &str) -> PeerAddress {
        text.parse().unwrap()
    }

    #[test]
    fn peers_are_saved_once_and_in_order_until_they_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let saved = saved(folder.path());
        assert_eq!(saved.load().unwrap(), []);
        for (address, new) in [("pc-7.lan:4100", true), ("[fe80::1]:1", true), ("pc-7.lan:4100", false)] {
            assert_eq!(saved.add(&peer(address)).unwrap(), new, "{address}");
        }
        assert_eq!(saved.load().unwrap(), [peer("pc-7.lan:4100"), peer("[fe80::1]:1")]);
        assert!(saved.remove(&peer("pc-7.lan:4100")).unwrap());
        assert!(!saved.remove(&peer("pc-7.lan:4100")).unwrap());
        assert_eq!(saved.load().unwrap(), [peer("[fe80::1]:1")]);
        assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn two_programs_that_save_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let saved = saved(folder.path());
        std::thread::scope(|scope| {
            for port in 1..=16 {
                let saved = &saved;
                scope.spawn(move || saved.add(&peer(&format!("a:{port}"))).unwrap());
            }
        });
        assert_eq!(saved.load().unwrap().len(), 16);
    }

    #[test]
    fn a_file_that_is_not_ours_is_reported_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let saved = saved(folder.path());
        fs::create_dir(folder.path().join("state")).unwrap();
        let long = " ".repeat(usize::try_from(limits::SAVED_PEERS_BYTES_MAX).unwrap() + 1);
        for text in ["peers = [\"x\"]", "peer = []", "peers = []\nother = 1", "", "\u{0}", &long] {
            fs::write(saved.path(), text).unwrap();
            let result = saved.add(&peer("a:1"));
            assert!(matches!(result, Err(SavedPeersError::Foreign(_))), "{text:.20}: {result:?}");
            assert_eq!(fs::read_to_string(saved.path()).unwrap(), text);
        }
    }

    #[test]
    fn the_number_of_saved_peers_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let saved = saved(folder.path());
        fs::create_dir(folder.path().join("state")).unwrap();
        let full: Vec<PeerAddress> =
            (1..=limits::SAVED_PEERS_MAX).map(|port| peer(&format!("a:{port}"))).collect();
        fs::write(saved.path(), write(&full)).unwrap();
        assert!(matches!(saved.add(&peer("b:1")), Err(SavedPeersError::TooMany)));
        assert_eq!(saved.load().unwrap(), full);
    }

    /// Neither the list nor its draft is opened through a link.
    #[test]
    fn nothing_is_read_or_written_through_a_link_and_a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let saved = saved(folder.path());
        let precious = folder.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        std::os::unix::fs::symlink(&precious, saved.path().with_extension("toml.new")).unwrap();
        saved.add(&peer("10.0.0.1:1")).unwrap();
        assert_eq!(saved.load().unwrap(), [peer("10.0.0.1:1")]);
        fs::remove_file(saved.path()).unwrap();
        std::os::unix::fs::symlink(&precious, saved.path()).unwrap();
        assert!(matches!(saved.add(&peer("10.0.0.2:1")), Err(SavedPeersError::Foreign(_))));
        fs::remove_file(saved.path()).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, saved.path(), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(saved.load(), Err(SavedPeersError::Foreign(_))));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
    }
}
