//! Takes the frames of a stream out of buffers as they fill.
//!
//! Nothing is copied: content is a range of the buffer. A data frame may reach over many buffers, and its content is passed
//! on as it arrives; a message that does is moved to the next buffer. The buffers belong to the caller.

use std::ops::Range;
use std::time::Duration;

use lanspread_types::limits::{CONTROL_FRAME_BYTES_MAX, FRAME_DEADLINE, STREAM_BATCH_BYTES};
use tokio::time::Instant;

use crate::codec;
use crate::error::WireError;
use crate::frame::{HEADER_BYTES, parse_header};
use crate::message::StreamMessage;

// Every message fits into an empty buffer.
const _: () = assert!(CONTROL_FRAME_BYTES_MAX + HEADER_BYTES <= STREAM_BATCH_BYTES);

/// Where a stream is in its frames.
#[derive(Debug, Default)]
pub struct Inflow {
    /// Everything before this place of the buffer was taken.
    at: usize,
    /// Content that is missing of a data frame.
    content_due: usize,
    /// When the last bytes arrived.
    arrived: Option<Instant>,
    /// When the frame began of which only a part has arrived.
    begun: Option<Instant>,
}

/// What a source sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// A message.
    Control(StreamMessage),
    /// Content of the open file: a place in the buffer, never empty.
    Content(Range<usize>),
}

impl Inflow {
    /// Takes the next message or piece of content; `None` if more bytes must arrive first. The buffer must be the same as
    /// before, or longer.
    ///
    /// # Errors
    /// If a frame has no valid header, or a message cannot be decoded.
    pub fn next(&mut self, buffer: &[u8]) -> Result<Option<Taken>, WireError> {
        let taken = self.take(buffer)?;
        if self.content_due == 0 && (taken.is_some() || self.at == buffer.len()) {
            self.begun = None;
        } else if taken.is_none() {
            self.begun = self.begun.or(self.arrived);
        }
        Ok(taken)
    }

    fn take(&mut self, buffer: &[u8]) -> Result<Option<Taken>, WireError> {
        if self.content_due == 0 {
            let Some((header, payload)) = buffer[self.at..].split_first_chunk() else { return Ok(None) };
            let header = parse_header(*header)?;
            if header.is_control() {
                let Some(payload) = payload.get(..header.length()) else { return Ok(None) };
                self.at += HEADER_BYTES + header.length();
                return Ok(Some(Taken::Control(codec::decode(payload)?)));
            }
            self.at += HEADER_BYTES;
            self.content_due = header.length();
        }
        let until = buffer.len().min(self.at + self.content_due);
        let content = self.at..until;
        self.at = until;
        self.content_due -= content.len();
        Ok((!content.is_empty()).then_some(Taken::Content(content)))
    }

    /// Goes on in another buffer: moves there what was not taken.
    pub fn go_on(&mut self, buffer: &[u8], other: &mut Vec<u8>) {
        other.extend_from_slice(&buffer[self.at..]);
        self.at = 0;
    }

    /// Goes on at the beginning of the same buffer, of which nothing that was taken is needed any more.
    pub fn compact(&mut self, buffer: &mut Vec<u8>) {
        buffer.drain(..self.at);
        self.at = 0;
    }

    /// Time in which the caller could not read does not count against the source.
    pub fn excuse(&mut self, waited: Duration) {
        for moment in [&mut self.begun, &mut self.arrived].into_iter().flatten() {
            *moment += waited;
        }
    }

    pub(super) fn arrived(&mut self, now: Instant) {
        self.arrived = Some(now);
    }

    /// For what the next byte is, how long it may take, and until when that is.
    pub(super) fn patience(&self, now: Instant, idle_timeout: Duration) -> (&'static str, Duration, Instant) {
        match self.begun {
            None => ("frame", idle_timeout, now + idle_timeout),
            Some(begun) if begun + FRAME_DEADLINE < now + idle_timeout => {
                ("rest of a frame", FRAME_DEADLINE, begun + FRAME_DEADLINE)
            }
            Some(_) => ("next byte of a frame", idle_timeout, now + idle_timeout),
        }
    }
}

#[cfg(test)]
mod tests;
