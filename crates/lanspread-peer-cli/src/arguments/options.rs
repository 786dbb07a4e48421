//! Options of several commands.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::arguments::values::DictionaryBytes;

/// The games directory.
#[derive(Debug, Args)]
pub(crate) struct GamesDirOption {
    /// Folder that holds one folder per game [default: that of your running daemon, or else
    /// ~/.local/share/lanspread/games]
    #[arg(long, env = "LANSPREAD_GAMES_DIR", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
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
