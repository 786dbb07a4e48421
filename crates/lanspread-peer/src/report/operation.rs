//! What a peer can be told to do with a game, as data: options and kinds travel over the control socket as they are.

use std::fmt;
use std::time::Duration;

use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::{GameId, PeerAddress};
use lanspread_types::limits;
use serde::{Deserialize, Serialize};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Installs straight from another peer's archive, which is never stored.
    StreamInstall,
    /// Brings the game root's files here as they are.
    Download,
    /// Installs from the archives of the game root, which are downloaded first where they are not here.
    Install,
    /// Replaces what is here by the version that is wanted: archives, installed tree, or both.
    Update,
    /// Removes `local/`.
    Uninstall,
    /// Removes the downloaded files.
    Remove,
    /// Compares what is here with what was installed and downloaded.
    Verify,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::StreamInstall => "install --stream",
            Self::Download => "download",
            Self::Install => "install",
            Self::Update => "update",
            Self::Uninstall => "uninstall",
            Self::Remove => "remove",
            Self::Verify => "verify",
        })
    }
}

/// One operation as it is asked for. Two requests that are equal and come while one of them is not done are one
/// operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    /// What is done.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// How.
    #[serde(default)]
    pub options: OperationOptions,
}

/// How an operation is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationOptions {
    /// Peers to ask beside those that are known or found.
    pub peers: Vec<PeerAddress>,
    /// How peers are found.
    pub discovery: DiscoveryMode,
    /// Which names are accepted.
    pub names: NamePolicy,
    /// Goes on although files that the user added or changed are lost.
    pub force: bool,
}

/// How peers are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DiscoveryMode {
    /// Only peers that are named, saved, or known already.
    #[default]
    Off,
    /// By DNS-SD over multicast DNS.
    On {
        /// Longest wait, milliseconds. It ends sooner when the peers heard of are enough to decide.
        timeout_ms: u64,
    },
}

impl DiscoveryMode {
    /// The longest wait, within [`limits::DISCOVERY_TIMEOUT_MAX`]; nothing when it is off.
    pub fn timeout(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::On { timeout_ms } => {
                Some(Duration::from_millis(timeout_ms).min(limits::DISCOVERY_TIMEOUT_MAX))
            }
        }
    }
}

/// Which other peers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskOptions {
    /// Peers to ask beside those that are known or found.
    pub peers: Vec<PeerAddress>,
    /// How peers are found.
    pub discovery: DiscoveryMode,
}
