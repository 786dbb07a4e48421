//! Answers one follower of a packed stream: what it asks, in that order, and signs of life between.
//!
//! A source answers from its disk and a relay from its window; the loop need not know which. It runs over any connection.

use std::time::Duration;

use bytes::Bytes;
use lanspread_proto::WireError;
use lanspread_proto::chunk::{Incoming, Outgoing};
use lanspread_proto::connection::Connection;
use lanspread_proto::message::Refusal;
use lanspread_proto::packed::{FollowMessage, LeaveReason, UpstreamMessage, WaveNews};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::traffic::Meter;

/// What a follower is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChunkAnswer {
    Chunk(Bytes),
    /// It is no longer here; the oldest chunk that is has this number.
    Gone(u64),
    Leave(LeaveReason),
    Failed(Refusal),
}

/// Where the chunks of a packed stream come from.
pub(crate) trait ServeChunks: Send + Sync {
    /// A chunk, as soon as it is here.
    fn chunk(&self, chunk: u64) -> impl Future<Output = ChunkAnswer> + Send;

    /// Counts and limits what is sent.
    fn meter(&self) -> &Meter;

    /// The follower has it, as far as can be known here; sending it took so long.
    fn took(&self, _chunk: u64, _bytes: Bytes, _taken: Duration) {}

    /// Up to where it is here, and whether this machine is what holds its follower up.
    fn alive(&self) -> (u64, bool);

    /// What is known of the wave.
    fn wave(&self) -> WaveNews {
        WaveNews::default()
    }
}

/// How the serving of a follower ended.
#[derive(Debug)]
pub(crate) enum Served {
    /// The follower has everything.
    Done,
    /// It closed the connection.
    Gone,
    /// It was sent away.
    Left(LeaveReason),
    /// The peer stops, or an operation needs the game.
    Stopped,
    /// The chunks cannot be served any more, and the follower knows why.
    Failed(Refusal),
    Wire(WireError),
}

impl Served {
    /// Stable kebab-case code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Done => "complete",
            Self::Gone => "receiver-gone",
            Self::Left(why) => why.as_str(),
            Self::Stopped => "source-stopping",
            Self::Failed(refusal) => refusal.code.as_str(),
            Self::Wire(error) => error.code(),
        }
    }
}

/// What the follower sent, in its order.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Chunk(u64),
    Resume,
}

/// Answers a follower until it has everything, goes, or cannot be served any more. `stop` sends it away.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    chunks: &impl ServeChunks,
    stop: &CancellationToken,
) -> Served {
    let (wants, wanted) = mpsc::channel(2 * limits::PACKED_ASKED_MAX);
    let (answers, answered) = mpsc::channel(READ_AHEAD);
    let (mut incoming, mut outgoing) = connection.halves();
    tokio::select! {
        biased;
        ended = hear(&mut incoming, wants) => ended,
        ended = say(chunks, &mut outgoing, answered, stop) => ended,
        () = read(chunks, wanted, answers) => Served::Gone,
    }
}

async fn hear<S: AsyncRead>(incoming: &mut Incoming<'_, S>, wants: mpsc::Sender<Wanted>) -> Served {
    loop {
        match incoming.begins().await {
            Ok(true) => {}
            Ok(false) => return Served::Gone,
            Err(error) => return Served::Wire(error),
        }
        let wanted = match incoming.message::<FollowMessage>("request for a chunk").await {
            Ok(FollowMessage::Ask { chunk }) => Wanted::Chunk(chunk),
            Ok(FollowMessage::Resume) => Wanted::Resume,
            Ok(FollowMessage::Done) => return Served::Done,
            Err(error) => return Served::Wire(error),
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = wants.try_send(wanted) {
            let (expected, got) = ("no more requests than may be ahead", "another one");
            return Served::Wire(WireError::Unexpected { expected, got });
        }
    }
}

/// Gets what is wanted, one chunk ahead of what is being sent.
async fn read(
    chunks: &impl ServeChunks,
    mut wanted: mpsc::Receiver<Wanted>,
    answers: mpsc::Sender<(u64, ChunkAnswer)>,
) {
    let mut is_void = false;
    while let Some(wants) = wanted.recv().await {
        match wants {
            Wanted::Resume => is_void = false,
            Wanted::Chunk(_) if is_void => {}
            Wanted::Chunk(chunk) => {
                let answer = chunks.chunk(chunk).await;
                is_void = matches!(answer, ChunkAnswer::Gone(_));
                if answers.send((chunk, answer)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn say<S: AsyncWrite>(
    chunks: &impl ServeChunks,
    outgoing: &mut Outgoing<'_, S>,
    mut answers: mpsc::Receiver<(u64, ChunkAnswer)>,
    stop: &CancellationToken,
) -> Served {
    let mut alive_at = Instant::now() + limits::PACKED_ALIVE_INTERVAL;
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return farewell(outgoing).await,
            () = sleep_until(alive_at) => None,
            Some(next) = answers.recv() => Some(next),
        };
        let (message, ended) = match next {
            None => {
                // Between chunks too: it also says what holds the follower up.
                alive_at = Instant::now() + limits::PACKED_ALIVE_INTERVAL;
                (alive(chunks, false), None)
            }
            Some((chunk, ChunkAnswer::Chunk(bytes))) => {
                let begun = Instant::now();
                if let Some(ended) = pass(chunks, outgoing, bytes.len() as u64, &mut alive_at, stop).await {
                    return ended;
                }
                // Nothing can be said in the middle of a frame.
                let sent = tokio::select! {
                    sent = send(outgoing, &bytes) => sent,
                    () = late(stop) => return Served::Stopped,
                };
                if let Err(error) = sent {
                    return Served::Wire(error);
                }
                chunks.meter().count(bytes.len() as u64);
                chunks.took(chunk, bytes, begun.elapsed());
                continue;
            }
            Some((_, ChunkAnswer::Gone(lo))) => (UpstreamMessage::Gone { lo }, None),
            Some((_, ChunkAnswer::Leave(why))) => (UpstreamMessage::Leave { why }, Some(Served::Left(why))),
            Some((_, ChunkAnswer::Failed(refusal))) => {
                (UpstreamMessage::Failed(refusal.clone()), Some(Served::Failed(refusal)))
            }
        };
        if let Err(error) = tell(outgoing, message).await {
            return Served::Wire(error);
        }
        if let Some(ended) = ended {
            return ended;
        }
    }
}

fn alive(chunks: &impl ServeChunks, is_held_up: bool) -> UpstreamMessage {
    let (hi, full) = chunks.alive();
    UpstreamMessage::Alive { hi, full: full || is_held_up, wave: chunks.wave() }
}

/// Waits until so many bytes may be sent, and says meanwhile that this is what holds the follower up: another relay may have
/// more. Returns how the serving ended, if it did.
async fn pass<S: AsyncWrite>(
    chunks: &impl ServeChunks,
    outgoing: &mut Outgoing<'_, S>,
    bytes: u64,
    alive_at: &mut Instant,
    stop: &CancellationToken,
) -> Option<Served> {
    if !chunks.meter().is_limited() {
        return None;
    }
    let mut passing = std::pin::pin!(chunks.meter().pass(bytes));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Some(farewell(outgoing).await),
            () = &mut passing => return None,
            () = sleep_until(*alive_at) => {
                *alive_at = Instant::now() + limits::PACKED_ALIVE_INTERVAL;
                if let Err(error) = tell(outgoing, alive(chunks, true)).await {
                    return Some(Served::Wire(error));
                }
            }
        }
    }
}

async fn farewell<S: AsyncWrite>(outgoing: &mut Outgoing<'_, S>) -> Served {
    let telling = tell(outgoing, UpstreamMessage::Leave { why: LeaveReason::Ending });
    // Whether or not it still listens.
    let _ = timeout(limits::FAREWELL_DEADLINE, telling).await;
    Served::Stopped
}

/// The time for a farewell is over.
async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(limits::FAREWELL_DEADLINE).await;
}

async fn tell<S: AsyncWrite>(
    outgoing: &mut Outgoing<'_, S>,
    message: UpstreamMessage,
) -> Result<(), WireError> {
    outgoing.message(&message).await?;
    outgoing.flush().await
}

async fn send<S: AsyncWrite>(outgoing: &mut Outgoing<'_, S>, bytes: &[u8]) -> Result<(), WireError> {
    outgoing.data(bytes).await?;
    outgoing.flush().await
}

/// Chunks that are read before they are sent.
const READ_AHEAD: usize = 1;

#[cfg(test)]
mod tests;
