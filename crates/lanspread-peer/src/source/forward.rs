//! Writes the frames of a stream to the socket: as many at once as wait, and with an eye on the receiver.
//!
//! Every wait is bounded. One deadline holds for each frame, and a receiver that takes too little of many frames loses its
//! place; only whole frames are followed by anything else.

use std::pin::Pin;

use lanspread_proto::WireError;
use lanspread_proto::batch::{BatchCursor, FrameBatch};
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::StreamMessage;
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::frame_queue::FrameReceiver;
use super::pace::Pace;
use super::running::{EarlyEnd, Running};

/// Why the socket's side of a stream stopped before the decoder did.
pub(super) enum Interruption {
    ReceiverGone,
    /// Whole frames were sent until here, so that the receiver can be told.
    MustEnd(EarlyEnd),
    /// The same, but the receiver did not take the rest of a frame, so that nothing can follow.
    CutOff(EarlyEnd, WireError),
    Wire(WireError),
}

/// A stream that is being sent.
pub(super) struct Forwarding<'f, S> {
    connection: &'f mut Connection<S>,
    running: &'f Running<'f>,
    pace: Pace,
    bytes: u64,
    last_sent: Instant,
}

impl<'f, S: AsyncRead + AsyncWrite> Forwarding<'f, S> {
    pub(super) fn begin(connection: &'f mut Connection<S>, running: &'f Running<'f>) -> Self {
        running.sent(0);
        Self { connection, running, pace: Pace::default(), bytes: 0, last_sent: Instant::now() }
    }

    /// Bytes of content that were handed to the socket.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Moves frames from the decoder to the socket until there are no more.
    pub(super) async fn forward(&mut self, queue: &FrameReceiver) -> Result<(), Interruption> {
        let mut look = std::pin::pin!(sleep(limits::STREAM_BATCH_WAIT));
        loop {
            let batch = tokio::select! {
                batch = queue.next() => match batch.map_err(Interruption::Wire)? {
                    Some(batch) => batch,
                    None => return Ok(()),
                },
                () = self.connection.gone() => return Err(Interruption::ReceiverGone),
                end = self.running.must_end() => return Err(Interruption::MustEnd(end)),
                () = &mut look => match self.look(look.as_mut(), queue).await? {
                    Some(batch) => batch,
                    None => continue,
                },
            };
            self.pass(batch.content_bytes()).await?;
            self.running.sent(self.bytes + batch.content_bytes());
            self.write(&batch, limits::RECEIVER_STEP_BYTES_MIN).await?;
            // After the last frame the receiver may close the connection at once, which is not a failure.
            if batch.is_last() {
                return Ok(());
            }
            queue.give_back(batch);
        }
    }

    /// Waits until so many bytes of content may be sent. The receiver hears meanwhile that this source is alive.
    async fn pass(&mut self, bytes: u64) -> Result<(), Interruption> {
        let running = self.running;
        if bytes == 0 || !running.meter().is_limited() {
            return Ok(());
        }
        let mut passing = std::pin::pin!(running.meter().pass(bytes));
        loop {
            tokio::select! {
                biased;
                () = &mut passing => return Ok(()),
                () = self.connection.gone() => return Err(Interruption::ReceiverGone),
                end = running.must_end() => return Err(Interruption::MustEnd(end)),
                () = sleep_until(self.last_sent + limits::KEEP_ALIVE_INTERVAL) => self.say_alive().await?,
            }
        }
    }

    async fn say_alive(&mut self) -> Result<(), Interruption> {
        let mut alive = FrameBatch::default();
        alive.control(&StreamMessage::KeepAlive).map_err(Interruption::Wire)?;
        // It is no work for the receiver.
        self.write(&alive, 0).await
    }

    /// The clock of a stream, which is looked at seldom and not set for each batch. If nothing was sent lately, what the
    /// decoder has added to a batch is due, or else a keep-alive is.
    async fn look(
        &mut self,
        look: Pin<&mut Sleep>,
        queue: &FrameReceiver,
    ) -> Result<Option<FrameBatch>, Interruption> {
        let now = Instant::now();
        let due = self.last_sent + limits::STREAM_BATCH_WAIT;
        look.reset(if due > now { due } else { now + limits::STREAM_BATCH_WAIT });
        if due > now {
            return Ok(None);
        }
        let batch = queue.take_unfilled();
        if batch.is_none() && self.last_sent + limits::KEEP_ALIVE_INTERVAL <= now {
            self.say_alive().await?;
        }
        Ok(batch)
    }

    /// Writes a batch. Each of its messages counts so many bytes for the receiver.
    async fn write(&mut self, batch: &FrameBatch, message_bytes: u64) -> Result<(), Interruption> {
        let mut cursor = BatchCursor::new(batch);
        let mut frame_begun = Instant::now();
        while !cursor.rest().is_empty() {
            let begun = Instant::now();
            let deadline = frame_begun + limits::FRAME_WRITE_DEADLINE;
            let count = tokio::select! {
                count = self.connection.write_some(cursor.rest(), deadline) => count.map_err(Interruption::Wire)?,
                end = self.running.must_end() => return Err(self.leave(&cursor, end).await),
            };
            let frame_before = cursor.frame_end();
            let written = cursor.advance(count);
            if cursor.frame_end() != frame_before {
                frame_begun = Instant::now();
            }
            self.bytes += written.content_bytes;
            self.running.meter().count(written.content_bytes);
            let taken = written.content_bytes + written.control_frames * message_bytes;
            if !self.pace.keeps_up(begun.elapsed(), taken) {
                return Err(self.leave(&cursor, EarlyEnd::ReceiverSlow).await);
            }
        }
        // The end of the batch may still wait inside TLS, for a receiver that takes as much time as it likes.
        let begun = Instant::now();
        tokio::select! {
            flushed = self.connection.flush() => flushed.map_err(Interruption::Wire)?,
            end = self.running.must_end() => return Err(self.leave(&cursor, end).await),
        }
        if !self.pace.keeps_up(begun.elapsed(), 0) {
            return Err(self.leave(&cursor, EarlyEnd::ReceiverSlow).await);
        }
        self.last_sent = Instant::now();
        Ok(())
    }

    /// Ends the frame of which a part was written: only its other half can follow half a frame.
    async fn leave(&mut self, cursor: &BatchCursor<'_>, end: EarlyEnd) -> Interruption {
        let mut rest = cursor.rest_of_frame();
        let ending = async {
            while !rest.is_empty() {
                let deadline = Instant::now() + limits::FAREWELL_DEADLINE;
                rest = &rest[self.connection.write_some(rest, deadline).await?..];
            }
            Ok(())
        };
        match within(limits::FAREWELL_DEADLINE, "room for a frame", ending).await {
            Ok(()) => Interruption::MustEnd(end),
            Err(error) => Interruption::CutOff(end, error),
        }
    }
}

#[cfg(test)]
mod tests;
