//! Relays of a wave that lie: each takes a place at a source like a receiver, and answers its follower with one lie.

use std::io;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::Introduction;
use lanspread_proto::message::{Hello, Refusal, RefusalCode, Reply, Request};
use lanspread_proto::packed::{FollowMessage, Join, PackedGame, Place, UpstreamMessage, WaveNews};
use lanspread_types::ids::PeerName;
use lanspread_types::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::tls::{self, Key, Secured};

/// What a relay does to its follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayLie {
    /// Chunks of the usual length and of zeros.
    WrongBytes,
    /// Chunks of one byte.
    Short,
    /// A chunk before any was asked for.
    Unasked,
    /// It says again and again that it is alive, and sends nothing.
    FloodsAlive,
    /// Whatever is asked for is gone, and the next chunk is the oldest that is here.
    Gone,
    /// What is gone is behind the end of the archive.
    GoneForEver,
    /// It answers with another key than the one that has its place.
    AnotherPeer,
    /// It refuses everybody.
    Busy,
}

impl RelayLie {
    pub const ALL: [Self; 8] = [
        Self::WrongBytes,
        Self::Short,
        Self::Unasked,
        Self::FloodsAlive,
        Self::Gone,
        Self::GoneForEver,
        Self::AnotherPeer,
        Self::Busy,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongBytes => "wrong-bytes",
            Self::Short => "short",
            Self::Unasked => "unasked",
            Self::FloodsAlive => "floods-alive",
            Self::Gone => "gone",
            Self::GoneForEver => "gone-for-ever",
            Self::AnotherPeer => "another-peer",
            Self::Busy => "busy",
        }
    }
}

/// Length of the chunks of a small game.
const CHUNK: usize = 256 * 1024;
/// More chunks than any window holds.
const WINDOW: u64 = 1 << 20;

/// A relay with its lie.
#[derive(Debug, Clone)]
pub struct LyingRelay {
    pub lie: RelayLie,
    pub name: PeerName,
    pub packed: PackedGame,
    key: Key,
}

impl LyingRelay {
    pub fn new(lie: RelayLie, name: PeerName, packed: PackedGame) -> Self {
        Self { lie, name, packed, key: Key::random() }
    }

    fn introduction(&self) -> Introduction {
        let name = self.name.clone();
        Introduction::open(Hello { name, listen_port: None, instance: 2, catalog: None })
    }

    /// Takes a place at a source for a relay that listens on this port.
    ///
    /// # Errors
    /// The source does not give it one.
    pub async fn join(&self, source: &str, port: u16) -> Result<Place, WireError> {
        let socket = TcpStream::connect(source).await?;
        let Secured { stream, channel } = tls::connect(socket, Some(&self.key), None).await?;
        let mut connection = Connection::open(stream, &channel, &self.introduction()).await?;
        let join = Join { packed: self.packed.clone(), relay_port: Some(port), window: WINDOW };
        connection.send(&Request::Join(join)).await?;
        match connection.receive("a place", limits::REPLY_DEADLINE).await? {
            Some(Reply::Placed(placement)) => Ok(placement.place),
            _ => Err(io::Error::other("the source gives no place").into()),
        }
    }

    /// Lies to every follower until the listener breaks.
    ///
    /// # Errors
    /// The listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        heard: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<()> {
        let mut conversations = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await?;
            let (relay, heard) = (self.clone(), heard.clone());
            conversations.spawn(async move {
                heard();
                // A follower leaves when it has had enough.
                let _ = relay.speak(socket).await;
            });
            while conversations.try_join_next().is_some() {}
        }
    }

    async fn speak(&self, socket: TcpStream) -> Result<(), WireError> {
        let key = if self.lie == RelayLie::AnotherPeer { Key::random() } else { self.key.clone() };
        let Secured { stream, channel } = tls::accept(socket, &key).await?;
        let mut connection = Connection::open(stream, &channel, &self.introduction()).await?;
        let Some(Request::Follow(_)) = connection.receive("request", limits::REQUEST_IDLE_DEADLINE).await?
        else {
            return Ok(());
        };
        if self.lie == RelayLie::Busy {
            let refusal = Refusal::new(RefusalCode::Busy, "it feeds another receiver");
            connection.send(&Reply::Refused(refusal)).await?;
            return Ok(());
        }
        connection.send(&Reply::Following { lo: 0, hi: WINDOW }).await?;
        let (mut incoming, mut outgoing) = connection.halves();
        if self.lie == RelayLie::Unasked {
            outgoing.data(&vec![0; CHUNK]).await?;
            outgoing.flush().await?;
        }
        if self.lie == RelayLie::FloodsAlive {
            for places in 1.. {
                let wave = WaveNews { places, slowest: None };
                outgoing.message(&UpstreamMessage::Alive { hi: WINDOW, full: false, wave }).await?;
                outgoing.flush().await?;
            }
        }
        let mut is_void = false;
        while incoming.begins().await? {
            let chunk = match incoming.message::<FollowMessage>("request for a chunk").await? {
                FollowMessage::Ask { chunk } if !is_void => chunk,
                FollowMessage::Ask { .. } => continue,
                FollowMessage::Resume => {
                    is_void = false;
                    continue;
                }
                FollowMessage::Done => return Ok(()),
            };
            match self.lie {
                RelayLie::Short => outgoing.data(&[0]).await?,
                RelayLie::Gone | RelayLie::GoneForEver => {
                    is_void = true;
                    let lo = if self.lie == RelayLie::Gone { chunk + 1 } else { WINDOW };
                    outgoing.message(&UpstreamMessage::Gone { lo }).await?;
                }
                _ => outgoing.data(&vec![0; CHUNK]).await?,
            }
            outgoing.flush().await?;
            // As fast as a link of a scenario, so that a receiver has time to believe it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
