//! What a packed stream passes on: the port where a follower may come, and the window from which it is fed.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::packed::relays::OpenRelay;
use crate::packed::window::PackedWindow;
use crate::peer::core::Peer;
use crate::report::operation::RelayChoice;
use crate::source::handler;
use crate::transport::listener;
use crate::transport::socket::Listener;

/// A finished stream that can still be followed, and where.
pub(super) struct Relaying {
    pub(super) relay: OpenRelay,
    pub(super) window: Arc<PackedWindow>,
    pub(super) followers: Option<Followers>,
}

/// The port on which a peer answers followers.
pub(super) struct RelayPort {
    pub(super) port: u16,
    /// What answers there; none if the peer serves, and answers where it serves.
    pub(super) followers: Option<Followers>,
}

/// Answers followers on a port of its own until it is dropped.
pub(super) struct Followers {
    stop: DropGuard,
    accepting: JoinHandle<()>,
}

impl Followers {
    /// Closes the port, and waits until that is done.
    pub(super) async fn end(self) {
        drop(self.stop);
        if let Err(error) = self.accepting.await {
            tracing::error!("the listener for followers ended abnormally: {error}");
        }
    }
}

impl Relaying {
    /// Waits until the follower has everything, for a bounded time.
    async fn linger(self) {
        self.relay.linger().await;
        self.window.close();
        if let Some(followers) = self.followers {
            followers.end().await;
        }
    }
}

impl Peer {
    /// Passes on what a finished stream still has, if it has something, for a bounded time. A peer that serves does so beside
    /// its next work.
    pub(super) async fn linger(&self, relay: Option<Relaying>, cancel: &CancellationToken) {
        let Some(relay) = relay else { return };
        if self.serves() {
            let stop = self.inner.tasks.cancel_token();
            self.inner.tasks.spawn_contained("linger", async move {
                stop.run_until_cancelled(relay.linger()).await;
            });
        } else {
            cancel.run_until_cancelled(relay.linger()).await;
        }
    }

    /// The port on which this peer answers followers; none if it does not. One that serves does so where it serves.
    pub(super) async fn relay_port(&self, choice: RelayChoice) -> Option<RelayPort> {
        let RelayChoice::On { listen } = choice else { return None };
        let serving = *self.inner.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = serving {
            return Some(RelayPort { port: address.port(), followers: None });
        }
        let anywhere: [SocketAddr; 2] =
            [(Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::UNSPECIFIED, 0).into()];
        let addresses = listen.map_or(anywhere.to_vec(), |address| vec![address]);
        for address in addresses {
            match Listener::bind(address).await {
                Ok(listening) => {
                    let port = listening.local_addr().ok()?.port();
                    return Some(RelayPort { port, followers: Some(self.answer_followers(listening)) });
                }
                Err(error) => tracing::info!("this stream cannot be followed at {address}: {error}"),
            }
        }
        None
    }

    /// Answers followers and nothing else.
    fn answer_followers(&self, listening: Listener) -> Followers {
        let stop: CancellationToken = self.inner.tasks.cancel_token();
        let source = Arc::clone(&self.inner.source);
        let serve = handler::serve_followers(source, self.endpoint(), stop.clone());
        let accepting = listener::accept(listening, self.inner.tasks.clone(), serve, stop.clone());
        let accepting = self.inner.tasks.spawn("followers", accepting);
        Followers { stop: stop.drop_guard(), accepting }
    }
}
