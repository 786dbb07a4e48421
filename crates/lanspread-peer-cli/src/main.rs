//! `lanspread-peer-cli`: arguments, output, exit status. Everything else is the library's.

mod arguments;
mod commands;
mod exit;
mod output;
mod signals;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command, Global};
use crate::exit::{CommandResult, Failure};
use crate::output::Output;

/// How long threads that ignore their cancellation may keep the process from ending.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let Arguments { global, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if is_help(&error) => error.exit(),
        Err(error) => {
            // What was asked for is not known yet, but scripts that say --json want JSON for this as well.
            let json = std::env::args_os().any(|argument| argument == "--json");
            let failure = Failure::from(error);
            Output { json, quiet: false }.failure(&failure);
            return failure.exit_code();
        }
    };
    start_log(&global);
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

/// `--help` and `--version`, and the help shown when nothing was asked.
fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

async fn run(global: &Global, output: Output, command: Command) -> CommandResult {
    match command {
        Command::Serve(serve) => commands::serve::run(global, output, serve).await,
        Command::Install(install) => commands::install::run(global, output, install).await,
        Command::List(list) => commands::ask::list(global, output, list).await,
        Command::Peers(peers) => commands::ask::peers(global, output, peers).await,
        Command::Status(status) => commands::ask::status(global, output, status).await,
    }
}

/// Logs go to stderr; `-v` and `-q` choose how much.
fn start_log(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(!no_color && std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
