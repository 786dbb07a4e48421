//! Asks peers for one game, all at once and within deadlines.

use lanspread_proto::message::Hello;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress};

use crate::discovery::search::{Found, Search, find};
use crate::discovery::search_outcome::SearchOutcome;
use crate::report::failure::PeerAnswer;
use crate::transport::dial::Dialled;
use crate::trust::select::PeerOffer;

/// Asks the peers at hand, and those that a search finds, for the details of one game. Returns the offers, why the
/// other peers made none, and what the search did.
pub(crate) async fn details(
    at_hand: &[PeerAddress],
    ours: &Hello,
    game: &GameId,
    version: Option<&GameVersion>,
    search: Search,
) -> (Vec<PeerOffer>, Vec<PeerAnswer>, SearchOutcome) {
    let wanted = game.clone();
    let question = move |mut dialled: Dialled| {
        let wanted = wanted.clone();
        async move {
            let details = dialled.details(&wanted).await;
            let Hello { peer: id, name, instance, .. } = dialled.connection.theirs;
            Ok(match details {
                Ok((version, files)) => {
                    Ok(PeerOffer { name, id, instance, address: dialled.address, version, files })
                }
                Err(error) => Err(PeerAnswer { peer: name.to_string(), reason: error.to_string() }),
            })
        }
    };
    let offered = |answer: &Result<PeerOffer, PeerAnswer>| match answer {
        Ok(offer) => version.is_none_or(|version| offer.version == *version),
        Err(_) => false,
    };
    let (found, searched) = find(at_hand, ours, search, question, offered).await;
    let (mut offers, mut answers) = (Vec::new(), Vec::new());
    for Found { peer, answer } in found {
        match answer {
            Ok(Ok(offer)) => offers.push(offer),
            Ok(Err(refused)) => answers.push(refused),
            Err(error) => answers.push(PeerAnswer { peer, reason: error.to_string() }),
        }
    }
    (offers, answers, searched)
}
