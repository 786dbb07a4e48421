//! Notifies the service manager that `serve` is ready or stopping: a datagram of `NAME=value` lines to the socket that
//! the manager named.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

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

    /// Whether a service manager listens.
    pub(crate) fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// Reports that this process reads its settings again; [`Self::ready`] follows.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000));
    }

    /// Asks for more time to stop.
    pub(crate) fn needs_more(&self, time: Duration, status: &str) {
        self.notify(&format!("EXTEND_TIMEOUT_USEC={}\nSTATUS={status}", time.as_micros()));
    }

    /// Reports that this process is alive.
    pub(crate) fn is_alive(&self) {
        self.notify("WATCHDOG=1");
    }

    /// How often the manager wants to hear that this process is alive: half of its patience, as `sd_watchdog_enabled(3)`
    /// recommends.
    pub(crate) fn watchdog_interval(&self) -> Option<Duration> {
        let variable = |name| std::env::var(name).ok();
        let process = std::process::id().to_string();
        self.socket.as_ref()?;
        watchdog_interval(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), &process)
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

/// Half of the patience of the watchdog, if it is meant for this process. Pure.
fn watchdog_interval(patience_us: Option<&str>, of: Option<&str>, process: &str) -> Option<Duration> {
    let is_ours = of.is_none_or(|of| of == process);
    let patience: u64 = patience_us.filter(|_| is_ours)?.parse().ok()?;
    (patience > 1).then(|| Duration::from_micros(patience / 2))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_is_watched_says_that_it_is_alive() {
        let half = Some(Duration::from_secs(15));
        assert_eq!(watchdog_interval(Some("30000000"), None, "7"), half);
        assert_eq!(watchdog_interval(Some("30000000"), Some("7"), "7"), half);
        assert_eq!(watchdog_interval(Some("30000000"), Some("8"), "7"), None);
        for none in [None, Some(""), Some("0"), Some("x"), Some("-1")] {
            assert_eq!(watchdog_interval(none, None, "7"), None, "{none:?}");
        }
    }
}
