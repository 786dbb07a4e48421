//! Handshakes over in-memory pipes: who is let in, who is not, and what each side is told.

use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::handshake::Admission;
use lanspread_proto::message::{Hello, PROTOCOL_VERSION, Request};
use lanspread_trust::identity_key::IdentityKey;
use lanspread_trust::party::PartyKey;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;
use crate::verifier::RawKeyVerifier;

fn key() -> IdentityKey {
    IdentityKey::random().unwrap()
}

fn endpoint_of(key: &IdentityKey) -> Endpoint {
    let hello = Hello { name: "x".parse().unwrap(), listen_port: None, instance: 1, catalog: None };
    Endpoint { identity: Identity::new(key).unwrap(), introduction: Introduction::open(hello) }
}

fn endpoint() -> Endpoint {
    endpoint_of(&key())
}

type Opened = Result<Connection<TlsSocket<DuplexStream>>, WireError>;

async fn meet(client: &Endpoint, server: &Endpoint, expected: Option<PeerId>) -> (Opened, Opened) {
    let (near, far) = duplex(1 << 16);
    tokio::join!(client.dial(near, expected), server.answer(far))
}

fn code<T>(result: Result<T, WireError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "opened")
}

#[tokio::test]
async fn both_sides_know_whom_they_talk_to() {
    let (client, server) = (endpoint(), endpoint());
    for expected in [None, Some(server.id())] {
        let (near, far) = meet(&client, &server, expected).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!((near.peer, far.peer), (server.id(), client.id()));
        near.send(&Request::Status).await.unwrap();
        assert_eq!(far.receive("request", Duration::from_secs(1)).await.unwrap(), Some(Request::Status));
        // The end of the pipe is the end, also without a farewell inside TLS.
        drop(near);
        assert_eq!(far.receive::<Request>("request", Duration::from_secs(1)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn another_key_than_the_expected_one_is_an_error_that_names_both() {
    let (client, server, other) = (endpoint(), endpoint(), endpoint().id());
    let (ours, theirs) = meet(&client, &server, Some(other)).await;
    let error = ours.map(drop).unwrap_err();
    assert!(
        matches!(error, WireError::OtherKey { expected, got } if (expected, got) == (other, server.id()))
    );
    let text = error.to_string();
    assert!(text.contains(&other.to_string()) && text.contains(&server.id().to_string()), "{text}");
    assert_eq!(code(theirs), "encryption-failed");
}

#[tokio::test]
async fn another_party_is_noticed_by_both_sides() {
    let mut member = endpoint();
    member.introduction.party = Arc::new(PartyKey::random().unwrap());
    let (ours, theirs) = meet(&endpoint(), &member, None).await;
    assert_eq!((code(ours), code(theirs)), ("other-party", "other-party"));
    let other = Endpoint { identity: Identity::new(&key()).unwrap(), ..member.clone() };
    let (ours, theirs) = meet(&member, &other, None).await;
    assert_eq!((code(ours), code(theirs)), ("opened", "opened"));
}

#[tokio::test]
async fn a_peer_that_is_not_admitted_is_turned_away() {
    let (client, mut server) = (endpoint(), endpoint());
    let denied = client.id();
    server.introduction.admission = Admission::of(move |peer| *peer != denied);
    let (ours, theirs) = meet(&client, &server, None).await;
    assert_eq!((code(ours), code(theirs)), ("turned-away", "not-admitted"));
    let (ours, theirs) = meet(&endpoint(), &server, None).await;
    assert_eq!((code(ours), code(theirs)), ("opened", "opened"));
}

/// Everything about the connection that a peer cannot choose.
#[tokio::test]
async fn only_one_kind_of_connection_is_made_and_none_is_resumed() {
    let (client, server) = (endpoint(), endpoint());
    for _ in 0..2 {
        let (near, far) = duplex(1 << 16);
        let (near, far) = tokio::join!(connect(&client.identity, near, None), accept(&server.identity, far));
        let ((near, ours), (far, theirs)) = (near.unwrap(), far.unwrap());
        assert_eq!((ours.exporter, ours.ours, ours.theirs), (theirs.exporter, theirs.theirs, theirs.ours));
        for session in [near.session(), far.session()] {
            assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert_eq!(session.alpn_protocol(), Some(APPLICATION_PROTOCOL));
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(
                session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
                Some(rustls::NamedGroup::X25519)
            );
        }
    }
    let config = server.identity.server();
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.session_storage.can_cache());
    let config = client.identity.client(None).unwrap();
    assert!(!config.enable_early_data && !config.enable_sni);
}

/// A client of the attacker's choice.
fn hostile_client(change: impl FnOnce(&mut ClientConfig), with_key: bool) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::new(RawKeyVerifier { algorithms, expected: None });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = if with_key {
        let key = certified(&provider, &key());
        let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(Arc::new(key));
        builder.with_client_cert_resolver(Arc::new(resolver))
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    change(&mut config);
    config
}

fn certified(provider: &CryptoProvider, key: &IdentityKey) -> CertifiedKey {
    let secret = PrivateKeyDer::Pkcs8(key.pkcs8().to_vec().into());
    let public = vec![CertificateDer::from(key.public().to_vec())];
    CertifiedKey::new(public, provider.key_provider.load_private_key(secret).unwrap())
}

/// What the server makes of a client of the attacker's choice.
async fn judged(config: ClientConfig) -> &'static str {
    let (near, far) = duplex(1 << 16);
    let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let dialling = async {
        let mut stream = TlsConnector::from(Arc::new(config)).connect(nobody, near).await?;
        // A client that authenticates learns of a refusal only now.
        let mut first = [0; 1];
        stream.read(&mut first).await
    };
    let server = endpoint();
    let (_, answered) = tokio::join!(dialling, async { code(accept(&server.identity, far).await) });
    answered
}

#[tokio::test]
async fn a_client_without_a_key_or_without_our_protocol_is_refused() {
    assert_eq!(judged(hostile_client(|_| {}, true)).await, "opened");
    assert_eq!(judged(hostile_client(|_| {}, false)).await, "encryption-failed");
    let no_protocol = |config: &mut ClientConfig| config.alpn_protocols.clear();
    assert_eq!(judged(hostile_client(no_protocol, true)).await, "not-lanspread");
    let other = |config: &mut ClientConfig| config.alpn_protocols = vec![b"lanspread/3".to_vec()];
    assert_eq!(judged(hostile_client(other, true)).await, "encryption-failed");
    let resuming = |config: &mut ClientConfig| {
        config.resumption = Resumption::in_memory_sessions(8);
        config.enable_early_data = true;
    };
    assert_eq!(judged(hostile_client(resuming, true)).await, "opened");
}

/// A hello of TLS 1.2, byte for byte: it is answered with nothing but an alert.
#[tokio::test]
async fn tls_1_2_is_refused() {
    // Version, random bytes, no session, one cipher suite, no compression, and the extension with ed25519.
    let rest = [0, 0, 2, 0xcc, 0xa9, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 8, 7];
    let body = [&[3, 3][..], &[7; 32], &rest].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let (mut near, far) = duplex(1 << 16);
    near.write_all(&hello).await.unwrap();
    let error = accept(&endpoint().identity, far).await.map(drop).unwrap_err();
    assert!(matches!(&error, WireError::Encryption(why) if why.contains("SupportedVersions")), "{error:?}");
    let mut said = Vec::new();
    near.read_to_end(&mut said).await.unwrap();
    assert_eq!((said[0], said.len()), (0x15, 7), "{said:?}");
}

/// A server with a certificate, as every web server has one.
#[tokio::test]
async fn a_certificate_is_refused() {
    // Whatever is in it: its kind is refused before it is read.
    #[derive(Debug)]
    struct Certificate(Arc<CertifiedKey>);
    impl rustls::server::ResolvesServerCert for Certificate {
        fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = Certificate(Arc::new(certified(&provider, &key())));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    let (near, far) = duplex(1 << 16);
    let client = endpoint();
    let (dialled, _) = tokio::join!(client.dial(near, None), TlsAcceptor::from(Arc::new(config)).accept(far));
    assert_eq!(code(dialled), "encryption-failed");
}

/// A program of version 1 greets in clear text. It is told our version in clear text, and we know its.
#[tokio::test]
async fn a_program_of_version_1_and_this_one_tell_each_other_their_versions() {
    let old = [&b"LANSPRD\n\x00\x01"[..], b"\x00\x00\x00\x05\x00hello"].concat();
    for end_first in [10, old.len()] {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(&old[..end_first]).await.unwrap();
        let talking = async {
            let mut said = [0; 10];
            near.read_exact(&mut said).await.unwrap();
            assert_eq!(said, preamble());
            let mut more = Vec::new();
            near.shutdown().await.unwrap();
            near.read_to_end(&mut more).await.unwrap();
            assert!(more.is_empty(), "nothing else is sent in clear text");
        };
        let server = endpoint();
        let (answered, ()) = tokio::join!(server.answer(far), talking);
        let error = answered.map(drop).unwrap_err();
        assert!(matches!(error, WireError::Version { ours: PROTOCOL_VERSION, theirs: 1 }), "{error}");
    }
    // Dialled, it does the same.
    let (near, mut far) = duplex(1 << 16);
    far.write_all(&old).await.unwrap();
    let error = endpoint().dial(near, None).await.map(drop).unwrap_err();
    assert!(matches!(error, WireError::Version { ours: PROTOCOL_VERSION, theirs: 1 }), "{error}");
}

#[tokio::test]
async fn other_protocols_are_recognised_and_not_answered() {
    for greeting in [&b"GET / HTTP/1.1\r\n"[..], b"LANX and more", b"SSH-2.0-x\r\n", b"LANSPRD\n"] {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(greeting).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(code(endpoint().answer(far).await), "not-lanspread", "{greeting:?}");
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.unwrap();
        assert!(said.is_empty());
        let (near, mut far) = duplex(1 << 16);
        far.write_all(greeting).await.unwrap();
        far.shutdown().await.unwrap();
        assert_eq!(code(endpoint().dial(near, None).await), "not-lanspread", "{greeting:?}");
    }
    let (near, far) = duplex(1 << 16);
    drop(near);
    assert_eq!(code(endpoint().answer(far).await), "connection-lost");
}

/// One deadline holds for everything, whichever part of it drips.
#[tokio::test(start_paused = true)]
async fn silence_and_dripping_end_at_the_deadline() {
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc][..], &[3; 500]].concat();
    for bytes in [0, 1, 5, 60] {
        let (mut near, far) = duplex(1 << 16);
        let drip = async {
            for byte in &hello[..bytes] {
                sleep(Duration::from_millis(150)).await;
                near.write_all(&[*byte]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let (begun, server) = (Instant::now(), endpoint());
        tokio::select! {
            () = drip => unreachable!(),
            answered = server.answer(far) => {
                let error = answered.map(drop).unwrap_err();
                assert!(matches!(error, WireError::Timeout { what: "hello", .. }), "{bytes}: {error}");
            }
        }
        assert_eq!(begun.elapsed().as_secs(), limits::HELLO_DEADLINE.as_secs(), "{bytes} bytes");
    }
    // TLS took most of the time: what is left is not renewed for the proof.
    let (near, far) = duplex(1 << 16);
    let (client, server, begun) = (endpoint(), endpoint(), Instant::now());
    let late = async {
        sleep(Duration::from_secs(9)).await;
        let (socket, _) = connect(&client.identity, near, None).await.unwrap();
        std::future::pending::<()>().await;
        drop(socket);
    };
    tokio::select! {
        () = late => unreachable!(),
        answered = server.answer(far) => assert_eq!(code(answered), "timeout"),
    }
    assert_eq!(begun.elapsed().as_secs(), limits::HELLO_DEADLINE.as_secs());
}

/// Whatever the sizes of writes, reads and the pipe are: what was written arrives, and one read takes all that is there.
#[tokio::test]
async fn bytes_arrive_as_they_were_sent() {
    let content: Vec<u8> = (0..=250).cycle().take(700_000).collect();
    for (pipe, piece) in [(1000, 64 * 1024), (1 << 20, 300_000), (64 * 1024, 777)] {
        let (near, far) = duplex(pipe);
        let (client, server) = (endpoint(), endpoint());
        let (near, far) = tokio::join!(connect(&client.identity, near, None), accept(&server.identity, far));
        let ((mut near, _), (mut far, _)) = (near.unwrap(), far.unwrap());
        let sending = async {
            for piece in content.chunks(piece) {
                near.write_all(piece).await.unwrap();
            }
            near.flush().await.unwrap();
        };
        let mut arrived = vec![0; content.len()];
        let ((), read) = tokio::join!(sending, far.read_exact(&mut arrived));
        read.unwrap();
        assert!(arrived == content, "{pipe}, {piece}");
    }
    let (near, far) = duplex(1 << 20);
    let (client, server) = (endpoint(), endpoint());
    let (near, far) = tokio::join!(connect(&client.identity, near, None), accept(&server.identity, far));
    let ((mut near, _), (mut far, _)) = (near.unwrap(), far.unwrap());
    near.write_all(&content[..200_000]).await.unwrap();
    near.flush().await.unwrap();
    let mut arrived = vec![0; 256 * 1024];
    assert_eq!(far.read(&mut arrived).await.unwrap(), 200_000, "twelve records and more in one read");
}
