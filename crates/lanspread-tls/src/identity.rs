//! The key of a peer, ready for TLS, and every setting of TLS.

use std::sync::Arc;

use lanspread_trust::identity_key::IdentityKey;
use lanspread_trust::party::KeyDigest;
use lanspread_types::ids::PeerId;
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, ConfigSide, ServerConfig, WantsVerifier, WantsVersions};

use crate::verifier::RawKeyVerifier;

/// What this version of the protocol is called in TLS.
pub const APPLICATION_PROTOCOL: &[u8] = b"lanspread/2";

/// The key of a peer, ready for TLS. Clones share it.
#[derive(Debug, Clone)]
pub struct Identity {
    digest: KeyDigest,
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// Readies a key.
    ///
    /// # Errors
    /// If the cryptography of this program refuses it, which would be a fault of this program.
    pub fn new(key: &IdentityKey) -> Result<Self, rustls::Error> {
        let provider = Arc::new(provider());
        let pkcs8 = PrivateKeyDer::Pkcs8(key.pkcs8().to_vec().into());
        let signing = provider.key_provider.load_private_key(pkcs8)?;
        let public = vec![CertificateDer::from(key.public().to_vec())];
        let certified = Arc::new(CertifiedKey::new(public, signing));
        let verifier = verifier(&provider, None);
        let mut server = only_tls13(ServerConfig::builder_with_provider(Arc::clone(&provider)))?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&certified))));
        server.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        // A connection is made by a whole handshake or not at all.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_early_data_size = 0;
        Ok(Self { digest: key.digest(), key: certified, provider, server: Arc::new(server) })
    }

    /// The peer that has this key.
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_key(&self.digest)
    }

    pub(crate) fn digest(&self) -> KeyDigest {
        self.digest
    }

    /// The settings with which this peer answers.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The settings with which this peer dials any peer, or the expected one.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn client(&self, expected: Option<PeerId>) -> Result<Arc<ClientConfig>, rustls::Error> {
        let verifier = verifier(&self.provider, expected);
        let mut client = only_tls13(ClientConfig::builder_with_provider(Arc::clone(&self.provider)))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(
                &self.key,
            ))));
        client.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        client.enable_sni = false;
        client.enable_early_data = false;
        client.resumption = Resumption::disabled();
        Ok(Arc::new(client))
    }
}

fn only_tls13<S: ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>, rustls::Error> {
    builder.with_protocol_versions(&[&TLS13])
}

fn verifier(provider: &CryptoProvider, expected: Option<PeerId>) -> RawKeyVerifier {
    RawKeyVerifier { algorithms: provider.signature_verification_algorithms, expected }
}

/// All cryptography of TLS. Only X25519, because every peer has it. AES first where the processor has instructions for it.
fn provider() -> CryptoProvider {
    let (aes, other) = (cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    let first = if has_aes_instructions() { [aes, other] } else { [other, aes] };
    let cipher_suites = [&first[..], &[cipher_suite::TLS13_AES_256_GCM_SHA384]].concat();
    CryptoProvider { cipher_suites, kx_groups: vec![kx_group::X25519], ..default_provider() }
}

fn has_aes_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
