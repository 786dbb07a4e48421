//! What other peers have this one do, if its user allows it: only the peers that were named, by the identity that the
//! handshake has proved, and only what brings or checks games.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use lanspread_proto::activity::WorkKind;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_types::ids::{GameId, PeerId};

/// Begins an operation that another peer has asked for. Returns its number, or why it does not begin.
pub(crate) type BeginAsked = dyn Fn(WorkKind, GameId, PeerId) -> Result<u64, Refusal> + Send + Sync;

/// Who may have what done.
#[derive(Default)]
pub(crate) struct AskedByPeers(OnceLock<(BTreeSet<PeerId>, Arc<BeginAsked>)>);

impl AskedByPeers {
    /// From now on these peers may have something done, in this way. Counts once.
    pub(crate) fn accept(&self, peers: BTreeSet<PeerId>, begin: Arc<BeginAsked>) {
        let _ = self.0.set((peers, begin));
    }

    /// Whether a peer may have something done.
    pub(crate) fn accepts_from(&self, peer: &PeerId) -> bool {
        self.0.get().is_some_and(|(peers, _)| peers.contains(peer))
    }
}

/// The answer to a peer that asks for an operation.
pub(super) fn operate<S>(
    asked: &AskedByPeers,
    connection: &Connection<S>,
    kind: WorkKind,
    game: GameId,
) -> Reply {
    let Some((_, begin)) = asked.0.get().filter(|(peers, _)| peers.contains(&connection.peer)) else {
        let name = &connection.theirs.name;
        tracing::info!("{name} ({}) asked for an operation on {game}, and may not", connection.peer);
        let message = "it does not accept operations from this peer";
        return Reply::Refused(Refusal::new(RefusalCode::NotPermitted, message));
    };
    // What takes something away is for the user of that machine.
    if matches!(kind, WorkKind::Uninstall | WorkKind::Remove | WorkKind::Absent) {
        let message = "it accepts operations that bring or check games, and no others";
        return Reply::Refused(Refusal::new(RefusalCode::NotPermitted, message));
    }
    match begin(kind, game, connection.peer) {
        Ok(operation) => Reply::Accepted { operation },
        Err(refusal) => Reply::Refused(refusal),
    }
}
