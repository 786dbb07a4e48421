//! The sockets that connect two peers.

use std::io;
use std::net::SocketAddr;

use lanspread_tls::socket::TlsSocket;
use tokio::net::{TcpListener, TcpStream};

/// What connects two peers before they know each other.
pub(crate) type RawSocket = TcpStream;

/// An encrypted connection to a peer whose key is proved.
pub(crate) type Socket = TlsSocket<RawSocket>;

/// Where other peers connect.
pub(crate) type Listener = TcpListener;

/// Accepts connections: a listener, or what a test puts in its place.
pub(crate) trait Accept: Send {
    /// A connection.
    type Socket: Send;

    /// The next connection, and where it comes from. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;
}

impl Accept for Listener {
    type Socket = RawSocket;

    async fn accept(&mut self) -> io::Result<(RawSocket, SocketAddr)> {
        let (socket, address) = Self::accept(self).await?;
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("{address}: {error}");
        }
        Ok((socket, address))
    }
}

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
