//! The sockets of the page: how many connections there may be, how long each may take, and their end.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lanspread_types::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commands::Commands;
use crate::daemon::RoomDaemon;
use crate::guard::{Guard, TokenDigest};
use crate::routes::{self, Site};
use crate::stall::StallLimited;

/// Where and for whom the page is served.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Where to listen; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Names of this machine under which the page may be asked for, beside addresses and `localhost`.
    pub names: Vec<String>,
    /// What the interface must be shown. None leaves it open to everyone who can reach it.
    pub token: Option<String>,
    /// What the page may have done at most.
    pub commands: Commands,
}

/// The page, served. It ends when it is told to, with all of its connections.
pub struct WebServer {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl WebServer {
    /// Opens the socket and begins to answer.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub async fn start(config: WebConfig, daemon: Arc<dyn RoomDaemon>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let names = config.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let guard = Guard { names, token: config.token.as_deref().map(TokenDigest::of) };
        let router = routes::routes(Site::new(daemon, guard, config.commands, stop.clone()));
        let accepting = Accepting { router, tasks: tasks.clone(), stop: stop.clone() };
        tasks.spawn(accepting.run(listener));
        Ok(Self { address, tasks, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the socket and all connections, and waits for them.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(limits::WEB_FAREWELL_DEADLINE, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} connections of the room page have not ended", self.tasks.len());
        }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Accepting {
    router: axum::Router,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(limits::WEB_CONNECTIONS_MAX));
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            let (stream, guest) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("the room page cannot accept a connection: {error}");
                    tokio::time::sleep(limits::ACCEPT_BACK_OFF).await;
                    continue;
                }
            };
            // Beyond the limit a connection is closed without reading from it, so that it costs nothing more.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let connection = serve(stream, self.router.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("the room page, for {guest}: {error}");
                }
                drop(place);
            });
        }
    }
}

/// Answers the requests of one connection. When the daemon stops, the request that is being answered is the last one.
async fn serve(stream: TcpStream, router: axum::Router, stop: CancellationToken) -> Result<(), hyper::Error> {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::WEB_HEAD_DEADLINE)
        .max_buf_size(limits::WEB_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(StallLimited::new(stream, limits::WEB_STALL_DEADLINE)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

#[cfg(test)]
mod tests;
