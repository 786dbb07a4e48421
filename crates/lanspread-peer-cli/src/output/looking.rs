//! A line for the time in which a command looks for peers and has nothing else to show.

use std::io::{self, Stderr};

use tracing::level_filters::LevelFilter;

use super::lines::is_live_terminal;
use super::screen::{Screen, Size};

/// The line, until dropped.
pub(crate) struct Looking(Option<Screen<Stderr>>);

impl Looking {
    /// On a terminal only, because it disappears; and not between the lines of a log that says more.
    pub(super) fn on_stderr() -> Self {
        if !is_live_terminal() || LevelFilter::current() >= LevelFilter::INFO {
            return Self(None);
        }
        let mut screen = Screen::new(io::stderr());
        // If the terminal is gone, there is no reader to report that to.
        let _ = screen.show(&["looking for peers …".to_owned()], Size::of_stderr());
        Self(Some(screen))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        if let Some(screen) = &mut self.0 {
            let _ = screen.show(&[], Size::of_stderr());
        }
    }
}
