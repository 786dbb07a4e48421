//! Makes a peer a daemon.

use lanspread_types::{layout, limits};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::control::error::ControlError;
use crate::control::ownership::{self, Daemon, OwnedFolder, Ownership};
use crate::daemon::server;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;

/// Makes a peer the daemon of its games directory: it takes ownership of the games directory and of the state
/// directory, and opens the control socket in the state directory, for this user only. If the games directory cannot be
/// written, no game in it can be changed, so the peer takes no commands. If the disk is full, it takes them as soon as
/// there is space to say where.
///
/// # Errors
/// [`ControlError::DaemonRunning`] if another daemon owns either directory; [`PeerError::Local`].
pub async fn accept_commands(peer: &Peer) -> Result<(), PeerError> {
    let socket = peer.state_dir().join(layout::CONTROL_SOCKET);
    let daemon = Daemon { pid: std::process::id(), socket: socket.clone() };
    let owner = peer.clone();
    let ownership = peer
        .blocking("own", move || {
            let (state_dir, games_dir) = (owner.state_dir(), owner.games_dir());
            let state = ownership::own(OwnedFolder::StateDir(state_dir), &daemon)?;
            let games = match Ownership::take(games_dir, &daemon) {
                Ok(games) => Some(games),
                Err(ControlError::Local(error)) if error.is_refused_write() => {
                    tracing::info!(
                        "games can be served but not changed, so this peer takes no commands: {error}"
                    );
                    None
                }
                Err(error) => return Err(error.into()),
            };
            owner.hold_until_shutdown(Box::new((state, games.clone())));
            Ok(games)
        })
        .await?;
    let Some(ownership) = ownership else { return Ok(()) };
    server::serve(peer, &socket, peer.tasks().cancel_token())?;
    if !ownership.is_complete() {
        let games_dir = peer.games_dir().display();
        tracing::warn!("the disk of {games_dir} is full: commands work beside this peer until it has space");
        peer.tasks().spawn("ownership", complete(ownership, peer.clone(), peer.tasks().cancel_token()));
    }
    Ok(())
}

/// Tries until the disk has space for the name of the daemon.
async fn complete(ownership: Ownership, peer: Peer, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(limits::OWNERSHIP_RETRY_INTERVAL)).await.is_some() {
        let trying = ownership.clone();
        match peer.blocking("own", move || Ok(trying.complete()?)).await {
            Ok(()) => return,
            Err(PeerError::Control(ControlError::Local(error))) if error.is_disk_full() => {}
            Err(error) => {
                tracing::warn!("commands do not find this peer: {error}");
                return;
            }
        }
    }
}
