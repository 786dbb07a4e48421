//! Progress for people: one bar for each game on a terminal, and an occasional line elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lanspread_peer::{GameId, PeerEvent};

use super::lines::print_message;
use super::words;

/// Without a terminal, a game gets at most one line in this time.
const LINE_INTERVAL: Duration = Duration::from_secs(15);
const TEMPLATE: &str = "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {msg}";

/// The progress of one game.
pub(super) struct Progress<'e> {
    game: &'e GameId,
    bytes: u64,
    bytes_total: u64,
    /// What is being done, or which peers send.
    what: String,
}

impl<'e> Progress<'e> {
    /// The progress that an event reports, if it reports any.
    pub(super) fn of(event: &'e PeerEvent) -> Option<Self> {
        let (game, bytes, bytes_total, what) = match event {
            PeerEvent::StreamProgress { game, peer, bytes, bytes_total } => {
                (game, bytes, bytes_total, format!("from {peer}"))
            }
            PeerEvent::DownloadProgress { game, bytes, bytes_total, sources } => {
                let plural = if *sources == 1 { "peer" } else { "peers" };
                (game, bytes, bytes_total, format!("from {sources} {plural}"))
            }
            PeerEvent::Finishing { game, bytes } => (game, bytes, bytes, "finishing".to_owned()),
            PeerEvent::InstallProgress { game, bytes, bytes_total } => {
                (game, bytes, bytes_total, "installing".to_owned())
            }
            PeerEvent::VerifyProgress { game, bytes, bytes_total } => {
                (game, bytes, bytes_total, "comparing".to_owned())
            }
            _ => return None,
        };
        Some(Self { game, bytes: *bytes, bytes_total: *bytes_total, what })
    }
}

/// The place where progress is shown.
pub(super) enum Bars {
    Terminal { all: MultiProgress, of_game: HashMap<GameId, ProgressBar>, attempts: HashMap<GameId, usize> },
    Lines(HashMap<GameId, Instant>),
}

impl Bars {
    pub(super) fn new(is_terminal: bool) -> Self {
        if is_terminal {
            Self::Terminal { all: MultiProgress::new(), of_game: HashMap::new(), attempts: HashMap::new() }
        } else {
            Self::Lines(HashMap::new())
        }
    }

    /// Prints a line above the bars.
    pub(super) fn line(&self, text: &str) {
        match self {
            Self::Terminal { all, of_game, .. } if !of_game.is_empty() => {
                // If the terminal is gone, there is no reader to report that to.
                let _ = all.println(text);
            }
            _ => print_message(text),
        }
    }

    /// Remembers the number of a game's attempt, to show it beside the bar.
    pub(super) fn attempt(&mut self, game: &GameId, attempt: usize) {
        if let Self::Terminal { attempts, .. } = self {
            attempts.insert(game.clone(), attempt);
        }
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        let Progress { game, bytes, bytes_total, what } = progress;
        match self {
            Self::Terminal { all, of_game, attempts } => {
                let bar = of_game.entry((*game).clone()).or_insert_with(|| {
                    let bar = all.add(ProgressBar::new(*bytes_total));
                    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                        bar.set_style(style);
                    }
                    bar.set_prefix(game.to_string());
                    // Bytes that were already on this machine do not count for the rate.
                    bar.set_position(*bytes);
                    bar.reset_eta();
                    bar
                });
                let attempt = attempts.get(game).filter(|attempt| **attempt > 1);
                bar.set_message(attempt.map_or_else(|| what.clone(), |n| format!("{what}, attempt {n}")));
                bar.set_length(*bytes_total);
                bar.set_position(*bytes);
            }
            Self::Lines(shown) => {
                let now = Instant::now();
                let last = *shown.entry((*game).clone()).or_insert(now);
                if now.duration_since(last) >= LINE_INTERVAL {
                    shown.insert((*game).clone(), now);
                    let percent = u128::from(*bytes) * 100 / u128::from((*bytes_total).max(1));
                    let (done, total) = (words::bytes(*bytes), words::bytes(*bytes_total));
                    print_message(&format!("{game}: {percent} %, {done} of {total} {what}"));
                }
            }
        }
    }

    /// Removes the game's bar.
    pub(super) fn end(&mut self, game: &GameId) {
        match self {
            Self::Terminal { of_game, .. } => {
                if let Some(bar) = of_game.remove(game) {
                    bar.finish_and_clear();
                }
            }
            Self::Lines(shown) => {
                shown.remove(game);
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Self::Terminal { of_game, .. } = self {
            for (_, bar) in of_game.drain() {
                bar.finish_and_clear();
            }
        }
    }
}
