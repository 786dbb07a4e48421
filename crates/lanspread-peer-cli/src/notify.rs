//! Tells the service manager how `serve` is getting on: one datagram of `NAME=value` lines to the socket that it named.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who started this process and wants to hear of it, if anybody.
pub(crate) struct ServiceManager {
    socket: Option<OsString>,
}

impl ServiceManager {
    pub(crate) fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) }
    }

    /// Others may connect now.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The end has begun.
    pub(crate) fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={status}"));
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        // A manager that waits for this will say so itself; serving goes on.
        if let Err(error) = send(socket.as_bytes(), state.as_bytes()) {
            tracing::warn!("cannot tell {}: {error}", socket.display());
        }
    }
}

fn send(socket: &[u8], state: &[u8]) -> io::Result<()> {
    // A name that begins with @ stands in no file system.
    let address = match socket.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(socket))?,
    };
    let datagram = UnixDatagram::unbound()?;
    // A manager that does not read must not stop us.
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(state, &address).map(|_| ())
}
