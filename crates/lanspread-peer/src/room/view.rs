//! Makes the room of what this peer knows. Pure: what was told and the time in, the room out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_types::ids::{GameId, GameVersion, PeerId, PeerName};
use lanspread_types::limits;
use tokio::time::Instant;

use crate::report::room::{CellState, Room, RoomCell, RoomGame, RoomSeat, SeatState};
use crate::room::cells::{cell, is_ready, is_work};
use crate::room::known::{Known, KnownGame, RoomOffer};
pub(crate) use crate::room::links::SlowLinks;
use crate::room::links::links;
use crate::room::summary::{summary, warnings};

/// A peer and what it tells, whether it is this one or another.
struct Seat<'k> {
    seat: RoomSeat,
    games: BTreeMap<&'k GameId, &'k GameActivity>,
}

/// The room; its operations, and what else only this peer knows, are left to the caller.
pub(crate) fn view(known: &Known, slow: &mut SlowLinks, now: Instant) -> Room {
    let seats = seats(known, now);
    let games = games(known, &seats);
    let wanted: Vec<&RoomGame> = games.iter().filter(|game| game.wanted).collect();
    let mut cells = Vec::new();
    let mut peers = Vec::new();
    for Seat { mut seat, games: told } in seats {
        let state = seat.state;
        let of = |game: &RoomGame| {
            let told = told.get(&game.game).copied();
            let is_said = game.wanted || told.is_some();
            is_said.then(|| cell(seat.peer, game, told, state))
        };
        let own: Vec<RoomCell> = games.iter().filter_map(of).collect();
        let is_working = |cell: &RoomCell| is_work(cell.state);
        let wants = |cell: &&RoomCell| wanted.iter().any(|game| game.game == cell.game);
        seat.seat = is_seat(&told);
        seat.games_wanted = wanted.len() as u64;
        seat.games_ready = own.iter().filter(wants).filter(|cell| is_ready(cell)).count() as u64;
        seat.ready = seat.state == SeatState::Here && seat.games_ready == seat.games_wanted;
        let missing: Vec<&RoomCell> = own.iter().filter(wants).filter(|cell| !is_ready(cell)).collect();
        let is_stuck = missing.iter().any(|cell| !is_working(cell) || cell.seconds_left.is_none());
        seat.seconds_left = missing.iter().filter_map(|cell| cell.seconds_left).max().filter(|_| !is_stuck);
        let rates = own.iter().filter(|cell| cell.source.is_some()).filter_map(|cell| cell.bytes_per_second);
        seat.receive_bytes_per_second = rates.reduce(u64::saturating_add);
        let is_told = |cell: &RoomCell| {
            cell.state != CellState::Absent || wanted.iter().any(|game| game.game == cell.game)
        };
        // A peer that is no seat lacks nothing.
        let is_told = |cell: &RoomCell| is_told(cell) && (seat.seat || cell.state != CellState::Absent);
        cells.extend(own.into_iter().filter(is_told));
        peers.push(seat);
    }
    let links = links(&cells, &peers, slow, now);
    for peer in &mut peers {
        let sent = links.iter().filter(|link| link.from == peer.peer);
        peer.send_bytes_per_second =
            sent.filter_map(|link| link.bytes_per_second).reduce(u64::saturating_add);
    }
    let warnings = warnings(&peers, &games, &cells, &links, known);
    let summary = summary(&peers, &cells, &warnings);
    Room { self_peer: Some(known.ours.id), peers, games, cells, links, warnings, summary, ..Room::default() }
}

/// Whether a peer is a seat: it has something installed, works on it or has failed, or it has nothing at all. One that only has
/// archives is a source.
fn is_seat(games: &BTreeMap<&GameId, &GameActivity>) -> bool {
    let plays = |game: &&GameActivity| game.installed || game.work.is_some() || game.failure.is_some();
    games.values().any(plays) || !games.values().any(|game| game.downloaded_version.is_some())
}

fn seats(known: &Known, now: Instant) -> Vec<Seat<'_>> {
    let ours = &known.ours;
    let mut seats = vec![Seat {
        seat: told_seat(ours.id, &ours.name, ours.address, &ours.head),
        games: ours.games.iter().map(|game| (&game.game, game)).collect(),
    }];
    for (id, peer) in &known.others {
        let mut seat = told_seat(*id, &peer.name, peer.address, &peer.head);
        let silent = now.saturating_duration_since(peer.heard);
        seat.state = if peer.is_lost {
            SeatState::Lost
        } else if silent > limits::SILENT_AFTER {
            SeatState::Silent
        } else {
            SeatState::Here
        };
        // In steps of a second, so that it is no change each time.
        seat.silent_ms = (seat.state != SeatState::Here).then(|| silent.as_secs() * 1000);
        seat.accepts = peer.accepts && seat.state == SeatState::Here;
        seats.push(Seat { seat, games: peer.games.iter().collect() });
    }
    seats.sort_by(|one, other| {
        let key = |seat: &Seat<'_>| (natural(seat.seat.name.as_str()), seat.seat.peer);
        key(one).cmp(&key(other))
    });
    seats
}

fn told_seat(peer: PeerId, name: &PeerName, addr: SocketAddr, head: &ActivityHead) -> RoomSeat {
    RoomSeat {
        peer,
        name: name.clone(),
        addr,
        version: Some(head.program.clone()).filter(|program| !program.is_empty()),
        state: SeatState::Here,
        silent_ms: None,
        free_bytes: head.free_bytes,
        receive_bytes_per_second: None,
        send_bytes_per_second: None,
        streams: head.transfers.into(),
        streams_max: head.transfers_max.into(),
        accepts: false,
        seat: false,
        games_ready: 0,
        games_wanted: 0,
        ready: false,
        seconds_left: None,
    }
}

/// The parts of a name between its numbers, and these as numbers: `seat-2` comes before `seat-10`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0_u64)];
    let mut in_number = false;
    for character in name.chars() {
        let digit = character.to_digit(10);
        if in_number && digit.is_none() {
            parts.push((String::new(), 0));
        }
        in_number = digit.is_some();
        if let Some((text, number)) = parts.last_mut() {
            match digit {
                Some(digit) => *number = number.saturating_mul(10).saturating_add(digit.into()),
                None => text.push(character),
            }
        }
    }
    parts
}

/// Every game that is known, the wanted ones first, then by id.
fn games(known: &Known, seats: &[Seat<'_>]) -> Vec<RoomGame> {
    let mut ids: BTreeSet<&GameId> = known.offers.keys().collect();
    ids.extend(seats.iter().flat_map(|seat| seat.games.keys().copied()));
    ids.extend(known.wanted.iter().flat_map(BTreeMap::keys));
    let is_played = |game: &GameId| {
        let told = seats.iter().filter_map(|seat| seat.games.get(game));
        told.into_iter().any(|told| told.installed || told.work.is_some())
    };
    let mut games: Vec<RoomGame> = ids
        .into_iter()
        .map(|id| {
            let nothing = KnownGame::default();
            let listed = known.catalog.get(id).unwrap_or(&nothing);
            let offers = known.offers.get(id).map_or(&[][..], Vec::as_slice);
            let pinned = known.wanted.as_ref().and_then(|wanted| wanted.get(id)).cloned().flatten();
            let version = pinned.or_else(|| listed.version.clone()).or_else(|| most_offered(offers));
            let of_version = offers.iter().filter(|offer| version.as_ref() == Some(&offer.version));
            RoomGame {
                game: id.clone(),
                title: listed.title.clone().unwrap_or_else(|| id.to_string()),
                bytes: listed.bytes.or_else(|| of_version.clone().map(|offer| offer.bytes).next()),
                unpacked_bytes: listed.unpacked_bytes,
                wanted: known.wanted.as_ref().map_or_else(|| is_played(id), |wanted| wanted.contains_key(id)),
                peers: of_version.map(|offer| offer.peer).collect(),
                version,
            }
        })
        .collect();
    games.sort_by_key(|game| (!game.wanted, game.game.clone()));
    games.truncate(limits::ROOM_GAMES_MAX);
    games
}

/// The version that most peers offer; of several, the greatest as text.
fn most_offered(offers: &[RoomOffer]) -> Option<GameVersion> {
    let mut counts: BTreeMap<&GameVersion, usize> = BTreeMap::new();
    for offer in offers {
        *counts.entry(&offer.version).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(version, count)| (*count, *version)).map(|(version, _)| version.clone())
}

#[cfg(test)]
pub(crate) mod tests;
