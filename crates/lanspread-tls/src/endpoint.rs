//! From a byte stream to a connection whose other side is known.

use std::io;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::handshake::{Channel, Introduction, preamble};
use lanspread_trust::identity_key::digest_of_public;
use lanspread_trust::party::Role;
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ConnectionCommon, Error, OtherError, SideData};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::first_bytes::{FirstBytes, Speaks};
use crate::identity::{APPLICATION_PROTOCOL, Identity};
use crate::socket::TlsSocket;
use crate::verifier::OtherKey;

/// What both ends of a connection derive their proofs from.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-lanspread-party-1";

/// A peer's end of its connections: the key that it proves, and what it shows of itself then.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its key.
    pub identity: Identity,
    /// Its party, whom it talks to, and its hello.
    pub introduction: Introduction,
}

impl Endpoint {
    /// This peer.
    pub fn id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Makes a connection over a byte stream that this peer has opened. One deadline, [`limits::HELLO_DEADLINE`], holds for
    /// TLS, proof and hello. If a peer is `expected`, it must be the one that answers.
    ///
    /// # Errors
    /// [`WireError`]; [`WireError::OtherKey`] names both peers if another one than the expected one answers.
    pub async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        expected: Option<PeerId>,
    ) -> Result<Connection<TlsSocket<S>>, WireError> {
        // The state of a handshake is large, and every task that may dial would hold it.
        let opening = Box::pin(async {
            let (socket, channel) = connect(&self.identity, stream, expected).await?;
            Connection::open(socket, &channel, &self.introduction).await
        });
        within(limits::HELLO_DEADLINE, "hello", opening).await
    }

    /// Makes a connection over a byte stream that another peer has opened, within the same deadline.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<Connection<TlsSocket<S>>, WireError> {
        let opening = Box::pin(async {
            let (socket, channel) = accept(&self.identity, stream).await?;
            Connection::open(socket, &channel, &self.introduction).await
        });
        within(limits::HELLO_DEADLINE, "hello", opening).await
    }
}

/// The part of [`Endpoint::dial`] that is TLS. The caller sets the deadline.
///
/// # Errors
/// As there.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    identity: &Identity,
    stream: S,
    expected: Option<PeerId>,
) -> Result<(TlsSocket<S>, Channel), WireError> {
    let config = identity.client(expected).map_err(|error| WireError::Encryption(error.to_string()))?;
    // It is not sent, and nothing is verified by it.
    let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let connecting = TlsConnector::from(config).connect(nobody, FirstBytes::new(stream)).into_fallible();
    match connecting.await {
        Ok(stream) => {
            let channel = channel(Role::Client, identity, stream.get_ref().1)?;
            Ok((TlsSocket::new(TlsStream::Client(stream)), channel))
        }
        Err((error, mut stream)) => Err(match stream.speaks() {
            Some(Speaks::ClearText(_)) => stream.version_in_clear_text().await,
            Some(Speaks::Unknown) => WireError::NotLanspread,
            Some(Speaks::Tls) | None => failed(error),
        }),
    }
}

/// The part of [`Endpoint::answer`] that is TLS. The caller sets the deadline.
///
/// # Errors
/// As there.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    identity: &Identity,
    stream: S,
) -> Result<(TlsSocket<S>, Channel), WireError> {
    let mut stream = FirstBytes::new(stream);
    match stream.look().await? {
        Speaks::Tls => {}
        Speaks::ClearText(_) => {
            let error = stream.version_in_clear_text().await;
            if matches!(error, WireError::Version { .. }) {
                // Whether it arrives makes no difference here.
                let _ = timeout(limits::OLD_VERSION_FAREWELL, say_version(stream.get_mut())).await;
            }
            return Err(error);
        }
        Speaks::Unknown => return Err(WireError::NotLanspread),
    }
    let accepting = TlsAcceptor::from(identity.server()).accept(stream);
    let stream = accepting.await.map_err(failed)?;
    let channel = channel(Role::Server, identity, stream.get_ref().1)?;
    Ok((TlsSocket::new(TlsStream::Server(stream)), channel))
}

/// Tells a program of another version which version is spoken here, and waits until it has read it: if the connection
/// were closed over bytes that were not read, the answer could be lost.
async fn say_version(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(&preamble()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// What TLS has proved.
fn channel<T: SideData>(
    role: Role,
    identity: &Identity,
    session: &ConnectionCommon<T>,
) -> Result<Channel, WireError> {
    // A side that does not name the protocol is accepted by TLS.
    if session.alpn_protocol() != Some(APPLICATION_PROTOCOL) {
        return Err(WireError::NotLanspread);
    }
    let fault = |what: &str| WireError::Encryption(what.to_owned());
    let theirs = session.peer_certificates().and_then(|keys| digest_of_public(keys.first()?));
    let theirs = theirs.ok_or_else(|| fault("the other side has no key"))?;
    let exporter = session.export_keying_material([0; 32], EXPORTER_LABEL, None);
    let exporter = exporter.map_err(|error| fault(&error.to_string()))?;
    Ok(Channel { role, exporter, ours: identity.digest(), theirs })
}

/// Why TLS failed.
fn failed(error: io::Error) -> WireError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return WireError::Closed;
    }
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) else {
        return WireError::Io(error);
    };
    if let Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = cause
        && let Some(other) = cause.downcast_ref::<OtherKey>()
    {
        return WireError::OtherKey { expected: other.expected, got: other.got };
    }
    WireError::Encryption(cause.to_string())
}

#[cfg(test)]
mod tests;
