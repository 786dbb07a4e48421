//! A place in a wave: asked of the sources in their order.

use lanspread_proto::WireError;
use lanspread_proto::message::{RefusalCode, Reply, Request};
use lanspread_proto::packed::{Join, NextWave, Placement};
use lanspread_proto::queued::{QueuePosition, QueuedPace};
use lanspread_types::limits;
use tokio::time::Instant;

use crate::peer::core::Peer;
use crate::peer::join_order::{JoinOrder, NextJoin};
use crate::peer::packed_stream::PackedRequest;
use crate::receive::error::AttemptError;
use crate::receive::patience::QueueReports;
use crate::report::event::PeerEvent;
use crate::report::packed_stream::PackedPlaced;
use crate::report::queued::QueuedAt;
use crate::transport::dial::dial_soon;
use crate::trust::select::PeerOffer;

impl Peer {
    /// Asks the sources in their order for a place in a wave, and waits at them in turn if there is none.
    pub(super) async fn join_wave<'s>(
        &self,
        request: &PackedRequest<'_>,
        sources: &'s [PeerOffer],
        join: &Join,
    ) -> Result<Option<(Placement, &'s PeerOffer)>, AttemptError> {
        let mut order = JoinOrder::new(sources.iter());
        let (mut stopping, mut others) = (None, false);
        while let Some(next) = order.next() {
            let NextJoin { source, patience, .. } = next;
            match self.join_at(request, next, join).await {
                Ok(placement) => {
                    request.operation.events.report(PeerEvent::PackedPlaced(PackedPlaced {
                        game: join.packed.game.clone(),
                        peer: source.name.clone(),
                        peer_id: source.id,
                        position: placement.place.position,
                        relays: placement.relays.iter().map(|relay| relay.name.clone()).collect(),
                        starts_in_ms: placement.starts_in_ms,
                    }));
                    return Ok(Some((placement, source)));
                }
                Err(AttemptError::NoPlace(_)) if order.has_unasked() || !request.patience.is_over() => {
                    order.has_no_place(source);
                }
                Err(AttemptError::NoPlace(position)) => return Err(AttemptError::NoPlace(position)),
                Err(error) => {
                    tracing::info!("{} gives no place: {error}", source.name);
                    if is_stopping(&error) {
                        stopping = Some(error);
                        continue;
                    }
                    others = true;
                    if matches!(error, AttemptError::Wire(WireError::Timeout { .. })) {
                        order.was_silent(source, patience);
                    }
                }
            }
        }
        match stopping {
            // None of them begins anything: they are asked again when they are back.
            Some(error) if !others => Err(error),
            _ => Ok(None),
        }
    }

    async fn join_at(
        &self,
        request: &PackedRequest<'_>,
        next: NextJoin<&PeerOffer>,
        join: &Join,
    ) -> Result<Placement, AttemptError> {
        let NextJoin { source, patience, stays } = next;
        let dialled = dial_soon(source.address, &self.endpoint(), Some(source.id), patience).await?;
        let mut connection = dialled.connection;
        connection.send(&Request::Join(join.clone())).await?;
        let (mut pace, mut reports) = (QueuedPace::default(), QueueReports::default());
        let mut until = None;
        // It says at once whether there is a place, and then at each keep-alive interval.
        let mut silence = patience;
        loop {
            let reply = connection.receive("a place", silence).await?;
            silence = limits::LISTING_DEADLINE;
            match reply.ok_or(WireError::Closed)? {
                Reply::Placed(placement) => return checked(placement),
                Reply::NextWave(NextWave { in_ms, receivers }) => {
                    pace.said(Instant::now())?;
                    let now = Instant::now();
                    let until = *until.get_or_insert_with(|| stays.map(|stays| now + stays));
                    if request.patience.is_over() || until.is_some_and(|until| until <= now) {
                        return Err(AttemptError::NoPlace(QueuePosition { ahead: 0, in_ms }));
                    }
                    if reports.is_due_with(receivers, now) {
                        let (game, peer) = (join.packed.game.clone(), source.name.clone());
                        let (peer_id, ahead, receivers) = (Some(source.id), 0, Some(receivers));
                        let waits = QueuedAt { game, peer, peer_id, ahead, in_ms, receivers };
                        request.operation.events.report(PeerEvent::Queued(waits));
                    }
                }
                Reply::Refused(refusal) => return Err(WireError::Refused(refusal).into()),
                _ => return Err(WireError::Unexpected { expected: "a place", got: "another reply" }.into()),
            }
        }
    }
}

fn is_stopping(error: &AttemptError) -> bool {
    matches!(error, AttemptError::Wire(WireError::Refused(refusal)) if refusal.code == RefusalCode::Stopping)
}

/// A placement within its bounds: no receiver is given more relays than it may be, or one behind itself.
fn checked(placement: Placement) -> Result<Placement, AttemptError> {
    let position = placement.place.position;
    let fits = placement.relays.len() <= limits::PACKED_RELAYS_NAMED_MAX
        && placement.relays.iter().all(|relay| relay.position < position);
    if fits {
        return Ok(placement);
    }
    let reason = "a place with too many relays, or with one behind it".to_owned();
    Err(WireError::Malformed(reason).into())
}
