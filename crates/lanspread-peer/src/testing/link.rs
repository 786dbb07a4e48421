//! The link of a source: an address of its own, and one connection through it that fares badly.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What happens to a connection.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// It is held until the link is opened.
    Held,
    Refused,
}

/// All connections pass, except the one of this number, from 0.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    pub(crate) opened: Arc<Notify>,
    /// It ends with the link.
    _running: JoinSet<()>,
}

impl Link {
    pub(crate) async fn to(source: SocketAddr, number: usize, fate: Fate) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, mut running) = (Arc::new(Notify::new()), JoinSet::new());
        let open = Arc::clone(&opened);
        running.spawn(async move {
            let (mut passing, mut count) = (JoinSet::new(), 0..);
            while let Ok((mut near, _)) = listener.accept().await {
                let (open, fares_badly) = (Arc::clone(&open), count.next() == Some(number));
                passing.spawn(async move {
                    match fate {
                        Fate::Refused if fares_badly => return,
                        Fate::Held if fares_badly => open.notified().await,
                        _ => {}
                    }
                    let mut far = TcpStream::connect(source).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address, opened, _running: running }
    }
}
