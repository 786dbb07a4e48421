//! Accepts connections within the limits.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use lanspread_types::limits::{ACCEPT_BACK_OFF, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX};
use tokio_util::sync::CancellationToken;

use crate::task::Tasks;
use crate::transport::socket::{Listener, Socket};

/// Serves one connection to its end.
pub(crate) type ServeConnection =
    dyn Fn(Socket, SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Accepts connections until `stop`. Each one within the limits is served as one of `tasks`.
pub(crate) async fn accept(
    listener: Listener,
    tasks: Tasks,
    serve: Arc<ServeConnection>,
    stop: CancellationToken,
) {
    let places = Places::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, address)) => admit(socket, address, &places, &tasks, &*serve),
            Err(error) if is_of_one_connection(&error) => tracing::debug!("accept: {error}"),
            Err(error) => {
                tracing::warn!("accept: {error}");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

fn admit(socket: Socket, address: SocketAddr, places: &Places, tasks: &Tasks, serve: &ServeConnection) {
    let Some(place) = places.take(address.ip()) else {
        tracing::info!("too many connections: one from {address} is closed");
        return;
    };
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!("{address}: {error}");
    }
    let serving = serve(socket, address);
    tasks.spawn_contained("connection", async move {
        serving.await;
        drop(place);
    });
}

/// Whether an error concerns the connection that was about to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Open connections per address. An entry is removed with its last connection.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection. Dropping it gives the place back.
#[derive(Debug)]
struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let here = open.get(&address).copied().unwrap_or_default();
        if total >= CONNECTIONS_MAX || here >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        open.insert(address, here + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::default();
        let held: Vec<_> =
            (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| places.take(address(1)).unwrap()).collect();
        assert!(places.take(address(1)).is_none());
        assert!(places.take(address(2)).is_some());
        drop(held);
        assert!(places.take(address(1)).is_some());
        assert!(places.0.lock().unwrap().is_empty(), "no entry outlives its connections");
    }

    #[test]
    fn the_total_is_bounded() {
        let places = Places::default();
        let mut held = Vec::new();
        for index in 0..CONNECTIONS_MAX {
            held.push(places.take(address(u8::try_from(index % 250).unwrap())).unwrap());
        }
        assert!(places.take(address(251)).is_none());
    }
}
