//! Options of several commands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueHint};
use lanspread_peer::limits::DISCOVERY_TIMEOUT_MAX;
use lanspread_peer::{
    AdmissionRules, DiscoveryMode, OperationOptions, PeerId, RateLimit, RelayChoice, TrafficLimits, Wait,
};

use crate::arguments::values::{DecodePlace, DictionaryBytes, GivenPeer, GivenUrl, WaitTime};
use crate::help::heading::{SOURCES, THIS_MACHINE, TRANSFER, TRUST};

/// The games directory.
#[derive(Debug, Args)]
pub(crate) struct GamesDirOption {
    /// Folder that holds one folder per game [default: that of your running daemon, or else
    /// ~/.local/share/lanspread/games]
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_GAMES_DIR", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
}

/// The games directory of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServedGamesDir {
    /// Folder that holds one folder per game [default: ~/.local/share/lanspread/games]
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_GAMES_DIR", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
}

/// The catalog.
#[derive(Debug, Args)]
pub(crate) struct CatalogFile {
    /// Catalog of known games and their versions (TOML)
    #[arg(long, help_heading = TRUST, env = "LANSPREAD_CATALOG", value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// Take only catalogs that this public key has signed, and never an older one: its file, or its line in base64
    /// [default: the key that the party line names, if it does]
    #[arg(long, help_heading = TRUST, env = "LANSPREAD_CATALOG_KEY", value_hint = ValueHint::FilePath, value_name = "FILE|BASE64")]
    pub(crate) catalog_key: Option<PathBuf>,
    /// Take the catalog of that key, and each newer one, from other peers
    #[arg(long, help_heading = TRUST, env = "LANSPREAD_CATALOG_FROM_PEERS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) catalog_from_peers: bool,
}

/// The decoder.
#[derive(Debug, Args)]
pub(crate) struct Decoder {
    /// Decode with this unrar program (a path, or a name on PATH) instead of the built-in decoder
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_UNRAR", value_hint = ValueHint::ExecutablePath, value_name = "PATH")]
    pub(crate) unrar: Option<PathBuf>,
    /// Largest dictionary that an archive may need, up to 64GiB; decoding it takes that much memory, for each stream
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_MAX_DICTIONARY", value_hint = ValueHint::Other, value_name = "SIZE", default_value = "1GiB")]
    pub(crate) max_dictionary: DictionaryBytes,
}

/// Limits for what is sent and received.
#[derive(Debug, Args)]
pub(crate) struct LimitOptions {
    /// Send no more of games than this: 20MiB/s, 100Mbit/s, none; without effect if a daemon does the work, which has limits of
    /// its own
    #[arg(long, help_heading = TRANSFER, env = "LANSPREAD_LIMIT_UP", value_hint = ValueHint::Other, value_name = "RATE", default_value_t)]
    pub(crate) limit_up: RateLimit,
    /// Receive no more of games than this, in the same way
    #[arg(long, help_heading = TRANSFER, env = "LANSPREAD_LIMIT_DOWN", value_hint = ValueHint::Other, value_name = "RATE", default_value_t)]
    pub(crate) limit_down: RateLimit,
}

impl From<&LimitOptions> for TrafficLimits {
    fn from(options: &LimitOptions) -> Self {
        Self::default().with_up(options.limit_up).with_down(options.limit_down)
    }
}

/// Which peers to have to do with.
#[derive(Debug, Args)]
pub(crate) struct PeerRulesOptions {
    /// Have to do with this peer only; may be given several times [variable: separated by commas]
    #[arg(long = "allow-peer", help_heading = TRUST, env = "LANSPREAD_ALLOW_PEER", value_hint = ValueHint::Other, value_name = "ID", value_delimiter = ',')]
    pub(crate) allow_peers: Vec<PeerId>,
    /// Neither let this peer in nor ask it, even if it is allowed; may be given several times
    #[arg(long = "deny-peer", help_heading = TRUST, env = "LANSPREAD_DENY_PEER", value_hint = ValueHint::Other, value_name = "ID", value_delimiter = ',')]
    pub(crate) deny_peers: Vec<PeerId>,
    /// Have to do only with peers of `peers trust` and --allow-peer
    #[arg(long, help_heading = TRUST, env = "LANSPREAD_ONLY_TRUSTED", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) only_trusted: bool,
}

impl From<&PeerRulesOptions> for AdmissionRules {
    fn from(options: &PeerRulesOptions) -> Self {
        Self {
            allow: options.allow_peers.iter().copied().collect(),
            deny: options.deny_peers.iter().copied().collect(),
            only_trusted: options.only_trusted,
        }
    }
}

/// The games directory of a command that only asks its daemon.
#[derive(Debug, Args)]
pub(crate) struct DaemonGamesDir {
    /// Games directory whose daemon answers [default: that of your running daemon]
    #[arg(long, help_heading = THIS_MACHINE, env = "LANSPREAD_GAMES_DIR", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
}

/// The peers to ask.
#[derive(Debug, Args)]
pub(crate) struct PeerList {
    /// Peer to ask, by address (the port is 4107 unless it is given), name or id; may be given several times [variable:
    /// separated by commas]
    #[arg(long = "peer", help_heading = SOURCES, env = "LANSPREAD_PEER", value_hint = ValueHint::Other, value_name = "PEER", value_delimiter = ',')]
    pub(crate) peers: Vec<GivenPeer>,
}

/// The peers that alone are sources.
#[derive(Debug, Args)]
pub(crate) struct OnlyFrom {
    /// Fetch from this peer only, by address, name, id or the beginning of its id; may be given several times. Of the HTTP
    /// servers, only those of --from are used
    #[arg(long = "only-from", help_heading = SOURCES, env = "LANSPREAD_ONLY_FROM", value_hint = ValueHint::Other, value_name = "PEER", value_delimiter = ',')]
    pub(crate) only_from: Vec<GivenPeer>,
}

/// The HTTP servers to fetch from.
#[derive(Debug, Args)]
pub(crate) struct ServerList {
    /// HTTP server or S3 bucket that may have the game too, with {game} and {file} in the place of the names, or as
    /// a folder of games; may be given several times [variable: separated by commas] [config file: sources]
    #[arg(long = "from", help_heading = SOURCES, env = "LANSPREAD_FROM", value_hint = ValueHint::Url, value_name = "URL", value_delimiter = ',')]
    pub(crate) servers: Vec<GivenUrl>,
}

/// Finding peers.
#[derive(Debug, Args)]
pub(crate) struct DiscoveryChoice {
    /// Ask only the peers named with --peer and those saved with `peers add`
    #[arg(long, help_heading = SOURCES, env = "LANSPREAD_NO_DISCOVERY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_discovery: bool,
    /// Longest time to look for peers; the search ends sooner if it has found enough peers to decide
    #[arg(long, help_heading = SOURCES, env = "LANSPREAD_DISCOVER_TIMEOUT", value_hint = ValueHint::Other, value_name = "SECONDS", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(1..=DISCOVERY_TIMEOUT_MAX.as_secs()))]
    pub(crate) discover_timeout: u64,
}

impl From<&DiscoveryChoice> for DiscoveryMode {
    fn from(choice: &DiscoveryChoice) -> Self {
        if choice.no_discovery { Self::Off } else { Self::On { timeout_ms: choice.discover_timeout * 1000 } }
    }
}

/// Waiting for a place.
#[derive(Debug, Args)]
pub(crate) struct WaitOptions {
    /// Give up at once if no source has a place, with exit status 8
    #[arg(long, help_heading = SOURCES, env = "LANSPREAD_NO_WAIT", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_wait: bool,
    /// Wait no longer than this while no source has a place: 90s, 5m, 2h [default: until its turn comes]
    #[arg(long, help_heading = SOURCES, env = "LANSPREAD_WAIT", value_hint = ValueHint::Other, value_name = "DURATION", conflicts_with = "no_wait")]
    pub(crate) wait: Option<WaitTime>,
}

impl From<&WaitOptions> for Wait {
    fn from(options: &WaitOptions) -> Self {
        match options.wait {
            _ if options.no_wait => Self::For { wait_ms: 0 },
            Some(WaitTime(wait_ms)) => Self::For { wait_ms },
            None => Self::Always,
        }
    }
}

/// Streamed installs.
#[derive(Debug, Args)]
pub(crate) struct StreamOptions {
    /// Where a streamed game is decoded: here, or at the source, for a machine with a slow processor
    #[arg(long, help_heading = TRANSFER, env = "LANSPREAD_DECODE_AT", value_enum, default_value_t, value_name = "PLACE")]
    pub(crate) decode_at: DecodePlace,
    #[command(flatten)]
    pub(crate) relaying: RelayOptions,
}

impl StreamOptions {
    /// The options of an operation that streams like this.
    pub(crate) fn apply(&self, options: OperationOptions) -> OperationOptions {
        self.relaying.apply(options.with_decode_at(self.decode_at.into()))
    }
}

/// What is passed on to other machines that fetch the same game.
#[derive(Debug, Args)]
pub(crate) struct RelayOptions {
    /// Pass nothing on to other machines that fetch the same game
    #[arg(long, help_heading = TRANSFER, env = "LANSPREAD_NO_RELAY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_relay: bool,
    /// Address on which what arrives is passed on, if no daemon runs [default: a free port of every address]
    #[arg(long, help_heading = TRANSFER, env = "LANSPREAD_LISTEN", value_hint = ValueHint::Other, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Memory for what arrives and is passed on, in MiB: 16 to 1024 [default: 64]
    #[arg(long, help_heading = TRANSFER, env = "LANSPREAD_WINDOW", value_hint = ValueHint::Other, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub(crate) window: Option<u32>,
}

impl RelayOptions {
    /// The options of an operation that passes on like this.
    pub(crate) fn apply(&self, options: OperationOptions) -> OperationOptions {
        let relay = if self.no_relay { RelayChoice::Off } else { RelayChoice::On { listen: self.listen } };
        options.with_relay(relay).with_window_mib(self.window)
    }
}
