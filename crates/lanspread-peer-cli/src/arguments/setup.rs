//! `init`, `config`, and what the completion scripts run.

use clap::{Args, Subcommand, ValueHint};
use lanspread_peer::PeerName;

use crate::arguments::options::{CatalogFile, GamesDirOption, ServedGamesDir};
use crate::help::heading::SERVING;

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) games: ServedGamesDir,
    /// Name of this peer, for people [default: the host's name]
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_NAME", value_hint = ValueHint::Other, value_name = "NAME")]
    pub(crate) name: Option<PeerName>,
    /// Party of this machine: `new`, `none`, the line of a party, or `-` to read the line from standard input [default: the
    /// party that it is of, or none]
    #[arg(long, value_hint = ValueHint::Other, value_name = "PARTY")]
    pub(crate) party: Option<String>,
    /// Ask nothing: what is not given has its default
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Go ahead even if there is a config file: a copy of it stays beside it
    #[arg(long)]
    pub(crate) replace: bool,
}

/// `candidates`
#[derive(Debug, Args)]
pub(crate) struct Candidates {
    #[command(flatten)]
    pub(crate) games: GamesDirOption,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    /// The line up to the word that is completed, without the name of the program
    #[arg(last = true, required = true, value_hint = ValueHint::Other, value_name = "WORD")]
    pub(crate) words: Vec<String>,
}

/// `config`
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to say about settings
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the value of every option that can be in a config file, and where it comes from
    #[command(after_help = "\
Example:
  lanspread-peer-cli config show

A value comes from the command line, a variable, a line of the config file, or it is the default. URLs are \
shown without credentials. An option that only some commands have counts for these.")]
    Show,
    /// Print the path of the config file that commands read, or else of the one that `init` writes
    #[command(after_help = "\
Example:
  $EDITOR \"$(lanspread-peer-cli config path)\"")]
    Path,
}
