use lanspread_proto::activity::{GameWork, WorkKind, WorkStep};

use super::*;
use crate::room::changes::{RoomDifference, difference};
use crate::room::known::OurSeat;
use crate::room::memory::RoomPeer;

pub(crate) fn game() -> GameId {
    "g".parse().unwrap()
}

pub(crate) fn seat(id: PeerId, name: &str) -> RoomSeat {
    told_seat(id, &name.parse().unwrap(), ([10, 0, 0, 1], 4107).into(), &ActivityHead::default())
}

pub(crate) fn receives(to: PeerId, from: PeerId, rate: u64) -> RoomCell {
    let mut cell = RoomCell::of_nothing(to, game());
    (cell.state, cell.source, cell.bytes_per_second) = (CellState::Streaming, Some(from), Some(rate));
    cell
}

fn id(number: u8) -> PeerId {
    [number; 16].into()
}

fn has(installed: Option<&str>, downloaded: Option<&str>) -> GameActivity {
    let version = |version: &str| version.parse().unwrap();
    GameActivity {
        installed: installed.is_some(),
        installed_version: installed.map(version),
        downloaded_version: downloaded.map(version),
        ..GameActivity::gone(game())
    }
}

fn streams(from: PeerId, bytes: u64, rate: Option<u64>) -> GameActivity {
    let work = GameWork {
        operation: 1,
        kind: WorkKind::StreamInstall,
        step: WorkStep::Streaming,
        bytes: Some(bytes),
        bytes_total: Some(100),
        bytes_per_second: rate,
        source: Some(from),
        position: None,
        attempt: None,
        waiting_for: None,
        ahead: None,
    };
    GameActivity { work: Some(work), ..GameActivity::gone(game()) }
}

fn other(name: &str, games: Vec<GameActivity>, heard: Instant) -> RoomPeer {
    RoomPeer {
        name: name.parse().unwrap(),
        address: ([10, 0, 0, 2], 4107).into(),
        heard,
        is_lost: false,
        accepts: true,
        head: ActivityHead { free_bytes: Some(50), ..ActivityHead::default() },
        games: games.into_iter().map(|game| (game.game.clone(), game)).collect(),
    }
}

/// A den that offers the game in version 2, and these seats.
fn room(seats: Vec<(u8, RoomPeer)>) -> Known {
    let ours = OurSeat {
        id: id(1),
        name: "den".parse().unwrap(),
        address: ([10, 0, 0, 1], 4107).into(),
        head: ActivityHead::default(),
        games: vec![has(None, Some("2"))],
    };
    let offer = RoomOffer { peer: id(1), version: "2".parse().unwrap(), bytes: 30 };
    Known {
        ours,
        others: seats.into_iter().map(|(number, peer)| (id(number), peer)).collect(),
        offers: [(game(), vec![offer])].into(),
        catalog: BTreeMap::new(),
        wanted: None,
        duplicates: BTreeSet::new(),
    }
}

fn of(known: &Known, now: Instant) -> Room {
    view(known, &mut SlowLinks::default(), now)
}

#[test]
fn the_room_says_who_is_ready_who_is_not_and_when() {
    let now = Instant::now();
    let room = of(
        &room(vec![
            (2, other("seat-2", vec![has(Some("2"), None)], now)),
            (3, other("seat-10", vec![streams(id(1), 40, Some(6))], now)),
            (4, other("seat-3", vec![streams(id(3), 10, Some(3))], now)),
            (5, other("seat-4", Vec::new(), now)),
        ]),
        now,
    );
    let names: Vec<&str> = room.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["den", "seat-2", "seat-3", "seat-4", "seat-10"]);
    let seats: Vec<bool> = room.peers.iter().map(|peer| peer.seat).collect();
    assert_eq!(seats, [false, true, true, true, true], "a peer that only has archives is no seat");
    let summary = room.summary;
    assert_eq!((summary.ready, summary.seats), (1, 4));
    assert_eq!((summary.slowest, summary.seconds_left), (Some(id(4)), Some(30)));
    assert_eq!(summary.bytes_per_second, Some(9));
    let links: Vec<(u64, PeerId, PeerId)> =
        room.links.iter().map(|link| (link.hop, link.from, link.to)).collect();
    assert_eq!(links, [(1, id(1), id(3)), (2, id(3), id(4))]);
    let of_seat = |peer| room.cells.iter().find(|cell| cell.peer == peer).map(|cell| cell.state);
    assert_eq!(of_seat(id(5)), Some(CellState::Absent), "it is wanted, because others have it");
    assert_eq!(of_seat(id(1)), Some(CellState::Downloaded));
    assert_eq!(room.peers[4].send_bytes_per_second, Some(3));
}

#[test]
fn a_list_of_games_says_what_is_wanted_and_in_which_version() {
    let now = Instant::now();
    let mut known = room(vec![(2, other("seat", vec![has(Some("2"), None)], now))]);
    known.wanted = Some([("other".parse().unwrap(), None)].into());
    let none_has_it = of(&known, now);
    assert_eq!((none_has_it.summary.ready, none_has_it.summary.seats), (0, 1));
    assert_eq!(none_has_it.games[0].game.as_str(), "other", "wanted games come first");
    known.wanted = Some([(game(), Some("3".parse().unwrap()))].into());
    let pinned = of(&known, now);
    assert_eq!(pinned.games[0].version.as_ref().unwrap().as_str(), "3");
    let cell = pinned.cells.iter().find(|cell| cell.peer == id(2)).unwrap();
    assert_eq!(cell.state, CellState::Outdated);
}

#[test]
fn a_peer_that_is_silent_or_lost_needs_somebody() {
    let (begin, installed) = (Instant::now(), has(Some("2"), None));
    let mut known = room(vec![(2, other("seat", vec![installed], begin))]);
    let later = begin + limits::SILENT_AFTER + std::time::Duration::from_secs(1);
    let silent = of(&known, later);
    assert_eq!(silent.peers[1].state, SeatState::Silent);
    assert_eq!((silent.peers[1].silent_ms, silent.peers[1].ready), (Some(11_000), false));
    assert!(!silent.peers[1].accepts);
    let told = |room: &Room| -> Vec<(String, PeerId)> {
        room.warnings.iter().map(|warning| (warning.code.to_string(), warning.peer)).collect()
    };
    assert_eq!(told(&silent), [("no-word".to_owned(), id(2))]);
    known.others.get_mut(&id(2)).unwrap().is_lost = true;
    let lost = of(&known, begin);
    assert_eq!((lost.summary.problems, lost.cells[1].state), (1, CellState::Unknown));
    assert_eq!(told(&lost), told(&silent), "once, however many games it has");
}

#[test]
fn a_stalled_seat_has_no_time_left_and_a_full_disk_is_warned_of() {
    let now = Instant::now();
    let mut known = room(vec![
        (2, other("seat-1", vec![streams(id(1), 40, Some(0))], now)),
        (3, other("seat-2", Vec::new(), now)),
    ]);
    let listed = KnownGame { unpacked_bytes: Some(60), ..KnownGame::default() };
    known.catalog.insert(game(), listed);
    let room = of(&known, now);
    assert_eq!(room.summary.seconds_left, None);
    let warnings: Vec<(&str, PeerId)> =
        room.warnings.iter().map(|warning| (&*warning.code, warning.peer)).collect();
    assert_eq!(warnings, [("low-disk", id(3))]);
}

#[test]
fn names_are_sorted_as_people_do_and_no_number_is_too_long() {
    let mut names = ["seat-10", "seat-2", "Seat-1", "99999999999999999999999999", "seat-2b", "seat"];
    names.sort_by_key(|name| natural(name));
    assert_eq!(names, ["99999999999999999999999999", "Seat-1", "seat", "seat-2", "seat-2b", "seat-10"]);
}

#[test]
fn a_reader_is_told_what_has_changed_and_everything_if_something_is_gone() {
    let now = Instant::now();
    let before = of(&room(vec![(2, other("seat", vec![streams(id(1), 40, Some(6))], now))]), now);
    assert!(matches!(difference(&before, &before), RoomDifference::None));
    let after = of(&room(vec![(2, other("seat", vec![has(Some("2"), None)], now))]), now);
    let RoomDifference::Changes(changes) = difference(&before, &after) else { panic!() };
    let told = (changes.cells.len(), changes.peers.len(), changes.games.len());
    assert_eq!(told, (1, 2, 0), "the seat is ready, and the den sends nothing any more");
    assert_eq!(changes.links, Some(Vec::new()));
    assert_eq!(changes.warnings, None);
    let mut read = before.clone();
    read.apply(*changes);
    assert_eq!(read, after);
    let alone = of(&room(Vec::new()), now);
    assert!(matches!(difference(&before, &alone), RoomDifference::Everything));
}

#[test]
fn a_reader_forgets_a_game_that_is_neither_there_nor_wanted_any_more() {
    let now = Instant::now();
    let seats = |games| room(vec![(2, other("seat", games, now))]);
    for is_wanted in [true, false] {
        let of = |games| {
            let mut known = seats(games);
            let wanted = if is_wanted { game() } else { "other".parse().unwrap() };
            known.wanted = Some([(wanted, None)].into());
            of(&known, now)
        };
        let (mut read, after) = (of(vec![has(Some("2"), None)]), of(Vec::new()));
        let RoomDifference::Changes(changes) = difference(&read, &after) else { panic!() };
        assert!(changes.cells.iter().any(|cell| cell.peer == id(2) && cell.state == CellState::Absent));
        read.apply(*changes);
        assert_eq!(read, after, "wanted: {is_wanted}");
    }
}
