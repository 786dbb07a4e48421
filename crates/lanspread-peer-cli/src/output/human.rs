//! Lines and progress bars for people.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lanspread_peer::library::state::GameState;
use lanspread_peer::{PeerEvent, PeerName};

use super::Reporter;

/// Prints a line of data.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints the one line of a failed command.
pub(super) fn print_error(line: &str) {
    // When even stderr is gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A size in human units.
pub(crate) fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// The state of a game in words.
pub(crate) fn state_words(state: &GameState) -> &'static str {
    match (state.downloaded(), state.installed) {
        (true, true) => "downloaded and installed",
        (true, false) => "downloaded",
        (false, true) => "installed, not shareable",
        (false, false) => "incomplete",
    }
}

/// Shows events as lines, with a progress bar while bytes flow on a terminal.
pub(super) struct HumanReporter {
    bar: Option<ProgressBar>,
    is_terminal: bool,
}

impl HumanReporter {
    pub(super) fn new() -> Self {
        Self { bar: None, is_terminal: io::stderr().is_terminal() }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => print_error(text),
        }
    }

    fn progress(&mut self, game: &str, peer: &str, bytes: u64, bytes_total: u64) {
        if !self.is_terminal {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(bytes_total), ProgressDrawTarget::stderr());
            let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(format!("{game} from {peer}"));
            bar
        });
        bar.set_position(bytes);
    }

    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Reporter for HumanReporter {
    fn event(&mut self, event: &PeerEvent) {
        match event {
            PeerEvent::PeerReady { addr, name, .. } => self.line(&format!("{name} listens on {addr}")),
            PeerEvent::GameRecovered { game, action } => {
                self.line(&format!("{game}: an earlier operation was interrupted; {action}"));
            }
            PeerEvent::StreamInstallBegin { game, version, sources } => {
                let names: Vec<&str> = sources.iter().map(PeerName::as_str).collect();
                self.line(&format!("{game} {version}: sources in order: {}", names.join(", ")));
            }
            PeerEvent::StreamAttemptBegin { game, peer, addr, attempt } => {
                self.line(&format!("{game}: attempt {attempt} from {peer} ({addr})"));
            }
            PeerEvent::StreamProgress { game, peer, bytes, bytes_total } => {
                self.progress(game.as_str(), peer.as_str(), *bytes, *bytes_total);
            }
            PeerEvent::StreamAttemptFailed { game, peer, message, .. } => {
                self.end_bar();
                self.line(&format!("{game}: {peer} failed: {message}"));
            }
            PeerEvent::StreamInstallFinished { game, version, peer, files, bytes: count, duration_ms } => {
                self.end_bar();
                let duration = humantime::format_duration(Duration::from_millis(*duration_ms));
                let size = bytes(*count);
                self.line(&format!(
                    "{game} {version} installed from {peer}: {files} files, {size} in {duration}"
                ));
            }
            PeerEvent::StreamInstallFailed { .. } => self.end_bar(),
            PeerEvent::TransferBegin { game, peer, .. } => {
                self.line(&format!("{game} is being sent to {peer}"));
            }
            PeerEvent::TransferEnd { game, peer, outcome, bytes: count } => {
                self.line(&format!("{game} to {peer}: {outcome}, {} sent", bytes(*count)));
            }
            _ => {}
        }
    }
}
