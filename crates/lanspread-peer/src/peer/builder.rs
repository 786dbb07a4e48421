//! The configuration of a peer, and how to build one from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::handshake::{Admission, Introduction};
use lanspread_proto::message::Hello;
use lanspread_tls::endpoint::Endpoint;
use lanspread_trust::minisign::Signer;
use lanspread_trust::party::PartyKey;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId, PeerName};
use lanspread_types::limits;

use crate::discovery::search;
use crate::operations::Operations;
use crate::peer::core::{Inner, Peer};
use crate::peer::error::PeerError;
use crate::peer::leftovers::Leftovers;
use crate::peer::metrics;
use crate::peer::network_search::check_discovery;
use crate::report::channel::EventSender;
use crate::report::operation::AdmissionRules;
use crate::source::Source;
use crate::task::Tasks;
use crate::traffic::TrafficLimits;
use crate::trust::catalog_store::CatalogStore;
use crate::trust::live_catalog::{LiveCatalog, Pinned};
use crate::trust::manifest_store::ManifestStore;
use crate::trust::peer_rules::PeerRules;
use crate::trust::penalties::Penalties;
use crate::trust::saved_peers::SavedPeers;
use crate::trust::{identity, party};

/// The configuration of a peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerConfig {
    /// The games directory.
    pub games_dir: PathBuf,
    /// The state directory, with identity and settings; by default that of the user.
    pub state_dir: Option<PathBuf>,
    /// File with the line of the peer's party; by default that of the state directory.
    pub party_file: Option<PathBuf>,
    /// Name shown to people; by default the host name.
    pub name: Option<PeerName>,
    /// The catalog file. Without one, the peer offers every game that has a sentinel.
    pub catalog: Option<PathBuf>,
    /// The key that must have signed the catalog. Without one, the catalog file is trusted as it is.
    pub catalog_key: Option<Signer>,
    /// Whether newer catalogs that are signed by this key are taken from peers.
    pub catalog_from_peers: bool,
    /// Whether installed files that were verified are served to peers, entry by entry, if their archives are not here.
    pub share_installed: bool,
    /// The decoder for serving, and for installing from local archives.
    pub provider: ProviderChoice,
    /// The largest dictionary that an archive may need, up to [`limits::DICTIONARY_BYTES_MAX`] bytes. Each archive that is
    /// decoded takes that much memory if it needs it.
    pub dictionary_bytes_max: u64,
    /// Most streams served at once, 1 to [`limits::STREAMS_MAX`].
    pub streams_max: usize,
    /// Most operations that run at once, 1 to [`limits::OPERATIONS_RUNNING_MAX`].
    pub operations_max: usize,
    /// The limits for what it sends and receives of games; [`Peer::set_limits`] changes them while it runs.
    pub limits: TrafficLimits,
    /// Whether a serving peer announces itself on the network and discovers others there.
    pub discovery: bool,
    /// Peers to which a serving peer keeps a connection, in addition to those that are saved or discovered.
    pub peers: Vec<PeerAddress>,
    /// Which peers it lets in and asks.
    pub admission: AdmissionRules,
    /// Peers that may have games installed, updated and checked here while it serves, by their proved identities.
    pub accept_from: BTreeSet<PeerId>,
    /// The games that the room wants, in a version if it has to be this one; none if no list says which.
    pub games_wanted: Option<BTreeMap<GameId, Option<GameVersion>>>,
    /// How long a source may send nothing before it is given up; [`limits::STREAM_IDLE_DEADLINE`] unless a test cannot
    /// wait that long.
    pub idle_timeout: Duration,
    /// Port of multicast DNS; tests use ports of their own.
    pub(crate) discovery_port: u16,
}

/// Configures a peer step by step.
#[derive(Debug, Clone)]
pub struct PeerBuilder {
    config: PeerConfig,
}

impl PeerBuilder {
    fn new(games_dir: PathBuf) -> Self {
        Self {
            config: PeerConfig {
                games_dir,
                state_dir: None,
                party_file: None,
                name: None,
                catalog: None,
                catalog_key: None,
                catalog_from_peers: false,
                share_installed: false,
                provider: ProviderChoice::Native,
                dictionary_bytes_max: limits::DICTIONARY_BYTES_DEFAULT,
                streams_max: limits::STREAMS_MAX_DEFAULT,
                operations_max: limits::OPERATIONS_RUNNING_DEFAULT,
                limits: TrafficLimits::default(),
                discovery: false,
                peers: Vec::new(),
                admission: AdmissionRules::default(),
                accept_from: BTreeSet::new(),
                games_wanted: None,
                idle_timeout: limits::STREAM_IDLE_DEADLINE,
                discovery_port: search::PORT,
            },
        }
    }

    /// Sets the state directory, with identity and settings.
    #[must_use]
    pub fn state_dir(mut self, state_dir: impl Into<PathBuf>) -> Self {
        self.config.state_dir = Some(state_dir.into());
        self
    }

    /// Sets a file with the line of the peer's party, instead of that of the state directory.
    #[must_use]
    pub fn party_file(mut self, party_file: impl Into<PathBuf>) -> Self {
        self.config.party_file = Some(party_file.into());
        self
    }

    /// Sets the name shown to people.
    #[must_use]
    pub fn name(mut self, name: PeerName) -> Self {
        self.config.name = Some(name);
        self
    }

    /// Sets the catalog file.
    #[must_use]
    pub fn catalog(mut self, catalog: impl Into<PathBuf>) -> Self {
        self.config.catalog = Some(catalog.into());
        self
    }

    /// Sets the key that must have signed the catalog: a public key of minisign, or the Ed25519 key alone.
    #[must_use]
    pub fn catalog_key(mut self, signer: impl Into<Signer>) -> Self {
        self.config.catalog_key = Some(signer.into());
        self
    }

    /// Sets whether newer catalogs that are signed by the key are taken from peers.
    #[must_use]
    pub fn catalog_from_peers(mut self, from_peers: bool) -> Self {
        self.config.catalog_from_peers = from_peers;
        self
    }

    /// Sets whether installed files that were verified are served to peers, if their archives are not here.
    #[must_use]
    pub fn share_installed(mut self, share_installed: bool) -> Self {
        self.config.share_installed = share_installed;
        self
    }

    /// Sets the decoder for serving, and for installing from local archives.
    #[must_use]
    pub fn provider(mut self, provider: ProviderChoice) -> Self {
        self.config.provider = provider;
        self
    }

    /// Sets the largest dictionary that an archive may need, in bytes.
    #[must_use]
    pub fn dictionary_bytes_max(mut self, dictionary_bytes_max: u64) -> Self {
        self.config.dictionary_bytes_max = dictionary_bytes_max;
        self
    }

    /// Sets how many streams are served at once at most.
    #[must_use]
    pub fn streams_max(mut self, streams_max: usize) -> Self {
        self.config.streams_max = streams_max;
        self
    }

    /// Sets how many operations run at once at most.
    #[must_use]
    pub fn operations_max(mut self, operations_max: usize) -> Self {
        self.config.operations_max = operations_max;
        self
    }

    /// Sets whether a serving peer announces itself on the network and discovers others there.
    #[must_use]
    pub fn discovery(mut self, discovery: bool) -> Self {
        self.config.discovery = discovery;
        self
    }

    /// Sets the limits for what it sends and receives of games.
    #[must_use]
    pub fn limits(mut self, limits: TrafficLimits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Sets peers to which a serving peer keeps a connection, in addition to those that are saved or discovered.
    #[must_use]
    pub fn peers(mut self, peers: Vec<PeerAddress>) -> Self {
        self.config.peers = peers;
        self
    }

    /// Sets which peers it lets in and asks.
    #[must_use]
    pub fn admission(mut self, admission: AdmissionRules) -> Self {
        self.config.admission = admission;
        self
    }

    /// Sets which games the room wants, in a version if it has to be this one. Without a list, every game is wanted that a
    /// seat has or works on.
    #[must_use]
    pub fn games_wanted(mut self, games_wanted: BTreeMap<GameId, Option<GameVersion>>) -> Self {
        self.config.games_wanted = Some(games_wanted);
        self
    }

    /// Sets which peers may have games installed, updated and checked here while it serves.
    #[must_use]
    pub fn accept_from(mut self, accept_from: BTreeSet<PeerId>) -> Self {
        self.config.accept_from = accept_from;
        self
    }

    /// How long a source may send nothing before it is given up.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.config.idle_timeout = idle_timeout;
        self
    }

    /// Announces and searches on another port than that of multicast DNS.
    #[cfg(test)]
    pub(crate) fn discovery_port(mut self, port: u16) -> Self {
        self.config.discovery_port = port;
        self
    }

    /// Makes the peer: reads the catalog, and reads or creates the identity. The peer does not serve yet.
    ///
    /// # Errors
    /// [`PeerError::Config`], [`PeerError::Trust`] for the catalog or the identity, or [`PeerError::Local`];
    /// [`PeerError::DiscoveryNotBuilt`] for discovery without the feature `discovery`.
    pub fn build(self) -> Result<Peer, PeerError> {
        Peer::from_config(self.config)
    }
}

impl Peer {
    /// Starts the configuration of a peer with this games directory.
    pub fn builder(games_dir: impl Into<PathBuf>) -> PeerBuilder {
        PeerBuilder::new(games_dir.into())
    }

    /// Makes a peer from its configuration; see [`PeerBuilder::build`].
    ///
    /// # Errors
    /// [`PeerError::Config`], [`PeerError::Trust`] for the catalog or the identity, or [`PeerError::Local`];
    /// [`PeerError::DiscoveryNotBuilt`] for discovery without the feature `discovery`.
    pub fn from_config(config: PeerConfig) -> Result<Self, PeerError> {
        check_count("streams", config.streams_max, limits::STREAMS_MAX)?;
        check_count("operations", config.operations_max, limits::OPERATIONS_RUNNING_MAX)?;
        check_count("peers", config.peers.len().max(1), limits::PEERS_MAX)?;
        check_discovery(config.discovery)?;
        if config.dictionary_bytes_max > limits::DICTIONARY_BYTES_MAX {
            let (limit, got) = (limits::DICTIONARY_BYTES_MAX, config.dictionary_bytes_max);
            return Err(PeerError::Config(format!(
                "the largest dictionary must be at most {limit} bytes, not {got}"
            )));
        }
        let metadata = match std::fs::metadata(&config.games_dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(PeerError::NoGamesDir { games_dir: config.games_dir });
            }
            read => read.map_err(LocalError::io("open the games directory", &config.games_dir))?,
        };
        if !metadata.is_dir() {
            return Err(PeerError::Config(format!("{} is not a folder", config.games_dir.display())));
        }
        let state_dir = identity::state_dir(config.state_dir.clone())?;
        let saved_peers = SavedPeers::of(Some(state_dir.clone()))?;
        let rules = Arc::new(PeerRules::new(config.admission.clone(), saved_peers.clone())?);
        let member = member(&state_dir, config.name.clone(), config.party_file.as_deref(), &rules)?;
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let signer = config.catalog_key.or(member.catalog_signer);
        let catalog = live_catalog(&config, signer, &state_dir, &events)?.map(Arc::new);
        let manifests = Arc::new(ManifestStore::of(&state_dir));
        let source = Source::new(
            config.games_dir.clone(),
            catalog.clone(),
            lanspread_archive::provider_with_dictionary(&config.provider, config.dictionary_bytes_max),
            events.clone(),
            tasks.clone(),
            config.streams_max,
        )
        .with_manifests(Arc::clone(&manifests))
        .sharing_installed(config.share_installed);
        source.traffic.set_limits(config.limits);
        let operations = Operations::new(config.operations_max, events.clone(), tasks.clone());
        let inner = Inner {
            started_s: metrics::now_s(),
            endpoint: member.endpoint,
            games_dir: config.games_dir,
            catalog,
            catalog_from_peers: config.catalog_from_peers,
            catalogs_asked: Mutex::default(),
            manifests,
            events,
            tasks,
            source: Arc::new(source),
            operations,
            leftovers: Leftovers::default(),
            wanted: OnceLock::new(),
            state_dir: state_dir.clone(),
            held: Mutex::default(),
            listening: Mutex::new(None),
            discovery: config.discovery,
            discovery_port: config.discovery_port,
            idle_timeout: config.idle_timeout,
            dictionary_bytes_max: config.dictionary_bytes_max,
            peers: config.peers,
            rules,
            saved_peers,
            kept_peers: Mutex::default(),
            penalties: Penalties::new(state_dir, member.is_open),
            neighbours: OnceLock::new(),
            accept_from: config.accept_from,
            games_wanted: config.games_wanted,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// The catalog of a configuration, if it has one or wants one.
fn live_catalog(
    config: &PeerConfig,
    signer: Option<Signer>,
    state_dir: &Path,
    events: &EventSender,
) -> Result<Option<LiveCatalog>, PeerError> {
    if config.catalog_from_peers && signer.is_none() {
        let reason = "catalogs from peers need the key of their signer";
        return Err(PeerError::Config(reason.to_owned()));
    }
    if config.catalog.is_none() && signer.is_none() {
        return Ok(None);
    }
    let pinned = signer.map(|signer| Pinned {
        signer,
        from_peers: config.catalog_from_peers,
        store: CatalogStore::of(state_dir),
    });
    Ok(Some(LiveCatalog::load(config.catalog.as_deref(), pinned, events.clone())?))
}

fn check_count(what: &str, got: usize, limit: usize) -> Result<(), PeerError> {
    if got == 0 || got > limit {
        return Err(PeerError::Config(format!("the number of {what} must be 1 to {limit}, not {got}")));
    }
    Ok(())
}

/// A peer with this state directory: its end of connections, and what its party says.
pub(super) struct Member {
    pub(super) endpoint: Endpoint,
    /// Whether it is of no party.
    pub(super) is_open: bool,
    /// Whose catalogs the members of its party believe.
    pub(super) catalog_signer: Option<Signer>,
}

/// What a peer with this state directory is and shows of itself: its identity, which is read or made, its name, by default
/// that of the machine, its party, which peers it talks to, and nothing that it serves.
pub(super) fn member(
    state_dir: &Path,
    name: Option<PeerName>,
    party_file: Option<&Path>,
    rules: &Arc<PeerRules>,
) -> Result<Member, PeerError> {
    // First, so that no identity is made for a peer that cannot be.
    let party = party::load(state_dir, party_file)?;
    let identity = identity::load_or_make(state_dir)?;
    let name = name.unwrap_or_else(|| host_name(identity.peer_id()));
    let hello = Hello { name, listen_port: None, instance: identity::instance()?, catalog: None };
    let mut introduction = Introduction::open(hello);
    let (is_open, catalog_signer) = (party.is_none(), party.as_ref().and_then(|line| line.catalog_signer));
    introduction.party = Arc::new(party.map_or_else(PartyKey::open_network, |line| line.key));
    let rules = Arc::clone(rules);
    introduction.admission = Admission::of(move |id| rules.admits(id));
    let catalog_signer = catalog_signer.map(Signer::of_key);
    Ok(Member { endpoint: Endpoint { identity, introduction }, is_open, catalog_signer })
}

/// The host name if it is a valid peer name; otherwise a name from the identity, which tells such peers apart.
fn host_name(id: PeerId) -> PeerName {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let named = host.parse().or_else(|_| format!("peer-{}", id.short()).parse());
    named.unwrap_or_else(|_| unreachable!("letters and digits are a name"))
}
