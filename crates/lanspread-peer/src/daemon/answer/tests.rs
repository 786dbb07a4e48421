use std::time::Duration;

use lanspread_testing::machine::Machine;
use tokio::io::{AsyncWriteExt, duplex};

use super::*;
use crate::control::lines::{self, LineReader};
use crate::daemon::server::{SocketRight, converse};
use crate::report::operation::OperationOptions;
use crate::report::operation::{DiscoveryMode, OperationKind};
use crate::testing::machine::PeerOf;

async fn replies(peer: &Peer, request: ControlRequest) -> Vec<ControlReply> {
    let mut answer = answer(peer, request);
    let mut replies = Vec::new();
    loop {
        replies.push(answer.next().await);
        if matches!(replies.last(), Some(ControlReply::Done | ControlReply::Failed(_))) {
            return replies;
        }
    }
}

fn verify(game: &str) -> ControlRequest {
    let options = OperationOptions::default();
    ControlRequest::Operate(OperationRequest {
        kind: OperationKind::Verify,
        game: game.parse().unwrap(),
        options,
    })
}

#[tokio::test]
async fn a_daemon_that_knows_a_peer_lists_it() {
    let (near, far) = (Machine::new(), Machine::new());
    let source = far.peer("source");
    let address = source.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let daemon = near.describe("daemon").peers(vec![address.into()]).build().unwrap();
    daemon.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let known = async {
        while daemon.known_peers().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), known).await.unwrap();
    // No peer is named and nothing is searched: what the daemon knows is all.
    let options = AskOptions::default().with_discovery(DiscoveryMode::Off);
    let answered = replies(&daemon, ControlRequest::Peers(options)).await;
    let [ControlReply::Report { report: Answer::Peer { name, .. } }, ControlReply::Done] = &answered[..]
    else {
        panic!("{answered:?}");
    };
    assert_eq!(name.to_string(), "source");
    daemon.shutdown().await.unwrap();
    source.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_operation_is_accepted_under_its_number_before_anything_else() {
    let machine = Machine::new();
    let peer = machine.peer("daemon");
    for number in [1, 2] {
        let answered = replies(&peer, verify("no-such-game")).await;
        assert_eq!(answered[0], ControlReply::Accepted { operation: number, joined: false }, "{answered:?}");
        assert!(matches!(answered[1], ControlReply::Event(_)), "{answered:?}");
        assert!(matches!(answered.last(), Some(ControlReply::Failed(_))), "{answered:?}");
    }
    peer.shutdown().await.unwrap();
}

/// A client can tell a daemon that has nothing to say from one that hangs.
#[tokio::test]
async fn a_daemon_with_nothing_to_say_sends_keep_alives() {
    let machine = Machine::new();
    let peer = machine.peer("daemon");
    let (ours, theirs) = duplex(4096);
    let conversing = {
        let peer = peer.clone();
        tokio::spawn(async move { converse(&peer, theirs, SocketRight::Command).await })
    };
    let (reader, mut writer) = tokio::io::split(ours);
    lines::write(&mut writer, &ControlRequest::Events { follow: true }).await.unwrap();
    let mut reader = LineReader::new(reader);
    for _ in 0..2 {
        let reply = reader.next::<ControlReply>().await.unwrap();
        assert_eq!(reply, Some(ControlReply::KeepAlive));
    }
    writer.shutdown().await.unwrap();
    conversing.await.unwrap().unwrap();
    peer.shutdown().await.unwrap();
}

/// Otherwise a command would take the fault for its own end.
#[tokio::test]
async fn an_answer_that_panics_is_no_cancellation() {
    let machine = Machine::new();
    let peer = machine.peer("daemon");
    let (replies, queue) = mpsc::channel(1);
    let mut broken =
        ReplyStream { replies: queue, give_up: CancellationToken::new(), stop: peer.tasks().cancel_token() };
    drop(replies);
    let ControlReply::Failed(failure) = broken.next().await else { panic!() };
    assert_eq!(failure.code, "internal");
    peer.shutdown().await.unwrap();
    let ControlReply::Failed(failure) = broken.next().await else { panic!() };
    assert_eq!(failure.code, "cancelled");
}

/// What is not given stays as it is.
#[tokio::test]
async fn limits_are_changed_one_by_one_and_shown() {
    let machine = Machine::new();
    let peer = machine.peer("daemon");
    let limit = |text: &str| Some(text.parse().unwrap());
    let mebibyte = 1024 * 1024;
    for (up, down, up_bytes_per_second, down_bytes_per_second) in [
        (None, None, None, None),
        (limit("20MiB/s"), None, Some(20 * mebibyte), None),
        (None, limit("8Mbit/s"), Some(20 * mebibyte), Some(1_000_000)),
        (limit("none"), None, None, Some(1_000_000)),
    ] {
        let answered = replies(&peer, ControlRequest::Limits { up, down }).await;
        let report = Answer::Limits { up_bytes_per_second, down_bytes_per_second };
        assert_eq!(answered, [ControlReply::Report { report }, ControlReply::Done], "{up:?} {down:?}");
    }
    assert_eq!(peer.limits().down.to_string(), "8Mbit/s");
    peer.shutdown().await.unwrap();
}
