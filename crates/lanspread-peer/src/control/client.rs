//! The client of a daemon.

use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::lines::{self, LineReader};
use super::message::{ControlReply, ControlRequest};
use crate::control::error::ControlError;
use crate::control::ownership::Daemon;

/// One request to a daemon, and its replies.
pub struct ControlClient {
    reader: LineReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    games_dir: PathBuf,
}

impl ControlClient {
    /// Connects to the daemon of a games directory and sends a request.
    ///
    /// # Errors
    /// [`ControlError::DaemonUnreachable`] or [`ControlError::Broken`].
    pub async fn ask(
        daemon: &Daemon,
        games_dir: &Path,
        request: &ControlRequest,
    ) -> Result<Self, ControlError> {
        let stream =
            UnixStream::connect(&daemon.socket).await.map_err(|source| ControlError::DaemonUnreachable {
                games_dir: games_dir.to_owned(),
                holder_pid: Some(daemon.pid),
                socket: daemon.socket.clone(),
                source,
            })?;
        let (reader, mut writer) = stream.into_split();
        lines::write(&mut writer, request).await?;
        Ok(Self { reader: LineReader::new(reader), writer, games_dir: games_dir.to_owned() })
    }

    /// The next reply. Cancel-safe.
    ///
    /// # Errors
    /// [`ControlError::DaemonGone`] if the daemon ends before it is done; [`ControlError::Broken`].
    pub async fn next(&mut self) -> Result<ControlReply, ControlError> {
        let reply = self.reader.next().await?;
        reply.ok_or_else(|| ControlError::DaemonGone { games_dir: self.games_dir.clone() })
    }

    /// Gives up the operation: the daemon cancels it unless another client follows it.
    ///
    /// # Errors
    /// [`ControlError::Broken`].
    pub async fn give_up(&mut self) -> Result<(), ControlError> {
        lines::write(&mut self.writer, &ControlRequest::GiveUp).await
    }
}
