//! The sockets that connect two peers.

use std::io;
use std::net::SocketAddr;

use lanspread_tls::socket::TlsSocket;
use lanspread_types::limits;
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
        if let Err(error) = socket.set_nodelay(true).and_then(|()| hold_back(&socket)) {
            tracing::debug!("{address}: {error}");
        }
        Ok((socket, address))
    }
}

/// Lets a sender wait as soon as a link is busy. Otherwise all that a receiver asks ahead fits into the buffer of the
/// connection, and a busy link could not be told from an idle one.
#[cfg(target_os = "linux")]
fn hold_back(socket: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(limits::UNSENT_BYTES_MAX)
}

#[cfg(not(target_os = "linux"))]
fn hold_back(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
