//! Turns a request for bytes that has a place into a running transfer, for streams and downloads alike: a reader, the gate,
//! and the events around it. How it comes to its place: [`super::waiting`].

use std::sync::Arc;

use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Refusal, RefusalCode};
use lanspread_store::state::game_state::GameState;
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use tokio_util::sync::CancellationToken;

use super::readers::Reader;
use super::running::{Running, StreamEnd, TransferKind};
use super::{Source, gate};
use crate::guests::places::HeldPlace;
use crate::report::event::PeerEvent;

/// A transfer that may run. It holds its place and its reader until it is dropped.
pub(super) struct Admitted<'s, T> {
    source: &'s Source,
    game: GameId,
    kind: TransferKind,
    place: HeldPlace,
    reader: Reader,
    /// What the gate let through.
    pub(super) what: T,
}

impl Source {
    /// Admits a transfer of one version of a game that has a place. `look` turns the game's state into what will be sent,
    /// on a blocking thread.
    pub(super) async fn admit<T: Send + 'static>(
        self: &Arc<Self>,
        place: HeldPlace,
        kind: TransferKind,
        game: GameId,
        version: GameVersion,
        look: impl FnOnce(&GameState) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Admitted<'_, T>, Refusal> {
        let wanted = game.clone();
        let judge = move |source: &Self| look(&source.offered(&wanted, Some(&version))?);
        self.admit_after(place, kind, game, judge).await
    }

    /// Admits a transfer of a game that has a place if `judge` lets it, on a blocking thread.
    pub(super) async fn admit_after<T: Send + 'static>(
        self: &Arc<Self>,
        place: HeldPlace,
        kind: TransferKind,
        game: GameId,
        judge: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Admitted<'_, T>, Refusal> {
        // Registering precedes the gate: an operation that takes the game's files away waits for this transfer, or keeps
        // it from registering, or has left an intent, which the gate sees.
        let reader = self.readers.register(&game).ok_or_else(|| gate::in_progress(&game))?;
        let worker = Arc::clone(self);
        let judged = self.tasks.spawn_blocking("gate", move || judge(&worker)).await;
        let what = judged.unwrap_or_else(|error| {
            tracing::error!("the serve gate ended abnormally: {error}");
            Err(Refusal::new(RefusalCode::Internal, "the source failed"))
        })?;
        Ok(Admitted { source: self, game, kind, place, reader, what })
    }
}

/// Who a transfer is for.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    id: PeerId,
    name: PeerName,
}

impl Receiver {
    /// The other side of a connection.
    pub(super) fn of<S>(connection: &Connection<S>) -> Self {
        Self { id: connection.peer, name: connection.theirs.name.clone() }
    }
}

impl<T> Admitted<'_, T> {
    /// Runs the transfer to a receiver, between its two events. It ends early when `stop` is cancelled, an operation
    /// needs the game quiet, or another guest has its place.
    pub(super) async fn run(
        self,
        to: Receiver,
        stop: &CancellationToken,
        send: impl AsyncFnOnce(T, &Running<'_>) -> StreamEnd,
    ) {
        let Self { source, game, kind, place, reader, what } = self;
        source.events.report(PeerEvent::TransferBegin {
            game: game.clone(),
            peer: to.name.clone(),
            peer_id: to.id,
        });
        let stop = stop.child_token();
        let meter = source.traffic.sent_to(place.guest.network, kind.traffic());
        let running = Running::new(&stop, &place, kind, meter);
        let end = reader.run(&stop, send(what, &running)).await;
        source.events.report(PeerEvent::TransferEnd {
            game,
            peer: to.name,
            outcome: end.outcome.into(),
            bytes: end.bytes,
        });
    }
}
