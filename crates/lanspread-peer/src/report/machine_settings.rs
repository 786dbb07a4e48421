//! How this machine is set up, as commands report it to their user: `init` and `config`.

use lanspread_types::ids::PeerName;
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;

/// This machine was set up: its config file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSetUp {
    /// The config file.
    pub config_file: String,
    /// Where the config file that was there before is now.
    pub old_config_file: Option<String>,
    /// The games directory.
    pub games_dir: String,
    /// Whether it was created.
    pub games_dir_created: bool,
    /// The name of the peer; none if it is that of the host.
    pub name: Option<PeerName>,
    /// The four characters of the party; none if the machine is of no party.
    pub party: Option<String>,
}

/// The value of an option for the commands that have it, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionSetting {
    /// The option, as a key of the config file.
    pub key: String,
    /// Its values, without credentials; none if it has no value.
    pub values: Vec<String>,
    /// `command-line`, `variable`, `file` or `default`.
    pub origin: Code,
    /// The variable, if it comes from one.
    pub variable: Option<String>,
    /// The config file, if it comes from there,
    pub path: Option<String>,
    /// and its line, from 1.
    pub line: Option<u64>,
}

/// The config file that commands read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFilePath {
    /// The file.
    pub path: String,
    /// Whether it exists; if it does not, it is the one that `init` writes.
    pub exists: bool,
}
