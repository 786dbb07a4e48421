//! The window of one packed stream: verified chunks in memory, for the decoder and for a follower.
//!
//! What stays is decided by [`Ring`]. Here is who waits: the decoder on its thread, followers and the loop that asks for
//! chunks in tasks. Closing a window wakes all of them.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lanspread_types::ids::PeerId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::packed::ring::{HasFollower, HeldChunk, Ring, Session};

/// A window.
#[derive(Debug)]
pub(crate) struct PackedWindow {
    state: Mutex<State>,
    /// Counts changes, for tasks that wait.
    changes: watch::Sender<u64>,
    /// For the thread of the decoder.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    is_closed: bool,
    /// Since when the decoder waits for a chunk.
    starves_since: Option<Instant>,
    /// For how long it has waited in all.
    starved: Duration,
}

/// What a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WindowChunk {
    Here(Bytes),
    /// It is no longer here; the oldest one has this number.
    Gone(u64),
    /// The window was closed, or the follower replaced.
    Ended {
        replaced: bool,
    },
}

impl PackedWindow {
    /// A window with room for `capacity` of `total` chunks.
    pub(crate) fn new(capacity: u64, total: u64) -> Self {
        let state = State {
            ring: Ring::new(capacity, total),
            is_closed: false,
            starves_since: None,
            starved: Duration::ZERO,
        };
        Self { state: Mutex::new(state), changes: watch::Sender::new(0), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the ring.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Ring) -> T) -> T {
        look(&self.state().ring)
    }

    /// Changes the ring, and wakes the tasks and the thread that wait for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Ring) -> T) -> T {
        let changed = change(&mut self.state().ring);
        self.wake();
        changed
    }

    /// Chunks before this one may be asked for.
    pub(crate) fn horizon(&self, now: Instant) -> u64 {
        self.state().ring.horizon(now)
    }

    /// Counts a chunk as asked for.
    pub(crate) fn ask(&self, chunk: u64) {
        self.state().ring.ask(chunk);
    }

    fn wake(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
        self.changed.notify_all();
    }

    /// Hears of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends the stream: nothing more is decoded or passed on.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// For how long the decoder has waited for chunks.
    pub(crate) fn starved(&self, now: Instant) -> Duration {
        let state = self.state();
        state.starved
            + state.starves_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The bytes of a chunk for the decoder, which needs none before it any more. Blocks until it is here.
    ///
    /// # Errors
    /// The window was closed, or the decoder went back.
    pub(crate) fn read(&self, chunk: u64) -> io::Result<Bytes> {
        let mut state = self.state();
        if chunk > state.ring.used() {
            state.ring.use_up_to(chunk);
            self.wake();
        }
        loop {
            if state.is_closed {
                state.fed();
                return Err(io::Error::other("the stream ended"));
            }
            match state.ring.get(chunk) {
                HeldChunk::Here(bytes) => {
                    state.fed();
                    return Ok(bytes);
                }
                HeldChunk::Gone(_) => return Err(io::Error::other("a decoder went back in a stream")),
                HeldChunk::NotYet => {
                    state.starves();
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// The same in a task.
    #[cfg(test)]
    pub(crate) async fn take(&self, chunk: u64) -> Option<Bytes> {
        let mut changes = self.changes();
        self.change(|ring| ring.use_up_to(chunk));
        loop {
            changes.borrow_and_update();
            {
                let mut state = self.state();
                if state.is_closed {
                    return None;
                }
                if let HeldChunk::Here(bytes) = state.ring.get(chunk) {
                    state.fed();
                    return Some(bytes);
                }
                state.starves();
            }
            changes.changed().await.ok()?;
        }
    }

    /// The decoder needs nothing more.
    pub(crate) fn use_all(&self) {
        self.change(|ring| ring.use_up_to(u64::MAX));
    }

    /// Whether the decoder needs nothing more.
    pub(crate) fn is_done(&self) -> bool {
        self.look(Ring::is_used)
    }

    /// Begins to feed a follower.
    pub(crate) fn begin(
        &self,
        peer: PeerId,
        at: u64,
        instead_of: Option<PeerId>,
    ) -> Result<Session, HasFollower> {
        self.change(|ring| ring.begin(peer, at, instead_of, Instant::now()))
    }

    /// A chunk for a follower, as soon as it is here. Cancel safe.
    pub(crate) async fn chunk_for(&self, session: Session, chunk: u64) -> WindowChunk {
        let mut changes = self.changes();
        self.state().ring.wanted(session, chunk);
        loop {
            changes.borrow_and_update();
            {
                let state = self.state();
                if !state.ring.is_current(session) {
                    return WindowChunk::Ended { replaced: true };
                }
                match state.ring.get(chunk) {
                    HeldChunk::Here(bytes) => return WindowChunk::Here(bytes),
                    HeldChunk::Gone(lo) => return WindowChunk::Gone(lo),
                    HeldChunk::NotYet if state.is_closed => return WindowChunk::Ended { replaced: false },
                    HeldChunk::NotYet => {}
                }
            }
            if changes.changed().await.is_err() {
                return WindowChunk::Ended { replaced: false };
            }
        }
    }
}

impl State {
    fn starves(&mut self) {
        self.starves_since.get_or_insert_with(Instant::now);
    }

    fn fed(&mut self) {
        if let Some(since) = self.starves_since.take() {
            self.starved += since.elapsed();
        }
    }
}
