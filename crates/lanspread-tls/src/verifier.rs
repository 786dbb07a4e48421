//! Which key the other side may have: one Ed25519 key and nothing else, and if one peer is expected, the key of that peer.

use std::fmt;
use std::sync::Arc;

use lanspread_trust::identity_key::digest_of_public;
use lanspread_types::ids::PeerId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    PeerMisbehaved, SignatureScheme,
};

/// Another peer answers than the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OtherKey {
    pub(crate) expected: PeerId,
    pub(crate) got: PeerId,
}

impl fmt::Display for OtherKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} instead of {}", self.got, self.expected)
    }
}

impl std::error::Error for OtherKey {}

/// Accepts one raw Ed25519 key, of any peer or of the expected one.
#[derive(Debug, Clone)]
pub(crate) struct RawKeyVerifier {
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
    pub(crate) expected: Option<PeerId>,
}

impl RawKeyVerifier {
    fn verify(&self, key: &CertificateDer<'_>, further: &[CertificateDer<'_>]) -> Result<(), Error> {
        let digest = digest_of_public(key).filter(|_| further.is_empty());
        let got = PeerId::of_key(&digest.ok_or(CertificateError::BadEncoding)?);
        match self.expected {
            Some(expected) if expected != got => {
                let other = OtherError(Arc::new(OtherKey { expected, got }));
                Err(CertificateError::Other(other).into())
            }
            _ => Ok(()),
        }
    }

    fn verify_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

fn no_older_version() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_older_version()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_older_version()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use lanspread_trust::identity_key::IdentityKey;
    use rustls::crypto::ring::default_provider;

    use super::*;

    #[test]
    fn exactly_one_ed25519_key_is_accepted() {
        let algorithms = default_provider().signature_verification_algorithms;
        let verifier = RawKeyVerifier { algorithms, expected: None };
        let key = IdentityKey::random().unwrap();
        let good = CertificateDer::from(key.public().to_vec());
        assert!(verifier.verify(&good, &[]).is_ok());
        assert!(verifier.verify(&good, std::slice::from_ref(&good)).is_err(), "two keys");
        let longer = CertificateDer::from([&key.public()[..], &[0]].concat());
        assert!(verifier.verify(&longer, &[]).is_err());
        let mut of_another_kind = key.public().to_vec();
        of_another_kind[8] = 0x6e;
        assert!(verifier.verify(&CertificateDer::from(of_another_kind), &[]).is_err());
        let expecting = |expected| RawKeyVerifier { expected: Some(expected), ..verifier.clone() };
        assert!(expecting(key.peer_id()).verify(&good, &[]).is_ok());
        assert!(expecting(IdentityKey::random().unwrap().peer_id()).verify(&good, &[]).is_err());
    }
}
