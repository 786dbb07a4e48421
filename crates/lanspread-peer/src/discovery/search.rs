//! Asks peers one question: the peers at hand at once, others as they are found, until waiting longer would not help.

mod asking;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_tls::endpoint::Endpoint;
use lanspread_trust::party::PartyKey;
use lanspread_types::ids::{PeerAddress, PeerId};
use lanspread_types::limits;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::asking::{Asked, AskedPeer, Asking};
use self::progress::{NetworkSearch, SearchProgress, SearchStep, next_step};
use crate::discovery::directory::PeerKey;
use crate::discovery::heard::{Heard, PeerHint};
use crate::discovery::multicast;
use crate::discovery::multicast::Discovery;
use crate::discovery::search_outcome::{DiscoverySearch, OtherVersion, SearchOutcome};
use crate::report::operation::DiscoveryMode;
use crate::transport::dial::Dialled;

/// The peers that need no discovery, each once, in the order in which they are asked and believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AtHand {
    pub(crate) peers: Vec<PeerAddress>,
    /// How many of them, at the beginning, the user named.
    pub(crate) named: usize,
    /// How many of them, at the beginning, the user named or saved.
    pub(crate) chosen: usize,
    /// The identities of those that were saved with one. Another one that answers there is refused.
    pub(crate) ids: BTreeMap<PeerAddress, PeerId>,
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
    /// Whether the peers at hand are asked first, and the network is searched only if none of them offers what is
    /// wanted.
    pub(crate) at_hand_first: bool,
}

/// One peer's answer to the question.
pub(crate) struct Found<T> {
    /// The peer as it was named, or its announced name and address.
    pub(crate) peer: String,
    /// Whether the user named it.
    pub(crate) named: bool,
    pub(crate) answer: Result<T, WireError>,
}

/// The answers that had not arrived when a search ended. Dropping it drops their connections.
pub(crate) struct LateAnswers<T>(JoinSet<Asked<T>>);

impl<T: 'static> LateAnswers<T> {
    /// None: there was no search.
    pub(crate) fn none() -> Self {
        Self(JoinSet::new())
    }

    /// The next one; none once each peer has answered or failed. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        while let Some(joined) = self.0.join_next().await {
            match joined {
                Ok((_, _, Ok(answer))) => return Some(answer),
                Ok((_, _, Err(error))) => tracing::debug!("a peer that was not awaited failed: {error}"),
                Err(error) => tracing::error!("the question to a peer ended abnormally: {error}"),
            }
        }
        None
    }
}

/// How the answers to a question are judged while they arrive.
pub(crate) trait Judge<T> {
    /// Whether this answer offers what is wanted.
    fn offers(&self, answer: &T) -> bool;

    /// Whether `missing` more answers can no longer change what is chosen from these.
    fn is_settled(&self, answers: &[&T], missing: usize) -> bool;
}

/// The search of the network, as far as it is needed.
struct Network {
    search: Search,
    discovery: Option<Discovery>,
    /// Why it could not run, or ended.
    failed: Option<String>,
    /// When the longest wait is over; none until the search begins.
    until: Option<Instant>,
    /// When a new peer was last heard of.
    news_at: Instant,
    other_versions: BTreeSet<OtherVersion>,
    party: Arc<PartyKey>,
    /// Peers heard of that are not of that party.
    strangers: BTreeSet<String>,
}

impl Network {
    fn new(search: Search, party: Arc<PartyKey>) -> Self {
        Self {
            search,
            discovery: None,
            failed: None,
            until: None,
            news_at: Instant::now(),
            other_versions: BTreeSet::new(),
            party,
            strangers: BTreeSet::new(),
        }
    }

    fn state(&self) -> NetworkSearch {
        match (self.search.timeout, self.until, &self.discovery) {
            (Some(_), None, _) => NetworkSearch::Later,
            (_, Some(until), Some(_)) if Instant::now() < until => {
                NetworkSearch::Now { quiet: self.news_at.elapsed() }
            }
            (_, Some(_), Some(_)) => NetworkSearch::Over,
            _ => NetworkSearch::Off,
        }
    }

    fn begin(&mut self) {
        match Discovery::start(self.search.port, Arc::clone(&self.party)) {
            Ok(discovery) => self.discovery = Some(discovery),
            Err(reason) => self.failed = Some(reason),
        }
        self.news_at = Instant::now();
        self.until = self.search.timeout.map(|timeout| self.news_at + timeout);
    }

    /// The next hint while the network is searched; none if the search has ended by itself.
    async fn next(&mut self) -> Option<PeerHint> {
        loop {
            match self.discovery.as_mut()?.next().await {
                Some(Heard::Hint(hint)) => return Some(hint),
                Some(Heard::OtherProtocol { protocol, name, address }) => {
                    if self.other_versions.len() < limits::PEERS_MAX {
                        self.other_versions.insert(OtherVersion { name, address, protocol });
                    }
                }
                Some(Heard::Stranger(name)) => {
                    if self.strangers.len() < limits::PEERS_MAX {
                        self.strangers.insert(name);
                    }
                }
                Some(Heard::Gone(_)) => {}
                None => {
                    self.discovery = None;
                    self.failed = Some("multicast DNS ended".to_owned());
                }
            }
        }
    }

    /// Ends the search. Returns what it did in the time since `begun`, with that many peers `heard` of.
    async fn end(mut self, begun: Instant, heard: usize) -> DiscoverySearch {
        let mut interfaces = Vec::new();
        if let Some(discovery) = self.discovery.take() {
            interfaces = discovery.interfaces().to_vec();
            discovery.stop().await;
            if interfaces.is_empty() {
                self.failed = Some("no network interface takes part in multicast".to_owned());
            }
        }
        match (self.until, self.failed) {
            (None, _) => DiscoverySearch::Off,
            (_, Some(reason)) => DiscoverySearch::Failed { reason },
            _ => DiscoverySearch::Done {
                waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                interfaces,
                heard,
                other_versions: self.other_versions.into_iter().collect(),
                strangers: self.strangers.len(),
                is_member: !self.party.is_open_network(),
            },
        }
    }
}

/// The answers so far.
struct Arrived<T, J> {
    judge: J,
    answers: Vec<Asked<T>>,
    /// Questions that were answered or failed.
    ended: usize,
    offering: usize,
    settled: bool,
    /// When the last one arrived.
    at: Instant,
}

impl<T, J: Judge<T>> Arrived<T, J> {
    fn take(&mut self, joined: Result<Asked<T>, JoinError>) {
        (self.ended, self.at) = (self.ended + 1, Instant::now());
        match joined {
            Ok((index, key, answer)) => {
                self.offering += usize::from(answer.as_ref().is_ok_and(|answer| self.judge.offers(answer)));
                self.answers.push((index, key, answer));
            }
            Err(error) => tracing::error!("the question to a peer ended abnormally: {error}"),
        }
    }

    /// Decides whether the answers so far, in the order of asking, settle the choice.
    fn settle(&mut self, asked: usize) {
        self.answers.sort_by_key(|(index, ..)| *index);
        let told: Vec<&T> = self.answers.iter().filter_map(|(_, _, answer)| answer.as_ref().ok()).collect();
        self.settled = self.judge.is_settled(&told, asked - self.ended);
    }

    /// Whether one of the first peers that were asked has not answered.
    fn lacks_one_of(&self, first: usize) -> bool {
        self.answers.iter().filter(|(index, ..)| *index < first).count() < first
    }
}

/// Asks the peers at hand, and those that are heard of during the search. Dropping the future drops every connection.
pub(crate) async fn find<T, Q, A>(
    at_hand: &AtHand,
    ours: &Endpoint,
    search: Search,
    question: Q,
    judge: impl Judge<T>,
) -> (Vec<Found<T>>, SearchOutcome)
where
    T: Send + 'static,
    Q: Fn(Dialled) -> A + Clone + Send + 'static,
    A: Future<Output = Result<T, WireError>> + Send,
{
    let (found, searched, _) = find_and_later(at_hand, ours, search, question, judge).await;
    (found, searched)
}

/// The same. The answers that were not awaited can still be heard.
pub(crate) async fn find_and_later<T, Q, A>(
    at_hand: &AtHand,
    ours: &Endpoint,
    search: Search,
    question: Q,
    judge: impl Judge<T>,
) -> (Vec<Found<T>>, SearchOutcome, LateAnswers<T>)
where
    T: Send + 'static,
    Q: Fn(Dialled) -> A + Clone + Send + 'static,
    A: Future<Output = Result<T, WireError>> + Send,
{
    let begun = Instant::now();
    let (mut state, mut asking) = (Asking::new(ours, question), JoinSet::new());
    let shown: BTreeSet<String> = at_hand.peers.iter().map(ToString::to_string).collect();
    for (index, peer) in at_hand.peers.iter().cloned().enumerate() {
        let chosen = index < at_hand.chosen;
        let id = at_hand.ids.get(&peer).copied();
        state.ask(if chosen { AskedPeer::Chosen(peer, id) } else { AskedPeer::Known(peer) }, &mut asking);
    }
    let mut network = Network::new(search, Arc::clone(&ours.introduction.party));
    if search.timeout.is_some() && !search.at_hand_first {
        network.begin();
    }
    let mut arrived =
        Arrived { judge, answers: Vec::new(), ended: 0, offering: 0, settled: false, at: begun };
    loop {
        let progress = SearchProgress {
            asked: state.whom.len(),
            answered: arrived.ended,
            offering: arrived.offering,
            chosen_missing: arrived.lacks_one_of(at_hand.chosen),
            settled: arrived.settled,
            unanswered: arrived.at.elapsed(),
            elapsed: begun.elapsed(),
            network: network.state(),
        };
        let wait = match next_step(progress, search.quiet) {
            SearchStep::Done => break,
            SearchStep::Listen => {
                network.begin();
                continue;
            }
            SearchStep::Wait(wait) => wait,
        };
        let searching = matches!(progress.network, NetworkSearch::Now { .. });
        let until = network.until.filter(|_| searching);
        let wake = [Instant::now().checked_add(wait), until].into_iter().flatten().min();
        tokio::select! {
            Some(joined) = asking.join_next() => {
                if let Ok((index, _, answer)) = &joined {
                    log_answer(&state.whom[*index].0, begun, answer, &arrived.judge);
                }
                arrived.take(joined);
                arrived.settle(state.whom.len());
            }
            heard = network.next(), if searching => if let Some(hint) = heard
                .and_then(|hint| state.news(hint, &shown))
            {
                network.news_at = Instant::now();
                state.ask(AskedPeer::Heard(hint), &mut asking);
                arrived.settle(state.whom.len());
            },
            () = sleep_until(wake.unwrap_or(begun)), if wake.is_some() => {}
        }
    }
    let answered = arrived.answers.iter().filter(|(_, _, answer)| is_answer(answer)).count();
    let discovery = network.end(begun, state.tried.len()).await;
    log_end(begun, &discovery);
    let all_failed_with = one_failure(arrived.answers.iter().map(|(_, _, answer)| answer));
    let asked = state.whom.len();
    let searched = SearchOutcome { asked, answered, all_failed_with, discovery, similar: None };
    (sorted(&state.whom, at_hand.named, arrived.answers), searched, LateAnswers(asking))
}

fn log_answer<T>(peer: &str, begun: Instant, answer: &Result<T, WireError>, judge: &impl Judge<T>) {
    let after = begun.elapsed().as_millis();
    match answer {
        Ok(answer) if judge.offers(answer) => tracing::info!("{peer} offers it, after {after} ms"),
        Ok(_) => tracing::info!("{peer} answered after {after} ms and does not offer it"),
        Err(error) => tracing::info!("{peer} failed after {after} ms: {error}"),
    }
}

fn log_end(begun: Instant, discovery: &DiscoverySearch) {
    let listened = match discovery {
        DiscoverySearch::Off => "multicast DNS was not needed".to_owned(),
        DiscoverySearch::Failed { reason } => format!("multicast DNS failed: {reason}"),
        DiscoverySearch::Done { interfaces, .. } => {
            format!("multicast DNS listened on {}", interfaces.join(", "))
        }
    };
    tracing::info!("the search took {} ms; {listened}", begun.elapsed().as_millis());
}

/// Whether a peer answered, even if with a failure.
fn is_answer<T>(answer: &Result<T, WireError>) -> bool {
    use WireError::{Closed, Connect, Io, NotAwaited, Timeout};
    !matches!(answer, Err(Connect(_) | Io(_) | Closed | Timeout { .. } | NotAwaited))
}

/// The code of the failure, if each peer that answered failed with the same one.
fn one_failure<'a, T: 'a>(answers: impl Iterator<Item = &'a Result<T, WireError>>) -> Option<&'static str> {
    let codes =
        answers.filter(|answer| is_answer(answer)).map(|answer| answer.as_ref().err().map(WireError::code));
    let codes: BTreeSet<Option<&'static str>> = codes.collect();
    if codes.len() == 1 { codes.first().copied().flatten() } else { None }
}

/// One answer per peer, in the order of asking. A peer that answered at one address does not count as failed at
/// another, and a peer that answered at two addresses counts once. Peers that were not awaited come last.
fn sorted<T>(whom: &[(String, Option<PeerKey>)], named: usize, mut answers: Vec<Asked<T>>) -> Vec<Found<T>> {
    answers.sort_by_key(|(index, ..)| *index);
    let there: BTreeSet<PeerKey> = answers.iter().filter_map(|(_, key, _)| *key).collect();
    let mut unanswered: Vec<bool> = vec![true; whom.len()];
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (index, key, answer) in answers {
        let (peer, heard_of) = &whom[index];
        unanswered[index] = false;
        // A member cannot tell an announcement of its own daemon before it has asked.
        if heard_of.is_some() && matches!(answer, Err(WireError::SelfConnect)) {
            continue;
        }
        let keep = match key {
            Some(key) => seen.insert(key),
            None => heard_of.is_none_or(|key| !there.contains(&key)),
        };
        if keep {
            found.push(Found { peer: peer.clone(), named: index < named, answer });
        }
    }
    for (index, (peer, heard_of)) in whom.iter().enumerate() {
        if unanswered[index] && heard_of.is_none_or(|key| !there.contains(&key)) {
            let answer = Err(WireError::NotAwaited);
            found.push(Found { peer: peer.clone(), named: index < named, answer });
        }
    }
    found
}

impl Search {
    /// For one game: peers that offer it are enough.
    pub(crate) fn for_game(discovery: DiscoveryMode, port: u16) -> Self {
        Self { timeout: discovery.timeout(), quiet: limits::DISCOVERY_QUIET, port, at_hand_first: false }
    }

    /// For a list of all peers.
    pub(crate) fn for_list(discovery: DiscoveryMode, port: u16) -> Self {
        Self { timeout: discovery.timeout(), quiet: limits::DISCOVERY_LIST_QUIET, port, at_hand_first: false }
    }

    /// Only the peers at hand.
    pub(crate) fn only_at_hand() -> Self {
        Self { timeout: None, quiet: Duration::ZERO, port: PORT, at_hand_first: true }
    }

    /// The same, but only if the peers at hand do not offer what is wanted.
    pub(crate) fn after_those_at_hand(self) -> Self {
        Self { at_hand_first: true, ..self }
    }
}

/// The port of the search, unless a test chooses another.
pub(crate) const PORT: u16 = multicast::PORT;

#[cfg(test)]
mod tests;
