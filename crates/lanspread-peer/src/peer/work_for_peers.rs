//! Does what other peers ask for, and looks what it would do.

use std::sync::{Arc, Weak};

use lanspread_proto::activity::WorkKind;
use lanspread_proto::message::{Refusal, RefusalCode, Reply};
use lanspread_proto::planned::PlannedWork;
use lanspread_types::ids::{GameId, PeerId};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::peer::core::{Inner, Peer};
use crate::report::failure::OperationFailure;
use crate::report::operation::{DiscoveryMode, OperationOptions, OperationRequest};
use crate::report::planned::OperationPlan;
use crate::room::words;
use crate::source::asked::{AskedWork, Planning};

/// The work of a peer. The source that is asked for it is a part of the peer and must not keep it alive.
pub(super) struct WorkForPeers(Weak<Inner>);

impl WorkForPeers {
    pub(super) fn of(peer: &Peer) -> Self {
        Self(Arc::downgrade(&peer.inner))
    }

    fn peer(&self) -> Result<Peer, Refusal> {
        let stopping = || Refusal::new(RefusalCode::Stopping, "it is stopping");
        Ok(Peer { inner: self.0.upgrade().ok_or_else(stopping)? })
    }

    /// An operation as a command of this machine would ask for it.
    fn request(peer: &Peer, kind: WorkKind, game: GameId) -> Result<OperationRequest, Refusal> {
        let unknown = || Refusal::new(RefusalCode::BadRequest, "it does not know this kind of operation");
        let kind = words::kind_meant(kind).ok_or_else(unknown)?;
        let discovery = if peer.inner.discovery {
            DiscoveryMode::On { timeout_ms: limits::DISCOVERY_ASKED_MS }
        } else {
            DiscoveryMode::Off
        };
        Ok(OperationRequest { kind, game, options: OperationOptions::default().with_discovery(discovery) })
    }
}

impl AskedWork for WorkForPeers {
    fn begin(&self, kind: WorkKind, game: GameId, from: PeerId) -> Result<u64, Refusal> {
        let peer = self.peer()?;
        let request = Self::request(&peer, kind, game)?;
        let name = peer.known_peers().into_iter().find(|known| known.id == from).map(|known| known.name);
        let asked_by = name.map_or_else(|| from.to_string(), |name| name.to_string());
        let (kind, game) = (request.kind, request.game.clone());
        let handle =
            peer.submit(request).map_err(|error| Refusal::new(RefusalCode::Busy, &error.to_string()))?;
        tracing::info!("{asked_by} asked for {kind} {game}: operation {}", handle.operation());
        Ok(handle.operation())
    }

    fn plan(&self, kind: WorkKind, game: GameId) -> Planning<'_> {
        Box::pin(async move {
            let asked = self.peer().and_then(|peer| Ok((Self::request(&peer, kind, game)?, peer)));
            let (request, peer) = match asked {
                Ok(asked) => asked,
                Err(refusal) => return Reply::Refused(refusal),
            };
            let cancel = CancellationToken::new();
            // What reads the disk on a thread of its own ends with this.
            let _ended = cancel.clone().drop_guard();
            match peer.plan(&request, &cancel).await {
                Ok(plan) => Reply::Planned(told(plan)),
                Err(error) => {
                    let failure = OperationFailure::from(error);
                    Reply::WouldFail(words::failure(request.kind, &failure, &peer.own_places()))
                }
            }
        })
    }
}

fn told(plan: OperationPlan) -> PlannedWork {
    PlannedWork {
        free_bytes: plan.usable_bytes(),
        version: plan.version,
        changed: plan.changed,
        fetched_bytes: plan.fetched_bytes,
        bytes: plan.bytes,
        lost_files: plan.lost_files,
        needed_bytes: plan.needed_bytes,
        fits: plan.fits,
    }
}
