//! The errors of an attempt and of a whole download.

use lanspread_archive::ArchiveError;
use lanspread_proto::WireError;
use lanspread_proto::queued::QueuePosition;
use lanspread_store::StoreError;
use lanspread_trust::manifest::Deviation;
use lanspread_types::fault::{ContentError, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::limits;

use crate::locked_game::ThreadEnded;
use crate::packed::upstream_error::UpstreamError;
use crate::receive::blame::{Blame, blame};
use crate::report::failure::{AttemptFailure, Code};

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The connection, the protocol, or the source's own refusal.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What the source sent breaks a rule.
    #[error(transparent)]
    Content(ContentError),
    /// What the source sent is not what the manifest lists: it lies, or it has something else.
    #[error("{0}; it is not asked again")]
    Lied(Box<Deviation>),
    /// An archive that is decoded here cannot be installed, or is not what its manifest says. Each of its bytes is what
    /// the manifest lists, so no other source of it can help.
    #[error(transparent)]
    Archive(Box<ArchiveError>),
    /// No upstream of a packed stream is left; why the last one ended.
    #[error("no peer is left to go on from{}", .0.as_ref().map(|last| format!("; the last one: {last}")).unwrap_or_default())]
    NoUpstream(Option<Box<UpstreamError>>),
    /// This machine's disk failed or is full: no other source can help.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// This machine's disk failed, possibly because of what the source sent: another source may send something else.
    #[error(transparent)]
    Unfit(LocalError),
    /// The source is alive but slow, and another one waits for its turn.
    #[error(
        "less than {} KiB arrived in {} s, and another source has not been tried",
        limits::SLOW_SOURCE_BYTES / 1024,
        limits::SLOW_SOURCE_SPAN.as_secs()
    )]
    TooSlow,
    /// The source has no place, and another one may have, or the operation waits no longer.
    #[error("{}", no_place(*.0))]
    NoPlace(QueuePosition),
    /// The operation was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The install would lose files of the user, or a foreign file is in the way: no other source can help.
    #[error(transparent)]
    Refused(StoreError),
    /// A thread of the attempt ended early; if its own error is known, that error takes precedence.
    #[error("a thread of the attempt stopped")]
    ThreadStopped,
}

impl AttemptError {
    /// A failure to stage what the source sent.
    pub(crate) fn of_staging(error: LocalError) -> Self {
        match blame(&error) {
            Blame::Content => Self::Unfit(error),
            Blame::Machine => Self::Local(error),
        }
    }

    /// A failure to begin on this machine.
    pub(crate) fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Local(error) => Self::Local(error),
            StoreError::Cancelled => Self::Cancelled,
            error => Self::Refused(error),
        }
    }

    /// Detail beyond the code; see `PeerError::cause`.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Content(ContentError::Name(error)) if error.problem.is_about_other_systems() => {
                Some("not-portable")
            }
            Self::Archive(error) => error.cause(),
            _ => None,
        }
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Wire(error) => error.code().into(),
            Self::Content(error) => error.code().into(),
            Self::Archive(error) => error.code().into(),
            Self::Local(error) | Self::Unfit(error) => error.code().into(),
            Self::Lied(_) => "not-as-listed".into(),
            Self::NoUpstream(last) => last.as_ref().map_or("no-upstream", |last| last.code()).into(),
            Self::TooSlow => "too-slow".into(),
            Self::NoPlace(_) => NO_PLACE.into(),
            Self::Refused(error) => error.code().into(),
            Self::Cancelled => "cancelled".into(),
            Self::ThreadStopped => "internal".into(),
        }
    }
}

/// The code of a source that has no place.
pub(crate) const NO_PLACE: &str = "no-place";

/// The queue of a source that has no place.
pub(crate) fn no_place(position: QueuePosition) -> String {
    let ahead = position.ahead;
    match position.in_ms {
        Some(in_ms) => {
            format!("it has no place now; {ahead} wait before this machine, for about {} s", in_ms / 1000)
        }
        None => format!("it has no place now; {ahead} wait before this machine"),
    }
}

impl From<ContentError> for AttemptError {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}

impl From<ThreadEnded> for AttemptError {
    fn from(_: ThreadEnded) -> Self {
        Self::ThreadStopped
    }
}

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Every validated source failed.
    #[error("every source of {game} failed")]
    AllSourcesFailed {
        /// The game asked for.
        game: GameId,
        /// One failure per attempt, in order.
        attempts: Vec<AttemptFailure>,
    },
    /// No source has a place, and the operation waits no longer.
    #[error("no source of {game} has a place")]
    NoPlace {
        /// The game asked for.
        game: GameId,
        /// Each source that has none, with its queue, and those that failed.
        attempts: Vec<AttemptFailure>,
    },
    /// The state on this machine's disk, or the disk itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operation was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A fault inside lanspread, such as a task that ended abnormally.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl From<LocalError> for ReceiveError {
    fn from(error: LocalError) -> Self {
        Self::Store(error.into())
    }
}
