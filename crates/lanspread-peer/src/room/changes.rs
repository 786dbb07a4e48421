//! What differs between two states of a room. Pure.

use std::collections::BTreeMap;

use lanspread_types::ids::{GameId, PeerId};

use crate::report::room::{Room, RoomCell, RoomChanges};

/// What a reader that knows `before` has to be told to know `after`. If a peer or a game has come or gone, it is told
/// everything, so that it need not know their order.
pub(crate) enum RoomDifference {
    None,
    Changes(Box<RoomChanges>),
    Everything,
}

/// Compares two states of a room.
pub(crate) fn difference(before: &Room, after: &Room) -> RoomDifference {
    let peers = |room: &Room| room.peers.iter().map(|peer| peer.peer).collect::<Vec<_>>();
    let games = |room: &Room| room.games.iter().map(|game| game.game.clone()).collect::<Vec<_>>();
    if peers(before) != peers(after)
        || games(before) != games(after)
        || before.looking.is_some() != after.looking.is_some()
    {
        return RoomDifference::Everything;
    }
    let new = |is_same: bool| !is_same;
    let mut changes = RoomChanges {
        seq: after.seq,
        peers: after.peers.iter().filter(|peer| new(before.peers.contains(peer))).cloned().collect(),
        games: after.games.iter().filter(|game| new(before.games.contains(game))).cloned().collect(),
        cells: changed_cells(&before.cells, &after.cells),
        links: (before.links != after.links).then(|| after.links.clone()),
        operations: (before.operations != after.operations).then(|| after.operations.clone()),
        warnings: (before.warnings != after.warnings).then(|| after.warnings.clone()),
        summary: (before.summary != after.summary).then_some(after.summary),
    };
    let seq = std::mem::take(&mut changes.seq);
    if changes == RoomChanges::default() {
        return RoomDifference::None;
    }
    changes.seq = seq;
    RoomDifference::Changes(Box::new(changes))
}

/// Cells that are new or different, and those that are no longer told, as absent ones.
fn changed_cells(before: &[RoomCell], after: &[RoomCell]) -> Vec<RoomCell> {
    let mut known: BTreeMap<(PeerId, &GameId), &RoomCell> =
        before.iter().map(|cell| ((cell.peer, &cell.game), cell)).collect();
    let mut changed = Vec::new();
    for cell in after {
        if known.remove(&(cell.peer, &cell.game)) != Some(cell) {
            changed.push(cell.clone());
        }
    }
    changed.extend(known.into_values().map(|gone| RoomCell::of_nothing(gone.peer, gone.game.clone())));
    changed
}
