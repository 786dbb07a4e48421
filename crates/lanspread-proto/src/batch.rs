//! Many frames of a stream in one buffer, which is written as it is.
//!
//! Invariants: a batch holds whole frames only, at any time. Content is copied once, from where it is borrowed into the
//! batch. A batch that was cleared keeps its memory.

use lanspread_types::limits::{CONTROL_FRAME_BYTES_MAX, DATA_FRAME_BYTES_MAX, STREAM_BATCH_BYTES};

use crate::codec;
use crate::error::WireError;
use crate::frame::{HEADER_BYTES, KIND_CONTROL, KIND_DATA, header, parse_header};
use crate::message::StreamMessage;

// A frame of data cannot outgrow its batch.
const _: () = assert!(STREAM_BATCH_BYTES <= DATA_FRAME_BYTES_MAX);

/// Frames that are sent together.
#[derive(Debug, Default)]
pub struct FrameBatch {
    bytes: Vec<u8>,
    /// Where the header of the last frame is, if that is data and can grow.
    open: Option<usize>,
    content_bytes: u64,
    is_last: bool,
}

impl FrameBatch {
    /// Adds a control message.
    ///
    /// # Errors
    /// If the message does not fit into a frame; the batch is then as it was.
    pub fn control(&mut self, message: &StreamMessage) -> Result<(), WireError> {
        let at = self.bytes.len();
        self.reserve(HEADER_BYTES);
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        let encoded = codec::encode_into(message, &mut self.bytes)
            .and_then(|()| header(KIND_CONTROL, self.bytes.len() - at - HEADER_BYTES));
        match encoded {
            Ok(header) => self.bytes[at..at + HEADER_BYTES].copy_from_slice(&header),
            Err(error) => {
                self.bytes.truncate(at);
                return Err(error);
            }
        }
        self.open = None;
        self.is_last = matches!(message, StreamMessage::Complete);
        Ok(())
    }

    /// Adds content of the open file, as much as there is room for, and returns the rest. What follows content directly
    /// continues its frame.
    ///
    /// # Errors
    /// Never as long as a batch is not longer than a frame may be, which is checked when this is compiled.
    pub fn content<'c>(&mut self, content: &'c [u8]) -> Result<&'c [u8], WireError> {
        let room = self.room();
        let (now, rest) = content.split_at(content.len().min(room));
        if now.is_empty() {
            return Ok(content);
        }
        self.reserve(HEADER_BYTES + now.len());
        let at = *self.open.get_or_insert_with(|| {
            self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
            self.bytes.len() - HEADER_BYTES
        });
        self.bytes.extend_from_slice(now);
        let header = header(KIND_DATA, self.bytes.len() - at - HEADER_BYTES)?;
        self.bytes[at..at + HEADER_BYTES].copy_from_slice(&header);
        self.content_bytes += now.len() as u64;
        Ok(rest)
    }

    /// How much content it can still take.
    fn room(&self) -> usize {
        let header = if self.open.is_some() { 0 } else { HEADER_BYTES };
        (STREAM_BATCH_BYTES + HEADER_BYTES).saturating_sub(self.bytes.len() + header)
    }

    /// The whole buffer at once: it is used again and again, and growing step by step would copy.
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() < self.bytes.len() + more {
            self.bytes.reserve_exact(STREAM_BATCH_BYTES + CONTROL_FRAME_BYTES_MAX + 2 * HEADER_BYTES);
        }
    }

    /// Whether it should be sent before anything else is added.
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of content in it.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Whether its last frame says that the stream is complete.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The frames as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        let Self { bytes, open, content_bytes, is_last } = self;
        bytes.clear();
        (*open, *content_bytes, *is_last) = (None, 0, false);
    }
}

/// How far a batch has been written. Pure.
#[derive(Debug)]
pub struct BatchCursor<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where the frame at `at` begins and ends; both are `at` between two frames.
    frame: std::ops::Range<usize>,
    is_control: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrittenFrames {
    /// Bytes of content.
    pub content_bytes: u64,
    /// Control messages of which the last byte was written.
    pub control_frames: u64,
}

impl<'b> BatchCursor<'b> {
    /// Before the first byte.
    pub fn new(batch: &'b FrameBatch) -> Self {
        Self { bytes: &batch.bytes, at: 0, frame: 0..0, is_control: false }
    }

    /// What is not written yet.
    pub fn rest(&self) -> &'b [u8] {
        &self.bytes[self.at..]
    }

    /// What is missing of the frame of which a part is written.
    pub fn rest_of_frame(&self) -> &'b [u8] {
        &self.bytes[self.at..self.frame.end]
    }

    /// Where in the batch the frame ends that was written to last.
    pub fn frame_end(&self) -> usize {
        self.frame.end
    }

    /// Goes over so many bytes that were written.
    pub fn advance(&mut self, bytes: usize) -> WrittenFrames {
        let target = self.bytes.len().min(self.at + bytes);
        let mut written = WrittenFrames::default();
        while self.at < target {
            if self.at == self.frame.end {
                self.enter_frame();
            }
            let until = target.min(self.frame.end);
            if !self.is_control {
                let content_at = self.frame.start + HEADER_BYTES;
                written.content_bytes += until.saturating_sub(self.at.max(content_at)) as u64;
            } else if until == self.frame.end {
                written.control_frames += 1;
            }
            self.at = until;
        }
        written
    }

    fn enter_frame(&mut self) {
        let header = self.bytes[self.at..].first_chunk().copied().map(parse_header);
        // A batch holds whole frames with valid headers; its end is the end of the last one.
        let end = match header {
            Some(Ok(header)) => {
                self.is_control = header.is_control();
                self.at + HEADER_BYTES + header.length()
            }
            _ => self.bytes.len(),
        };
        self.frame = self.at..end.min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests;
