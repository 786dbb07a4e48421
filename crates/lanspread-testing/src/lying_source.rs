//! A source that speaks our protocol and sends what a script says, over any `AsyncRead + AsyncWrite`.
//!
//! It answers every listing with what it was given, so that it is validated beside honest peers, and a stream request
//! with a script: well-formed frames, raw bytes, silence. It encodes frames itself, so that a fault of our writer
//! cannot hide one of our reader. Over a pipe it speaks as it is. Over TCP it speaks inside TLS with a key of its own,
//! and can also lie while it greets and have a [`Fault`] above or below TLS. These begin with its second connection,
//! because the first one asks for the details.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lanspread_proto::frame::{Frame, read_header, read_payload};
use lanspread_proto::handshake::{Channel, MAGIC, PREAMBLE_BYTES};
use lanspread_proto::message::{
    Hello, PROTOCOL_VERSION, Refusal, RefusalCode, Reply, Request, SourceStatus, StreamItem, StreamMessage,
};
use lanspread_proto::{WireError, codec};
use lanspread_trust::party::PartyKey;
use lanspread_types::content::{GameOffer, RootFile};
use lanspread_types::ids::PeerName;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::fault_pipe::{Fault, FaultPipe};
use crate::small_game;
use crate::step::Step;
use crate::story::Offered;
use crate::tls::{self, Key, PROOF_BYTES, Proof, Secured, preamble, read_preamble};

/// Length of what an end says before its hello.
pub const OPENING_BYTES: u64 = (PREAMBLE_BYTES + PROOF_BYTES) as u64;
/// What a program of another protocol says.
const OTHER_PROTOCOL: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

/// How it introduces itself on the connections on which it streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Truthfully.
    Honest,
    /// With another key than on its first connection.
    AnotherPeer,
    /// As the only member of a party.
    AnotherParty,
    /// In a version of the protocol that does not exist.
    AnotherVersion,
    /// In the first version of the protocol, which knew no TLS.
    FirstVersion,
    /// In another protocol, inside TLS.
    AnotherProtocol,
    /// In another protocol, in clear text.
    ClearText,
    /// Not at all: it closes the connection before TLS.
    Nothing,
    /// With TLS and nothing after it.
    OnlyTls,
    /// With TLS and its proof, but without a hello.
    OnlyProof,
    /// Truthfully up to its hello, which is not one.
    Hello(WrongHello),
}

/// What it sends in place of a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongHello {
    /// The hello of the first version of the protocol, which began with an identity.
    OfFirstVersion,
    /// A hello with a byte too much.
    TooLong,
    /// A hello whose name would be longer than any frame.
    EndlessName,
    /// A hello whose name no peer may have.
    BadName,
    /// A frame of data.
    Data,
    /// The beginning of a frame that is longer than any.
    LongFrame,
}

/// A source with its script.
#[derive(Debug, Clone)]
pub struct LyingSource {
    /// Its identity over TCP.
    pub key: Key,
    /// The party whose key it has.
    pub party: PartyKey,
    pub hello: Hello,
    pub offered: Offered,
    pub stream: Vec<Step>,
    pub greeting: Greeting,
    /// Disturbs what it says inside TLS: what arrives is damaged, and TLS does not notice.
    pub fault: Fault,
    /// Disturbs what it sends on the way: TLS notices every changed bit.
    pub fault_on_the_way: Fault,
}

impl LyingSource {
    /// A source that lies in nothing but `stream`.
    pub fn of(name: PeerName, offered: Offered, stream: Vec<Step>) -> Self {
        // No test compares it with another instance.
        let hello = Hello { name, listen_port: None, instance: 0, catalog: None };
        Self {
            key: Key::random(),
            party: PartyKey::open_network(),
            hello,
            offered,
            stream,
            greeting: Greeting::Honest,
            fault: Fault::None,
            fault_on_the_way: Fault::None,
        }
    }

    /// The same for the small game.
    pub fn new(name: &str, files: Vec<RootFile>, stream: Vec<Step>) -> Self {
        Self::of(name.parse().unwrap(), small_game::offered(files), stream)
    }

    /// Bytes that it says inside TLS on a connection that requests nothing but the stream; `None` if they do not end.
    pub fn stream_connection_bytes(&self) -> Option<u64> {
        let mut bytes = self.hello_frame(Greeting::Honest).len();
        for step in &self.stream {
            bytes += encoded(step)?.len();
        }
        Some(OPENING_BYTES + bytes as u64)
    }

    /// What it says before it knows that the other end is of its party.
    fn introduction(&self, channel: &Channel, greeting: Greeting) -> Vec<u8> {
        let party = match greeting {
            Greeting::AnotherParty => PartyKey::random().unwrap(),
            _ => self.party.clone(),
        };
        let proof = Proof::Of(party);
        match greeting {
            Greeting::OnlyTls => Vec::new(),
            Greeting::AnotherProtocol => OTHER_PROTOCOL.to_vec(),
            Greeting::AnotherVersion => preamble(channel, PROTOCOL_VERSION + 1, &proof),
            _ => preamble(channel, PROTOCOL_VERSION, &proof),
        }
    }

    fn hello_frame(&self, greeting: Greeting) -> Vec<u8> {
        let hello = codec::encode(&self.hello).unwrap();
        let Greeting::Hello(wrong) = greeting else { return control_frame(&hello) };
        match wrong {
            WrongHello::OfFirstVersion => control_frame(&[&[7; 16][..], &hello].concat()),
            WrongHello::TooLong => control_frame(&[&hello[..], b"\0"].concat()),
            WrongHello::EndlessName => {
                control_frame(&[253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, b'a'])
            }
            WrongHello::BadName => {
                let rest = &hello[1 + self.hello.name.as_str().len()..];
                control_frame(&[&[3, b'a', b'\n', b'b'], rest].concat())
            }
            WrongHello::Data => raw_frame(1, &hello),
            WrongHello::LongFrame => vec![0xff, 0xff, 0xff, 0xff, 0],
        }
    }

    /// Answers one TCP connection as a peer that listens, and speaks to its end.
    async fn answer(&self, socket: TcpStream, lies: bool) -> Result<(), WireError> {
        if !lies {
            return self.speak_inside_tls(socket, &self.key, Greeting::Honest, Fault::None).await;
        }
        let mut socket = FaultPipe::on_writes(socket, self.fault_on_the_way);
        match self.greeting {
            Greeting::Nothing => farewell(&mut socket, b"").await,
            Greeting::ClearText => farewell(&mut socket, OTHER_PROTOCOL).await,
            Greeting::FirstVersion => {
                let hello = self.hello_frame(Greeting::Hello(WrongHello::OfFirstVersion));
                farewell(&mut socket, &[&MAGIC[..], &[0, 1], &hello].concat()).await
            }
            Greeting::AnotherPeer => {
                self.speak_inside_tls(socket, &Key::random(), Greeting::AnotherPeer, self.fault).await
            }
            greeting => self.speak_inside_tls(socket, &self.key, greeting, self.fault).await,
        }
    }

    async fn speak_inside_tls<S>(
        &self,
        socket: S,
        key: &Key,
        greeting: Greeting,
        fault: Fault,
    ) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Secured { stream, channel } = tls::accept(socket, key).await?;
        self.speak(FaultPipe::on_writes(stream, fault), channel, greeting).await
    }

    /// Speaks on one connection to its end, after TLS or over a pipe of which `channel` is its end.
    pub async fn speak<S>(&self, mut stream: S, channel: Channel, greeting: Greeting) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let introduction = self.introduction(&channel, greeting);
        let is_peer = matches!(greeting, Greeting::Honest | Greeting::AnotherPeer | Greeting::Hello(_));
        if !is_peer {
            return farewell(&mut stream, &introduction).await;
        }
        send(&mut stream, &introduction).await?;
        read_preamble(&mut stream, &channel, &self.party).await?;
        send(&mut stream, &self.hello_frame(greeting)).await?;
        read_control::<Hello>(&mut stream).await?;
        while let Some(request) = read_control::<Request>(&mut stream).await? {
            let reply = match request {
                Request::News { .. } => Reply::Games { revision: 1, games: vec![self.offer()], more: false },
                Request::Details { .. } => {
                    let Offered { version, files, .. } = self.offered.clone();
                    Reply::Details { version, files, more: false, manifest: None, manifest_in_ms: None }
                }
                Request::Totals { .. } => {
                    Reply::Totals { archives: self.offered.archives, totals: self.offered.totals }
                }
                Request::Status => Reply::Status(SourceStatus {
                    games: 1,
                    active_outbound_transfers: 0,
                    streams_max: 1,
                    connections: 1,
                    waiting: 0,
                }),
                Request::Manifest { .. }
                | Request::Catalog { .. }
                | Request::Join(_)
                | Request::Follow(_)
                | Request::CannotReach { .. }
                | Request::Operate { .. }
                | Request::Plan { .. } => {
                    Reply::Refused(Refusal::new(RefusalCode::NotOffered, "it hands nothing on"))
                }
                // The tests of downloads have lying sources of their own.
                Request::StreamInstall { .. } | Request::StreamEntries { .. } | Request::Download { .. } => {
                    return self.stream(&mut stream).await;
                }
            };
            send(&mut stream, &control_frame(&codec::encode(&reply)?)).await?;
        }
        Ok(())
    }

    fn offer(&self) -> GameOffer {
        let Offered { game, version, files, .. } = self.offered.clone();
        GameOffer { game, version, bytes: files.iter().map(|file| file.size).sum(), entries: false }
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
                        send(stream, &frame).await?;
                    }
                }
                Step::Meet(barrier) => {
                    barrier.wait().await;
                }
                Step::Say(_) | Step::Raw(_) => {
                    send(stream, &encoded(step).unwrap_or_default()).await?;
                }
            }
        }
        // Over TCP, what was sent must arrive although the connection is then dropped.
        Ok(stream.shutdown().await?)
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
                let lies = counter.fetch_add(1, Ordering::Relaxed) > 0;
                let source = Arc::clone(&source);
                conversations.spawn(async move {
                    // A receiver may end a conversation with a liar in any way.
                    let _ = source.answer(socket, lies).await;
                });
            }
        });
        Ok(Listening { address, connections, accepting: accepting.abort_handle() })
    }
}

async fn keep_alive(stream: &mut (impl AsyncWrite + Unpin), after: Duration) -> Result<(), WireError> {
    tokio::time::sleep(after).await;
    send(stream, &control_frame(&codec::encode(&StreamMessage::KeepAlive)?)).await
}

/// Sends bytes now: TLS may keep what is only written.
async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), WireError> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

/// Says this and nothing more.
async fn farewell<S>(stream: &mut S, bytes: &[u8]) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    send(stream, bytes).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection, and what was sent could be lost.
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(())
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

/// What an end of a connection says first if it is of no party: preamble and proof.
pub fn opening(channel: &Channel, version: u16) -> Vec<u8> {
    preamble(channel, version, &Proof::Of(PartyKey::open_network()))
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
