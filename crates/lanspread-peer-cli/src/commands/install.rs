//! `install --stream`: one game after the other; one that fails does not keep the next from being tried.

use lanspread_peer::{GameId, OperationOptions, Peer, PeerError, StreamInstallPlan};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Global, Install};
use crate::exit::{CommandResult, Failure};
use crate::output::{Output, bytes};
use crate::signals::cancel_on_signal;

pub(crate) async fn run(global: &Global, output: Output, install: Install) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal(cancel.clone())?;
    let mut builder = Peer::builder(&install.games.games_dir);
    if let Some(state_dir) = &global.state_dir {
        builder = builder.state_dir(state_dir);
    }
    if let Some(catalog) = &install.catalog.catalog {
        builder = builder.catalog(catalog);
    }
    let peer = builder.build()?;
    let options =
        OperationOptions { peers: install.peers.peers, names: install.names.into(), ..Default::default() };

    let mut outcome = Ok(());
    let games = install.games_wanted.len();
    for game in &install.games_wanted {
        let done = if install.dry_run {
            plan(&peer, output, game, &options, &cancel).await
        } else {
            stream_install(&peer, output, game, &options, &cancel).await
        };
        let Err(failure) = done else { continue };
        if games > 1 {
            output.failure(&failure);
        }
        // The first failure decides the exit status.
        outcome = outcome.and(Err(failure));
        if cancel.is_cancelled() {
            break;
        }
    }
    let stopped = peer.shutdown().await;
    match outcome {
        Err(first) if games > 1 => {
            Err(Failure { message: format!("{} (first failure)", first.message), ..first })
        }
        Err(first) => Err(first),
        Ok(()) => Ok(stopped?),
    }
}

async fn stream_install(
    peer: &Peer,
    output: Output,
    game: &GameId,
    options: &OperationOptions,
    cancel: &CancellationToken,
) -> CommandResult {
    let mut events = peer.events();
    let mut reporter = output.reporter();
    let operation = peer.stream_install_game(game, options, cancel.clone());
    tokio::pin!(operation);
    let result = loop {
        tokio::select! {
            result = &mut operation => break result,
            Some(event) = events.next() => reporter.event(&event),
        }
    };
    while let Some(event) = events.try_next() {
        reporter.event(&event);
    }
    result?;
    Ok(())
}

/// What `--dry-run` prints.
#[derive(Serialize)]
#[serde(tag = "event", rename = "stream-install-plan")]
struct Plan<'a> {
    game: &'a str,
    version: &'a str,
    sources: Vec<PlanSource<'a>>,
    dropped: &'a [lanspread_peer::error::PeerAnswer],
    files: u64,
    bytes: u64,
    needed_bytes: u64,
    free_bytes: u64,
    fits: bool,
}

#[derive(Serialize)]
struct PlanSource<'a> {
    name: &'a str,
    peer: String,
    addr: String,
}

async fn plan(
    peer: &Peer,
    output: Output,
    game: &GameId,
    options: &OperationOptions,
    cancel: &CancellationToken,
) -> CommandResult {
    let planned = cancel.run_until_cancelled(peer.plan_stream_install(game, options, cancel)).await;
    let plan = planned.unwrap_or(Err(PeerError::Cancelled))?;
    let fits = plan.free_bytes >= plan.needed_bytes;
    let object = Plan {
        game: plan.game.as_str(),
        version: plan.version.as_str(),
        sources: plan.sources.iter().map(source_of_plan).collect(),
        dropped: &plan.dropped,
        files: plan.totals.files,
        bytes: plan.totals.bytes,
        needed_bytes: plan.needed_bytes,
        free_bytes: plan.free_bytes,
        fits,
    };
    output.object(&object, || plan_text(&plan, fits))?;
    if fits {
        return Ok(());
    }
    let message =
        format!("{game} needs {} and {} are free", bytes(plan.needed_bytes), bytes(plan.free_bytes));
    Err(Failure { code: "not-enough-space", message, hint: None, status: 7 })
}

fn source_of_plan(source: &lanspread_peer::SourcePeer) -> PlanSource<'_> {
    PlanSource { name: source.name.as_str(), peer: source.id.to_string(), addr: source.address.to_string() }
}

fn plan_text(plan: &StreamInstallPlan, fits: bool) -> String {
    let mut text = format!(
        "{} {}: {} files, {}; needs {}, {} free{}",
        plan.game,
        plan.version,
        plan.totals.files,
        bytes(plan.totals.bytes),
        bytes(plan.needed_bytes),
        bytes(plan.free_bytes),
        if fits { "" } else { ": DOES NOT FIT" }
    );
    for (number, source) in (1..).zip(&plan.sources) {
        text += &format!("\n  {number}. {} ({})", source.name, source.address);
    }
    for dropped in &plan.dropped {
        text += &format!("\n  not a source: {}: {}", dropped.peer, dropped.reason);
    }
    text
}
