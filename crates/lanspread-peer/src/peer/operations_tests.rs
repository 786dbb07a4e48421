//! Operations of a real peer. They run a streamed install from a source that never ends, so that each test decides when
//! an operation ends.

use lanspread_testing::lying_source::{Listening, LyingSource};
use lanspread_testing::machine::Machine;
use lanspread_testing::small_game;
use lanspread_testing::step::Step;
use tokio::sync::Barrier;

use crate::operations::{OperationOutcome, OperationsError};
use crate::report::event::PeerEvent;
use crate::report::operation::{OperationKind, OperationOptions, OperationRequest};
use crate::testing::machine::PeerOf;

/// A source that pauses for ever in its stream, and a barrier that it reaches when it pauses.
async fn standing_still() -> (Listening, std::sync::Arc<Barrier>) {
    let barrier = std::sync::Arc::new(Barrier::new(2));
    let stream = vec![Step::Meet(std::sync::Arc::clone(&barrier)), Step::KeepAlives];
    (LyingSource::new("a", Vec::new(), stream).listen().await, barrier)
}

fn request(kind: OperationKind, source: &Listening) -> OperationRequest {
    let options = OperationOptions { peers: vec![source.address.into()], ..OperationOptions::default() };
    OperationRequest { kind, game: small_game::game(), options }
}

fn code(outcome: &OperationOutcome) -> &str {
    outcome.as_ref().map_or_else(|failure| &*failure.code, |()| "done")
}

/// An equal second request joins the operation. If one follower gives up, the operation continues. If the last one
/// does, it ends.
#[tokio::test]
async fn equal_requests_are_one_operation_that_ends_with_its_last_follower() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let peer = machine.peer("receiver");
    let first = peer.submit(request(OperationKind::StreamInstall, &source)).unwrap();
    barrier.wait().await;
    let mut second = peer.submit(request(OperationKind::StreamInstall, &source)).unwrap();
    assert_eq!((first.joined(), second.joined()), (false, true));
    assert_eq!(first.operation(), second.operation());
    assert_eq!(peer.running_operations()[0].followers, 2);
    assert!(!first.give_up(), "it has another follower");
    drop(first);
    assert!(second.give_up());
    assert_eq!(code(&second.outcome().await), "cancelled");
    while second.next_event().await.is_some() {}
    assert_eq!(peer.running_operations(), []);
    peer.shutdown().await.unwrap();
    assert_eq!(peer.running_tasks(), 0);
}

/// An operation that waits for another one on the same game is cancelled with it, and both followers get the outcome.
#[tokio::test]
async fn cancelling_a_game_ends_its_running_and_waiting_operations() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let peer = machine.peer("receiver");
    let mut events = peer.events();
    let mut running = peer.submit(request(OperationKind::StreamInstall, &source)).unwrap();
    barrier.wait().await;
    let mut waiting = peer.submit(request(OperationKind::Verify, &source)).unwrap();
    let infos = peer.running_operations();
    assert_eq!(infos.iter().map(|info| info.running).collect::<Vec<_>>(), [true, false]);
    assert_eq!(peer.cancel_operations(&small_game::game()).unwrap(), 2);
    assert_eq!(code(&waiting.outcome().await), "cancelled");
    assert_eq!(code(&running.outcome().await), "cancelled");
    assert!(matches!(peer.cancel_operations(&small_game::game()), Err(OperationsError::NoOperation { .. })));
    peer.shutdown().await.unwrap();
    let mut ended = Vec::new();
    while let Some(event) = events.try_next() {
        if let PeerEvent::OperationEnd { kind, outcome, .. } = event {
            ended.push((kind, outcome.into_owned()));
        }
    }
    let cancelled = "cancelled".to_owned();
    assert_eq!(
        ended,
        [(OperationKind::Verify, cancelled.clone()), (OperationKind::StreamInstall, cancelled)],
        "the waiting operation ended at once"
    );
}

/// A waiting operation that is given up does not delay the operations after it.
#[tokio::test]
async fn the_operation_after_one_that_is_given_up_runs() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let peer = machine.describe("receiver").operations_max(2).build().unwrap();
    let mut running = peer.submit(request(OperationKind::StreamInstall, &source)).unwrap();
    barrier.wait().await;
    let mut given_up = peer.submit(request(OperationKind::Remove, &source)).unwrap();
    let mut last = peer.submit(request(OperationKind::Verify, &source)).unwrap();
    assert!(given_up.give_up());
    assert_eq!(code(&given_up.outcome().await), "cancelled");
    assert!(running.give_up());
    assert_eq!(code(&running.outcome().await), "cancelled");
    assert_eq!(code(&last.outcome().await), "not-installed", "it ran, and found nothing to verify");
    peer.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stopping_peer_cancels_running_operations_and_accepts_no_more() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let peer = machine.peer("receiver");
    let mut running = peer.submit(request(OperationKind::StreamInstall, &source)).unwrap();
    barrier.wait().await;
    peer.shutdown().await.unwrap();
    assert_eq!(code(&running.outcome().await), "cancelled");
    assert!(matches!(peer.submit(request(OperationKind::Verify, &source)), Err(OperationsError::Closed)));
    assert_eq!(peer.running_tasks(), 0);
    assert!(machine.everything().is_empty(), "the install leaves nothing");
}
