//! `serve`: answers other peers until a signal comes.

use lanspread_peer::{Peer, ProviderChoice};
use tokio_util::sync::CancellationToken;

use crate::arguments::{Global, Serve};
use crate::exit::CommandResult;
use crate::output::Output;
use crate::signals::cancel_on_signal;

pub(crate) async fn run(global: &Global, output: Output, serve: Serve) -> CommandResult {
    let stop = CancellationToken::new();
    cancel_on_signal(stop.clone())?;
    let peer = build(global, &serve)?;
    let mut events = peer.events();
    let mut reporter = output.reporter();
    peer.serve(serve.listen).await?;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => reporter.event(&event),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    let stopped = peer.shutdown().await;
    while let Some(event) = events.try_next() {
        reporter.event(&event);
    }
    Ok(stopped?)
}

fn build(global: &Global, serve: &Serve) -> Result<Peer, lanspread_peer::PeerError> {
    let mut builder = Peer::builder(&serve.games.games_dir);
    if let Some(state_dir) = &global.state_dir {
        builder = builder.state_dir(state_dir);
    }
    if let Some(name) = &serve.name {
        builder = builder.name(name.clone());
    }
    if let Some(catalog) = &serve.catalog.catalog {
        builder = builder.catalog(catalog);
    }
    if let Some(unrar) = &serve.unrar {
        builder = builder.provider(ProviderChoice::Unrar(unrar.clone()));
    }
    let streams_max = usize::try_from(serve.max_streams).unwrap_or(usize::MAX);
    builder.streams_max(streams_max).build()
}
