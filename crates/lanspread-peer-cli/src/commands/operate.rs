//! Operations on games: `install`, `download`, `update`, `uninstall`, `remove`, `verify`, `repair`; and `cancel`.

use lanspread_peer::{
    AskOptions, CancellationToken, ControlRequest, GameId, GamesAmong, OperationKind, OperationOptions,
    OperationRequest,
};

use super::requests::{Following, Requested, Work, follow};
use super::selected::Selection;
use super::{OwnPeer, given_peers, servers, updates};
use crate::arguments::{
    Cancel, Download, DryRun, Fetching, GamesWanted, Global, Install, Local, Remove, Repair, Uninstall,
    Update, Verify,
};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;

pub(crate) async fn install(global: &Global, output: Output, install: Install) -> CommandResult {
    let Install { stream, operate, names, decoder, streaming, dry_run: DryRun { dry_run } } = install;
    let options = streaming.apply(options(&operate.fetching)?.with_names(names.names.into()));
    let kind = if stream { OperationKind::StreamInstall } else { OperationKind::Install };
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&operate.fetching.limits) };
    let (wanted, fetching) = (&operate.local.wanted, Some(&operate.fetching));
    let order = Order { wanted, fetching, among: GamesAmong::Offered, options, dry_run };
    let work = Work { global, output, place: &operate.local.place, own, fills: !dry_run, looks: true };
    order.perform(work, kind).await
}

pub(crate) async fn download(global: &Global, output: Output, download: Download) -> CommandResult {
    let Download { operate, relaying, dry_run: DryRun { dry_run } } = download;
    let options = relaying.apply(options(&operate.fetching)?);
    let own = OwnPeer { limits: Some(&operate.fetching.limits), ..OwnPeer::default() };
    let (wanted, fetching) = (&operate.local.wanted, Some(&operate.fetching));
    let order = Order { wanted, fetching, among: GamesAmong::Offered, options, dry_run };
    let work = Work { global, output, place: &operate.local.place, own, fills: !dry_run, looks: true };
    order.perform(work, OperationKind::Download).await
}

pub(crate) async fn update(global: &Global, output: Output, update: Update) -> CommandResult {
    let Update { games_wanted, all, check, place, fetching, names, decoder, streaming, force, dry_run } =
        update;
    let DryRun { dry_run } = dry_run;
    let is_check = check || (games_wanted.is_empty() && !all && !dry_run);
    let options = options(&fetching)?.with_names(names.names.into()).with_force(force.force);
    let options = streaming.apply(options);
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&fetching.limits) };
    let wanted = GamesWanted { all: all || games_wanted.is_empty(), games_wanted };
    let order =
        Order { wanted: &wanted, fetching: Some(&fetching), among: GamesAmong::Here, options, dry_run };
    let work = Work { global, output, place: &place, own, fills: false, looks: true };
    if is_check {
        return work.ask(async |backend, cancel| order.check(backend, output, cancel).await).await;
    }
    order.perform(work, OperationKind::Update).await
}

pub(crate) async fn uninstall(global: &Global, output: Output, uninstall: Uninstall) -> CommandResult {
    let options = OperationOptions::default().with_force(uninstall.force.force);
    let Uninstall { local, dry_run: DryRun { dry_run }, .. } = uninstall;
    on_games_here(global, output, &local, OperationKind::Uninstall, options, dry_run).await
}

pub(crate) async fn remove(global: &Global, output: Output, remove: Remove) -> CommandResult {
    let Remove { local, dry_run: DryRun { dry_run } } = remove;
    let options = OperationOptions::default();
    on_games_here(global, output, &local, OperationKind::Remove, options, dry_run).await
}

pub(crate) async fn verify(global: &Global, output: Output, verify: Verify) -> CommandResult {
    if verify.repair {
        return repair(global, output, verify.repairing).await;
    }
    let Repair { operate, dry_run: DryRun { dry_run }, .. } = verify.repairing;
    let options = OperationOptions::default();
    on_games_here(global, output, &operate.local, OperationKind::Verify, options, dry_run).await
}

pub(crate) async fn repair(global: &Global, output: Output, repair: Repair) -> CommandResult {
    let Repair { operate, decoder, streaming, dry_run: DryRun { dry_run } } = repair;
    let options = streaming.apply(options(&operate.fetching)?);
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&operate.fetching.limits) };
    let (wanted, fetching) = (&operate.local.wanted, Some(&operate.fetching));
    let order = Order { wanted, fetching, among: GamesAmong::Here, options, dry_run };
    let work = Work { global, output, place: &operate.local.place, own, fills: false, looks: false };
    order.perform(work, OperationKind::Repair).await
}

async fn on_games_here(
    global: &Global,
    output: Output,
    local: &Local,
    kind: OperationKind,
    options: OperationOptions,
    dry_run: bool,
) -> CommandResult {
    let order = Order { wanted: &local.wanted, fetching: None, among: GamesAmong::Here, options, dry_run };
    let work =
        Work { global, output, place: &local.place, own: OwnPeer::default(), fills: false, looks: false };
    order.perform(work, kind).await
}

pub(crate) async fn cancel(global: &Global, output: Output, cancel: Cancel) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, cancel.games.games_dir.as_deref())?;
    let backend = Backend::daemon(&games_dir.path)?;
    let request = |game: &GameId| Requested {
        game: game.clone(),
        request: ControlRequest::Cancel { game: game.clone() },
    };
    let requests: Vec<Requested> = cancel.games_wanted.iter().map(request).collect();
    follow(&backend, output, &requests, &Following::to_the_end(), None).await
}

/// The options of an operation that fetches like this, without its peers, which may have to be looked up.
pub(super) fn options(fetching: &Fetching) -> Result<OperationOptions, Failure> {
    let options = OperationOptions::default()
        .with_servers(servers(&fetching.servers.servers)?)
        .with_discovery((&fetching.discovery).into())
        .with_admission((&fetching.rules).into())
        .with_wait((&fetching.waiting).into())
        .with_accept_unverified(fetching.unverified.accept_unverified);
    Ok(options)
}

/// Asks for an operation, or only what it would do.
pub(super) fn asked(request: OperationRequest, dry_run: bool) -> ControlRequest {
    if dry_run { ControlRequest::Plan(request) } else { ControlRequest::Operate(request) }
}

/// What is asked for some games.
struct Order<'c> {
    wanted: &'c GamesWanted,
    /// Nothing if nothing is fetched.
    fetching: Option<&'c Fetching>,
    /// Among which games a pattern is looked for.
    among: GamesAmong,
    options: OperationOptions,
    /// It is only said what would be done.
    dry_run: bool,
}

impl Order<'_> {
    async fn perform(&self, work: Work<'_>, kind: OperationKind) -> CommandResult {
        work.run(async |backend| self.requests(backend, kind).await).await
    }

    /// The same request about each game.
    async fn requests(&self, backend: &Backend<'_>, kind: OperationKind) -> Result<Vec<Requested>, Failure> {
        let options = match self.fetching {
            Some(fetching) => given_peers::apply(backend, fetching, self.options.clone()).await?,
            None => self.options.clone(),
        };
        let games = self.selection(ask(&options)).games(backend).await?;
        let requested = |game: GameId| {
            let request = OperationRequest { kind, game: game.clone(), options: options.clone() };
            Requested { game, request: asked(request, self.dry_run) }
        };
        Ok(games.into_iter().map(requested).collect())
    }

    fn selection(&self, ask: AskOptions) -> Selection<'_> {
        let GamesWanted { games_wanted, all } = self.wanted;
        let all_among = if self.among == GamesAmong::Here { GamesAmong::Here } else { GamesAmong::Catalog };
        Selection {
            wanted: games_wanted,
            all: all.then_some(all_among),
            among: self.among,
            must_match: true,
            ask,
        }
    }

    /// Shows what an update would change.
    async fn check(
        &self,
        backend: &Backend<'_>,
        output: Output,
        cancel: &CancellationToken,
    ) -> CommandResult {
        let options = match self.fetching {
            Some(fetching) => given_peers::apply(backend, fetching, self.options.clone()).await?,
            None => self.options.clone(),
        };
        let ask = ask(&options);
        let is_all = self.wanted.all;
        let games = if is_all { Vec::new() } else { self.selection(ask.clone()).games(backend).await? };
        updates::checked(updates::show(backend, output, games, ask, false, cancel).await?)
    }
}

/// The peers that the options name, and how others are found.
pub(super) fn ask(options: &OperationOptions) -> AskOptions {
    AskOptions::default().with_peers(options.peers.clone()).with_discovery(options.discovery)
}
