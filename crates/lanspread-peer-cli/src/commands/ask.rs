//! Questions: `list`, `peers`, `status`, `operations`, `events`.

use std::path::Path;

use lanspread_peer::{AskOptions, ControlReply, ControlRequest};
use lanspread_peer::{CancellationToken, Peer, PeerClient, PeerError};

use super::saved;
use crate::arguments::{DiscoveryChoice, Events, Global, List, OfDaemon, PeerList, Peers, Status};
use crate::backend::Backend;
use crate::exit::CommandResult;
use crate::output::Output;
use crate::signals::cancel_on_signal;

pub(crate) async fn list(global: &Global, output: Output, list: List) -> CommandResult {
    let options = options(&list.peers, &list.discovery);
    let backend = backend(global, &list.games.games_dir)?;
    answer(backend, output, ControlRequest::List(options)).await
}

pub(crate) async fn peers(global: &Global, output: Output, peers: Peers) -> CommandResult {
    if let Some(command) = peers.saved {
        return saved::run(global, output, command);
    }
    let options = options(&peers.named, &peers.discovery);
    if let Some(games_dir) = &peers.games.games_dir {
        return answer(backend(global, games_dir)?, output, ControlRequest::Peers(options)).await;
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
    let games_dir = status.games.games_dir.ok_or_else(|| {
        PeerError::Config("`status` needs --peer HOST:PORT, or --games-dir to ask its daemon".to_owned())
    })?;
    answer(Backend::daemon(&games_dir)?, output, ControlRequest::Status).await
}

pub(crate) async fn operations(output: Output, of: OfDaemon) -> CommandResult {
    answer(Backend::daemon(&of.games.games_dir)?, output, ControlRequest::Operations).await
}

pub(crate) async fn events(output: Output, events: Events) -> CommandResult {
    let request = ControlRequest::Events { follow: events.follow };
    match answer(Backend::daemon(&events.games.games_dir)?, output, request).await {
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
    cancel_on_signal(cancel.clone())?;
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
