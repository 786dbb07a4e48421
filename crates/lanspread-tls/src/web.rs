//! TLS to a web server: it proves its name by a certificate that an authority of this machine vouches for.
//!
//! Nothing else of this program depends on it: what a server sends is compared with a manifest. It keeps credentials and
//! what is played to the two ends.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The byte stream inside TLS.
pub type WebSocket<S> = TlsStream<S>;

/// Makes encrypted connections to web servers.
#[derive(Clone)]
pub struct WebTls(TlsConnector);

impl WebTls {
    /// Reads the certificates of this machine, or those that the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Blocks.
    ///
    /// # Errors
    /// If there is no certificate.
    pub fn of_this_machine() -> io::Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut authorities = RootCertStore::empty();
        let (added, _) = authorities.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
            let what = format!("this machine has no certificates of authorities{why}");
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            builder.map_err(io::Error::other)?.with_root_certificates(authorities).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Makes a connection to the server of this name, or with this address, encrypted.
    ///
    /// # Errors
    /// If the server does not prove that it is the one of that name.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        socket: S,
    ) -> io::Result<WebSocket<S>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, socket).await
    }
}
