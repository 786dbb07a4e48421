//! Another implementation of the standard and ours understand each other: GnuTLS, in every distribution.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanspread_tls::endpoint::accept;
use lanspread_tls::identity::Identity;
use lanspread_trust::identity_key::IdentityKey;
use lanspread_types::checksum::ContentDigest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

const LABEL: &str = "EXPORTER-lanspread-party-1";
const PRIORITY: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CTYPE-ALL:+CTYPE-RAWPK";

/// It reads our key file, proves the key in it, sees the same exporter, and bytes pass both ways.
#[tokio::test]
async fn gnutls_proves_a_key_of_ours_and_both_see_one_exporter() {
    let folder = tempfile::tempdir().unwrap();
    let (key, ours) = (IdentityKey::random().unwrap(), IdentityKey::random().unwrap());
    let public = STANDARD.encode(key.public());
    let public = format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n");
    fs::write(folder.path().join("key.pub"), public).unwrap();
    fs::write(folder.path().join("key.pem"), key.pem().as_bytes()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = Command::new("gnutls-cli")
        .current_dir(folder.path())
        .args(["--insecure", "--disable-sni", "--alpn", "lanspread/2", "--priority", PRIORITY])
        .args(["--rawpkkeyfile", "key.pem", "--rawpkfile", "key.pub"])
        .args(["--keymatexport", LABEL, "--keymatexportsize", "32"])
        .args(["--port", &port, "127.0.0.1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this test needs the program gnutls-cli: apt-get install gnutls-bin");
    let talking = async {
        let (socket, _) = listener.accept().await.unwrap();
        let identity = Identity::new(&ours).unwrap();
        let (mut socket, channel) = accept(&identity, socket).await.expect("a handshake with GnuTLS");
        assert_eq!(channel.theirs, key.digest());
        socket.write_all(b"from ours\n").await.unwrap();
        socket.flush().await.unwrap();
        client.stdin.as_mut().unwrap().write_all(b"from gnutls\n").await.unwrap();
        let mut said = [0; 12];
        socket.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"from gnutls\n");
        socket.shutdown().await.unwrap();
        drop(socket);
        channel.exporter
    };
    let exporter = timeout(Duration::from_secs(30), talking).await.expect("a conversation with GnuTLS");
    drop(client.stdin.take());
    let shown = timeout(Duration::from_secs(30), client.wait_with_output()).await.unwrap().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let exporter = ContentDigest(exporter).to_string();
    assert!(shown.to_lowercase().contains(&exporter), "{exporter} is not in: {shown}");
    assert!(shown.contains("from ours"), "{shown}");
}
