//! Keeps a connection to every peer that is named, saved, found or has connected, and reports when peers appear, change
//! and disappear.
//!
//! One task per peer connects, lets the handshake decide which peer answers, follows the peer's library, and restores a
//! broken connection. An announcement, or the port that a visitor claims, is only a hint: it says which address to ask,
//! and nothing else.

mod following;
mod hellos;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lanspread_proto::WireError;
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::ids::{PeerAddress, PeerId, PeerName};
use lanspread_types::limits;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::discovery::catalog_news::CatalogNews;
use crate::discovery::directory::{Claim, Directory, HowKnown, KnownPeer, PeerKey};
use crate::discovery::library_memory::LibraryMemory;
use crate::discovery::neighbour_table::{Handle, NeighbourPlace, NeighbourTable};
use crate::discovery::pace::{Dials, hint_pause, pause};
use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::room::memory::RoomMemory;
use crate::source::visitor::Visitor;
use crate::task::Tasks;
use crate::transport::dial::{Dialled, dial, dial_any};
use crate::trust::penalties::Penalties;

/// Something heard about a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// It may answer at these addresses.
    Found { key: PeerKey, addresses: Vec<SocketAddr>, how: HowKnown },
    /// It said goodbye, or its announcement expired.
    Gone(PeerKey),
}

/// The peer that a task looks after.
#[derive(Debug, Clone)]
enum Neighbour {
    /// With the identity that it has, if that is known.
    Address(PeerAddress, HowKnown, Option<PeerId>),
    Found(PeerKey, HowKnown),
}

/// How a connection to a neighbour ended.
enum ConnectionEnd {
    Broken(String),
    /// The peer now answers at another address and no longer at the previous one.
    Moved(Box<Dialled>),
}

/// The neighbours of a serving peer.
pub(crate) struct Neighbours {
    ours: Endpoint,
    news: CatalogNews,
    events: EventSender,
    tasks: Tasks,
    directory: Mutex<Directory>,
    heard: Mutex<NeighbourTable>,
    dials: Mutex<Dials>,
    penalties: Penalties,
    libraries: LibraryMemory,
    /// What they tell about what they are doing.
    room: RoomMemory,
    since: Instant,
}

impl Neighbours {
    pub(crate) fn new(
        ours: Endpoint,
        news: CatalogNews,
        events: EventSender,
        tasks: Tasks,
        penalties: Penalties,
    ) -> Arc<Self> {
        let (directory, heard) = (Mutex::default(), Mutex::default());
        let dials = Mutex::default();
        let (libraries, room, since) = (LibraryMemory::default(), RoomMemory::default(), Instant::now());
        Arc::new(Self {
            ours,
            news,
            events,
            tasks,
            directory,
            heard,
            dials,
            penalties,
            libraries,
            room,
            since,
        })
    }

    /// What they tell about what they are doing.
    pub(crate) fn room(&self) -> &RoomMemory {
        &self.room
    }

    /// When it began to look after peers.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The peers that answer.
    pub(crate) fn known(&self) -> Vec<KnownPeer> {
        self.directory().known()
    }

    /// Where the peers that answer can be asked, the longest known first.
    pub(crate) fn longest_known(&self) -> Vec<SocketAddr> {
        self.directory().longest_known()
    }

    /// Looks after a named or saved peer for as long as this peer serves.
    pub(crate) fn keep(self: &Arc<Self>, peer: PeerAddress, how: HowKnown, id: Option<PeerId>) {
        self.spawn(Neighbour::Address(peer, how, id), Handle::default());
    }

    /// Takes hints and visitors until `stop`.
    pub(crate) async fn listen(
        self: Arc<Self>,
        mut hints: mpsc::Receiver<Hint>,
        mut visitors: mpsc::Receiver<Visitor>,
        stop: CancellationToken,
    ) {
        loop {
            let hint = tokio::select! {
                () = stop.cancelled() => return,
                Some(hint) = hints.recv() => hint,
                Some(visitor) = visitors.recv() => match Self::visited(&visitor) {
                    Some((hint, address)) => {
                        self.news.heard(visitor.peer, &visitor.hello, address);
                        hint
                    }
                    None => continue,
                },
                else => return,
            };
            self.take(hint);
        }
    }

    fn our_key(&self) -> PeerKey {
        PeerKey { id: self.ours.id(), instance: self.ours.introduction.hello.instance }
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, NeighbourTable> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, hint: Hint) {
        match hint {
            Hint::Gone(key) => self.heard().goodbye(key),
            Hint::Found { key, .. } if key == self.our_key() => {}
            Hint::Found { key, addresses, how } => {
                let key = self.heard().peer(key);
                let place = self.heard().hear(key, addresses, how, Instant::now());
                match place {
                    NeighbourPlace::Known => {}
                    NeighbourPlace::New { handle, instead_of } => {
                        if let Some(instead_of) = instead_of {
                            tracing::debug!("{} takes the place of {}", key.id, instead_of.id);
                        }
                        self.spawn(Neighbour::Found(key, how), handle);
                    }
                    NeighbourPlace::None => tracing::debug!("no place is free for {}", key.id),
                }
            }
        }
    }

    fn spawn(self: &Arc<Self>, target: Neighbour, handle: Handle) {
        let (neighbours, stop) = (Arc::clone(self), self.tasks.cancel_token());
        self.tasks.spawn("neighbour", async move {
            let mut held = None;
            tokio::select! {
                () = stop.cancelled() => {}
                () = handle.ended.cancelled() => {
                    if let Some(key) = held {
                        neighbours.lost(key, "its place was given to another peer");
                    }
                }
                () = neighbours.look_after(&target, &handle.poke, &mut held) => {}
            }
            if let Neighbour::Found(key, _) = target {
                neighbours.heard().remove(key, &handle);
            }
        });
    }

    /// Looks after one peer until there is no more reason to. `held` is the entry that it holds meanwhile.
    async fn look_after(self: &Arc<Self>, target: &Neighbour, poke: &Notify, held: &mut Option<PeerKey>) {
        // The peer of this target, while another task holds its entry.
        let mut elsewhere: Option<PeerKey> = None;
        let mut tries = 0;
        let mut next = None;
        loop {
            if elsewhere.is_some_and(|key| self.directory().holds(key)) {
                let _ = timeout(limits::NEIGHBOUR_SLOW_RETRY, poke.notified()).await;
                continue;
            }
            elsewhere = None;
            if next.is_none() && held.is_some_and(|key| self.heard().said_goodbye(key)) {
                if let Some(key) = held.take() {
                    self.lost(key, "it said goodbye");
                }
                if self.is_forgotten(target) {
                    return;
                }
            }
            let reached = match next.take() {
                Some(dialled) => Ok(dialled),
                None => self.reach(target).await,
            };
            let reason = match reached {
                Ok(dialled) => {
                    let name = dialled.connection.theirs.name.clone();
                    let key = PeerKey::from(&dialled.connection);
                    if self.is_of_another(target, key, &dialled) {
                        return;
                    }
                    self.news.heard(key.id, &dialled.connection.theirs, dialled.address);
                    self.heard().answered(key, dialled.address, Instant::now());
                    if let Some(before) = held.take_if(|before| *before != key) {
                        self.lost(before, "another run of it now answers there");
                    }
                    if key.id == self.ours.id() {
                        self.report_ours_elsewhere(name, dialled.address);
                        "another peer has the identity of this one".to_owned()
                    } else if held.is_some()
                        || self.take_hold((key, &name), dialled.address, target, held).await
                    {
                        tries = 0;
                        self.directory().answers(key, dialled.address, SystemTime::now());
                        match Box::pin(self.follow(key, dialled, poke)).await {
                            ConnectionEnd::Broken(reason) => reason,
                            ConnectionEnd::Moved(dialled) => {
                                next = Some(*dialled);
                                continue;
                            }
                        }
                    } else {
                        elsewhere = Some(key);
                        "it is already connected".to_owned()
                    }
                }
                Err(error) => error.to_string(),
            };
            tries += 1;
            if let Some(key) = *held {
                self.directory().lose(key);
                if tries > limits::NEIGHBOUR_RETRIES || !self.directory().holds(key) {
                    self.lost(key, &reason);
                    *held = None;
                }
            } else if self.is_forgotten(target) {
                return;
            }
            // However often a peer is heard of, it is not dialled more often than this.
            sleep(limits::NEIGHBOUR_RETRY_PAUSE).await;
            let _ = timeout(self.pause(target, tries), poke.notified()).await;
        }
    }

    async fn reach(&self, target: &Neighbour) -> Result<Dialled, WireError> {
        match target {
            Neighbour::Address(peer, _, id) => dial(peer, &self.ours(), *id).await,
            Neighbour::Found(key, how) => {
                let (mut addresses, answered_from) = {
                    let heard = self.heard();
                    (heard.addresses(*key), heard.answered_from(*key))
                };
                for address in self.directory().addresses(*key) {
                    crate::discovery::directory::learn(&mut addresses, address);
                }
                let unproved = |address: SocketAddr| Some(address) != answered_from;
                self.dial_permitted(&addresses, unproved, *how).await
            }
        }
    }

    /// Connects to the first of these addresses that answers. Those where the peer is only said to be are dialled as
    /// often as the pace of such connections permits.
    async fn dial_permitted(
        &self,
        addresses: &[SocketAddr],
        unproved: impl Fn(SocketAddr) -> bool,
        how: HowKnown,
    ) -> Result<Dialled, WireError> {
        let given_up_at = Instant::now() + limits::HINT_TURN_DEADLINE;
        let (after, mut failure) = (limits::HINT_ANSWER_DEADLINE, None);
        loop {
            let mut wait = None;
            let dialling = async {
                for &address in addresses {
                    if unproved(address)
                        && let Err(longer) = self.may_dial(address, how)
                    {
                        wait = Some(wait.map_or(longer, |wait: Duration| wait.min(longer)));
                        continue;
                    }
                    // Another peer that answers there is a hint of its own.
                    let dialled = dial_any(&[address], &self.ours(), None).await;
                    self.penalties.after_handshake(address.ip(), dialled.as_ref().err());
                    match dialled {
                        Ok(dialled) => return Some(dialled),
                        Err(error) => failure = Some(error),
                    }
                }
                None
            };
            // Long enough for one address that does not answer at all and another one that does.
            match timeout(after, dialling).await {
                Ok(Some(dialled)) => return Ok(dialled),
                Ok(None) => {}
                Err(_) => return Err(WireError::Timeout { what: "answer", after }),
            }
            match (failure.take(), wait) {
                (Some(error), _) => return Err(error),
                (None, Some(wait)) if Instant::now() + wait < given_up_at => sleep(wait).await,
                (None, _) => return Err(WireError::Timeout { what: "turn to be asked", after }),
            }
        }
    }

    fn may_dial(&self, address: SocketAddr, how: HowKnown) -> Result<(), Duration> {
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pause) = self.penalties.pause_at(address.ip()) {
            return Err(pause);
        }
        dials.of(how == HowKnown::Connected).take(address.ip(), Instant::now())
    }

    /// Whether the peer that answered is not the one that this task looks after: either this peer itself, or, at the
    /// address of a hint, another peer than the one heard of, which then becomes a hint of its own.
    fn is_of_another(self: &Arc<Self>, target: &Neighbour, key: PeerKey, dialled: &Dialled) -> bool {
        if key == self.our_key() {
            if let Neighbour::Address(peer, ..) = target {
                tracing::warn!("{peer} is this peer itself; it is not asked");
            }
            return true;
        }
        match target {
            Neighbour::Found(expected, how) if *expected != key => {
                self.heard().learn_number(*expected, key);
                self.lost(*expected, "another peer now answers at its address");
                self.take(Hint::Found { key, addresses: vec![dialled.address], how: *how });
                true
            }
            _ => false,
        }
    }

    /// Enters a peer that answers into the table, as `held`. Returns whether it was not in it yet.
    async fn take_hold(
        &self,
        (key, name): (PeerKey, &PeerName),
        address: SocketAddr,
        target: &Neighbour,
        held: &mut Option<PeerKey>,
    ) -> bool {
        let (Neighbour::Address(_, how, _) | Neighbour::Found(_, how)) = target;
        let claim = self.directory().claim(key, name, address, *how, SystemTime::now());
        let Claim::New { others } = claim else { return false };
        *held = Some(key);
        let mut duplicate = false;
        for (other, addresses) in others {
            if self.still_answers(other, &addresses).await {
                duplicate = true;
            } else {
                self.lost(other, &format!("another run of it now answers at {address}"));
            }
        }
        self.events.report(PeerEvent::PeerFound { peer: key.id, name: name.clone(), addr: address });
        let told = if duplicate { self.directory().duplicate(key.id) } else { None };
        if let Some((names, addrs)) = told {
            self.events.report(PeerEvent::DuplicateIdentity { peer: key.id, names, addrs });
        }
        true
    }

    /// Asks again over a new connection, because an old one may lead to a machine that is gone.
    async fn still_answers(&self, key: PeerKey, addresses: &[SocketAddr]) -> bool {
        let asked =
            timeout(limits::HINT_ANSWER_DEADLINE, dial_any(addresses, &self.ours(), Some(key.id))).await;
        matches!(asked, Ok(Ok(dialled)) if PeerKey::from(&dialled.connection) == key)
    }

    fn report_ours_elsewhere(&self, name: PeerName, address: SocketAddr) {
        let peer = self.ours.id();
        if self.directory().ours_elsewhere(peer) {
            self.events.report(PeerEvent::DuplicateIdentity {
                peer,
                names: vec![self.ours.introduction.hello.name.clone(), name],
                addrs: vec![address],
            });
        }
    }

    /// Follows a peer's library until the connection breaks or the peer has moved.
    async fn follow(&self, key: PeerKey, mut dialled: Dialled, poke: &Notify) -> ConnectionEnd {
        let address = dialled.address;
        self.room.answers(key.id, &dialled.connection.theirs.name, address, Instant::now());
        tokio::select! {
            error = self.poll(key, &mut dialled) => ConnectionEnd::Broken(error.to_string()),
            moved = self.moved(key, address, poke) => match moved {
                Some(dialled) => ConnectionEnd::Moved(Box::new(dialled)),
                None => ConnectionEnd::Broken("another run of it answers elsewhere".to_owned()),
            },
        }
    }

    /// Waits until a peer answers at a new address and no longer at `current`. None if its entry was removed.
    async fn moved(&self, key: PeerKey, current: SocketAddr, poke: &Notify) -> Option<Dialled> {
        let mut tried = BTreeSet::from([current]);
        loop {
            let heard = self.heard().addresses(key);
            for address in heard {
                // The peer is only said to be there: an address that may not be dialled now is left for the next news.
                if tried.contains(&address) || self.may_dial(address, HowKnown::Discovered).is_err() {
                    continue;
                }
                tried.insert(address);
                let dialled = dial_any(&[address], &self.ours(), Some(key.id)).await;
                let Ok(dialled) = dialled else { continue };
                if PeerKey::from(&dialled.connection) != key {
                    continue;
                }
                if !self.still_answers(key, &[current]).await {
                    return Some(dialled);
                }
                let how = HowKnown::Discovered;
                let name = &dialled.connection.theirs.name;
                self.directory().claim(key, name, address, how, SystemTime::now());
            }
            if tried.len() > limits::PEERS_MAX {
                tried = BTreeSet::from([current]);
            }
            poke.notified().await;
            if !self.directory().holds(key) {
                return None;
            }
        }
    }

    fn lost(&self, key: PeerKey, reason: &str) {
        let removed = self.directory().remove(key);
        if let Some(name) = removed {
            if !self.directory().answers_as(key.id) {
                self.room.lost(key.id);
            }
            let (peer, reason) = (key.id, reason.to_owned());
            self.events.report(PeerEvent::PeerLost { peer, name, reason });
        }
        self.heard().poke(key);
    }

    fn is_forgotten(&self, target: &Neighbour) -> bool {
        match target {
            Neighbour::Address(..) => false,
            Neighbour::Found(key, _) => self.heard().is_forgotten(*key, Instant::now()),
        }
    }

    fn pause(&self, target: &Neighbour, tries: u32) -> Duration {
        match target {
            Neighbour::Found(key, _) if self.heard().never_answered(*key) => hint_pause(tries),
            _ => pause(tries),
        }
    }
}

#[cfg(test)]
mod tests;
