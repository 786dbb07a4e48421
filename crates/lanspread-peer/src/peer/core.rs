//! One peer: its parts, its status and its shutdown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use lanspread_store::state::game_state::GameState;
use lanspread_store::state::scan::{Scan, scan};
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId, PeerName};
use lanspread_types::limits;

use crate::discovery::neighbours::Neighbours;
use crate::operations::Operations;
use crate::peer::error::PeerError;
use crate::peer::leftovers::Leftovers;
use crate::peer::wanted_files::WantedOperations;
use crate::receive::offences::OffenceRecorder;
use crate::report::answer::Answer;
use crate::report::channel::{EventSender, PeerEvents};
use crate::source::Source;
use crate::task::Tasks;
use crate::traffic::TrafficLimits;
use crate::trust::live_catalog::LiveCatalog;
use crate::trust::manifest_store::ManifestStore;
use crate::trust::peer_rules::PeerRules;
use crate::trust::penalties::Penalties;
use crate::trust::saved_peers::SavedPeers;

/// A running peer. Clones are handles to the same peer.
#[derive(Clone)]
pub struct Peer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// When it was made, in seconds since 1970.
    pub(super) started_s: u64,
    /// Its identity, and what it shows of itself while it does not serve.
    pub(super) endpoint: Endpoint,
    pub(super) games_dir: PathBuf,
    pub(super) catalog: Option<Arc<LiveCatalog>>,
    /// Whether newer catalogs of the pinned signer are taken from peers.
    pub(super) catalog_from_peers: bool,
    /// When an operation last asked peers for a newer catalog.
    pub(super) catalogs_asked: Mutex<Option<Instant>>,
    pub(super) manifests: Arc<ManifestStore>,
    pub(super) events: EventSender,
    pub(super) tasks: Tasks,
    pub(super) source: Arc<Source>,
    pub(super) operations: Arc<Operations>,
    pub(super) leftovers: Leftovers,
    /// The operations that outlive this peer, if it is a daemon.
    pub(super) wanted: OnceLock<WantedOperations>,
    /// The peer's state directory.
    pub(super) state_dir: PathBuf,
    /// Released when the peer has stopped.
    pub(super) held: Mutex<Vec<Box<dyn Send>>>,
    /// The address it listens on, once it serves.
    pub(super) listening: Mutex<Option<SocketAddr>>,
    /// Whether it announces itself and discovers others once it serves.
    pub(super) discovery: bool,
    pub(super) discovery_port: u16,
    /// How long a source may send nothing before it is given up.
    pub(super) idle_timeout: Duration,
    pub(super) dictionary_bytes_max: u64,
    /// Peers from its configuration.
    pub(super) peers: Vec<PeerAddress>,
    pub(super) saved_peers: SavedPeers,
    /// The peers, named and saved, to which it keeps connections once it serves.
    pub(super) kept_peers: Mutex<BTreeSet<PeerAddress>>,
    /// Which peers it lets in and asks.
    pub(super) rules: Arc<PeerRules>,
    pub(super) penalties: Penalties,
    /// The peers around it, once it serves.
    pub(super) neighbours: OnceLock<Arc<Neighbours>>,
    /// Peers that may have something done here.
    pub(super) accept_from: BTreeSet<PeerId>,
    /// The games that the room wants.
    pub(super) games_wanted: Option<BTreeMap<GameId, Option<GameVersion>>>,
}

impl Peer {
    /// Its identity.
    pub fn id(&self) -> PeerId {
        self.inner.endpoint.id()
    }

    /// Its name.
    pub fn name(&self) -> &PeerName {
        &self.inner.endpoint.introduction.hello.name
    }

    /// Subscribes to its events, from now on.
    ///
    /// Events arrive in the order in which they happened. When a method of this peer returns, every event that it caused
    /// is already in the queue of each subscription: [`PeerEvents::try_next`] returns them without waiting.
    pub fn events(&self) -> PeerEvents {
        self.inner.events.subscribe()
    }

    /// The games on this machine, sorted by id.
    ///
    /// # Errors
    /// [`PeerError::Local`] when the games directory cannot be read.
    pub async fn local_games(&self) -> Result<Vec<GameState>, PeerError> {
        Ok(self.scan_games().await?.games)
    }

    /// The games on this machine, and the folders that look like games and are not served.
    pub(crate) async fn scan_games(&self) -> Result<Scan, PeerError> {
        let games_dir = self.inner.games_dir.clone();
        self.blocking("scan", move || Ok(scan(&games_dir)?)).await
    }

    /// Whether the installed files of a game are offered to other peers.
    pub(crate) fn shares_entries(&self, state: &GameState) -> bool {
        self.inner.source.offer_of_entries(state).is_some()
    }

    /// Number of streams that this peer is sending.
    pub fn active_outbound_transfers(&self) -> usize {
        self.inner.source.active_transfers()
    }

    /// Number of tasks and threads of this peer that have not ended.
    pub fn running_tasks(&self) -> usize {
        self.inner.tasks.running()
    }

    /// The limits for what it sends and receives of games.
    pub fn limits(&self) -> TrafficLimits {
        self.inner.source.traffic.limits()
    }

    /// Sets limits, for transfers that are under way too.
    pub fn set_limits(&self, limits: TrafficLimits) {
        tracing::info!("limits: {} up, {} down", limits.up, limits.down);
        self.inner.source.traffic.set_limits(limits);
    }

    /// What this peer is doing, as it reports it to other peers.
    ///
    /// # Errors
    /// [`PeerError::NotServing`] if it does not serve; [`PeerError::Local`] if the games directory cannot be read.
    pub async fn status(&self) -> Result<Answer, PeerError> {
        let address = self
            .listening()
            .ok_or_else(|| PeerError::NotServing { games_dir: self.inner.games_dir.clone() })?;
        let source = Arc::clone(&self.inner.source);
        let offers = self.blocking("status", move || Ok(source.offers()?)).await?;
        let source = &self.inner.source;
        let limits = source.traffic.limits();
        Ok(Answer::PeerStatus {
            peer: self.id(),
            name: self.name().clone(),
            addr: address,
            games: offers.into_iter().map(|offer| offer.game).collect(),
            active_outbound_transfers: source.active_transfers() as u64,
            streams_max: source.streams_max() as u64,
            connections: source.connections.load(std::sync::atomic::Ordering::Relaxed),
            waiting: source.waiting_transfers() as u64,
            receivers: source.receivers(),
            waves: source.packed.waves(),
            relays: source.packed.relays.status(),
            waiting_receivers: source.waiting_receivers(),
            up_bytes_per_second: limits.up.bytes_per_second().map(NonZeroU64::get),
            down_bytes_per_second: limits.down.bytes_per_second().map(NonZeroU64::get),
        })
    }

    /// Stops serving and cancels everything. Receivers of running streams are notified.
    ///
    /// # Errors
    /// [`PeerError::Internal`], with the number of tasks that did not end within [`limits::SHUTDOWN_DEADLINE`].
    pub async fn shutdown(&self) -> Result<(), PeerError> {
        self.inner.operations.close();
        let left = self.inner.tasks.stop(limits::SHUTDOWN_DEADLINE).await;
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        match left {
            0 => Ok(()),
            left => Err(PeerError::Internal(format!("{left} tasks did not stop in time"))),
        }
    }

    pub(crate) fn event_sender(&self) -> &EventSender {
        &self.inner.events
    }

    /// The folder with its identity and what it has saved.
    pub fn state_dir(&self) -> &Path {
        &self.inner.state_dir
    }

    /// The folder with one folder for each game.
    pub fn games_dir(&self) -> &Path {
        &self.inner.games_dir
    }

    /// Keeps a value until the peer has stopped, and then drops it.
    #[cfg(feature = "control")]
    pub(crate) fn hold_until_shutdown(&self, held: Box<dyn Send>) {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// Completes when a part of this peer has panicked without which it cannot go on. Shut the peer down then.
    pub async fn broken(&self) {
        self.inner.tasks.broken().cancelled().await;
    }

    /// The address it listens on; none if it does not serve.
    pub(crate) fn listening(&self) -> Option<SocketAddr> {
        *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it serves.
    #[cfg(test)]
    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.inner.source
    }

    /// The peers around it.
    #[cfg(test)]
    pub(crate) fn neighbours(&self) -> Option<&Arc<Neighbours>> {
        self.inner.neighbours.get()
    }

    /// Whether it serves.
    pub(super) fn serves(&self) -> bool {
        self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// This peer's end of a new connection.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let listening = *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut endpoint = self.inner.endpoint.clone();
        endpoint.introduction.hello.listen_port = listening.map(|address| address.port());
        endpoint.introduction.hello.catalog = self.inner.catalog.as_ref().and_then(|catalog| catalog.mark());
        endpoint
    }

    /// Remembers what the sources of an operation do wrong.
    pub(super) fn offences(&self, game: &GameId, events: &EventSender) -> OffenceRecorder {
        OffenceRecorder {
            game: game.clone(),
            penalties: self.inner.penalties.clone(),
            events: events.clone(),
            tasks: self.inner.tasks.clone(),
        }
    }

    /// Runs work on a blocking thread of this peer.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, PeerError> + Send + 'static,
    ) -> Result<T, PeerError> {
        let ended = self.inner.tasks.spawn_blocking(name, work).await;
        ended.unwrap_or_else(|error| {
            Err(PeerError::Internal(format!("the {name} thread ended abnormally: {error}")))
        })
    }
}
