//! Converts what this peer knows to the answers that report it.

use lanspread_store::state::game_state::GameState;
use lanspread_store::state::passed_over::PassedOver;
use lanspread_types::limits;
use lanspread_types::text::printable;

use crate::operations::OperationInfo;
use crate::peer::client::{DiscoveredPeers, OfferedGame, PeerOffers, PeerStatus};
use crate::peer::stream_install::{SourcePeer, StreamInstallPlan};
use crate::report::answer::{Answer, PlannedSource};
use crate::source::library_index::reported;
use crate::trust::catalog::Catalog;

impl Answer {
    /// The same answer with the title that the catalog has for its game.
    pub(crate) fn with_title(mut self, catalog: Option<&Catalog>) -> Self {
        if let Self::LocalGame { game, title, .. } | Self::OfferedGame { game, title, .. } = &mut self {
            *title = catalog.and_then(|catalog| catalog.game(game)).map(|known| {
                // A terminal must show the text of a file as text.
                printable(&known.name, limits::CATALOG_TITLE_CHARS_SHOWN_MAX)
            });
        }
        self
    }

    /// The games that the found peers offer: each game and version once, with the peers that offer it.
    pub(crate) fn offered_games(found: &DiscoveredPeers) -> Vec<Self> {
        let report = |offered: OfferedGame| Self::OfferedGame {
            game: offered.game,
            title: None,
            version: offered.version,
            bytes: offered.bytes,
            peer_count: offered.peers.len() as u64,
            peers: offered.peers,
        };
        Self::unavailable(found).chain(found.games().into_iter().map(report)).collect()
    }

    /// The found peers themselves.
    pub(crate) fn peers(found: &DiscoveredPeers) -> Vec<Self> {
        Self::unavailable(found).chain(found.peers.iter().map(Self::from)).collect()
    }

    fn unavailable(found: &DiscoveredPeers) -> impl Iterator<Item = Self> {
        found.failed.iter().map(|failed| Self::PeerUnavailable {
            peer: failed.peer.clone(),
            code: failed.code.into(),
            message: failed.reason.clone(),
        })
    }
}

impl From<&GameState> for Answer {
    fn from(state: &GameState) -> Self {
        Self::LocalGame {
            game: state.game.clone(),
            title: None,
            version: state.version.clone(),
            installed_version: state.installed_version.clone(),
            trust: state.installed_trust,
            state: state.availability(),
            downloaded: state.downloaded(),
            installed: state.installed,
            bytes: state.root_bytes(),
        }
    }
}

impl From<&PassedOver> for Answer {
    fn from(passed: &PassedOver) -> Self {
        Self::FolderPassedOver(reported(passed))
    }
}

impl From<&PeerOffers> for Answer {
    fn from(offers: &PeerOffers) -> Self {
        Self::Peer {
            peer: offers.id,
            name: offers.name.clone(),
            addr: offers.address,
            games: offers.games.len() as u64,
        }
    }
}

impl From<PeerStatus> for Answer {
    fn from(status: PeerStatus) -> Self {
        Self::PeerStatus {
            peer: status.id,
            name: status.name,
            addr: status.address,
            games: status.games.into_iter().map(|offer| offer.game).collect(),
            active_outbound_transfers: status.active_outbound_transfers,
            streams_max: status.streams_max,
            connections: status.connections,
            receivers: Vec::new(),
        }
    }
}

impl From<StreamInstallPlan> for Answer {
    fn from(plan: StreamInstallPlan) -> Self {
        let planned = |source: &SourcePeer| PlannedSource {
            name: source.name.clone(),
            peer: source.id,
            addr: source.address,
        };
        let fits = plan.missing_space().is_none();
        Self::StreamInstallPlan {
            game: plan.game,
            version: plan.version,
            sources: plan.sources.iter().map(planned).collect(),
            dropped: plan.dropped,
            files: plan.totals.files,
            bytes: plan.totals.bytes,
            needed_bytes: plan.needed_bytes,
            free_bytes: plan.free_bytes,
            fits,
        }
    }
}

impl From<OperationInfo> for Answer {
    fn from(info: OperationInfo) -> Self {
        Self::Operation {
            operation: info.operation,
            kind: info.kind,
            game: info.game,
            running: info.running,
            followers: info.followers as u64,
        }
    }
}
