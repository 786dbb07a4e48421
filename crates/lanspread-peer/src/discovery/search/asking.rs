//! Asks one peer after the other, each in a task of its own, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::ids::{PeerAddress, PeerId, PeerName};
use lanspread_types::limits;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::discovery::directory::PeerKey;
use crate::discovery::heard::PeerHint;
use crate::transport::dial::{Dialled, dial, dial_any};

pub(super) enum AskedPeer {
    /// Named or saved by the user, perhaps with its identity.
    Chosen(PeerAddress, Option<PeerId>),
    Known(PeerAddress),
    Heard(PeerHint),
}

impl AskedPeer {
    fn shown(&self) -> String {
        match self {
            Self::Chosen(peer, _) | Self::Known(peer) => peer.to_string(),
            Self::Heard(hint) => {
                let name = hint.name.as_ref().map_or("a member", PeerName::as_str);
                match hint.addresses.first() {
                    Some(address) => format!("{name} ({address})"),
                    None => name.to_owned(),
                }
            }
        }
    }

    /// How this peer is known, for the log.
    fn how(&self) -> &'static str {
        match self {
            Self::Chosen(..) => "was named or saved",
            Self::Known(_) => "this peer knows",
            Self::Heard(_) => "multicast DNS found",
        }
    }

    async fn dial(&self, ours: &Endpoint) -> Result<Dialled, WireError> {
        match self {
            // An announcement proves nothing: which peer is there, the handshake decides.
            Self::Chosen(peer, id) => dial(peer, ours, *id).await,
            Self::Known(peer) => dial(peer, ours, None).await,
            Self::Heard(hint) => dial_any(&hint.addresses, ours, None).await,
        }
    }

    /// For the whole answer, so that nothing that a peer does can make it longer.
    fn deadline(&self) -> Duration {
        match self {
            Self::Chosen(..) => limits::NAMED_ANSWER_DEADLINE,
            Self::Known(_) | Self::Heard(_) => limits::HINT_ANSWER_DEADLINE,
        }
    }
}

/// The number of a peer that was asked, the running peer that answered, and its answer.
pub(super) type Asked<T> = (usize, Option<PeerKey>, Result<T, WireError>);

/// Asks peers one question.
pub(super) struct Asking<'a, Q> {
    ours: &'a Endpoint,
    question: Q,
    /// Places of the peers at hand, and of those heard of: neither can keep the others waiting.
    places: [Arc<Semaphore>; 2],
    /// All peers asked, in order.
    pub(super) whom: Vec<(String, Option<PeerKey>)>,
    /// Addresses already tried of the peers heard of.
    pub(super) tried: BTreeMap<PeerKey, BTreeSet<SocketAddr>>,
    /// How many peers heard of were asked at each machine.
    asked_at: BTreeMap<IpAddr, usize>,
}

impl<'a, Q> Asking<'a, Q> {
    pub(super) fn new(ours: &'a Endpoint, question: Q) -> Self {
        let places = || Arc::new(Semaphore::new(limits::PEERS_ASKED_AT_ONCE));
        Self {
            ours,
            question,
            places: [places(), places()],
            whom: Vec::new(),
            tried: BTreeMap::new(),
            asked_at: BTreeMap::new(),
        }
    }

    pub(super) fn ask<T, A>(&mut self, whom: AskedPeer, asking: &mut JoinSet<Asked<T>>)
    where
        T: Send + 'static,
        Q: Fn(Dialled) -> A + Clone + Send + 'static,
        A: Future<Output = Result<T, WireError>> + Send,
    {
        let index = self.whom.len();
        let key = if let AskedPeer::Heard(hint) = &whom { Some(hint.key) } else { None };
        let shown = whom.shown();
        tracing::info!("asking {shown}, which {}", whom.how());
        self.whom.push((shown, key));
        let places = &self.places[usize::from(key.is_some())];
        let (ours, places, question) = (self.ours.clone(), Arc::clone(places), self.question.clone());
        asking.spawn(async move {
            let _place = places.acquire_owned().await;
            let after = whom.deadline();
            let ask = async move {
                let dialled = whom.dial(&ours).await?;
                let key = PeerKey::from(&dialled.connection);
                let ourselves = key.id == ours.id();
                Ok((key, if ourselves { Err(WireError::SelfConnect) } else { question(dialled).await }))
            };
            let late = WireError::Timeout { what: "answer", after };
            match timeout(after, ask).await.unwrap_or(Err(late)) {
                Ok((key, answer)) => (index, Some(key), answer),
                Err(error) => (index, None, Err(error)),
            }
        });
    }

    /// The part of a hint that is worth asking: addresses not tried yet, of a peer that is not this one. Anyone can
    /// announce any number of peers at any machine, so both are bounded.
    pub(super) fn news(&mut self, mut hint: PeerHint, at_hand: &BTreeSet<String>) -> Option<PeerHint> {
        if hint.key.id == self.ours.id() || self.whom.len() >= limits::PEERS_MAX {
            return None;
        }
        if self.tried.len() >= limits::HINTS_ASKED_MAX && !self.tried.contains_key(&hint.key) {
            return None;
        }
        let (tried, asked_at) = (self.tried.entry(hint.key).or_default(), &mut self.asked_at);
        hint.addresses.retain(|address| {
            let here = asked_at.entry(address.ip()).or_default();
            let new = *here < limits::HINTS_ASKED_PER_ADDRESS_MAX
                && !at_hand.contains(&address.to_string())
                && tried.insert(*address);
            *here += usize::from(new);
            new
        });
        (!hint.addresses.is_empty()).then_some(hint)
    }
}
