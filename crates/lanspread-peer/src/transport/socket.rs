//! The sockets that connect two peers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

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

/// What has arrived on a connection and lies unread in the kernel. It is a second handle of the socket, which is closed only
/// when this is dropped too.
#[derive(Debug)]
pub(crate) struct Unread(OwnedFd);

impl Unread {
    pub(crate) fn of(socket: &RawSocket) -> io::Result<Self> {
        socket.as_fd().try_clone_to_owned().map(Self)
    }

    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.0)?)
    }
}

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_has_arrived_is_unread_until_it_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let (unread, mut near) = (Unread::of(&near).unwrap(), near);
        assert_eq!(unread.bytes().unwrap(), 0);
        far.write_all(&[7; 1000]).await.unwrap();
        near.peek(&mut [0; 1000]).await.unwrap();
        assert_eq!(unread.bytes().unwrap(), 1000);
        near.read_exact(&mut [0; 600]).await.unwrap();
        assert_eq!(unread.bytes().unwrap(), 400);
    }
}
