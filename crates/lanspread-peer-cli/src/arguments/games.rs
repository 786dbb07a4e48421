//! The arguments of operations on games: `install`, `download`, `update`, `uninstall`, `remove`, `verify`, `repair`.

use clap::{Args, ValueHint};
use lanspread_peer::GamePattern;
use lanspread_peer::limits::{OPERATIONS_RUNNING_DEFAULT, OPERATIONS_RUNNING_MAX};

use crate::arguments::options::{
    CatalogFile, Decoder, DiscoveryChoice, GamesDirOption, LimitOptions, OnlyFrom, PeerList,
    PeerRulesOptions, RelayOptions, ServerList, StreamOptions, WaitOptions,
};
use crate::arguments::patience::PatienceOptions;
use crate::arguments::values::Names;
use crate::help::heading::{THIS_MACHINE, TRUST};

/// `install`
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Stream the game: its archive is decoded while it arrives, and this machine never stores it
    #[arg(long)]
    pub(crate) stream: bool,
    #[command(flatten)]
    pub(crate) operate: Operate,
    #[command(flatten)]
    pub(crate) names: NamesAccepted,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    #[command(flatten)]
    pub(crate) streaming: StreamOptions,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// `download`
#[derive(Debug, Args)]
pub(crate) struct Download {
    #[command(flatten)]
    pub(crate) operate: Operate,
    #[command(flatten)]
    pub(crate) relaying: RelayOptions,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// What `download` and `install` are asked for
#[derive(Debug, Args)]
pub(crate) struct Operate {
    #[command(flatten)]
    pub(crate) local: Local,
    #[command(flatten)]
    pub(crate) fetching: Fetching,
}

/// Where games are fetched from
#[derive(Debug, Args)]
pub(crate) struct Fetching {
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) only_from: OnlyFrom,
    #[command(flatten)]
    pub(crate) servers: ServerList,
    #[command(flatten)]
    pub(crate) rules: PeerRulesOptions,
    #[command(flatten)]
    pub(crate) discovery: DiscoveryChoice,
    #[command(flatten)]
    pub(crate) waiting: WaitOptions,
    #[command(flatten)]
    pub(crate) unverified: AcceptUnverified,
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

/// `update`
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Ids of the games, or patterns in quotes, such as 'cnc*'; without any, show what an update of all games on this machine
    /// would change
    #[arg(value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GamePattern>,
    /// Update all games on this machine
    #[arg(long, conflicts_with = "games_wanted")]
    pub(crate) all: bool,
    /// Show what would change, with exit status 10 if anything would, and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) place: GamesPlace,
    #[command(flatten)]
    pub(crate) fetching: Fetching,
    #[command(flatten)]
    pub(crate) names: NamesAccepted,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    #[command(flatten)]
    pub(crate) streaming: StreamOptions,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// `verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Fetch and replace what differs, as `repair` does; what says where to fetch from counts only then
    #[arg(long)]
    pub(crate) repair: bool,
    #[command(flatten)]
    pub(crate) repairing: Repair,
}

/// `repair`
#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) operate: Operate,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    #[command(flatten)]
    pub(crate) streaming: StreamOptions,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// `uninstall`
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) local: Local,
    #[command(flatten)]
    pub(crate) force: Force,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// `remove`
#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    pub(crate) local: Local,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

/// Games, and the folder that holds them
#[derive(Debug, Args)]
pub(crate) struct Local {
    #[command(flatten)]
    pub(crate) wanted: GamesWanted,
    #[command(flatten)]
    pub(crate) place: GamesPlace,
}

/// Games that are named together
#[derive(Debug, Args)]
pub(crate) struct GamesWanted {
    /// Ids of the games, or patterns in quotes, such as 'cnc*'
    #[arg(required_unless_present = "all", value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GamePattern>,
    /// All games: those of the catalog to install and to download, otherwise those on this machine
    #[arg(long, conflicts_with = "games_wanted")]
    pub(crate) all: bool,
}

/// The folder that holds the games, and what is known of them
#[derive(Debug, Args)]
pub(crate) struct GamesPlace {
    #[command(flatten)]
    pub(crate) games: GamesDirOption,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) patience: PatienceOptions,
}

/// How many operations run at once.
#[derive(Debug, Args)]
pub(crate) struct Parallel {
    /// Operations that run at once; the others wait
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_MAX_OPERATIONS", value_hint = ValueHint::Other, value_name = "N", default_value_t = OPERATIONS_RUNNING_DEFAULT as u64,
        value_parser = clap::value_parser!(u64).range(1..=OPERATIONS_RUNNING_MAX as u64))]
    pub(crate) max_operations: u64,
}

/// Looking before doing.
#[derive(Debug, Args)]
pub(crate) struct DryRun {
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Consent to the loss of files.
#[derive(Debug, Args)]
pub(crate) struct Force {
    /// Go ahead even if files that you added to the installed tree are lost
    #[arg(long)]
    pub(crate) force: bool,
}

/// Consent to the loss of certainty.
#[derive(Debug, Args)]
pub(crate) struct AcceptUnverified {
    /// Replace verified files also by files that no manifest can verify
    #[arg(long, help_heading = TRUST)]
    pub(crate) accept_unverified: bool,
}

/// File names.
#[derive(Debug, Args)]
pub(crate) struct NamesAccepted {
    /// File names to accept: those every system can hold, or those this system can hold
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_NAMES", value_enum, default_value_t = Names::Portable)]
    pub(crate) names: Names,
}
