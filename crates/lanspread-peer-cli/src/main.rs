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
mod games_dir;
mod help;
mod hints;
mod logging;
mod manual;
mod notify;
mod output;
#[cfg(feature = "web")]
mod page;
mod panics;
mod process_limits;
mod reference;
mod signals;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use tokio::runtime::Runtime;

use crate::arguments::{Arguments, Command, Global};
use crate::commands::operate;
use crate::config::{ArgumentsError, Asked, Given};
use crate::exit::{CommandResult, Failure};
use crate::output::Output;

/// How long threads that ignore their cancellation can delay the end of the process.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    panics::report_in_one_line();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.len() == 1 && commands::init::is_wanted_by_newcomer() {
        words.push("init".into());
    }
    // What is wrong with the command line, and the help, are coloured or not before it is parsed.
    output::choose_color(config::color_written(&words));
    let Asked { arguments: Arguments { global, command }, given } = match config::ask(&words) {
        Ok(asked) => asked,
        Err(ArgumentsError::Usage(error)) if is_help(&error) => error.exit(),
        Err(error) => {
            let failure = match error {
                ArgumentsError::Usage(error) => Failure::from(error),
                ArgumentsError::Setting(failure) => failure,
            };
            // The command line is not parsed yet, but a script that passes --json wants this failure as JSON too.
            let json = words.iter().any(|word| word == "--json");
            Output { json, quiet: false }.failure(&failure);
            return failure.exit_code();
        }
    };
    output::choose_color(Some(global.looks.color));
    output::choose_unit(global.looks.units);
    logging::start(&global.logging, global.quiet, global.verbose, output::in_colour);
    if let Some(path) = given.config_file() {
        tracing::info!("config file {}: it gives the defaults", path.display());
    }
    let output = Output { json: global.json, quiet: global.quiet };
    let serves = matches!(command, Command::Serve(_));
    let ended = start().and_then(|runtime| {
        let running = AssertUnwindSafe(|| runtime.block_on(run(&global, output, command, &given)));
        let ended = std::panic::catch_unwind(running);
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
        // In the daemon, what panicked may have been one connection; it says itself whether it can go on.
        match (ended, panics::failure()) {
            (Ok(ended), None) => ended,
            (Ok(ended), Some(_)) if serves => ended,
            (_, Some(failure)) => Err(failure),
            (Err(_), None) => unreachable!("a panic is reported before it unwinds"),
        }
    });
    match ended {
        Ok(()) if serves => signals::status().map_or(ExitCode::SUCCESS, ExitCode::from),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let status = signals::status().filter(|_| failure.is_interruption());
            let failure = Failure { status: status.unwrap_or(failure.status), ..failure };
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Starts the runtime, if the system gives this process enough threads and files.
fn start() -> Result<Runtime, Failure> {
    let workers = process_limits::check()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let started = panics::while_starting(|| builder.enable_all().worker_threads(workers).build());
    started.map_err(|error| process_limits::cannot_start(&error.to_string()))
}

/// Whether this is `--help` or `--version`, or the help that an empty command line gets.
fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

async fn run(global: &Global, output: Output, command: Command, given: &Given) -> CommandResult {
    match command {
        Command::Init(init) => commands::init::run(global, output, init, given),
        Command::Config(config) => commands::config::run(global, output, &config.command, given),
        Command::Serve(serve) => commands::serve::run(global, output, serve).await,
        Command::Peers(peers) => commands::ask::peers(global, output, peers).await,
        Command::List(list) => commands::ask::list(global, output, list).await,
        Command::Install(install) => operate::install(global, output, install).await,
        Command::Download(download) => operate::download(global, output, download).await,
        Command::Update(update) => operate::update(global, output, update).await,
        Command::Uninstall(uninstall) => operate::uninstall(global, output, uninstall).await,
        Command::Remove(remove) => operate::remove(global, output, remove).await,
        Command::Verify(verify) => operate::verify(global, output, verify).await,
        Command::Repair(repair) => operate::repair(global, output, repair).await,
        Command::Ensure(ensure) => commands::ensure::ensure(global, output, *ensure).await,
        Command::Absent(absent) => commands::ensure::absent(global, output, absent).await,
        Command::Cancel(cancel) => operate::cancel(global, output, cancel).await,
        Command::Room(room) => commands::room::run(global, output, room).await,
        Command::Wait(wait) => commands::wait::run(global, output, wait).await,
        Command::Operations(of) => commands::ask::operations(global, output, of).await,
        Command::Events(events) => commands::ask::events(global, output, events).await,
        Command::Metrics(of) => commands::ask::metrics(global, output, of).await,
        Command::Limits(limits) => commands::ask::limits(global, output, limits).await,
        Command::Status(status) => commands::ask::status(global, output, status).await,
        Command::Catalog(catalog) => commands::catalog::run(global, output, catalog.command),
        Command::Manifest(manifest) => commands::catalog_build::manifest(global, output, manifest),
        Command::Party(party) => commands::party::run(global, output, party.command),
        Command::Candidates(candidates) => commands::candidates::run(global, candidates).await,
        Command::Completions(completions) => commands::generate::completions(&completions),
        Command::Manual(manual) => commands::generate::manual(&manual),
        Command::Schema => commands::generate::schema(),
        Command::Reference => commands::generate::reference(),
    }
}
