//! The sockets that connect two peers.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// An open connection between two peers.
pub(crate) type Socket = TcpStream;

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
    type Socket = Socket;

    async fn accept(&mut self) -> io::Result<(Socket, SocketAddr)> {
        let (socket, address) = Self::accept(self).await?;
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("{address}: {error}");
        }
        Ok((socket, address))
    }
}

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
