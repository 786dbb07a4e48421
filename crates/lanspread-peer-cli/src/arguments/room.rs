//! The arguments of `room`.

use clap::{Args, Subcommand, ValueHint};
use lanspread_peer::GameId;

use crate::arguments::games::DryRun;
use crate::arguments::options::DaemonGamesDir;

/// `room`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RoomArguments {
    #[command(subcommand)]
    pub(crate) command: Option<RoomCommand>,
    #[command(flatten)]
    pub(crate) show: RoomShow,
}

/// What is asked about the room, or done in it
#[derive(Debug, Subcommand)]
pub(crate) enum RoomCommand {
    /// Show the room
    Show(RoomShow),
    /// Have a game installed on other machines that let this one do so
    #[command(after_help = "\
Examples:
  lanspread-peer-cli room install cnctw --on all
  lanspread-peer-cli room install cnctw --on seat-3,seat-4
  lanspread-peer-cli room install cnctw --on all --dry-run   # which of them could, and what it would take there

Each machine streams the game unless its archives are there. One that has it already does nothing.")]
    Install(RoomInstall),
}

/// `room show`
#[derive(Debug, Args)]
pub(crate) struct RoomShow {
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
    /// Keep running and show what changes, as a terminal does without being asked
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show the room once, also on a terminal
    #[arg(long, conflicts_with = "follow")]
    pub(crate) once: bool,
}

/// `room install`
#[derive(Debug, Args)]
pub(crate) struct RoomInstall {
    /// Id of the game
    #[arg(value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) game: GameId,
    /// `all`, or the names or ids of the machines, separated by commas
    #[arg(long, required = true, value_hint = ValueHint::Other, value_name = "SEAT", value_delimiter = ',')]
    pub(crate) on: Vec<String>,
    #[command(flatten)]
    pub(crate) looking: DryRun,
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}
