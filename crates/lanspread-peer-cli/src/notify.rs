//! Notifies the service manager that `serve` is ready or stopping: a datagram of `NAME=value` lines to the socket that
//! the manager named.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager that started this process, if one did and wants notifications.
pub(crate) struct ServiceManager {
    socket: Option<OsString>,
}

impl ServiceManager {
    pub(crate) fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) }
    }

    /// Reports that other peers can connect now.
    pub(crate) fn ready(&self, status: &str) {
        self.notify(&format!("READY=1\nSTATUS={status}"));
    }

    /// Reports that this process has begun to stop.
    pub(crate) fn stopping(&self, status: &str) {
        self.notify(&format!("STOPPING=1\nSTATUS={status}"));
    }

    fn notify(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        // A manager that misses a notification reports that itself. Serving continues.
        if let Err(error) = send(socket.as_bytes(), state.as_bytes()) {
            tracing::warn!("the service manager at {} cannot be notified: {error}", socket.display());
        }
    }
}

fn send(socket: &[u8], state: &[u8]) -> io::Result<()> {
    // A name that begins with @ is an abstract socket, outside the file system.
    let address = match socket.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(socket))?,
    };
    let datagram = UnixDatagram::unbound()?;
    // A manager that does not read must not block this process.
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(state, &address).map(|_| ())
}
