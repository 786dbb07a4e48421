//! Answering other peers: may a game be served ([`gate`]), one connection's requests ([`handler`]), one stream
//! ([`stream`]).
//!
//! Nothing under `local/`, staging, backup or `.lanspread/` can be asked for: requests name games, never paths.

pub(crate) mod gate;
pub(crate) mod handler;
mod refusal;
mod sink;
pub(crate) mod stream;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::archive::provider::ArchiveProvider;
use crate::catalog::Catalog;
use crate::event::EventSender;
use crate::fault::LocalError;
use crate::game::{GameId, GameVersion};
use crate::install::intent;
use crate::library::scan::scan;
use crate::library::state::GameState;
use crate::limits;
use crate::task::Tasks;
use crate::wire::message::{GameOffer, Refusal, RefusalCode, SourceStatus};
use gate::{CatalogSays, GateInput};

/// What a peer serves, and what it is doing about it.
pub(crate) struct Source {
    pub(crate) games_dir: PathBuf,
    pub(crate) catalog: Option<Arc<Catalog>>,
    pub(crate) provider: Arc<dyn ArchiveProvider>,
    pub(crate) events: EventSender,
    pub(crate) tasks: Tasks,
    streams: Semaphore,
    streams_max: usize,
    inspections: Semaphore,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
}

impl Source {
    pub(crate) fn new(
        games_dir: PathBuf,
        catalog: Option<Arc<Catalog>>,
        provider: Arc<dyn ArchiveProvider>,
        events: EventSender,
        tasks: Tasks,
        streams_max: usize,
    ) -> Self {
        Self {
            games_dir,
            catalog,
            provider,
            events,
            tasks,
            streams: Semaphore::new(streams_max),
            streams_max,
            inspections: Semaphore::new(limits::INSPECTIONS_MAX),
            connections: AtomicU64::new(0),
        }
    }

    /// A place for one stream, held as long as it runs.
    pub(super) fn stream_place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.streams.try_acquire().map_err(|_| {
            let message = format!("it serves {} streams already, its limit", self.streams_max);
            Refusal::new(RefusalCode::Busy, &message)
        })
    }

    /// Streams that are running.
    pub(crate) fn active_transfers(&self) -> usize {
        self.streams_max - self.streams.available_permits()
    }

    /// The state of a game that may be served, or why it may not.
    fn offered(&self, game: &GameId, wanted: Option<&GameVersion>) -> Result<GameState, Refusal> {
        let state = GameState::read(&self.games_dir, game).map_err(|error| unreadable(game, &error))?;
        self.judge(game, state.as_ref(), wanted)?;
        state.ok_or_else(|| Refusal::new(RefusalCode::NotOffered, &format!("it does not have {game}")))
    }

    fn judge(
        &self,
        game: &GameId,
        state: Option<&GameState>,
        wanted: Option<&GameVersion>,
    ) -> Result<(), Refusal> {
        let catalog = match &self.catalog {
            None => CatalogSays::Nothing,
            Some(catalog) => {
                catalog.game(game).map_or(CatalogSays::Unknown, |known| CatalogSays::Version(&known.version))
            }
        };
        let operation = intent::is_recorded(&self.games_dir, game);
        let sentinel = state.and_then(|state| state.version.as_ref());
        gate::decide(GateInput { game, catalog, sentinel, operation, wanted }).map(|_| ())
    }

    /// Every game that may be served.
    fn offers(&self) -> Result<Vec<GameOffer>, LocalError> {
        let mut offers = Vec::new();
        for state in scan(&self.games_dir)? {
            if self.judge(&state.game, Some(&state), None).is_err() {
                continue;
            }
            let bytes = state.root_bytes();
            if let Some(version) = state.version {
                offers.push(GameOffer { game: state.game, version, bytes });
            }
        }
        Ok(offers)
    }

    fn status(&self) -> Result<SourceStatus, LocalError> {
        Ok(SourceStatus {
            games: self.offers()?.len() as u64,
            active_outbound_transfers: self.active_transfers() as u64,
            streams_max: self.streams_max as u64,
            connections: self.connections.load(Ordering::Relaxed),
        })
    }
}

fn unreadable(game: &GameId, error: &LocalError) -> Refusal {
    tracing::warn!("{game} cannot be served: {error}");
    Refusal::new(RefusalCode::Internal, &format!("it cannot read {game}"))
}

#[cfg(test)]
mod tests;
