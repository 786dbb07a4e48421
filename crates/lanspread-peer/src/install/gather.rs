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

/// Asks every peer for the details of one game.
pub(crate) async fn details(
    peers: &[PeerAddress],
    ours: &Hello,
    game: &GameId,
) -> (Vec<PeerOffer>, Vec<PeerAnswer>) {
    let wanted = game.clone();
    let asked = ask_all(peers, ours, move |mut dialled: Dialled| {
        let wanted = wanted.clone();
        async move {
            let (version, files) = dialled.details(&wanted).await?;
            let theirs = dialled.connection.theirs;
            Ok(PeerOffer { name: theirs.name, id: theirs.peer, address: dialled.address, version, files })
        }
    });
    let (mut offers, mut answers) = (Vec::new(), Vec::new());
    for asked in asked.await {
        match asked.answer {
            Ok(offer) => offers.push(offer),
            Err(error) => {
                answers.push(PeerAnswer { peer: asked.peer.to_string(), reason: error.to_string() });
            }
        }
    }
    (offers, answers)
}
