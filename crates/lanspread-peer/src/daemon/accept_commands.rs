//! Makes a peer a daemon.

use lanspread_types::layout;

use crate::control::error::ControlError;
use crate::control::ownership::{self, Daemon};
use crate::daemon::server;
use crate::peer::core::Peer;
use crate::peer::error::PeerError;

/// Makes a peer the daemon of its games directory: it takes ownership of the games directory and of the state
/// directory, and opens the control socket in the state directory, for this user only. If the games directory cannot be
/// written, no game in it can be changed, so the peer takes no commands.
///
/// # Errors
/// [`ControlError::DaemonRunning`] if another daemon owns either directory; [`PeerError::Local`].
pub async fn accept_commands(peer: &Peer) -> Result<(), PeerError> {
    let socket = peer.state_dir().join(layout::CONTROL_SOCKET);
    let daemon = Daemon { pid: std::process::id(), socket: socket.clone() };
    let owner = peer.clone();
    let is_found = peer
        .blocking("own", move || {
            let (state_dir, games_dir) = (owner.state_dir(), owner.games_dir());
            let mut held = vec![ownership::own(state_dir, state_dir, &daemon)?];
            let is_found = match ownership::own(&games_dir.join(layout::STATE_DIR), games_dir, &daemon) {
                Ok(games) => {
                    held.push(games);
                    true
                }
                Err(ControlError::Local(error)) if error.is_refused_write() => {
                    tracing::info!(
                        "games can be served but not changed, so this peer takes no commands: {error}"
                    );
                    false
                }
                Err(error) => return Err(error.into()),
            };
            owner.hold_until_shutdown(Box::new(held));
            Ok(is_found)
        })
        .await?;
    if is_found {
        server::serve(peer, &socket, peer.tasks().cancel_token())?;
    }
    Ok(())
}
