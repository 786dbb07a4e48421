//! The front door: one peer, what it is made of, and what it can be asked to do.

mod builder;
mod choose;
mod client;
mod operate;
mod stream_install;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;

pub use self::builder::{PeerBuilder, PeerConfig};
pub use self::client::{PeerClient, PeerOffers, PeerStatus};
pub use self::stream_install::{SourcePeer, StreamInstallPlan, StreamInstallReport};
use crate::catalog::Catalog;
use crate::error::PeerError;
use crate::event::{EventSender, PeerEvent, PeerEvents};
use crate::game::{PeerId, PeerName};
use crate::install::games_dir::GamesDir;
use crate::install::lock::GameLock;
use crate::install::{intent, recovery};
use crate::library::scan::scan;
use crate::library::state::GameState;
use crate::limits;
use crate::net::listener;
use crate::source::Source;
use crate::task::Tasks;
use crate::wire::message::Hello;

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
    catalog: Option<Arc<Catalog>>,
    events: EventSender,
    tasks: Tasks,
    source: Arc<Source>,
    /// Where it listens, once it serves.
    listening: Mutex<Option<SocketAddr>>,
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

    /// Puts in order what earlier crashes left, opens the listener and serves until [`Self::shutdown`]. Returns the
    /// address it listens on; port 0 asks the system for a free one.
    ///
    /// # Errors
    /// [`PeerError::Listen`] when the address cannot be had, [`PeerError::Local`] when the games directory cannot be
    /// read.
    pub async fn serve(&self, address: SocketAddr) -> Result<SocketAddr, PeerError> {
        self.recover_all().await?;
        let listen = |source| PeerError::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        let inner = &self.inner;
        let accepting =
            listener::accept(listener, Arc::clone(&inner.source), self.hello(), inner.tasks.cancel_token());
        inner.tasks.spawn("listener", accepting);
        inner.events.report(PeerEvent::PeerReady {
            addr: address,
            name: inner.name.clone(),
            peer: inner.id.to_string(),
        });
        Ok(address)
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

    /// Stops serving and cancels everything; receivers of running streams are told.
    ///
    /// # Errors
    /// [`PeerError::Internal`] with the number of tasks that did not end within [`limits::SHUTDOWN_DEADLINE`].
    pub async fn shutdown(&self) -> Result<(), PeerError> {
        match self.inner.tasks.stop(limits::SHUTDOWN_DEADLINE).await {
            0 => Ok(()),
            left => Err(PeerError::Internal(format!("{left} tasks did not stop in time"))),
        }
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

    /// Recovers every game that has an intent. A game that another process is working on, or whose state is not
    /// ours, is reported and left alone: it does not keep the others from being served.
    async fn recover_all(&self) -> Result<(), PeerError> {
        let peer = self.clone();
        self.blocking("recovery", move || {
            let games = Arc::new(GamesDir::open(&peer.inner.games_dir)?);
            for game in intent::recorded(&games)? {
                let recovered =
                    GameLock::acquire(&games, &game).and_then(|_lock| recovery::recover(&games, &game));
                match recovered {
                    Ok(Some(action)) => {
                        peer.inner.events.report(PeerEvent::GameRecovered { game, action: action.into() });
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!("{game} is left as it is: {error}"),
                }
            }
            Ok(())
        })
        .await
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
