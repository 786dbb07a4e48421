//! `serve`: answers other peers and runs the operations that other commands request, until a signal arrives.

use std::path::Path;
use std::time::Duration;

use lanspread_peer::{
    CancellationToken, ErrorCategory, Peer, PeerEvent, RoomFile, RoomFileGame, accept_commands_of,
    default_state_dir, list_as_running,
};

use tokio::time::Interval;

use super::{OwnPeer, describe, given_peers};
use crate::arguments::{Arguments, Command, Global, Serve};
use crate::config::{self, ArgumentsError, Asked};
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::notify::ServiceManager;
use crate::output::{Output, Reporter};
#[cfg(feature = "web")]
use crate::page;
use crate::panics;
use crate::signals;

pub(crate) async fn run(global: &Global, output: Output, serve: Serve) -> CommandResult {
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let manager = ServiceManager::from_environment();
    let mut reloads = signals::of_daemon(stop.clone(), hurry.clone(), manager.is_there())?;
    let games_dir = ChosenGamesDir::to_serve(serve.games.games_dir.as_deref())?;
    games_dir.open(output, true)?;
    let room = serve.room.as_deref().map(RoomFile::load).transpose()?;
    let peer = build(global, &games_dir.path, &serve, room.as_ref())?;
    let mut events = peer.events();
    let mut reporter = output.listener();
    let begun = async {
        accept_commands_of(&peer, (&serve.sockets).into()).await?;
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
    // What has happened until now is told before where the page is.
    while let Some(event) = events.try_next() {
        happened(reporter.as_mut(), event);
    }
    #[cfg(feature = "web")]
    let page = match page::serve(global, output, &serve.web, &peer).await {
        Ok(page) => page,
        Err(failure) => {
            let _ = peer.shutdown().await;
            return Err(failure);
        }
    };
    let status = format!("Serving {} on {address}", games_dir.path.display());
    manager.ready(&status);
    panics::if_a_test_wants("serve");
    let mut alive = Alive::of(&manager);
    let is_broken = loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => happened(reporter.as_mut(), event),
                None => break false,
            },
            () = alive.next() => manager.is_alive(),
            () = reloads.next() => {
                manager.reloading();
                reload(&peer).await;
                manager.ready(&status);
            }
            () = stop.cancelled() => break false,
            () = peer.broken() => break true,
        }
    };
    // Before the end of a drain: another signal ends it.
    signals::taken();
    manager.stopping("Ending streams and downloads");
    if !is_broken && !serve.stopping.drain.0.is_zero() {
        let draining = peer.drain(serve.stopping.drain.0);
        manager.needs_more(MORE_TIME, WAITING);
        let mut more = tokio::time::interval(MORE_TIME / 2);
        tokio::pin!(draining);
        loop {
            tokio::select! {
                _ = &mut draining => break,
                event = events.next() => {
                    if let Some(event) = event {
                        happened(reporter.as_mut(), event);
                    }
                }
                () = alive.next() => manager.is_alive(),
                _ = more.tick() => manager.needs_more(MORE_TIME, WAITING),
                () = hurry.cancelled() => break,
                () = peer.broken() => break,
            }
        }
        signals::taken();
    }
    #[cfg(feature = "web")]
    if let Some(page) = page {
        page.stop().await;
    }
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

/// What the service manager shows meanwhile.
const WAITING: &str = "Waiting for streams and downloads to end";

/// How much more time to stop is asked for again and again: a manager stops what hangs after it.
const MORE_TIME: Duration = Duration::from_secs(20);

/// When the service manager wants to hear that this process is alive.
struct Alive(Option<Interval>);

impl Alive {
    fn of(manager: &ServiceManager) -> Self {
        Self(manager.watchdog_interval().map(tokio::time::interval))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Reads again what can change while a daemon serves: the catalog, the saved peers, and the limits of the config file.
async fn reload(peer: &Peer) {
    match config::ask(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(Asked { arguments: Arguments { command: Command::Serve(serve), .. }, .. }) => {
            peer.set_limits((&serve.limits).into());
        }
        Ok(_) => {}
        Err(error) => {
            let failure = match error {
                ArgumentsError::Usage(error) => Failure::from(error),
                ArgumentsError::Setting(failure) => failure,
            };
            tracing::warn!("the settings stay as they were: {}", failure.message);
        }
    }
    if let Err(error) = peer.reload().await {
        tracing::warn!("not everything was read again: {error}");
    }
}

fn happened(reporter: &mut dyn Reporter, event: PeerEvent) {
    // A reader that has gone must not stop the peer.
    if let Err(error) = reporter.happened(event) {
        tracing::debug!("stdout: {error}");
    }
}

fn build(global: &Global, games_dir: &Path, serve: &Serve, room: Option<&RoomFile>) -> Result<Peer, Failure> {
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
    let peer = builder
        .accept_from(serve.accept_from.iter().copied().collect())
        .discovery(!serve.no_discovery)
        .share_installed(serve.share_installed)
        .peers(given_peers::hosts(&serve.peers.peers)?)
        .admission((&serve.rules).into())
        .streams_max(count(serve.max_streams))
        .operations_max(count(serve.parallel.max_operations))
        .build()?;
    Ok(peer)
}
