//! Makes a peer a daemon.

use std::path::{Path, PathBuf};

use lanspread_types::limits;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::control::error::ControlError;
use crate::control::ownership::{self, Daemon, OwnedFolder, Ownership};
use crate::control::running::{self, RunningDaemon};
use crate::control::socket_path;
use crate::daemon::server::{self, ControlSocket, SocketRight};
use crate::peer::core::Peer;
use crate::peer::error::PeerError;

/// Makes a peer the daemon of its games directory: it takes ownership of the games directory and of the state
/// directory, and opens the control socket, for this user only. The socket is in the state directory, or if its path
/// would be too long there, in a folder that only this user may open. If the games directory cannot be written, no game
/// in it can be changed, so the peer takes no commands. If the disk is full, it takes them as soon as there is space to
/// say where.
///
/// # Errors
/// [`ControlError::DaemonRunning`] if another daemon owns either directory; [`PeerError::Local`].
pub async fn accept_commands(peer: &Peer) -> Result<(), PeerError> {
    accept_commands_of(peer, CommandGroups::default()).await
}

/// The numbers of the groups that may use a daemon, beside its own user and root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandGroups {
    /// Its members may command the daemon.
    pub commanding: Option<u32>,
    /// Its members may only ask it.
    pub asking: Option<u32>,
}

impl CommandGroups {
    /// The sockets of a daemon with this state directory; the one for commands first.
    fn sockets(self, state_dir: &Path) -> Result<Vec<ControlSocket>, ControlError> {
        if self == Self::default() {
            let path = socket_path::choose(state_dir)?;
            return Ok(vec![ControlSocket { path, group: None, right: SocketRight::Command }]);
        }
        let shared = socket_path::choose_shared(state_dir)?;
        let commands =
            ControlSocket { path: shared.commands, group: self.commanding, right: SocketRight::Command };
        let ask =
            |group| ControlSocket { path: shared.questions, group: Some(group), right: SocketRight::Ask };
        Ok([Some(commands), self.asking.map(ask)].into_iter().flatten().collect())
    }
}

/// The same, and members of these groups may use it. Then its sockets are in a folder into which every user can look: that of
/// the service manager, or one below `/tmp`.
///
/// # Errors
/// As [`accept_commands`]; [`PeerError::Local`] if this user cannot give a socket to the group.
pub async fn accept_commands_of(peer: &Peer, groups: CommandGroups) -> Result<(), PeerError> {
    let owner = peer.clone();
    let taken = peer
        .blocking("own", move || {
            let (state_dir, games_dir) = (owner.state_dir(), owner.games_dir());
            let sockets = groups.sockets(state_dir)?;
            let path_of =
                |right| sockets.iter().find(|socket| socket.right == right).map(|socket| socket.path.clone());
            let socket = path_of(SocketRight::Command).unwrap_or_default();
            let daemon = Daemon { pid: std::process::id(), socket, asking: path_of(SocketRight::Ask) };
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
            Ok(games.map(|games| (games, sockets)))
        })
        .await?;
    let Some((ownership, sockets)) = taken else { return Ok(()) };
    peer.keep_operations().await?;
    for socket in &sockets {
        server::serve(peer, socket, peer.tasks().cancel_token())?;
    }
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

/// Lists a daemon in the state directory of its user until it has stopped, so that commands of that user find its games
/// directory by themselves. A failure is logged: then they must name it.
pub async fn list_as_running(peer: &Peer, user_state_dir: PathBuf) {
    let owner = peer.clone();
    let listing = move || {
        let games_dir =
            std::path::absolute(owner.games_dir()).unwrap_or_else(|_| owner.games_dir().to_owned());
        let state_dir = owner.state_dir().to_owned();
        let daemon = RunningDaemon { pid: std::process::id(), games_dir, state_dir };
        match running::list(&user_state_dir, &daemon) {
            Ok(listed) => owner.hold_until_shutdown(Box::new(listed)),
            Err(error) => tracing::info!(
                "commands must name the games directory: {}: {error}",
                user_state_dir.display()
            ),
        }
        Ok(())
    };
    if let Err(error) = peer.blocking("list", listing).await {
        tracing::info!("commands must name the games directory: {error}");
    }
}
