//! What other peers have this one do, if its user allows it: only the peers that were named, by the identity that the
//! handshake has proved, and only what brings or checks games.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::OnceLock;

use lanspread_proto::activity::WorkKind;
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_types::ids::{GameId, PeerId};
use lanspread_types::limits;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A plan that is being made: the answer to the peer that asks.
pub(crate) type Planning<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// What does the work.
pub(crate) trait AskedWork: Send + Sync {
    /// Begins an operation that another peer has asked for. Returns its number, or why it does not begin.
    fn begin(&self, kind: WorkKind, game: GameId, from: PeerId) -> Result<u64, Refusal>;
    /// Looks what such an operation would do. Ends soon after it is dropped.
    fn plan(&self, kind: WorkKind, game: GameId) -> Planning<'_>;
}

/// Who may have what done.
pub(crate) struct AskedByPeers {
    accepted: OnceLock<(BTreeSet<PeerId>, Box<dyn AskedWork>)>,
    planning: Semaphore,
}

impl Default for AskedByPeers {
    fn default() -> Self {
        Self { accepted: OnceLock::new(), planning: Semaphore::new(limits::PLANS_FOR_PEERS_MAX) }
    }
}

impl AskedByPeers {
    /// From now on these peers may have something done, in this way. Counts once.
    pub(crate) fn accept(&self, peers: BTreeSet<PeerId>, work: Box<dyn AskedWork>) {
        let _ = self.accepted.set((peers, work));
    }

    /// Whether a peer may have something done.
    pub(crate) fn accepts_from(&self, peer: &PeerId) -> bool {
        self.accepted.get().is_some_and(|(peers, _)| peers.contains(peer))
    }

    /// The answer to a peer that asks for an operation.
    pub(super) fn operate<S>(&self, connection: &Connection<S>, kind: WorkKind, game: GameId) -> Reply {
        let (peer, name) = (connection.peer, connection.theirs.name.as_str());
        self.begin(peer, name, kind, game).unwrap_or_else(Reply::Refused)
    }

    /// The answer to a peer that asks what an operation would do.
    pub(super) async fn plan<S>(&self, connection: &Connection<S>, kind: WorkKind, game: GameId) -> Reply {
        let (peer, name) = (connection.peer, connection.theirs.name.as_str());
        self.look(peer, name, kind, game).await.unwrap_or_else(Reply::Refused)
    }

    fn permit(
        &self,
        peer: PeerId,
        name: &str,
        kind: WorkKind,
        game: &GameId,
    ) -> Result<&dyn AskedWork, Refusal> {
        let refused = |message| Refusal::new(RefusalCode::NotPermitted, message);
        let Some((_, work)) = self.accepted.get().filter(|(peers, _)| peers.contains(&peer)) else {
            tracing::info!("{name} ({peer}) asked for an operation on {game}, and may not");
            return Err(refused("it does not accept operations from this peer"));
        };
        // What takes something away is for the user of that machine.
        if matches!(kind, WorkKind::Uninstall | WorkKind::Remove | WorkKind::Absent) {
            return Err(refused("it accepts operations that bring or check games, and no others"));
        }
        Ok(&**work)
    }

    fn begin(&self, peer: PeerId, name: &str, kind: WorkKind, game: GameId) -> Result<Reply, Refusal> {
        let work = self.permit(peer, name, kind, &game)?;
        Ok(Reply::Accepted { operation: work.begin(kind, game, peer)? })
    }

    async fn look(&self, peer: PeerId, name: &str, kind: WorkKind, game: GameId) -> Result<Reply, Refusal> {
        let work = self.permit(peer, name, kind, &game)?;
        let planning = async {
            let _turn = self.planning.acquire().await;
            work.plan(kind, game).await
        };
        let too_late = |_| Refusal::new(RefusalCode::Busy, "it could not look in time");
        timeout(limits::PLAN_FOR_PEER_DEADLINE, planning).await.map_err(too_late)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// Begins everything, and looks for ever at each game but `g`.
    struct Work(&'static AtomicUsize);

    impl AskedWork for Work {
        fn begin(&self, _: WorkKind, _: GameId, _: PeerId) -> Result<u64, Refusal> {
            Ok(7)
        }

        fn plan(&self, _: WorkKind, game: GameId) -> Planning<'_> {
            self.0.fetch_add(1, Ordering::SeqCst);
            if game.as_str() == "g" {
                Box::pin(async { Reply::Noted })
            } else {
                Box::pin(std::future::pending())
            }
        }
    }

    fn is_refused(answer: &Result<Reply, Refusal>) -> bool {
        answer.as_ref().is_err_and(|refusal| refusal.code == RefusalCode::NotPermitted)
    }

    #[tokio::test]
    async fn only_named_identities_may_ask_and_never_for_a_removal() {
        static PLANS: AtomicUsize = AtomicUsize::new(0);
        let (named, other) = (PeerId::from([1; 16]), PeerId::from([2; 16]));
        let asked = AskedByPeers::default();
        let game = || "g".parse().unwrap();
        assert!(is_refused(&asked.begin(named, "pc", WorkKind::Verify, game())), "no peer was named");
        asked.accept([named].into(), Box::new(Work(&PLANS)));
        for kind in [WorkKind::StreamInstall, WorkKind::Update, WorkKind::Repair, WorkKind::Ensure] {
            assert_eq!(asked.begin(named, "pc", kind, game()), Ok(Reply::Accepted { operation: 7 }));
            assert_eq!(asked.look(named, "pc", kind, game()).await, Ok(Reply::Noted));
            assert!(is_refused(&asked.begin(other, "pc", kind, game())));
            assert!(is_refused(&asked.look(other, "pc", kind, game()).await));
        }
        for kind in [WorkKind::Uninstall, WorkKind::Remove, WorkKind::Absent] {
            assert!(is_refused(&asked.begin(named, "pc", kind, game())), "{kind:?}");
            assert!(is_refused(&asked.look(named, "pc", kind, game()).await), "{kind:?}");
        }
        assert_eq!(PLANS.load(Ordering::SeqCst), 4, "what is refused is not looked at");
    }

    #[tokio::test(start_paused = true)]
    async fn plans_are_made_one_after_the_other_and_each_ends() {
        static PLANS: AtomicUsize = AtomicUsize::new(0);
        let named = PeerId::from([1; 16]);
        let asked = AskedByPeers::default();
        asked.accept([named].into(), Box::new(Work(&PLANS)));
        let look = |game: &str| asked.look(named, "pc", WorkKind::Ensure, game.parse().unwrap());
        let mut both = std::pin::pin!(async { tokio::join!(look("slow"), look("slow")) });
        assert!(timeout(Duration::from_secs(1), &mut both).await.is_err());
        assert_eq!(PLANS.load(Ordering::SeqCst), 1, "the second one waits for its turn");
        let (first, second) = both.await;
        for late in [first, second] {
            assert_eq!(late.unwrap_err().code, RefusalCode::Busy);
        }
        assert_eq!(look("g").await, Ok(Reply::Noted), "the turn of one that ended is free");
    }
}
