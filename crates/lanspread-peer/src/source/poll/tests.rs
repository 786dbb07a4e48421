//! Waiting for changes of a library: when the answer comes, how often, and who may wait.

use std::path::PathBuf;
use std::time::Duration;

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::message::Request;
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::report::channel::EventSender;
use crate::source::handler;
use crate::task::Tasks;
use crate::testing::{dialled, hello, offers};

fn source() -> Arc<Source> {
    let provider = lanspread_archive::provider(&ProviderChoice::Native);
    let nowhere = PathBuf::from("/nonexistent");
    Arc::new(Source::new(nowhere, None, provider, EventSender::new(), Tasks::default(), 1))
}

async fn connect(source: &Arc<Source>) -> Connection<DuplexStream> {
    connect_from(source, 1).await
}

async fn connect_from(source: &Arc<Source>, last: u8) -> Connection<DuplexStream> {
    let (near, far) = duplex(1 << 20);
    let worker = Arc::clone(source);
    source.tasks.spawn("connection", async move {
        let from = ([10, 0, 0, last], 1).into();
        handler::serve_from(&worker, far, from, &hello("pc"), &CancellationToken::new()).await;
    });
    dialled(near, &hello("pc")).await.unwrap()
}

/// Waits until so many connections wait.
async fn until_waiting(source: &Source, count: usize) {
    while source.polls.held() != count {
        tokio::task::yield_now().await;
    }
}

async fn ask(connection: &mut Connection<DuplexStream>, known: Option<u64>) {
    connection.send(&Request::News { library: known, activity: None }).await.unwrap();
}

async fn answer(connection: &mut Connection<DuplexStream>) -> Reply {
    connection.receive("reply", Duration::from_hours(1)).await.unwrap().unwrap()
}

fn revision(reply: &Reply) -> Option<(u64, usize)> {
    if let Reply::Games { revision, games, .. } = reply { Some((*revision, games.len())) } else { None }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_reported_at_once_and_no_change_after_the_wait() {
    let source = source();
    source.library.replace(offers(1));
    for known in [None, Some(0), Some(7)] {
        let mut connection = connect(&source).await;
        let begun = Instant::now();
        ask(&mut connection, known).await;
        assert_eq!(revision(&answer(&mut connection).await), Some((1, 1)), "{known:?}");
        assert_eq!(begun.elapsed(), Duration::ZERO, "{known:?}");
    }
    let mut connection = connect(&source).await;
    let begun = Instant::now();
    ask(&mut connection, Some(1)).await;
    assert_eq!(answer(&mut connection).await, Reply::Unchanged);
    assert_eq!(begun.elapsed().as_secs(), limits::ACTIVITY_WAIT.as_secs());
    tokio::time::advance(limits::LIBRARY_ANSWER_INTERVAL).await;
    ask(&mut connection, Some(1)).await;
    // The request is waiting when the library changes.
    until_waiting(&source, 1).await;
    let begun = Instant::now();
    source.library.replace(offers(300));
    assert_eq!(revision(&answer(&mut connection).await), Some((2, 256)));
    assert_eq!(revision(&answer(&mut connection).await), Some((2, 44)), "one list, in parts");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Every peer that waits is sent the same list, which is made once, and made again for the next revision.
#[test]
fn a_list_is_made_once_for_each_revision() {
    let source = source();
    source.library.replace(offers(300));
    let first = source.last_list.of(&source.library.current());
    assert!(Arc::ptr_eq(&first, &source.last_list.of(&source.library.current())));
    source.library.replace(offers(1));
    let second = source.last_list.of(&source.library.current());
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!(revision(&second[0]), Some((2, 1)));
}

/// However a peer asks, one connection carries one list per interval: with the revision or without, one by one or many
/// requests at once.
#[tokio::test(start_paused = true)]
async fn a_connection_carries_one_list_per_interval() {
    for known in [None, Some(0), Some(1)] {
        let source = source();
        source.library.replace(offers(1));
        let mut connection = connect(&source).await;
        let begun = Instant::now();
        for _ in 0..10 {
            ask(&mut connection, known).await;
        }
        for number in 0..10 {
            // With more requests behind it, none waits for a change.
            if number == 9 && known == Some(1) {
                break;
            }
            answer(&mut connection).await;
            assert_eq!(begun.elapsed(), number * limits::LIBRARY_ANSWER_INTERVAL, "{known:?}, {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_peer_takes_no_place_of_a_listing_and_gives_its_own_back() {
    let source = source();
    source.library.replace(offers(1));
    let mut waiting = Vec::new();
    let guests = limits::LIBRARY_POLLS_MAX / limits::LIBRARY_POLLS_SHARE;
    for number in 0..limits::LIBRARY_POLLS_MAX {
        let mut connection = connect_from(&source, u8::try_from(number % guests).unwrap()).await;
        ask(&mut connection, Some(1)).await;
        waiting.push(connection);
    }
    until_waiting(&source, limits::LIBRARY_POLLS_MAX).await;
    // Each guest holds its share, so none has to give way.
    let mut late = connect_from(&source, 200).await;
    ask(&mut late, Some(1)).await;
    let refused = answer(&mut late).await;
    assert!(matches!(refused, Reply::Refused(refusal) if refusal.code == RefusalCode::Busy));
    ask(&mut late, None).await;
    assert_eq!(revision(&answer(&mut late).await), Some((1, 1)), "a list is still answered");
    late.send(&Request::Status).await.unwrap();
    assert!(matches!(answer(&mut late).await, Reply::Status(_)), "and so is everything else");
    let begun = Instant::now();
    drop(waiting);
    until_waiting(&source, 0).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "a closed connection is noticed at once");
}

/// Two addresses hold every place. A peer that comes then waits like others, and one of theirs is answered early.
#[tokio::test(start_paused = true)]
async fn two_guests_cannot_hold_every_place() {
    let source = source();
    source.library.replace(offers(1));
    let mut waiting = Vec::new();
    for number in 0..limits::LIBRARY_POLLS_MAX {
        let mut connection = connect_from(&source, u8::try_from(number % 2).unwrap()).await;
        ask(&mut connection, Some(1)).await;
        until_waiting(&source, number + 1).await;
        waiting.push(connection);
    }
    let begun = Instant::now();
    let mut guest = connect_from(&source, 200).await;
    ask(&mut guest, Some(1)).await;
    assert_eq!(answer(&mut waiting[0]).await, Reply::Unchanged, "it has waited longest");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(source.polls.held(), limits::LIBRARY_POLLS_MAX);
    source.library.replace(offers(2));
    assert_eq!(revision(&answer(&mut guest).await), Some((2, 2)), "the guest still waits");
}
