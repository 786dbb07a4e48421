//! One upstream that is a peer: asks for chunks ahead, and passes on what it says. The same for sources and relays.
//!
//! Runs over any connection. What is not an answer to a request ends it: a chunk that was not asked for, silence.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::chunk::{Buffers, Incoming, Outgoing, Received};
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Reply, Request};
use lanspread_proto::pace::AlivePace;
use lanspread_proto::packed::{Follow, FollowMessage, UpstreamMessage};
use lanspread_proto::queued::QueuedPace;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::packed::backlog::Backlog;
use crate::packed::feed::{Order, Said};
use crate::packed::plan::Tier;
use crate::packed::upstream_error::UpstreamError;
use crate::traffic::Meter;

/// What was asked and not answered.
#[derive(Debug, Default)]
struct Asked {
    chunks: VecDeque<u64>,
    /// Whether the upstream has said *gone*. Nothing that is asked counts until it is sent *resume*.
    is_void: bool,
}

/// Follows a peer until the orders end. Chunks are in `buffers`, and these are used again when the window has dropped a
/// chunk: memory that comes and goes in such pieces would leave holes that the allocator cannot fill.
pub(crate) async fn follow<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    follow: Follow,
    tier: Tier,
    backlog: Backlog<impl Fn() -> io::Result<u64>>,
    (buffers, meter): (&Arc<Buffers>, Meter),
    mut orders: mpsc::Receiver<Order>,
    says: mpsc::Sender<Said>,
) -> Result<(), UpstreamError> {
    connection.send(&Request::Follow(follow)).await?;
    let mut pace = QueuedPace::default();
    let lo = loop {
        match connection.receive("reply", tier.answers_within()).await?.ok_or(WireError::Closed)? {
            Reply::Following { lo, .. } => break lo,
            Reply::Queued(position) => {
                pace.said(Instant::now())?;
                if says.send(Said::Queued(position)).await.is_err() {
                    return Ok(());
                }
            }
            Reply::Refused(refusal) => return Err(WireError::Refused(refusal).into()),
            _ => return Err(unexpected("following", "another reply").into()),
        }
    };
    if says.send(Said::Opened { lo }).await.is_err() {
        return Ok(());
    }
    connection.set_idle_timeout(limits::PACKED_IDLE);
    let (asked, is_held_up) = (Mutex::new(Asked::default()), AtomicBool::new(false));
    let (mut incoming, mut outgoing) = connection.halves();
    tokio::select! {
        biased;
        ended = ask(&mut outgoing, &mut orders, &asked) => ended,
        ended = take(&mut incoming, &says, &asked, buffers, (&meter, &is_held_up)) => ended,
        ended = watch(backlog, &says, &is_held_up) => ended,
    }
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unexpected(expected: &'static str, got: &'static str) -> WireError {
    WireError::Unexpected { expected, got }
}

async fn ask<S: AsyncWrite>(
    outgoing: &mut Outgoing<'_, S>,
    orders: &mut mpsc::Receiver<Order>,
    asked: &Mutex<Asked>,
) -> Result<(), UpstreamError> {
    while let Some(order) = orders.recv().await {
        let message = match order {
            Order::Ask(chunk) => {
                let mut asked = lock(asked);
                // What was ordered before the loop heard that something is gone.
                if asked.is_void {
                    continue;
                }
                // It must be expected before it can come.
                asked.chunks.push_back(chunk);
                FollowMessage::Ask { chunk }
            }
            Order::Resume => {
                lock(asked).is_void = false;
                FollowMessage::Resume
            }
            Order::Done => FollowMessage::Done,
        };
        outgoing.message(&message).await?;
        outgoing.flush().await?;
    }
    Ok(())
}

async fn take<S: AsyncRead>(
    incoming: &mut Incoming<'_, S>,
    says: &mpsc::Sender<Said>,
    asked: &Mutex<Asked>,
    buffers: &Arc<Buffers>,
    (meter, is_held_up): (&Meter, &AtomicBool),
) -> Result<(), UpstreamError> {
    let mut pace = AlivePace::default();
    loop {
        let said = match incoming.item(buffers.take()).await? {
            Received::Data(bytes) => {
                let chunk = lock(asked).chunks.pop_front();
                let chunk = chunk.ok_or_else(|| unexpected("nothing", "a chunk that was not asked for"))?;
                let length = bytes.len() as u64;
                meter.count(length);
                if meter.is_limited() {
                    is_held_up.store(true, Ordering::Relaxed);
                    meter.pass(length).await;
                    is_held_up.store(false, Ordering::Relaxed);
                }
                Said::Chunk(chunk, buffers.lend(bytes))
            }
            Received::Control(UpstreamMessage::Alive { full, wave, .. }) => {
                pace.said(Instant::now())?;
                Said::Alive { full, wave }
            }
            Received::Control(UpstreamMessage::Gone { lo }) => {
                let mut asked = lock(asked);
                asked.chunks.clear();
                asked.is_void = true;
                Said::Gone { lo }
            }
            Received::Control(UpstreamMessage::Leave { why }) => return Err(UpstreamError::SentAway(why)),
            Received::Control(UpstreamMessage::Failed(refusal)) => {
                return Err(WireError::Refused(refusal).into());
            }
        };
        if says.send(said).await.is_err() {
            return Ok(());
        }
    }
}

/// Says when this receiver begins to be behind what arrives, and when it no longer is.
async fn watch(
    mut backlog: Backlog<impl Fn() -> io::Result<u64>>,
    says: &mpsc::Sender<Said>,
    is_held_up: &AtomicBool,
) -> Result<(), UpstreamError> {
    let mut was_behind = false;
    loop {
        sleep(LOOK_INTERVAL).await;
        // A chunk that is proved at once waits nowhere, except for the limit of this receiver.
        let waits = says.capacity() < says.max_capacity() || is_held_up.load(Ordering::Relaxed);
        let is_behind = backlog.look(waits).map_err(WireError::from)?;
        if is_behind != was_behind && says.send(Said::Behind(is_behind)).await.is_err() {
            return Ok(());
        }
        was_behind = is_behind;
    }
}

/// The time between two looks at what lies unread. Six of the last sixteen decide: less than a second. It is a prime number, so
/// that looks do not fall together with chunks that arrive at a steady pace.
const LOOK_INTERVAL: Duration = Duration::from_millis(97);

#[cfg(test)]
mod tests;
