//! Decides when a search is over. Pure.

use std::time::Duration;

use lanspread_types::limits;

/// How far the network is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetworkSearch {
    /// The network is not searched.
    Off,
    /// The network is searched if the peers at hand do not offer what is wanted.
    Later,
    /// The network is searched; this long ago, a new peer was heard of.
    Now { quiet: Duration },
    /// The longest wait is over.
    Over,
}

/// The progress of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SearchProgress {
    /// All peers that were asked.
    pub(crate) asked: usize,
    /// Those that have answered or failed.
    pub(crate) answered: usize,
    /// Those that offer what is wanted.
    pub(crate) offering: usize,
    /// Whether a peer that the user named or saved has not answered yet.
    pub(crate) chosen_missing: bool,
    /// Whether the answers that are missing can no longer change what is chosen.
    pub(crate) settled: bool,
    /// Time since the last answer.
    pub(crate) unanswered: Duration,
    /// Time since the search began.
    pub(crate) elapsed: Duration,
    pub(crate) network: NetworkSearch,
}

/// What a search does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchStep {
    /// What has arrived is enough, or nothing more can arrive.
    Done,
    /// Search the network now.
    Listen,
    /// Wait for the next answer or the next peer, and decide again after this long.
    Wait(Duration),
}

/// Decides whether a search need not wait longer: peers that can no longer change what is chosen must not delay it, and
/// neither must those that the user did not choose. `quiet` is the time without a new peer that ends listening. Pure.
pub(crate) fn next_step(progress: SearchProgress, quiet: Duration) -> SearchStep {
    let complete = progress.answered == progress.asked;
    let offered = progress.offering > 0;
    let mut wait = Duration::MAX;
    // Whether that long has passed; if not, it is a time to decide again.
    let mut passed = |since: Duration, limit: Duration| {
        let left = limit.saturating_sub(since);
        if !left.is_zero() {
            wait = wait.min(left);
        }
        left.is_zero()
    };
    let settled = progress.settled && passed(progress.unanswered, limits::SETTLED_QUIET);
    let enough = offered && (complete || settled);
    let done = match progress.network {
        NetworkSearch::Now { quiet: since } => {
            let quiet = passed(since, quiet);
            enough && quiet
        }
        // After the longest wait, one offer is enough: peers that do not answer must not delay it.
        NetworkSearch::Over => complete || offered,
        NetworkSearch::Off | NetworkSearch::Later => {
            let late = offered && !progress.chosen_missing && {
                passed(progress.elapsed, limits::STRAGGLER_DEADLINE)
            };
            let late_search = passed(progress.elapsed, limits::SEARCH_AGAIN_AFTER);
            if progress.network == NetworkSearch::Later && !offered && (complete || late_search) {
                return SearchStep::Listen;
            }
            enough || late || complete
        }
    };
    if done { SearchStep::Done } else { SearchStep::Wait(wait) }
}
