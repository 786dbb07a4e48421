//! Progress for people: one bar for each game on a terminal, and an occasional line elsewhere.

use std::ffi::OsStr;
use std::io::{self, Stderr};
use std::time::{Duration, Instant};

use lanspread_peer::{GameId, PeerEvent, QueuedAt};
use tracing::level_filters::LevelFilter;

use super::chain::Chain;
use super::lines::{error_line, is_live_terminal, print_error, print_message};
use super::progress::{Look, Progress, Tracked};
use super::screen::{Screen, Size};
use super::words;

/// Without a terminal, a game gets at most one line in this time.
const LINE_INTERVAL: Duration = Duration::from_secs(15);

/// The place where progress is shown.
pub(super) struct Bars {
    place: Place,
    /// In the order in which they began.
    games: Vec<(GameId, Tracked)>,
}

enum Place {
    Terminal { screen: Screen<Stderr>, look: Look },
    Lines { due: Vec<(GameId, Instant)> },
}

impl Bars {
    /// Bars if stderr is a terminal that can move its cursor, otherwise lines. A log that tells much (`-v`) would be
    /// written into the bars.
    pub(super) fn on_stderr() -> Self {
        if !is_live_terminal() || LevelFilter::current() >= LevelFilter::INFO {
            return Self::of_lines();
        }
        Self { place: Place::Terminal { screen: Screen::new(io::stderr()), look: look() }, games: Vec::new() }
    }

    /// Lines only.
    pub(super) fn of_lines() -> Self {
        Self { place: Place::Lines { due: Vec::new() }, games: Vec::new() }
    }

    /// Prints a line above the bars.
    pub(super) fn line(&mut self, text: &str, now: Instant) {
        match &mut self.place {
            Place::Terminal { screen, look } => {
                let size = Size::of_stderr();
                let bars = drawn(&self.games, size, now, *look);
                // If the terminal is gone, there is no reader to report that to.
                let _ = screen.print_above(text, &bars, size);
            }
            Place::Lines { .. } => print_message(text),
        }
    }

    /// Prints the one line of a failure above the bars.
    pub(super) fn error(&mut self, text: &str, now: Instant) {
        match &self.place {
            Place::Terminal { .. } => self.line(&error_line(text), now),
            Place::Lines { .. } => print_error(text),
        }
    }

    /// Remembers the number of a game's attempt, to show it beside the bar.
    pub(super) fn attempt(&mut self, game: &GameId, attempt: usize) {
        self.tracked(game).begins(attempt);
    }

    /// Remembers what an event reports about the chain of a game, to show it beside the bar.
    pub(super) fn chain(&mut self, game: &GameId, event: &PeerEvent) {
        if Chain::begins_with(event) {
            self.tracked(game).chain.hear(event);
        } else if let Some((_, tracked)) = self.games.iter_mut().find(|(known, _)| known == game) {
            tracked.chain.hear(event);
        }
    }

    /// Shows where a game waits for its turn: the first time at once, also where lines are rare.
    pub(super) fn wait(&mut self, queued: &QueuedAt, now: Instant) {
        let game = &queued.game;
        let text = words::waiting(queued);
        if !self.tracked(game).wait(text.clone(), now) {
            return;
        }
        let Place::Lines { due } = &mut self.place else { return self.redraw(now) };
        let next = now + LINE_INTERVAL;
        match due.iter_mut().find(|(known, _)| known == game) {
            Some((_, at)) if *at > now => return,
            Some((_, at)) => *at = next,
            None => due.push((game.clone(), next)),
        }
        print_message(&text);
    }

    /// Shows the next progress of a game at once, also where lines are rare: the user does not know how far it is.
    pub(super) fn show_next(&mut self, game: &GameId, now: Instant) {
        if let Place::Lines { due } = &mut self.place {
            due.retain(|(known, _)| known != game);
            due.push((game.clone(), now));
        }
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>, now: Instant) {
        let game = progress.game;
        let tracked = self.tracked(game);
        tracked.update(progress, now);
        let sentence = tracked.sentence(game, now);
        let Place::Lines { due } = &mut self.place else { return self.redraw(now) };
        let next = now + LINE_INTERVAL;
        match due.iter_mut().find(|(known, _)| known == game) {
            None => due.push((game.clone(), next)),
            Some((_, at)) if *at <= now => {
                *at = next;
                print_message(&sentence);
            }
            Some(_) => {}
        }
    }

    /// Draws the bars again, because time has passed or the terminal may have another size.
    pub(super) fn redraw(&mut self, now: Instant) {
        if let Place::Terminal { screen, look } = &mut self.place {
            let size = Size::of_stderr();
            let bars = drawn(&self.games, size, now, *look);
            // As above.
            let _ = screen.show(&bars, size);
        }
    }

    /// Removes the game's bar.
    pub(super) fn end(&mut self, game: &GameId, now: Instant) {
        self.games.retain(|(known, _)| known != game);
        if let Place::Lines { due } = &mut self.place {
            due.retain(|(known, _)| known != game);
        }
        self.redraw(now);
    }

    fn tracked(&mut self, game: &GameId) -> &mut Tracked {
        let index = self.games.iter().position(|(known, _)| known == game).unwrap_or_else(|| {
            self.games.push((game.clone(), Tracked::new()));
            self.games.len() - 1
        });
        &mut self.games[index].1
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.games.clear();
        self.redraw(Instant::now());
    }
}

fn drawn(games: &[(GameId, Tracked)], size: Size, now: Instant, look: Look) -> Vec<String> {
    let begun = games.iter().filter(|(_, tracked)| tracked.has_begun());
    begun.map(|(game, tracked)| tracked.bar(game, size.columns, now, look)).collect()
}

fn look() -> Look {
    // The first of these that is set decides, as in the C library.
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    if locale.as_deref().is_some_and(is_utf_8) { Look::Blocks } else { Look::Ascii }
}

fn is_utf_8(locale: &OsStr) -> bool {
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_for_terminals_that_can_show_them() {
        for (locale, expected) in [("C.UTF-8", true), ("de_DE.utf8", true), ("C", false), ("POSIX", false)] {
            assert_eq!(is_utf_8(OsStr::new(locale)), expected, "{locale}");
        }
    }
}
