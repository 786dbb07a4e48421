//! Answers other peers: whether a game may be served ([`gate`]), the requests of one connection ([`handler`]), one
//! stream ([`stream`]), one download ([`download`]), and which transfers are reading which game ([`readers`]).
//! It does not know this peer's own operations: it learns of one from its intent on disk.
//!
//! A request names a game, never a path, so no peer can ask for anything under `local/`, staging, backup or
//! `.lanspread/`.

mod admission;
pub(crate) mod download;
pub(crate) mod gate;
pub(crate) mod handler;
pub(crate) mod library_index;
mod parts;
mod poll;
pub(crate) mod readers;
mod refusal;
mod served_chunks;
mod sink;
pub(crate) mod stream;
pub(crate) mod visitor;
pub(crate) mod watch;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use gate::{CatalogSays, GateInput};
use lanspread_archive::provider::ArchiveProvider;
use lanspread_proto::message::{Refusal, RefusalCode, SourceStatus};
use lanspread_store::error::StoreError;
use lanspread_store::recover::recover_all;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::intent;
use lanspread_store::state::passed_over::PassedOver;
use lanspread_store::state::scan::{ScannedFolder, scan, scan_folder};
use lanspread_types::content::GameOffer;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use readers::Readers;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::source::library_index::LibraryIndex;
use crate::source::visitor::Visitor;
use crate::task::Tasks;
use crate::trust::catalog::LiveCatalog;

/// What a peer serves, and the transfers and connections that are running.
pub(crate) struct Source {
    pub(crate) games_dir: PathBuf,
    pub(crate) catalog: Option<Arc<LiveCatalog>>,
    pub(crate) provider: Arc<dyn ArchiveProvider>,
    pub(crate) events: EventSender,
    pub(crate) tasks: Tasks,
    streams: Semaphore,
    streams_max: usize,
    inspections: Semaphore,
    /// Which transfers read which game.
    pub(crate) readers: Readers,
    /// Connections that may wait for the library to change.
    polls: Semaphore,
    /// What is offered, once the peer serves.
    pub(crate) library: LibraryIndex,
    /// Receives each peer that connects, once this peer serves.
    pub(crate) visitors: OnceLock<mpsc::Sender<Visitor>>,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
}

impl Source {
    pub(crate) fn new(
        games_dir: PathBuf,
        catalog: Option<Arc<LiveCatalog>>,
        provider: Arc<dyn ArchiveProvider>,
        events: EventSender,
        tasks: Tasks,
        streams_max: usize,
    ) -> Self {
        let library = LibraryIndex::new(events.clone());
        Self {
            games_dir,
            catalog,
            provider,
            events,
            tasks,
            streams: Semaphore::new(streams_max),
            streams_max,
            inspections: Semaphore::new(limits::INSPECTIONS_MAX),
            readers: Readers::default(),
            polls: Semaphore::new(limits::LIBRARY_POLLS_MAX),
            library,
            visitors: OnceLock::new(),
            connections: AtomicU64::new(0),
        }
    }

    /// Takes a place for one transfer, which holds it as long as it runs.
    pub(super) fn stream_place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.streams.try_acquire().map_err(|_| {
            let message = format!("it already serves {} streams, its limit", self.streams_max);
            Refusal::new(RefusalCode::Busy, &message)
        })
    }

    /// Transfers that may run at once.
    pub(crate) fn streams_max(&self) -> usize {
        self.streams_max
    }

    /// Transfers that are running.
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
        let current = self.catalog.as_ref().map(|catalog| catalog.current());
        let catalog = match &current {
            None => CatalogSays::Nothing,
            Some(catalog) => {
                catalog.game(game).map_or(CatalogSays::Unknown, |known| CatalogSays::Version(&known.version))
            }
        };
        let operation = intent::is_recorded(&self.games_dir, game);
        let sentinel = state.and_then(|state| state.version.as_ref());
        gate::decide(GateInput { game, catalog, sentinel, operation, wanted }).map(|_| ())
    }

    /// Recovers the games that crashed operations left, and reports what was done.
    pub(crate) fn recover(&self) -> Result<(), StoreError> {
        recover_all(&self.games_dir, |game, action| {
            self.events.report(PeerEvent::GameRecovered { game: game.clone(), action: action.into() });
        })
    }

    /// Every game that may be served: from the index if the peer serves, else from the disk.
    pub(crate) fn offers(&self) -> Result<Vec<GameOffer>, LocalError> {
        let library = self.library.current();
        if library.is_read() { Ok(library.list()) } else { self.scan_offers() }
    }

    /// Reads from the disk which games may be served.
    pub(crate) fn scan_offers(&self) -> Result<Vec<GameOffer>, LocalError> {
        Ok(self.scan_library()?.0)
    }

    /// Reads from the disk which games may be served, and which folders are passed over.
    pub(crate) fn scan_library(&self) -> Result<(Vec<GameOffer>, Vec<PassedOver>), LocalError> {
        let found = scan(&self.games_dir)?;
        let offers = found.games.into_iter().filter_map(|state| self.offer(state)).collect();
        Ok((offers, found.passed_over))
    }

    /// Reads from the disk whether one folder may be served, or is passed over.
    pub(crate) fn scan_folder(&self, name: &str) -> (Option<GameOffer>, Option<PassedOver>) {
        match scan_folder(&self.games_dir, OsStr::new(name)) {
            ScannedFolder::Game(state, passed_over) => (self.offer(*state), passed_over),
            ScannedFolder::PassedOver(passed_over) => (None, Some(passed_over)),
            ScannedFolder::Nothing => (None, None),
        }
    }

    fn offer(&self, state: GameState) -> Option<GameOffer> {
        self.judge(&state.game, Some(&state), None).ok()?;
        let bytes = state.root_bytes();
        state.version.map(|version| GameOffer { game: state.game, version, bytes })
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
