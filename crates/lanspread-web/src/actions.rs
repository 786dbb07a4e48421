//! What is possible with a game on some peers, what it needs, and why not. Pure, from the room.

use lanspread_peer::{
    CellState, GameVersion, OperationKind, PeerId, Room, RoomCell, RoomGame, RoomSeat, SeatState,
};
use serde::Serialize;

use crate::commands::{Commands, OWN_ONLY};
use crate::daemon::{ActionsAsked, Planned};
use crate::refusal::WebRefusal;

/// One thing that can be done, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Action {
    kind: &'static str,
    /// What it does, in one line.
    message: String,
    /// Why not; none if it is possible on one of the peers at least.
    reason: Option<String>,
    /// Where it is possible.
    peers: Vec<PeerId>,
    /// Where it is not, if it is possible elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<NotThere>,
    /// Disk that it takes on each of the peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    needed_bytes: Option<u64>,
    /// Disk that is free where the least is.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_bytes: Option<u64>,
}

impl Action {
    /// What the daemon can be asked about beforehand, if nothing that the room knows is against it. A comparison and a repair
    /// would read the whole game for the answer.
    pub(crate) fn to_plan(&self) -> Option<OperationKind> {
        match self.kind {
            _ if self.reason.is_some() => None,
            "stream-install" => Some(OperationKind::StreamInstall),
            "download" => Some(OperationKind::Download),
            "install" => Some(OperationKind::Install),
            "update" => Some(OperationKind::Update),
            _ => None,
        }
    }

    /// Takes over what the machine says about it that would do it, which counts more than what the room knows.
    pub(crate) fn planned(&mut self, plan: &Result<Planned, WebRefusal>) {
        let refused = match plan {
            Ok(plan) => {
                self.needed_bytes = plan.needed_bytes.or(self.needed_bytes);
                self.free_bytes = self.needed_bytes.map(|_| plan.free_bytes);
                match self.kind {
                    "stream-install" => self.message = writes(plan.bytes),
                    "install" => self.message = unpacks(plan.bytes),
                    _ => {}
                }
                let nothing = (!plan.changed).then(|| "nothing would change".to_owned());
                nothing.or_else(|| (plan.fits == Some(false)).then(|| too_little(plan)))
            }
            // It had no time to look, which says nothing.
            Err(refusal) if refusal.code == "busy" => None,
            Err(refusal) => Some(refusal.message.clone()),
        };
        if refused.is_some() {
            self.reason = refused;
            self.peers.clear();
        }
    }
}

fn writes(unpacked: Option<u64>) -> String {
    format!("Writes {}. The archive is not kept, so it cannot be shared.", size_or(unpacked))
}

fn unpacks(unpacked: Option<u64>) -> String {
    format!("Unpacks the archive that is here, {}.", size_or(unpacked))
}

fn too_little(plan: &Planned) -> String {
    match plan.needed_bytes.and_then(|needed| needed.checked_sub(plan.free_bytes)) {
        Some(missing @ 1..) => format!("{} more disk is needed", size(missing)),
        _ => "the disk has no room for so many files".to_owned(),
    }
}

/// A peer on which something is not possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct NotThere {
    peer: PeerId,
    /// Why not.
    message: String,
}

/// A game on one peer.
struct Place<'a> {
    peer: &'a RoomSeat,
    game: &'a RoomGame,
    cell: Option<&'a RoomCell>,
    is_own: bool,
    allowed: Commands,
}

impl Place<'_> {
    fn state(&self) -> CellState {
        self.cell.map_or(CellState::Absent, |cell| cell.state)
    }

    fn is_installed(&self) -> bool {
        matches!(self.state(), CellState::Installed | CellState::Outdated | CellState::Damaged)
    }

    fn has_archive(&self) -> bool {
        self.cell.is_some_and(|cell| cell.shareable)
    }

    fn is_busy(&self) -> bool {
        use CellState as S;
        matches!(
            self.state(),
            S::Waiting
                | S::Streaming
                | S::Downloading
                | S::Installing
                | S::Updating
                | S::Verifying
                | S::Repairing
        )
    }

    fn sources(&self) -> usize {
        self.game.peers.iter().filter(|source| **source != self.peer.peer).count()
    }

    /// Why nothing at all can be started here.
    fn closed(&self) -> Option<String> {
        if self.peer.state != SeatState::Here {
            Some("it does not answer".to_owned())
        } else if !self.is_own && self.allowed != Commands::Room {
            Some(OWN_ONLY.to_owned())
        } else if !self.is_own && !self.peer.accepts {
            Some("it does not accept installs from this daemon".to_owned())
        } else if self.is_busy() {
            Some("it is busy with this game".to_owned())
        } else {
            None
        }
    }

    fn lacks(&self, needed: Option<u64>) -> Option<String> {
        let (needed, free) = (needed?, self.peer.free_bytes?);
        let missing = needed.checked_sub(free).filter(|missing| *missing > 0)?;
        Some(format!("{} more disk is needed", size(missing)))
    }

    fn without_source(&self) -> Option<String> {
        (self.sources() == 0).then(|| "no other peer offers it".to_owned())
    }

    /// Why this cannot be done here; none if it can.
    fn reason(&self, kind: &str) -> Option<String> {
        let no = |is_so: bool, reason: &str| is_so.then(|| reason.to_owned());
        if kind == "cancel" {
            let is_running = self.is_busy() && self.cell.is_some_and(|cell| cell.operation.is_some());
            return no(!is_running, "nothing runs")
                .or_else(|| no(!self.is_own, "only that machine can cancel it"));
        }
        self.closed().or_else(|| match kind {
            "stream-install" => no(self.is_installed(), "it is installed")
                .or_else(|| no(self.has_archive(), "its archive is here: unpack it"))
                .or_else(|| self.without_source())
                .or_else(|| self.lacks(self.game.unpacked_bytes)),
            "download" => no(self.has_archive(), "its archive is here")
                .or_else(|| self.without_source())
                .or_else(|| self.lacks(self.game.bytes)),
            "install" => no(self.is_installed(), "it is installed")
                .or_else(|| no(!self.has_archive(), "its archive is not here"))
                .or_else(|| self.lacks(self.game.unpacked_bytes)),
            "update" => no(!self.is_installed(), "it is not installed")
                .or_else(|| no(self.state() != CellState::Outdated, "no newer version is wanted"))
                .or_else(|| self.without_source()),
            "verify" => no(!self.is_installed() && !self.has_archive(), "it is not here"),
            _ => no(self.state() != CellState::Damaged, "no damage is known: verify it first"),
        })
    }
}

/// The actions of the page, the ones that bring a game first.
pub(crate) fn actions(room: &Room, asked: &ActionsAsked, allowed: Commands) -> Vec<Action> {
    let Some(game) = room.games.iter().find(|game| game.game == asked.game) else { return Vec::new() };
    let places: Vec<_> = asked.peers.iter().filter_map(|peer| place(room, game, *peer, allowed)).collect();
    let Some(first) = places.first() else { return Vec::new() };
    let (packed, unpacked) = (game.bytes, game.unpacked_bytes);
    let old = first.cell.and_then(|cell| cell.version.as_ref()).map_or("that is there", GameVersion::as_str);
    let new = game.version.as_ref().map_or("the newest one", GameVersion::as_str);
    let offered = [
        ("stream-install", writes(unpacked), unpacked),
        (
            "download",
            format!("Fetches the archive ({}) from {}, and shares it.", size_or(packed), sources(first)),
            packed,
        ),
        ("install", unpacks(unpacked), unpacked),
        ("update", format!("Replaces version {old} by {new}."), None),
        ("verify", "Reads every file and compares it with what was installed.".to_owned(), None),
        ("repair", "Fetches what differs, and nothing else.".to_owned(), None),
        ("cancel", "Ends what runs.".to_owned(), None),
    ];
    let free = places.iter().filter_map(|place| place.peer.free_bytes).min();
    let action = |(kind, message, needed_bytes): (&'static str, String, Option<u64>)| {
        let not_there =
            |place: &Place<'_>| Some(NotThere { peer: place.peer.peer, message: place.reason(kind)? });
        let mut refused: Vec<_> = places.iter().filter_map(not_there).collect();
        let is_refused = |peer: &PeerId| refused.iter().any(|place| place.peer == *peer);
        let peers: Vec<_> =
            places.iter().map(|place| place.peer.peer).filter(|peer| !is_refused(peer)).collect();
        let reason = refused.first().filter(|_| peers.is_empty()).map(|first| match places.len() {
            1 => first.message.clone(),
            _ => format!("{}: {}", places[0].peer.name, first.message),
        });
        if reason.is_some() {
            refused.clear();
        }
        Action { kind, message, reason, peers, refused, needed_bytes, free_bytes: needed_bytes.and(free) }
    };
    offered.into_iter().map(action).collect()
}

fn place<'a>(room: &'a Room, game: &'a RoomGame, peer: PeerId, allowed: Commands) -> Option<Place<'a>> {
    let cell = room.cells.iter().find(|cell| cell.peer == peer && cell.game == game.game);
    let is_own = Some(peer) == room.self_peer;
    room.peers.iter().find(|known| known.peer == peer).map(|peer| Place { peer, game, cell, is_own, allowed })
}

fn sources(place: &Place<'_>) -> String {
    match place.sources() {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    }
}

fn size_or(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "a size that is not known".to_owned(), size)
}

/// Bytes for people, as the page writes them.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 1000.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from((unit > 1 && amount < 10.0) || (unit > 2 && amount < 100.0));
    format!("{amount:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, id};

    const GIB: u64 = 1024 * 1024 * 1024;

    #[test]
    fn what_the_daemon_would_do_takes_the_place_of_what_the_room_guessed() {
        let planned = |changed: bool| {
            let mut action = Action {
                kind: "stream-install",
                message: writes(None),
                reason: None,
                peers: vec![id(1)],
                refused: Vec::new(),
                needed_bytes: None,
                free_bytes: None,
            };
            let plan = Planned {
                changed,
                bytes: Some(3 * GIB),
                needed_bytes: Some(4 * GIB),
                free_bytes: 5 * GIB,
                fits: Some(true),
            };
            action.planned(&Ok(plan));
            action
        };
        let possible = planned(true);
        assert_eq!((possible.reason, possible.peers), (None, vec![id(1)]));
        assert_eq!((possible.needed_bytes, possible.free_bytes), (Some(4 * GIB), Some(5 * GIB)));
        assert!(possible.message.starts_with("Writes 3.0 GiB."), "{}", possible.message);
        let needless = planned(false);
        assert_eq!((needless.reason.as_deref(), needless.peers), (Some("nothing would change"), Vec::new()));
    }

    /// A room of this machine, a source and another seat, with one game.
    fn room(own_cell: &Value, seat: &Value) -> Room {
        let mut other = json!({ "peer": id(3), "name": "seat-3", "accepts": true, "free_bytes": 99 * GIB });
        other.as_object_mut().unwrap().extend(seat.as_object().unwrap().clone());
        let mut cell = json!({ "peer": id(1), "game": "g" });
        cell.as_object_mut().unwrap().extend(own_cell.as_object().unwrap().clone());
        testing::room(json!({
            "self": id(1),
            "peers": [
                { "peer": id(1), "name": "here", "free_bytes": 20 * GIB },
                { "peer": id(2), "name": "den" },
                other,
            ],
            "games": [{ "game": "g", "version": "2", "bytes": 5 * GIB, "unpacked_bytes": 13 * GIB, "peers": [id(2)] }],
            "cells": [cell],
        }))
    }

    fn reasons(room: &Room, peers: &[u8]) -> Vec<(&'static str, Option<String>)> {
        let asked =
            ActionsAsked { game: "g".parse().unwrap(), peers: peers.iter().copied().map(id).collect() };
        actions(room, &asked, Commands::Room).into_iter().map(|action| (action.kind, action.reason)).collect()
    }

    fn possible(room: &Room, peers: &[u8]) -> Vec<&'static str> {
        reasons(room, peers)
            .into_iter()
            .filter(|(_, reason)| reason.is_none())
            .map(|(kind, _)| kind)
            .collect()
    }

    fn reason(room: &Room, peers: &[u8], kind: &str) -> String {
        let found = reasons(room, peers).into_iter().find(|(of, _)| *of == kind);
        found.unwrap().1.unwrap_or_default()
    }

    #[test]
    fn what_is_only_offered_can_be_streamed_first() {
        let offered = room(&json!({ "state": "absent" }), &json!({}));
        assert_eq!(possible(&offered, &[1]), ["stream-install", "download"]);
        assert_eq!(reason(&offered, &[1], "verify"), "it is not here");
        assert_eq!(reason(&offered, &[1], "cancel"), "nothing runs");
    }

    #[test]
    fn each_state_has_its_actions() {
        for (cell, expected) in [
            (json!({ "state": "installed" }), vec!["download", "verify"]),
            (json!({ "state": "installed", "shareable": true }), vec!["verify"]),
            (json!({ "state": "downloaded", "shareable": true }), vec!["install", "verify"]),
            (json!({ "state": "outdated", "version": "1" }), vec!["download", "update", "verify"]),
            (json!({ "state": "failed" }), vec!["stream-install", "download"]),
            (json!({ "state": "streaming", "operation": 7 }), vec!["cancel"]),
            (json!({ "state": "waiting", "operation": 7 }), vec!["cancel"]),
        ] {
            assert_eq!(possible(&room(&cell, &json!({})), &[1]), expected, "{cell}");
        }
    }

    #[test]
    fn a_reason_says_how_much_disk_is_missing() {
        let full = room(&json!({ "state": "absent" }), &json!({ "free_bytes": GIB }));
        assert_eq!(reason(&full, &[3], "stream-install"), "12.0 GiB more disk is needed");
        assert_eq!(reason(&full, &[3], "download"), "4.0 GiB more disk is needed");
    }

    #[test]
    fn what_is_possible_on_some_of_the_peers_is_done_there_and_the_others_are_named() {
        let of = |own: Value, seat: Value| {
            let asked = ActionsAsked { game: "g".parse().unwrap(), peers: vec![id(1), id(3)] };
            actions(&room(&own, &seat), &asked, Commands::Room).remove(0)
        };
        let full = of(json!({ "state": "absent" }), json!({ "free_bytes": GIB }));
        assert_eq!((full.kind, full.reason, full.peers), ("stream-install", None, vec![id(1)]));
        let why = "12.0 GiB more disk is needed".to_owned();
        assert_eq!(full.refused, [NotThere { peer: id(3), message: why }]);
        let nowhere = of(json!({ "state": "installed" }), json!({ "free_bytes": GIB }));
        assert_eq!(nowhere.reason.as_deref(), Some("here: it is installed"));
        assert!(nowhere.peers.is_empty() && nowhere.refused.is_empty());
    }

    #[test]
    fn a_page_for_this_machine_only_names_that_as_the_reason_for_others() {
        let asked = ActionsAsked { game: "g".parse().unwrap(), peers: vec![id(3)] };
        let seen = room(&json!({ "state": "absent" }), &json!({}));
        let found = actions(&seen, &asked, Commands::Own);
        assert!(
            found
                .iter()
                .filter(|action| action.kind != "cancel")
                .all(|action| action.reason.as_deref() == Some(OWN_ONLY))
        );
        let own = ActionsAsked { peers: vec![id(1)], ..asked };
        assert_eq!(actions(&seen, &own, Commands::Own)[0].reason, None);
    }

    #[test]
    fn other_machines_are_commanded_only_if_they_accept_and_answer() {
        let of = |seat: Value| room(&json!({ "state": "absent" }), &seat);
        assert_eq!(possible(&of(json!({})), &[3]), ["stream-install", "download"]);
        let closed = of(json!({ "accepts": false }));
        assert_eq!(reason(&closed, &[3], "download"), "it does not accept installs from this daemon");
        assert!(possible(&closed, &[3]).is_empty());
        assert_eq!(reason(&of(json!({ "state": "silent" })), &[3], "download"), "it does not answer");
        assert!(reasons(&of(json!({})), &[9]).is_empty(), "a peer that is not of the room");
    }
}
