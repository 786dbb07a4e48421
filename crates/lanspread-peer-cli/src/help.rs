//! The help below the list of commands: what to type first, and what the exit statuses mean.

use clap::builder::styling::{AnsiColor, Effects, Styles};
use lanspread_peer::PROTOCOL_VERSION;

/// The headings of the options in `--help`. What one command alone can do has none: clap calls those *Options*.
pub(crate) mod heading {
    pub(crate) const OUTPUT: &str = "Output";
    pub(crate) const SERVING: &str = "Serving";
    pub(crate) const SOURCES: &str = "Sources";
    pub(crate) const THIS_MACHINE: &str = "This machine";
    pub(crate) const TRANSFER: &str = "Transfer";
    pub(crate) const TRUST: &str = "Trust";

    #[cfg(test)]
    pub(crate) const ALL: [&str; 6] = [OUTPUT, SERVING, SOURCES, THIS_MACHINE, TRANSFER, TRUST];
}

/// The colours of the help: those of cargo, which many users know.
pub(crate) const STYLES: Styles = Styles::styled()
    .header(AnsiColor::BrightGreen.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::BrightGreen.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::BrightCyan.on_default().effects(Effects::BOLD))
    .placeholder(AnsiColor::Cyan.on_default());

/// The exit statuses that this program has itself; a shell adds those of signals.
pub(crate) const EXIT_STATUS: &[(u8, &str)] = &[
    (0, "done"),
    (1, "unexpected"),
    (2, "usage, configuration"),
    (3, "no peer offers it, or the peer asked does not answer"),
    (4, "every source failed"),
    (5, "refused: already installed, in progress, not in the catalog, ambiguous"),
    (6, "content did not match"),
    (7, "local disk: space, permission"),
    (8, "no source has a place, and the command waits no longer"),
    (10, "games can be updated: of `update` without games and of `update --check`"),
    (124, "not done within the time of --timeout"),
    (130, "interrupted"),
];

/// What stands above them.
pub(crate) const EXIT_STATUS_TITLE: &str = "Exit status";

/// The files of a user, for the manual.
pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "~/.config/lanspread/lanspread.toml",
        "The settings of this user: `config show` lists them, `init` writes them",
    ),
    (
        "/etc/lanspread/lanspread.toml",
        "The settings of the service, and of every user who has no file of their own",
    ),
    ("~/.local/share/lanspread/games", "The games directory, unless --games-dir names another one"),
    (
        "~/.local/state/lanspread",
        "The state directory, unless --state-dir names another one: identity, party, saved peers, keys of catalogs",
    ),
    ("<games-dir>/<game>/*.eti", "The archives of a game, beside version.ini"),
    ("<games-dir>/<game>/local", "The installed tree of a game"),
    ("<games-dir>/.lanspread", "Locks, and the records of what was installed and downloaded"),
];

/// The variables that are no options, for the manual.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    (
        "XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME",
        "Folders in place of ~/.config, ~/.local/share and ~/.local/state",
    ),
    ("NO_COLOR", "If it is not empty, nothing is coloured. --color goes before these three"),
    ("CLICOLOR_FORCE", "If it is not 0, words are coloured also where stdout and stderr are no terminals"),
    ("CLICOLOR", "If it is 0, nothing is coloured"),
    (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL",
        "The key for an object store that --from names with `s3://`, and where it is",
    ),
];

/// The help below the list of commands.
pub(crate) fn first_steps_and_exit_status() -> String {
    let statuses: Vec<String> =
        EXIT_STATUS.iter().map(|(status, meaning)| format!("  {status:<3} {meaning}")).collect();
    format!("{FIRST_STEPS}\n\n{EXIT_STATUS_TITLE}:\n{}", statuses.join("\n"))
}

/// The version, and what else two programs that do not understand each other can differ in: `0.1.0 (commit 50916ddc2a4f,
/// protocol 3, with http, s3, web)`. The script that builds the package names the commit.
pub(crate) fn long_version() -> String {
    let features =
        [("http", cfg!(feature = "http")), ("s3", cfg!(feature = "s3")), ("web", cfg!(feature = "web"))];
    let features: Vec<&str> =
        features.into_iter().filter(|(_, is_in)| *is_in).map(|(name, _)| name).collect();
    let with = if features.is_empty() { String::new() } else { format!(", with {}", features.join(", ")) };
    let commit =
        option_env!("LANSPREAD_COMMIT").map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    format!("{} ({commit}protocol {PROTOCOL_VERSION}{with})", env!("CARGO_PKG_VERSION"))
}

/// What a new user wants to do, in this order.
const FIRST_STEPS: &str = "\
First steps:
  Say where the games are
    lanspread-peer-cli init
  Find the peers of this network
    lanspread-peer-cli peers
  List the games on this machine and the games that peers offer
    lanspread-peer-cli list
  Install a game straight from a peer's archive, which is never stored
    lanspread-peer-cli install --stream cnctw
  Or download its archive, to install from it and to share it
    lanspread-peer-cli download cnctw
  Later, update it to a newer version
    lanspread-peer-cli update cnctw
  Share the downloaded games
    lanspread-peer-cli serve
  If no peer is found, name one with --peer 10.0.0.5:4107, or save it
    lanspread-peer-cli peers add 10.0.0.5:4107
  Games are in ~/.local/share/lanspread/games, or in the folder that a running `serve` of yours serves.
  For another folder, pass --games-dir DIR, or put it into ~/.config/lanspread/lanspread.toml
    games-dir = \"~/games\"";

/// The help below `party` and `catalog`: all that a party with a signed catalog needs.
pub(crate) const CATALOG_OF_A_PARTY: &str = "\
A party with a signed catalog:
  On the machine with the games, list what is in them, sign the list, and make the party
    lanspread-peer-cli catalog build --games-dir /srv/games --out party
    lanspread-peer-cli catalog key
    lanspread-peer-cli catalog sign party/catalog.toml
    lanspread-peer-cli party new --with-catalog-key
    lanspread-peer-cli serve --games-dir /srv/games --catalog party/catalog.toml
  On each other machine, paste the line that `party new` printed, and take the catalog
    lanspread-peer-cli party join
    lanspread-peer-cli serve --catalog-from-peers
    lanspread-peer-cli install --stream cnctw
  A machine that does not serve takes the catalog with its first command
    lanspread-peer-cli install --stream cnctw --catalog-from-peers

What is installed is `verified` then: each byte is as the signer of the catalog read it. Without a catalog, \
leave out the first three lines and --with-catalog-key.";
