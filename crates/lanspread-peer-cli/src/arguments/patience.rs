//! How long a command follows its operations, and what it does if they fail.

use clap::{Args, ValueHint};
use lanspread_peer::limits::RETRIES_MAX;
use lanspread_peer::{AwaitedOperation, GameId};

use crate::arguments::options::DaemonGamesDir;
use crate::arguments::values::WaitTime;

/// How long operations are followed.
#[derive(Debug, Args)]
pub(crate) struct PatienceOptions {
    /// Start the operations in the daemon, print their numbers and end; `wait` waits for one
    #[arg(long, conflicts_with_all = ["timeout", "retries"])]
    pub(crate) detach: bool,
    /// Cancel what is not done after this time, with exit status 124: 90s, 5m, 2h
    #[arg(long, env = "LANSPREAD_TIMEOUT", value_hint = ValueHint::Other, value_name = "DURATION")]
    pub(crate) timeout: Option<WaitTime>,
    /// Try a game so many times again if it fails and that may pass: no peer offers it, every source failed, no source has a
    /// place, another operation is in progress [default: 0]
    #[arg(long, env = "LANSPREAD_RETRIES", value_hint = ValueHint::Other, value_name = "N",
        value_parser = clap::value_parser!(u64).range(0..=RETRIES_MAX))]
    pub(crate) retries: Option<u64>,
    /// Time before each further try
    #[arg(long, env = "LANSPREAD_RETRY_DELAY", value_hint = ValueHint::Other, value_name = "DURATION", default_value = "10s")]
    pub(crate) retry_delay: WaitTime,
}

/// `wait`
#[derive(Debug, Args)]
pub(crate) struct WaitArguments {
    /// Number of the operation, or id of a game, whose newest operation is meant
    #[arg(value_hint = ValueHint::Other, value_name = "OPERATION|GAME")]
    pub(crate) awaited: String,
    /// Take digits as the id of a game
    #[arg(long)]
    pub(crate) game: bool,
    /// Wait no longer than this, with exit status 124; the operation continues
    #[arg(long, env = "LANSPREAD_TIMEOUT", value_hint = ValueHint::Other, value_name = "DURATION")]
    pub(crate) timeout: Option<WaitTime>,
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}

impl WaitArguments {
    /// Which operation is meant.
    pub(crate) fn awaited(&self) -> Result<AwaitedOperation, lanspread_peer::WordError> {
        match self.awaited.parse() {
            Ok(number) if !self.game => Ok(AwaitedOperation::Operation(number)),
            _ => self.awaited.parse::<GameId>().map(AwaitedOperation::Game),
        }
    }
}
