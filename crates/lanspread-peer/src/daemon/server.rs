//! The daemon's side of the control socket.

use std::os::unix::fs::PermissionsExt;
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

/// Opens the socket for this user only, and replaces one that a killed daemon left.
pub(super) fn listen(path: &Path) -> Result<UnixListener, ControlError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(LocalError::io("remove", path)(error).into());
        }
        _ => {}
    }
    let open = || {
        let listener = UnixListener::bind(path)?;
        // The state directory is private too, unless it was created by other means.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    open().map_err(|error| LocalError::io("open the control socket", path)(error).into())
}

/// Opens the socket and answers until `stop`.
pub(crate) fn serve(peer: &Peer, path: &Path, stop: CancellationToken) -> Result<(), ControlError> {
    let listener = listen(path)?;
    let (accepting, file) = (peer.clone(), SocketFile(path.to_owned()));
    peer.tasks().spawn("control", async move {
        accept(&accepting, &listener, &stop).await;
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

async fn accept(peer: &Peer, listener: &UnixListener, stop: &CancellationToken) {
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
                ended = converse(&peer, stream) => {
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
pub(super) async fn converse<S: AsyncRead + AsyncWrite>(peer: &Peer, stream: S) -> Result<(), ControlError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = LineReader::new(reader);
    let stop = peer.tasks().cancel_token();
    let first = timeout(limits::CONTROL_REQUEST_DEADLINE, reader.next());
    let Some(first) = stop.run_until_cancelled(first).await else { return Ok(()) };
    let request = match first {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return Ok(()),
        Ok(Err(error)) => return lines::write(&mut writer, &refusal(&error)).await,
    };
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
