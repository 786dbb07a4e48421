//! One of each kind of event about packed streams.

use super::{game, id, name, version};
use crate::report::event::PeerEvent;
use crate::report::packed_status::{RelayStatus, WaitingReceiver, WaveStatus};
use crate::report::packed_stream::{
    BytesByKind, GapFilled, PackedFinished, PackedPlaced, RelayBegin, RelayEnd, RelayLingers,
    SlowestReceiver, UpstreamBegin, UpstreamEnd, UpstreamKind, UpstreamShare, WaveProgress,
};
use crate::report::planned::PlannedUpstream;

pub(super) fn events() -> Vec<PeerEvent> {
    use PeerEvent as E;
    let (game, peer) = (game(), name());
    let finished = PackedFinished {
        game: game.clone(),
        shares: vec![UpstreamShare { upstream: "pc".to_owned(), kind: UpstreamKind::Source, bytes: 1 }],
        brought: BytesByKind::default(),
        changes: 1,
        change_chunk: Some(1),
        chunks: 2,
        bytes_stored: 0,
        bytes_twice: 0,
    };
    vec![
        E::PackedPlaced(PackedPlaced {
            game: game.clone(),
            peer,
            peer_id: id(),
            position: 1,
            relays: vec![name()],
            starts_in_ms: 0,
        }),
        E::WaveProgress(WaveProgress {
            game: game.clone(),
            places: 2,
            slowest: Some(slowest()),
            packed_bytes: 1,
        }),
        E::WaveProgress(WaveProgress { game: game.clone(), places: 2, slowest: None, packed_bytes: 1 }),
        E::UpstreamBegin(UpstreamBegin {
            game: game.clone(),
            upstream: "pc".to_owned(),
            peer_id: Some(id()),
            kind: UpstreamKind::Relay,
            chunk: 0,
        }),
        E::UpstreamBegin(UpstreamBegin {
            game: game.clone(),
            upstream: "192.0.2.1".to_owned(),
            peer_id: None,
            kind: UpstreamKind::Http,
            chunk: 0,
        }),
        E::UpstreamEnd(UpstreamEnd {
            game: game.clone(),
            upstream: "pc".to_owned(),
            kind: UpstreamKind::Source,
            chunk: 1,
            chunks: 1,
            bytes: 1,
            code: "complete".into(),
            message: String::new(),
        }),
        E::PackedFinished(PackedFinished { change_chunk: None, ..finished.clone() }),
        E::PackedFinished(finished),
        E::RelayLingers(RelayLingers {
            game: game.clone(),
            follower: name(),
            chunk: 1,
            chunks: 2,
            most_ms: 1,
        }),
        E::GapFilled(GapFilled { game: game.clone(), chunk: 1, chunks: 1 }),
        E::RelayBegin(RelayBegin { game: game.clone(), follower: name(), chunk: 0 }),
        E::RelayEnd(RelayEnd {
            game: game.clone(),
            follower: name(),
            chunks: 1,
            bytes: 1,
            outcome: "complete".into(),
        }),
    ]
}

pub(super) fn waves() -> Vec<WaveStatus> {
    vec![WaveStatus { game: game(), version: version(), receivers: 2, chunk: 1, chunks: 2 }]
}

pub(super) fn relays() -> Vec<RelayStatus> {
    let relay = RelayStatus {
        game: game(),
        version: version(),
        position: 1,
        places: 2,
        slowest: Some(slowest()),
        brought: BytesByKind::default(),
        follower: Some(name()),
        chunk: 1,
        chunks: 2,
    };
    vec![RelayStatus { follower: None, slowest: None, ..relay.clone() }, relay]
}

fn slowest() -> SlowestReceiver {
    SlowestReceiver { peer: name(), bytes_per_second: 1 }
}

pub(super) fn waiting_receivers() -> Vec<WaitingReceiver> {
    vec![WaitingReceiver { peer: name(), game: game() }]
}

pub(super) fn planned() -> PlannedUpstream {
    PlannedUpstream { upstream: "pc".to_owned(), kind: UpstreamKind::Source }
}
