//! Asks peers one question: the peers at hand at once, others as they are found, until waiting longer would not help.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::message::Hello;
use lanspread_types::ids::PeerAddress;
use lanspread_types::limits;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::discovery::announcement::PeerHint;
use crate::discovery::directory::PeerKey;
use crate::discovery::multicast;
use crate::discovery::multicast::{Discovery, Heard};
use crate::discovery::search_outcome::{DiscoverySearch, OtherVersion, SearchOutcome};
use crate::transport::dial::{Dialled, dial, dial_any};

/// The progress of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SearchProgress {
    /// All peers that were asked.
    pub(crate) asked: usize,
    /// Those that have answered or failed.
    pub(crate) answered: usize,
    /// Those that offer what is wanted.
    pub(crate) offering: usize,
    /// Time since a new peer was last heard of.
    pub(crate) quiet: Duration,
}

/// Whether the search need not wait for more peers: every peer asked has answered, at least one offers what is wanted,
/// and no new peer was heard of for a while. Pure.
pub(crate) fn enough(progress: SearchProgress, quiet: Duration) -> bool {
    progress.offering > 0 && progress.answered == progress.asked && progress.quiet >= quiet
}

/// How peers that are not at hand are searched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    /// Longest wait; none if discovery is off.
    pub(crate) timeout: Option<Duration>,
    /// Time without a new peer after which the search ends sooner.
    pub(crate) quiet: Duration,
    /// Port of multicast DNS.
    pub(crate) port: u16,
}

/// One peer's answer to the question.
pub(crate) struct Found<T> {
    /// The peer as it was named, or its announced name and address.
    pub(crate) peer: String,
    pub(crate) answer: Result<T, WireError>,
}

enum AskedPeer {
    Named(PeerAddress),
    Heard(PeerHint),
}

impl AskedPeer {
    fn shown(&self) -> String {
        match self {
            Self::Named(peer) => peer.to_string(),
            Self::Heard(hint) => match hint.addresses.first() {
                Some(address) => format!("{} ({address})", hint.name),
                None => hint.name.to_string(),
            },
        }
    }

    async fn dial(&self, ours: &Hello) -> Result<Dialled, WireError> {
        match self {
            Self::Named(peer) => dial(peer, ours).await,
            Self::Heard(hint) => dial_any(&hint.addresses, ours).await,
        }
    }
}

/// The number of a peer that was asked, the running peer that answered, and its answer.
type Asked<T> = (usize, Option<PeerKey>, Result<T, WireError>);

/// A running search.
struct Asking<'a, Q> {
    ours: &'a Hello,
    question: Q,
    places: Arc<Semaphore>,
    /// All peers asked, in order.
    whom: Vec<(String, Option<PeerKey>)>,
    /// Addresses already tried of the peers heard of.
    tried: BTreeMap<PeerKey, BTreeSet<SocketAddr>>,
}

impl<Q> Asking<'_, Q> {
    fn ask<T, A>(&mut self, whom: AskedPeer, asking: &mut JoinSet<Asked<T>>)
    where
        T: Send + 'static,
        Q: Fn(Dialled) -> A + Clone + Send + 'static,
        A: Future<Output = Result<T, WireError>> + Send,
    {
        let index = self.whom.len();
        let key = if let AskedPeer::Heard(hint) = &whom { Some(hint.key) } else { None };
        let how = if key.is_some() { "which multicast DNS found" } else { "which was named, saved or known" };
        tracing::info!("asking {}, {how}", whom.shown());
        self.whom.push((whom.shown(), key));
        let (ours, places, question) = (self.ours.clone(), Arc::clone(&self.places), self.question.clone());
        asking.spawn(async move {
            let _place = places.acquire_owned().await;
            let named = matches!(whom, AskedPeer::Named(_));
            let ask = async move {
                let dialled = whom.dial(&ours).await?;
                let key = PeerKey::from(&dialled.connection.theirs);
                let ourselves = key.id == ours.peer;
                Ok((key, if ourselves { Err(WireError::SelfConnect) } else { question(dialled).await }))
            };
            let asked = if named {
                ask.await
            } else {
                let after = limits::HINT_ANSWER_DEADLINE;
                let late = WireError::Timeout { what: "answer", after };
                timeout(after, ask).await.unwrap_or(Err(late))
            };
            match asked {
                Ok((key, answer)) => (index, Some(key), answer),
                Err(error) => (index, None, Err(error)),
            }
        });
    }

    /// The part of a hint that is worth asking: addresses not tried yet, of a peer that is not this one.
    fn news(&mut self, mut hint: PeerHint, named: &BTreeSet<String>) -> Option<PeerHint> {
        if hint.key.id == self.ours.peer || self.whom.len() >= limits::PEERS_MAX {
            return None;
        }
        let tried = self.tried.entry(hint.key).or_default();
        hint.addresses.retain(|address| !named.contains(&address.to_string()) && tried.insert(*address));
        (!hint.addresses.is_empty()).then_some(hint)
    }
}

/// Asks the peers at hand, and those that are heard of during the search. Dropping the future drops every connection.
pub(crate) async fn find<T, Q, A>(
    at_hand: &[PeerAddress],
    ours: &Hello,
    search: Search,
    question: Q,
    offers: impl Fn(&T) -> bool,
) -> (Vec<Found<T>>, SearchOutcome)
where
    T: Send + 'static,
    Q: Fn(Dialled) -> A + Clone + Send + 'static,
    A: Future<Output = Result<T, WireError>> + Send,
{
    let begun = Instant::now();
    let deadline = begun + search.timeout.unwrap_or_default();
    let places = Arc::new(Semaphore::new(limits::PEERS_ASKED_AT_ONCE));
    let mut state = Asking { ours, question, places, whom: Vec::new(), tried: BTreeMap::new() };
    let mut asking = JoinSet::new();
    let named: BTreeSet<String> = at_hand.iter().map(ToString::to_string).collect();
    for peer in at_hand {
        state.ask(AskedPeer::Named(peer.clone()), &mut asking);
    }
    let (mut hearing, mut failed) = match search.timeout.map(|_| Discovery::start(search.port)) {
        None => (None, None),
        Some(Ok(discovery)) => (Some(discovery), None),
        Some(Err(reason)) => (None, Some(reason)),
    };
    let mut waiting = hearing.is_some();
    let (mut answers, mut offering, mut answered) = (Vec::new(), 0, 0);
    let mut other_versions = BTreeSet::new();
    let mut news_at = begun;
    loop {
        let asked = state.whom.len();
        let complete = answered == asked;
        let quiet = news_at.elapsed();
        let done = if waiting {
            enough(SearchProgress { asked, answered, offering, quiet }, search.quiet)
        } else {
            // After the longest wait, one offer is enough: peers that do not answer must not delay it.
            complete || search.timeout.is_some() && failed.is_none() && offering > 0
        };
        if done {
            break;
        }
        let heard = async {
            match &mut hearing {
                Some(discovery) => discovery.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(joined) = asking.join_next() => {
                answered += 1;
                match joined {
                    Ok((index, key, answer)) => {
                        log_answer(&state.whom[index].0, begun, &answer, &offers);
                        offering += usize::from(answer.as_ref().is_ok_and(&offers));
                        answers.push((index, key, answer));
                    }
                    Err(error) => tracing::error!("the question to a peer ended abnormally: {error}"),
                }
            }
            heard = heard, if waiting => match heard {
                Some(Heard::Hint(hint)) => if let Some(hint) = state.news(hint, &named) {
                    news_at = Instant::now();
                    state.ask(AskedPeer::Heard(hint), &mut asking);
                },
                Some(Heard::OtherProtocol { protocol, name, address }) => {
                    if other_versions.len() < limits::PEERS_MAX {
                        other_versions.insert(OtherVersion { name, address, protocol });
                    }
                }
                Some(Heard::Gone(_)) => {}
                None => {
                    waiting = false;
                    failed = Some("multicast DNS ended".to_owned());
                }
            },
            () = sleep_until(news_at + search.quiet), if waiting && complete && offering > 0 => {}
            () = sleep_until(deadline), if waiting => waiting = false,
        }
    }
    asking.abort_all();
    let mut interfaces = Vec::new();
    if let Some(discovery) = hearing {
        interfaces = discovery.interfaces().to_vec();
        discovery.stop().await;
        if interfaces.is_empty() {
            failed = Some("no network interface takes part in multicast".to_owned());
        }
    }
    log_end(begun, &interfaces);
    let searched = SearchOutcome {
        asked: state.whom.len(),
        answered: answers.iter().filter(|(_, _, answer)| is_answer(answer)).count(),
        discovery: match (search.timeout, failed) {
            (None, _) => DiscoverySearch::Off,
            (_, Some(reason)) => DiscoverySearch::Failed { reason },
            _ => DiscoverySearch::Done {
                waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                interfaces,
                heard: state.tried.len(),
                other_versions: other_versions.into_iter().collect(),
            },
        },
    };
    (sorted(&state.whom, answers), searched)
}

fn log_answer<T>(peer: &str, begun: Instant, answer: &Result<T, WireError>, offers: &impl Fn(&T) -> bool) {
    let after = begun.elapsed().as_millis();
    match answer {
        Ok(answer) if offers(answer) => tracing::info!("{peer} offers it, after {after} ms"),
        Ok(_) => tracing::info!("{peer} answered after {after} ms and does not offer it"),
        Err(error) => tracing::info!("{peer} failed after {after} ms: {error}"),
    }
}

fn log_end(begun: Instant, interfaces: &[String]) {
    let listened = if interfaces.is_empty() { "no interface".to_owned() } else { interfaces.join(", ") };
    let took = begun.elapsed().as_millis();
    tracing::info!("the search took {took} ms; multicast DNS listened on {listened}");
}

/// Whether a peer answered, even if with a failure.
fn is_answer<T>(answer: &Result<T, WireError>) -> bool {
    use WireError::{Closed, Connect, Io, NotAwaited, Timeout};
    !matches!(answer, Err(Connect(_) | Io(_) | Closed | Timeout { .. } | NotAwaited))
}

/// One answer per peer, in the order of asking. A peer that answered at one address does not count as failed at
/// another, and a peer that answered at two addresses counts once. Peers that were not awaited come last.
fn sorted<T>(whom: &[(String, Option<PeerKey>)], mut answers: Vec<Asked<T>>) -> Vec<Found<T>> {
    answers.sort_by_key(|(index, ..)| *index);
    let there: BTreeSet<PeerKey> = answers.iter().filter_map(|(_, key, _)| *key).collect();
    let mut unanswered: Vec<bool> = vec![true; whom.len()];
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (index, key, answer) in answers {
        let (peer, heard_of) = &whom[index];
        unanswered[index] = false;
        let keep = match key {
            Some(key) => seen.insert(key),
            None => heard_of.is_none_or(|key| !there.contains(&key)),
        };
        if keep {
            found.push(Found { peer: peer.clone(), answer });
        }
    }
    for (index, (peer, heard_of)) in whom.iter().enumerate() {
        if unanswered[index] && heard_of.is_none_or(|key| !there.contains(&key)) {
            found.push(Found { peer: peer.clone(), answer: Err(WireError::NotAwaited) });
        }
    }
    found
}

impl Search {
    /// For one game: peers that offer it are enough.
    pub(crate) fn for_game(discovery: crate::report::operation::DiscoveryMode, port: u16) -> Self {
        Self { timeout: discovery.timeout(), quiet: limits::DISCOVERY_QUIET, port }
    }

    /// For a list of all peers.
    pub(crate) fn for_list(discovery: crate::report::operation::DiscoveryMode, port: u16) -> Self {
        Self { timeout: discovery.timeout(), quiet: limits::DISCOVERY_LIST_QUIET, port }
    }
}

/// The port of the search, unless a test chooses another.
pub(crate) const PORT: u16 = multicast::PORT;

#[cfg(test)]
mod tests;
