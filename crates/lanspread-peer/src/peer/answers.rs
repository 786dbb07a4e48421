//! Converts what this peer knows to the answers that report it.

use std::num::NonZeroU64;
use std::time::SystemTime;

use lanspread_store::state::game_state::GameState;
use lanspread_store::state::passed_over::PassedOver;
use lanspread_types::limits;
use lanspread_types::rate_limit::RateLimit;
use lanspread_types::text::printable;

use crate::operations::OperationInfo;
use crate::peer::client::{DiscoveredPeers, OfferedGame, PeerStatus};
use crate::peer::error::PeerError;
use crate::report::answer::Answer;
use crate::report::catalog_listing::CatalogListing;
use crate::report::failure::Code;
use crate::report::offender::Offender;
use crate::source::library_index::reported;
use crate::traffic::TrafficLimits;
use crate::trust::catalog::Catalog;
use crate::trust::peer_rules::of_short_id;
use crate::trust::penalties::{ClearedPenalties, Penalties, Penalty, PenaltyList};
use crate::trust::saved_peers::PeerDecisions;

impl Answer {
    /// The same answer with what the catalog says of its game.
    pub(crate) fn listed_in(mut self, catalog: Option<&Catalog>) -> Self {
        let (Self::LocalGame { game, title, listed, .. } | Self::OfferedGame { game, title, listed, .. }) =
            &mut self
        else {
            return self;
        };
        if let Some(known) = catalog.and_then(|catalog| catalog.game(game)) {
            // A terminal must show the text of a file as text.
            *title = Some(printable(&known.name, limits::CATALOG_TITLE_CHARS_SHOWN_MAX));
            listed.listed_version = Some(known.version.clone());
            listed.unpacked_bytes = known.unpacked_bytes;
        }
        self
    }

    /// The same answer, which says whether the installed files of its game are offered.
    pub(crate) fn sharing_entries(mut self, is_shared: bool) -> Self {
        if let Self::LocalGame { shares_entries, .. } = &mut self {
            *shares_entries = is_shared;
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
            listed: CatalogListing::default(),
        };
        Self::unavailable(found).chain(found.games().into_iter().map(report)).collect()
    }

    /// The found peers themselves, with what is known about them.
    pub(crate) fn peers(
        found: &DiscoveredPeers,
        decisions: &PeerDecisions,
        penalties: &PenaltyList,
    ) -> Vec<Self> {
        let now = SystemTime::now();
        let peers = found.peers.iter().map(|offers| {
            let has_same_name =
                found.peers.iter().any(|other| other.name == offers.name && other.id != offers.id);
            let has_other_key = decisions.knows_name_of_another(&offers.name, &offers.id);
            let warning =
                if has_other_key { Some("other-key") } else { has_same_name.then_some("same-name") };
            let penalty = penalties.of(&offers.id, offers.address.ip(), now);
            Self::Peer {
                peer: offers.id,
                name: offers.name.clone(),
                addr: offers.address,
                games: offers.games.len() as u64,
                trust: decisions.trust_in(&offers.id),
                name_warning: warning.map(Code::from),
                offence: penalty.map(|penalty| penalty.offence),
                penalty_left_ms: penalty.and_then(|penalty| left_ms(penalty, now)),
            }
        });
        Self::unavailable(found).chain(peers).collect()
    }

    /// The penalties that are not over, or those that this clears: `all`, or those of one identity or address. An
    /// identity can be given by its first characters.
    ///
    /// # Errors
    /// [`PeerError::SavedPeers`] if the characters do not stand for one penalised peer, [`PeerError::NotPenalised`] if
    /// there is nothing to clear, [`PeerError::Local`] if the file cannot be written.
    pub(crate) fn penalties(penalties: &Penalties, clear: Option<&str>) -> Result<Vec<Self>, PeerError> {
        let now = SystemTime::now();
        let report = |penalty: Penalty, cleared| {
            let (peer, addr) = match penalty.offender {
                Offender::Peer(peer) => (Some(peer), None),
                Offender::Address(addr) => (None, Some(addr)),
            };
            let left_ms = left_ms(&penalty, now).unwrap_or(0);
            Self::Penalty { peer, addr, offence: penalty.offence, left_ms, message: penalty.what, cleared }
        };
        let running = penalties.running();
        let Some(text) = clear else {
            return Ok(running.into_iter().map(|penalty| report(penalty, false)).collect());
        };
        let which = cleared(text, &running)?;
        let ended = penalties.clear(which)?;
        if ended.is_empty() && which != ClearedPenalties::All {
            return Err(PeerError::NotPenalised { offender: printable(text, limits::LABEL_BYTES_MAX) });
        }
        Ok(ended.into_iter().map(|penalty| report(penalty, true)).collect())
    }

    fn unavailable(found: &DiscoveredPeers) -> impl Iterator<Item = Self> {
        found.failed.iter().map(|failed| Self::PeerUnavailable {
            peer: failed.peer.clone(),
            code: failed.code.clone(),
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
            downloaded_trust: state.downloaded_trust,
            installed: state.installed,
            bytes: state.root_bytes(),
            shares_entries: false,
            listed: CatalogListing::default(),
        }
    }
}

impl From<TrafficLimits> for Answer {
    fn from(limits: TrafficLimits) -> Self {
        let bytes = |limit: RateLimit| limit.bytes_per_second().map(NonZeroU64::get);
        Self::Limits { up_bytes_per_second: bytes(limits.up), down_bytes_per_second: bytes(limits.down) }
    }
}

impl From<&PassedOver> for Answer {
    fn from(passed: &PassedOver) -> Self {
        Self::FolderPassedOver(reported(passed))
    }
}

/// Which penalties a text means, as [`Answer::penalties`] describes.
fn cleared(text: &str, running: &[Penalty]) -> Result<ClearedPenalties, PeerError> {
    if text == "all" {
        return Ok(ClearedPenalties::All);
    }
    if let Ok(id) = text.parse() {
        return Ok(ClearedPenalties::Of(Offender::Peer(id)));
    }
    if let Ok(address) = text.parse() {
        return Ok(ClearedPenalties::Of(Offender::Address(address)));
    }
    let penalised = running.iter().filter_map(|penalty| match penalty.offender {
        Offender::Peer(id) => Some(id),
        Offender::Address(_) => None,
    });
    Ok(ClearedPenalties::Of(Offender::Peer(of_short_id(text, penalised)?)))
}

fn left_ms(penalty: &Penalty, now: SystemTime) -> Option<u64> {
    penalty.left(now).map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
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
            waiting: status.waiting,
            receivers: Vec::new(),
            waves: Vec::new(),
            relays: Vec::new(),
            waiting_receivers: Vec::new(),
            up_bytes_per_second: None,
            down_bytes_per_second: None,
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
            progress: info.progress,
            resumed: info.resumed,
        }
    }
}
