//! Starts everything that a serving peer needs. The order ensures that it offers nothing before recovery has ended.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use lanspread_types::ids::{PeerAddress, PeerId};
use lanspread_types::limits;
use tokio::sync::mpsc;

use crate::discovery::catalog_news::CatalogNews;
use crate::discovery::directory::{HowKnown, KnownPeer, PeerKey};
use crate::discovery::heard::{Advertised, Heard};
use crate::discovery::multicast;
use crate::discovery::multicast::Discovery;
use crate::discovery::neighbours::{Hint, Neighbours};
use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::event::PeerEvent;
use crate::source::handler;
use crate::source::watch::LibraryWatcher;
use crate::task::Boxed;
use crate::transport::listener;
use crate::transport::socket::Listener;

impl Peer {
    /// Opens the listener, repairs what earlier crashes left, reads the library and serves until [`Self::shutdown`].
    /// Meanwhile the peer follows changes of its library on disk and keeps track of the peers around it. Returns the
    /// address it listens on; port 0 asks the system for a free one.
    ///
    /// # Errors
    /// [`PeerError::Listen`] if the address cannot be used, [`PeerError::Local`] if the games directory cannot be read,
    /// [`PeerError::SavedPeers`] if the saved peers cannot be read, [`PeerError::Config`] if the peer already serves.
    pub fn serve(&self, address: SocketAddr) -> Boxed<'_, Result<SocketAddr, PeerError>> {
        Box::pin(self.begin_to_serve(address))
    }

    async fn begin_to_serve(&self, address: SocketAddr) -> Result<SocketAddr, PeerError> {
        let inner = &self.inner;
        let saved = inner.saved_peers.load()?;
        let listen = |source| PeerError::Listen { address: address.to_string(), source };
        let listener = Listener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        {
            let mut listening = inner.listening.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(already) = *listening {
                return Err(PeerError::Config(format!("this peer already serves on {already}")));
            }
            *listening = Some(address);
        }
        let source = Arc::clone(&inner.source);
        self.blocking("recovery", move || Ok(source.recover()?)).await?;
        let source = Arc::clone(&inner.source);
        let mut watcher = self.blocking("scan", move || Ok(LibraryWatcher::begin(source)?)).await?;
        inner.events.report(PeerEvent::PeerReady {
            addr: address,
            name: self.name().clone(),
            peer: self.id(),
        });
        let party = &inner.endpoint.introduction.party;
        inner.events.report(if party.is_open_network() {
            PeerEvent::NetworkOpen {}
        } else {
            PeerEvent::PartyEntered { party: party.name() }
        });
        watcher.publish();
        self.accept_operations();
        inner.tasks.spawn("board", self.clone().write_board());
        inner.tasks.spawn("library", watcher.follow(inner.tasks.cancel_token()));
        let lists = Arc::clone(&inner.source).follow_packing_lists(inner.tasks.cancel_token());
        inner.tasks.spawn("packing lists", lists);
        let (visits, visitors) = mpsc::channel(limits::HINT_QUEUE_ITEMS);
        let _ = inner.source.visitors.set(visits);
        let (source, ours, stop) = (Arc::clone(&inner.source), self.endpoint(), inner.tasks.cancel_token());
        let accepting = listener::accept(
            listener,
            inner.tasks.clone(),
            handler::serve_each(source, ours, stop),
            inner.tasks.cancel_token(),
        );
        inner.tasks.spawn("listener", accepting);
        let (offers, offered) = mpsc::channel(limits::HINT_QUEUE_ITEMS);
        let news = CatalogNews::new(inner.catalog.clone(), Some(offers).filter(|_| inner.catalog_from_peers));
        let neighbours = Neighbours::new(
            self.endpoint(),
            news,
            inner.events.clone(),
            inner.tasks.clone(),
            inner.penalties.clone(),
        );
        let _ = inner.neighbours.set(Arc::clone(&neighbours));
        let (hints, heard) = mpsc::channel(limits::HINT_QUEUE_ITEMS);
        let listening = Arc::clone(&neighbours).listen(heard, visitors, inner.tasks.cancel_token());
        inner.tasks.spawn("neighbours", listening);
        if let Some(live) = inner.catalog.as_ref().filter(|catalog| catalog.pinned().is_some()) {
            inner.tasks.spawn("catalogs", self.clone().follow_catalogs(Arc::clone(live), offered));
        }
        if inner.discovery {
            self.find_others(address, hints);
        }
        for peer in &inner.peers {
            self.keep(peer.clone(), HowKnown::Named, None);
        }
        for peer in saved {
            self.keep(peer.address, HowKnown::Saved, peer.id);
        }
        self.resume_operations().await;
        Ok(address)
    }

    /// Keeps a connection to a peer from now on, unless this one does already.
    pub(super) fn keep(&self, peer: PeerAddress, how: HowKnown, id: Option<PeerId>) {
        let Some(neighbours) = self.inner.neighbours.get() else { return };
        let is_new =
            self.inner.kept_peers.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.clone());
        if is_new {
            neighbours.keep(peer, how, id);
        }
    }

    /// The peers around this one that answer, sorted by name; empty if this peer does not serve.
    pub fn known_peers(&self) -> Vec<KnownPeer> {
        self.inner.neighbours.get().map(|neighbours| neighbours.known()).unwrap_or_default()
    }

    /// Announces this peer and discovers others. If discovery cannot start, that is logged and the peer serves without
    /// it: peers that are named, or that connect, are still known.
    fn find_others(&self, listening: SocketAddr, hints: mpsc::Sender<Hint>) {
        let inner = &self.inner;
        let running =
            match Discovery::start(inner.discovery_port, Arc::clone(&inner.endpoint.introduction.party)) {
                Ok(running) => running,
                Err(reason) => {
                    tracing::warn!("this peer is not announced and cannot discover others: {reason}");
                    return;
                }
            };
        let instance = inner.endpoint.introduction.hello.instance;
        let key = PeerKey { id: self.id(), instance };
        let advertised = Advertised { key, name: self.name().clone(), listening };
        let heard = move |heard| {
            let hint = match heard {
                Heard::Hint(hint) => {
                    Hint::Found { key: hint.key, addresses: hint.addresses, how: HowKnown::Discovered }
                }
                Heard::Gone(key) => Hint::Gone(key),
                Heard::Stranger(name) => {
                    tracing::info!("{name} is not of the party of this machine and is not asked");
                    return;
                }
                Heard::OtherProtocol { protocol, name, address } => {
                    let place = address.map(|address| format!(" at {address}")).unwrap_or_default();
                    tracing::info!("{name}{place} speaks protocol version {protocol} and is ignored");
                    return;
                }
            };
            // The queue is full only in a flood. A hint that is dropped is seldom reported again.
            let _ = hints.try_send(hint);
        };
        let library = inner.source.library.follow();
        let finding = multicast::run(running, advertised, library, heard, inner.tasks.cancel_token());
        inner.tasks.spawn("discovery", finding);
    }
}
