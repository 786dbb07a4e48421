//! `config`: what the settings of this machine are, and where they come from.

use lanspread_peer::{Answer, default_state_dir};

use crate::arguments::{ConfigCommand, Global};
use crate::config::{self, Given};
use crate::exit::CommandResult;
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;

pub(crate) fn run(global: &Global, output: Output, command: &ConfigCommand, given: &Given) -> CommandResult {
    match command {
        ConfigCommand::Show => output.settings(&given.settings(&found_out)?)?,
        ConfigCommand::Path => {
            let file = config::path_to_read(global.config.as_deref())?;
            let is_missing = !file.exists;
            output.report(&Answer::ConfigFile(file))?;
            if is_missing {
                output.note("there is no such file yet: `lanspread-peer-cli init` writes it");
            }
        }
    }
    Ok(())
}

/// The defaults that are not the same on every machine.
fn found_out(key: &str) -> Option<String> {
    let path = match key {
        "games-dir" => ChosenGamesDir::to_serve(None).ok()?.path,
        "state-dir" => default_state_dir()?,
        _ => return None,
    };
    Some(path.to_string_lossy().into_owned())
}
