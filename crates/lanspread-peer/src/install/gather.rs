//! Asks peers, all at once and within deadlines.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::select::PeerOffer;
use crate::error::PeerAnswer;
use crate::game::{GameId, GameVersion};
use crate::limits::PEERS_ASKED_AT_ONCE;
use crate::net::dial::{Dialled, PeerAddress, dial};
use crate::peer::finding::{Found, Search, find};
use crate::searched::Searched;
use crate::wire::WireError;
use crate::wire::message::Hello;

/// What came of asking one peer.
pub(crate) struct Asked<T> {
    /// The peer as it was named.
    pub(crate) peer: PeerAddress,
    /// Its answer.
    pub(crate) answer: Result<T, WireError>,
}

/// Asks every peer the same question, a bounded number at a time; the answers come in the order of the peers.
/// Dropping the future drops every connection.
pub(crate) async fn ask_all<T, Q, A>(peers: &[PeerAddress], ours: &Hello, question: Q) -> Vec<Asked<T>>
where
    T: Send + 'static,
    Q: Fn(Dialled) -> A + Clone + Send + 'static,
    A: Future<Output = Result<T, WireError>> + Send,
{
    let places = Arc::new(Semaphore::new(PEERS_ASKED_AT_ONCE));
    let mut asking = JoinSet::new();
    for (index, peer) in peers.iter().cloned().enumerate() {
        let (ours, places, question) = (ours.clone(), Arc::clone(&places), question.clone());
        asking.spawn(async move {
            let _place = places.acquire_owned().await;
            let answer = match dial(&peer, &ours).await {
                Ok(dialled) if dialled.connection.theirs.peer == ours.peer => Err(WireError::SelfConnect),
                Ok(dialled) => question(dialled).await,
                Err(error) => Err(error),
            };
            (index, Asked { peer, answer })
        });
    }
    let mut answers = Vec::with_capacity(peers.len());
    while let Some(asked) = asking.join_next().await {
        match asked {
            Ok(answer) => answers.push(answer),
            Err(error) => tracing::error!("asking a peer ended abnormally: {error}"),
        }
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, asked)| asked).collect()
}

/// Asks the peers at hand, and those that a search finds, for the details of one game: the offers, why the other peers
/// made none, and where peers were looked for.
pub(crate) async fn details(
    at_hand: &[PeerAddress],
    ours: &Hello,
    game: &GameId,
    version: Option<&GameVersion>,
    search: Search,
) -> (Vec<PeerOffer>, Vec<PeerAnswer>, Searched) {
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
