//! The command line. Every option is also a `LANSPREAD_*` variable and a key of the config file; the command line wins.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lanspread_peer::limits::{
    DISCOVERY_TIMEOUT_MAX, OPERATIONS_RUNNING_DEFAULT, OPERATIONS_RUNNING_MAX, STREAMS_MAX,
    STREAMS_MAX_DEFAULT,
};
use lanspread_peer::{Discovery, GameId, NamePolicy, PeerAddress, PeerName};

use crate::help::FIRST_STEPS_AND_EXIT_STATUS;

/// Streamed game installs from peer to peer on a LAN.
#[derive(Debug, Parser)]
#[command(name = "lanspread-peer-cli", version, after_help = FIRST_STEPS_AND_EXIT_STATUS, subcommand_required = true)]
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
    /// Do not use the daemon of the games directory; work beside it
    #[arg(long, global = true, env = "LANSPREAD_NO_DAEMON", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_daemon: bool,
    /// TOML file with defaults for the options, under their long names [default: ~/.config/lanspread/lanspread.toml, or else
    /// /etc/lanspread/lanspread.toml]
    #[arg(long, global = true, env = "LANSPREAD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the games of a folder until SIGINT or SIGTERM, and do what other commands say
    #[command(after_help = "\
Example:
  lanspread-peer-cli serve --games-dir /srv/games --name party-server

A game is served when its folder holds version.ini and its *.eti archives. While this runs, every other command with
the same --games-dir tells it what to do instead of doing it on its own.")]
    Serve(Serve),
    /// Find peers, or keep a list of those that cannot be found
    #[command(after_help = "\
Examples:
  lanspread-peer-cli peers                        who answers on this network
  lanspread-peer-cli peers add 10.1.0.5:4107      also ask this one from now on: in another subnet, or multicast blocked
  lanspread-peer-cli peers list                   the ones that were added")]
    Peers(Peers),
    /// List the games here and those that peers offer
    #[command(after_help = "\
Example:
  lanspread-peer-cli list --games-dir ~/games")]
    List(List),
    /// Install games
    #[command(after_help = "\
Examples:
  lanspread-peer-cli install --stream cnctw --games-dir ~/games             straight from a peer's archive
  lanspread-peer-cli install --stream cnctw --games-dir ~/games --dry-run   what that would do
  lanspread-peer-cli install cnctw --games-dir ~/games                      download the archive, keep it, install from it

The game ends in <games-dir>/<game>/local. With --stream its archive is never stored, and the game is not shared on.")]
    Install(Install),
    /// Download games: their archives as they are, to install and to share
    #[command(after_help = "\
Example:
  lanspread-peer-cli download cnctw --games-dir ~/games

Several peers send parts at the same time. What was interrupted goes on where it stopped.")]
    Download(Operate),
    /// Replace games by the version that the catalog wants, or without a catalog the one that most peers have
    #[command(after_help = "\
Example:
  lanspread-peer-cli update cnctw --games-dir ~/games --catalog catalog.toml

What is downloaded is downloaded anew, what is installed is installed anew; the old tree stays until the new one is
complete. Files that you added to it would be lost: they are named, and --force goes on.")]
    Update(Replace),
    /// Remove the installed tree of games; archives stay
    Uninstall(Discard),
    /// Remove the downloaded files of games; the installed tree stays
    Remove(Local),
    /// Compare games with what was installed and downloaded
    Verify(Local),
    /// Cancel what a daemon is doing with games
    Cancel(Cancel),
    /// Show what a daemon is doing and what waits
    Operations(OfDaemon),
    /// Show what happened at a daemon
    Events(Events),
    /// Show what peers are doing: those named with --peer, otherwise the daemon of the games directory
    Status(Status),
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  lanspread-peer-cli completions bash > ~/.local/share/bash-completion/completions/lanspread-peer-cli
  lanspread-peer-cli completions fish > ~/.config/fish/completions/lanspread-peer-cli.fish
  lanspread-peer-cli completions zsh > \"${fpath[1]}/_lanspread-peer-cli\"")]
    Completions(Completions),
    /// Write the manual: one page for every command
    #[command(after_help = "\
Example:
  lanspread-peer-cli manual --out-dir ~/.local/share/man/man1")]
    Manual(Manual),
    /// Print the reference of all commands as Markdown
    Reference,
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
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    /// Streams and downloads served at once; a receiver beyond them is told that this peer is busy
    #[arg(long, env = "LANSPREAD_MAX_STREAMS", value_name = "N", default_value_t = STREAMS_MAX_DEFAULT as u64,
        value_parser = clap::value_parser!(u64).range(1..=STREAMS_MAX as u64))]
    pub(crate) max_streams: u64,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    /// Do not look for other peers and do not announce this one
    #[arg(long, env = "LANSPREAD_NO_DISCOVERY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_discovery: bool,
}

/// `install`
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Stream: decode at the source, never store the archive
    #[arg(long, env = "LANSPREAD_STREAM", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) stream: bool,
    #[command(flatten)]
    pub(crate) operate: Operate,
    #[command(flatten)]
    pub(crate) names: NamesAccepted,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    /// Say what would happen and change nothing; with --stream
    #[arg(long, env = "LANSPREAD_DRY_RUN", action = ArgAction::SetTrue, requires = "stream", value_parser = BoolishValueParser::new())]
    pub(crate) dry_run: bool,
}

/// `download`, and what `install` and `update` have in common with it
#[derive(Debug, Args)]
pub(crate) struct Operate {
    #[command(flatten)]
    pub(crate) local: Local,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) discovery: DiscoveryChoice,
}

/// `update`
#[derive(Debug, Args)]
pub(crate) struct Replace {
    #[command(flatten)]
    pub(crate) operate: Operate,
    #[command(flatten)]
    pub(crate) names: NamesAccepted,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    #[command(flatten)]
    pub force: Force,
}

/// `uninstall`
#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    pub(crate) local: Local,
    #[command(flatten)]
    pub(crate) force: Force,
}

/// Games, and the folder they are in
#[derive(Debug, Args)]
pub(crate) struct Local {
    /// The games
    #[arg(required = true, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GameId>,
    #[command(flatten)]
    pub(crate) games: GamesDir,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) games: GamesDir,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) discovery: DiscoveryChoice,
}

/// `peers`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Peers {
    #[command(subcommand)]
    pub(crate) saved: Option<SavedPeersCommand>,
    #[command(flatten)]
    pub(crate) games: OptionalGamesDir,
    #[command(flatten)]
    pub(crate) named: PeerList,
    #[command(flatten)]
    pub(crate) discovery: DiscoveryChoice,
}

/// The list of peers that are always asked
#[derive(Debug, Subcommand)]
pub(crate) enum SavedPeersCommand {
    /// Always ask these peers, from now on
    Add(SavedPeers),
    /// Do not ask these peers any more
    Remove(SavedPeers),
    /// Show the peers that were added
    List,
}

/// Peers of the list
#[derive(Debug, Args)]
pub(crate) struct SavedPeers {
    /// Where they listen
    #[arg(required = true, value_name = "HOST:PORT")]
    pub(crate) addresses: Vec<PeerAddress>,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) named: PeerList,
    #[command(flatten)]
    pub(crate) games: OptionalGamesDir,
}

/// `cancel`
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The games
    #[arg(required = true, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GameId>,
    #[command(flatten)]
    pub(crate) games: GamesDir,
}

/// `operations`
#[derive(Debug, Args)]
pub(crate) struct OfDaemon {
    #[command(flatten)]
    pub(crate) games: GamesDir,
}

/// `events`
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) games: GamesDir,
    /// Go on with what happens from now on
    #[arg(short, long, env = "LANSPREAD_FOLLOW", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) follow: bool,
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// `manual`
#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Folder for the pages; made if it is not there
    #[arg(long, env = "LANSPREAD_OUT_DIR", value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
}

/// The games directory.
#[derive(Debug, Args)]
pub(crate) struct GamesDir {
    /// Folder that holds one folder per game
    #[arg(long, env = "LANSPREAD_GAMES_DIR", value_name = "DIR")]
    pub(crate) games_dir: PathBuf,
}

/// The games directory, where it can be left out.
#[derive(Debug, Args)]
pub(crate) struct OptionalGamesDir {
    /// Folder that holds one folder per game; its daemon answers, if it has one
    #[arg(long, env = "LANSPREAD_GAMES_DIR", value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
}

/// How many operations run at once.
#[derive(Debug, Args)]
pub(crate) struct Parallel {
    /// Operations that run at once; the others wait
    #[arg(long, env = "LANSPREAD_MAX_OPERATIONS", value_name = "N", default_value_t = OPERATIONS_RUNNING_DEFAULT as u64,
        value_parser = clap::value_parser!(u64).range(1..=OPERATIONS_RUNNING_MAX as u64))]
    pub(crate) max_operations: u64,
}

/// The decoder.
#[derive(Debug, Args)]
pub(crate) struct Decoder {
    /// Decode with this unrar program, a path or a name on PATH, instead of the built-in decoder
    #[arg(long, env = "LANSPREAD_UNRAR", value_name = "PATH")]
    pub(crate) unrar: Option<PathBuf>,
}

/// Going on although something is lost.
#[derive(Debug, Args)]
pub(crate) struct Force {
    /// Lose files that you added to the installed tree
    #[arg(long, env = "LANSPREAD_FORCE", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) force: bool,
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
pub(crate) struct DiscoveryChoice {
    /// Ask only the peers named with --peer and those saved with `peers add`
    #[arg(long, env = "LANSPREAD_NO_DISCOVERY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_discovery: bool,
    /// Longest wait for peers to be found; it ends sooner when those found are enough to decide
    #[arg(long, env = "LANSPREAD_DISCOVER_TIMEOUT", value_name = "SECONDS", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(1..=DISCOVERY_TIMEOUT_MAX.as_secs()))]
    pub(crate) discover_timeout: u64,
}

impl From<&DiscoveryChoice> for Discovery {
    fn from(choice: &DiscoveryChoice) -> Self {
        if choice.no_discovery { Self::Off } else { Self::On { timeout_ms: choice.discover_timeout * 1000 } }
    }
}

/// File names.
#[derive(Debug, Args)]
pub(crate) struct NamesAccepted {
    /// File names to accept: those every system can hold, or those this system can hold
    #[arg(long, env = "LANSPREAD_NAMES", value_enum, default_value_t = Names::Portable)]
    pub(crate) names: Names,
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
