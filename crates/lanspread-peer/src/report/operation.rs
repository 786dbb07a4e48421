//! What a peer can do with a game, as data: kinds and options are sent over the control socket unchanged.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::entry_path::NamePolicy;
use lanspread_types::ids::{GameId, PeerAddress, PeerId};
use lanspread_types::limits;
use lanspread_types::source_url::SourceUrl;
use serde::{Deserialize, Serialize};

use crate::report::wanted::{GameForm, WantedVersion};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OperationKind {
    /// Installs straight from another peer's archive, which is never stored.
    StreamInstall,
    /// Fetches the files of the game root as they are.
    Download,
    /// Installs from the archives of the game root, and downloads them first if they are missing.
    Install,
    /// Replaces the archives, the installed tree, or both with the wanted version.
    Update,
    /// Removes `local/`.
    Uninstall,
    /// Removes the downloaded files.
    Remove,
    /// Compares the files on disk with what was installed and downloaded.
    Verify,
    /// Compares them, and fetches and replaces what differs.
    Repair,
    /// Brings a game to the wanted state, from whatever is here.
    Ensure,
    /// Removes the installed tree and the downloaded files, if there are any.
    Absent,
}

impl OperationKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 10] = [
        Self::StreamInstall,
        Self::Download,
        Self::Install,
        Self::Update,
        Self::Uninstall,
        Self::Remove,
        Self::Verify,
        Self::Repair,
        Self::Ensure,
        Self::Absent,
    ];

    /// Its word in requests, events and metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::StreamInstall => "stream-install",
            Self::Download => "download",
            Self::Install => "install",
            Self::Update => "update",
            Self::Uninstall => "uninstall",
            Self::Remove => "remove",
            Self::Verify => "verify",
            Self::Repair => "repair",
            Self::Ensure => "ensure",
            Self::Absent => "absent",
        }
    }
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
            Self::Repair => "repair",
            Self::Ensure => "ensure",
            Self::Absent => "absent",
        })
    }
}

/// A request for one operation. A request that equals one that is not done yet joins its operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    /// What to do.
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
#[non_exhaustive]
pub struct OperationOptions {
    /// Peers to ask in addition to those that are known or found.
    pub peers: Vec<PeerAddress>,
    /// HTTP servers that may have the game, beside those of the catalog.
    pub servers: Vec<SourceUrl>,
    /// How peers are found.
    pub discovery: DiscoveryMode,
    /// Which names are accepted.
    pub names: NamePolicy,
    /// Continues even if files that the user added or changed are lost.
    pub force: bool,
    /// Accepts content that no manifest verifies in the place of verified content.
    pub accept_unverified: bool,
    /// Which peers may be sources, beside the rules of the peer that does it.
    pub admission: AdmissionRules,
    /// Only these peers are sources, if there are any; and of the servers, only those that the request names.
    pub only_from: BTreeSet<PeerId>,
    /// How long to wait while no source has a place.
    pub wait: Wait,
    /// Where a streamed install is decoded.
    pub decode_at: DecodeAt,
    /// Whether a streamed install or a download passes on what it receives.
    pub relay: RelayChoice,
    /// Memory for packed bytes of a streamed install that is decoded here, or of a download; none for the usual amount.
    pub window_mib: Option<u32>,
    /// Which version is wanted.
    pub version: WantedVersion,
    /// What an *ensure* keeps of a game.
    pub form: GameForm,
    /// An *ensure* reads all bytes of what is here, and not only names and sizes.
    pub verify: bool,
}

/// Where a streamed install is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DecodeAt {
    /// At the receiver, if the sources say what their archives are made of; otherwise at the source.
    #[default]
    Receiver,
    /// At the source.
    Source,
}

/// Whether a streamed install or a download passes on what it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RelayChoice {
    /// It does not.
    Off,
    /// To one receiver with a later place in the wave.
    On {
        /// Where a peer that does not serve is followed; none for a free port of every address.
        #[serde(default)]
        listen: Option<SocketAddr>,
    },
}

impl Default for RelayChoice {
    fn default() -> Self {
        Self::On { listen: None }
    }
}

/// How long an operation waits while no source has a place for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Wait {
    /// Until its turn comes.
    #[default]
    Always,
    /// For this long in all.
    For {
        /// Milliseconds; none means that it does not wait.
        wait_ms: u64,
    },
}

impl Wait {
    /// The longest wait, at most [`limits::WAIT_MAX`]; none if there is no bound.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Always => None,
            Self::For { wait_ms } => Some(Duration::from_millis(wait_ms).min(limits::WAIT_MAX)),
        }
    }
}

/// Which other peers are let in and asked. What the user has decided in the state directory counts too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionRules {
    /// Only these, if there are any.
    pub allow: BTreeSet<PeerId>,
    /// Not these, even if they are allowed or trusted.
    pub deny: BTreeSet<PeerId>,
    /// Only those that are trusted, and those that are allowed.
    pub only_trusted: bool,
}

/// How peers are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum DiscoveryMode {
    /// Only peers that are named, saved, or already known.
    #[default]
    Off,
    /// By DNS-SD over multicast DNS.
    On {
        /// Longest wait, milliseconds. The search ends sooner if the peers heard of are enough to decide.
        timeout_ms: u64,
    },
}

impl DiscoveryMode {
    /// The longest wait, at most [`limits::DISCOVERY_TIMEOUT_MAX`]; none if discovery is off.
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
#[non_exhaustive]
pub struct AskOptions {
    /// Peers to ask in addition to those that are known or found.
    pub peers: Vec<PeerAddress>,
    /// How peers are found.
    pub discovery: DiscoveryMode,
}

impl OperationOptions {
    /// The same, with these HTTP servers to fetch from beside those of the catalog.
    #[must_use]
    pub fn with_servers(mut self, servers: Vec<SourceUrl>) -> Self {
        self.servers = servers;
        self
    }

    /// The same, with these peers to ask beside those that are known or found.
    #[must_use]
    pub fn with_peers(mut self, peers: Vec<PeerAddress>) -> Self {
        self.peers = peers;
        self
    }

    /// The same, with this way to find peers.
    #[must_use]
    pub fn with_discovery(mut self, discovery: DiscoveryMode) -> Self {
        self.discovery = discovery;
        self
    }

    /// The same, with these names accepted.
    #[must_use]
    pub fn with_names(mut self, names: NamePolicy) -> Self {
        self.names = names;
        self
    }

    /// The same, with these rules about which peers may be sources.
    #[must_use]
    pub fn with_admission(mut self, admission: AdmissionRules) -> Self {
        self.admission = admission;
        self
    }

    /// The same, with only these peers as sources, if there are any.
    #[must_use]
    pub fn with_only_from(mut self, only_from: BTreeSet<PeerId>) -> Self {
        self.only_from = only_from;
        self
    }

    /// The same, with this bound of the wait for a place.
    #[must_use]
    pub fn with_wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// The same, decoded there.
    #[must_use]
    pub fn with_decode_at(mut self, decode_at: DecodeAt) -> Self {
        self.decode_at = decode_at;
        self
    }

    /// The same, with what is received passed on or not.
    #[must_use]
    pub fn with_relay(mut self, relay: RelayChoice) -> Self {
        self.relay = relay;
        self
    }

    /// The same, with so much memory for packed bytes.
    #[must_use]
    pub fn with_window_mib(mut self, window_mib: Option<u32>) -> Self {
        self.window_mib = window_mib;
        self
    }

    /// The same, with this version wanted.
    #[must_use]
    pub fn with_version(mut self, version: WantedVersion) -> Self {
        self.version = version;
        self
    }

    /// The same, with this kept of a game.
    #[must_use]
    pub fn with_form(mut self, form: GameForm) -> Self {
        self.form = form;
        self
    }

    /// The same, with all bytes of what is here read or not.
    #[must_use]
    pub fn with_verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Memory for packed bytes, within its bounds.
    pub(crate) fn window_bytes(&self) -> u64 {
        let wanted = self.window_mib.map_or(limits::PACKED_WINDOW_BYTES, |mib| u64::from(mib) << 20);
        wanted.clamp(limits::PACKED_WINDOW_BYTES_MIN, limits::PACKED_WINDOW_BYTES_MAX)
    }

    /// The same, with the loss of user files permitted or not.
    #[must_use]
    pub fn with_force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// The same, with unverified content accepted in the place of verified content or not.
    #[must_use]
    pub fn with_accept_unverified(mut self, accept_unverified: bool) -> Self {
        self.accept_unverified = accept_unverified;
        self
    }
}

impl AskOptions {
    /// The same, with these peers to ask beside those that are known or found.
    #[must_use]
    pub fn with_peers(mut self, peers: Vec<PeerAddress>) -> Self {
        self.peers = peers;
        self
    }

    /// The same, with this way to find peers.
    #[must_use]
    pub fn with_discovery(mut self, discovery: DiscoveryMode) -> Self {
        self.discovery = discovery;
        self
    }
}
