//! Asks peers for one game, all at once and within deadlines.

use std::hash::RandomState;

use lanspread_proto::message::Hello;
use lanspread_types::ids::{GameId, GameVersion};

use crate::discovery::search::{AtHand, Found, Judge, Search, find};
use crate::discovery::search_outcome::SearchOutcome;
use crate::report::failure::PeerAnswer;
use crate::transport::dial::Dialled;
use crate::trust::select::{PeerOffer, Vote, settled};

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
}

/// Asks the peers at hand, and those that a search finds, for the details of one game.
pub(crate) async fn details(
    at_hand: &AtHand,
    ours: &Hello,
    game: &GameId,
    version: Option<&GameVersion>,
    search: Search,
) -> Answers {
    let (wanted, hasher) = (game.clone(), RandomState::new());
    let question = move |mut dialled: Dialled| {
        let (wanted, hasher) = (wanted.clone(), hasher.clone());
        async move {
            let details = dialled.details(&wanted).await;
            let Hello { peer: id, name, instance, .. } = dialled.connection.theirs;
            Ok(match details {
                Ok((version, files)) => {
                    let offer = PeerOffer { name, id, instance, address: dialled.address, version, files };
                    Ok((Vote::of(&offer, &hasher), offer))
                }
                Err(error) => Err(PeerAnswer { peer: name.to_string(), reason: error.to_string() }),
            })
        }
    };
    let (found, searched) = find(at_hand, ours, search, question, OfGame { version }).await;
    let (mut offers, mut named_offers, mut refusals) = (Vec::new(), 0, Vec::new());
    for Found { peer, named, answer } in found {
        match answer {
            Ok(Ok((_, offer))) => {
                named_offers += usize::from(named);
                offers.push(offer);
            }
            Ok(Err(refused)) => refusals.push(refused),
            Err(error) => refusals.push(PeerAnswer { peer, reason: error.to_string() }),
        }
    }
    Answers { offers, named: named_offers, refusals, searched }
}

/// Judges offers of one game in this version, or without one in the version that most peers have.
struct OfGame<'v> {
    version: Option<&'v GameVersion>,
}

impl Judge<Result<(Vote, PeerOffer), PeerAnswer>> for OfGame<'_> {
    fn offers(&self, answer: &Result<(Vote, PeerOffer), PeerAnswer>) -> bool {
        let is_wanted = |offer: &PeerOffer| self.version.is_none_or(|version| offer.version == *version);
        answer.as_ref().is_ok_and(|(_, offer)| is_wanted(offer))
    }

    fn is_settled(&self, answers: &[&Result<(Vote, PeerOffer), PeerAnswer>], missing: usize) -> bool {
        let votes = answers.iter().filter_map(|answer| answer.as_ref().ok()).map(|(vote, _)| vote);
        settled(votes, self.version, missing)
    }
}
