//! A pipe that can be paused: nothing comes through, and no other machine is told.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::room::CHUNK_BYTES;

/// Whether a machine's network works.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: u32,
    waiting: Vec<Waker>,
}

impl Gate {
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed += 1;
    }

    pub(super) fn open(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = state.closed.saturating_sub(1);
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed > 0
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed == 0 {
            return Poll::Ready(());
        }
        state.waiting.push(context.waker().clone());
        Poll::Pending
    }
}

/// What a machine can send, or receive: one chunk after the other, over all its connections.
#[derive(Debug)]
pub(super) struct Link(Mutex<Line>);

#[derive(Debug)]
struct Line {
    per_chunk: Duration,
    free_at: Option<Instant>,
    lies: bool,
}

impl Link {
    pub(super) fn new(chunk_ms: u64) -> Self {
        Self(Mutex::new(Line { per_chunk: Duration::from_millis(chunk_ms), free_at: None, lies: false }))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slow_down(&self, times: u32) {
        self.line().per_chunk *= times;
    }

    /// Sends other bytes from now on.
    pub(super) fn lie(&self) {
        self.line().lies = true;
    }

    /// When the next chunk will have passed it.
    fn reserve(&self) -> Instant {
        let mut line = self.line();
        let now = Instant::now();
        let sent_at = line.free_at.map_or(now, |free_at| free_at.max(now)) + line.per_chunk;
        line.free_at = Some(sent_at);
        sent_at
    }
}

/// Bytes that one end of a pipe has sent and the other one has not read, in both directions.
#[derive(Debug, Clone, Default)]
pub(super) struct OnTheWay {
    pub(super) here: Arc<AtomicU64>,
    pub(super) there: Arc<AtomicU64>,
}

impl OnTheWay {
    /// The same, seen from the other end.
    pub(super) fn other_end(&self) -> Self {
        Self { here: Arc::clone(&self.there), there: Arc::clone(&self.here) }
    }
}

/// One end of a pipe between two machines.
pub(super) struct Gated {
    stream: DuplexStream,
    gates: [Arc<Gate>; 2],
    /// The uplink of the machine at this end, and the downlink of the one at the other end.
    links: [Arc<Link>; 2],
    on_the_way: OnTheWay,
    /// The chunk that is being sent.
    sending: Option<Pin<Box<Sleep>>>,
}

impl Gated {
    pub(super) fn new(
        stream: DuplexStream,
        gates: [Arc<Gate>; 2],
        links: [Arc<Link>; 2],
        on_the_way: OnTheWay,
    ) -> Self {
        Self { stream, gates, links, on_the_way, sending: None }
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        if let Ok(count) = written {
            self.on_the_way.there.fetch_add(count as u64, Ordering::Relaxed);
        }
        Poll::Ready(written)
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        for gate in &self.gates {
            if gate.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_open(context));
        let before = buffer.filled().len();
        let read = std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.on_the_way.here.fetch_sub((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(context));
        // Everything else is small.
        if bytes.len() < CHUNK_BYTES {
            return self.poll_send(context, bytes);
        }
        let [uplink, downlink] = self.links.clone();
        let sending = self.sending.get_or_insert_with(|| {
            // Bytes pass the one while others pass the other.
            Box::pin(sleep_until(uplink.reserve().max(downlink.reserve())))
        });
        std::task::ready!(sending.as_mut().poll(context));
        let mut bytes = bytes.to_vec();
        if uplink.line().lies {
            bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
        }
        let written = std::task::ready!(self.poll_send(context, &bytes));
        self.sending = None;
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
