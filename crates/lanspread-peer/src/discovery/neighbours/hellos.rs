//! What hellos say: those of visitors, and those of this peer. A connection has one hello and can live for hours, so news
//! need another one.

use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_tls::endpoint::Endpoint;
use lanspread_types::limits;
use tokio::time::timeout;

use crate::discovery::directory::{HowKnown, PeerKey};
use crate::discovery::neighbours::{Hint, Neighbours};
use crate::source::visitor::Visitor;
use crate::transport::dial::dial_any;

impl Neighbours {
    /// This peer's end of a new connection: another version of its catalog may be in force by now.
    pub(super) fn ours(&self) -> Endpoint {
        let mut ours = self.ours.clone();
        ours.introduction.hello.catalog = self.news.mark();
        ours
    }

    /// Says hello once more to each peer that answers, so that it hears of the catalog that is in force now.
    pub(crate) async fn greet_again(self: Arc<Self>) {
        let stop = self.tasks.cancel_token();
        for peer in self.known() {
            let ours = self.ours();
            let greeting = Box::pin(dial_any(&peer.addresses, &ours, None));
            let greeting = timeout(limits::HINT_ANSWER_DEADLINE, greeting);
            match stop.run_until_cancelled(greeting).await {
                None => return,
                Some(Ok(Ok(_))) => {}
                // It hears of it when it is connected again.
                Some(_) => tracing::debug!("{} did not hear of the catalog", peer.name),
            }
        }
    }

    /// A visitor that serves is a peer to ask, at the address it came from and the port it claims.
    pub(super) fn visited(visitor: &Visitor) -> Option<(Hint, SocketAddr)> {
        let port = visitor.hello.listen_port.filter(|port| *port != 0)?;
        // The port is replaced in place, so that a link-local address keeps its scope.
        let mut address = visitor.from;
        address.set_port(port);
        if let SocketAddr::V6(wide) = address
            && let Some(narrow) = wide.ip().to_ipv4_mapped()
        {
            address.set_ip(narrow.into());
        }
        let key = PeerKey { id: visitor.peer, instance: visitor.hello.instance };
        Some((Hint::Found { key, addresses: vec![address], how: HowKnown::Connected }, address))
    }
}
