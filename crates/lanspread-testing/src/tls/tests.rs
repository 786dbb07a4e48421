//! Each end learns who the other is, and each lie is one.

use lanspread_trust::party::PartyKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const VERSION: u16 = 2;

async fn pair(
    client: Option<&Key>,
    server: &Key,
    expected: Option<PeerId>,
) -> [io::Result<Secured<tokio::io::DuplexStream>>; 2] {
    let (near, far) = duplex(64 * 1024);
    let (client, server) = tokio::join!(connect(near, client, expected), accept(far, server));
    [client, server]
}

#[test]
fn a_key_is_read_from_pem() {
    let key = Key::of_seed([1; 32]);
    let pem = b"-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
        -----END PRIVATE KEY-----\n";
    assert_eq!(Key::from_pem(pem), Some(key));
    assert_eq!(Key::from_pem(b"nonsense"), None);
}

#[tokio::test]
async fn each_end_learns_who_the_other_is_and_both_agree_on_the_party() {
    let (one, other) = (Key::random(), Key::random());
    let [client, server] = pair(Some(&one), &other, Some(other.peer())).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    assert_eq!((client.channel.peer(), server.channel.peer()), (other.peer(), one.peer()));
    assert_eq!(client.channel.exporter, server.channel.exporter);
    client.stream.write_all(b"hello").await.unwrap();
    client.stream.flush().await.unwrap();
    let mut said = [0; 5];
    server.stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello");
}

/// What the end of another connection, of another version or party, or a mirror would say, and what of it is right.
#[tokio::test]
async fn every_lie_of_a_preamble_is_one() {
    let (one, other) = (Key::random(), Key::random());
    let ours = PartyKey::random().unwrap();
    let [client, server] = pair(Some(&one), &other, None).await;
    let (client, server) = (client.unwrap().channel, server.unwrap().channel);
    let of_ours = Proof::Of(ours.clone());
    for (said, version, proves) in [
        (preamble(&client, VERSION, &of_ours), VERSION, true),
        (preamble(&client, VERSION + 1, &of_ours), VERSION + 1, true),
        (preamble(&client, VERSION, &Proof::Of(PartyKey::random().unwrap())), VERSION, false),
        (preamble(&client, VERSION, &Proof::Of(PartyKey::open_network())), VERSION, false),
        (preamble(&client, VERSION, &Proof::Other), VERSION, false),
        (preamble(&server, VERSION, &of_ours), VERSION, false),
        (preamble(&Channel { exporter: [0; 32], ..client }, VERSION, &of_ours), VERSION, false),
        (preamble(&Channel { ours: [0; 32], ..client }, VERSION, &of_ours), VERSION, false),
    ] {
        let greeted = read_preamble(&mut &said[..], &server, &ours).await.unwrap();
        assert_eq!(greeted, Greeted { version, proves });
    }
    assert_eq!(preamble(&client, VERSION, &Proof::Missing), b"LANSPRD\n\0\x02");
    assert!(read_preamble(&mut &b"HTTP/1.1 400 Bad Request"[..], &server, &ours).await.is_err());
}

#[tokio::test]
async fn another_key_than_expected_and_no_key_end_the_handshake() {
    let (one, other) = (Key::random(), Key::random());
    let [client, server] = pair(Some(&one), &other, Some(one.peer())).await;
    assert!(client.is_err() && server.is_err());
    let [client, server] = pair(None, &other, None).await;
    assert!(server.is_err(), "a client without a key is let in");
    assert!(client.is_ok(), "in TLS 1.3, such a client learns that it is refused when it reads");
}
