//! What is known of the progress of one game, and the one line that shows it. Nothing here does I/O or reads a clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lanspread_peer::{GameId, PeerEvent};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::chain::Chain;
use super::quantities::{self, bytes, count, duration, percent};

/// A rate is the average of this time, so that it neither jumps nor lags.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// The first bytes come out of caches and buffers: no rate is shown before this much time has been measured.
const RATE_SETTLING: Duration = Duration::from_secs(2);
/// A narrower bar says less than the percentage beside it.
const BAR_COLUMNS_MIN: usize = 8;
/// Columns that stay free at the end of a line: the terminal echoes `^C` there, and must not begin a new row for it.
pub(super) const COLUMNS_FREE: usize = 3;

/// The progress that one event reports.
pub(super) struct Progress<'e> {
    pub(super) game: &'e GameId,
    pub(super) bytes: u64,
    pub(super) bytes_total: u64,
    /// What is being done, or which peers send.
    pub(super) what: String,
}

impl<'e> Progress<'e> {
    /// The progress that an event reports, if it reports any.
    pub(super) fn of(event: &'e PeerEvent) -> Option<Self> {
        let (game, bytes, bytes_total, what) = match event {
            PeerEvent::StreamProgress { game, peer, bytes, bytes_total } => {
                (game, bytes, bytes_total, format!("from {peer}"))
            }
            PeerEvent::DownloadProgress { game, bytes, bytes_total, sources, .. } => {
                (game, bytes, bytes_total, format!("from {}", count(*sources, "peer")))
            }
            PeerEvent::Finishing { game, bytes } => (game, bytes, bytes, "finishing".to_owned()),
            PeerEvent::InstallProgress { game, bytes, bytes_total } => {
                (game, bytes, bytes_total, "installing".to_owned())
            }
            PeerEvent::VerifyProgress { game, bytes, bytes_total } => {
                (game, bytes, bytes_total, "comparing".to_owned())
            }
            PeerEvent::CatalogBuildProgress { game, bytes, bytes_total } => {
                (game, bytes, bytes_total, "reading".to_owned())
            }
            _ => return None,
        };
        Some(Self { game, bytes: *bytes, bytes_total: *bytes_total, what })
    }
}

/// Bytes per second over the last seconds.
#[derive(Debug, Default)]
struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    fn sample(&mut self, now: Instant, bytes: u64) {
        if self.0.back().is_some_and(|(_, before)| bytes < *before) {
            // Another attempt began: what an earlier one brought counts for nothing.
            self.0.clear();
        }
        // One sample from before the window stays, so that the window is always covered.
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, bytes));
    }

    /// The rate; nothing until enough time has been measured.
    fn per_second(&self, now: Instant) -> Option<u64> {
        let ((begun, first), (_, last)) = (self.0.front()?, self.0.back()?);
        let measured = now.duration_since(*begun);
        if measured < RATE_SETTLING {
            return None;
        }
        let per_second = u128::from(last - first) * 1000 / measured.as_millis().max(1);
        u64::try_from(per_second).ok()
    }
}

/// The progress of one game, as far as it has been reported.
#[derive(Debug)]
pub(super) struct Tracked {
    bytes: u64,
    bytes_total: u64,
    what: String,
    /// Where it waits for its turn, while nothing arrives.
    waiting: Option<String>,
    /// From 1; nothing if the operation has no attempts.
    pub(super) attempt: Option<usize>,
    /// Where the packed bytes come from and go to, if they are decoded here.
    pub(super) chain: Chain,
    meter: Meter,
}

impl Tracked {
    pub(super) fn new() -> Self {
        let (what, chain, meter) = (String::new(), Chain::default(), Meter::default());
        Self { bytes: 0, bytes_total: 0, what, waiting: None, attempt: None, chain, meter }
    }

    /// Whether anything has been reported of which a bar can be drawn.
    pub(super) fn has_begun(&self) -> bool {
        !self.what.is_empty() || self.waiting.is_some()
    }

    /// It waits for its turn, unless something arrives from another source. Returns whether it waits.
    pub(super) fn wait(&mut self, text: String, now: Instant) -> bool {
        let nothing_arrives = self.what.is_empty() || self.meter.per_second(now) == Some(0);
        self.waiting = nothing_arrives.then_some(text);
        nothing_arrives
    }

    /// Another attempt begins.
    pub(super) fn begins(&mut self, attempt: usize) {
        self.attempt = Some(attempt);
        self.waiting = None;
    }

    pub(super) fn update(&mut self, progress: &Progress<'_>, now: Instant) {
        self.bytes = progress.bytes;
        self.bytes_total = progress.bytes_total;
        self.waiting = None;
        progress.what.clone_into(&mut self.what);
        self.meter.sample(now, progress.bytes);
    }

    /// All bytes have arrived, and what follows takes time without moving any: closing, syncing, renaming.
    fn is_finishing(&self) -> bool {
        self.bytes_total > 0 && self.bytes >= self.bytes_total
    }

    /// What is being done, from the most to the least that can be said of it.
    fn what(&self, separator: &str) -> Vec<String> {
        let chain = self.chain.words(separator, self.bytes_total);
        let mut what = if chain.is_empty() { vec![self.what.clone()] } else { chain };
        if let Some(attempt) = self.attempt.filter(|attempt| *attempt > 1) {
            what[0] += &format!(", attempt {attempt}");
        }
        what
    }

    fn eta(&self, per_second: u64) -> Option<String> {
        let left = self.bytes_total.saturating_sub(self.bytes);
        Some(duration(left.checked_div(per_second)?.saturating_mul(1000).max(1000)))
    }

    /// The line for a place where lines stay, such as a log.
    pub(super) fn sentence(&self, game: &GameId, now: Instant) -> String {
        let (done, total) = (bytes(self.bytes), bytes(self.bytes_total));
        let percent = percent(self.bytes, self.bytes_total);
        let mut line = format!("{game}: {percent} %, {done} of {total}");
        if self.is_finishing() {
            return line + ", finishing";
        }
        line += &format!(" {}", self.what(", ")[0]);
        if let Some(per_second) = self.meter.per_second(now) {
            line += &format!(", {}", quantities::rate(per_second));
            line += &self.eta(per_second).map(|eta| format!(", {eta} left")).unwrap_or_default();
        }
        line
    }

    /// The line for a terminal of this many columns, with a bar if it has the room for one. It leaves out what says
    /// least until it fits, and never fills the last columns.
    pub(super) fn bar(&self, game: &GameId, columns: usize, now: Instant, look: Look) -> String {
        let room = columns.saturating_sub(COLUMNS_FREE);
        if let Some(waiting) = &self.waiting {
            return cut(waiting, room);
        }
        let name = game.to_string();
        let sizes = format!("{:>10} of {}", bytes(self.bytes), bytes(self.bytes_total));
        let percent = format!("{:>3} %", percent(self.bytes, self.bytes_total));
        let (mut rate, mut left) = ("--".to_owned(), "--".to_owned());
        if let Some(per_second) = self.meter.per_second(now) {
            rate = quantities::rate(per_second);
            left = self.eta(per_second).unwrap_or(left);
        }
        let (short_rate, short_left, what) =
            (rate.clone(), format!("{left} left"), self.what(look.separator()));
        // Padded where there is room, so that the bar does not change its length with every sample.
        let (rate, left) = (format!("{rate:>12}"), format!("{left:>11} left"));
        let mut layouts: Vec<Vec<&str>> = Vec::new();
        if self.is_finishing() {
            layouts.extend([vec![&*sizes, "finishing"], vec![&percent, "finishing"], vec!["finishing"]]);
        } else {
            layouts.push(vec![&sizes, &rate, &left, &what[0]]);
            if self.chain.is_known() {
                // In a chain it says more where the bytes come from and go to than how many there are.
                layouts.extend(what.iter().map(|what| vec![&*percent, &rate, what]));
            }
            layouts.extend([
                vec![&*sizes, &rate, &left],
                vec![&percent, &short_rate, &short_left],
                vec![&percent, &short_left],
                vec![&percent],
            ]);
        }
        for layout in layouts {
            let rest = layout.join("  ");
            // A space before the bar and two after it.
            let used = name.width() + rest.width() + 3;
            if let Some(bar) = room.checked_sub(used).filter(|bar| *bar >= BAR_COLUMNS_MIN) {
                let filled = usize::try_from(
                    u128::from(self.bytes.min(self.bytes_total)) * bar as u128
                        / u128::from(self.bytes_total.max(1)),
                );
                let filled = filled.unwrap_or(bar);
                let [full, empty] = look.cells();
                return format!("{name} {}{}  {rest}", full.repeat(filled), empty.repeat(bar - filled));
            }
        }
        cut(&format!("{percent} {name}"), room)
    }
}

/// The characters of a bar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Blocks,
    /// For a terminal that cannot show more.
    Ascii,
}

impl Look {
    fn cells(self) -> [&'static str; 2] {
        match self {
            Self::Blocks => ["\u{2588}", "\u{2591}"],
            Self::Ascii => ["#", "."],
        }
    }

    /// Stands between the parts of one text.
    fn separator(self) -> &'static str {
        match self {
            Self::Blocks => " \u{b7} ",
            Self::Ascii => ", ",
        }
    }
}

/// The beginning of a text that fits into this many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= columns
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::super::chain::tests as chain;
    use super::*;

    const MIB: u64 = 1 << 20;

    fn game() -> GameId {
        "bigone".parse().unwrap()
    }

    fn report(tracked: &mut Tracked, now: Instant, bytes: u64) {
        let progress = Progress { game: &game(), bytes, bytes_total: 400 * MIB, what: "from den".to_owned() };
        tracked.update(&progress, now);
    }

    #[test]
    fn no_rate_is_told_before_enough_was_measured() {
        let (begun, mut tracked) = (Instant::now(), Tracked::new());
        // A buffer that was full arrives at once.
        for (milliseconds, bytes) in [(0, 0), (1, 30 * MIB), (500, 32 * MIB), (1999, 38 * MIB)] {
            let now = begun + Duration::from_millis(milliseconds);
            report(&mut tracked, now, bytes);
            let line = tracked.bar(&game(), 100, now, Look::Blocks);
            assert!(line.contains("--") && !line.contains("/s"), "{line}");
            assert!(!tracked.sentence(&game(), now).contains("left"));
        }
        let now = begun + Duration::from_secs(4);
        report(&mut tracked, now, 40 * MIB);
        let line = tracked.bar(&game(), 100, now, Look::Blocks);
        assert!(line.contains("10.00 MiB/s") && line.contains("36 s left"), "{line}");
        assert!(tracked.sentence(&game(), now).ends_with("from den, 10.00 MiB/s, 36 s left"));
    }

    #[test]
    fn a_rate_forgets_what_is_long_ago_and_falls_while_nothing_arrives() {
        let (begun, mut meter) = (Instant::now(), Meter::default());
        let at = |seconds| begun + Duration::from_secs(seconds);
        for second in 0..=20 {
            meter.sample(at(second), second * 100);
        }
        assert_eq!(meter.per_second(at(20)), Some(100));
        for second in 21..=40 {
            meter.sample(at(second), 2000 + (second - 20) * 10);
        }
        assert_eq!(meter.per_second(at(40)), Some(10));
        assert_eq!(meter.per_second(at(60)), Some(3), "nothing has arrived for 20 s");
        assert!(meter.0.len() < 15, "{}", meter.0.len());
    }

    #[test]
    fn another_attempt_begins_a_new_measurement() {
        let (begun, mut meter) = (Instant::now(), Meter::default());
        meter.sample(begun, 0);
        meter.sample(begun + Duration::from_secs(5), 5000);
        assert_eq!(meter.per_second(begun + Duration::from_secs(5)), Some(1000));
        meter.sample(begun + Duration::from_secs(6), 10);
        assert_eq!(meter.per_second(begun + Duration::from_secs(7)), None);
    }

    #[test]
    fn a_line_fits_every_width_and_says_most_of_all_in_the_widest() {
        let (begun, mut tracked) = (Instant::now(), Tracked::new());
        report(&mut tracked, begun, 0);
        let now = begun + Duration::from_secs(4);
        report(&mut tracked, now, 100 * MIB);
        tracked.attempt = Some(2);
        for columns in 0..200 {
            let line = tracked.bar(&game(), columns, now, Look::Blocks);
            assert!(line.width() <= columns.saturating_sub(COLUMNS_FREE), "{columns}: {line}");
            let bar: Vec<char> =
                line.chars().filter(|cell| matches!(cell, '\u{2588}' | '\u{2591}')).collect();
            if columns >= 30 {
                assert!(bar.len() >= BAR_COLUMNS_MIN, "{columns}: {line}");
                let filled = bar.iter().filter(|cell| **cell == '\u{2588}').count();
                assert_eq!(filled, bar.len() / 4, "a quarter is here: {line}");
            }
            assert!(columns < 8 || line.contains(" 25 %") || line.contains("100.00 MiB of"), "{line}");
        }
        let line = |columns| tracked.bar(&game(), columns, now, Look::Ascii);
        assert_eq!(line(40), "bigone ###.........   25 %  12 s left");
        let whole = "100.00 MiB of 400.00 MiB   25.00 MiB/s         12 s left  from den, attempt 2";
        assert!(line(120).ends_with(whole), "{}", line(120));
    }

    #[test]
    fn in_a_chain_the_line_says_whom_it_is_between_as_soon_as_that_fits() {
        let (begun, mut tracked) = (Instant::now(), Tracked::new());
        for event in [chain::placed(6), chain::from("seat-6"), chain::feeding("seat-8")] {
            tracked.chain.hear(&event);
        }
        report(&mut tracked, begun, 0);
        let now = begun + Duration::from_secs(4);
        report(&mut tracked, now, 100 * MIB);
        let line = |columns| tracked.bar(&game(), columns, now, Look::Blocks);
        for columns in 0..200 {
            assert!(
                line(columns).width() <= columns.saturating_sub(COLUMNS_FREE),
                "{columns}: {}",
                line(columns)
            );
        }
        let bar = "bigone \u{2588}\u{2588}";
        assert!(
            line(80).starts_with(bar)
                && line(80).ends_with("25 %   25.00 MiB/s  from seat-6 \u{b7} feeding seat-8 \u{b7} 7th"),
            "{}",
            line(80)
        );
        assert!(
            line(100).ends_with("from seat-6 \u{b7} feeding seat-8 \u{b7} 7th of the chain"),
            "{}",
            line(100)
        );
        assert!(line(64).ends_with("25.00 MiB/s  from seat-6"), "{}", line(64));
        assert!(line(40).ends_with("25 %  12 s left"), "{}", line(40));
        let ascii = tracked.bar(&game(), 100, now, Look::Ascii);
        assert!(ascii.ends_with("from seat-6, feeding seat-8, 7th of the chain"), "{ascii}");
        let sentence = tracked.sentence(&game(), now);
        assert!(
            sentence.contains(" from seat-6, feeding seat-8, 7th of the chain, 25.00 MiB/s"),
            "{sentence}"
        );
    }

    #[test]
    fn when_all_bytes_are_here_it_is_finishing() {
        let (begun, mut tracked) = (Instant::now(), Tracked::new());
        report(&mut tracked, begun, 0);
        let now = begun + Duration::from_secs(4);
        report(&mut tracked, now, 400 * MIB);
        for columns in [30, 40, 80, 120] {
            let line = tracked.bar(&game(), columns, now, Look::Blocks);
            assert!(line.ends_with("finishing") && !line.contains("left"), "{line}");
        }
        assert_eq!(tracked.sentence(&game(), now), "bigone: 100 %, 400.00 MiB of 400.00 MiB, finishing");
    }

    #[test]
    fn a_text_is_cut_by_columns_not_by_characters() {
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("\u{6f22}\u{5b57}", 3), "\u{6f22}");
        assert_eq!(cut("abc", 9), "abc");
    }
}
