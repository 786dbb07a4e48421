//! TLS 1.3 with raw public keys as the doubles speak it, and the preambles inside it.
//!
//! It is written apart from that of the peer, so that a fault of ours cannot hide behind itself. A double may lie in each
//! part of it: it may show no key or another one, and prove another party or nothing at all.

use std::fmt;
use std::io;
use std::sync::Arc;

use lanspread_proto::handshake::{Channel, MAGIC};
use lanspread_trust::party::{KeyDigest, PartyKey, Role};
use lanspread_types::ids::PeerId;
use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring as ring_provider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, client,
    server,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Length of the proof of a party.
pub const PROOF_BYTES: usize = 32;
/// The application protocol that both ends name.
const ALPN: &[u8] = b"lanspread/2";
/// What the exporter is asked for, without a context.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-lanspread-party-1";
/// What comes before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo`. Source: RFC 8410, section 4.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What comes before the 32 bytes of an Ed25519 seed in PKCS#8 version 1. Source: RFC 8410, section 7.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The key pair of a double.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    seed: [u8; 32],
    public: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "key of {}", self.peer())
    }
}

impl Key {
    /// A new key.
    pub fn random() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        Self::of_seed(seed)
    }

    /// The key of this seed.
    pub fn of_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        Self { seed, public }
    }

    /// The key in an `identity.pem`; `None` if it is not one.
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text).ok()?;
        let seed = key.secret_pkcs8_der().strip_prefix(&PKCS8_PREFIX)?;
        Some(Self::of_seed(seed.try_into().ok()?))
    }

    /// Its public part as it is sent.
    pub fn public_info(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.public].concat()
    }

    /// The whole identity.
    pub fn digest(&self) -> KeyDigest {
        digest_of(&self.public_info())
    }

    /// The identity as peers name it.
    pub fn peer(&self) -> PeerId {
        PeerId::of_key(&self.digest())
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        let pkcs8 = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &self.seed].concat());
        let signing = ring_provider::sign::any_supported_type(&PrivateKeyDer::Pkcs8(pkcs8)).unwrap();
        Arc::new(CertifiedKey::new(vec![CertificateDer::from(self.public_info())], signing))
    }
}

fn digest_of(public_info: &[u8]) -> KeyDigest {
    digest::digest(&digest::SHA256, public_info).as_ref().try_into().unwrap()
}

/// A connection after TLS, of which both ends know who the other is.
pub struct Secured<S> {
    /// What is said from now on.
    pub stream: TlsStream<S>,
    /// What TLS has proved.
    pub channel: Channel,
}

/// Greets as the end that dials, and shows `key` if there is one. Any key of the other end will do, or only that of
/// `expected`.
pub async fn connect<S>(stream: S, key: Option<&Key>, expected: Option<PeerId>) -> io::Result<Secured<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = ClientConfig::builder_with_provider(Arc::new(ring_provider::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey { expected }));
    let mut config = match key {
        Some(key) => config.with_client_cert_resolver(Arc::new(
            client::AlwaysResolvesClientRawPublicKeys::new(key.certified()),
        )),
        None => config.with_client_cert_resolver(Arc::new(NoKey)),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.resumption = client::Resumption::disabled();
    let name = ServerName::try_from("lanspread").map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Secured::new(stream.into(), Role::Client, key.map_or([0; 32], Key::digest))
}

/// Greets as the end that listens. Any key of the other end will do.
pub async fn accept<S>(stream: S, key: &Key) -> io::Result<Secured<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring_provider::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_client_cert_verifier(Arc::new(AnyKey { expected: None }))
        .with_cert_resolver(Arc::new(server::AlwaysResolvesServerRawPublicKeys::new(key.certified())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(server::NoServerSessionStorage {});
    let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
    Secured::new(stream.into(), Role::Server, key.digest())
}

/// What a double shows in place of the proof that it is of a party.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The proof that it has this key.
    Of(PartyKey),
    /// Bytes that prove nothing.
    Other,
    /// Nothing: the preamble ends before it.
    Missing,
}

/// What a double says first over a connection of this version, with this proof.
pub fn preamble(channel: &Channel, version: u16, proof: &Proof) -> Vec<u8> {
    let proof = match proof {
        Proof::Of(party) => channel.proof(party).to_vec(),
        Proof::Other => vec![0x5a; PROOF_BYTES],
        Proof::Missing => Vec::new(),
    };
    [&MAGIC[..], &version.to_be_bytes(), &proof].concat()
}

/// What the other end has said first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeted {
    /// The version that it speaks.
    pub version: u16,
    /// Whether it has proved that it is of the party.
    pub proves: bool,
}

/// Reads what the other end says first.
///
/// # Errors
/// If it says something else, or not all of it.
pub async fn read_preamble(
    stream: &mut (impl AsyncRead + Unpin),
    channel: &Channel,
    party: &PartyKey,
) -> io::Result<Greeted> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    if magic != *MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "another protocol"));
    }
    let version = stream.read_u16().await?;
    let mut proof = [0; PROOF_BYTES];
    stream.read_exact(&mut proof).await?;
    let Channel { role, exporter, ours, theirs } = channel;
    let (client, server) = match role {
        Role::Client => (ours, theirs),
        Role::Server => (theirs, ours),
    };
    let proves = party.proves(&proof, role.other(), exporter, client, server);
    Ok(Greeted { version, proves })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Secured<S> {
    fn new(stream: TlsStream<S>, role: Role, ours: KeyDigest) -> io::Result<Self> {
        let exporter = match &stream {
            TlsStream::Client(stream) => {
                stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None)
            }
            TlsStream::Server(stream) => {
                stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None)
            }
        };
        let exporter = exporter.map_err(io::Error::other)?;
        let (_, connection) = stream.get_ref();
        let key = connection.peer_certificates().and_then(<[_]>::first).ok_or(io::ErrorKind::NotConnected)?;
        let theirs = digest_of(key);
        Ok(Self { stream, channel: Channel { role, exporter, ours, theirs } })
    }
}

/// Believes every Ed25519 key whose signature is right, or only one.
#[derive(Debug)]
struct AnyKey {
    expected: Option<PeerId>,
}

impl AnyKey {
    fn algorithms() -> WebPkiSupportedAlgorithms {
        ring_provider::default_provider().signature_verification_algorithms
    }

    fn check(&self, key: &CertificateDer<'_>) -> Result<(), Error> {
        match self.expected {
            Some(expected) if expected != PeerId::of_key(&digest_of(key)) => {
                Err(Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }

    fn signature(
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &Self::algorithms())
    }
}

/// Offers to show a raw key, and has none when it is asked.
#[derive(Debug)]
struct NoKey;

impl client::ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Only TLS 1.3 is spoken.
fn no_tls12() -> Error {
    Error::General("TLS 1.2".to_owned())
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
