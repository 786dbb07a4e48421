//! A source that speaks our protocol and sends what a script says, over any `AsyncRead + AsyncWrite`, or in TLS over TCP.
//!
//! It answers every listing with what it was given, so that it is validated beside honest peers, and a stream request
//! with a script: well-formed frames, raw bytes, silence. It encodes frames itself, so that a fault of our writer
//! cannot hide one of our reader. Over TCP it can also lie in its handshake and have a [`Fault`] in what it encrypts. Both
//! begin with its second connection, because the first one asks for the details.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lanspread_proto::frame::{Frame, read_header, read_payload};
use lanspread_proto::handshake::{Channel, MAGIC};
use lanspread_proto::message::{
    Hello, PROTOCOL_VERSION, Reply, Request, SourceStatus, StreamItem, StreamMessage,
};
use lanspread_proto::{WireError, codec};
use lanspread_tls::endpoint;
use lanspread_tls::identity::Identity;
use lanspread_trust::identity_key::IdentityKey;
use lanspread_trust::party::PartyKey;
use lanspread_types::content::{GameOffer, RootFile};
use lanspread_types::ids::PeerName;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::fault_pipe::{Fault, FaultPipe};
use crate::small_game;
use crate::step::Step;
use crate::story::Offered;

/// How it introduces itself on the connections on which it streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Truthfully.
    Honest,
    /// With another key than on its first connection.
    AnotherPeer,
    /// In a version of the protocol that does not exist.
    AnotherVersion,
    /// In another protocol.
    AnotherProtocol,
    /// Not at all: it closes the connection.
    Nothing,
}

/// A source with its script.
#[derive(Debug, Clone)]
pub struct LyingSource {
    /// Its key.
    pub identity: Identity,
    pub hello: Hello,
    pub offered: Offered,
    pub stream: Vec<Step>,
    pub greeting: Greeting,
    pub fault: Fault,
}

impl LyingSource {
    /// A source that lies in nothing but `stream`.
    pub fn of(name: PeerName, offered: Offered, stream: Vec<Step>) -> Self {
        let instance = 0; // no test compares it with another instance
        let hello = Hello { name, listen_port: None, instance, catalog: None };
        Self { identity: identity(), hello, offered, stream, greeting: Greeting::Honest, fault: Fault::None }
    }

    /// The same for the small game.
    pub fn new(name: &str, files: Vec<RootFile>, stream: Vec<Step>) -> Self {
        Self::of(name.parse().unwrap(), small_game::offered(files), stream)
    }

    /// Bytes that it sends on a connection that requests nothing but the stream; `None` if they do not end.
    pub fn stream_connection_bytes(&self) -> Option<u64> {
        let (_, end) = Channel::of_pipe([0; 32], [0; 32]);
        let mut bytes = self.introduction(&end, Greeting::Honest).len();
        for step in &self.stream {
            bytes += encoded(step)?.len();
        }
        Some(bytes as u64)
    }

    fn introduction(&self, end: &Channel, greeting: Greeting) -> Vec<u8> {
        let mut version = PROTOCOL_VERSION;
        match greeting {
            Greeting::Honest | Greeting::AnotherPeer => {}
            Greeting::AnotherVersion => version += 1,
            Greeting::AnotherProtocol => return b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Greeting::Nothing => return Vec::new(),
        }
        let hello = control_frame(&codec::encode(&self.hello).unwrap());
        [&opening(end, version)[..], &hello].concat()
    }

    /// Speaks on one connection to its end.
    pub async fn speak<S>(&self, mut stream: S, end: Channel, greeting: Greeting) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        stream.write_all(&self.introduction(&end, greeting)).await?;
        stream.flush().await?;
        if !matches!(greeting, Greeting::Honest | Greeting::AnotherPeer) {
            stream.shutdown().await?;
            // Closing with unread bytes would reset the connection, and what was sent could be lost.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Ok(());
        }
        let mut opening = [0; OPENING_BYTES as usize];
        stream.read_exact(&mut opening).await?;
        read_control::<Hello>(&mut stream).await?;
        while let Some(request) = read_control::<Request>(&mut stream).await? {
            let reply = match request {
                Request::Games { .. } => Reply::Games { revision: 1, games: vec![self.offer()], more: false },
                Request::Details { .. } => {
                    let Offered { version, files, .. } = self.offered.clone();
                    Reply::Details { version, files, more: false }
                }
                Request::Totals { .. } => {
                    Reply::Totals { archives: self.offered.archives, totals: self.offered.totals }
                }
                Request::Status => Reply::Status(SourceStatus {
                    games: 1,
                    active_outbound_transfers: 0,
                    streams_max: 1,
                    connections: 1,
                }),
                // The tests of downloads have lying sources of their own.
                Request::StreamInstall { .. } | Request::Download { .. } => {
                    return self.stream(&mut stream).await;
                }
            };
            stream.write_all(&control_frame(&codec::encode(&reply)?)).await?;
            stream.flush().await?;
        }
        Ok(())
    }

    fn offer(&self) -> GameOffer {
        let Offered { game, version, files, .. } = self.offered.clone();
        GameOffer { game, version, bytes: files.iter().map(|file| file.size).sum() }
    }

    async fn stream(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), WireError> {
        for step in &self.stream {
            match step {
                Step::Silence => std::future::pending().await,
                Step::KeepAlives => loop {
                    keep_alive(stream, limits::KEEP_ALIVE_INTERVAL).await?;
                },
                Step::Wait(time) => {
                    let until = Instant::now() + *time;
                    while Instant::now() < until {
                        let left = until - Instant::now();
                        keep_alive(stream, left.min(limits::KEEP_ALIVE_INTERVAL)).await?;
                    }
                }
                Step::Flood(item) => {
                    let frame = encoded(&Step::Say(item.clone())).unwrap_or_default();
                    loop {
                        stream.write_all(&frame).await?;
                    }
                }
                Step::Meet(barrier) => {
                    barrier.wait().await;
                }
                Step::Say(_) | Step::Raw(_) => {
                    stream.write_all(&encoded(step).unwrap_or_default()).await?;
                    stream.flush().await?;
                }
            }
        }
        // Over TCP, what was sent must arrive although the connection is then dropped.
        Ok(stream.shutdown().await?)
    }

    /// Speaks on one connection over TCP, in TLS if what it says first is of our protocol.
    async fn speak_in_tls(
        &self,
        socket: TcpStream,
        greeting: Greeting,
        fault: Fault,
    ) -> Result<(), WireError> {
        if matches!(greeting, Greeting::AnotherProtocol | Greeting::Nothing) {
            let (_, end) = Channel::of_pipe([0; 32], [0; 32]);
            return self.speak(socket, end, greeting).await;
        }
        let identity = if greeting == Greeting::AnotherPeer { &identity() } else { &self.identity };
        let (socket, end) = endpoint::accept(identity, socket).await?;
        self.speak(FaultPipe::on_writes(socket, fault), end, greeting).await
    }

    /// Listens on a free port of 127.0.0.1 until the result is dropped.
    pub async fn listen(self) -> Listening {
        self.listen_at(([127, 0, 0, 1], 0).into()).await.unwrap()
    }

    /// Listens on `address` until the result is dropped.
    pub async fn listen_at(self, address: SocketAddr) -> io::Result<Listening> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let source = Arc::new(self);
        let accepting = tokio::spawn(async move {
            // Dropped with this task, which ends all conversations.
            let mut conversations = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let is_first = counter.fetch_add(1, Ordering::Relaxed) == 0;
                let source = Arc::clone(&source);
                conversations.spawn(async move {
                    let (greeting, fault) = if is_first {
                        (Greeting::Honest, Fault::None)
                    } else {
                        (source.greeting, source.fault)
                    };
                    // A receiver may end a conversation with a liar in any way.
                    let _ = source.speak_in_tls(socket, greeting, fault).await;
                });
            }
        });
        Ok(Listening { address, connections, accepting: accepting.abort_handle() })
    }
}

async fn keep_alive(stream: &mut (impl AsyncWrite + Unpin), after: Duration) -> Result<(), WireError> {
    tokio::time::sleep(after).await;
    stream.write_all(&control_frame(&codec::encode(&StreamMessage::KeepAlive)?)).await?;
    Ok(stream.flush().await?)
}

/// A lying source on a port; it is gone when this is dropped.
pub struct Listening {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Listening {
    /// Connections that it has accepted, including the first one.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Bytes of [`opening`].
pub const OPENING_BYTES: u64 = 10 + 32;

/// A new key.
pub fn identity() -> Identity {
    Identity::new(&IdentityKey::random().unwrap()).unwrap()
}

/// What an end of a connection sends first if it is of no party: preamble and proof.
pub fn opening(end: &Channel, version: u16) -> Vec<u8> {
    [&MAGIC[..], &version.to_be_bytes(), &end.proof(&PartyKey::open_network())].concat()
}

/// A frame with a correct length.
pub fn raw_frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[..], &[kind], payload].concat()
}

pub fn control_frame(payload: &[u8]) -> Vec<u8> {
    raw_frame(0, payload)
}

/// The bytes of a step that sends bytes and ends; `None` for the others.
fn encoded(step: &Step) -> Option<Vec<u8>> {
    match step {
        Step::Say(StreamItem::Control(message)) => Some(control_frame(&codec::encode(message).ok()?)),
        Step::Say(StreamItem::Data(bytes)) => Some(raw_frame(1, bytes)),
        Step::Raw(bytes) => Some(bytes.clone()),
        Step::Silence | Step::Wait(_) | Step::Flood(_) | Step::KeepAlives | Step::Meet(_) => None,
    }
}

async fn read_control<M: serde::de::DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<M>, WireError> {
    let Some(header) = read_header(stream).await? else { return Ok(None) };
    match read_payload(stream, header, limits::STREAM_IDLE_DEADLINE).await? {
        Frame::Control(payload) => codec::decode(&payload).map(Some),
        Frame::Data(_) => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
    }
}
