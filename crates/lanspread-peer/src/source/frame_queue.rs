//! The frames of a stream between the decoder's thread and the task that writes them to the socket.
//!
//! Frames travel in batches, so that neither side wakes the other for each. Invariants: there are never more than
//! [`limits::STREAM_BATCHES`] batches, whose memory is used again and again; a decoder that is ahead of the socket waits,
//! which is the back-pressure. The batch that is being filled can be taken before it is full.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lanspread_archive::SinkError;
use lanspread_proto::WireError;
use lanspread_proto::batch::FrameBatch;
use lanspread_proto::message::StreamMessage;
use lanspread_types::limits;
use tokio::sync::Notify;

/// A decoder that waits goes on once so many batches are free: then both sides work for longer before one waits again.
const FREE_TO_GO_ON: usize = limits::STREAM_BATCHES / 2;

/// An empty queue.
pub(super) fn frame_queue() -> (FrameSender, FrameReceiver) {
    let state = State {
        free: std::iter::repeat_with(FrameBatch::default).take(limits::STREAM_BATCHES).collect(),
        ..State::default()
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), filled: Notify::new(), freed: Condvar::new() });
    (FrameSender(Arc::clone(&shared)), FrameReceiver(shared))
}

struct Shared {
    state: Mutex<State>,
    /// A batch is full, or no more will come.
    filled: Notify,
    /// Batches are free, or none will be taken any more.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// The batch that is being filled, except while the sender adds to it.
    open: Option<FrameBatch>,
    full: VecDeque<FrameBatch>,
    /// The one that was used last is used first: it may be in the processor's cache.
    free: Vec<FrameBatch>,
    /// Why the sender could not go on.
    failure: Option<WireError>,
    no_more: bool,
    not_wanted: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decoder's end. When it is dropped, what it has added is sent.
pub(super) struct FrameSender(Arc<Shared>);

impl FrameSender {
    /// Adds a message.
    pub(super) fn control(&self, message: &StreamMessage) -> Result<(), SinkError> {
        let mut batch = self.take_open()?;
        let added = batch.control(message);
        self.put_back(batch, added)
    }

    /// Adds content of the open file, and waits while there is no room for it.
    pub(super) fn content(&self, mut content: &[u8]) -> Result<(), SinkError> {
        while !content.is_empty() {
            let mut batch = self.take_open()?;
            let added = batch.content(content).map(|rest| content = rest);
            self.put_back(batch, added)?;
        }
        Ok(())
    }

    fn take_open(&self) -> Result<FrameBatch, SinkError> {
        let mut state = self.0.lock();
        if state.open.is_none() && state.free.is_empty() {
            let waits = |state: &mut State| !state.not_wanted && state.free.len() < FREE_TO_GO_ON;
            state = self.0.freed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        }
        if state.not_wanted {
            return Err(SinkError::Closed);
        }
        state.open.take().or_else(|| state.free.pop()).ok_or(SinkError::Closed)
    }

    fn put_back(&self, batch: FrameBatch, added: Result<(), WireError>) -> Result<(), SinkError> {
        let mut state = self.0.lock();
        if batch.is_full() {
            state.full.push_back(batch);
            self.0.filled.notify_one();
        } else {
            state.open = Some(batch);
        }
        added.map_err(|error| {
            state.failure = Some(error);
            SinkError::Closed
        })
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let open = state.open.take().filter(|open| !open.is_empty());
        state.full.extend(open);
        state.no_more = true;
        self.0.filled.notify_one();
    }
}

/// The socket's end. When it is dropped, the sender's next call fails.
pub(super) struct FrameReceiver(Arc<Shared>);

impl FrameReceiver {
    /// The next full batch, or the last one; `None` if there are no more. Cancel safe.
    pub(super) async fn next(&self) -> Result<Option<FrameBatch>, WireError> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(batch) = state.full.pop_front() {
                    return Ok(Some(batch));
                }
                if state.no_more {
                    return state.failure.take().map_or(Ok(None), Err);
                }
            }
            self.0.filled.notified().await;
        }
    }

    /// What the sender has added to a batch that is not full yet, if there are no full ones.
    pub(super) fn take_unfilled(&self) -> Option<FrameBatch> {
        let mut state = self.0.lock();
        if !state.full.is_empty() {
            return None;
        }
        state.open.take_if(|open| !open.is_empty())
    }

    /// Gives a batch back that was sent.
    pub(super) fn give_back(&self, mut batch: FrameBatch) {
        batch.clear();
        let mut state = self.0.lock();
        state.free.push(batch);
        if state.free.len() >= FREE_TO_GO_ON {
            self.0.freed.notify_one();
        }
    }
}

impl Drop for FrameReceiver {
    fn drop(&mut self) {
        self.0.lock().not_wanted = true;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
