//! Accepts connections within the limits.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use lanspread_types::limits::{ACCEPT_BACK_OFF, ACCEPT_BACK_OFF_MAX, TURN_AWAY_DEADLINE};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::task::Tasks;
use crate::transport::seats::{Seat, Seats};
use crate::transport::socket::{Accept, RawSocket};

/// Serves one connection to its end.
pub(crate) type ServeConnection<S = RawSocket> =
    dyn Fn(S, SocketAddr, Arc<Seat>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Accepts connections until `stop`. Each one within the limits is served as one of `tasks`.
pub(crate) async fn accept<A: Accept>(
    mut listener: A,
    tasks: Tasks,
    serve: Arc<ServeConnection<A::Socket>>,
    stop: CancellationToken,
) {
    let seats = Seats::new(getrlimit(Resource::Nofile).current);
    let mut reserve = Reserve::default();
    let mut wait = ACCEPT_BACK_OFF;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, from)) => {
                admit(socket, from, &seats, &tasks, &*serve);
                wait = ACCEPT_BACK_OFF;
            }
            Err(error) if is_of_one_connection(&error) => tracing::debug!("accept: {error}"),
            Err(error) => {
                if wait == ACCEPT_BACK_OFF {
                    tracing::warn!("no connection can be accepted for now: {error}");
                }
                if is_lack_of_descriptors(&error) {
                    seats.end_idle();
                    reserve.turn_away(&mut listener).await;
                }
                if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                    return;
                }
                wait = (wait * 2).min(ACCEPT_BACK_OFF_MAX);
            }
        }
    }
}

fn admit<S: Send>(socket: S, from: SocketAddr, seats: &Seats, tasks: &Tasks, serve: &ServeConnection<S>) {
    let Some(seat) = seats.take(from) else {
        tracing::info!("too many connections: one from {from} is closed");
        return;
    };
    let seat = Arc::new(seat);
    let taken = seat.taken();
    let serving = serve(socket, from, seat);
    tasks.spawn_contained("connection", async move {
        if taken.run_until_cancelled(serving).await.is_none() {
            tracing::info!("too many connections: one from {from} gave way to another guest");
        }
    });
}

/// Whether an error concerns the connection that was about to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Whether the process or the system has no descriptor left.
fn is_lack_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// A descriptor to accept one more connection with and close it, so that its peer learns at once that it should ask
/// another one instead of waiting for a hello.
#[derive(Debug)]
struct Reserve(Option<File>);

impl Default for Reserve {
    fn default() -> Self {
        Self(File::open("/dev/null").ok())
    }
}

impl Reserve {
    async fn turn_away<A: Accept>(&mut self, listener: &mut A) {
        if self.0.take().is_some() {
            let turned_away = timeout(TURN_AWAY_DEADLINE, listener.accept()).await;
            if let Ok(Ok((_, from))) = &turned_away {
                tracing::debug!("no descriptor is left: one from {from} is closed");
            }
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
