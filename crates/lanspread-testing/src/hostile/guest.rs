//! What a hostile guest asks of a peer that serves: each attack takes one kind of place, and keeps it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::chunk::ChunkRequest;
use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::Introduction;
use lanspread_proto::message::{Hello, Reply, Request};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::tls::{self, Key, Secured};

/// Downloads that ask for a byte now and then: more than a source has places.
const DRIPPING_DOWNLOADS: usize = 12;
/// Connections that ask for the totals of a game again and again.
const LISTINGS: usize = 20;
/// Connections that wait for a change of the library.
const POLLS: usize = 40;
/// Connections that do nothing but stay.
const IDLE_CONNECTIONS: usize = 60;
/// Pause between two attempts when the peer has closed the connection: an attack that is turned away comes again.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause between two bytes that a dripping download asks for.
const DRIP_INTERVAL: Duration = Duration::from_secs(2);
/// Pause between two strangers that introduce themselves.
const STRANGER_INTERVAL: Duration = Duration::from_millis(20);

/// A peer and a game that it offers.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub game: GameId,
    pub version: GameVersion,
}

impl Target {
    /// Runs all attacks at once.
    pub async fn attack(self) {
        let mut attacks = JoinSet::new();
        for _ in 0..DRIPPING_DOWNLOADS {
            attacks.spawn(self.clone().again_and_again(Attack::DrippingDownload));
        }
        for _ in 0..LISTINGS {
            attacks.spawn(self.clone().again_and_again(Attack::Listings));
        }
        for _ in 0..POLLS {
            attacks.spawn(self.clone().again_and_again(Attack::Poll));
        }
        for _ in 0..IDLE_CONNECTIONS {
            attacks.spawn(self.clone().again_and_again(Attack::IdleConnection));
        }
        attacks.spawn(self.again_and_again(Attack::Stranger));
        while attacks.join_next().await.is_some() {}
    }

    async fn again_and_again(self, attack: Attack) {
        loop {
            // Whatever the peer does against it, it comes again.
            let _ = self.once(attack).await;
            sleep(if attack == Attack::Stranger { STRANGER_INTERVAL } else { PAUSE }).await;
        }
    }

    async fn once(&self, attack: Attack) -> Result<(), WireError> {
        let socket = TcpStream::connect(self.address).await?;
        // Of a stranger: nothing listens there, so that a peer that remembers it remembers it in vain.
        let listen_port = (attack == Attack::Stranger).then_some(9);
        // An identity of its own each time: the peer cannot tell that it comes again.
        let Secured { stream, channel } = tls::connect(socket, Some(&Key::random()), None).await?;
        let mut connection = Connection::open(stream, &channel, &anybody(listen_port)).await?;
        match attack {
            Attack::Stranger => Ok(()),
            Attack::IdleConnection => loop {
                ask(&mut connection, Request::Status).await?;
                sleep(limits::KEEP_ALIVE_INTERVAL).await;
            },
            Attack::Listings => loop {
                let (game, version) = (self.game.clone(), self.version.clone());
                ask(&mut connection, Request::Totals { game, version }).await?;
            },
            Attack::Poll => {
                let Reply::Games { revision, .. } =
                    ask(&mut connection, Request::News { library: None, activity: None }).await?
                else {
                    return Ok(());
                };
                loop {
                    ask(&mut connection, Request::News { library: Some(revision), activity: None }).await?;
                }
            }
            Attack::DrippingDownload => {
                let (game, version) = (self.game.clone(), self.version.clone());
                let Reply::DownloadReady { .. } =
                    ask(&mut connection, Request::Download { game, version }).await?
                else {
                    return Ok(());
                };
                loop {
                    connection.send(&ChunkRequest { file: 0, offset: 0, length: 1 }).await?;
                    // The byte, and the end of the chunk.
                    connection.receive_item().await?;
                    connection.receive_item().await?;
                    sleep(DRIP_INTERVAL).await;
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    DrippingDownload,
    IdleConnection,
    Listings,
    Poll,
    Stranger,
}

/// What an attacker says of itself.
fn anybody(listen_port: Option<u16>) -> Introduction {
    let name = "guest".parse().unwrap();
    Introduction::open(Hello { name, listen_port, instance: 1, catalog: None })
}

async fn ask<S>(connection: &mut Connection<S>, request: Request) -> Result<Reply, WireError>
where
    S: AsyncRead + AsyncWrite,
{
    connection.send(&request).await?;
    let reply = connection.receive("reply", limits::REPLY_DEADLINE).await?;
    reply.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
}
