//! What a hostile host does to peers that ask it: each manner wastes one kind of time or memory.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::Introduction;
use lanspread_proto::message::{Hello, Reply, Request, StreamItem};
use lanspread_types::content::GameOffer;
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsStream;

use crate::step::Step;
use crate::story::Offered;
use crate::tls::{self, Key, Secured};

/// A connection to a peer, inside TLS.
type Inside = Connection<TlsStream<TcpStream>>;

/// Pause between two parts of a list without end.
const PART_INTERVAL: Duration = Duration::from_millis(100);
/// Pause between two bytes of a trickling stream.
const TRICKLE_INTERVAL: Duration = Duration::from_secs(2);
/// Games in one part of a list without end.
const GAMES_IN_A_PART: usize = 200;

/// How it treats who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Accepts connections and says nothing.
    Mute,
    /// Answers what a game consists of with empty parts, without end.
    EndlessDetails,
    /// Answers what it offers with more and more games, without end.
    EndlessGames,
    /// Answers every wait for a change at once, with a change.
    RestlessLibrary,
    /// Answers everything as an honest source does, and streams a byte now and then.
    Trickle,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Mute, Self::EndlessDetails, Self::EndlessGames, Self::RestlessLibrary, Self::Trickle];

    /// Its name, which is also part of the name of the peer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mute => "mute",
            Self::EndlessDetails => "endless-details",
            Self::EndlessGames => "endless-games",
            Self::RestlessLibrary => "restless-library",
            Self::Trickle => "trickle",
        }
    }
}

/// A host with its manner, which offers a game as an honest source does.
#[derive(Debug, Clone)]
pub struct HostileHost {
    pub manner: Manner,
    pub key: Key,
    /// The identity that is announced of it.
    pub announced: PeerId,
    pub hello: Hello,
    pub offered: Offered,
    /// Its stream, as an honest source sends it.
    pub steps: Vec<Step>,
}

impl HostileHost {
    /// A host of an identity of its own. Its name comes before most others.
    pub fn new(manner: Manner, offered: Offered, steps: Vec<Step>, listen_port: u16) -> Self {
        let name: PeerName = format!("aaa-{}", manner.as_str()).parse().unwrap();
        let hello = Hello { name, listen_port: Some(listen_port), instance: 1, catalog: None };
        let key = Key::random();
        Self { manner, announced: key.peer(), key, hello, offered, steps }
    }

    /// The same host announced as another peer, as another instance of it. It does not have the key of that peer.
    #[must_use]
    pub fn as_copy_of(mut self, peer: PeerId, other: &Hello) -> Self {
        self.announced = peer;
        self.hello.name = other.name.clone();
        self.hello.instance = other.instance.wrapping_add(1);
        self
    }

    /// Serves until the listener breaks.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut conversations = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await?;
            let host = self.clone();
            conversations.spawn(async move {
                // A peer that asks may leave in any way.
                let _ = host.speak(socket).await;
            });
            while conversations.try_join_next().is_some() {}
        }
    }

    async fn speak(&self, socket: TcpStream) -> Result<(), WireError> {
        if self.manner == Manner::Mute {
            return std::future::pending().await;
        }
        let Secured { stream, channel } = tls::accept(socket, &self.key).await?;
        let ours = Introduction::open(self.hello.clone());
        let mut connection = Connection::open(stream, &channel, &ours).await?;
        let mut revision = 1;
        while let Some(request) = connection.receive("request", limits::REQUEST_IDLE_DEADLINE).await? {
            match request {
                Request::News { .. } if self.manner == Manner::EndlessGames => {
                    return self.endless_games(&mut connection).await;
                }
                Request::News { library: known, .. } => {
                    if known.is_some() && self.manner != Manner::RestlessLibrary {
                        sleep(limits::LIBRARY_WAIT).await;
                        connection.send(&Reply::Unchanged).await?;
                        continue;
                    }
                    revision += 1;
                    connection
                        .send(&Reply::Games { revision, games: vec![self.offer()], more: false })
                        .await?;
                }
                Request::Details { .. } => {
                    let Offered { version, files, .. } = self.offered.clone();
                    if self.manner == Manner::EndlessDetails {
                        loop {
                            let (version, files) = (version.clone(), Vec::new());
                            connection
                                .send(&Reply::Details {
                                    version,
                                    files,
                                    more: true,
                                    manifest: None,
                                    manifest_in_ms: None,
                                })
                                .await?;
                            sleep(PART_INTERVAL).await;
                        }
                    }
                    connection
                        .send(&Reply::Details {
                            version,
                            files,
                            more: false,
                            manifest: None,
                            manifest_in_ms: None,
                        })
                        .await?;
                }
                Request::Totals { .. } => {
                    let Offered { archives, totals, .. } = self.offered;
                    connection.send(&Reply::Totals { archives, totals }).await?;
                }
                Request::StreamInstall { .. } => return self.trickle(&mut connection).await,
                // As long as a file may be, so that its length wins as much time as it can.
                Request::Manifest { .. } if self.manner == Manner::Trickle => {
                    sleep(TRICKLE_INTERVAL).await;
                    let (total, bytes) = (limits::PACKING_LIST_BYTES_MAX, vec![0; limits::PART_BYTES]);
                    connection.send(&Reply::Part { total, bytes }).await?;
                }
                // Neither is attacked: a download takes its chunks elsewhere after the same silence.
                Request::Status
                | Request::Download { .. }
                | Request::Manifest { .. }
                | Request::Join(_)
                | Request::Follow(_)
                | Request::CannotReach { .. }
                | Request::Operate { .. }
                | Request::Plan { .. }
                | Request::Catalog { .. }
                | Request::StreamEntries { .. } => return std::future::pending().await,
            }
        }
        Ok(())
    }

    fn offer(&self) -> GameOffer {
        let Offered { game, version, files, .. } = self.offered.clone();
        GameOffer { game, version, bytes: files.iter().map(|file| file.size).sum(), entries: false }
    }

    async fn endless_games(&self, connection: &mut Inside) -> Result<(), WireError> {
        for part in 0_u64.. {
            let numbers = 0..GAMES_IN_A_PART;
            let games = numbers.map(|number| GameOffer {
                game: format!("game-{part:08}-{number:03}").parse().unwrap(),
                version: self.offered.version.clone(),
                bytes: 1,
                entries: false,
            });
            connection.send(&Reply::Games { revision: 1, games: games.collect(), more: true }).await?;
            sleep(PART_INTERVAL).await;
        }
        Ok(())
    }

    /// Sends the stream as it should be, except that the content comes a byte at a time.
    async fn trickle(&self, connection: &mut Inside) -> Result<(), WireError> {
        for step in &self.steps {
            match step {
                Step::Say(StreamItem::Data(bytes)) => {
                    for at in 0..bytes.len() {
                        connection.write_item(StreamItem::Data(bytes.slice(at..=at))).await?;
                        connection.flush().await?;
                        sleep(TRICKLE_INTERVAL).await;
                    }
                }
                Step::Say(item) => {
                    connection.write_item(item.clone()).await?;
                    connection.flush().await?;
                }
                other => unreachable!("an honest stream has no step {other:?}"),
            }
        }
        Ok(())
    }
}

/// Who a peer is, and how it introduces itself.
pub async fn hello_of(address: SocketAddr) -> Result<(PeerId, Hello), WireError> {
    let socket = TcpStream::connect(address).await?;
    let Secured { stream, channel } = tls::connect(socket, Some(&Key::random()), None).await?;
    let ours = Hello { name: "guest".parse().unwrap(), listen_port: None, instance: 1, catalog: None };
    let connection = Connection::open(stream, &channel, &Introduction::open(ours)).await?;
    Ok((connection.peer, connection.theirs))
}
