//! What the page needs of a daemon. Tests answer in its place.

use std::pin::Pin;

use lanspread_peer::{GameId, OperationKind, OperationPlan, PeerId, Room, RoomChanges, SeatPlan};
use lanspread_types::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::refusal::{RefusedAt, WebRefusal};

/// An answer that is being made.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, WebRefusal>> + Send + 'a>>;

/// What is asked about one game on some peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActionsAsked {
    /// Which game.
    pub(crate) game: GameId,
    /// On which peers; at least one.
    pub(crate) peers: Vec<PeerId>,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// What to do.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// On which peers; at least one.
    pub peers: Vec<PeerId>,
}

/// What became of a request to start something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Started {
    /// The number of each operation, at the peer where it runs.
    pub operations: Vec<u64>,
    /// The peers where nothing was started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedAt>,
}

/// What an operation would do. Amounts are none that only its sources know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// Whether it would change anything.
    pub changed: bool,
    /// Unpacked bytes that it would write to the installed tree.
    pub bytes: Option<u64>,
    /// The most disk that it would take at any time, with a margin.
    pub needed_bytes: Option<u64>,
    /// Bytes that are free for games there, and not booked.
    pub free_bytes: u64,
    /// Whether it fits, in bytes and in numbers of files.
    pub fits: Option<bool>,
}

impl From<OperationPlan> for Planned {
    fn from(plan: OperationPlan) -> Self {
        let free_bytes = plan.usable_bytes();
        let OperationPlan { changed, bytes, needed_bytes, fits, .. } = plan;
        Self { changed, bytes, needed_bytes, free_bytes, fits }
    }
}

impl From<SeatPlan> for Planned {
    fn from(plan: SeatPlan) -> Self {
        let SeatPlan { changed, bytes, needed_bytes, free_bytes, fits, .. } = plan;
        Self { changed, bytes, needed_bytes, free_bytes, fits }
    }
}

/// The daemon whose room is shown.
pub trait RoomDaemon: Send + Sync + 'static {
    /// The peer that it is.
    fn own(&self) -> PeerId;
    /// Its room from now on.
    fn room(&self) -> Box<dyn RoomFeed>;
    /// Starts an operation on each of the peers. A refusal if it starts on none.
    fn start(&self, asked: Start) -> Answering<'_, Started>;
    /// What an operation on one peer would do, or why it would be refused.
    fn plan(&self, peer: PeerId, kind: OperationKind, game: &GameId) -> Answering<'_, Planned>;
    /// Cancels an operation of this daemon.
    fn cancel(&self, operation: u64) -> Answering<'_, ()>;
    /// The metrics, in the format of Prometheus.
    fn metrics(&self) -> Answering<'_, String>;
    /// What has happened, and what happens from now on.
    fn log(&self) -> Box<dyn Log>;
}

/// Something that is still to come; none after the last.
pub type Coming<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// What a daemon tells of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomNews {
    /// All of it. The first news are this.
    Whole(Box<Room>),
    /// What has changed.
    Changes(Box<RoomChanges>),
}

/// A room that is followed.
pub trait RoomFeed: Send {
    /// The next news. Cancel-safe.
    fn next(&mut self) -> Coming<'_, RoomNews>;
}

/// Events, in their order.
pub trait Log: Send {
    /// The next one. Cancel-safe.
    fn next(&mut self) -> Coming<'_, Value>;
}

impl Start {
    /// Refuses what the page has no button for, and too many peers.
    pub(crate) fn check(self) -> Result<Self, WebRefusal> {
        if matches!(self.kind, OperationKind::Uninstall | OperationKind::Remove) {
            let message = format!("the page does not {}: a command does", self.kind);
            return Err(WebRefusal::new(422, "not-from-here", message));
        }
        check_count(&self.peers)?;
        Ok(self)
    }
}

impl ActionsAsked {
    /// Reads the query: `game` once, `peer` once or several times.
    pub(crate) fn read(query: &str) -> Result<Self, WebRefusal> {
        let (mut game, mut peers) = (None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |problem: String| WebRefusal::new(400, "bad-request", format!("{name}: {problem}"));
            match &*name {
                "game" if game.is_none() => {
                    game = Some(
                        value.parse().map_err(|error: lanspread_peer::WordError| wrong(error.to_string()))?,
                    );
                }
                "peer" if peers.len() <= limits::WEB_PEERS_MAX => {
                    peers.push(
                        value.parse().map_err(|error: lanspread_peer::WordError| wrong(error.to_string()))?,
                    );
                }
                _ => {
                    return Err(WebRefusal::new(
                        400,
                        "bad-request",
                        "expected game once, and peer up to 256 times",
                    ));
                }
            }
        }
        check_count(&peers)?;
        let game = game.ok_or_else(|| WebRefusal::new(400, "bad-request", "expected a game"))?;
        Ok(Self { game, peers })
    }
}

fn check_count(peers: &[PeerId]) -> Result<(), WebRefusal> {
    if (1..=limits::WEB_PEERS_MAX).contains(&peers.len()) {
        return Ok(());
    }
    let message = format!("expected 1 to {} peers, got {}", limits::WEB_PEERS_MAX, peers.len());
    Err(WebRefusal::new(400, "bad-request", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_one_game_and_some_peers() {
        let (one, other) = (PeerId::random().unwrap(), PeerId::random().unwrap());
        let asked = ActionsAsked::read(&format!("game=alpha%2Dracer&peer={one}&peer={other}")).unwrap();
        assert_eq!(asked, ActionsAsked { game: "alpha-racer".parse().unwrap(), peers: vec![one, other] });
        for wrong in [
            String::new(),
            "game=g".to_owned(),
            format!("peer={one}"),
            format!("game=..%2Fx&peer={one}"),
            "game=g&peer=peer1".to_owned(),
            format!("game=g&game=h&peer={one}"),
            format!("game=g&peer={one}&else=1"),
            format!("game=g{}", format!("&peer={one}").repeat(limits::WEB_PEERS_MAX + 1)),
        ] {
            assert_eq!(ActionsAsked::read(&wrong).unwrap_err().code, "bad-request", "{wrong:.60}");
        }
    }

    #[test]
    fn the_page_removes_nothing() {
        let start = |kind: &str| {
            let peer = PeerId::random().unwrap();
            let text = format!(r#"{{"kind":"{kind}","game":"g","peers":["{peer}"]}}"#);
            serde_json::from_str::<Start>(&text)
                .unwrap()
                .check()
                .map(|start| start.kind)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(start("stream-install"), Ok(OperationKind::StreamInstall));
        assert_eq!(start("uninstall"), Err("not-from-here".to_owned()));
        assert_eq!(start("remove"), Err("not-from-here".to_owned()));
    }
}
