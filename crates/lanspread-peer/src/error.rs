//! What can fail, with a stable code each and the evidence: expected, got, path.
//!
//! Three kinds of fault are told apart because they are answered differently: a [`ContentError`] is the source's
//! fault (the next source gets a fresh attempt), a [`LocalError`] is this machine's (no other source can help), and
//! a refusal means that nothing was tried. Codes are kebab-case and never change; texts may.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::entry::NameError;
use crate::game::{GameId, WordError};
use crate::install::attempt::AttemptFailure;
use crate::wire::WireError;

/// A failure of this machine: disk, permissions, space.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase such as `create`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The announced total does not fit.
    #[error(
        "{} has {free_bytes} bytes free but {needed_bytes} are needed; free some space or choose another --games-dir",
        path.display()
    )]
    NotEnoughSpace {
        /// The games directory.
        path: PathBuf,
        /// Bytes the install takes, with room for names and a margin.
        needed_bytes: u64,
        /// Bytes an ordinary user may still write.
        free_bytes: u64,
    },
}

impl LocalError {
    /// Wraps what the system said about `path`.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEnoughSpace { .. } => "not-enough-space",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full",
                io::ErrorKind::PermissionDenied => "permission-denied",
                io::ErrorKind::ReadOnlyFilesystem => "read-only",
                _ => "local-io",
            },
        }
    }
}

/// Content that a source sent and that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A name that must not or cannot be installed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Content with another CRC-32 than announced.
    #[error("`{path}` has CRC-32 {got:08x}, expected {expected:08x}")]
    Checksum {
        /// Path of the entry.
        path: String,
        /// CRC-32 announced.
        expected: u32,
        /// CRC-32 of the bytes received.
        got: u32,
    },
    /// A copy of a file that this archive did not bring.
    #[error("`{path}` is a copy of `{original}`, which is no earlier file")]
    UnknownOriginal {
        /// Path of the copy.
        path: String,
        /// Path it refers to.
        original: String,
    },
}

impl ContentError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "entry-name-refused",
            Self::Checksum { .. } => "checksum-mismatch",
            Self::UnknownOriginal { .. } => "copy-without-original",
        }
    }
}

/// How a failed operation is classed; the command line gives each class its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCategory {
    /// A bug or an unforeseen state.
    Unexpected,
    /// The request itself is wrong.
    Usage,
    /// Nobody offers what was asked for, or the peer asked is not there.
    NotOffered,
    /// Every source was tried and failed.
    SourcesFailed,
    /// The request is understood and refused.
    Refused,
    /// The disk of this machine.
    Local,
    /// Cancelled by the user.
    Interrupted,
}

/// A peer that was asked and cannot be a source, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerAnswer {
    /// Name of the peer, or the address when it never said its name.
    pub peer: String,
    /// Why it is no source.
    pub reason: String,
}

/// Everything an operation of a [`crate::Peer`] can fail with.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A word from outside is not what it should be.
    #[error(transparent)]
    Word(#[from] WordError),
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// The catalog cannot be used.
    #[error("the catalog {} cannot be used: {reason}", path.display())]
    Catalog {
        /// The catalog file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
    /// The game is not one of the catalog.
    #[error("{game} is not in the catalog {}", catalog.display())]
    NotInCatalog {
        /// The game asked for.
        game: GameId,
        /// The catalog file.
        catalog: PathBuf,
    },
    /// `local/` is there already.
    #[error("{game} is already installed in {}", path.display())]
    AlreadyInstalled {
        /// The game asked for.
        game: GameId,
        /// The installed tree.
        path: PathBuf,
    },
    /// Another operation holds the game.
    #[error("another operation on {game} is in progress{}", pid(*holder_pid))]
    InProgress {
        /// The game asked for.
        game: GameId,
        /// Process that holds the lock, when it could be read.
        holder_pid: Option<u32>,
    },
    /// Something stands where only we write, and no crash of ours leaves it there.
    #[error("{} {what}; lanspread leaves it alone", path.display())]
    ForeignState {
        /// What stands in the way.
        path: PathBuf,
        /// What is odd about it.
        what: String,
    },
    /// No peers to ask.
    #[error("no peer was named")]
    NoPeers,
    /// Nobody offers the game.
    #[error("no peer offers {game}{}", answers(peers))]
    NotOffered {
        /// The game asked for.
        game: GameId,
        /// Who was asked and why each is no source.
        peers: Vec<PeerAnswer>,
    },
    /// The peers contradict each other and no side has a majority.
    #[error("the peers disagree about {game} and no side is larger: {}", groups.join(" against "))]
    Ambiguous {
        /// The game asked for.
        game: GameId,
        /// The sides: which peers say what.
        groups: Vec<String>,
    },
    /// Every validated source failed.
    #[error("every source of {game} failed{}", attempts_list(attempts))]
    AllSourcesFailed {
        /// The game asked for.
        game: GameId,
        /// One failure per attempt, in order.
        attempts: Vec<AttemptFailure>,
    },
    /// This machine's disk.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// One named peer cannot be asked.
    #[error("cannot ask {peer}: {source}")]
    Peer {
        /// The peer as given.
        peer: String,
        /// What went wrong.
        source: WireError,
    },
    /// The listener cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    /// A task of ours ended in a way it must not.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl PeerError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Word(_) => "invalid-word",
            Self::Config(_) => "invalid-config",
            Self::Catalog { .. } => "catalog-unusable",
            Self::NotInCatalog { .. } => "not-in-catalog",
            Self::AlreadyInstalled { .. } => "already-installed",
            Self::InProgress { .. } => "in-progress",
            Self::ForeignState { .. } => "foreign-state",
            Self::NoPeers => "no-peers",
            Self::NotOffered { .. } => "not-offered",
            Self::Ambiguous { .. } => "ambiguous-metadata",
            Self::AllSourcesFailed { .. } => "all-sources-failed",
            Self::Local(local) => local.code(),
            Self::Peer { source, .. } => source.code(),
            Self::Listen { .. } => "cannot-listen",
            Self::Cancelled => "cancelled",
            Self::Internal(_) => "internal",
        }
    }

    /// How the failure is classed.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::Word(_) | Self::Config(_) | Self::Catalog { .. } | Self::NoPeers | Self::Listen { .. } => {
                ErrorCategory::Usage
            }
            Self::NotInCatalog { .. }
            | Self::AlreadyInstalled { .. }
            | Self::InProgress { .. }
            | Self::ForeignState { .. }
            | Self::Ambiguous { .. } => ErrorCategory::Refused,
            Self::NotOffered { .. } | Self::Peer { .. } => ErrorCategory::NotOffered,
            Self::AllSourcesFailed { .. } => ErrorCategory::SourcesFailed,
            Self::Local(_) => ErrorCategory::Local,
            Self::Cancelled => ErrorCategory::Interrupted,
            Self::Internal(_) => ErrorCategory::Unexpected,
        }
    }

    /// What the user can do about it, when there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::AlreadyInstalled { .. } => Some("remove or rename that folder to install it again"),
            Self::InProgress { .. } => Some("wait for it to end, or stop that process"),
            Self::ForeignState { .. } => Some("look at it, then move it away yourself"),
            Self::NoPeers => Some("name one with --peer HOST:PORT; peers are not discovered yet"),
            Self::NotOffered { .. } => {
                Some("`lanspread-peer-cli list --peer HOST:PORT` shows what a peer offers")
            }
            Self::Ambiguous { .. } => Some("give --catalog, or only the peers you trust with --peer"),
            Self::NotInCatalog { .. } => Some("check the spelling, or add the game to the catalog"),
            Self::Peer { .. } => Some("check that the peer runs, its address and port, and the firewall"),
            _ => None,
        }
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn answers(peers: &[PeerAnswer]) -> String {
    list(peers.iter().map(|answer| format!("{}: {}", answer.peer, answer.reason)))
}

fn attempts_list(attempts: &[AttemptFailure]) -> String {
    list(attempts.iter().map(|attempt| format!("{}: {}", attempt.peer, attempt.message)))
}

/// Joins reasons into one line; one long line is still one line, a hundred peers are not shown.
fn list(parts: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 6;
    let count = parts.len();
    if count == 0 {
        return String::new();
    }
    let mut text = format!(": {}", parts.take(SHOWN).collect::<Vec<_>>().join("; "));
    if count > SHOWN {
        text += &format!("; and {} more", count - SHOWN);
    }
    text
}
