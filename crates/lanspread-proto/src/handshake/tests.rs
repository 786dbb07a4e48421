//! The handshake over an in-memory pipe with a paused clock.

use std::time::Duration;

use lanspread_types::limits;
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;
use crate::codec;
use crate::connection::Connection;
use crate::message::Request;

const CLIENT: KeyDigest = [1; 32];
const SERVER: KeyDigest = [2; 32];

fn hello() -> Hello {
    Hello { name: "x".parse().unwrap(), listen_port: None, instance: 0, catalog: None }
}

fn open() -> Introduction {
    Introduction::open(hello())
}

fn member(party: &PartyKey) -> Introduction {
    Introduction { party: Arc::new(party.clone()), ..open() }
}

/// Both ends of one connection, and what comes of it for each.
async fn meet(
    client: &Introduction,
    server: &Introduction,
) -> (Result<Connection<DuplexStream>, WireError>, Result<Connection<DuplexStream>, WireError>) {
    let ((near, far), (dialled, answered)) = (duplex(4096), Channel::of_pipe(CLIENT, SERVER));
    tokio::join!(Connection::open(near, &dialled, client), Connection::open(far, &answered, server))
}

/// What comes of a connection to a peer that is of no party and answers, if this is all that arrives.
async fn told(said: &[u8]) -> WireError {
    let ((near, mut far), (dialled, _)) = (duplex(4096), Channel::of_pipe(CLIENT, SERVER));
    far.write_all(said).await.unwrap();
    far.shutdown().await.unwrap();
    Connection::open(near, &dialled, &open()).await.map(drop).unwrap_err()
}

fn hello_frame() -> Vec<u8> {
    let hello = codec::encode(&hello()).unwrap();
    [&u32::try_from(hello.len()).unwrap().to_be_bytes()[..], &[0], &hello].concat()
}

/// Preamble and proof of an end.
fn opening(end: &Channel) -> Vec<u8> {
    [&preamble()[..], &end.proof(&PartyKey::open_network())].concat()
}

#[tokio::test]
async fn members_of_one_party_talk_and_nobody_else_does() {
    let (one, other) = (PartyKey::random().unwrap(), PartyKey::random().unwrap());
    let (met, answered) = meet(&member(&one), &member(&one)).await;
    assert_eq!(met.unwrap().peer, PeerId::of_key(&SERVER));
    assert_eq!(answered.unwrap().peer, PeerId::of_key(&CLIENT));
    let name = one.name();
    let text =
        |result: Result<Connection<DuplexStream>, WireError>| result.map(drop).unwrap_err().to_string();
    let (client, server) = (PeerId::of_key(&CLIENT), PeerId::of_key(&SERVER));
    let (ours, theirs) = meet(&member(&one), &member(&other)).await;
    assert_eq!(text(ours), format!("{server} is not of the party of this machine ({name})"));
    assert_eq!(text(theirs), format!("{client} is not of the party of this machine ({})", other.name()));
    let (ours, theirs) = meet(&open(), &member(&one)).await;
    assert_eq!(text(ours), format!("{server} is of a party; this machine is of none"));
    assert_eq!(text(theirs), format!("{client} is of no party; this machine is of the party {name}"));
}

/// Everything that a proof is bound to.
#[tokio::test]
async fn a_proof_of_another_connection_or_role_is_no_proof() {
    let (dialled, answered) = Channel::of_pipe(CLIENT, SERVER);
    for (what, end) in [
        ("reflected", dialled),
        ("of the other role", Channel { role: Role::Client, ..answered }),
        ("of another connection", Channel { exporter: [9; 32], ..answered }),
        ("by another key", Channel { ours: [9; 32], ..answered }),
        ("for another key", Channel { theirs: [9; 32], ..answered }),
    ] {
        let error = told(&[opening(&end), hello_frame()].concat()).await;
        assert!(matches!(error, WireError::OtherParty { ours: None, .. }), "{what}: {error}");
    }
    let error = told(&opening(&answered)).await;
    assert!(matches!(error, WireError::TurnedAway { .. }), "a good proof, and nothing more: {error}");
    let error = told(&[&opening(&answered), &hello_frame()[..7]].concat()).await;
    assert!(matches!(error, WireError::Closed), "half a hello: {error}");
}

/// An outsider sees the same bytes, in the same number, whether it is of another party or not admitted: preamble and proof.
#[tokio::test]
async fn an_outsider_learns_nothing_but_that_a_peer_is_there() {
    let party = PartyKey::random().unwrap();
    let nobody = Admission::of(|_| false);
    for ours in [member(&party), Introduction { admission: nobody, ..open() }] {
        let ((near, mut far), (dialled, answered)) = (duplex(4096), Channel::of_pipe(CLIENT, SERVER));
        far.write_all(&[opening(&dialled), hello_frame()].concat()).await.unwrap();
        let error = Connection::open(near, &answered, &ours).await.map(drop).unwrap_err();
        assert!(matches!(error, WireError::OtherParty { .. } | WireError::NotAdmitted { .. }), "{error}");
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.unwrap();
        assert_eq!(said.len(), PREAMBLE_BYTES + PROOF_BYTES);
    }
}

#[tokio::test]
async fn a_peer_that_is_not_admitted_is_turned_away() {
    let client = PeerId::of_key(&CLIENT);
    let others = Introduction { admission: Admission::of(move |peer| *peer != client), ..open() };
    let (ours, theirs) = meet(&open(), &others).await;
    assert!(matches!(theirs, Err(WireError::NotAdmitted { peer }) if peer == client));
    assert!(matches!(ours, Err(WireError::TurnedAway { peer }) if peer == PeerId::of_key(&SERVER)));
    let (ours, theirs) = meet(&others, &others).await;
    assert!(ours.is_err() && theirs.is_err());
}

#[tokio::test]
async fn another_version_is_reported_with_both_numbers() {
    let error = told(b"LANSPRD\n\x00\x63").await;
    assert!(matches!(error, WireError::Version { ours: PROTOCOL_VERSION, theirs: 0x63 }));
}

#[tokio::test]
async fn other_protocols_are_recognised_by_their_first_bytes() {
    for greeting in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"LANX"] {
        assert!(matches!(told(greeting).await, WireError::NotLanspread), "{greeting:?}");
    }
}

/// A hello is the first message, and no request: a second one ends the connection.
#[tokio::test]
async fn a_second_hello_is_no_request() {
    let ((near, mut far), (dialled, answered)) = (duplex(4096), Channel::of_pipe(CLIENT, SERVER));
    far.write_all(&[opening(&answered), hello_frame(), hello_frame()].concat()).await.unwrap();
    let mut connection = Connection::open(near, &dialled, &open()).await.unwrap();
    let request = connection.receive::<Request>("request", Duration::from_secs(1)).await;
    assert!(matches!(request, Err(WireError::Malformed(_))), "{request:?}");
}

/// One deadline holds for preamble, proof and hello together, however a byte now and then keeps them moving.
#[tokio::test(start_paused = true)]
async fn silence_and_dripping_end_at_the_deadline() {
    let (dialled, answered) = Channel::of_pipe(CLIENT, SERVER);
    let whole = [opening(&answered), hello_frame()].concat();
    for bytes in [0, 1, PREAMBLE_BYTES, PREAMBLE_BYTES + 1, PREAMBLE_BYTES + PROOF_BYTES, whole.len() - 1] {
        let (near, mut far) = duplex(4096);
        let drip = async {
            for byte in &whole[..bytes] {
                sleep(Duration::from_millis(150)).await;
                far.write_all(&[*byte]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let (begun, ours) = (Instant::now(), open());
        tokio::select! {
            () = drip => unreachable!(),
            result = Connection::open(near, &dialled, &ours) => {
                assert!(matches!(result, Err(WireError::Timeout { what: "hello", .. })), "{bytes} bytes");
            }
        }
        assert_eq!(begun.elapsed().as_secs(), limits::HELLO_DEADLINE.as_secs(), "{bytes} bytes");
    }
}
