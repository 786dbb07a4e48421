//! Options of the room page.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

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
}
