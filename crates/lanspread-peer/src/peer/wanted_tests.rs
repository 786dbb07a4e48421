//! Operations that outlive the peer that was asked for them. They stream from a source that never ends, so that each test
//! decides when an operation ends.

use std::sync::Arc;
use std::time::Duration;

use lanspread_store::state::games_dir::GamesDir;
use lanspread_store::state::wanted;
use lanspread_testing::lying_source::{Listening, LyingSource};
use lanspread_testing::machine::Machine;
use lanspread_testing::small_game;
use lanspread_testing::step::Step;
use lanspread_types::limits;
use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::peer::core::Peer;
use crate::peer::wanted::next_try;
use crate::report::event::PeerEvent;
use crate::report::failure::{ErrorCategory, OperationFailure};
use crate::report::operation::{OperationKind, OperationOptions, OperationRequest};
use crate::report::wanted_operation::{QueuedOperation, WantedOperation};
use crate::testing::machine::PeerOf;

async fn standing_still() -> (Listening, Arc<Barrier>) {
    let barrier = Arc::new(Barrier::new(2));
    let stream = vec![Step::Meet(Arc::clone(&barrier)), Step::KeepAlives];
    (LyingSource::new("a", Vec::new(), stream).listen().await, barrier)
}

fn request(kind: OperationKind, source: &Listening) -> OperationRequest {
    let options = OperationOptions { peers: vec![source.address.into()], ..OperationOptions::default() };
    OperationRequest { kind, game: small_game::game(), options }
}

/// A peer that keeps its operations, as a daemon does.
async fn daemon(machine: &Machine) -> Peer {
    let peer = machine.peer("receiver");
    peer.keep_operations().await.unwrap();
    peer
}

/// Numbers, kinds and starts of what is on disk.
fn kept(machine: &Machine) -> Vec<(u64, OperationKind, u32)> {
    let mut found = Vec::new();
    wanted::read_all(&GamesDir::open(&machine.games_dir()).unwrap(), |number, bytes| {
        let file = WantedOperation::parse(&bytes.unwrap()).unwrap();
        found.push((number, file.request.kind, file.starts));
    })
    .unwrap();
    found
}

fn keep(machine: &Machine, number: u64, file: &WantedOperation) {
    wanted::write(&GamesDir::open(&machine.games_dir()).unwrap(), number, &file.encode()).unwrap();
}

#[tokio::test]
async fn an_operation_is_on_disk_from_its_request_to_its_end() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let peer = daemon(&machine).await;
    let mut running = peer.submit_wanted(request(OperationKind::StreamInstall, &source)).await.unwrap();
    barrier.wait().await;
    let waiting = peer.submit_wanted(request(OperationKind::Uninstall, &source)).await.unwrap();
    assert_eq!(
        kept(&machine),
        [(1, OperationKind::StreamInstall, 1), (2, OperationKind::Uninstall, 0)],
        "the first one has begun"
    );
    let equal = peer.submit_wanted(request(OperationKind::StreamInstall, &source)).await.unwrap();
    let verify = peer.submit_wanted(request(OperationKind::Verify, &source)).await.unwrap();
    assert!(equal.joined() && !verify.joined());
    assert_eq!(
        kept(&machine).len(),
        2,
        "one that joins has no file, and a verify is nothing without its client"
    );
    drop(equal);
    assert!(verify.give_up() && waiting.give_up() && running.give_up());
    assert_eq!(running.outcome().await.unwrap_err().code, "cancelled");
    peer.shutdown().await.unwrap();
    assert!(machine.everything().is_empty(), "what a client cancels is not done again");
}

#[tokio::test]
async fn what_a_stopped_peer_leaves_is_done_again_in_its_order() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let first = daemon(&machine).await;
    first.submit_wanted(request(OperationKind::StreamInstall, &source)).await.unwrap();
    barrier.wait().await;
    first.submit_wanted(request(OperationKind::Uninstall, &source)).await.unwrap();
    first.shutdown().await.unwrap();
    let left = [(1, OperationKind::StreamInstall, 0), (2, OperationKind::Uninstall, 0)];
    assert_eq!(kept(&machine), left, "a peer that stops by itself has not crashed");

    let second = daemon(&machine).await;
    let mut events = second.events();
    second.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    barrier.wait().await;
    let infos: Vec<_> = second.running_operations().iter().map(|info| (info.kind, info.resumed)).collect();
    assert_eq!(infos, [(OperationKind::StreamInstall, true), (OperationKind::Uninstall, true)]);
    let joined = second.submit_wanted(request(OperationKind::StreamInstall, &source)).await.unwrap();
    assert!(joined.joined(), "a client that asks again follows it");
    let next = second.submit_wanted(request(OperationKind::Remove, &source)).await.unwrap();
    assert_eq!(
        kept(&machine).last().unwrap().0,
        4,
        "numbers continue, and the one of the request that joined is free"
    );
    assert!(next.give_up());
    assert_eq!(second.cancel_operations(&small_game::game()).unwrap(), 2);
    second.shutdown().await.unwrap();
    assert_eq!(kept(&machine), []);
    let mut queued = Vec::new();
    while let Some(event) = events.try_next() {
        if let PeerEvent::OperationQueued(QueuedOperation { kind, resumed, .. }) = event {
            queued.push((kind, resumed));
        }
    }
    let expected = [
        (OperationKind::StreamInstall, true),
        (OperationKind::Uninstall, true),
        (OperationKind::Remove, false),
    ];
    assert_eq!(queued, expected);
}

#[tokio::test]
async fn an_operation_that_never_ends_is_dropped_and_the_others_are_done() {
    let machine = Machine::new();
    let (source, barrier) = standing_still().await;
    let wanted = WantedOperation::new(request(OperationKind::StreamInstall, &source));
    let other = WantedOperation::new(request(OperationKind::Uninstall, &source));
    keep(&machine, 7, &other.with_starts(limits::WANTED_STARTS_MAX));
    keep(&machine, 8, &wanted.with_starts(limits::WANTED_STARTS_MAX - 1));
    let peer = daemon(&machine).await;
    let mut events = peer.events();
    peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    barrier.wait().await;
    let now = [(8, OperationKind::StreamInstall, limits::WANTED_STARTS_MAX)];
    assert_eq!(kept(&machine), now, "a crash from now on was the last one");
    let mut dropped = Vec::new();
    while let Some(event) = events.try_next() {
        if let PeerEvent::OperationDropped(drop) = event {
            dropped.push((drop.kind, drop.starts));
        }
    }
    assert_eq!(dropped, [(OperationKind::Uninstall, limits::WANTED_STARTS_MAX)]);
    peer.shutdown().await.unwrap();
}

#[test]
fn only_a_resumed_operation_without_a_source_is_tried_again_and_not_for_ever() {
    let failed = |category| OperationFailure::new("code", category, "why");
    let now = Instant::now();
    let until = |seconds| Some(now + Duration::from_secs(seconds));
    let retry = Some(limits::RESUME_RETRY_INTERVAL);
    for (category, until, expected) in [
        (ErrorCategory::NotOffered, until(60), retry),
        (ErrorCategory::SourcesFailed, until(60), retry),
        (ErrorCategory::SourcesFailed, None, None),
        (ErrorCategory::SourcesFailed, until(0), None),
        (ErrorCategory::Refused, until(60), None),
        (ErrorCategory::Local, until(60), None),
        (ErrorCategory::Interrupted, until(60), None),
    ] {
        assert_eq!(next_try(until, &failed(category), now), expected, "{category:?} {until:?}");
    }
}
