//! Operations on games: `install`, `download`, `update`, `uninstall`, `remove`, `verify`.
//!
//! A command requests the operations on all its games at once. The daemon, or the peer of this process, runs as many of
//! them together as its limit allows. If one fails, the others still run, and a summary says which are done.

use std::time::Duration;

use std::path::Path;

use lanspread_peer::{CancellationToken, GameId, OperationKind, OperationOptions, OperationRequest};
use lanspread_peer::{ControlReply, ControlRequest};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{describe, servers};
use crate::arguments::{Cancel, Decoder, Download, Fetching, Global, Install, Local, Uninstall, Update};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure, Summary};
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;
use crate::panics;
use crate::signals::cancel_on_signal_or_panic;

/// How often progress is drawn again while nothing happens.
const TICK: Duration = Duration::from_secs(1);

pub(crate) async fn install(global: &Global, output: Output, install: Install) -> CommandResult {
    let Install { stream, operate, names, decoder, streaming, dry_run } = install;
    let options = streaming.apply(options(&operate.fetching)?.with_names(names.names.into()));
    let kind = if stream { OperationKind::StreamInstall } else { OperationKind::Install };
    if dry_run {
        let plan = |game| ControlRequest::Plan { game, options: options.clone() };
        return run(global, output, &operate.local, Some(&decoder), plan, false).await;
    }
    perform(global, output, &operate.local, Some(&decoder), kind, &options).await
}

pub(crate) async fn download(global: &Global, output: Output, download: Download) -> CommandResult {
    let Download { operate, relaying } = download;
    let options = relaying.apply(options(&operate.fetching)?);
    perform(global, output, &operate.local, None, OperationKind::Download, &options).await
}

pub(crate) async fn update(global: &Global, output: Output, update: Update) -> CommandResult {
    let Update { operate, names, decoder, streaming, force } = update;
    let options = options(&operate.fetching)?.with_names(names.names.into()).with_force(force.force);
    let options = streaming.apply(options);
    perform(global, output, &operate.local, Some(&decoder), OperationKind::Update, &options).await
}

pub(crate) async fn uninstall(global: &Global, output: Output, uninstall: Uninstall) -> CommandResult {
    let options = OperationOptions::default().with_force(uninstall.force.force);
    perform(global, output, &uninstall.local, None, OperationKind::Uninstall, &options).await
}

pub(crate) async fn on_this_machine(
    global: &Global,
    output: Output,
    local: Local,
    kind: OperationKind,
) -> CommandResult {
    perform(global, output, &local, None, kind, &OperationOptions::default()).await
}

pub(crate) async fn cancel(global: &Global, output: Output, cancel: Cancel) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, cancel.games.games_dir.as_deref())?;
    let backend = Backend::daemon(&games_dir.path)?;
    let request = |game| ControlRequest::Cancel { game };
    follow(&backend, output, &cancel.games_wanted, request, &CancellationToken::new()).await
}

fn options(fetching: &Fetching) -> Result<OperationOptions, Failure> {
    let options = OperationOptions::default()
        .with_peers(fetching.peers.peers.clone())
        .with_servers(servers(&fetching.servers.servers)?)
        .with_discovery((&fetching.discovery).into())
        .with_admission((&fetching.rules).into())
        .with_wait((&fetching.waiting).into())
        .with_accept_unverified(fetching.unverified.accept_unverified);
    Ok(options)
}

async fn perform(
    global: &Global,
    output: Output,
    local: &Local,
    decoder: Option<&Decoder>,
    kind: OperationKind,
    options: &OperationOptions,
) -> CommandResult {
    let request = |game| ControlRequest::Operate(OperationRequest { kind, game, options: options.clone() });
    let fills =
        matches!(kind, OperationKind::StreamInstall | OperationKind::Install | OperationKind::Download);
    run(global, output, local, decoder, request, fills).await
}

/// Sends one request for each game, to the daemon or to a peer of this process. If the requests `fill` the games
/// directory, it need not exist.
async fn run(
    global: &Global,
    output: Output,
    local: &Local,
    decoder: Option<&Decoder>,
    request: impl Fn(GameId) -> ControlRequest,
    fills: bool,
) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let games_dir = ChosenGamesDir::to_use(global, local.place.games.games_dir.as_deref())?;
    let created = games_dir.open(output, fills)?;
    let done = run_in(&games_dir.path, global, output, local, decoder, request, &cancel).await;
    if created && done.is_err() {
        games_dir.remove_if_empty();
    }
    done
}

async fn run_in(
    games_dir: &Path,
    global: &Global,
    output: Output,
    local: &Local,
    decoder: Option<&Decoder>,
    request: impl Fn(GameId) -> ControlRequest,
    cancel: &CancellationToken,
) -> CommandResult {
    let operations_max = usize::try_from(local.place.parallel.max_operations).unwrap_or(usize::MAX);
    let build =
        || describe(global, games_dir, &local.place.catalog, decoder)?.operations_max(operations_max).build();
    let backend = Backend::open(games_dir, global.no_daemon, build)?;
    let outcome = follow(&backend, output, &local.games_wanted, request, cancel).await;
    let stopped = backend.close().await;
    outcome?;
    Ok(stopped?)
}

/// What the requests of all games have to print.
enum Printed {
    Reply(GameId, ControlReply),
    Failed(Failure),
}

/// Follows the requests of all games together. The first failure, in the order of the games, decides the exit status.
async fn follow(
    backend: &Backend<'_>,
    output: Output,
    games: &[GameId],
    request: impl Fn(GameId) -> ControlRequest,
    cancel: &CancellationToken,
) -> CommandResult {
    let (replies, mut queue) = mpsc::channel::<Printed>(1);
    let asking = games.iter().map(|game| {
        let (replies, request) = (replies.clone(), request(game.clone()));
        async move {
            let asked = async {
                let answered = backend.ask(request).await?;
                answered
                    .each(cancel, async |reply| {
                        // The printer below receives until the last of these senders is dropped.
                        let _ = replies.send(Printed::Reply(game.clone(), reply)).await;
                        Ok(())
                    })
                    .await
            };
            let failure = match asked.await {
                Ok(()) => return Ok(()),
                Err(failure) => Failure::of_game(failure, game),
            };
            if games.len() == 1 {
                return Err(failure);
            }
            // The others may take long, so this failure is printed when it happens.
            let _ = replies.send(Printed::Failed(failure.clone())).await;
            Err(failure.reported())
        }
    });
    let asking = futures_util::future::join_all(asking);
    let printing = print(output, &mut queue, &request);
    let asking = async {
        let results = asking.await;
        drop(replies);
        results
    };
    let (results, printed) = tokio::join!(asking, printing);
    printed?;
    summarise(output, games, results)
}

/// Prints what the requests of all games report, up to the end of the last one.
async fn print(
    output: Output,
    queue: &mut mpsc::Receiver<Printed>,
    request: &impl Fn(GameId) -> ControlRequest,
) -> std::io::Result<()> {
    let mut reporter = output.reporter();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let printed = tokio::select! {
            printed = queue.recv() => printed,
            _ = ticks.tick() => {
                reporter.tick();
                continue;
            }
        };
        match printed {
            None => return Ok(()),
            Some(Printed::Failed(failure)) => reporter.failure(&failure),
            Some(Printed::Reply(game, ControlReply::Accepted { joined: true, .. })) => {
                if let ControlRequest::Operate(request) = request(game) {
                    reporter.joined(request.kind, &request.game);
                }
            }
            Some(Printed::Reply(_, ControlReply::Event(event))) => {
                if event.event.is_progress() {
                    panics::if_a_test_wants("progress");
                }
                // A reader that has gone must not stop an install midway.
                if let Err(error) = reporter.event(&event) {
                    tracing::debug!("stdout: {error}");
                }
            }
            Some(Printed::Reply(_, ControlReply::Report { report })) => output.report(&report)?,
            Some(Printed::Reply(..)) => {}
        }
    }
}

/// The result of a command from those of its games. Several games get a summary.
fn summarise(output: Output, games: &[GameId], results: Vec<CommandResult>) -> CommandResult {
    let (mut done, mut failed, mut first, mut is_interrupted) = (Vec::new(), Vec::new(), None, false);
    for (game, result) in games.iter().zip(results) {
        match result {
            Ok(()) => done.push(game.clone()),
            Err(failure) => {
                failed.push(game.clone());
                is_interrupted |= failure.is_interruption();
                first.get_or_insert(failure);
            }
        }
    }
    if games.len() > 1 {
        let status = first.as_ref().map_or(0, |failure| failure.status);
        output.summary(&Summary { done, failed, status, is_interrupted });
    }
    first.map_or(Ok(()), Err)
}
