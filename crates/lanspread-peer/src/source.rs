//! Answers other peers: whether a game may be served ([`gate`]), the requests of one connection ([`handler`]), one
//! stream ([`stream`]), one download ([`download`]), and which transfers are reading which game ([`readers`]).
//! Every kind of work has places of its own, which guests share ([`crate::guests`]).
//! It does not know this peer's own operations: it learns of one from its intent on disk.
//!
//! A request names a game, never a path, so no peer can ask for anything under staging, backup or `.lanspread/`. Of
//! `local/`, only files that a manifest lists are served, and only if the user allows it ([`entries`]).

mod admission;
pub(crate) mod asked;
mod dictionaries;
pub(crate) mod download;
mod entries;
mod follow_packing_lists;
mod forward;
mod frame_queue;
pub(crate) mod gate;
mod handed_on;
pub(crate) mod handler;
pub(crate) mod handshake_counts;
pub(crate) mod library_index;
mod make_packing_lists;
mod pace;
mod packed;
mod packed_streams;
mod packing_lists;
mod parts;
mod poll;
pub(crate) mod readers;
mod refusal;
mod running;
mod served_chunks;
mod sink;
pub(crate) mod stream;
mod totals;
pub(crate) mod visitor;
mod waiting;
mod waits;
pub(crate) mod watch;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use asked::AskedByPeers;
use dictionaries::Dictionaries;
use gate::{CatalogSays, GateInput};
use handshake_counts::HandshakeCounts;
use lanspread_archive::provider::ArchiveProvider;
use lanspread_proto::message::{Refusal, RefusalCode, SourceStatus};
use lanspread_store::error::StoreError;
use lanspread_store::recover::recover_all;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::intent;
use lanspread_store::state::passed_over::PassedOver;
use lanspread_store::state::scan::{ScannedFolder, scan, scan_folder};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::GameOffer;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion, PeerId};
use lanspread_types::limits;
use packed_streams::PackedStreams;
use packing_lists::PackingLists;
use parts::LastList;
use readers::Readers;
use running::{QUEUE_BOUNDS, transfer_shares};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use totals::TotalsMemory;
use waits::Waits;

use crate::guests::places::Places;
use crate::guests::shares::Shares;
use crate::guests::turns::RequestTurns;
use crate::guests::waiting::QueuedPlaces;
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::report::packed_status::ReceivingAddress;
use crate::report::packed_status::WaitingReceiver;
use crate::room::board::Board;
use crate::room::here::GamesHere;
use crate::source::library_index::LibraryIndex;
use crate::source::visitor::Visitor;
use crate::task::Tasks;
use crate::traffic::Traffic;
use crate::trust::live_catalog::LiveCatalog;
use crate::trust::manifest_store::ManifestStore;

/// What a peer serves, and the transfers and connections that are running.
pub(crate) struct Source {
    pub(crate) games_dir: PathBuf,
    pub(crate) catalog: Option<Arc<LiveCatalog>>,
    /// The manifests that it hands on.
    manifests: Option<Arc<ManifestStore>>,
    /// Whether the user allows that installed files are served.
    shares_installed: bool,
    pub(crate) provider: Arc<dyn ArchiveProvider>,
    pub(crate) events: EventSender,
    pub(crate) tasks: Tasks,
    /// What this peer sends and receives, and its limits.
    pub(crate) traffic: Arc<Traffic>,
    /// Cancelled when this peer begins no more transfers, because it is about to stop.
    draining: CancellationToken,
    /// Places of streams and downloads, and who waits for one.
    transfers: QueuedPlaces,
    /// Places of packed streams, which cost no decoder, and who waits for one.
    packed_heads: QueuedPlaces,
    pub(crate) packed: PackedStreams,
    /// Who waits for a place of any kind.
    waits: Waits,
    dictionaries: Dictionaries,
    /// Turns at listing archives.
    inspections: RequestTurns,
    /// Turns at answers that cost next to nothing.
    quick_answers: RequestTurns,
    totals: TotalsMemory,
    packing_lists: PackingLists,
    /// Which transfers read which game.
    pub(crate) readers: Readers,
    /// Connections that may wait for the library to change.
    polls: Places,
    last_list: LastList,
    /// What is offered, once the peer serves.
    pub(crate) library: LibraryIndex,
    /// Which games are on the disk.
    pub(crate) here: GamesHere,
    /// What others are told about what this peer is doing, once it serves.
    pub(crate) board: Board,
    /// What other peers may have done here.
    pub(crate) asked: AskedByPeers,
    /// Receives each peer that connects, once this peer serves.
    pub(crate) visitors: OnceLock<mpsc::Sender<Visitor>>,
    /// How the handshakes of those that connected ended.
    pub(crate) handshakes: HandshakeCounts,
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
            manifests: None,
            shares_installed: false,
            provider,
            events,
            tasks,
            traffic: Arc::default(),
            draining: CancellationToken::new(),
            transfers: QueuedPlaces::new(Places::new(transfer_shares(streams_max)), QUEUE_BOUNDS),
            packed_heads: QueuedPlaces::new(
                Places::new(transfer_shares(limits::PACKED_HEADS_MAX)),
                QUEUE_BOUNDS,
            ),
            packed: PackedStreams::default(),
            waits: Waits::default(),
            dictionaries: Dictionaries::new(machine_bytes()),
            inspections: RequestTurns::new(limits::INSPECTIONS_MAX),
            quick_answers: RequestTurns::new(limits::QUICK_ANSWERS_MAX),
            totals: TotalsMemory::default(),
            packing_lists: PackingLists::default(),
            readers: Readers::default(),
            polls: Places::new(POLL_SHARES),
            last_list: LastList::default(),
            library,
            here: GamesHere::default(),
            board: Board::default(),
            asked: AskedByPeers::default(),
            visitors: OnceLock::new(),
            handshakes: HandshakeCounts::default(),
            connections: AtomicU64::new(0),
        }
    }

    /// The same source, which also hands on manifests.
    pub(crate) fn with_manifests(mut self, manifests: Arc<ManifestStore>) -> Self {
        self.manifests = Some(manifests);
        self
    }

    /// The same source, which also serves installed files that were verified, if it has their manifests.
    pub(crate) fn sharing_installed(mut self, shares_installed: bool) -> Self {
        self.shares_installed = shares_installed;
        self
    }

    /// Whether a peer may have something done here.
    pub(crate) fn accepts_from(&self, peer: &PeerId) -> bool {
        self.asked.accepts_from(peer)
    }

    /// From now on no transfer begins: receivers that ask for one or wait for one hear that this source is stopping. What a
    /// packed stream still needs that has begun is sent.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Transfers of any kind that are running.
    pub(crate) fn all_transfers(&self) -> usize {
        self.transfers.places.held() + self.packed_heads.places.held()
    }

    /// Transfers that may run at once.
    pub(crate) fn streams_max(&self) -> usize {
        self.transfers.places.total()
    }

    /// Transfers that are running.
    pub(crate) fn active_transfers(&self) -> usize {
        self.transfers.places.held()
    }

    /// Receivers that wait for a place.
    pub(crate) fn waiting_transfers(&self) -> usize {
        self.waits.count()
    }

    /// Those of them that have waited longest, by name.
    pub(crate) fn waiting_receivers(&self) -> Vec<WaitingReceiver> {
        self.waits.named()
    }

    /// Transfers that are running, by the address that receives them.
    pub(crate) fn receivers(&self) -> Vec<ReceivingAddress> {
        let by_address = self.transfers.places.by_address().into_iter();
        by_address.map(|(addr, transfers)| ReceivingAddress { addr, transfers: transfers as u64 }).collect()
    }

    /// The state of a game that may be served, or why it may not.
    fn offered(&self, game: &GameId, wanted: Option<&GameVersion>) -> Result<GameState, Refusal> {
        let state = GameState::read(&self.games_dir, game).map_err(|error| unreadable(game, &error))?;
        self.judge(game, state.as_ref(), wanted)?;
        state.ok_or_else(|| Refusal::new(RefusalCode::NotOffered, &format!("it does not have {game}")))
    }

    /// The manifest that the catalog names for a game in this version.
    fn named_manifest(&self, game: &GameId, version: &GameVersion) -> Option<ContentDigest> {
        let catalog = self.catalog.as_ref()?.current().ok()?;
        let known = catalog.game(game).filter(|known| known.version == *version)?;
        known.manifest.map(|reference| reference.digest)
    }

    /// Looks at the disk on a blocking thread.
    async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let worker = Arc::clone(self);
        let looked = self.tasks.spawn_blocking("look", move || look(&worker)).await;
        looked.unwrap_or_else(|error| {
            tracing::error!("a look at the games directory ended abnormally: {error}");
            Err(Refusal::new(RefusalCode::Internal, "the source failed"))
        })
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
            // A signer counts, and nothing of that signer is here yet.
            Some(Err(_)) => CatalogSays::Unknown,
            Some(Ok(catalog)) => {
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
        self.here.replace(&found.games);
        let offers = found.games.into_iter().filter_map(|state| self.offer(state)).collect();
        Ok((offers, found.passed_over))
    }

    /// Reads from the disk whether one folder may be served, or is passed over.
    pub(crate) fn scan_folder(&self, name: &str) -> (Option<GameOffer>, Option<PassedOver>) {
        let found = scan_folder(&self.games_dir, OsStr::new(name));
        if let Ok(game) = name.parse() {
            let state = if let ScannedFolder::Game(state, _) = &found { Some(&**state) } else { None };
            self.here.replace_game(&game, state);
        }
        match found {
            ScannedFolder::Game(state, passed_over) => (self.offer(*state), passed_over),
            ScannedFolder::PassedOver(passed_over) => (None, Some(passed_over)),
            ScannedFolder::Nothing => (None, None),
        }
    }

    fn offer(&self, state: GameState) -> Option<GameOffer> {
        if self.judge(&state.game, Some(&state), None).is_err() {
            return self.offer_of_entries(&state);
        }
        let bytes = state.root_bytes();
        state.version.map(|version| GameOffer { game: state.game, version, bytes, entries: false })
    }

    fn status(&self) -> Result<SourceStatus, LocalError> {
        Ok(SourceStatus {
            games: self.offers()?.len() as u64,
            active_outbound_transfers: self.active_transfers() as u64,
            streams_max: self.streams_max() as u64,
            connections: self.connections.load(Ordering::Relaxed),
            waiting: self.waiting_transfers() as u64,
        })
    }
}

/// The shares of the connections that wait for changes.
const POLL_SHARES: Shares = Shares {
    places: limits::LIBRARY_POLLS_MAX,
    share: limits::LIBRARY_POLLS_SHARE,
    kept: 0,
    most: limits::CONNECTIONS_PER_ADDRESS_MAX,
    // Each of them waits, and none longer than a poll.
    idle_max: limits::LIBRARY_REPLY_DEADLINE,
};

/// Memory of this machine.
fn machine_bytes() -> u64 {
    let system = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the type depends on the machine")]
    u64::from(system.totalram).saturating_mul(system.mem_unit.into())
}

fn unreadable(game: &GameId, error: &LocalError) -> Refusal {
    tracing::warn!("{game} cannot be served: {error}");
    Refusal::new(RefusalCode::Internal, &format!("it cannot read {game}"))
}

#[cfg(test)]
mod tests;
