//! What the user has decided about other peers: `peers.toml` in the state directory.
//!
//! ```toml
//! [[peers]]                      # always asked
//! address = "10.0.0.5:4100"
//! id = "peer1…"                  # the identity that answered when it was saved; another one is refused
//! name = "den"
//! since = 2026-07-01T18:00:00Z
//!
//! [[trusted]]                    # let in by --only-trusted
//! id = "peer1…"
//! name = "den"
//! since = 2026-07-01T18:00:00Z
//!
//! [[denied]]                     # neither let in nor asked
//! id = "peer1…"
//! reason = "sends wrong files"
//! since = 2026-07-01T18:00:00Z
//! ```
//! A list of strings in place of `[[peers]]` is read as addresses without an identity, as earlier versions wrote it. The
//! file is replaced as a whole. A program that changes it locks the state directory itself. An identity is trusted or
//! denied, never both.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use lanspread_trust::catalog::CatalogTime;
use lanspread_trust::draft_file;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{PeerAddress, PeerId, PeerName};
use lanspread_types::limits;
use lanspread_types::regular_file::{if_present, open_folder_of_user, open_ours, read_whole};
use lanspread_types::text::printable;
use serde::Deserialize;
use toml::value::Datetime;

use crate::report::failure::ErrorCategory;
use crate::report::peer_trust::PeerTrust;
use crate::trust::error::TrustError;
use crate::trust::identity;

pub(crate) const FILE: &str = "peers.toml";

/// A peer that is always asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPeer {
    /// Where it listens.
    pub address: PeerAddress,
    /// Its identity when it was saved. Another one at its address is refused.
    pub id: Option<PeerId>,
    /// Its name when it was saved, for people.
    pub name: Option<PeerName>,
    /// When it was saved.
    since: Option<Datetime>,
}

/// An identity that the user trusts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedPeer {
    /// Its identity.
    pub id: PeerId,
    /// Its name, for people.
    pub name: Option<PeerName>,
    since: Option<Datetime>,
}

/// An identity that the user denies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeniedPeer {
    /// Its identity.
    pub id: PeerId,
    /// Why, for people.
    pub reason: Option<String>,
    since: Option<Datetime>,
}

/// Everything in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerDecisions {
    /// The peers that are always asked, in the order in which they were saved.
    pub saved: Vec<SavedPeer>,
    /// The peers that are trusted.
    pub trusted: Vec<TrustedPeer>,
    /// The peers that are denied.
    pub denied: Vec<DeniedPeer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeersFile {
    #[serde(default)]
    peers: Vec<PeersItem>,
    #[serde(default)]
    trusted: Vec<TrustedPeer>,
    #[serde(default)]
    denied: Vec<DeniedPeer>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PeersItem {
    Saved(SavedPeer),
    Address(PeerAddress),
}

impl From<PeersItem> for SavedPeer {
    fn from(item: PeersItem) -> Self {
        match item {
            PeersItem::Saved(saved) => saved,
            PeersItem::Address(address) => Self { address, id: None, name: None, since: None },
        }
    }
}

/// The saved peers cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedPeersError {
    /// The limit is reached.
    #[error("{} peers are already saved, the limit", limits::SAVED_PEERS_MAX)]
    TooMany,
    /// The limit of peers that are trusted or denied is reached.
    #[error("{} peers are already trusted or denied, the limit", limits::JUDGED_PEERS_MAX)]
    TooManyJudged,
    /// A peer that is not in the list.
    #[error("{peer} is not a saved, trusted or denied peer")]
    NotSaved {
        /// The peer as given.
        peer: String,
    },
    /// A short id that does not stand for exactly one peer.
    #[error("`{peer}` is not the beginning of exactly one known peer's id: {count} fit")]
    NotOne {
        /// The short id as given.
        peer: String,
        /// How many known peers it fits.
        count: usize,
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
            Self::TooMany | Self::TooManyJudged => "invalid-config",
            Self::NotSaved { .. } => "not-saved",
            Self::NotOne { .. } => "not-one-peer",
            Self::Trust(error) => error.code(),
            Self::Foreign(_) => "foreign-state",
            Self::Local(error) => error.code(),
        }
    }

    /// Class of the failure.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::TooMany | Self::TooManyJudged => ErrorCategory::Usage,
            Self::NotSaved { .. } | Self::NotOne { .. } | Self::Foreign(_) => ErrorCategory::Refused,
            Self::Trust(error) => error.category(),
            Self::Local(_) => ErrorCategory::Local,
        }
    }
}

/// What the user has decided about other peers, in one state directory.
#[derive(Debug, Clone)]
pub struct SavedPeers {
    state_dir: PathBuf,
}

impl PeerDecisions {
    /// All identities in it, each once.
    pub fn ids(&self) -> BTreeSet<PeerId> {
        let saved = self.saved.iter().filter_map(|peer| peer.id);
        let trusted = self.trusted.iter().map(|peer| peer.id);
        saved.chain(trusted).chain(self.denied.iter().map(|peer| peer.id)).collect()
    }

    /// Whether the identity is trusted.
    pub fn trusts(&self, id: &PeerId) -> bool {
        self.trusted.iter().any(|peer| peer.id == *id)
    }

    /// Whether the identity is denied.
    pub fn denies(&self, id: &PeerId) -> bool {
        self.denied.iter().any(|peer| peer.id == *id)
    }

    /// What was decided about an identity.
    pub fn trust_in(&self, id: &PeerId) -> PeerTrust {
        if self.denies(id) {
            PeerTrust::Denied
        } else if self.trusts(id) {
            PeerTrust::Trusted
        } else if self.saved.iter().any(|peer| peer.id == Some(*id)) {
            PeerTrust::Saved
        } else {
            PeerTrust::Unknown
        }
    }

    /// Whether a peer with this name was saved or trusted, but all of those have other identities.
    pub fn knows_name_of_another(&self, name: &PeerName, id: &PeerId) -> bool {
        let saved = self.saved.iter().filter_map(|peer| peer.name.as_ref().zip(peer.id.as_ref()));
        let trusted = self.trusted.iter().filter_map(|peer| Some((peer.name.as_ref()?, &peer.id)));
        let mut ids = saved.chain(trusted).filter(|(known, _)| *known == name).map(|(_, id)| id).peekable();
        ids.peek().is_some() && ids.all(|known| known != id)
    }
}

impl SavedPeers {
    /// Those of a state directory; without one, of the user's.
    ///
    /// # Errors
    /// [`SavedPeersError::Trust`] if there is no home folder to look in.
    pub fn of(state_dir: Option<PathBuf>) -> Result<Self, SavedPeersError> {
        Ok(Self { state_dir: identity::state_dir(state_dir)? })
    }

    /// The peers that are always asked, in the order in which they were added.
    ///
    /// # Errors
    /// As for [`Self::decisions`].
    pub fn load(&self) -> Result<Vec<SavedPeer>, SavedPeersError> {
        Ok(self.decisions()?.saved)
    }

    /// Everything that the user has decided.
    ///
    /// # Errors
    /// [`SavedPeersError::Foreign`] if the file is not one of ours, [`SavedPeersError::Local`] if it cannot be read.
    pub fn decisions(&self) -> Result<PeerDecisions, SavedPeersError> {
        let path = self.path();
        let folder = match open_folder_of_user(&self.state_dir) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PeerDecisions::default()),
            Err(error) => return Err(LocalError::io("read", &path)(error).into()),
        };
        let read = if_present(open_ours(&folder, FILE))
            .and_then(|file| file.map(|file| read_whole(&file, limits::SAVED_PEERS_BYTES_MAX)).transpose());
        let Some(bytes) = read.map_err(|error| error.of_ours("read", &path))? else {
            return Ok(PeerDecisions::default());
        };
        let foreign = |what| SavedPeersError::from(ForeignState { path: path.clone(), what });
        let text = String::from_utf8(bytes).map_err(|_| foreign("is not text".to_owned()))?;
        parse(&text).map_err(foreign)
    }

    /// Saves a peer, with the identity and the name with which it answered. One that is already saved gets these.
    /// Returns whether it was not saved yet.
    ///
    /// # Errors
    /// [`SavedPeersError::TooMany`], and as for [`Self::decisions`].
    pub fn add(
        &self,
        address: &PeerAddress,
        answered: Option<(PeerId, PeerName)>,
    ) -> Result<bool, SavedPeersError> {
        self.change(|decisions| {
            let (id, name) = answered.unzip();
            let saved = SavedPeer { address: address.clone(), id, name, since: Some(now()) };
            if let Some(known) = decisions.saved.iter_mut().find(|known| known.address == *address) {
                if saved.id.is_some() {
                    *known = saved;
                }
                return Ok(false);
            }
            if decisions.saved.len() >= limits::SAVED_PEERS_MAX {
                return Err(SavedPeersError::TooMany);
            }
            decisions.saved.push(saved);
            Ok(true)
        })
    }

    /// Removes a saved peer. Returns whether it was saved.
    ///
    /// # Errors
    /// As for [`Self::decisions`].
    pub fn remove(&self, address: &PeerAddress) -> Result<bool, SavedPeersError> {
        self.change(|decisions| {
            let before = decisions.saved.len();
            decisions.saved.retain(|saved| saved.address != *address);
            Ok(decisions.saved.len() < before)
        })
    }

    /// Trusts an identity, which is then no longer denied.
    ///
    /// # Errors
    /// [`SavedPeersError::TooManyJudged`], and as for [`Self::decisions`].
    pub fn trust(&self, id: PeerId, name: Option<PeerName>) -> Result<(), SavedPeersError> {
        self.change(|decisions| {
            decisions.denied.retain(|peer| peer.id != id);
            let known =
                decisions.trusted.iter().find(|peer| peer.id == id).and_then(|peer| peer.name.clone());
            decisions.trusted.retain(|peer| peer.id != id);
            decisions.trusted.push(TrustedPeer { id, name: name.or(known), since: Some(now()) });
            is_within(decisions)
        })
    }

    /// Denies an identity, which is then no longer trusted.
    ///
    /// # Errors
    /// [`SavedPeersError::TooManyJudged`], and as for [`Self::decisions`].
    pub fn deny(&self, id: PeerId, reason: Option<&str>) -> Result<(), SavedPeersError> {
        self.change(|decisions| {
            decisions.trusted.retain(|peer| peer.id != id);
            decisions.denied.retain(|peer| peer.id != id);
            let reason = reason.map(|reason| printable(reason, limits::DENIAL_REASON_CHARS_MAX));
            decisions.denied.push(DeniedPeer { id, reason, since: Some(now()) });
            is_within(decisions)
        })
    }

    /// Forgets what was decided about an identity, and the identity of saved peers that had it: they stay, without one.
    /// Returns whether anything was.
    ///
    /// # Errors
    /// As for [`Self::decisions`].
    pub fn forget(&self, id: PeerId) -> Result<bool, SavedPeersError> {
        self.change(|decisions| {
            let is_known = decisions.ids().contains(&id);
            decisions.trusted.retain(|peer| peer.id != id);
            decisions.denied.retain(|peer| peer.id != id);
            for saved in decisions.saved.iter_mut().filter(|saved| saved.id == Some(id)) {
                (saved.id, saved.name) = (None, None);
            }
            Ok(is_known)
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.state_dir.join(FILE)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut PeerDecisions) -> Result<T, SavedPeersError>,
    ) -> Result<T, SavedPeersError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir);
        made.map_err(LocalError::io("create the state folder", &self.state_dir))?;
        let folder: File =
            open_folder_of_user(&self.state_dir).map_err(LocalError::io("open", &self.state_dir))?;
        folder.lock().map_err(LocalError::io("lock", &self.state_dir))?;
        let before = self.decisions()?;
        let mut decisions = before.clone();
        let changed = change(&mut decisions)?;
        if decisions != before {
            draft_file::replace(&self.path(), write(&decisions).as_bytes(), 0o600)?;
        }
        Ok(changed)
    }
}

fn is_within(decisions: &PeerDecisions) -> Result<(), SavedPeersError> {
    let is_within = decisions.trusted.len() + decisions.denied.len() <= limits::JUDGED_PEERS_MAX;
    is_within.then_some(()).ok_or(SavedPeersError::TooManyJudged)
}

/// This moment, in the file's form; a clock that has no such form counts as its beginning.
fn now() -> Datetime {
    let now = CatalogTime::now().to_string().parse();
    now.unwrap_or(Datetime { date: None, time: None, offset: None })
}

fn parse(text: &str) -> Result<PeerDecisions, String> {
    let file: PeersFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("cannot be used, line {line}: {}", error.message().replace('\n', " "))
    })?;
    if file.peers.len() > limits::SAVED_PEERS_MAX {
        return Err(format!("names more than {} peers", limits::SAVED_PEERS_MAX));
    }
    if file.trusted.len() + file.denied.len() > limits::JUDGED_PEERS_MAX {
        return Err(format!("trusts and denies more than {} peers", limits::JUDGED_PEERS_MAX));
    }
    let shown = |reason: String| printable(&reason, limits::DENIAL_REASON_CHARS_MAX);
    let denied = file.denied.into_iter().map(|peer| DeniedPeer { reason: peer.reason.map(shown), ..peer });
    Ok(PeerDecisions {
        saved: file.peers.into_iter().map(SavedPeer::from).collect(),
        trusted: file.trusted,
        denied: denied.collect(),
    })
}

fn write(decisions: &PeerDecisions) -> String {
    let mut text = String::new();
    let mut table = |name: &str, fields: [(&str, Option<String>); 4]| {
        text += &format!("[[{name}]]\n");
        for (key, value) in fields {
            if let Some(value) = value {
                text += &format!("{key} = {value}\n");
            }
        }
        text.push('\n');
    };
    let since = |since: &Option<Datetime>| ("since", since.map(|since| since.to_string()));
    let quoted_name = |name: &Option<PeerName>| ("name", name.as_ref().map(|name| quoted(name.as_str())));
    for SavedPeer { address, id, name, since: at } in &decisions.saved {
        let id = id.map(|id| quoted(&id.to_string()));
        let address = ("address", Some(quoted(address.as_str())));
        table("peers", [address, ("id", id), quoted_name(name), since(at)]);
    }
    for TrustedPeer { id, name, since: at } in &decisions.trusted {
        table("trusted", [("id", Some(quoted(&id.to_string()))), quoted_name(name), since(at), ("", None)]);
    }
    for DeniedPeer { id, reason, since: at } in &decisions.denied {
        let reason = ("reason", reason.as_deref().map(quoted));
        table("denied", [("id", Some(quoted(&id.to_string()))), reason, since(at), ("", None)]);
    }
    text
}

/// A basic string of TOML. Names and reasons hold no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
