//! Shows a room: once, as objects, or as a table that changes in place on a terminal.

use std::io::{self, Stdout};

use lanspread_peer::{Answer, Room};

use super::Output;
use super::room_table::{hinted, table};
use super::screen::{Screen, Size};
use super::{json, lines};

/// How many columns a table has that goes to a file or a pipe.
const COLUMNS_OF_A_FILE: usize = 160;

/// Where a room is shown.
pub(crate) struct RoomScreen {
    output: Output,
    live: Option<Screen<Stdout>>,
    room: Room,
}

impl RoomScreen {
    /// On a terminal that is `live`, the table changes in place.
    pub(crate) fn new(output: Output, live: bool) -> Self {
        Self { output, live: live.then(|| Screen::new(io::stdout())), room: Room::default() }
    }

    /// Takes one answer about the room, and shows it.
    pub(crate) fn hear(&mut self, report: &Answer) -> io::Result<()> {
        let mut report = report.clone();
        hinted(&mut report);
        match &report {
            Answer::Room(room) => self.room = Room::clone(room),
            Answer::RoomChanged(changes) => self.room.apply((**changes).clone()),
            _ => return self.output.report(&report),
        }
        if self.output.json {
            return json::print_answer(&report);
        }
        if self.live.is_some() {
            return self.redraw();
        }
        let columns = lines::stdout_columns().0.unwrap_or(COLUMNS_OF_A_FILE);
        for line in table(&self.room, Size { columns, rows: usize::MAX }) {
            lines::print(&line)?;
        }
        Ok(())
    }

    /// Draws a table that is live again: the terminal may have another size.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        let Some(screen) = &mut self.live else { return Ok(()) };
        let size = Size::of_stdout();
        screen.show(&table(&self.room, size), size)
    }
}
