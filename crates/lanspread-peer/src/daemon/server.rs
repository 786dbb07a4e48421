//! The daemon's side of the control socket.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::control::error::ControlError;
use crate::control::lines;
use crate::control::lines::LineReader;
use crate::control::message::{ControlReply, ControlRequest};
use crate::daemon::answer;
use crate::peer::core::Peer;
use crate::report::failure::OperationFailure;

/// What may be sent over a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketRight {
    /// Every request.
    Command,
    /// Requests that only ask.
    Ask,
}

/// A socket, and who may open it beside this user.
#[derive(Debug, Clone)]
pub(super) struct ControlSocket {
    pub(super) path: PathBuf,
    /// The number of a group.
    pub(super) group: Option<u32>,
    pub(super) right: SocketRight,
}

/// Opens the socket for this user and the group, if there is one, and replaces one that a killed daemon left.
pub(super) fn listen(path: &Path, group: Option<u32>) -> Result<UnixListener, ControlError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(LocalError::io("remove", path)(error).into());
        }
        _ => {}
    }
    let open = || {
        let Some(group) = group else {
            let listener = UnixListener::bind(path)?;
            // The state directory is private too, unless it was created by other means.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            return Ok(listener);
        };
        // Its folder is open to all: until the socket has its permissions, it is in a private one.
        let private = path.with_extension("new");
        remove_private(&private)?;
        std::fs::DirBuilder::new().mode(0o700).create(&private)?;
        let draft = private.join("s");
        let listener = UnixListener::bind(&draft)?;
        std::os::unix::fs::chown(&draft, None, Some(group))?;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o660))?;
        std::fs::rename(&draft, path)?;
        std::fs::remove_dir(&private)?;
        Ok(listener)
    };
    open().map_err(|error| LocalError::io("open the control socket", path)(error).into())
}

/// Removes what a killed daemon left of the private folder.
fn remove_private(folder: &Path) -> std::io::Result<()> {
    let absent_is_fine = |removed: std::io::Result<()>| match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    absent_is_fine(std::fs::remove_file(folder.join("s")))?;
    absent_is_fine(std::fs::remove_dir(folder))
}

/// Opens the socket and answers until `stop`.
pub(super) fn serve(
    peer: &Peer,
    socket: &ControlSocket,
    stop: CancellationToken,
) -> Result<(), ControlError> {
    let (listener, right) = (listen(&socket.path, socket.group)?, socket.right);
    let (accepting, file) = (peer.clone(), SocketFile(socket.path.clone()));
    peer.tasks().spawn("control", async move {
        accept(&accepting, &listener, right, &stop).await;
        drop(file);
    });
    Ok(())
}

/// The file of the socket; removed when dropped, also by a panic.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!("cannot remove {}: {error}", self.0.display());
        }
    }
}

async fn accept(peer: &Peer, listener: &UnixListener, right: SocketRight, stop: &CancellationToken) {
    let places = Arc::new(Semaphore::new(limits::CONTROL_CLIENTS_MAX));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            tracing::warn!("the control socket cannot accept a connection: {accepted:?}");
            tokio::time::sleep(limits::ACCEPT_BACK_OFF).await;
            continue;
        };
        // Beyond the limit a connection is closed without reading from it, so that it costs nothing more.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (peer, stop) = (peer.clone(), stop.clone());
        peer.clone().tasks().spawn_contained("control client", async move {
            // A stopping daemon leaves time for the last reply, and no more.
            let stopped = async {
                stop.cancelled().await;
                tokio::time::sleep(limits::CONTROL_FAREWELL_DEADLINE).await;
            };
            tokio::select! {
                ended = converse(&peer, stream, right) => {
                    if let Err(error) = ended {
                        tracing::debug!("a control client: {error}");
                    }
                }
                () = stopped => {}
            }
            drop(place);
        });
    }
}

/// Handles one request and its replies.
pub(super) async fn converse<S: AsyncRead + AsyncWrite>(
    peer: &Peer,
    stream: S,
    right: SocketRight,
) -> Result<(), ControlError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = LineReader::new(reader);
    let stop = peer.tasks().cancel_token();
    let first = timeout(limits::CONTROL_REQUEST_DEADLINE, reader.next());
    let Some(first) = stop.run_until_cancelled(first).await else { return Ok(()) };
    let request: ControlRequest = match first {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return Ok(()),
        Ok(Err(error)) => return lines::write(&mut writer, &refusal(&error)).await,
    };
    if right == SocketRight::Ask && !request.only_asks() {
        return lines::write(&mut writer, &refusal(&ControlError::QuestionsOnly)).await;
    }
    let mut answers = answer::answer(peer, request);
    // One more line may follow.
    let mut listening = true;
    loop {
        tokio::select! {
            said = reader.next::<ControlRequest>(), if listening => {
                listening = false;
                match said {
                    Ok(Some(ControlRequest::GiveUp)) => answers.give_up(),
                    Ok(Some(_)) => return lines::write(&mut writer, &refusal(&out_of_turn())).await,
                    // The client is gone. What it started continues.
                    Ok(None) => return Ok(()),
                    Err(error) => return lines::write(&mut writer, &refusal(&error)).await,
                }
            }
            reply = timeout(limits::CONTROL_KEEP_ALIVE_INTERVAL, answers.next()) => {
                let reply = reply.unwrap_or(ControlReply::KeepAlive);
                let is_last = matches!(reply, ControlReply::Done | ControlReply::Failed(_));
                lines::write(&mut writer, &reply).await?;
                if is_last {
                    return Ok(());
                }
            }
        }
    }
}

fn refusal(error: &ControlError) -> ControlReply {
    ControlReply::Failed(OperationFailure::from(error))
}

fn out_of_turn() -> ControlError {
    ControlError::Broken("a second request on one connection".to_owned())
}
