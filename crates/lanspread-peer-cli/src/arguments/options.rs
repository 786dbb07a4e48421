//! Options of several commands.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueHint};

use crate::arguments::values::DictionaryBytes;

/// The games directory.
#[derive(Debug, Args)]
pub(crate) struct GamesDirOption {
    /// Folder that holds one folder per game [default: that of your running daemon, or else
    /// ~/.local/share/lanspread/games]
    #[arg(long, env = "LANSPREAD_GAMES_DIR", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
}

/// The catalog.
#[derive(Debug, Args)]
pub(crate) struct CatalogFile {
    /// Catalog of known games and their versions (TOML)
    #[arg(long, env = "LANSPREAD_CATALOG", value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// Take only catalogs that this public key has signed, and never an older one: its file, or its line in base64
    #[arg(long, env = "LANSPREAD_CATALOG_KEY", value_hint = ValueHint::FilePath, value_name = "FILE|BASE64")]
    pub(crate) catalog_key: Option<PathBuf>,
    /// Take newer catalogs of that key from other peers
    #[arg(long, env = "LANSPREAD_CATALOG_FROM_PEERS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) catalog_from_peers: bool,
}

/// The decoder.
#[derive(Debug, Args)]
pub(crate) struct Decoder {
    /// Decode with this unrar program (a path, or a name on PATH) instead of the built-in decoder
    #[arg(long, env = "LANSPREAD_UNRAR", value_hint = ValueHint::ExecutablePath, value_name = "PATH")]
    pub(crate) unrar: Option<PathBuf>,
    /// Largest dictionary that an archive may need, up to 64GiB; decoding it takes that much memory, for each stream
    #[arg(long, env = "LANSPREAD_MAX_DICTIONARY", value_hint = ValueHint::Other, value_name = "SIZE", default_value = "1GiB")]
    pub(crate) max_dictionary: DictionaryBytes,
}
