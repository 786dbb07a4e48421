//! Asks peers, all at once and within deadlines.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::select::PeerOffer;
use crate::error::PeerAnswer;
use crate::game::GameId;
use crate::limits::PEERS_ASKED_AT_ONCE;
use crate::net::dial::{Dialled, PeerAddress, dial};
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

/// Asks every peer for the details of one game: the offers, and why the other peers made none.
pub(crate) async fn details(
    peers: &[PeerAddress],
    ours: &Hello,
    game: &GameId,
) -> (Vec<PeerOffer>, Vec<PeerAnswer>) {
    let wanted = game.clone();
    let asked = ask_all(peers, ours, move |mut dialled: Dialled| {
        let wanted = wanted.clone();
        async move {
            let details = dialled.details(&wanted).await;
            let Hello { peer: id, name, .. } = dialled.connection.theirs;
            Ok(match details {
                Ok((version, files)) => Ok(PeerOffer { name, id, address: dialled.address, version, files }),
                Err(error) => Err(PeerAnswer { peer: name.to_string(), reason: error.to_string() }),
            })
        }
    });
    let (mut offers, mut answers) = (Vec::new(), Vec::new());
    for Asked { peer, answer } in asked.await {
        match answer {
            Ok(Ok(offer)) => offers.push(offer),
            Ok(Err(refused)) => answers.push(refused),
            Err(error) => answers.push(PeerAnswer { peer: peer.to_string(), reason: error.to_string() }),
        }
    }
    (offers, answers)
}
