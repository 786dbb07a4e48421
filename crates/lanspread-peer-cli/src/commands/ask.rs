//! Questions: `list`, `peers`, `status`, `operations`, `events`.

use std::path::Path;

use lanspread_peer::{AskOptions, ControlReply, ControlRequest};
use lanspread_peer::{CancellationToken, Peer, PeerClient, PeerError};

use super::saved;
use crate::arguments::{DiscoveryChoice, Events, Global, List, OfDaemon, PeerList, Peers, Status};
use crate::backend::Backend;
use crate::exit::CommandResult;
use crate::games_dir::ChosenGamesDir;
use crate::output::Output;
use crate::signals::cancel_on_signal_or_panic;

pub(crate) async fn list(global: &Global, output: Output, list: List) -> CommandResult {
    let options = options(&list.peers, &list.discovery);
    let games_dir = ChosenGamesDir::to_use(global, list.games.games_dir.as_deref())?;
    games_dir.open(output, false)?;
    let backend = backend(global, &games_dir.path)?;
    answer(backend, output, ControlRequest::List(options)).await
}

pub(crate) async fn peers(global: &Global, output: Output, peers: Peers) -> CommandResult {
    if let Some(command) = peers.saved {
        return saved::run(global, output, command);
    }
    let options = options(&peers.named, &peers.discovery);
    if let Some(games_dir) = ChosenGamesDir::known(global, peers.games.games_dir.as_deref()) {
        return answer(backend(global, &games_dir.path)?, output, ControlRequest::Peers(options)).await;
    }
    let client = PeerClient::new(global.state_dir.clone())?;
    for report in client.peers(&options).await? {
        output.report(&report)?;
    }
    Ok(())
}

pub(crate) async fn status(global: &Global, output: Output, status: Status) -> CommandResult {
    if !status.named.peers.is_empty() {
        let client = PeerClient::new(global.state_dir.clone())?;
        for peer in &status.named.peers {
            output.report(&client.status(peer).await?.into())?;
        }
        return Ok(());
    }
    let games_dir = ChosenGamesDir::of_daemon(global, status.games.games_dir.as_deref())?;
    answer(Backend::daemon(&games_dir.path)?, output, ControlRequest::Status).await
}

pub(crate) async fn operations(global: &Global, output: Output, of: OfDaemon) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, of.games.games_dir.as_deref())?;
    answer(Backend::daemon(&games_dir.path)?, output, ControlRequest::Operations).await
}

pub(crate) async fn events(global: &Global, output: Output, events: Events) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, events.games.games_dir.as_deref())?;
    let request = ControlRequest::Events { follow: events.follow };
    match answer(Backend::daemon(&games_dir.path)?, output, request).await {
        // Ctrl-C is how a user stops following.
        Err(failure) if failure.code == "cancelled" => Ok(()),
        other => other,
    }
}

fn options(peers: &PeerList, discovery: &DiscoveryChoice) -> AskOptions {
    AskOptions::default().with_peers(peers.peers.clone()).with_discovery(discovery.into())
}

/// The daemon of the games directory, or else a peer of this process that only asks.
fn backend<'a>(global: &Global, games_dir: &'a Path) -> Result<Backend<'a>, PeerError> {
    Backend::open(games_dir, global.no_daemon, || {
        let mut builder = Peer::builder(games_dir);
        if let Some(state_dir) = &global.state_dir {
            builder = builder.state_dir(state_dir);
        }
        builder.build()
    })
}

async fn answer(backend: Backend<'_>, output: Output, request: ControlRequest) -> CommandResult {
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let mut reporter = output.listener();
    let replies = backend.ask(request).await?;
    let answered = replies
        .each(&cancel, async |reply| {
            match reply {
                ControlReply::Event(event) => reporter.event(&event),
                ControlReply::Report { report } => output.report(&report)?,
                _ => {}
            }
            Ok(())
        })
        .await;
    drop(reporter);
    let closed = backend.close().await;
    answered?;
    Ok(closed?)
}
