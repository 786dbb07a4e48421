//! `serve`: answers other peers and runs the operations that other commands request, until a signal arrives.

use std::path::Path;

use lanspread_peer::{
    CancellationToken, ErrorCategory, Peer, PeerError, PeerEvent, RoomFile, RoomFileGame, accept_commands,
    default_state_dir, list_as_running,
};

use super::{OwnPeer, describe};
use crate::arguments::{Global, Serve};
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::notify::ServiceManager;
use crate::output::{Output, Reporter};
use crate::panics;
use crate::signals::{self, cancel_on_signal};

pub(crate) async fn run(global: &Global, output: Output, serve: Serve) -> CommandResult {
    let stop = CancellationToken::new();
    cancel_on_signal(stop.clone())?;
    let games_dir = ChosenGamesDir::to_serve(serve.games.games_dir.as_deref())?;
    games_dir.open(output, true)?;
    let room = serve.room.as_deref().map(RoomFile::load).transpose()?;
    let peer = build(global, &games_dir.path, &serve, room.as_ref())?;
    let mut events = peer.events();
    let mut reporter = output.listener();
    let manager = ServiceManager::from_environment();
    let begun = async {
        accept_commands(&peer).await?;
        if let Some(user_state_dir) = default_state_dir() {
            list_as_running(&peer, user_state_dir).await;
        }
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
    manager.ready(&format!("Serving {} on {address}", games_dir.path.display()));
    panics::if_a_test_wants("serve");
    let is_broken = loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => happened(reporter.as_mut(), event),
                None => break false,
            },
            () = stop.cancelled() => break false,
            () = peer.broken() => break true,
        }
    };
    signals::taken();
    manager.stopping("Ending streams and downloads");
    let stopped = peer.shutdown().await;
    while let Some(event) = events.try_next() {
        happened(reporter.as_mut(), event);
    }
    if is_broken {
        let message = "internal fault: a part of this peer panicked without which it cannot serve".to_owned();
        return Err(Failure::new("internal", None, message, ErrorCategory::Unexpected));
    }
    Ok(stopped?)
}

fn happened(reporter: &mut dyn Reporter, event: PeerEvent) {
    // A reader that has gone must not stop the peer.
    if let Err(error) = reporter.happened(event) {
        tracing::debug!("stdout: {error}");
    }
}

fn build(
    global: &Global,
    games_dir: &Path,
    serve: &Serve,
    room: Option<&RoomFile>,
) -> Result<Peer, PeerError> {
    let own = OwnPeer { decoder: Some(&serve.decoder), limits: Some(&serve.limits) };
    let mut builder = describe(global, games_dir, &serve.catalog, own)?;
    if let Some(name) = &serve.name {
        builder = builder.name(name.clone());
    }
    let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
    if let Some(room) = room {
        let version = |game: &RoomFileGame| game.version.exactly().cloned();
        let wanted = room.games().iter().map(|(id, game)| (id.clone(), version(game)));
        builder = builder.games_wanted(wanted.collect());
    }
    builder
        .accept_from(serve.accept_from.iter().copied().collect())
        .discovery(!serve.no_discovery)
        .share_installed(serve.share_installed)
        .peers(serve.peers.peers.clone())
        .admission((&serve.rules).into())
        .streams_max(count(serve.max_streams))
        .operations_max(count(serve.parallel.max_operations))
        .build()
}
