//! Asks other peers what they offer and what they are doing. This needs an identity but no games.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_proto::WireError;
use lanspread_proto::message::Hello;
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::content::GameOffer;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId, PeerName};
use lanspread_types::limits;

use crate::discovery::library_memory::{LibraryMemory, LibraryShare};
use crate::discovery::search;
use crate::discovery::search::{AtHand, Found, Judge, Search, find};
use crate::discovery::search_outcome::SearchOutcome;
use crate::peer::builder;
use crate::peer::builder::Member;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::peer::network_search::check_discovery;
use crate::report::answer::Answer;
use crate::report::failure::Code;
use crate::report::operation::{AdmissionRules, AskOptions, DiscoveryMode};
use crate::task::Boxed;
use crate::transport::dial::{Dialled, dial};
use crate::trust::identity;
use crate::trust::peer_rules::PeerRules;
use crate::trust::penalties::Penalties;
use crate::trust::saved_peers::{SavedPeer, SavedPeers};

/// What one peer offers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerOffers {
    /// Name of the peer.
    pub name: PeerName,
    /// Its identity.
    pub id: PeerId,
    /// Random for each run of the peer, so two peers with one identity have different instances.
    pub instance: u64,
    /// Where it answered.
    pub address: SocketAddr,
    /// Its games.
    pub games: Vec<GameOffer>,
}

/// The peers that were found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiscoveredPeers {
    /// The peers that answered, sorted by name; never this one.
    pub peers: Vec<PeerOffers>,
    /// Peers that were named or discovered and could not be asked, with the reason.
    pub failed: Vec<FailedPeer>,
    /// How and where peers were searched for.
    pub searched: SearchOutcome,
}

/// A peer that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedPeer {
    /// The address as given, or the announced name and address.
    pub peer: String,
    /// Stable kebab-case code.
    pub code: Code,
    /// The reason, in one line.
    pub reason: String,
}

/// A game that at least one peer offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OfferedGame {
    /// Which game.
    pub game: GameId,
    /// In which version.
    pub version: GameVersion,
    /// Bytes of its root files; the largest number that a peer reports.
    pub bytes: u64,
    /// Names of the peers that offer it, one per peer.
    pub peers: Vec<PeerName>,
}

impl DiscoveredPeers {
    /// Each game and version once, with the peers that offer it.
    pub fn games(&self) -> Vec<OfferedGame> {
        let mut games: BTreeMap<(&GameId, &GameVersion), OfferedGame> = BTreeMap::new();
        for peer in &self.peers {
            for offer in &peer.games {
                let game = games.entry((&offer.game, &offer.version)).or_insert_with(|| OfferedGame {
                    game: offer.game.clone(),
                    version: offer.version.clone(),
                    bytes: 0,
                    peers: Vec::new(),
                });
                game.bytes = game.bytes.max(offer.bytes);
                game.peers.push(peer.name.clone());
            }
        }
        games.into_values().collect()
    }
}

/// What one peer is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Name of the peer.
    pub name: PeerName,
    /// Its identity.
    pub id: PeerId,
    /// Where it answered.
    pub address: SocketAddr,
    /// Its games.
    pub games: Vec<GameOffer>,
    /// Streams it is sending.
    pub active_outbound_transfers: u64,
    /// Most streams it sends at once.
    pub streams_max: u64,
    /// Open connections to it, including this one.
    pub connections: u64,
    /// Receivers that wait for a place.
    pub waiting: u64,
}

/// Asks other peers on behalf of one identity.
#[derive(Debug, Clone)]
pub struct PeerClient {
    ours: Endpoint,
    saved_peers: SavedPeers,
    penalties: Penalties,
    discovery_port: u16,
}

impl PeerClient {
    /// Makes a client with the identity from a state directory, by default that of the user, and its party, or the one whose
    /// line is in `party_file`.
    ///
    /// # Errors
    /// [`PeerError::Trust`] if the identity can be neither read nor created.
    pub fn new(state_dir: Option<PathBuf>, party_file: Option<&Path>) -> Result<Self, PeerError> {
        let state_dir = identity::state_dir(state_dir)?;
        let saved_peers = SavedPeers::of(Some(state_dir.clone()))?;
        let rules = PeerRules::new(AdmissionRules::default(), saved_peers.clone())?;
        let Member { endpoint, is_open, .. } =
            builder::member(&state_dir, None, party_file, &Arc::new(rules))?;
        let penalties = Penalties::new(state_dir, is_open);
        Ok(Self { ours: endpoint, saved_peers, penalties, discovery_port: search::PORT })
    }

    /// Asks the given peers and those that discovery finds what they offer.
    ///
    /// # Errors
    /// [`PeerError::NoPeers`], which describes the search, if there is no peer to ask; [`PeerError::Peer`] if there is
    /// one peer and it cannot be asked.
    pub async fn discover(
        &self,
        discovery: DiscoveryMode,
        peers: &[PeerAddress],
    ) -> Result<DiscoveredPeers, PeerError> {
        let at_hand =
            AtHand { peers: peers.to_vec(), named: peers.len(), chosen: peers.len(), ..AtHand::default() };
        self.discover_at(discovery, &at_hand).await
    }

    fn discover_at<'a>(
        &'a self,
        discovery: DiscoveryMode,
        at_hand: &'a AtHand,
    ) -> Boxed<'a, Result<DiscoveredPeers, PeerError>> {
        Box::pin(self.ask_all(discovery, at_hand))
    }

    async fn ask_all(
        &self,
        discovery: DiscoveryMode,
        at_hand: &AtHand,
    ) -> Result<DiscoveredPeers, PeerError> {
        check_discovery(discovery != DiscoveryMode::Off)?;
        let search = Search::for_list(discovery, self.discovery_port);
        let memory = LibraryMemory::default();
        let question = move |dialled| offers_of(dialled, memory.clone());
        let (found, searched) = find(at_hand, &self.ours, search, question, OfAll).await;
        let (mut peers, mut failures) = (Vec::new(), Vec::new());
        for Found { peer, answer, .. } in found {
            match answer {
                Ok((offers, _share)) => peers.push(offers),
                Err(source) => failures.push((peer, source)),
            }
        }
        if peers.is_empty() && failures.is_empty() {
            return Err(PeerError::NoPeers { searched: Box::new(searched) });
        }
        if peers.is_empty() && failures.len() == 1 {
            return Err(match failures.pop() {
                Some((peer, source)) => PeerError::Peer { peer, source },
                None => PeerError::NoPeers { searched: Box::new(searched) },
            });
        }
        peers.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        let failed = |(peer, error): (String, WireError)| FailedPeer {
            peer,
            code: error.code().into(),
            reason: error.to_string(),
        };
        let failed = failures.into_iter().map(failed).collect();
        Ok(DiscoveredPeers { peers, failed, searched })
    }

    /// The peers that answer, including saved ones, and those that cannot be asked.
    ///
    /// # Errors
    /// As for [`Self::discover`]; [`PeerError::SavedPeers`] if the saved peers cannot be read; [`PeerError::Config`] if
    /// too many peers are named.
    pub async fn peers(&self, options: &AskOptions) -> Result<Vec<Answer>, PeerError> {
        let decisions = self.saved_peers.decisions()?;
        let peers = at_hand(&options.peers, decisions.saved.clone(), [])?;
        let found = self.discover_at(options.discovery, &peers).await?;
        Ok(Answer::peers(&found, &decisions, &self.penalties.current()))
    }

    /// The penalties that are not over, or those that this clears: `all`, or those of one identity or address.
    ///
    /// # Errors
    /// [`PeerError::SavedPeers`] if the first characters of an identity do not stand for one penalised peer,
    /// [`PeerError::NotPenalised`] if there is nothing to clear, [`PeerError::Local`] if the file cannot be written.
    pub fn penalties(&self, clear: Option<&str>) -> Result<Vec<Answer>, PeerError> {
        Answer::penalties(&self.penalties, clear)
    }

    /// Who answers at an address.
    ///
    /// # Errors
    /// [`PeerError::Peer`] if no peer answers.
    pub async fn introduction(&self, peer: &PeerAddress) -> Result<(PeerId, PeerName), PeerError> {
        match dial(peer, &self.ours, None).await {
            Ok(dialled) => Ok((dialled.connection.peer, dialled.connection.theirs.name)),
            Err(source) => Err(PeerError::Peer { peer: peer.to_string(), source }),
        }
    }

    /// Searches on another port than that of multicast DNS.
    #[cfg(test)]
    pub(crate) fn on_discovery_port(mut self, port: u16) -> Self {
        self.discovery_port = port;
        self
    }

    /// Asks one peer what it is doing.
    ///
    /// # Errors
    /// [`PeerError::Peer`] if it cannot be asked.
    pub fn status<'a>(&'a self, peer: &'a PeerAddress) -> Boxed<'a, Result<PeerStatus, PeerError>> {
        Box::pin(self.ask_status(peer))
    }

    async fn ask_status(&self, peer: &PeerAddress) -> Result<PeerStatus, PeerError> {
        let ask = async {
            let mut dialled = dial(peer, &self.ours, None).await?;
            let status = dialled.status().await?;
            let mut share = LibraryMemory::default().share(dialled.address.ip());
            let games = dialled.games(|games| share.take(games)).await?;
            Ok(PeerStatus {
                name: dialled.connection.theirs.name,
                id: dialled.connection.peer,
                address: dialled.address,
                games,
                active_outbound_transfers: status.active_outbound_transfers,
                streams_max: status.streams_max,
                connections: status.connections,
                waiting: status.waiting,
            })
        };
        ask.await.map_err(|source| PeerError::Peer { peer: peer.to_string(), source })
    }
}

/// Each peer's list counts in the memory of all of them until the search is over.
async fn offers_of(
    mut dialled: Dialled,
    memory: LibraryMemory,
) -> Result<(PeerOffers, LibraryShare), WireError> {
    let mut share = memory.share(dialled.address.ip());
    let games = dialled.games(|games| share.take(games)).await?;
    let id = dialled.connection.peer;
    let Hello { name, instance, .. } = dialled.connection.theirs;
    Ok((PeerOffers { name, id, instance, address: dialled.address, games }, share))
}

/// In a list of all peers, each one counts.
struct OfAll;

impl Judge<(PeerOffers, LibraryShare)> for OfAll {
    fn offers(&self, _: &(PeerOffers, LibraryShare)) -> bool {
        true
    }

    fn is_settled(&self, _: &[&(PeerOffers, LibraryShare)], _: usize) -> bool {
        false
    }
}

/// The peers that need no discovery: each once, named peers first, then saved ones.
///
/// # Errors
/// [`PeerError::Config`] if more than [`limits::PEERS_MAX`] peers are named.
pub(super) fn at_hand(
    named: &[PeerAddress],
    saved: Vec<SavedPeer>,
    known: impl IntoIterator<Item = PeerAddress>,
) -> Result<AtHand, PeerError> {
    if named.len() > limits::PEERS_MAX {
        return Err(PeerError::Config(format!(
            "{} peers are named; the limit is {}",
            named.len(),
            limits::PEERS_MAX
        )));
    }
    let mut seen = BTreeSet::new();
    let mut peers: Vec<PeerAddress> =
        named.iter().cloned().chain(saved.iter().map(|saved| saved.address.clone())).collect();
    peers.retain(|peer| seen.insert(peer.clone()));
    peers.truncate(limits::PEERS_MAX);
    let (named, chosen) = (named.iter().collect::<BTreeSet<_>>().len(), peers.len());
    peers.extend(known.into_iter().filter(|peer| seen.insert(peer.clone())));
    peers.truncate(limits::PEERS_MAX);
    let ids = saved.into_iter().filter_map(|saved| Some((saved.address, saved.id?))).collect();
    Ok(AtHand { peers, named, chosen, ids })
}

impl Peer {
    /// Asks all peers that are named, saved, known to this peer while it serves, or discovered.
    pub(crate) async fn discover(&self, options: &AskOptions) -> Result<DiscoveredPeers, PeerError> {
        let client = PeerClient {
            ours: self.endpoint(),
            saved_peers: self.inner.saved_peers.clone(),
            penalties: self.inner.penalties.clone(),
            discovery_port: self.inner.discovery_port,
        };
        let discovery = if self.knows_its_neighbours() { DiscoveryMode::Off } else { options.discovery };
        client.discover_at(discovery, &self.peers_at_hand(&options.peers)?).await
    }

    /// The peers of [`Self::discover`], with what is known about them.
    pub(crate) async fn peers(&self, options: &AskOptions) -> Result<Vec<Answer>, PeerError> {
        let found = self.discover(options).await?;
        Ok(Answer::peers(&found, &self.inner.rules.decisions(), &self.inner.penalties.current()))
    }

    /// The penalties that this peer knows, or those that this clears.
    pub(crate) async fn penalties(&self, clear: Option<String>) -> Result<Vec<Answer>, PeerError> {
        let penalties = self.inner.penalties.clone();
        self.blocking("penalties", move || Answer::penalties(&penalties, clear.as_deref())).await
    }

    /// Whether this peer has listened long enough to know the peers around it. Then it searches the network only if
    /// none of them offers what is wanted.
    pub(super) fn knows_its_neighbours(&self) -> bool {
        self.inner.neighbours.get().is_some_and(|neighbours| {
            self.inner.discovery
                && neighbours.since().elapsed() >= limits::DISCOVERY_LISTENED
                && !neighbours.known().is_empty()
        })
    }

    /// The peers that need no discovery: named, saved, or known to this peer while it serves, the longest known first.
    pub(super) fn peers_at_hand(&self, named: &[PeerAddress]) -> Result<AtHand, PeerError> {
        let known = self.inner.neighbours.get().map(|neighbours| neighbours.longest_known());
        let known = known.unwrap_or_default().into_iter().map(PeerAddress::from);
        at_hand(named, self.inner.saved_peers.load()?, known)
    }
}
