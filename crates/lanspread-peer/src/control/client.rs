//! Asks a daemon.

use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::lines::{self, LineReader};
use super::message::{ControlReply, ControlRequest};
use super::owner::Daemon;
use crate::error::PeerError;

/// One request to a daemon, and its replies.
pub struct ControlClient {
    reader: LineReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    games_dir: PathBuf,
}

impl ControlClient {
    /// Connects to the daemon of a games directory and asks.
    ///
    /// # Errors
    /// [`PeerError::DaemonUnreachable`] or [`PeerError::Control`].
    pub async fn ask(daemon: &Daemon, games_dir: &Path, request: &ControlRequest) -> Result<Self, PeerError> {
        let stream =
            UnixStream::connect(&daemon.socket).await.map_err(|source| PeerError::DaemonUnreachable {
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
    /// [`PeerError::DaemonGone`] when the daemon ends before it is done; [`PeerError::Control`].
    pub async fn next(&mut self) -> Result<ControlReply, PeerError> {
        let reply = self.reader.next().await?;
        reply.ok_or_else(|| PeerError::DaemonGone { games_dir: self.games_dir.clone() })
    }

    /// Says that nobody waits for the operation any more; it is cancelled unless somebody else follows it.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub async fn give_up(&mut self) -> Result<(), PeerError> {
        lines::write(&mut self.writer, &ControlRequest::GiveUp).await
    }
}
