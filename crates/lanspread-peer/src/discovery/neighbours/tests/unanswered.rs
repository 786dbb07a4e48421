//! Peers that were only heard of and do not answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// How long it takes until nothing runs any more.
async fn ended(neighbours: &Neighbours) -> Duration {
    let begun = Instant::now();
    while neighbours.tasks.running() > 0 {
        sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

/// An address where another program listens, and how often it was connected to: the machine of a third party.
async fn third_party() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        // Every connection is closed at once, as by a program that does not understand what it gets.
        while listener.accept().await.is_ok() {
            counting.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, count)
}

/// Announcements of a thousand peers at the address of a machine that has nothing to do with it: few connections, and
/// nothing remains of them.
#[tokio::test(start_paused = true)]
async fn announcements_cause_few_connections_to_a_third_party_and_are_forgotten() {
    let neighbours = alone();
    let (address, connections) = third_party().await;
    for _ in 0..1000 {
        neighbours.take(heard(address));
        tokio::task::yield_now().await;
    }
    assert!(neighbours.tasks.running() <= limits::NEIGHBOURS_PER_ADDRESS_MAX + 1);
    let after = ended(&neighbours).await;
    assert!(after < limits::HINT_UNANSWERED_EXPIRY + FORGOTTEN_WITHIN, "forgotten after {after:?}");
    let count = connections.load(Ordering::Relaxed);
    assert!((1..100).contains(&count), "{count} connections");
    assert!(neighbours.known().is_empty());
}

/// How much later than it could be a peer that does not answer is forgotten: one pause, and one try.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(150);

/// A peer that was only heard of and does not answer is forgotten by itself, but not before a busy machine can answer.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_forgotten() {
    let neighbours = alone();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    neighbours.take(heard(closed));
    assert_eq!(neighbours.tasks.running(), 1);
    let (after, least) = (ended(&neighbours).await, limits::HINT_UNANSWERED_EXPIRY);
    assert!((least..least + FORGOTTEN_WITHIN).contains(&after), "forgotten after {after:?}");
}

/// Machines that start together are too busy to answer at first, and multicast DNS reports each of them only once.
#[tokio::test]
async fn a_peer_that_does_not_answer_at_first_is_found_without_being_heard_of_again() {
    let (one, other) = (Machine::new(), Machine::new());
    let (observer, mut hears, _) = serve(&one, "observer", &[]).await;
    let (busy, _, answers) = serve(&other, "busy", &[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for _ in 0..3 {
            drop(listener.accept().await);
        }
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = tokio::net::TcpStream::connect(answers).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    observer.neighbours().unwrap().take(heard(address));
    assert_eq!(until(&mut hears, found).await, ("busy".to_owned(), address));
    stop(busy).await;
    stop(observer).await;
}
