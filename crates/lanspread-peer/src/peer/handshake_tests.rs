//! Handshakes over TCP with a peer that serves.

use std::net::SocketAddr;
use std::time::Duration;

use lanspread_proto::handshake::preamble;
use lanspread_testing::machine::Machine;
use lanspread_types::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::WireError;
use crate::peer::core::Peer;
use crate::testing::endpoint;
use crate::testing::machine::PeerOf;
use crate::transport::dial::dial_any;

async fn serving(machine: &Machine) -> (Peer, SocketAddr) {
    let peer = machine.peer("source");
    let address = peer.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    (peer, address)
}

/// Whether the other side has closed a connection on which nothing was said.
async fn is_closed(silent: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    // Long enough for what was decided already.
    timeout(Duration::from_millis(5), silent.read(&mut byte)).await.is_ok()
}

/// A program opens connection after connection and says nothing, or half a hello of TLS. Few of them stay, and a peer at
/// the same address is let in at once.
#[tokio::test]
async fn a_flood_of_unfinished_handshakes_keeps_no_peer_out() {
    let machine = Machine::new();
    let (peer, address) = serving(&machine).await;
    let mut flood = Vec::new();
    for number in 0..limits::CONNECTIONS_PER_ADDRESS_MAX * 3 {
        let mut silent = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            let _ = silent.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
        }
        flood.push(silent);
    }
    let mut dialled = dial_any(&[address], &endpoint("member"), Some(peer.id())).await.unwrap();
    assert_eq!(dialled.status().await.unwrap().games, 0);
    let mut open = 0;
    for silent in &mut flood {
        open += usize::from(!is_closed(silent).await);
    }
    assert_eq!(open, limits::HANDSHAKES_PER_ADDRESS_MAX - 1, "one gave way to the member");
    drop(flood);
    peer.shutdown().await.unwrap();
}

/// The answer arrives although more was sent than is read of it.
#[tokio::test]
async fn a_program_of_version_1_reads_our_version() {
    let machine = Machine::new();
    let (peer, address) = serving(&machine).await;
    for _ in 0..20 {
        let mut old = TcpStream::connect(address).await.unwrap();
        old.write_all(b"LANSPRD\n\x00\x01\x00\x00\x00\x05\x00hello").await.unwrap();
        let mut said = Vec::new();
        old.shutdown().await.unwrap();
        old.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, preamble());
    }
    peer.shutdown().await.unwrap();
}

/// The key in the state directory is the peer, in every run.
#[tokio::test]
async fn a_peer_is_known_by_its_key_and_another_one_is_not_talked_to() {
    let (machine, other) = (Machine::new(), Machine::new());
    let (peer, _) = serving(&machine).await;
    let id = peer.id();
    peer.shutdown().await.unwrap();
    let (again, address) = serving(&machine).await;
    assert_eq!(again.id(), id);
    dial_any(&[address], &endpoint("member"), Some(id)).await.unwrap();
    let stranger = other.peer("stranger").id();
    let refused = dial_any(&[address], &endpoint("member"), Some(stranger)).await.map(drop);
    assert!(
        matches!(refused, Err(WireError::OtherKey { expected, got }) if (expected, got) == (stranger, id)),
        "{refused:?}"
    );
    again.shutdown().await.unwrap();
}
