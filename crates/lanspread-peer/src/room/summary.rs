//! The room in numbers, and what is odd in it. Pure.

use lanspread_types::ids::{GameId, PeerId};

use crate::report::room::{
    CellState, RoomCell, RoomGame, RoomLink, RoomSeat, RoomSummary, RoomWarning, SeatState,
};
use crate::room::cells::{is_problem, is_ready};
use crate::room::known::Known;

/// The numbers that an organiser looks at first.
pub(crate) fn summary(peers: &[RoomSeat], cells: &[RoomCell], warnings: &[RoomWarning]) -> RoomSummary {
    let seats = || peers.iter().filter(|peer| peer.seat);
    let slowest = seats().filter(|seat| seat.seconds_left.is_some()).max_by_key(|seat| seat.seconds_left);
    let problems = cells.iter().filter(|cell| is_problem(cell.state)).count() + warnings.len();
    RoomSummary {
        ready: seats().filter(|seat| seat.ready).count() as u64,
        seats: seats().count() as u64,
        problems: problems as u64,
        seconds_left: slowest.and_then(|seat| seat.seconds_left),
        slowest: slowest.map(|seat| seat.peer),
        bytes_per_second: peers
            .iter()
            .filter_map(|peer| peer.receive_bytes_per_second)
            .reduce(u64::saturating_add),
    }
}

/// What is odd and no failure.
pub(crate) fn warnings(
    peers: &[RoomSeat],
    games: &[RoomGame],
    cells: &[RoomCell],
    links: &[RoomLink],
    known: &Known,
) -> Vec<RoomWarning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &'static str, peer: PeerId, game: Option<&GameId>, message: String| {
        warnings.push(RoomWarning { code: code.into(), peer, game: game.cloned(), message, hint: None });
    };
    // One for each peer, however many games it has: others have to be seen beside them.
    for peer in peers.iter().filter(|peer| peer.state != SeatState::Here) {
        warn("no-word", peer.peer, None, "no word from it: what it does now is not known".to_owned());
    }
    let ours = &known.ours.head.program;
    for peer in peers.iter().filter(|peer| peer.state != SeatState::Lost) {
        if known.duplicates.contains(&peer.peer) {
            let message = "two machines have the identity of this one: a state directory was copied";
            warn("duplicate-identity", peer.peer, None, message.to_owned());
        }
        if let Some(version) = peer.version.as_ref().filter(|version| *version != ours) {
            warn(
                "other-version",
                peer.peer,
                None,
                format!("it runs version {version}, and {ours} runs here"),
            );
        }
    }
    for cell in cells.iter().filter(|cell| cell.state == CellState::Absent && !is_ready(cell)) {
        let game = games.iter().find(|game| game.game == cell.game && game.wanted);
        let seat = peers.iter().find(|peer| peer.peer == cell.peer && peer.state == SeatState::Here);
        let needed = game.and_then(|game| game.unpacked_bytes.or(game.bytes));
        if let (Some(needed), Some(free)) = (needed, seat.and_then(|seat| seat.free_bytes))
            && free < needed
        {
            let message =
                format!("{} needs {}, and {} are free", cell.game, mebibytes(needed), mebibytes(free));
            warn("low-disk", cell.peer, Some(&cell.game), message);
        }
    }
    for link in links.iter().filter(|link| link.slow) {
        let rate = link.bytes_per_second.unwrap_or_default();
        let rate = mebibytes(rate);
        let message = format!("it gets {rate} a second, less than half of what reaches its sender");
        warn("slow-link", link.to, Some(&link.game), message);
    }
    warnings
}

/// A size for people, with one decimal.
fn mebibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(mebibytes(11_800_000), "11.2 MiB");
        assert_eq!(mebibytes(0), "0.0 MiB");
        assert_eq!(mebibytes(u64::MAX), "17592186044415.9 MiB");
    }
}
