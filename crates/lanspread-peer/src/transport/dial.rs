//! Connects to a peer and sends it requests.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::{Reply, Request, SourceStatus};
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::GameOffer;
use lanspread_types::ids::{GameId, GameVersion, PeerAddress, PeerId};
use lanspread_types::limits;
use tokio::time::timeout;

use crate::transport::listing;
use crate::transport::listing::{ReportedDetails, other};
use crate::transport::socket::RawSocket;
use crate::transport::socket::{Socket, Unread, connect};

/// A connection to a peer, and the address that answered.
pub(crate) struct Dialled<S = Socket> {
    pub(crate) connection: Connection<S>,
    pub(crate) address: SocketAddr,
}

/// Connects to the first of the peer's addresses that answers, and says hello. If a peer is `expected`, no other one is
/// talked to.
pub(crate) async fn dial(
    peer: &PeerAddress,
    ours: &Endpoint,
    expected: Option<PeerId>,
) -> Result<Dialled, WireError> {
    let resolve = async { tokio::net::lookup_host(peer.as_str()).await.map_err(WireError::Connect) };
    let addresses: Vec<SocketAddr> =
        within(limits::CONNECT_DEADLINE, "address for the name", resolve).await?.collect();
    dial_any(&addresses, ours, expected).await
}

/// Connects to the first of these addresses where a peer answers, and says hello. An address may now belong to another
/// machine. If no peer answers, returns the failure of the last address.
pub(crate) async fn dial_any(
    addresses: &[SocketAddr],
    ours: &Endpoint,
    expected: Option<PeerId>,
) -> Result<Dialled, WireError> {
    let none = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut failure = WireError::Connect(none);
    for &address in addresses {
        match dial_one(address, ours, expected, limits::CONNECT_DEADLINE).await {
            Ok(dialled) => return Ok(dialled),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Connects to a peer, if it takes no longer than this: another peer can be asked instead.
pub(crate) async fn dial_soon(
    address: SocketAddr,
    ours: &Endpoint,
    expected: Option<PeerId>,
    patience: Duration,
) -> Result<Dialled, WireError> {
    within(patience, "connection", dial_one(address, ours, expected, limits::CONNECT_DEADLINE)).await
}

/// A connection to an upstream of a packed stream, and what lies unread on it.
pub(crate) struct DialledUpstream {
    pub(crate) connection: Connection<Socket>,
    pub(crate) unread: Unread,
}

/// Connects to a relay, which is on the same network and answers soon, or cannot be reached.
pub(crate) async fn dial_relay(
    address: SocketAddr,
    ours: &Endpoint,
    expected: PeerId,
) -> Result<DialledUpstream, WireError> {
    let dialling = dial_upstream(address, ours, expected, limits::RELAY_CONNECT_DEADLINE);
    within(limits::PACKED_IDLE, "connection", dialling).await
}

/// Connects to a source of a packed stream.
pub(crate) async fn dial_source(
    address: SocketAddr,
    ours: &Endpoint,
    expected: PeerId,
) -> Result<DialledUpstream, WireError> {
    dial_upstream(address, ours, expected, limits::CONNECT_DEADLINE).await
}

async fn dial_upstream(
    address: SocketAddr,
    ours: &Endpoint,
    expected: PeerId,
    connect_deadline: Duration,
) -> Result<DialledUpstream, WireError> {
    let socket = connect_within(address, connect_deadline).await?;
    let unread = Unread::of(&socket).map_err(WireError::Connect)?;
    let connection = Box::pin(ours.dial(socket, Some(expected))).await?;
    log(address, &connection);
    Ok(DialledUpstream { connection, unread })
}

/// Connects to the first address of a host that answers.
#[cfg(feature = "http")]
pub(crate) async fn connect_by_name(host: &str, port: u16) -> io::Result<RawSocket> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let resolved = timeout(limits::CONNECT_DEADLINE, tokio::net::lookup_host((host, port))).await;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolved.map_err(late)?? {
        match timeout(limits::CONNECT_DEADLINE, connect(address))
            .await
            .unwrap_or_else(|error| Err(late(error)))
        {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn dial_one(
    address: SocketAddr,
    ours: &Endpoint,
    expected: Option<PeerId>,
    connect_deadline: Duration,
) -> Result<Dialled, WireError> {
    let socket = connect_within(address, connect_deadline).await?;
    // Boxed, because the handshake is by far the largest part of every operation that dials.
    let connection = Box::pin(ours.dial(socket, expected)).await?;
    log(address, &connection);
    Ok(Dialled { connection, address })
}

fn log(address: SocketAddr, connection: &Connection<Socket>) {
    tracing::debug!("connected to {} ({}) at {address}", connection.theirs.name, connection.peer);
}

async fn connect_within(address: SocketAddr, deadline: Duration) -> Result<RawSocket, WireError> {
    let connected = timeout(deadline, connect(address)).await;
    let no_answer = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    connected.unwrap_or_else(|_| Err(no_answer())).map_err(WireError::Connect)
}

/// What a stream of a game would carry.
pub(crate) type StreamTotals = (u64, lanspread_types::content::Totals);

impl Dialled {
    async fn ask(&mut self, request: &Request) -> Result<(), WireError> {
        tracing::debug!("{} is sent the request {request:?}", self.connection.theirs.name);
        self.connection.send(request).await
    }

    async fn reply(&mut self) -> Result<Reply, WireError> {
        match self.connection.receive("reply", limits::REPLY_DEADLINE).await? {
            Some(Reply::Refused(refusal)) => Err(WireError::Refused(refusal)),
            Some(reply) => Ok(reply),
            None => Err(WireError::Closed),
        }
    }

    /// Every game that the peer offers, if there is room for them.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] if there is none.
    pub(crate) async fn games(
        &mut self,
        has_room: impl FnMut(&[GameOffer]) -> bool,
    ) -> Result<Vec<GameOffer>, WireError> {
        let library = listing::library(&mut self.connection, has_room).await?;
        library.games.ok_or(WireError::NoRoom { what: "its list of games" })
    }

    /// Version, root files and manifest of one game.
    pub(crate) async fn details(&mut self, game: &GameId) -> Result<ReportedDetails, WireError> {
        listing::details(&mut self.connection, game).await
    }

    /// What a stream of a game would carry.
    pub(crate) async fn totals(
        &mut self,
        game: &GameId,
        version: &GameVersion,
    ) -> Result<StreamTotals, WireError> {
        self.ask(&Request::Totals { game: game.clone(), version: version.clone() }).await?;
        match self.reply().await? {
            Reply::Totals { archives, totals } => Ok((archives, totals)),
            _ => Err(other("totals")),
        }
    }

    /// What the peer is doing.
    pub(crate) async fn status(&mut self) -> Result<SourceStatus, WireError> {
        self.ask(&Request::Status).await?;
        match self.reply().await? {
            Reply::Status(status) => Ok(status),
            _ => Err(other("status")),
        }
    }

    /// Asks for the stream of a game; its items follow.
    pub(crate) async fn stream_install(
        &mut self,
        game: &GameId,
        version: &GameVersion,
    ) -> Result<(), WireError> {
        self.ask(&Request::StreamInstall { game: game.clone(), version: version.clone() }).await
    }

    /// Asks for the installed files that a manifest lists, as a stream; its items follow.
    pub(crate) async fn stream_entries(
        &mut self,
        game: &GameId,
        version: &GameVersion,
        manifest: ContentDigest,
    ) -> Result<(), WireError> {
        let (game, version) = (game.clone(), version.clone());
        self.ask(&Request::StreamEntries { game, version, manifest, from_path: None }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::endpoint;

    /// The index of the interface survives the way through the text of an address, and an interface that does not exist
    /// is a failed connection.
    #[tokio::test]
    async fn a_link_local_address_keeps_its_interface() {
        let address: SocketAddr = "[fe80::1%65000]:4107".parse().unwrap();
        let named = PeerAddress::from(address);
        let looked_up: Vec<SocketAddr> = tokio::net::lookup_host(named.as_str()).await.unwrap().collect();
        assert_eq!(looked_up, [address]);
        assert!(matches!(dial(&named, &endpoint("pc"), None).await, Err(WireError::Connect(_))));
    }
}
