//! Options of the room page.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use lanspread_web::Commands;

use crate::arguments::values;
use crate::help::heading::SERVING;

/// The room page.
#[derive(Debug, Args)]
pub(crate) struct WebOptions {
    /// Serve a page that shows the room in a browser, at this address; port 0 chooses a free one. On a loopback address
    /// everyone on this machine can use it, on another one it asks for a token
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_WEB", value_hint = ValueHint::Other, value_name = "ADDR:PORT")]
    pub(crate) web: Option<SocketAddr>,
    /// File with the token of the page, one line of at least 16 characters; it is asked for on loopback too then [default:
    /// `web-token` in the state directory, made when it is needed]
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_WEB_TOKEN_FILE", value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) web_token_file: Option<PathBuf>,
    /// Name under which browsers ask for the page, in addition to addresses and `localhost`
    #[arg(long = "web-name", help_heading = SERVING, env = "LANSPREAD_WEB_NAME", value_hint = ValueHint::Hostname, value_name = "NAME",
        value_delimiter = ',', value_parser = values::web_name)]
    pub(crate) web_names: Vec<String>,
    /// What the page may have done at most. Another machine also has to accept it (`--accept-from`)
    #[arg(long, help_heading = SERVING, env = "LANSPREAD_WEB_COMMANDS", value_enum, default_value_t, value_name = "WHERE")]
    pub(crate) web_commands: WebCommands,
}

/// How far the page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum WebCommands {
    /// Nothing: it only shows the room, for a wall
    None,
    /// What is done on the machine of the daemon
    Own,
    /// That, and what other machines accept from it
    #[default]
    Room,
}

impl From<WebCommands> for Commands {
    fn from(commands: WebCommands) -> Self {
        match commands {
            WebCommands::None => Self::None,
            WebCommands::Own => Self::Own,
            WebCommands::Room => Self::Room,
        }
    }
}
