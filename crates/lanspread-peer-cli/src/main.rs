//! `lanspread-peer-cli`: the lanspread peer as a command.
//!
//! This crate turns a command line, variables and a config file into requests to a peer, and its replies into lines, JSON
//! and an exit status. It also owns the hints, because only a command has options to name in them.
//!
//! It knows the front door of `lanspread-peer` and nothing below it: no wire format, no archive, and nothing of how state
//! is kept on disk.

mod arguments;
mod backend;
mod commands;
mod completion;
mod config;
mod exit;
mod help;
mod hints;
mod notify;
mod output;
mod reference;
mod signals;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use lanspread_peer::OperationKind;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command, Global};
use crate::commands::operate;
use crate::config::{ArgumentsError, Asked};
use crate::exit::{CommandResult, Failure};
use crate::output::Output;

/// How long threads that ignore their cancellation can delay the end of the process.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let Asked { arguments: Arguments { global, command }, config_file } = match config::ask(&words) {
        Ok(asked) => asked,
        Err(ArgumentsError::Usage(error)) if is_help(&error) => error.exit(),
        Err(error) => {
            let failure = match error {
                ArgumentsError::Usage(error) => Failure::from(error),
                ArgumentsError::ConfigFile(failure) => failure,
            };
            // The command line is not parsed yet, but a script that passes --json wants this failure as JSON too.
            let json = words.iter().any(|word| word == "--json");
            Output { json, quiet: false }.failure(&failure);
            return failure.exit_code();
        }
    };
    start_log(&global);
    if let Some(path) = config_file {
        tracing::info!("config file {}: it gives the defaults", path.display());
    }
    let output = Output { json: global.json, quiet: global.quiet };
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(run(&global, output, command));
            runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Whether this is `--help` or `--version`, or the help that an empty command line gets.
fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

async fn run(global: &Global, output: Output, command: Command) -> CommandResult {
    match command {
        Command::Serve(serve) => commands::serve::run(global, output, serve).await,
        Command::Peers(peers) => commands::ask::peers(global, output, peers).await,
        Command::List(list) => commands::ask::list(global, output, list).await,
        Command::Install(install) => operate::install(global, output, install).await,
        Command::Download(download) => operate::download(global, output, download).await,
        Command::Update(update) => operate::update(global, output, update).await,
        Command::Uninstall(uninstall) => operate::uninstall(global, output, uninstall).await,
        Command::Remove(local) => {
            operate::on_this_machine(global, output, local, OperationKind::Remove).await
        }
        Command::Verify(local) => {
            operate::on_this_machine(global, output, local, OperationKind::Verify).await
        }
        Command::Cancel(cancel) => operate::cancel(output, cancel).await,
        Command::Operations(of) => commands::ask::operations(output, of).await,
        Command::Events(events) => commands::ask::events(output, events).await,
        Command::Status(status) => commands::ask::status(global, output, status).await,
        Command::Completions(completions) => commands::generate::completions(&completions),
        Command::Manual(manual) => commands::generate::manual(&manual),
        Command::Schema => commands::generate::schema(),
        Command::Reference => commands::generate::reference(),
    }
}

/// Starts the log on stderr; `-v` and `-q` choose its level.
fn start_log(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(output::in_colour())
        .with_target(false)
        .init();
}
