//! The sockets that connect two peers.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// An open connection between two peers.
pub(crate) type Socket = TcpStream;

/// Where other peers connect.
pub(crate) type Listener = TcpListener;

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
