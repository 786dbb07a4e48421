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
    asked.answer(connection.peer, connection.theirs.name.as_str(), kind, game)
}

impl AskedByPeers {
    fn answer(&self, peer: PeerId, name: &str, kind: WorkKind, game: GameId) -> Reply {
        let refused = |message| Reply::Refused(Refusal::new(RefusalCode::NotPermitted, message));
        let Some((_, begin)) = self.0.get().filter(|(peers, _)| peers.contains(&peer)) else {
            tracing::info!("{name} ({peer}) asked for an operation on {game}, and may not");
            return refused("it does not accept operations from this peer");
        };
        // What takes something away is for the user of that machine.
        if matches!(kind, WorkKind::Uninstall | WorkKind::Remove | WorkKind::Absent) {
            return refused("it accepts operations that bring or check games, and no others");
        }
        match begin(kind, game, peer) {
            Ok(operation) => Reply::Accepted { operation },
            Err(refusal) => Reply::Refused(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_identities_may_ask_and_never_for_a_removal() {
        let (named, other) = (PeerId::from([1; 16]), PeerId::from([2; 16]));
        let asked = AskedByPeers::default();
        let asks = |asked: &AskedByPeers, peer, kind| asked.answer(peer, "pc", kind, "g".parse().unwrap());
        let is_refused = |reply: &Reply| matches!(reply, Reply::Refused(refusal) if refusal.code == RefusalCode::NotPermitted);
        assert!(is_refused(&asks(&asked, named, WorkKind::Verify)), "no peer was named");
        asked.accept([named].into(), Arc::new(|_, _, _| Ok(7)));
        for kind in [WorkKind::StreamInstall, WorkKind::Update, WorkKind::Repair, WorkKind::Ensure] {
            assert_eq!(asks(&asked, named, kind), Reply::Accepted { operation: 7 });
            assert!(is_refused(&asks(&asked, other, kind)));
        }
        for kind in [WorkKind::Uninstall, WorkKind::Remove, WorkKind::Absent] {
            assert!(is_refused(&asks(&asked, named, kind)), "{kind:?}");
        }
    }
}
