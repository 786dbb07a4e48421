//! Operations on games: `install`, `download`, `update`, `uninstall`, `remove`, `verify`; and `cancel`.

use lanspread_peer::{
    CancellationToken, ControlRequest, GameId, OperationKind, OperationOptions, OperationRequest,
};

use super::requests::{Requested, Work, follow};
use super::{OwnPeer, servers};
use crate::arguments::{Cancel, Download, Fetching, Global, Install, Local, Uninstall, Update};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;

pub(crate) async fn install(global: &Global, output: Output, install: Install) -> CommandResult {
    let Install { stream, operate, names, decoder, streaming, dry_run } = install;
    let options = streaming.apply(options(&operate.fetching)?.with_names(names.names.into()));
    let kind = if stream { OperationKind::StreamInstall } else { OperationKind::Install };
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&operate.fetching.limits) };
    if dry_run {
        let place = &operate.local.place;
        let work = Work { global, output, place, own, fills: false };
        let plan = |game| ControlRequest::Plan { game, options: options.clone() };
        return work.run(async |_| Ok(each(&operate.local.games_wanted, plan))).await;
    }
    perform(global, output, &operate.local, own, kind, &options).await
}

pub(crate) async fn download(global: &Global, output: Output, download: Download) -> CommandResult {
    let Download { operate, relaying } = download;
    let options = relaying.apply(options(&operate.fetching)?);
    let own = OwnPeer { limits: Some(&operate.fetching.limits), ..OwnPeer::default() };
    perform(global, output, &operate.local, own, OperationKind::Download, &options).await
}

pub(crate) async fn update(global: &Global, output: Output, update: Update) -> CommandResult {
    let Update { operate, names, decoder, streaming, force } = update;
    let options = options(&operate.fetching)?.with_names(names.names.into()).with_force(force.force);
    let options = streaming.apply(options);
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&operate.fetching.limits) };
    perform(global, output, &operate.local, own, OperationKind::Update, &options).await
}

pub(crate) async fn uninstall(global: &Global, output: Output, uninstall: Uninstall) -> CommandResult {
    let options = OperationOptions::default().with_force(uninstall.force.force);
    perform(global, output, &uninstall.local, OwnPeer::default(), OperationKind::Uninstall, &options).await
}

pub(crate) async fn on_this_machine(
    global: &Global,
    output: Output,
    local: Local,
    kind: OperationKind,
) -> CommandResult {
    perform(global, output, &local, OwnPeer::default(), kind, &OperationOptions::default()).await
}

pub(crate) async fn cancel(global: &Global, output: Output, cancel: Cancel) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, cancel.games.games_dir.as_deref())?;
    let backend = Backend::daemon(&games_dir.path)?;
    let requests = each(&cancel.games_wanted, |game| ControlRequest::Cancel { game });
    follow(&backend, output, &requests, &CancellationToken::new()).await
}

/// The options of an operation that fetches like this.
pub(super) fn options(fetching: &Fetching) -> Result<OperationOptions, Failure> {
    let options = OperationOptions::default()
        .with_peers(fetching.peers.peers.clone())
        .with_servers(servers(&fetching.servers.servers)?)
        .with_discovery((&fetching.discovery).into())
        .with_admission((&fetching.rules).into())
        .with_wait((&fetching.waiting).into())
        .with_accept_unverified(fetching.unverified.accept_unverified);
    Ok(options)
}

/// The same request about each game.
fn each(games: &[GameId], request: impl Fn(GameId) -> ControlRequest) -> Vec<Requested> {
    games.iter().map(|game| Requested { game: game.clone(), request: request(game.clone()) }).collect()
}

async fn perform(
    global: &Global,
    output: Output,
    local: &Local,
    own: OwnPeer<'_>,
    kind: OperationKind,
    options: &OperationOptions,
) -> CommandResult {
    let fills =
        matches!(kind, OperationKind::StreamInstall | OperationKind::Install | OperationKind::Download);
    let work = Work { global, output, place: &local.place, own, fills };
    let request = |game| ControlRequest::Operate(OperationRequest { kind, game, options: options.clone() });
    work.run(async |_| Ok(each(&local.games_wanted, request))).await
}
