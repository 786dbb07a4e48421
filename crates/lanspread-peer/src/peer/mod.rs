//! The front door: one peer, what it is made of, and what it can be asked to do.

mod builder;
mod choose;
mod client;
mod download;
pub(crate) mod finding;
mod install;
mod operate;
mod perform;
mod remove;
mod serve;
mod stream_install;
mod uninstall;
mod update;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use self::builder::{PeerBuilder, PeerConfig};
pub use self::client::{DiscoveredPeers, FailedPeer, OfferedGame, PeerClient, PeerOffers, PeerStatus};
pub use self::stream_install::{SourcePeer, StreamInstallPlan, StreamInstallReport};
use lanspread_proto::message::Hello;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::scan::scan;
use lanspread_types::ids::{PeerAddress, PeerId, PeerName};
use lanspread_types::{layout, limits};

use crate::catalog::LiveCatalog;
use crate::control::owner::Owned;
use crate::control::{self, Daemon, owner};
use crate::error::PeerError;
use crate::event::{EventSender, PeerEvents};
use crate::net::neighbours::Neighbours;
use crate::operations::Operations;
use crate::report::Report;
use crate::saved_peers::SavedPeers;
use crate::source::Source;
use crate::task::Tasks;

/// A running peer. Clones are handles to the same peer.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    id: PeerId,
    name: PeerName,
    /// Random for this run; see [`Hello::instance`].
    instance: u64,
    games_dir: PathBuf,
    catalog: Option<Arc<LiveCatalog>>,
    events: EventSender,
    tasks: Tasks,
    source: Arc<Source>,
    operations: Operations,
    /// The peer's state directory.
    state_dir: PathBuf,
    /// What a daemon owns, once it is one.
    owned: Mutex<Vec<Owned>>,
    /// Where it listens, once it serves.
    listening: Mutex<Option<SocketAddr>>,
    /// Whether it announces itself and finds others once it serves.
    discovery: bool,
    discovery_port: u16,
    /// Peers it was told of.
    peers: Vec<PeerAddress>,
    saved_peers: SavedPeers,
    /// The peers around it, once it serves.
    neighbours: OnceLock<Arc<Neighbours>>,
}

impl Peer {
    /// Starts the description of a peer over this games directory.
    pub fn builder(games_dir: impl Into<PathBuf>) -> PeerBuilder {
        PeerBuilder::new(games_dir.into())
    }

    /// Its identity.
    pub fn id(&self) -> PeerId {
        self.inner.id
    }

    /// Its name.
    pub fn name(&self) -> &PeerName {
        &self.inner.name
    }

    /// Subscribes to its events, from now on.
    pub fn events(&self) -> PeerEvents {
        self.inner.events.subscribe()
    }

    /// The games on this machine, sorted by id.
    ///
    /// # Errors
    /// [`PeerError::Local`] when the games directory cannot be read.
    pub async fn local_games(&self) -> Result<Vec<GameState>, PeerError> {
        let games_dir = self.inner.games_dir.clone();
        self.blocking("scan", move || Ok(scan(&games_dir)?)).await
    }

    /// Streams this peer is sending.
    pub fn active_outbound_transfers(&self) -> usize {
        self.inner.source.active_transfers()
    }

    /// Tasks and threads of this peer that have not ended.
    pub fn running_tasks(&self) -> usize {
        self.inner.tasks.running()
    }

    /// Becomes the daemon of its games directory: takes ownership of it and of the state directory, and opens the
    /// control socket there, which only this user may open. Where the games directory cannot be written, nothing can
    /// be done to it and no command is taken.
    ///
    /// # Errors
    /// [`PeerError::DaemonRunning`] when another daemon has either; [`PeerError::Local`].
    pub async fn accept_commands(&self) -> Result<(), PeerError> {
        let peer = self.clone();
        let socket = self.inner.state_dir.join(layout::CONTROL_SOCKET);
        let daemon = Daemon { pid: std::process::id(), socket: socket.clone() };
        let is_found = self
            .blocking("own", move || {
                let (state_dir, games_dir) = (&peer.inner.state_dir, &peer.inner.games_dir);
                let mut owned = vec![owner::own(state_dir, state_dir, &daemon)?];
                let is_found = match owner::own(&games_dir.join(layout::STATE_DIR), games_dir, &daemon) {
                    Ok(games) => {
                        owned.push(games);
                        true
                    }
                    Err(PeerError::Local(error)) if error.is_refused_write() => {
                        tracing::info!(
                            "games can be served but not changed, so no commands are taken: {error}"
                        );
                        false
                    }
                    Err(error) => return Err(error),
                };
                *peer.inner.owned.lock().unwrap_or_else(PoisonError::into_inner) = owned;
                Ok(is_found)
            })
            .await?;
        if is_found {
            control::serve(self, &socket, self.inner.tasks.cancel_token())?;
        }
        Ok(())
    }

    /// What this peer is doing, as it would tell another one.
    ///
    /// # Errors
    /// [`PeerError::NoDaemon`] when it does not serve; [`PeerError::Local`].
    pub async fn status(&self) -> Result<Report, PeerError> {
        let address = *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let address =
            address.ok_or_else(|| PeerError::NoDaemon { games_dir: self.inner.games_dir.clone() })?;
        let source = Arc::clone(&self.inner.source);
        let offers = self.blocking("status", move || Ok(source.offers()?)).await?;
        let source = &self.inner.source;
        Ok(Report::PeerStatus {
            peer: self.inner.id.to_string(),
            name: self.inner.name.clone(),
            addr: address,
            games: offers.into_iter().map(|offer| offer.game).collect(),
            active_outbound_transfers: source.active_transfers() as u64,
            streams_max: source.streams_max() as u64,
            connections: source.connections.load(std::sync::atomic::Ordering::Relaxed),
        })
    }

    /// Stops serving and cancels everything; receivers of running streams are told.
    ///
    /// # Errors
    /// [`PeerError::Internal`] with the number of tasks that did not end within [`limits::SHUTDOWN_DEADLINE`].
    pub async fn shutdown(&self) -> Result<(), PeerError> {
        self.close_operations();
        let left = self.inner.tasks.stop(limits::SHUTDOWN_DEADLINE).await;
        self.inner.owned.lock().unwrap_or_else(PoisonError::into_inner).clear();
        match left {
            0 => Ok(()),
            left => Err(PeerError::Internal(format!("{left} tasks did not stop in time"))),
        }
    }

    pub(crate) fn operations(&self) -> &Operations {
        &self.inner.operations
    }

    pub(crate) fn event_sender(&self) -> &EventSender {
        &self.inner.events
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn listening(&self) -> Option<SocketAddr> {
        *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peers around it.
    #[cfg(test)]
    pub(crate) fn neighbours(&self) -> Option<&Arc<Neighbours>> {
        self.inner.neighbours.get()
    }

    /// Who this peer says it is.
    fn hello(&self) -> Hello {
        let listening = *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner);
        Hello {
            peer: self.inner.id,
            name: self.inner.name.clone(),
            listen_port: listening.map(|address| address.port()),
            instance: self.inner.instance,
        }
    }

    /// Runs blocking work on a blocking thread of this peer.
    async fn blocking<T: Send + 'static>(
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

#[cfg(test)]
mod local_tests;
