//! Futures of the public interface that are dropped before they are done, as `tokio::time::timeout` drops them. The same
//! call again, at once, must work: it waits for what the dropped one left.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanspread_testing::lying_source::LyingSource;
use lanspread_testing::machine::{Machine, Tree};
use lanspread_testing::small_game;
use lanspread_testing::small_game::frame;
use lanspread_testing::step::Step;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::peer::core::Peer;
use crate::peer::error::PeerError;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::operation::{DecodeAt, OperationOptions};
use crate::testing::machine::PeerOf;

/// A peer that serves the small game, and options that name it.
async fn honest(machine: &Machine) -> (Peer, OperationOptions) {
    small_game::download(&machine.games_dir());
    let peer = machine.peer("honest");
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    (peer, from(address))
}

fn from(address: std::net::SocketAddr) -> OperationOptions {
    OperationOptions {
        peers: vec![address.into()],
        decode_at: DecodeAt::Source,
        ..OperationOptions::default()
    }
}

fn told(events: &mut PeerEvents) -> Vec<PeerEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[tokio::test]
async fn a_dropped_stream_is_undone_and_the_next_call_waits_for_that() {
    let barrier = Arc::new(Barrier::new(2));
    let mut stream = small_game::stream();
    stream.insert(frame::LAST_FILE_BEGIN, Step::Meet(Arc::clone(&barrier)));
    stream.insert(frame::LAST_FILE_BEGIN + 1, Step::KeepAlives);
    let stuck = LyingSource::new("a", Vec::new(), stream).listen().await;
    let source = Machine::new();
    let (served, options) = honest(&source).await;

    let machine = Machine::new();
    let peer = machine.peer("receiver");
    let mut events = peer.events();
    let game = small_game::game();
    let stuck = from(stuck.address);
    for _ in 0..3 {
        tokio::select! {
            done = peer.stream_install_game(&game, &stuck, CancellationToken::new()) => panic!("{done:?}"),
            // The first file is in the staging folder.
            _ = barrier.wait() => {}
        }
        // At once, although the threads of the dropped install still run.
        assert!(peer.running_tasks() > 0, "it ended too soon to mean anything");
        let report = peer.stream_install_game(&game, &options, CancellationToken::new()).await;
        assert_eq!(report.unwrap().totals, small_game::totals());
        let ends: Vec<String> = told(&mut events)
            .into_iter()
            .filter_map(|event| match event {
                PeerEvent::StreamInstallFailed { code, attempts, .. } => {
                    assert_eq!(attempts, []);
                    Some(code.into_owned())
                }
                PeerEvent::StreamInstallFinished { .. } => Some("finished".to_owned()),
                // The dropped install had undone everything itself.
                PeerEvent::GameRecovered { action, .. } => Some(action.into_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(ends, ["cancelled", "finished"]);
        peer.uninstall_game(&game, &options, CancellationToken::new()).await.unwrap();
        assert_eq!(machine.everything(), Tree::new());
    }
    assert_eq!(peer.running_tasks(), 0);
    served.shutdown().await.unwrap();
}

/// Calls a method of a peer.
type Call<'a> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), PeerError>> + 'a>> + 'a>;

/// The same for every other operation, dropped after any number of polls.
#[tokio::test]
async fn every_dropped_operation_can_be_requested_again_at_once() {
    let source = Machine::new();
    let (served, options) = honest(&source).await;
    let machine = Machine::new();
    let peer = machine.peer("receiver");
    let game = small_game::game();
    let call = || CancellationToken::new();
    let calls: [(&str, Call<'_>); 5] = [
        ("download", Box::new(|| Box::pin(peer.download_game(&game, &options, call())))),
        ("install", Box::new(|| Box::pin(peer.install_game(&game, &options, call())))),
        ("verify", Box::new(|| Box::pin(peer.verify_game(&game, &options, call())))),
        ("uninstall", Box::new(|| Box::pin(peer.uninstall_game(&game, &options, call())))),
        ("remove", Box::new(|| Box::pin(peer.remove_game(&game, &options, call())))),
    ];
    for polls in [1_u32, 2, 5, 20] {
        for (name, call) in &calls {
            {
                let mut dropped = call();
                for _ in 0..polls {
                    tokio::select! {
                        biased;
                        _ = &mut dropped => break,
                        () = tokio::task::yield_now() => {}
                    }
                }
            }
            // The dropped operation may have come so far that it completed.
            let already = ["already-downloaded", "already-installed", "not-installed", "not-downloaded"];
            match call().await {
                Ok(()) => {}
                Err(error) if already.contains(&error.code()) => {}
                Err(error) => panic!("{name} after {polls} polls: {error}"),
            }
        }
        let left = machine.everything();
        assert_eq!(left, Tree::new(), "after {polls} polls");
    }
    assert_eq!(peer.running_tasks(), 0);
    served.shutdown().await.unwrap();
}

/// As it is written in programs.
#[tokio::test]
async fn a_timeout_around_an_install_is_a_cancel() {
    let stuck = LyingSource::new("a", Vec::new(), vec![Step::KeepAlives]).listen().await;
    let machine = Machine::new();
    let peer = machine.peer("receiver");
    let mut events = peer.events();
    let options = from(stuck.address);
    let game = small_game::game();
    let installing = peer.stream_install_game(&game, &options, CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(1), installing).await.is_err());
    // A request that is not dropped waits too, and then runs.
    let error = peer.verify_game(&game, &options, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.code(), "not-installed");
    let failed = told(&mut events).into_iter().find_map(|event| match event {
        PeerEvent::StreamInstallFailed { code, .. } => Some(code.into_owned()),
        _ => None,
    });
    assert_eq!(failed.as_deref(), Some("cancelled"));
    peer.shutdown().await.unwrap();
}
