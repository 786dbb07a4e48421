//! The client of a daemon.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lanspread_types::limits;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::lines::{self, LineReader};
use super::message::{ControlReply, ControlRequest};
use crate::control::error::ControlError;
use crate::control::ownership::Daemon;

/// One request to a daemon, and its replies.
pub struct ControlClient {
    reader: LineReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    games_dir: PathBuf,
    pid: u32,
}

impl ControlClient {
    /// Connects to the daemon of a games directory and sends a request.
    ///
    /// # Errors
    /// [`ControlError::DaemonUnreachable`], [`ControlError::DaemonUntrusted`] or [`ControlError::Broken`].
    pub async fn ask(
        daemon: &Daemon,
        games_dir: &Path,
        request: &ControlRequest,
    ) -> Result<Self, ControlError> {
        let (stream, socket) = match connect(daemon, games_dir, &daemon.socket).await {
            Err(ControlError::DaemonUnreachable { source, .. })
                if source.kind() == ErrorKind::PermissionDenied && daemon.asking.is_some() =>
            {
                let asking = daemon.asking.as_ref().filter(|_| request.only_asks());
                let Some(asking) = asking else {
                    let user = rustix::process::geteuid().as_raw();
                    return Err(ControlError::NotPermitted { games_dir: games_dir.to_owned(), user });
                };
                (connect(daemon, games_dir, asking).await?, asking)
            }
            connected => (connected?, &daemon.socket),
        };
        check_trust(&stream, daemon, games_dir, socket)?;
        let (reader, mut writer) = stream.into_split();
        lines::write(&mut writer, request).await?;
        let (reader, games_dir) = (LineReader::new(reader), games_dir.to_owned());
        Ok(Self { reader, writer, games_dir, pid: daemon.pid })
    }

    /// The next reply, without keep-alives. Cancel-safe.
    ///
    /// # Errors
    /// [`ControlError::DaemonGone`] if the daemon ends before it is done; [`ControlError::DaemonSilent`] if it says
    /// nothing for [`limits::CONTROL_SILENCE_DEADLINE`]; [`ControlError::Broken`].
    pub async fn next(&mut self) -> Result<ControlReply, ControlError> {
        loop {
            let after = limits::CONTROL_SILENCE_DEADLINE;
            let reply = timeout(after, self.reader.next()).await.map_err(|_| ControlError::DaemonSilent {
                games_dir: self.games_dir.clone(),
                holder_pid: Some(self.pid),
                after,
            })?;
            match reply?.ok_or_else(|| ControlError::DaemonGone { games_dir: self.games_dir.clone() })? {
                ControlReply::KeepAlive => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Gives up the operation: the daemon cancels it unless another client follows it.
    ///
    /// # Errors
    /// [`ControlError::Broken`].
    pub async fn give_up(&mut self) -> Result<(), ControlError> {
        lines::write(&mut self.writer, &ControlRequest::GiveUp).await
    }
}

async fn connect(daemon: &Daemon, games_dir: &Path, socket: &Path) -> Result<UnixStream, ControlError> {
    UnixStream::connect(socket).await.map_err(|source| unreachable(daemon, games_dir, socket, source))
}

fn unreachable(daemon: &Daemon, games_dir: &Path, socket: &Path, source: io::Error) -> ControlError {
    ControlError::DaemonUnreachable {
        games_dir: games_dir.to_owned(),
        holder_pid: Some(daemon.pid),
        socket: socket.to_owned(),
        source,
    }
}

/// Every user who may write to the games directory could name another socket there. Its file tells who opened it, the
/// system tells who listens, and the games directory tells who may say what is in it.
fn check_trust(
    stream: &UnixStream,
    daemon: &Daemon,
    games_dir: &Path,
    socket: &Path,
) -> Result<(), ControlError> {
    let unreachable = |source| unreachable(daemon, games_dir, socket, source);
    let file = std::fs::symlink_metadata(socket).map_err(unreachable)?;
    let listens = stream.peer_cred().map_err(unreachable)?.uid();
    let user = rustix::process::geteuid().as_raw();
    let shared = file.mode() & GROUP_MAY_WRITE != 0;
    let games_owner = std::fs::metadata(games_dir).map_err(unreachable)?.uid();
    let games_owner = Some(games_owner).filter(|_| shared);
    match [file.uid(), listens].into_iter().find(|owner| !is_trusted(*owner, user, games_owner)) {
        None => Ok(()),
        Some(owner) => {
            let (games_dir, socket) = (games_dir.to_owned(), socket.to_owned());
            Err(ControlError::DaemonUntrusted { games_dir, socket, owner })
        }
    }
}

/// The system let this user connect, so that it is of the group.
const GROUP_MAY_WRITE: u32 = 0o020;

/// Whether a command of `user` does what a program of `owner` says. If a daemon shares its socket with a group, the user who
/// owns the games directory is believed too: that user decides what is in it anyway.
fn is_trusted(owner: u32, user: u32, games_owner: Option<u32>) -> bool {
    const ROOT: u32 = 0;
    owner == user || owner == ROOT || games_owner == Some(owner)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A program that listens as a daemon would, and a connection of a command to it.
    async fn connected() -> (tempfile::TempDir, UnixStream, ControlClient) {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon { pid: 7, socket: folder.path().join("control.sock"), asking: None };
        let listener = UnixListener::bind(&daemon.socket).unwrap();
        let client = ControlClient::ask(&daemon, folder.path(), &ControlRequest::Status).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
        assert!(read > 0, "the request");
        (folder, stream, client)
    }

    #[test]
    fn only_the_own_user_and_root_are_trusted_and_of_a_shared_socket_the_owner_of_the_games() {
        for (owner, user, games_owner, trusted) in [
            (1000, 1000, None, true),
            (0, 1000, None, true),
            (0, 0, None, true),
            (1000, 0, None, false),
            (65534, 1000, None, false),
            (995, 1000, Some(995), true),
            (995, 1000, Some(1001), false),
            (1001, 1000, Some(995), false),
        ] {
            assert_eq!(is_trusted(owner, user, games_owner), trusted, "{owner} {user} {games_owner:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_daemon_is_left() {
        let (_folder, mut daemon, mut client) = connected().await;
        assert!(matches!(client.next().await, Err(ControlError::DaemonSilent { holder_pid: Some(7), .. })));
        // Later too, and half a reply is no reply.
        lines::write(&mut daemon, &ControlReply::Accepted { operation: 1, joined: false }).await.unwrap();
        assert!(matches!(client.next().await, Ok(ControlReply::Accepted { .. })));
        tokio::io::AsyncWriteExt::write_all(&mut daemon, b"{\"reply\":").await.unwrap();
        assert!(matches!(client.next().await, Err(ControlError::DaemonSilent { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_is_there_may_take_its_time() {
        let (_folder, mut daemon, mut client) = connected().await;
        let working = tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::sleep(limits::CONTROL_KEEP_ALIVE_INTERVAL).await;
                lines::write(&mut daemon, &ControlReply::KeepAlive).await.unwrap();
            }
            lines::write(&mut daemon, &ControlReply::Done).await.unwrap();
            daemon
        });
        assert_eq!(client.next().await.unwrap(), ControlReply::Done);
        drop(working.await.unwrap());
        assert!(matches!(client.next().await, Err(ControlError::DaemonGone { .. })));
    }
}
