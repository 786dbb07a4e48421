//! `catalog build` and `manifest`: the build runs on threads of its own, and this one shows what they report.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lanspread_peer::{
    Answer, BuildObserver, CancellationToken, CatalogBuild, CatalogBuilt, GameId, MANIFEST_NAME,
    ManifestBuild, PeerError, PeerEvent, ProviderChoice, ReportedEvent, WrittenManifest,
};

use super::servers;
use crate::arguments::{CatalogBuildArguments, Global, ManifestArguments};
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;
use crate::signals::{self, cancel_on_signal_or_panic};

/// How often progress is drawn again while nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// Reports that wait to be shown; the build waits if there are more.
const QUEUE_ITEMS: usize = 64;

/// What the build reports.
enum Told {
    Event(Box<PeerEvent>),
    Failed(Failure),
}

/// The end of the channel that the build holds.
struct ToThePrinter(Mutex<SyncSender<Told>>);

impl ToThePrinter {
    fn tell(&self, told: Told) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The printer listens until the build has dropped this.
        let _ = sender.send(told);
    }
}

impl BuildObserver for ToThePrinter {
    fn event(&self, event: PeerEvent) {
        self.tell(Told::Event(Box::new(event)));
    }

    fn failed(&self, game: &GameId, error: &PeerError) {
        self.tell(Told::Failed(failure(error, game)));
    }
}

/// The failure of one game. The error itself goes to the result.
fn failure(error: &PeerError, game: &GameId) -> Failure {
    // A manifest is for every receiver, so there is no policy to choose here.
    let cause = error.cause().map(|cause| if cause == "not-portable" { "not-for-a-manifest" } else { cause });
    Failure::new(error.code(), cause, error.to_string(), error.category()).of_game(game)
}

pub(super) fn run(global: &Global, output: Output, arguments: CatalogBuildArguments) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let games_dir = ChosenGamesDir::to_use(global, arguments.games.games_dir.as_deref())?;
    games_dir.open(output, false)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let request = CatalogBuild {
        games_dir: games_dir.path,
        out: arguments.out,
        name: arguments.catalog_name,
        sources: servers(&arguments.sources)?,
        games: arguments.games_wanted,
        jobs: arguments.jobs.map_or(cores, |jobs| usize::try_from(jobs).unwrap_or(cores)),
        provider: arguments.decoder.unrar.map_or(ProviderChoice::Native, ProviderChoice::Unrar),
        dictionary_bytes_max: arguments.decoder.max_dictionary.0,
    };
    report(output, follow(output, &cancel, |observer| request.run(observer, &cancel))?)
}

/// `manifest`
pub(crate) fn manifest(global: &Global, output: Output, arguments: ManifestArguments) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let games_dir = ChosenGamesDir::to_use(global, arguments.games.games_dir.as_deref())?;
    games_dir.open(output, false)?;
    let game = arguments.game;
    let beside = games_dir.path.join(game.as_str()).join(MANIFEST_NAME);
    let request = ManifestBuild {
        games_dir: games_dir.path,
        game: game.clone(),
        output: arguments.output.unwrap_or(beside),
        with_tree: !arguments.without_tree,
        provider: arguments.decoder.unrar.map_or(ProviderChoice::Native, ProviderChoice::Unrar),
        dictionary_bytes_max: arguments.decoder.max_dictionary.0,
    };
    let written = follow(output, &cancel, |observer| {
        request.run(observer, &cancel).map_err(|error| failure(&error, &game))
    })?;
    let WrittenManifest { version, digest, bytes, .. } = written;
    let path = request.output.to_string_lossy().into_owned();
    let tree = request.with_tree;
    output.report(&Answer::ManifestWritten { path, game, version, manifest: digest, bytes, tree })?;
    Ok(())
}

/// Runs a build on a thread of its own, and shows what it reports.
fn follow<T: Send, E: Into<Failure> + Send>(
    output: Output,
    cancel: &CancellationToken,
    build: impl FnOnce(&Arc<dyn BuildObserver>) -> Result<T, E> + Send,
) -> Result<T, Failure> {
    tokio::task::block_in_place(|| on_a_thread(output, cancel, build))
}

fn on_a_thread<T: Send, E: Into<Failure> + Send>(
    output: Output,
    cancel: &CancellationToken,
    build: impl FnOnce(&Arc<dyn BuildObserver>) -> Result<T, E> + Send,
) -> Result<T, Failure> {
    let (sender, told) = sync_channel(QUEUE_ITEMS);
    let observer: Arc<dyn BuildObserver> = Arc::new(ToThePrinter(Mutex::new(sender)));
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("catalog-build".to_owned());
        let building = named.spawn_scoped(scope, move || build(&observer));
        let building = building
            .map_err(|error| PeerError::Internal(format!("the build could not start a thread: {error}")))?;
        print(output, &told, cancel);
        match building.join() {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(PeerError::Internal("the build panicked".to_owned()).into()),
        }
    })
}

/// Shows what the build reports, until it has ended.
fn print(output: Output, told: &Receiver<Told>, cancel: &CancellationToken) {
    let mut reporter = output.reporter();
    loop {
        let received = told.recv_timeout(TICK);
        if cancel.is_cancelled() {
            signals::taken();
        }
        match received {
            Ok(Told::Event(event)) => {
                // A reader that has gone must not stop a build midway.
                if let Err(error) = reporter.event(&ReportedEvent::now(*event)) {
                    tracing::debug!("stdout: {error}");
                }
            }
            Ok(Told::Failed(failure)) => reporter.failure(&failure),
            Err(RecvTimeoutError::Timeout) => reporter.tick(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn report(output: Output, built: CatalogBuilt) -> CommandResult {
    let catalog = built.catalog.to_string_lossy().into_owned();
    let CatalogBuilt { version, games, written, removed, failed, .. } = built;
    output.report(&Answer::CatalogBuilt { catalog, version, games, written, removed })?;
    match failed.first() {
        // It was reported when it happened.
        Some((game, error)) => Err(failure(error, game).reported()),
        None => Ok(()),
    }
}
