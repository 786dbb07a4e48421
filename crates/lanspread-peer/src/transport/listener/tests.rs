//! What a listener does when nothing can be accepted, and when connections are too many.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanspread_types::limits::CONNECTIONS_PER_ADDRESS_MAX;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::*;

/// Accepts what a test hands it, and fails as long as `failing` says so.
struct Told {
    connections: mpsc::UnboundedReceiver<u8>,
    failing: Arc<Mutex<Option<Errno>>>,
    calls: Arc<AtomicUsize>,
}

impl Accept for Told {
    type Socket = u8;

    async fn accept(&mut self) -> io::Result<(u8, SocketAddr)> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let failing = *self.failing.lock().unwrap();
        if let Some(errno) = failing {
            return Err(errno.into());
        }
        match self.connections.recv().await {
            Some(last) => Ok((last, (IpAddr::from([10, 0, 0, last]), 1).into())),
            None => std::future::pending().await,
        }
    }
}

struct Listening {
    connect: mpsc::UnboundedSender<u8>,
    failing: Arc<Mutex<Option<Errno>>>,
    calls: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
    tasks: Tasks,
    stop: CancellationToken,
}

/// A listener whose connections stay open for ever. That of the address 1 carries a transfer.
fn listening() -> Listening {
    let (connect, connections) = mpsc::unbounded_channel();
    let (failing, calls, served) = (Arc::default(), Arc::default(), Arc::<AtomicUsize>::default());
    let (tasks, stop) = (Tasks::default(), CancellationToken::new());
    let told = Told { connections, failing: Arc::clone(&failing), calls: Arc::clone(&calls) };
    let count = Arc::clone(&served);
    let serve: Arc<ServeConnection<u8>> = Arc::new(move |last, _, seat| {
        count.fetch_add(1, Ordering::Relaxed);
        if last == 1 {
            seat.transfers();
        }
        Box::pin(async move {
            let _seat = seat;
            std::future::pending::<()>().await;
        })
    });
    tasks.spawn("listener", accept(told, tasks.clone(), serve, stop.clone()));
    Listening { connect, failing, calls, served, tasks, stop }
}

async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// No descriptor for a minute: the listener neither spins nor ends, transfers are not touched, and it serves again
/// afterwards. An idle connection gives its descriptor back, if that helps.
#[tokio::test(start_paused = true)]
async fn a_lack_of_descriptors_is_waited_out() {
    for (errno, running) in [(Errno::MFILE, 2), (Errno::NFILE, 2), (Errno::NOBUFS, 4)] {
        let listener = listening();
        for last in [1, 4] {
            listener.connect.send(last).unwrap();
        }
        settle().await;
        assert_eq!(listener.served.load(Ordering::Relaxed), 2);
        *listener.failing.lock().unwrap() = Some(errno);
        listener.connect.send(2).unwrap();
        settle().await;
        let (begun, calls) = (Instant::now(), listener.calls.load(Ordering::Relaxed));
        while begun.elapsed() < Duration::from_mins(1) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let tries = listener.calls.load(Ordering::Relaxed) - calls;
        assert!((20..100).contains(&tries), "{errno}: {tries} tries in a minute");
        assert_eq!(listener.tasks.running(), running, "{errno}: the listener and the transfer, at least");
        *listener.failing.lock().unwrap() = None;
        listener.connect.send(3).unwrap();
        tokio::time::sleep(2 * ACCEPT_BACK_OFF_MAX).await;
        assert_eq!(listener.served.load(Ordering::Relaxed), 4, "{errno}");
        listener.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_waits_stops_at_once() {
    let listener = listening();
    *listener.failing.lock().unwrap() = Some(Errno::NOMEM);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let begun = Instant::now();
    listener.stop.cancel();
    while listener.tasks.running() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// One address opens connections without end. Beyond its limit they are closed at once; a connection from another
/// address is served, and nothing is left of those that were closed.
#[tokio::test(start_paused = true)]
async fn a_flood_from_one_address_does_not_keep_others_out() {
    let listener = listening();
    for _ in 0..10_000 {
        listener.connect.send(1).unwrap();
    }
    listener.connect.send(2).unwrap();
    settle().await;
    while listener.calls.load(Ordering::Relaxed) < 10_002 {
        settle().await;
    }
    assert_eq!(listener.served.load(Ordering::Relaxed), CONNECTIONS_PER_ADDRESS_MAX + 1);
    assert_eq!(listener.tasks.running(), CONNECTIONS_PER_ADDRESS_MAX + 2);
    listener.stop.cancel();
}

/// A connection whose place was taken ends, and so does everything that it holds.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_place_was_taken_ends() {
    let (seats, tasks) = (Seats::new(Some(0)), Tasks::default());
    let serve: Arc<ServeConnection<u8>> = Arc::new(|_, _, seat| {
        Box::pin(async move {
            let _seat = seat;
            std::future::pending::<()>().await;
        })
    });
    let from = |last: u8| SocketAddr::from((IpAddr::from([10, 0, 0, last]), 1));
    for last in [1, 1, 1, 1, 1, 1, 1, 1, 2] {
        admit(last, from(last), &seats, &tasks, &*serve);
    }
    settle().await;
    assert_eq!((tasks.running(), seats.held()), (8, 8));
}
