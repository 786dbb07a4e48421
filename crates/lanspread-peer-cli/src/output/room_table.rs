//! The room as a table of peers and games, as lines of text. Nothing here does I/O.

use lanspread_peer::{Answer, CellState, PeerId, Room, RoomCell, RoomGame, RoomSeat, SeatState};
use unicode_width::UnicodeWidthStr;

use super::progress::cut;
use super::quantities::{count as counted, duration, percent, rate};
use super::screen::Size;
use crate::hints;

/// Problems that are shown above the table; the others are counted.
const PROBLEMS_SHOWN: usize = 5;
/// Columns of a name.
const NAME_COLUMNS: usize = 18;
/// Columns of how many games are ready.
const READY_COLUMNS: usize = 8;
/// Columns of one game.
const GAME_COLUMNS: usize = 16;
/// Columns of the words for games that do not fit, `and 1023 more`, and the last one, in which a terminal writes nothing.
const MORE_COLUMNS: usize = 14;

/// Adds to an answer what a user can do about each failure and each warning in it.
pub(super) fn hinted(report: &mut Answer) {
    let (cells, warnings) = match report {
        Answer::Room(room) => (&mut room.cells, Some(&mut room.warnings)),
        Answer::RoomChanged(changes) => (&mut changes.cells, changes.warnings.as_mut()),
        _ => return,
    };
    for cell in cells.iter_mut() {
        let hint = cell.code.as_deref().and_then(|code| hints::hint(code, cell.cause.as_deref()));
        cell.hint = hint.map(|hint| hints::for_game(hint, &cell.game));
    }
    for warning in warnings.into_iter().flatten() {
        warning.hint = hints::hint(&warning.code, None).map(str::to_owned);
    }
}

/// The lines of a room: its numbers, what needs a person, and the table.
pub(super) fn table(room: &Room, size: Size) -> Vec<String> {
    let mut lines = vec![headline(room)];
    lines.extend(
        room.looking.iter().map(|looking| format!("no other machine was found yet: {}", looking.message)),
    );
    let problems = problems(room);
    if !problems.is_empty() {
        lines.push(String::new());
    }
    lines.extend(problems.iter().take(PROBLEMS_SHOWN).cloned());
    if let Some(more) = problems.len().checked_sub(PROBLEMS_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more"));
    }
    lines.push(String::new());
    let shown = games_shown(room.games.len(), size.columns);
    let games = &room.games[..shown];
    lines.push(head(games, room.games.len() - shown));
    let rows = size.rows.saturating_sub(lines.len() + 2).max(1);
    lines.extend(room.peers.iter().take(rows).map(|peer| row(room, peer, games)));
    if let Some(more) = room.peers.len().checked_sub(rows).filter(|more| *more > 0) {
        lines.push(format!("and {}", counted(more as u64, "more machine")));
    }
    lines
}

/// How many games have a place in so many columns; the others are counted, at the end of the line.
fn games_shown(games: usize, columns: usize) -> usize {
    let free = columns.saturating_sub(NAME_COLUMNS + READY_COLUMNS);
    if games <= free / GAME_COLUMNS {
        return games;
    }
    (free.saturating_sub(MORE_COLUMNS) / GAME_COLUMNS).max(1).min(games)
}

/// Who is ready, until when, how fast, and how much needs a person.
fn headline(room: &Room) -> String {
    let summary = room.summary;
    let mut words = vec![format!("{} of {} ready", summary.ready, counted(summary.seats, "machine"))];
    if let Some(left) = summary.seconds_left {
        let slowest = summary.slowest.map(|peer| format!(", the slowest is {}", name(room, peer)));
        words.push(format!("{} left{}", duration(left.saturating_mul(1000)), slowest.unwrap_or_default()));
    }
    if let Some(per_second) = summary.bytes_per_second.filter(|rate| *rate > 0) {
        words.push(rate(per_second));
    }
    if summary.problems > 0 {
        words.push(format!(
            "{} you",
            if summary.problems == 1 {
                "1 thing needs".to_owned()
            } else {
                format!("{} things need", summary.problems)
            }
        ));
    }
    words.join("   ")
}

/// What needs a person, in words, with what to do.
fn problems(room: &Room) -> Vec<String> {
    let mut problems = Vec::new();
    for cell in &room.cells {
        let what = match cell.state {
            CellState::Failed => cell.message.clone().unwrap_or_else(|| code_words(cell)),
            CellState::Damaged => {
                cell.message.clone().unwrap_or_else(|| "not as it was installed".to_owned())
            }
            _ => continue,
        };
        let hint = cell.hint.as_deref();
        let what = hints::with_hint(&what, hint);
        problems.push(format!("  \u{2715} {}  {}  {what}", name(room, cell.peer), cell.game));
    }
    for warning in &room.warnings {
        let game = warning.game.as_ref().map(|game| format!("{game}  ")).unwrap_or_default();
        let what = hints::with_hint(&warning.message, warning.hint.as_deref());
        problems.push(format!("  ! {}  {game}{what}", name(room, warning.peer)));
    }
    problems
}

fn head(games: &[RoomGame], more: usize) -> String {
    let mut head = padded("", NAME_COLUMNS);
    head += &padded("ready", READY_COLUMNS);
    for game in games {
        head += &padded(game.game.as_str(), GAME_COLUMNS);
    }
    if more > 0 {
        head += &format!("and {more} more");
    }
    head.trim_end().to_owned()
}

fn row(room: &Room, peer: &RoomSeat, games: &[RoomGame]) -> String {
    let mut row = padded(peer.name.as_str(), NAME_COLUMNS);
    let ready = match peer.state {
        SeatState::Silent => "silent".to_owned(),
        SeatState::Lost => "lost".to_owned(),
        SeatState::Here if !peer.seat => "source".to_owned(),
        _ => format!("{}/{}", peer.games_ready, peer.games_wanted),
    };
    row += &padded(&ready, READY_COLUMNS);
    for game in games {
        let cell = room.cells.iter().find(|cell| cell.peer == peer.peer && cell.game == game.game);
        row += &padded(&cell.map(|cell| words(room, cell)).unwrap_or_default(), GAME_COLUMNS);
    }
    row.trim_end().to_owned()
}

/// What is so with a game, in as many columns as it has.
fn words(room: &Room, cell: &RoomCell) -> String {
    let done = match (cell.bytes, cell.bytes_total) {
        (Some(done), Some(total)) if total > 0 => format!(" {} %", percent(done, total)),
        _ => String::new(),
    };
    match cell.state {
        CellState::Installed if cell.shareable => "\u{2713} installed".to_owned(),
        CellState::Installed => "\u{2713} streamed".to_owned(),
        CellState::Downloaded => "\u{25a3} archives".to_owned(),
        CellState::Outdated => "\u{2191} other version".to_owned(),
        CellState::Interrupted => "interrupted".to_owned(),
        CellState::Streaming => format!("stream{done}"),
        CellState::Downloading => format!("download{done}"),
        CellState::Installing => format!("unpack{done}"),
        CellState::Updating => format!("update{done}"),
        CellState::Verifying => format!("verify{done}"),
        CellState::Repairing => format!("repair{done}"),
        CellState::Waiting => match (cell.waiting_for, cell.before) {
            (Some(peer), Some(before)) => format!("{before} at {}", name(room, peer)),
            _ => "waits".to_owned(),
        },
        CellState::Damaged => "! damaged".to_owned(),
        CellState::Failed => format!("\u{2715} {}", code_words(cell)),
        CellState::Unknown => "? no word".to_owned(),
        _ => "\u{b7}".to_owned(),
    }
}

fn code_words(cell: &RoomCell) -> String {
    cell.code.as_deref().unwrap_or("failed").replace('-', " ")
}

fn name(room: &Room, peer: PeerId) -> String {
    let of_room = room.peers.iter().find(|seat| seat.peer == peer);
    of_room.map_or_else(|| peer.short(), |seat| seat.name.to_string())
}

/// A text with blanks after it, and at least one.
fn padded(text: &str, columns: usize) -> String {
    let text = cut(text, columns - 1);
    let blanks = columns.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(blanks))
}

#[cfg(test)]
mod tests;
