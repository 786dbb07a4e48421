//! The command line. An option is also a `LANSPREAD_*` variable and a key of the config file. The command line wins over
//! the variable, and the variable over the file.
//!
//! An option without a variable is for one call only, and no key either: it names one thing, or says what one command
//! does, or takes away a protection. A file that was written long ago must not do that.

mod catalog;
mod daemon;
mod ensure;
mod games;
mod logging;
mod looks;
mod options;
mod party;
mod patience;
mod peers;
mod room;
mod setup;
#[cfg(test)]
mod tests;
mod values;
mod variables;
#[cfg(feature = "web")]
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use lanspread_peer::limits::{STREAMS_MAX, STREAMS_MAX_DEFAULT};
use lanspread_peer::{GameId, PeerId, PeerName, RateLimit};

pub(crate) use self::catalog::{
    CatalogArguments, CatalogBuildArguments, CatalogCommand, CatalogDiff, CatalogForget, CatalogKey,
    CatalogShow, CatalogSign, CatalogVerify, ManifestArguments,
};
pub(crate) use self::daemon::{SocketOptions, StopOptions};
pub(crate) use self::ensure::{Absent, Ensure, WantedGame};
pub(crate) use self::games::{
    Download, DryRun, Fetching, GamesPlace, GamesWanted, Install, Local, Parallel, Remove, Repair, Uninstall,
    Update, Verify,
};
pub(crate) use self::logging::{LogFormat, Logging};
pub(crate) use self::looks::{ColorChoice, Looks, RateUnit};
pub(crate) use self::options::{
    CatalogFile, DaemonGamesDir, Decoder, DiscoveryChoice, GamesDirOption, LimitOptions, PeerList,
    PeerRulesOptions, ServedGamesDir,
};
pub(crate) use self::party::{PartyArguments, PartyCommand, PartyJoin, PartyNew, PartyShow, Replacing};
pub(crate) use self::patience::{PatienceOptions, WaitArguments};
pub(crate) use self::peers::{DecidePeers, ForgottenPeer, Peers, PeersCommand, PeersPenalties};
pub(crate) use self::room::{RoomArguments, RoomCommand, RoomInstall, RoomShow};
pub(crate) use self::setup::{Candidates, ConfigArguments, ConfigCommand, Init};
pub(crate) use self::values::{GivenPeer, GivenUrl, WaitTime};
pub(crate) use self::variables::{is_variable, spelt_like, variable_of};
#[cfg(feature = "web")]
pub(crate) use self::web::WebOptions;
use crate::help::heading::{OUTPUT, SERVING, SOURCES, THIS_MACHINE, TRUST};
use crate::help::{CATALOG_OF_A_PARTY, STYLES, first_steps_and_exit_status, long_version};

/// Streamed game installs from peer to peer on a LAN.
#[derive(Debug, Parser)]
#[command(name = "lanspread-peer-cli", version, long_version = long_version(), styles = STYLES, after_help = first_steps_and_exit_status(),
    subcommand_required = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command; they can be given before or after its name.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON object per line on stdout
    #[arg(long, global = true, help_heading = OUTPUT, env = "LANSPREAD_JSON", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// Log what is decided and why (-v), and each connection and request (-vv)
    #[arg(short, long, global = true, help_heading = OUTPUT, env = "LANSPREAD_VERBOSE", action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only, and show no progress
    #[arg(short, long, global = true, help_heading = OUTPUT, env = "LANSPREAD_QUIET", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) logging: Logging,
    #[command(flatten)]
    pub(crate) looks: Looks,
    /// Folder for this peer's identity and saved peers [default: ~/.local/state/lanspread]
    #[arg(long, global = true, help_heading = THIS_MACHINE, env = "LANSPREAD_STATE_DIR", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// File with the line of the party of this machine [default: the party that `party join` stored]
    #[arg(long, global = true, help_heading = TRUST, env = "LANSPREAD_PARTY_FILE", value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) party_file: Option<PathBuf>,
    /// Do not use the daemon of the games directory: work beside it
    #[arg(long, global = true, help_heading = THIS_MACHINE, env = "LANSPREAD_NO_DAEMON", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_daemon: bool,
    /// TOML file with defaults for the options, under their long names [default: ~/.config/lanspread/lanspread.toml, or else
    /// /etc/lanspread/lanspread.toml]
    #[arg(long, global = true, help_heading = THIS_MACHINE, env = "LANSPREAD_CONFIG", value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the games directory is written.
    #[arg(skip)]
    pub(crate) games_dir_from: WrittenIn,
}

/// Where the value of an option is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum WrittenIn {
    /// On the command line or in a variable, for this command.
    #[default]
    Command,
    /// In the config file, for all commands.
    ConfigFile,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set this machine up: ask for the games folder, the name and the party, and write the config file
    #[command(after_help = "\
Examples:
  lanspread-peer-cli init                             ask; the program alone on a terminal does the same
  lanspread-peer-cli init --yes                       take all defaults
  lanspread-peer-cli init --yes --games-dir /srv/games --name den --party new
  lanspread-peer-cli init --yes --party - < line      join the party whose line is in a file

It writes ~/.config/lanspread/lanspread.toml, or the file that --config names, and creates the games folder. \
A file that is there is replaced only if you agree, and a copy of it stays beside it.")]
    Init(Init),
    /// Serve the games of a folder and run the operations that other commands request, until SIGINT or SIGTERM
    #[command(after_help = "\
Examples:
  lanspread-peer-cli serve
  lanspread-peer-cli serve --games-dir /srv/games --name party-server
  lanspread-peer-cli serve --catalog party/catalog.toml   say what the games are
  lanspread-peer-cli serve --catalog-from-peers           take the signed catalog of the party

A game is served once its folder holds version.ini and its *.eti archives. The name of the folder is the \
game id: letters, digits, `.`, `_` and `-`. Folders that are passed over are named with the reason. While \
this command runs, your other commands ask it to do the work, and so does every command with the same \
--games-dir.")]
    Serve(Serve),
    /// Find peers, save those that cannot be found, and say which ones to trust
    #[command(after_help = "\
Examples:
  lanspread-peer-cli peers                     show the peers that answer
  lanspread-peer-cli peers add 10.1.0.5:4107   always ask this peer too: multicast does not reach it
  lanspread-peer-cli peers list                show the saved, trusted and denied peers
  lanspread-peer-cli peers deny ID             neither let this peer in nor ask it
  lanspread-peer-cli peers penalties           show the peers that are not believed for a while")]
    Peers(Peers),
    /// List the games on this machine and the games that peers offer
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  lanspread-peer-cli list         one row for each game
  lanspread-peer-cli list cnctw   all that is known of one

A row says what is here and what is happening to it, whether there is an update, the size of the archives and \
of the installed tree (if the catalog says it), and which peers have the version that `install` would take."
    )]
    List(List),
    /// Install games
    #[command(after_help = "\
Examples:
  lanspread-peer-cli install --stream cnctw             install straight from a peer's archive
  lanspread-peer-cli install --stream cnctw --dry-run   show what that would do
  lanspread-peer-cli install cnctw                      download the archive, keep it, install from it

The installed tree is <games-dir>/<game>/local. Without --games-dir, the command prints which games \
directory it takes. A games directory is created if the folder above it exists. With --stream, the archive is never stored on this \
machine, so the game cannot be shared on.")]
    Install(Install),
    /// Download the archives of games, to install from them and to share them
    #[command(after_help = "\
Example:
  lanspread-peer-cli download cnctw

Several peers send parts at the same time, and machines that download the same game pass it on to each \
other. An interrupted download resumes where it stopped.")]
    Download(Download),
    /// Replace games with the version in the catalog or, without a catalog, the version that most peers have
    #[command(after_help = "\
Example:
  lanspread-peer-cli update cnctw --catalog catalog.toml
  lanspread-peer-cli update --all
  lanspread-peer-cli update             show what would change; exit status 10 if anything would

A downloaded game is downloaded again, and an installed game is installed again. The old tree stays \
until the new one is complete. If files that you added to it would be lost, the command names them \
and stops; with --force it deletes them.")]
    Update(Update),
    /// Remove the installed tree of games and keep their archives
    Uninstall(Uninstall),
    /// Remove the downloaded files of games and keep their installed tree
    Remove(Remove),
    /// Compare games with the records of what was installed and downloaded
    Verify(Verify),
    /// Compare games with those records, and fetch and replace what differs
    #[command(after_help = "\
Examples:
  lanspread-peer-cli repair cnctw
  lanspread-peer-cli verify --repair cnctw   the same

Only what differs is fetched. Files of the game that are missing or that you changed become what they were; \
files that you added stay. Each of them is named. If nothing differs, nothing is fetched.")]
    Repair(Repair),
    /// Bring games to a state: install, update or repair them, or do nothing
    #[command(after_help = "\
Examples:
  lanspread-peer-cli ensure cnctw                       installed, in the current version
  lanspread-peer-cli ensure cnctw@20250101 q3a@any      in this version; in whatever version is here
  lanspread-peer-cli ensure cnctw --archives            with its archives, so that it is shared
  lanspread-peer-cli ensure --file room.toml            everything that a room file says

Run it as often as you like. For each game it prints what it did, and with --json an object `ensured` with \
`changed`. If everything is right, it changes nothing and, with a catalog or a version, asks no peer. It \
never deletes files that you added or changed, unless --force is given.")]
    Ensure(Box<Ensure>),
    /// Uninstall games and remove their downloaded files, or do nothing
    Absent(Absent),
    /// Cancel the operations of a daemon on games
    Cancel(Cancel),
    /// Show the room: which machine is not ready, and why; or have other machines install a game
    #[command(
        visible_alias = "top",
        after_help = "\
Examples:
  lanspread-peer-cli room                          a table that changes, until you press Ctrl-C
  lanspread-peer-cli room --json                   the same once, as one object
  lanspread-peer-cli room install cnctw --on all   have it installed on every machine that lets this one do so

A machine lets another one do so if its daemon runs with `--accept-from ID`."
    )]
    Room(RoomArguments),
    /// Wait for an operation of a daemon, and end as it ends
    #[command(after_help = "\
Examples:
  lanspread-peer-cli install cnctw --detach
  lanspread-peer-cli wait cnctw
  lanspread-peer-cli wait 3 --timeout 5m

The exit status is that of the operation. If it has ended already, that is remembered until another operation \
on the game ends. Ctrl-C ends the waiting, and not the operation.")]
    Wait(WaitArguments),
    /// Show the operations of a daemon: those that run and those that wait
    #[command(
        visible_alias = "ops",
        after_help = "\
Examples:
  lanspread-peer-cli operations           what it is doing
  lanspread-peer-cli operations --ended   also what became of what it did

The daemon remembers how the newest operation on each game ended, until it stops."
    )]
    Operations(OperationsArguments),
    /// Show the newest events of a daemon
    Events(Events),
    /// Show the status of the peers named with --peer, or else of the daemon of the games directory
    Status(Status),
    /// Print what a daemon counts and measures, in the text format of Prometheus
    #[command(after_help = "\
Example, for the textfile collector of node_exporter, as a job that runs every minute:
  lanspread-peer-cli metrics > lanspread.new && mv lanspread.new /var/lib/node_exporter/lanspread.prom")]
    Metrics(OfDaemon),
    /// Show the limits of a daemon for what it sends and receives of games, or change them while it runs
    #[command(after_help = "\
Examples:
  lanspread-peer-cli limits                              show them
  lanspread-peer-cli limits --up 20MiB/s --down none     change them, until the daemon ends

Receivers have their turns: each of them gets the same part of the limit, however many transfers it has. \
`serve --limit-up` and --limit-down, or these keys of the config file, set the limits with which a daemon begins.")]
    Limits(LimitsArguments),
    /// Make and check catalogs, which say what the games of a party are
    #[command(after_help = CATALOG_OF_A_PARTY)]
    Catalog(CatalogArguments),
    /// Write the manifest of a game on this machine to a file, for an HTTP server
    #[command(after_help = "\
Examples:
  lanspread-peer-cli manifest cnctw
  lanspread-peer-cli manifest cnctw --output /srv/www/cnctw/manifest.lsm --without-tree

Receivers fetch it as GAME/manifest.lsm from a server that has the files of the game, and compare with it \
what the server sends. Write it again when the game changes.")]
    Manifest(ManifestArguments),
    /// Make a closed party, or join one: its members talk to each other and to no other peer
    #[command(after_help = CATALOG_OF_A_PARTY)]
    Party(PartyArguments),
    /// Show the settings of this machine and where they come from
    Config(ConfigArguments),
    /// Print the words that a shell can offer at the end of a command line
    #[command(hide = true)]
    Candidates(Candidates),
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  lanspread-peer-cli completions bash > ~/.local/share/bash-completion/completions/lanspread-peer-cli
  lanspread-peer-cli completions fish > ~/.config/fish/completions/lanspread-peer-cli.fish
  lanspread-peer-cli completions zsh > \"${fpath[1]}/_lanspread-peer-cli\"")]
    Completions(Completions),
    /// Write the manual pages, one for each command
    #[command(after_help = "\
Example:
  lanspread-peer-cli manual --out-dir ~/.local/share/man/man1")]
    Manual(Manual),
    /// Print the JSON Schema of the objects that --json prints
    Schema,
    /// Print the reference of all commands as Markdown
    Reference,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) games: ServedGamesDir,
    /// Address and port to listen on; port 0 chooses a free one
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_LISTEN", value_hint = ValueHint::Other, value_name = "ADDR:PORT", default_value = "0.0.0.0:4107")]
    pub(crate) listen: SocketAddr,
    /// Name of this peer, for people [default: the host's name]
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_NAME", value_hint = ValueHint::Other, value_name = "NAME")]
    pub(crate) name: Option<PeerName>,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
    /// Streams and downloads served at once; further receivers wait for their turn
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_MAX_STREAMS", value_hint = ValueHint::Other, value_name = "N", default_value_t = STREAMS_MAX_DEFAULT as u64,
        value_parser = clap::value_parser!(u64).range(1..=STREAMS_MAX as u64))]
    pub(crate) max_streams: u64,
    #[command(flatten)]
    pub(crate) parallel: Parallel,
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) rules: PeerRulesOptions,
    /// Peer that may have games installed, updated, repaired and checked here, by its id; may be given several times
    #[arg(long, help_heading = TRUST, env = "LANSPREAD_ACCEPT_FROM", value_hint = ValueHint::Other, value_name = "ID", value_delimiter = ',')]
    pub(crate) accept_from: Vec<PeerId>,
    /// Room file, which says what games the room wants: a machine is ready when it has them
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_ROOM", value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) room: Option<PathBuf>,
    /// Do not look for other peers and do not announce this one
    #[arg(long, help_heading = SOURCES, env = "LANSPREAD_NO_DISCOVERY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_discovery: bool,
    /// Offer installed games whose archives are not here too, file by file: only what is verified, and only files that
    /// are as they were then
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_SHARE_INSTALLED", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) share_installed: bool,
    #[command(flatten)]
    pub(crate) stopping: StopOptions,
    #[cfg(feature = "web")]
    #[command(flatten)]
    pub(crate) web: WebOptions,
    #[command(flatten)]
    pub(crate) sockets: SocketOptions,
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Ids of games: show all that is known of them [default: all games, one row each]
    #[arg(value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GameId>,
    /// Show only the games on this machine that an update would change, with both versions
    #[arg(long, conflicts_with = "games_wanted")]
    pub(crate) updates: bool,
    #[command(flatten)]
    pub(crate) games: GamesDirOption,
    #[command(flatten)]
    pub(crate) catalog: CatalogFile,
    #[command(flatten)]
    pub(crate) peers: PeerList,
    #[command(flatten)]
    pub(crate) discovery: DiscoveryChoice,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) named: PeerList,
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}

/// `limits`
#[derive(Debug, Args)]
pub(crate) struct LimitsArguments {
    /// Send no more of games than this from now on: 20MiB/s, 100Mbit/s, none
    #[arg(long, value_hint = ValueHint::Other, value_name = "RATE")]
    pub(crate) up: Option<RateLimit>,
    /// Receive no more of games than this from now on
    #[arg(long, value_hint = ValueHint::Other, value_name = "RATE")]
    pub(crate) down: Option<RateLimit>,
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}

/// `cancel`
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Ids of the games
    #[arg(required = true, value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GameId>,
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}

/// `operations`
#[derive(Debug, Args)]
pub(crate) struct OfDaemon {
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
}

/// `operations`
#[derive(Debug, Args)]
pub(crate) struct OperationsArguments {
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
    /// Show first how the newest operation on each game ended, the newest last
    #[arg(short, long)]
    pub(crate) ended: bool,
}

/// `events`
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) games: DaemonGamesDir,
    /// Keep running and show new events as they happen
    #[arg(short, long)]
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
    /// Folder for the pages; created if it does not exist
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
}
