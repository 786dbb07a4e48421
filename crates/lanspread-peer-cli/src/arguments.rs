//! The command line. Every option is also a `LANSPREAD_*` variable; the command line wins.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use lanspread_peer::limits::{STREAMS_MAX, STREAMS_MAX_DEFAULT};
use lanspread_peer::{GameId, NamePolicy, PeerAddress, PeerName};

const EXIT_STATUS: &str = "\
Exit status:
  0 done            1 unexpected          2 usage, configuration
  3 nobody offers it, or the peer asked is not there
  4 every source failed                   5 refused: installed already, busy, not in the catalog, ambiguous
  6 content did not match                 7 local disk: space, permission
  130 interrupted";

/// Streamed game installs from peer to peer on a LAN.
#[derive(Debug, Parser)]
#[command(name = "lanspread-peer-cli", version, after_help = EXIT_STATUS, subcommand_required = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command; they may stand before or after it.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON object per line on stdout
    #[arg(long, global = true, env = "LANSPREAD_JSON", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// Log more (-v, -vv)
    #[arg(short, long, global = true, env = "LANSPREAD_VERBOSE", action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only, and show no progress
    #[arg(short, long, global = true, env = "LANSPREAD_QUIET", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// Where this peer's identity lives [default: ~/.local/state/lanspread]
    #[arg(long, global = true, env = "LANSPREAD_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the games of a folder until SIGINT or SIGTERM
    #[command(after_help = "\
Example:
  lanspread-peer-cli serve --games-dir /srv/games --listen 0.0.0.0:4107 --name party-server

A game is served when its folder holds version.ini and its *.eti archives.")]
    Serve(Serve),
    /// Install games from other peers
    #[command(after_help = "\
Examples:
  lanspread-peer-cli install --stream cnctw --games-dir ~/games --peer 10.0.0.5:4107
  lanspread-peer-cli install --stream cnctw --games-dir ~/games --peer 10.0.0.5:4107 --dry-run

The game ends in <games-dir>/<game>/local; its archive is never stored.")]
    Install(Install),
    /// List the games here and those that peers offer
    List(List),
    /// Show the peers that answer
    Peers(Peers),
    /// Show what one peer is doing
    Status(Status),
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) games: GamesDir,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "LANSPREAD_LISTEN", value_name = "ADDR:PORT", default_value = "0.0.0.0:4107")]
    pub(crate) listen: SocketAddr,
    /// Name of this peer, for people [default: the host's name]
    #[arg(long, env = "LANSPREAD_NAME", value_name = "NAME")]
    pub(crate) name: Option<PeerName>,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    /// Decode with this unrar program, a path or a name on PATH, instead of the built-in decoder
    #[arg(long, env = "LANSPREAD_UNRAR", value_name = "PATH")]
    pub(crate) unrar: Option<PathBuf>,
    /// Streams served at once; a receiver beyond them is told that this peer is busy
    #[arg(long, env = "LANSPREAD_MAX_STREAMS", value_name = "N", default_value_t = STREAMS_MAX_DEFAULT as u64,
        value_parser = clap::value_parser!(u64).range(1..=STREAMS_MAX as u64))]
    pub(crate) max_streams: u64,
    #[command(flatten)]
    pub(crate) discovery: Discovery,
}

/// `install`
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Stream: decode at the source, never store the archive. The only way to install so far
    #[arg(long, required = true, env = "LANSPREAD_STREAM", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) stream: bool,
    /// Games to install, one after the other
    #[arg(required = true, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GameId>,
    #[command(flatten)]
    pub(crate) games: GamesDir,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    #[command(flatten)]
    pub(crate) discovery: Discovery,
    /// File names to accept: those every system can hold, or those this system can hold
    #[arg(long, env = "LANSPREAD_NAMES", value_enum, default_value_t = Names::Portable)]
    pub(crate) names: Names,
    /// Say what would happen and change nothing
    #[arg(long, env = "LANSPREAD_DRY_RUN", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) games: GamesDir,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) discovery: Discovery,
}

/// `peers`
#[derive(Debug, Args)]
pub(crate) struct Peers {
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) discovery: Discovery,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The peer to ask
    #[arg(long, env = "LANSPREAD_PEER", value_name = "HOST:PORT")]
    pub(crate) peer: PeerAddress,
}

/// The games directory.
#[derive(Debug, Args)]
pub(crate) struct GamesDir {
    /// Folder that holds one folder per game
    #[arg(long, env = "LANSPREAD_GAMES_DIR", value_name = "DIR")]
    pub(crate) games_dir: PathBuf,
}

/// The catalog.
#[derive(Debug, Args)]
pub(crate) struct CatalogFile {
    /// Catalog of known games and their versions (TOML)
    #[arg(long, env = "LANSPREAD_CATALOG", value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
}

/// The peers to ask.
#[derive(Debug, Args)]
pub(crate) struct PeerList {
    /// Peer to ask; may be given several times [variable: separated by commas]
    #[arg(long = "peer", env = "LANSPREAD_PEER", value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) peers: Vec<PeerAddress>,
}

/// Finding peers.
#[derive(Debug, Args)]
pub(crate) struct Discovery {
    /// Use only the peers named with --peer. Peers are not discovered yet, so this is always so
    #[arg(long, env = "LANSPREAD_NO_DISCOVERY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_discovery: bool,
}

/// Which file names are accepted.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Names {
    /// Names that Linux, Windows and macOS can hold
    Portable,
    /// Names that this system can hold
    Native,
}

impl From<Names> for NamePolicy {
    fn from(names: Names) -> Self {
        match names {
            Names::Portable => Self::Portable,
            Names::Native => Self::Native,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    /// Scripts rely on it: whatever can be said as an option can be said as a variable.
    #[test]
    fn every_option_has_a_variable() {
        let root = Arguments::command();
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let variable = option.get_env().and_then(|name| name.to_str()).unwrap_or_default();
                let built_in = matches!(option.get_id().as_str(), "help" | "version");
                assert!(
                    built_in || variable.starts_with("LANSPREAD_"),
                    "{} {}",
                    command.get_name(),
                    option.get_id()
                );
            }
        }
    }
}
