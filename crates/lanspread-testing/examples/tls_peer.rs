//! One end of a connection between two peers, for programs that can speak no TLS with raw public keys.
//!
//! ```text
//! tls_peer --as-client HOST:PORT [OPTION]...
//! tls_peer --listen ADDR [OPTION]...
//!
//! --key FILE       show the key in this identity.pem; without, a random one
//! --no-key         show none (only --as-client)
//! --party LINE     be of this party; without, of none
//! --expect ID      end the handshake if another peer answers (only --as-client)
//! --no-proof       say nothing after the version
//! --other-proof    say bytes that prove nothing
//! --version N      say that it speaks this version of the protocol
//! --only-tls       say nothing after TLS
//! ```
//!
//! It makes TLS, says its preamble and its proof, and reads those of the other end. Then it copies between the
//! connection and its own standard input and output; the hello is the first thing that its caller has to say. On
//! standard error it prints one line of JSON when it listens, and one after the handshake, with the identity of the other
//! end and whether that has proved its party. It ends with the connection: with 0 if that was closed, with 1 and a reason
//! if it broke.

#![allow(clippy::print_stderr)] // standard output belongs to the connection

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use lanspread_proto::message::PROTOCOL_VERSION;
use lanspread_testing::time_of_day::now;
use lanspread_testing::tls::{self, Key, Proof, Secured, preamble, read_preamble};
use lanspread_trust::party::{PartyKey, PartyLine};
use lanspread_types::ids::PeerId;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split, stdin, stdout};
use tokio::net::{TcpListener, TcpStream};

type AnyError = Box<dyn std::error::Error>;

enum End {
    Client { to: String },
    Server { listen: SocketAddr },
}

struct Arguments {
    end: End,
    key: Option<Key>,
    expected: Option<PeerId>,
    party: PartyKey,
    proof: Proof,
    version: u16,
    only_tls: bool,
}

fn arguments() -> Result<Arguments, AnyError> {
    let (mut end, mut key_file, mut expected, mut proof) = (None, None::<PathBuf>, None, None);
    let (mut no_key, mut only_tls, mut version) = (false, false, PROTOCOL_VERSION);
    let mut party = PartyKey::open_network();
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "--as-client" => end = Some(End::Client { to: value()? }),
            "--listen" => end = Some(End::Server { listen: value()?.parse()? }),
            "--key" => key_file = Some(value()?.into()),
            "--party" => party = PartyLine::parse(&value()?)?.key,
            "--expect" => expected = Some(value()?.parse()?),
            "--version" => version = value()?.parse()?,
            "--no-key" => no_key = true,
            "--no-proof" => proof = Some(Proof::Missing),
            "--other-proof" => proof = Some(Proof::Other),
            "--only-tls" => only_tls = true,
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    let key = match key_file {
        Some(file) => Key::from_pem(&std::fs::read(&file)?)
            .ok_or_else(|| format!("{}: it is not an Ed25519 key of PKCS#8", file.display()))?,
        None => Key::random(),
    };
    let end = end.ok_or("--as-client HOST:PORT or --listen ADDR is missing")?;
    if matches!(end, End::Server { .. }) && (no_key || expected.is_some()) {
        return Err("an end that listens has a key, and does not know who comes".into());
    }
    let proof = proof.unwrap_or_else(|| Proof::Of(party.clone()));
    Ok(Arguments { end, key: (!no_key).then_some(key), expected, party, proof, version, only_tls })
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = async { run(arguments()?).await }.await;
    let code = match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("tls_peer: {error}");
            1
        }
    };
    // Not `ExitCode`: the runtime would wait for a standard input that its owner may keep open.
    std::process::exit(code)
}

async fn run(arguments: Arguments) -> Result<(), AnyError> {
    let secured = match (&arguments.end, &arguments.key) {
        (End::Client { to }, key) => {
            let socket = TcpStream::connect(to).await?;
            socket.set_nodelay(true)?;
            tls::connect(socket, key.as_ref(), arguments.expected).await?
        }
        (End::Server { listen }, Some(key)) => {
            let listener = TcpListener::bind(listen).await?;
            let port = listener.local_addr()?.port();
            eprintln!("{}", json!({"event": "tls-peer-listening", "time": now(), "port": port}));
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tls::accept(socket, key).await?
        }
        (End::Server { .. }, None) => return Err("an end that listens has a key".into()),
    };
    let Secured { mut stream, channel } = secured;
    let ours = arguments.key.as_ref().map(Key::peer);
    if arguments.only_tls {
        eprintln!("{}", ready(ours, channel.peer(), None));
        return relay(stream).await;
    }
    stream.write_all(&preamble(&channel, arguments.version, &arguments.proof)).await?;
    stream.flush().await?;
    let greeted = read_preamble(&mut stream, &channel, &arguments.party).await?;
    if greeted.version != PROTOCOL_VERSION {
        return Err(format!("it speaks version {}", greeted.version).into());
    }
    eprintln!("{}", ready(ours, channel.peer(), Some(greeted.proves)));
    relay(stream).await
}

fn ready(ours: Option<PeerId>, peer: PeerId, proves: Option<bool>) -> serde_json::Value {
    json!({"event": "tls-peer-ready", "time": now(), "ours": ours, "peer": peer, "proves": proves})
}

/// Copies both ways until the other end closes.
async fn relay<S>(stream: S) -> Result<(), AnyError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = split(stream);
    tokio::spawn(async move {
        // If the other end has left, the reading side learns of it too.
        let _ = copy(&mut stdin(), &mut writer).await;
        let _ = writer.shutdown().await;
    });
    let mut out = stdout();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        // Not `copy`, which drops what it has read and not yet written when the connection breaks.
        match reader.read(&mut bytes).await {
            Ok(0) => return Ok(()),
            Ok(count) => out.write_all(&bytes[..count]).await?,
            // A program that is killed says no farewell, and neither does one that has seen enough.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        out.flush().await?;
    }
}
