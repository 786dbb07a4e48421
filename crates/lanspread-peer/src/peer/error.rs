//! The errors of a peer: the sum of its layers' errors, and those of the peer as a whole.
//!
//! Every error has a stable kebab-case code, a category and the evidence in its text. It does not say what a user can
//! do: the program that shows the error knows that best, and looks it up by code and [`PeerError::cause`].

use std::io;
use std::path::PathBuf;

use lanspread_archive::ArchiveError;
use lanspread_proto::WireError;
use lanspread_store::StoreError;
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::{GameId, GameVersion, WordError};

use crate::control::error::ControlError;
use crate::discovery::search_outcome::{DiscoverySearch, SearchOutcome};
use crate::locked_game::ThreadEnded;
use crate::operations::OperationsError;
use crate::receive::error::{NO_PLACE, ReceiveError};
use crate::report::failure::{AttemptFailure, Code, ErrorCategory, OperationFailure, PeerAnswer};
use crate::trust::error::TrustError;
use crate::trust::saved_peers::SavedPeersError;

/// Why an operation of a [`crate::Peer`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A name, id, version or address from outside is not valid.
    #[error(transparent)]
    Word(#[from] WordError),
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// The game is not in the catalog.
    #[error("{game} is not in the catalog {}", catalog.display())]
    NotInCatalog {
        /// The game asked for.
        game: GameId,
        /// The catalog file.
        catalog: PathBuf,
    },
    /// The state of the game on this machine's disk does not allow the operation.
    #[error(transparent)]
    Store(StoreError),
    /// A file or folder that lanspread did not make is in a place that only lanspread writes.
    #[error(transparent)]
    Foreign(#[from] ForeignState),
    /// There are no peers to ask.
    #[error("{}", searched.explanation())]
    NoPeers {
        /// How and where peers were searched for.
        searched: Box<SearchOutcome>,
    },
    /// No peer offers the game.
    #[error("no peer offers {game}{}{}", answers(peers), searched.remark())]
    NotOffered {
        /// The game asked for.
        game: GameId,
        /// The peers that were asked, and why each is not a source.
        peers: Vec<PeerAnswer>,
        /// How and where peers were searched for.
        searched: Box<SearchOutcome>,
    },
    /// No game of those that were asked about has this id or fits this pattern.
    #[error("no game fits {what}")]
    NoGame {
        /// The id or pattern.
        what: String,
    },
    /// Neither the catalog nor a source has the version that was asked for.
    #[error("version {version} of {game} is not to be had: {why}")]
    VersionNotOffered {
        /// The game asked for.
        game: GameId,
        /// The version asked for.
        version: GameVersion,
        /// What the catalog or the sources have.
        why: String,
    },
    /// The peers contradict each other and no side is larger than the others.
    #[error("the peers disagree about {game} and no side is larger: {}", groups.join(" against "))]
    Ambiguous {
        /// The game asked for.
        game: GameId,
        /// The sides: what each says, and which peers say it.
        groups: Vec<String>,
    },
    /// No peer offers the game, and no manifest says what the files of the servers must be.
    #[error("{no_peer}; and no manifest lists the files of {game} on a server{}", answers(servers))]
    NoManifest {
        /// The game asked for.
        game: GameId,
        /// The servers, and why each has no manifest that can be used.
        servers: Vec<PeerAnswer>,
        /// Why no peer is a source.
        no_peer: String,
    },
    /// Every validated source failed.
    #[error("every source of {game} failed{}", attempts_list(attempts))]
    AllSourcesFailed {
        /// The game asked for.
        game: GameId,
        /// One failure per attempt, in order.
        attempts: Vec<AttemptFailure>,
    },
    /// No source has a place, and the operation waits no longer.
    #[error("no source of {game} has a place{}", attempts_list(attempts))]
    NoPlace {
        /// The game asked for.
        game: GameId,
        /// Each source that has none, with its queue, and those that failed.
        attempts: Vec<AttemptFailure>,
    },
    /// This machine's disk failed or is full.
    #[error(transparent)]
    Local(LocalError),
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
        /// The error of the operating system.
        source: io::Error,
    },
    /// The games directory does not exist.
    #[error("the games directory {} does not exist", games_dir.display())]
    NoGamesDir {
        /// The games directory.
        games_dir: PathBuf,
    },
    /// The peer does not serve.
    #[error("no daemon serves {}", games_dir.display())]
    NotServing {
        /// The games directory.
        games_dir: PathBuf,
    },
    /// The identity or the catalog is not usable.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The saved peers are not usable.
    #[error(transparent)]
    SavedPeers(#[from] SavedPeersError),
    /// No peer of this name or identity answers.
    #[error("no peer answers as `{seat}`")]
    NoSuchSeat {
        /// The name or identity.
        seat: String,
    },
    /// Several peers that answer have this name.
    #[error("several peers answer as `{seat}`")]
    AmbiguousSeat {
        /// The name.
        seat: String,
    },
    /// No peer accepts operations from this one.
    #[error("no peer that answers accepts operations from this machine")]
    NoSeats,
    /// There is no penalty to clear.
    #[error("{offender} is not penalised")]
    NotPenalised {
        /// The identity or address as given.
        offender: String,
    },
    /// The operation was not accepted, or not cancelled.
    #[error(transparent)]
    Operations(#[from] OperationsError),
    /// A daemon, or the connection to it, failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The network was to be searched, or this peer announced there, by a program that was built without that: its peers are
    /// named, saved, or connect to it.
    #[error("this program was built without multicast DNS, so it cannot find peers that it does not know")]
    DiscoveryNotBuilt,
    /// The caller cancelled, or the peer is stopping.
    #[error("cancelled")]
    Cancelled,
    /// A fault inside lanspread, such as a task that ended abnormally.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl From<StoreError> for PeerError {
    /// Local errors, foreign state and cancellation keep their own variant, whichever layer reports them.
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

impl From<ThreadEnded> for PeerError {
    fn from(error: ThreadEnded) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<ReceiveError> for PeerError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::AllSourcesFailed { game, attempts } => Self::AllSourcesFailed { game, attempts },
            ReceiveError::NoPlace { game, attempts } => Self::NoPlace { game, attempts },
            ReceiveError::Store(error) => error.into(),
            ReceiveError::Cancelled => Self::Cancelled,
            ReceiveError::Internal(what) => Self::Internal(what),
        }
    }
}

impl From<PeerError> for OperationFailure {
    fn from(error: PeerError) -> Self {
        Self::from(&error)
    }
}

impl From<&PeerError> for OperationFailure {
    fn from(error: &PeerError) -> Self {
        let failure = Self::new(error.code(), error.category(), &error.to_string());
        Self { cause: error.cause().map(Code::from), ..failure }
    }
}

impl From<LocalError> for PeerError {
    /// Foreign state keeps its own variant, whichever layer reports it.
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Foreign(error) => Self::Foreign(error),
            error => Self::Local(error),
        }
    }
}

impl PeerError {
    /// The error of an operation for which only this version will do. Peers that answered and have another one do not have the
    /// game; if none answered, it stays what it is, with its cause.
    pub(super) fn about_version(self, game: &GameId, version: &GameVersion) -> Self {
        match self {
            Self::NotOffered { .. } if self.cause().is_none() => Self::VersionNotOffered {
                game: game.clone(),
                version: version.clone(),
                why: self.to_string(),
            },
            error => error,
        }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Word(_) => "invalid-word",
            Self::Config(_) => "invalid-config",
            Self::NotInCatalog { .. } => "not-in-catalog",
            Self::Store(error) => error.code(),
            Self::Foreign(_) => "foreign-state",
            Self::NoPeers { .. } => "no-peers",
            Self::NotOffered { .. } => "not-offered",
            Self::VersionNotOffered { .. } => "version-not-offered",
            Self::NoGame { .. } => "no-game",
            Self::NoManifest { .. } => "no-server-manifest",
            Self::Ambiguous { .. } => "ambiguous-metadata",
            Self::AllSourcesFailed { .. } => "all-sources-failed",
            Self::NoPlace { .. } => NO_PLACE,
            Self::Local(error) => error.code(),
            Self::Peer { source, .. } => source.code(),
            Self::Listen { .. } => "cannot-listen",
            Self::NoGamesDir { .. } => "no-games-dir",
            Self::NotServing { .. } => "no-daemon",
            Self::Trust(error) => error.code(),
            Self::SavedPeers(error) => error.code(),
            Self::NotPenalised { .. } => "not-penalised",
            Self::NoSuchSeat { .. } => "no-such-seat",
            Self::AmbiguousSeat { .. } => "not-one-peer",
            Self::NoSeats => "no-seats",
            Self::Operations(error) => error.code(),
            Self::Control(error) => error.code(),
            Self::DiscoveryNotBuilt => "discovery-not-built",
            Self::Cancelled => "cancelled",
            Self::Internal(_) => "internal",
        }
    }

    /// Category of the failure.
    pub fn category(&self) -> ErrorCategory {
        match self {
            // No peer was named and discovery was off: the request is incomplete.
            Self::NoPeers { searched } if searched.discovery == DiscoverySearch::Off => ErrorCategory::Usage,
            Self::Word(_)
            | Self::Config(_)
            | Self::Listen { .. }
            | Self::DiscoveryNotBuilt
            | Self::Store(StoreError::Archive { source: ArchiveError::ProgramMissing { .. }, .. }) => {
                ErrorCategory::Usage
            }
            Self::Store(
                StoreError::Archive { .. }
                | StoreError::NoFiles { .. }
                | StoreError::NotAsListed { .. }
                | StoreError::OtherBytes { .. }
                | StoreError::Differences { .. },
            ) => ErrorCategory::Content,
            Self::NotInCatalog { .. } | Self::Foreign(_) | Self::Store(_) | Self::Ambiguous { .. } => {
                ErrorCategory::Refused
            }
            Self::NoPeers { .. }
            | Self::NoSuchSeat { .. }
            | Self::NoSeats
            | Self::NotOffered { .. }
            | Self::VersionNotOffered { .. }
            | Self::NoGame { .. }
            | Self::NoManifest { .. }
            | Self::Peer { .. }
            | Self::NotServing { .. } => ErrorCategory::NotOffered,
            Self::AllSourcesFailed { .. } => ErrorCategory::SourcesFailed,
            Self::NoPlace { .. } => ErrorCategory::NoPlace,
            Self::Local(_) | Self::NoGamesDir { .. } => ErrorCategory::Local,
            Self::Trust(error) => error.category(),
            Self::SavedPeers(error) => error.category(),
            Self::NotPenalised { .. } | Self::AmbiguousSeat { .. } => ErrorCategory::Refused,
            Self::Operations(error) => error.category(),
            Self::Control(error) => error.category(),
            Self::Cancelled => ErrorCategory::Interrupted,
            Self::Internal(_) => ErrorCategory::Unexpected,
        }
    }

    /// Detail beyond the code, in kebab-case: why there are no peers, why an archive is refused, that names are refused
    /// only because other systems cannot store them, or which parts of a game differ.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::NoPeers { searched } => Some(searched.cause()),
            Self::NotOffered { searched, .. }
                if searched.asked > 0 && (searched.answered == 0 || searched.kept_apart().is_some()) =>
            {
                Some(searched.cause())
            }
            Self::Store(StoreError::Archive { source, .. }) => source.cause(),
            Self::Trust(error) => error.cause(),
            Self::Store(StoreError::Differences { damage, .. }) => Some(damage.as_str()),
            Self::AllSourcesFailed { attempts, .. }
                if !attempts.is_empty()
                    && attempts.iter().all(|attempt| attempt.cause.as_deref() == Some("not-portable")) =>
            {
                Some("not-portable")
            }
            _ => None,
        }
    }
}

fn answers(peers: &[PeerAnswer]) -> String {
    list(peers.iter().map(|answer| format!("{}: {}", answer.peer, answer.reason)))
}

fn attempts_list(attempts: &[AttemptFailure]) -> String {
    list(attempts.iter().map(|attempt| format!("{}: {}", attempt.peer, attempt.message)))
}

/// Joins reasons into one line. Only the first few are shown, because there may be a hundred peers.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_that_answered_do_not_have_the_version_and_those_that_did_not_are_still_the_cause() {
        let about = |answered| {
            let searched = Box::new(SearchOutcome { asked: 2, answered, ..SearchOutcome::default() });
            let error = PeerError::NotOffered { game: "g".parse().unwrap(), peers: Vec::new(), searched };
            let error = error.about_version(&"g".parse().unwrap(), &"7".parse().unwrap());
            (error.code(), error.cause())
        };
        assert_eq!(about(2), ("version-not-offered", None));
        assert_eq!(about(0), ("not-offered", Some("no-answer")));
    }
}
