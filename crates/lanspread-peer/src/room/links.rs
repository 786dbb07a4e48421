//! Who sends which game to whom, and which of these links is slow. Pure; the links that were slow before are remembered by the
//! caller.

use std::collections::BTreeMap;

use lanspread_types::ids::{GameId, PeerId};
use lanspread_types::limits;
use tokio::time::Instant;

use crate::report::room::{CellState, LinkKind, RoomCell, RoomLink, RoomSeat};

/// A link: which game, from whom, to whom.
type LinkKey = (GameId, PeerId, PeerId);

/// Since when links have brought less than half of what reaches their sender.
#[derive(Debug, Default)]
pub(crate) struct SlowLinks(BTreeMap<LinkKey, Instant>);

/// All links, by game and distance from a source.
pub(crate) fn links(
    cells: &[RoomCell],
    peers: &[RoomSeat],
    slow: &mut SlowLinks,
    now: Instant,
) -> Vec<RoomLink> {
    let receiving: BTreeMap<(&GameId, PeerId), &RoomCell> = cells
        .iter()
        .filter(|cell| cell.source.is_some() && cell.state != CellState::Waiting)
        .map(|cell| ((&cell.game, cell.peer), cell))
        .collect();
    let is_of_room = |peer: PeerId| peers.iter().any(|seat| seat.peer == peer);
    let mut links: Vec<RoomLink> = receiving
        .values()
        .filter_map(|cell| {
            let from = cell.source.filter(|from| is_of_room(*from))?;
            let is_download = cell.state == CellState::Downloading;
            Some(RoomLink {
                game: cell.game.clone(),
                from,
                to: cell.peer,
                kind: if is_download { LinkKind::Download } else { LinkKind::Stream },
                hop: hop(&receiving, cell, peers.len()),
                bytes: cell.bytes,
                bytes_total: cell.bytes_total,
                bytes_per_second: cell.bytes_per_second,
                slow: false,
            })
        })
        .collect();
    links.sort_by(|one, other| {
        (&one.game, one.hop, one.from, one.to).cmp(&(&other.game, other.hop, other.from, other.to))
    });
    slow.judge(&mut links, &receiving, now);
    links
}

/// How many links there are from a peer that has the game: a sender that receives it itself is a relay. What peers tell may
/// form a circle, so no more than `most` are counted.
fn hop(receiving: &BTreeMap<(&GameId, PeerId), &RoomCell>, cell: &RoomCell, most: usize) -> u64 {
    let mut hops = 1;
    let mut sender = cell.source;
    while let Some(relay) = sender.and_then(|sender| receiving.get(&(&cell.game, sender))) {
        if hops >= most as u64 {
            break;
        }
        hops += 1;
        sender = relay.source;
    }
    hops
}

impl SlowLinks {
    /// Marks the links that have been slow for a while.
    fn judge(
        &mut self,
        links: &mut [RoomLink],
        receiving: &BTreeMap<(&GameId, PeerId), &RoomCell>,
        now: Instant,
    ) {
        let mut since = BTreeMap::new();
        for link in links.iter_mut() {
            let reaches_sender =
                receiving.get(&(&link.game, link.from)).and_then(|cell| cell.bytes_per_second);
            let comes = link.bytes_per_second;
            let (Some(reaches), Some(comes)) = (reaches_sender, comes) else { continue };
            if comes >= reaches / 2 {
                continue;
            }
            let key = (link.game.clone(), link.from, link.to);
            let begun = self.0.get(&key).copied().unwrap_or(now);
            link.slow = now.duration_since(begun) >= limits::SLOW_LINK_SPAN;
            since.insert(key, begun);
        }
        self.0 = since;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::room::view::tests::{game, receives, seat};

    fn id(number: u8) -> PeerId {
        [number; 16].into()
    }

    #[test]
    fn a_chain_is_told_from_its_source_on_and_a_circle_ends() {
        let seats: Vec<RoomSeat> = (1..=4).map(|number| seat(id(number), "pc")).collect();
        let cells = [receives(id(3), id(2), 9), receives(id(2), id(1), 9), receives(id(4), id(3), 9)];
        let hops = |cells: &[RoomCell]| {
            let links = links(cells, &seats, &mut SlowLinks::default(), Instant::now());
            links.iter().map(|link| (link.hop, link.to)).collect::<Vec<_>>()
        };
        assert_eq!(hops(&cells), [(1, id(2)), (2, id(3)), (3, id(4))]);
        let circle = [receives(id(2), id(3), 9), receives(id(3), id(2), 9)];
        assert_eq!(hops(&circle).len(), 2);
        let from_a_stranger = [receives(id(2), id(9), 9)];
        assert_eq!(hops(&from_a_stranger), [], "a peer that is not of the room");
    }

    #[test]
    fn a_link_is_slow_if_half_of_what_reaches_its_sender_does_not_come_for_a_while() {
        let seats: Vec<RoomSeat> = (1..=3).map(|number| seat(id(number), "pc")).collect();
        let (mut slow, begin) = (SlowLinks::default(), Instant::now());
        let mut is_slow = |rate, after: Duration| {
            let cells = [receives(id(2), id(1), 100), receives(id(3), id(2), rate)];
            links(&cells, &seats, &mut slow, begin + after).iter().any(|link| link.slow)
        };
        let span = limits::SLOW_LINK_SPAN;
        assert!(!is_slow(40, Duration::ZERO));
        assert!(!is_slow(40, span / 2));
        assert!(is_slow(40, span));
        assert!(!is_slow(50, span), "half is enough");
        assert!(!is_slow(40, span * 2), "and it begins again");
        assert_eq!(game().as_str(), "g");
    }
}
