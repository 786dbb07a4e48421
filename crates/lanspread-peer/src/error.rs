//! What an operation of a peer can fail with: a stable code each, the evidence, a category, a hint.
//!
//! Codes are kebab-case and never change; texts may. What the layers below fail with stands in `fault.rs`,
//! `archive/error.rs` and `wire/error.rs`.

use std::io;
use std::path::PathBuf;

use lanspread_archive::ArchiveError;
use lanspread_proto::WireError;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, PeerName, WordError};
use serde::{Deserialize, Serialize};

use crate::event::Code;
use crate::operation::OperationFailure;
use crate::searched::{DiscoverySearch, Searched};
use lanspread_store::StoreError;
use lanspread_types::fault::ForeignState;

/// How a failed operation is classed; the command line gives each class its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Content of this machine is not what it should be.
    Content,
    /// The disk of this machine.
    Local,
    /// Cancelled by the user.
    Interrupted,
}

/// A peer that was asked and cannot be a source, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAnswer {
    /// Name of the peer, or the address when it never said its name.
    pub peer: String,
    /// Why it is no source.
    pub reason: String,
}

/// A failed attempt, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailure {
    /// Name of the source.
    pub peer: PeerName,
    /// Stable kebab-case code.
    pub code: Code,
    /// Why, in one line.
    pub message: String,
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
    /// What stands on this machine's disk refuses the operation.
    #[error(transparent)]
    Store(StoreError),
    /// Something stands where only we write.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// No peers to ask.
    #[error("{}", searched.why_nobody())]
    NoPeers {
        /// Where they were looked for.
        searched: Box<Searched>,
    },
    /// Nobody offers the game.
    #[error("no peer offers {game}{}{}", answers(peers), searched.remark())]
    NotOffered {
        /// The game asked for.
        game: GameId,
        /// Who was asked and why each is no source.
        peers: Vec<PeerAnswer>,
        /// Where peers were looked for.
        searched: Box<Searched>,
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
    /// Another daemon is there already.
    #[error("a daemon{} has {} already", pid(*holder_pid), path.display())]
    DaemonRunning {
        /// The games or state directory.
        path: PathBuf,
        /// Its process, when it could be read.
        holder_pid: Option<u32>,
    },
    /// A daemon owns the games directory but does not answer.
    #[error("the daemon{} of {} does not answer at {}: {source}", pid(*holder_pid), games_dir.display(), socket.display())]
    DaemonUnreachable {
        /// The games directory.
        games_dir: PathBuf,
        /// Its process, when it could be read.
        holder_pid: Option<u32>,
        /// Its control socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon ended before it was done.
    #[error("the daemon of {} ended before this was done", games_dir.display())]
    DaemonGone {
        /// The games directory.
        games_dir: PathBuf,
    },
    /// What was asked needs a daemon.
    #[error("no daemon serves {}", games_dir.display())]
    NoDaemon {
        /// The games directory.
        games_dir: PathBuf,
    },
    /// Nothing to cancel.
    #[error("no operation on {game} is running or waiting")]
    NoOperation {
        /// The game asked for.
        game: GameId,
    },
    /// A peer that is not in the list of saved ones.
    #[error("{peer} is not a saved peer")]
    NotSaved {
        /// The peer as given.
        peer: String,
    },
    /// Too many operations wait.
    #[error("{waiting} operations wait already, the limit")]
    QueueFull {
        /// How many wait.
        waiting: usize,
    },
    /// The daemon failed the request; it says why.
    #[error(transparent)]
    Daemon(#[from] OperationFailure),
    /// The control conversation is broken.
    #[error("the daemon and this command do not understand each other: {0}")]
    Control(String),
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    /// A task of ours ended in a way it must not.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl From<StoreError> for PeerError {
    /// The side errors and a cancellation are what they are, whichever layer met them.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Local(error) => Self::Local(error),
            StoreError::Foreign(error) => Self::Foreign(error),
            StoreError::Cancelled => Self::Cancelled,
            StoreError::Internal(what) => Self::Internal(what),
            error => Self::Store(error),
        }
    }
}

impl PeerError {
    /// Stable kebab-case code.
    pub fn code(&self) -> Code {
        match self {
            Self::Daemon(failure) => failure.code.clone(),
            other => other.fixed_code().into(),
        }
    }

    fn fixed_code(&self) -> &'static str {
        match self {
            Self::Word(_) => "invalid-word",
            Self::Config(_) => "invalid-config",
            Self::Catalog { .. } => "catalog-unusable",
            Self::NotInCatalog { .. } => "not-in-catalog",
            Self::Store(error) => error.code(),
            Self::Foreign(_) => "foreign-state",
            Self::NoPeers { .. } => "no-peers",
            Self::NotOffered { .. } => "not-offered",
            Self::Ambiguous { .. } => "ambiguous-metadata",
            Self::AllSourcesFailed { .. } => "all-sources-failed",
            Self::Local(local) => local.code(),
            Self::Peer { source, .. } => source.code(),
            Self::Listen { .. } => "cannot-listen",
            Self::DaemonRunning { .. } => "daemon-running",
            Self::DaemonUnreachable { .. } => "daemon-unreachable",
            Self::DaemonGone { .. } => "daemon-gone",
            Self::NoDaemon { .. } => "no-daemon",
            Self::NoOperation { .. } => "no-operation",
            Self::NotSaved { .. } => "not-saved",
            Self::QueueFull { .. } => "queue-full",
            Self::Daemon(_) | Self::Control(_) => "control-protocol",
            Self::Cancelled => "cancelled",
            Self::Internal(_) => "internal",
        }
    }

    /// How the failure is classed.
    pub fn category(&self) -> ErrorCategory {
        match self {
            // Nobody was named and nobody was looked for: the request lacks something.
            Self::NoPeers { searched } if searched.discovery == DiscoverySearch::Off => ErrorCategory::Usage,
            Self::Word(_)
            | Self::Config(_)
            | Self::Catalog { .. }
            | Self::Listen { .. }
            | Self::Store(StoreError::Archive { source: ArchiveError::ProgramMissing { .. }, .. }) => {
                ErrorCategory::Usage
            }
            Self::Store(StoreError::Archive { .. } | StoreError::Differences { .. }) => {
                ErrorCategory::Content
            }
            Self::NotInCatalog { .. }
            | Self::DaemonRunning { .. }
            | Self::NoOperation { .. }
            | Self::NotSaved { .. }
            | Self::QueueFull { .. }
            | Self::Foreign(_)
            | Self::Store(_)
            | Self::Ambiguous { .. } => ErrorCategory::Refused,
            Self::NoPeers { .. }
            | Self::NotOffered { .. }
            | Self::Peer { .. }
            | Self::NoDaemon { .. }
            | Self::DaemonUnreachable { .. } => ErrorCategory::NotOffered,
            Self::Daemon(failure) => failure.category,
            Self::Control(_) | Self::DaemonGone { .. } | Self::Internal(_) => ErrorCategory::Unexpected,
            Self::AllSourcesFailed { .. } => ErrorCategory::SourcesFailed,
            Self::Local(_) => ErrorCategory::Local,
            Self::Cancelled => ErrorCategory::Interrupted,
        }
    }

    /// What the user can do about it, when there is something.
    pub fn hint(&self) -> Option<Code> {
        if let Self::Daemon(failure) = self {
            return failure.hint.clone();
        }
        self.fixed_hint().map(Code::from)
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(StoreError::AlreadyInstalled { .. }) => {
                Some("`update` brings a newer version; `uninstall` removes it, to install it again")
            }
            Self::Store(StoreError::AlreadyDownloaded { .. }) => {
                Some("`update` brings a newer version, `verify` checks this one, `remove` removes it")
            }
            Self::Store(StoreError::UserFiles { .. } | StoreError::NoReceipt { .. }) => {
                Some("move them elsewhere, or give --force to lose them")
            }
            Self::Store(StoreError::Differences { .. }) => {
                Some("`uninstall` and `install`, or `remove` and `download`, bring it back whole")
            }
            Self::Store(StoreError::InProgress { .. }) => Some("wait for it to end, or stop that process"),
            Self::Foreign(_) => Some("look at it, then move it away yourself"),
            Self::NoPeers { searched } => Some(searched.hint()),
            Self::NotOffered { searched, .. } if searched.asked > 0 && searched.answered == 0 => {
                Some(searched.hint())
            }
            Self::NotOffered { .. } => Some("`lanspread-peer-cli list` shows what is offered"),
            Self::Ambiguous { .. } => Some("name the peers you trust: --no-discovery --peer HOST:PORT"),
            Self::DaemonRunning { .. } => {
                Some("it can be told what to do: run the command with the same --games-dir")
            }
            Self::DaemonUnreachable { .. } => {
                Some("run the command as the daemon's user, or give --no-daemon to work beside it")
            }
            Self::NotSaved { .. } => Some("`lanspread-peer-cli peers list` shows them"),
            Self::DaemonGone { .. } => Some("start it again: it puts in order what was interrupted"),
            Self::NoDaemon { .. } => Some("start one with `lanspread-peer-cli serve --games-dir DIR`"),
            Self::NotInCatalog { .. } => Some("check the spelling, or add the game to the catalog"),
            Self::Peer { source: WireError::SelfConnect, .. } => None,
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
