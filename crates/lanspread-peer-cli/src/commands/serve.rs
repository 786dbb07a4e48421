//! `serve`: answers other peers and runs the operations that other commands request, until a signal arrives.

use lanspread_peer::{CancellationToken, PeerEvent, accept_commands};

use super::describe;
use crate::arguments::{Global, Serve};
use crate::exit::CommandResult;
use crate::notify::ServiceManager;
use crate::output::{Output, Reporter};
use crate::signals::cancel_on_signal;

pub(crate) async fn run(global: &Global, output: Output, serve: Serve) -> CommandResult {
    let stop = CancellationToken::new();
    cancel_on_signal(stop.clone())?;
    let peer = build(global, &serve)?;
    let mut events = peer.events();
    let mut reporter = output.listener();
    let manager = ServiceManager::from_environment();
    let begun = async {
        accept_commands(&peer).await?;
        peer.serve(serve.listen).await
    };
    let address = match begun.await {
        Ok(address) => address,
        Err(error) => {
            // Undoes what has begun. The first error is the one to report.
            let _ = peer.shutdown().await;
            return Err(error.into());
        }
    };
    manager.ready(&format!("Serving {} on {address}", serve.games.games_dir.display()));
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => happened(reporter.as_mut(), event),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    manager.stopping("Ending streams and downloads");
    let stopped = peer.shutdown().await;
    while let Some(event) = events.try_next() {
        happened(reporter.as_mut(), event);
    }
    Ok(stopped?)
}

fn happened(reporter: &mut dyn Reporter, event: PeerEvent) {
    // A reader that has gone must not stop the peer.
    if let Err(error) = reporter.happened(event) {
        tracing::debug!("stdout: {error}");
    }
}

fn build(global: &Global, serve: &Serve) -> Result<lanspread_peer::Peer, lanspread_peer::PeerError> {
    let mut builder = describe(global, &serve.games, &serve.catalog, Some(&serve.decoder));
    if let Some(name) = &serve.name {
        builder = builder.name(name.clone());
    }
    let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
    builder
        .discovery(!serve.no_discovery)
        .peers(serve.peers.peers.clone())
        .streams_max(count(serve.max_streams))
        .operations_max(count(serve.parallel.max_operations))
        .build()
}
