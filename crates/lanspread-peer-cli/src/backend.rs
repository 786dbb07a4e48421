//! The peer that does the work of a command: the daemon that owns the games directory or, if there is none, a peer of
//! this process. Both answer the same requests with the same replies.

use std::path::Path;

use lanspread_peer::{
    CancellationToken, ControlClient, ControlError, ControlReply, ControlRequest, Daemon, Peer, PeerError,
    ReplyStream, answer, find_daemon,
};

use crate::exit::{CommandResult, Failure};
use crate::signals;

/// The peer that answers a command.
pub(crate) enum Backend<'a> {
    /// A peer of this process.
    Own(Peer),
    /// The daemon of the games directory.
    Daemon { daemon: Daemon, games_dir: &'a Path },
}

impl<'a> Backend<'a> {
    /// The daemon of a games directory if there is one, otherwise a peer that `build` makes.
    pub(crate) fn open(
        games_dir: &'a Path,
        no_daemon: bool,
        build: impl FnOnce() -> Result<Peer, PeerError>,
    ) -> Result<Self, PeerError> {
        let daemon = if no_daemon { None } else { find_daemon(games_dir)? };
        let shown = games_dir.display();
        if let Some(daemon) = daemon {
            tracing::info!(
                "the daemon of {shown} (process {}) does the work, and its log says how",
                daemon.pid
            );
            return Ok(Self::Daemon { daemon, games_dir });
        }
        tracing::info!("this process does the work itself, with {shown}");
        build().map(Self::Own)
    }

    /// The daemon of a games directory.
    pub(crate) fn daemon(games_dir: &'a Path) -> Result<Self, PeerError> {
        Self::open(
            games_dir,
            false,
            || Err(ControlError::NoDaemon { games_dir: games_dir.to_owned() }.into()),
        )
    }

    /// Sends a request.
    pub(crate) async fn ask(&self, request: ControlRequest) -> Result<Replies, ControlError> {
        Ok(match self {
            Self::Own(peer) => Replies::Own(answer(peer, request)),
            Self::Daemon { daemon, games_dir } => {
                Replies::Daemon(ControlClient::ask(daemon, games_dir, &request).await?)
            }
        })
    }

    /// Whether it is a daemon.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self, Self::Daemon { .. })
    }

    /// Starts an operation and leaves it. Returns its number, and whether it was there already.
    pub(crate) async fn start(&self, request: ControlRequest) -> Result<(u64, bool), Failure> {
        let mut replies = self.ask(request).await?;
        loop {
            match replies.next().await? {
                ControlReply::Accepted { operation, joined } => return Ok((operation, joined)),
                ControlReply::Failed(failure) => return Err(failure.into()),
                _ => {}
            }
        }
    }

    /// Shuts down the peer of this process, if there is one.
    pub(crate) async fn close(self) -> Result<(), PeerError> {
        match self {
            Self::Own(peer) => peer.shutdown().await,
            Self::Daemon { .. } => Ok(()),
        }
    }
}

/// The replies to one request.
pub(crate) enum Replies {
    Own(ReplyStream),
    Daemon(ControlClient),
}

impl Replies {
    /// Passes every reply to `take`, up to the last one or until `take` fails. If `cancel` is cancelled, this gives up
    /// the request and still waits for its end.
    pub(crate) async fn each(
        mut self,
        cancel: &CancellationToken,
        mut take: impl AsyncFnMut(ControlReply) -> CommandResult,
    ) -> CommandResult {
        let mut given_up = false;
        loop {
            let reply = tokio::select! {
                reply = self.next() => reply?,
                () = cancel.cancelled(), if !given_up => {
                    given_up = true;
                    signals::taken();
                    self.give_up().await?;
                    continue;
                }
            };
            match reply {
                ControlReply::Done => return Ok(()),
                ControlReply::Failed(failure) => return Err(failure.into()),
                reply => take(reply).await?,
            }
        }
    }

    async fn next(&mut self) -> Result<ControlReply, ControlError> {
        match self {
            Self::Own(replies) => Ok(replies.next().await),
            Self::Daemon(client) => client.next().await,
        }
    }

    async fn give_up(&mut self) -> Result<(), ControlError> {
        match self {
            Self::Own(replies) => {
                replies.give_up();
                Ok(())
            }
            Self::Daemon(client) => client.give_up().await,
        }
    }
}
