//! Converts between bytes and frames. Lengths are checked before anything is allocated.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use lanspread_types::limits::{CONTROL_FRAME_BYTES_MAX, DATA_FRAME_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{WireError, within};

pub(super) const KIND_CONTROL: u8 = 0;
pub(super) const KIND_DATA: u8 = 1;
pub(super) const HEADER_BYTES: usize = 5;

/// One frame's payload by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// An encoded control message.
    Control(Bytes),
    /// Raw content, never empty.
    Data(Bytes),
}

/// A checked frame header.
#[derive(Debug, Clone, Copy)]
pub struct FrameHeader {
    kind: u8,
    length: usize,
}

/// Reads the next header; `None` if the other side closed between two frames.
pub async fn read_header(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<FrameHeader>, WireError> {
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match reader.read(&mut header[filled..]).await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(WireError::Closed),
            count => filled += count,
        }
    }
    parse_header(header).map(Some)
}

/// Checks a header.
pub(super) fn parse_header(header: [u8; HEADER_BYTES]) -> Result<FrameHeader, WireError> {
    let [a, b, c, d, kind] = header;
    check_header(kind, u32::from_be_bytes([a, b, c, d]))
}

impl FrameHeader {
    pub(super) fn is_control(self) -> bool {
        self.kind == KIND_CONTROL
    }

    /// Bytes of the payload.
    pub(super) fn length(self) -> usize {
        self.length
    }
}

fn check_header(kind: u8, claimed: u32) -> Result<FrameHeader, WireError> {
    let (name, limit) = match kind {
        KIND_CONTROL => ("control", CONTROL_FRAME_BYTES_MAX),
        KIND_DATA => ("data", DATA_FRAME_BYTES_MAX),
        _ => return Err(WireError::Malformed(format!("frame kind {kind}"))),
    };
    let length = usize::try_from(claimed).unwrap_or(usize::MAX);
    if length > limit {
        return Err(WireError::FrameTooLong { kind: name, limit, got: claimed.into() });
    }
    if length == 0 {
        // An endless series of empty frames would cost time without moving a byte.
        return Err(WireError::Malformed(format!("an empty {name} frame")));
    }
    Ok(FrameHeader { kind, length })
}

/// The header of a frame whose payload has this many bytes.
pub(super) fn header(kind: u8, length: usize) -> Result<[u8; HEADER_BYTES], WireError> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    check_header(kind, length)?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok([a, b, c, d, kind])
}

/// Reads the payload that a header announced. A frame of which no byte arrives within `idle_timeout` is given up.
pub async fn read_payload(
    reader: &mut (impl AsyncRead + Unpin),
    header: FrameHeader,
    idle_timeout: Duration,
) -> Result<Frame, WireError> {
    let mut payload = BytesMut::with_capacity(header.length);
    let mut limited = reader.take(header.length as u64);
    while payload.len() < header.length {
        // The caller sets a deadline for the whole frame. A frame of which no byte arrives is given up earlier.
        let next = async { Ok(limited.read_buf(&mut payload).await?) };
        if within(idle_timeout, "next byte of a frame", next).await? == 0 {
            return Err(WireError::Closed);
        }
    }
    let payload = payload.freeze();
    Ok(if header.kind == KIND_CONTROL { Frame::Control(payload) } else { Frame::Data(payload) })
}

/// Writes one frame. The caller flushes.
pub(crate) async fn write_frame(
    writer: &mut (impl AsyncWrite + Unpin),
    frame: &Frame,
) -> Result<(), WireError> {
    match frame {
        Frame::Control(payload) => write_payload(writer, KIND_CONTROL, payload).await,
        Frame::Data(payload) => write_data(writer, payload).await,
    }
}

/// Writes one frame of data. The caller flushes.
pub(super) async fn write_data(
    writer: &mut (impl AsyncWrite + Unpin),
    payload: &[u8],
) -> Result<(), WireError> {
    write_payload(writer, KIND_DATA, payload).await
}

async fn write_payload(
    writer: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    payload: &[u8],
) -> Result<(), WireError> {
    let header = header(kind, payload.len())?;
    // Header and payload in one system call, if the writer can do that.
    Ok(writer.write_all_buf(&mut Buf::chain(&header[..], payload)).await?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    async fn read_all(mut bytes: &[u8]) -> Result<Vec<Frame>, WireError> {
        let mut frames = Vec::new();
        while let Some(header) = read_header(&mut bytes).await? {
            frames.push(read_payload(&mut bytes, header, Duration::from_secs(1)).await?);
        }
        Ok(frames)
    }

    fn raw_header(length: u32, kind: u8) -> Vec<u8> {
        [&length.to_be_bytes()[..], &[kind]].concat()
    }

    /// The lengths around each bound.
    #[test]
    fn lengths_are_checked_before_the_payload_arrives() {
        let limit = u32::try_from(DATA_FRAME_BYTES_MAX).unwrap();
        let control = u32::try_from(CONTROL_FRAME_BYTES_MAX).unwrap();
        for (bytes, refused) in [
            (raw_header(u32::MAX, 1), true),
            (raw_header(limit + 1, 1), true),
            (raw_header(control + 1, 0), true),
            (raw_header(0, 1), true),
            (raw_header(0, 0), true),
            (raw_header(1, 2), true),
            (raw_header(limit, 1), false),
            (raw_header(control, 0), false),
        ] {
            let result = block_on(read_header(&mut &bytes[..]));
            assert_eq!(result.is_err(), refused, "{bytes:?}: {result:?}");
        }
    }

    #[test]
    fn a_cut_inside_a_frame_is_an_error_and_between_frames_is_the_end() {
        let mut bytes = Vec::new();
        block_on(write_frame(&mut bytes, &Frame::Data(Bytes::from_static(b"abc")))).unwrap();
        assert_eq!(block_on(read_all(&bytes)).unwrap().len(), 1);
        for cut in 1..bytes.len() {
            assert!(matches!(block_on(read_all(&bytes[..cut])), Err(WireError::Closed)), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn frames_are_read_as_they_were_written(payloads in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 1..300)), 0..8)
        ) {
            let frames: Vec<Frame> = payloads
                .into_iter()
                .map(|(data, payload)| if data { Frame::Data(payload.into()) } else { Frame::Control(payload.into()) })
                .collect();
            let mut bytes = Vec::new();
            for frame in &frames {
                block_on(write_frame(&mut bytes, frame)).unwrap();
            }
            prop_assert_eq!(block_on(read_all(&bytes)).unwrap(), frames);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = block_on(read_all(&bytes));
        }
    }
}
