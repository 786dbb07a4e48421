//! Real peers with a program that hangs.

use lanspread_testing::programs;

use super::*;
use crate::testing::machine::PeerOf;

/// A peer that serves the small game through a program that lists correctly, prints some bytes and then hangs.
async fn hanging_peer(machine: &Machine, bytes: u64) -> (crate::Peer, std::net::SocketAddr) {
    small_game::download(&machine.games_dir());
    let program = programs::slow_unrar(&machine.games_dir(), bytes);
    let peer = machine.describe("source").provider(ProviderChoice::Unrar(program)).build().unwrap();
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    (peer, address)
}

async fn begin_stream(address: std::net::SocketAddr) -> crate::transport::dial::Dialled {
    let mut dialled = dial(&address.into(), &endpoint("receiver"), None).await.unwrap();
    dialled.stream_install(&small_game::game(), &small_game::version()).await.unwrap();
    dialled
}

/// Waits for `count` running programs; the process ids of these programs and of one child each.
async fn wait_for_programs(machine: &Machine, count: usize) -> Vec<u32> {
    let folder = machine.games_dir();
    programs::until("the program runs", || programs::pids(&folder).len() == 2 * count).await;
    programs::pids(&folder)
}

/// The receiver disappears while an external program is silent: the program and its children are killed and reaped.
#[tokio::test]
async fn when_the_receiver_disappears_the_program_is_killed() {
    let machine = Machine::new();
    let (peer, address) = hanging_peer(&machine, 3).await;
    let serving = peer.running_tasks();
    let dialled = begin_stream(address).await;
    let pids = wait_for_programs(&machine, 1).await;
    assert_eq!(peer.active_outbound_transfers(), 1);
    drop(dialled);
    programs::until("the stream has ended", || peer.active_outbound_transfers() == 0).await;
    for pid in pids {
        programs::until("the program is gone", || programs::is_gone(pid)).await;
    }
    programs::until("nothing but serving is left", || peer.running_tasks() == serving).await;
    peer.shutdown().await.unwrap();
    assert_eq!(peer.running_tasks(), 0);
}

/// A peer that shuts down while it streams tells every receiver, kills every program and leaves no task.
#[tokio::test]
async fn shutting_down_during_streams_tells_receivers_and_leaves_nothing() {
    let machine = Machine::new();
    let (peer, address) = hanging_peer(&machine, 3).await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        receivers.push(begin_stream(address).await);
    }
    for receiver in &mut receivers {
        let first = receiver.connection.receive_item().await.unwrap();
        assert!(matches!(first, StreamItem::Control(StreamMessage::Begin { .. })), "{first:?}");
    }
    let pids = wait_for_programs(&machine, 3).await;
    assert_eq!(peer.active_outbound_transfers(), 3);
    let idle = dial(&address.into(), &endpoint("idle"), None).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!((peer.running_tasks(), peer.active_outbound_transfers()), (0, 0));
    for mut receiver in receivers {
        match read_to_end(&mut receiver.connection).await {
            (Some(StreamItem::Control(StreamMessage::Failed(refusal))), _) => {
                assert_eq!(refusal.code.as_str(), "source-stopping");
            }
            other => panic!("{other:?}"),
        }
    }
    for pid in pids {
        // Killed before the stream ended; the system needs a moment to remove it.
        programs::until("the program is gone", || programs::is_gone(pid)).await;
    }
    assert!(dial(&address.into(), &endpoint("late"), None).await.is_err(), "it no longer listens");
    drop(idle);
}
