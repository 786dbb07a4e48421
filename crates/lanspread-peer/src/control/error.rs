//! Errors between a command and a daemon.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lanspread_types::fault::{ForeignState, LocalError};

use crate::report::failure::{ErrorCategory, OperationFailure};

/// A daemon that does not run, runs already, or cannot be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Another daemon already owns the folder.
    #[error("a daemon{} already owns {}", pid(*holder_pid), path.display())]
    DaemonRunning {
        /// The games or state directory.
        path: PathBuf,
        /// Its process, if it could be read.
        holder_pid: Option<u32>,
    },
    /// A daemon owns the games directory but does not answer.
    #[error("the daemon{} of {} does not answer at {}: {source}", pid(*holder_pid), games_dir.display(), socket.display())]
    DaemonUnreachable {
        /// The games directory.
        games_dir: PathBuf,
        /// Its process, if it could be read.
        holder_pid: Option<u32>,
        /// Its control socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program that answers for the games directory belongs to another user.
    #[error("the control socket {} of {} belongs to user {owner}, who is neither this user nor root", socket.display(), games_dir.display())]
    DaemonUntrusted {
        /// The games directory.
        games_dir: PathBuf,
        /// The control socket.
        socket: PathBuf,
        /// The number of the user who listens there.
        owner: u32,
    },
    /// This user may not command the daemon; perhaps it may ask it.
    #[error("user {user} may not command the daemon of {}", games_dir.display())]
    NotPermitted {
        /// The games directory.
        games_dir: PathBuf,
        /// The number of this user.
        user: u32,
    },
    /// The request came over the socket on which a daemon can only be asked.
    #[error("this socket is for questions, and does not take commands")]
    QuestionsOnly,
    /// The daemon has sent nothing for [`lanspread_types::limits::CONTROL_SILENCE_DEADLINE`].
    #[error("the daemon{} of {} has said nothing for {} s", pid(*holder_pid), games_dir.display(), after.as_secs())]
    DaemonSilent {
        /// The games directory.
        games_dir: PathBuf,
        /// Its process, if it could be read.
        holder_pid: Option<u32>,
        /// How long it was waited for.
        after: Duration,
    },
    /// The daemon ended before the request was done.
    #[error("the daemon of {} ended before this was done", games_dir.display())]
    DaemonGone {
        /// The games directory.
        games_dir: PathBuf,
    },
    /// The request needs a daemon.
    #[error("no daemon serves {}", games_dir.display())]
    NoDaemon {
        /// The games directory.
        games_dir: PathBuf,
    },
    /// The other side does not keep to the protocol, or the connection broke.
    #[error("the daemon and this command do not understand each other: {0}")]
    Broken(String),
    /// Another program holds the lock file of a daemon.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// This machine's disk.
    #[error(transparent)]
    Local(LocalError),
}

impl From<LocalError> for ControlError {
    /// Foreign state keeps its own variant, whichever layer reports it.
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

impl ControlError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DaemonRunning { .. } => "daemon-running",
            Self::DaemonUnreachable { .. } => "daemon-unreachable",
            Self::DaemonUntrusted { .. } => "daemon-untrusted",
            Self::NotPermitted { .. } | Self::QuestionsOnly => "not-permitted",
            Self::DaemonSilent { .. } => "daemon-silent",
            Self::DaemonGone { .. } => "daemon-gone",
            Self::NoDaemon { .. } => "no-daemon",
            Self::Broken(_) => "control-protocol",
            Self::Foreign(_) => "foreign-state",
            Self::Local(error) => error.code(),
        }
    }

    /// Class of the failure.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::DaemonRunning { .. }
            | Self::DaemonUntrusted { .. }
            | Self::NotPermitted { .. }
            | Self::QuestionsOnly
            | Self::Foreign(_) => ErrorCategory::Refused,
            Self::DaemonUnreachable { .. } | Self::DaemonSilent { .. } | Self::NoDaemon { .. } => {
                ErrorCategory::NotOffered
            }
            Self::DaemonGone { .. } | Self::Broken(_) => ErrorCategory::Unexpected,
            Self::Local(_) => ErrorCategory::Local,
        }
    }
}

impl From<&ControlError> for OperationFailure {
    fn from(error: &ControlError) -> Self {
        Self::new(error.code(), error.category(), &error.to_string())
    }
}

impl From<ControlError> for OperationFailure {
    fn from(error: ControlError) -> Self {
        Self::from(&error)
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
