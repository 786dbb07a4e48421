//! Asks peers for one game, all at once and within deadlines.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use lanspread_proto::WireError;
use lanspread_proto::message::{Hello, RefusalCode};
use lanspread_tls::endpoint::Endpoint;
use lanspread_trust::manifest::{Manifest, ManifestFile};
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId};
use lanspread_types::limits;
use tokio::time::timeout;

use crate::discovery::library_memory::LibraryMemory;
use crate::discovery::search::{AtHand, Found, Judge, LateAnswers, Search, find, find_and_later};
use crate::discovery::search_outcome::SearchOutcome;
use crate::discovery::suggestion::similar;
use crate::report::failure::PeerAnswer;
use crate::transport::dial::Dialled;
use crate::transport::listing::ReportedDetails;
use crate::trust::penalties::PenaltyList;
use crate::trust::select::{Disbelief, Load, PeerOffer, Vote, settled};

/// What is known about a game, and about the peers that may offer it, before they are asked.
#[derive(Debug, Clone)]
pub(crate) struct Belief {
    /// The version that the catalog expects.
    pub(crate) version: Option<GameVersion>,
    /// What the catalog says about its content.
    pub(crate) manifest: Option<Arc<ManifestFile>>,
    /// Which peers are not believed for now.
    pub(crate) penalties: Arc<PenaltyList>,
}

impl Belief {
    /// What the catalog says about the content of the game, without the digests that are read from its file.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_deref().map(ManifestFile::manifest)
    }

    fn penalty(&self, id: &PeerId, address: SocketAddr) -> Option<Disbelief> {
        let penalty = self.penalties.of(id, address.ip(), SystemTime::now())?;
        let minutes = penalty.left(SystemTime::now())?.as_secs().div_ceil(60);
        let minutes = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
        let reason = format!("it is not believed for {minutes}: {}", penalty.offence);
        Some(Disbelief { offence: penalty.offence, reason })
    }
}

/// What the peers answered about one game.
pub(crate) struct Answers {
    /// The offers, in the order of asking.
    pub(crate) offers: Vec<PeerOffer>,
    /// How many of them, at the beginning, are of peers that the user named.
    pub(crate) named: usize,
    /// Why the other peers made none.
    pub(crate) refusals: Vec<PeerAnswer>,
    /// What the search did.
    pub(crate) searched: SearchOutcome,
    /// The offers that were not awaited.
    pub(crate) late: LateOffers,
}

/// Offers that arrive after a choice was made. Dropping it drops their connections.
pub(crate) struct LateOffers(LateAnswers<Result<(Vote, PeerOffer), Declined>>);

impl LateOffers {
    /// None: no peer was asked.
    pub(crate) fn none() -> Self {
        Self(LateAnswers::none())
    }

    /// The next one; none once no peer can make one any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<PeerOffer> {
        loop {
            if let Ok((_, offer)) = self.0.next().await? {
                return Some(offer);
            }
        }
    }
}

/// Asks the peers at hand, and those that a search finds, for the details of one game.
pub(crate) async fn details(
    at_hand: &AtHand,
    ours: &Endpoint,
    game: &GameId,
    belief: &Belief,
    search: Search,
) -> Answers {
    let (wanted, hasher) = (game.clone(), RandomState::new());
    let believed = belief.clone();
    let question = move |mut dialled: Dialled| {
        let (wanted, hasher, belief) = (wanted.clone(), hasher.clone(), believed.clone());
        async move {
            let details = dialled.details(&wanted).await;
            let load = if details.is_ok() { load_of(&mut dialled).await } else { None };
            let id = dialled.connection.peer;
            let Hello { name, instance, .. } = dialled.connection.theirs;
            Ok(match details {
                Ok(ReportedDetails { manifest: Some(manifest), is_entries: true, .. })
                    if belief.manifest.as_ref().is_none_or(|known| known.digest() != manifest) =>
                {
                    let reason = "it offers installed files only, and not those of the catalog's manifest";
                    let answer = PeerAnswer { peer: name.to_string(), reason: reason.to_owned() };
                    Err(Declined { answer, without_it: None })
                }
                Ok(ReportedDetails { version, files, manifest, manifest_in_ms, is_entries }) => {
                    let listed = belief.manifest().filter(|_| is_entries);
                    let files = listed.map_or(files, |listed| listed.root_files.clone());
                    let entries = manifest.filter(|_| is_entries);
                    let (address, penalty) = (dialled.address, belief.penalty(&id, dialled.address));
                    let offer = PeerOffer {
                        name,
                        id,
                        instance,
                        address,
                        version,
                        files,
                        manifest,
                        manifest_in_ms,
                        load,
                        penalty,
                        entries,
                    };
                    Ok((Vote::of(&offer, belief.manifest(), &hasher), offer))
                }
                Err(error) => Err(Declined {
                    answer: PeerAnswer { peer: name.to_string(), reason: error.to_string() },
                    without_it: is_not_offered(&error).then_some(dialled.address),
                }),
            })
        }
    };
    let finding = find_and_later(at_hand, ours, search, question, OfGame { belief });
    let (found, mut searched, late) = finding.await;
    let (mut offers, mut named_offers, mut refusals) = (Vec::new(), 0, Vec::new());
    let mut without_it = Vec::new();
    for Found { peer, named, answer } in found {
        match answer {
            Ok(Ok((_, offer))) => {
                named_offers += usize::from(named);
                offers.push(offer);
            }
            Ok(Err(declined)) => {
                refusals.push(declined.answer);
                without_it.extend(declined.without_it);
            }
            Err(error) => refusals.push(PeerAnswer { peer, reason: error.to_string() }),
        }
    }
    if offers.is_empty() {
        searched.similar = offered_like(&without_it, ours, game).await;
    }
    Answers { offers, named: named_offers, refusals, searched, late: LateOffers(late) }
}

/// How busy a peer says that it is. It only orders the sources, so a peer that does not say it soon is not waited for.
async fn load_of(dialled: &mut Dialled) -> Option<Load> {
    let status = timeout(limits::LOAD_ANSWER_DEADLINE, dialled.status()).await.ok()?.ok()?;
    Some(Load {
        is_full: status.active_outbound_transfers >= status.streams_max,
        waiting: status.waiting,
        transfers: status.active_outbound_transfers,
    })
}

/// A peer that makes no offer.
struct Declined {
    answer: PeerAnswer,
    /// Where it answers, if it only does not offer the game.
    without_it: Option<SocketAddr>,
}

fn is_not_offered(error: &WireError) -> bool {
    matches!(error, WireError::Refused(refusal) if refusal.code == RefusalCode::NotOffered)
}

/// Asks a few of the peers that do not offer a game for their lists. Returns the id in them that is most like it. The
/// operation has failed already, so this takes no longer than a search does.
async fn offered_like(peers: &[SocketAddr], ours: &Endpoint, game: &GameId) -> Option<GameId> {
    let asked = peers.iter().take(limits::SUGGESTION_PEERS_MAX).map(|peer| PeerAddress::from(*peer));
    let at_hand = AtHand { peers: asked.collect(), ..AtHand::default() };
    let (wanted, memory) = (game.clone(), LibraryMemory::default());
    let question = move |mut dialled: Dialled| {
        let (wanted, mut share) = (wanted.clone(), memory.share(dialled.address.ip()));
        async move {
            let offers = dialled.games(|games| share.take(games)).await?;
            Ok(similar(&wanted, offers.iter().map(|offer| &offer.game)))
        }
    };
    let finding = Box::pin(find(&at_hand, ours, Search::only_at_hand(), question, AnyAnswer));
    let (found, _) = timeout(limits::STRAGGLER_DEADLINE, finding).await.ok()?;
    let meant: Vec<GameId> = found.into_iter().filter_map(|found| found.answer.ok().flatten()).collect();
    similar(game, &meant)
}

/// Every answer counts.
struct AnyAnswer;

impl Judge<Option<GameId>> for AnyAnswer {
    fn offers(&self, _: &Option<GameId>) -> bool {
        true
    }

    fn is_settled(&self, _: &[&Option<GameId>], _: usize) -> bool {
        true
    }
}

/// Judges offers of one game by its manifest, or else in the wanted version, or else in the one that most peers have.
struct OfGame<'b> {
    belief: &'b Belief,
}

impl Judge<Result<(Vote, PeerOffer), Declined>> for OfGame<'_> {
    fn offers(&self, answer: &Result<(Vote, PeerOffer), Declined>) -> bool {
        let Belief { version, manifest, .. } = self.belief;
        answer.as_ref().is_ok_and(|(vote, _)| vote.offers(version.as_ref(), manifest.is_some()))
    }

    fn is_settled(&self, answers: &[&Result<(Vote, PeerOffer), Declined>], missing: usize) -> bool {
        let votes = answers.iter().filter_map(|answer| answer.as_ref().ok()).map(|(vote, _)| vote);
        settled(votes, self.belief.version.as_ref(), self.belief.manifest.is_some(), missing)
    }
}
