//! Requests about games: sent all at once to the daemon or to a peer of this process, and followed together.
//!
//! The daemon, or the peer of this process, runs as many of them together as its limit allows. If one fails, the others
//! still run, and a summary says which are done.

use std::path::Path;
use std::time::Duration;

use lanspread_peer::{
    Answer, CancellationToken, ControlError, ControlReply, ControlRequest, DetachedOperation, ErrorCategory,
    GameId, OperationKind, PeerError,
};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::deadline::Deadline;
use super::{OwnPeer, describe};
use crate::arguments::{GamesPlace, Global, PatienceOptions, WaitTime};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure, Retry, Summary};
use crate::games_dir::ChosenGamesDir;
use crate::output::{Looking, Output};
use crate::panics;
use crate::signals::cancel_on_signal_or_panic;

/// How often progress is drawn again while nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// What is asked about one game.
pub(super) struct Requested {
    pub(super) game: GameId,
    pub(super) request: ControlRequest,
}

/// On which games directory a command works, and how.
#[derive(Clone, Copy)]
pub(super) struct Work<'c> {
    pub(super) global: &'c Global,
    pub(super) output: Output,
    pub(super) place: &'c GamesPlace,
    pub(super) own: OwnPeer<'c>,
    /// The command fills the games directory, so that it need not exist.
    pub(super) fills: bool,
    /// The command looks for peers before anything else can be shown.
    pub(super) looks: bool,
}

impl Work<'_> {
    /// Sends the requests that `choose` makes, to the daemon or to a peer of this process.
    pub(super) async fn run(
        self,
        choose: impl AsyncFnOnce(&Backend<'_>) -> Result<Vec<Requested>, Failure>,
    ) -> CommandResult {
        let cancel = CancellationToken::new();
        cancel_on_signal_or_panic(cancel.clone())?;
        let games_dir = ChosenGamesDir::to_use(self.global, self.place.games.games_dir.as_deref())?;
        let created = games_dir.open(self.output, self.fills)?;
        let done = self.run_in(&games_dir.path, choose, &cancel).await;
        if created && done.is_err() {
            games_dir.remove_if_empty();
        }
        done
    }

    /// Asks without an operation.
    pub(super) async fn ask(
        self,
        asking: impl AsyncFnOnce(&Backend<'_>, &CancellationToken) -> CommandResult,
    ) -> CommandResult {
        let cancel = CancellationToken::new();
        cancel_on_signal_or_panic(cancel.clone())?;
        let games_dir = ChosenGamesDir::to_use(self.global, self.place.games.games_dir.as_deref())?;
        games_dir.open(self.output, false)?;
        let Self { global, place, own, .. } = self;
        let build = || describe(global, &games_dir.path, &place.catalog, own)?.build();
        let backend = Backend::open(&games_dir.path, global.no_daemon, build)?;
        let outcome = asking(&backend, &cancel).await;
        let stopped = backend.close().await;
        outcome?;
        Ok(stopped?)
    }

    async fn run_in(
        self,
        games_dir: &Path,
        choose: impl AsyncFnOnce(&Backend<'_>) -> Result<Vec<Requested>, Failure>,
        cancel: &CancellationToken,
    ) -> CommandResult {
        let Self { global, output, place, own, looks, .. } = self;
        let operations_max = usize::try_from(place.parallel.max_operations).unwrap_or(usize::MAX);
        let build =
            || describe(global, games_dir, &place.catalog, own)?.operations_max(operations_max).build();
        let backend = Backend::open(games_dir, global.no_daemon, build)?;
        let looking = if looks { output.looking() } else { None };
        let outcome = match choose(&backend).await {
            Ok(requests) if place.patience.detach => {
                drop(looking);
                detach(&backend, output, games_dir, &requests).await
            }
            Ok(requests) => {
                let following = Following::new(&place.patience, cancel);
                follow(&backend, output, &requests, &following, looking).await
            }
            Err(failure) => Err(failure),
        };
        let stopped = backend.close().await;
        outcome?;
        Ok(stopped?)
    }
}

/// How requests are followed.
pub(super) struct Following {
    cancel: CancellationToken,
    deadline: Deadline,
    retries: u64,
    retry_delay: Duration,
}

impl Following {
    fn new(patience: &PatienceOptions, cancel: &CancellationToken) -> Self {
        let WaitTime(delay_ms) = patience.retry_delay;
        Self {
            cancel: cancel.clone(),
            deadline: Deadline::new(patience.timeout),
            retries: patience.retries.unwrap_or(0),
            retry_delay: Duration::from_millis(delay_ms),
        }
    }

    /// To their end, however long that takes.
    pub(super) fn to_the_end() -> Self {
        let (cancel, deadline) = (CancellationToken::new(), Deadline::new(None));
        Self { cancel, deadline, retries: 0, retry_delay: Duration::ZERO }
    }
}

/// What the requests of all games have to print.
enum Printed {
    /// The request joined an operation that was there.
    Joined(OperationKind, GameId),
    Reply(ControlReply),
    Retry(Retry),
    Failed(Failure),
}

/// Follows the requests of all games together. What says that peers are looked for ends with the first thing to show. The
/// first failure, in the order of the games, decides the exit status.
pub(super) async fn follow(
    backend: &Backend<'_>,
    output: Output,
    requests: &[Requested],
    following: &Following,
    looking: Option<Looking>,
) -> CommandResult {
    let (replies, mut queue) = mpsc::channel::<Printed>(1);
    let asking = requests.iter().map(|requested| {
        let replies = replies.clone();
        async move {
            let failure = match ask_patiently(backend, requested, following, &replies).await {
                Ok(()) => return Ok(()),
                Err(failure) => following.deadline.explain(failure).of_game(&requested.game),
            };
            if requests.len() == 1 {
                return Err(failure);
            }
            // The others may take long, so this failure is printed when it happens.
            let _ = replies.send(Printed::Failed(failure.clone())).await;
            Err(failure.reported())
        }
    });
    let asking = futures_util::future::join_all(asking);
    let printing = print(output, &mut queue, looking);
    let asking = async {
        let results = asking.await;
        drop(replies);
        results
    };
    let work = async { tokio::join!(asking, printing) };
    let (results, printed) = following.deadline.cancels(&following.cancel, work).await;
    printed?;
    summarise(output, requests, results)
}

/// Asks about one game, and again if that may help.
async fn ask_patiently(
    backend: &Backend<'_>,
    requested: &Requested,
    following: &Following,
    replies: &mpsc::Sender<Printed>,
) -> CommandResult {
    let Following { cancel, retries, retry_delay, .. } = following;
    for number in 1..=*retries {
        let failure = match ask_once(backend, requested, cancel, replies).await {
            Err(failure) if failure.may_pass() => failure,
            asked => return asked,
        };
        let (game, delay) = (requested.game.clone(), *retry_delay);
        let retry = Retry { game, failure, number, retries: *retries, delay };
        let _ = replies.send(Printed::Retry(retry)).await;
        let waiting = cancel.run_until_cancelled(tokio::time::sleep(delay));
        waiting.await.ok_or(PeerError::Cancelled)?;
    }
    ask_once(backend, requested, cancel, replies).await
}

async fn ask_once(
    backend: &Backend<'_>,
    Requested { game, request }: &Requested,
    cancel: &CancellationToken,
    replies: &mpsc::Sender<Printed>,
) -> CommandResult {
    let kind = kind(request);
    let answered = backend.ask(request.clone()).await?;
    let taking = answered.each(cancel, async |reply| {
        let printed = match (&reply, kind) {
            (ControlReply::Accepted { joined: true, .. }, Some(kind)) => Printed::Joined(kind, game.clone()),
            _ => Printed::Reply(reply),
        };
        // The printer receives until the last of these senders is dropped.
        let _ = replies.send(printed).await;
        Ok(())
    });
    taking.await
}

fn kind(request: &ControlRequest) -> Option<OperationKind> {
    match request {
        ControlRequest::Operate(request) => Some(request.kind),
        _ => None,
    }
}

/// Starts the operations in the daemon, prints their numbers, and leaves them to it.
async fn detach(
    backend: &Backend<'_>,
    output: Output,
    games_dir: &Path,
    requests: &[Requested],
) -> CommandResult {
    if !backend.is_daemon() {
        let games_dir = games_dir.to_owned();
        return Err(ControlError::NoDaemon { games_dir }.into());
    }
    let mut results = Vec::new();
    for Requested { game, request } in requests {
        let Some(kind) = kind(request) else {
            let message = "--detach is for operations, and this only asks".to_owned();
            return Err(Failure::new("usage", None, message, ErrorCategory::Usage));
        };
        let result = match backend.start(request.clone()).await {
            Ok((operation, joined)) => {
                let started = DetachedOperation { operation, kind, game: game.clone(), joined };
                output.report(&Answer::DetachedOperation(started))?;
                Ok(())
            }
            Err(failure) => {
                let failure = failure.of_game(game);
                if requests.len() > 1 {
                    output.failure(&failure);
                }
                Err(if requests.len() > 1 { failure.reported() } else { failure })
            }
        };
        results.push(result);
    }
    summarise(output, requests, results)
}

/// Prints what the requests of all games report, up to the end of the last one.
async fn print(
    output: Output,
    queue: &mut mpsc::Receiver<Printed>,
    looking: Option<Looking>,
) -> std::io::Result<()> {
    let mut reporter = output.reporter();
    reporter.looking(looking);
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
            Some(Printed::Retry(retry)) => reporter.retry(&retry),
            Some(Printed::Joined(kind, game)) => reporter.joined(kind, &game),
            Some(Printed::Reply(ControlReply::Event(event))) => {
                if event.event.is_progress() {
                    panics::if_a_test_wants("progress");
                }
                // A reader that has gone must not stop an install midway.
                if let Err(error) = reporter.event(&event) {
                    tracing::debug!("stdout: {error}");
                }
            }
            Some(Printed::Reply(ControlReply::Report { report })) => {
                reporter.looking(None);
                output.report(&report)?;
            }
            Some(Printed::Reply(..)) => {}
        }
    }
}

/// The result of a command from those of its games. Several games get a summary.
fn summarise(output: Output, requests: &[Requested], results: Vec<CommandResult>) -> CommandResult {
    let (mut done, mut failed, mut first, mut is_interrupted) = (Vec::new(), Vec::new(), None, false);
    for (Requested { game, .. }, result) in requests.iter().zip(results) {
        match result {
            Ok(()) => done.push(game.clone()),
            Err(failure) => {
                failed.push(game.clone());
                is_interrupted |= failure.is_interruption();
                first.get_or_insert(failure);
            }
        }
    }
    if requests.len() > 1 {
        let status = first.as_ref().map_or(0, |failure| failure.status);
        output.summary(&Summary { done, failed, status, is_interrupted });
    }
    first.map_or(Ok(()), Err)
}
