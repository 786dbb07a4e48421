//! The bulk part of a download: what follows [`crate::message::Reply::DownloadReady`] on its connection.
//!
//! The receiver requests chunks ahead of what has arrived, and the source answers in the same order. A request names a
//! file by its place in the list that the source has just sent, so nothing else can be requested. Both directions are
//! used at the same time, and data bypasses our own buffers: it is copied once from the socket and once to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lanspread_types::checksum::Checksum;
use lanspread_types::limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadHalf,
    WriteHalf,
};

use crate::error::{WireError, within};
use crate::frame::{Frame, HEADER_BYTES};
use crate::refusal::Refusal;
use crate::{codec, frame};

/// Requests bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// Place of the file in the source's list.
    pub file: u32,
    /// Place of the first byte in the file.
    pub offset: u64,
    /// Number of bytes: 1 to [`limits::CHUNK_BYTES`].
    pub length: u64,
}

/// Control frames that a source sends in a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a variant's text names its fields")]
pub enum ChunkMessage {
    /// The chunk is complete; `checksum` is the CRC-32 of its bytes as the source read them.
    End { checksum: Checksum },
    /// The source cannot continue.
    Failed(Refusal),
    /// The source is alive but has read nothing from its disk yet.
    KeepAlive,
}

/// What arrives while chunks are sent: raw bytes, and control messages between them.
#[derive(Debug)]
pub enum Received<M> {
    /// The next bytes of the chunk that is due.
    Data(BytesMut),
    /// Its end, a failure, or a sign of life.
    Control(M),
}

/// What a source sends in a download.
pub type ChunkItem = Received<ChunkMessage>;

/// Buffers that wait for their next use. Reused memory is neither requested from the system nor cleared again.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<BytesMut>>);

impl Buffers {
    /// Takes a buffer, which may still hold its old content.
    pub fn take(&self) -> BytesMut {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for its next use.
    pub fn give(&self, buffer: BytesMut) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < limits::CHUNK_BUFFERS_MAX {
            waiting.push(buffer);
        }
    }

    /// The content of a buffer. The buffer comes back when the last reference to its content is dropped.
    pub fn lend(self: &Arc<Self>, buffer: BytesMut) -> Bytes {
        Bytes::from_owner(Lent { buffer, owner: Arc::clone(self) })
    }
}

struct Lent {
    buffer: BytesMut,
    owner: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.owner.give(std::mem::take(&mut self.buffer));
    }
}

/// The incoming half of a connection.
pub struct Incoming<'c, S> {
    reader: &'c mut BufReader<ReadHalf<S>>,
    idle_timeout: Duration,
}

/// The outgoing half of a connection.
pub struct Outgoing<'c, S> {
    writer: &'c mut BufWriter<WriteHalf<S>>,
}

impl<'c, S: AsyncRead> Incoming<'c, S> {
    pub(super) fn new(reader: &'c mut BufReader<ReadHalf<S>>, idle_timeout: Duration) -> Self {
        Self { reader, idle_timeout }
    }

    /// Waits until something arrives; returns false if the other side closed instead. Cancel safe: nothing is lost if
    /// it is dropped early.
    pub async fn begins(&mut self) -> Result<bool, WireError> {
        Ok(!self.reader.fill_buf().await?.is_empty())
    }

    /// Receives a control message that has begun to arrive, within [`limits::FRAME_DEADLINE`].
    pub async fn message<M: DeserializeOwned>(&mut self, what: &'static str) -> Result<M, WireError> {
        let whole = async {
            let header = frame::read_header(self.reader).await?.ok_or(WireError::Closed)?;
            match frame::read_payload(self.reader, header, self.idle_timeout).await? {
                Frame::Control(payload) => codec::decode(&payload),
                Frame::Data(_) => Err(WireError::Unexpected { expected: what, got: "data" }),
            }
        };
        within(limits::FRAME_DEADLINE, "rest of a frame", whole).await
    }

    /// Receives the next item of a chunk; data goes into `buffer`. The item must begin within the idle timeout of the connection, and then end
    /// within [`limits::FRAME_DEADLINE`].
    pub async fn item<M: DeserializeOwned>(
        &mut self,
        mut buffer: BytesMut,
    ) -> Result<Received<M>, WireError> {
        let mut header = [0; HEADER_BYTES];
        let idle_timeout = self.idle_timeout;
        let first = async { self.read(&mut header).await };
        let mut filled = within(idle_timeout, "frame", first).await?;
        let rest = async {
            while filled < HEADER_BYTES {
                filled += self.read(&mut header[filled..]).await?;
            }
            let header = frame::parse_header(header)?;
            buffer.clear();
            buffer.reserve(header.length());
            self.payload(&mut buffer, header.length()).await?;
            Ok(if header.is_control() {
                Received::Control(codec::decode(&buffer)?)
            } else {
                Received::Data(buffer)
            })
        };
        within(limits::FRAME_DEADLINE, "rest of a frame", rest).await
    }

    /// Bypasses our buffer once it is empty: a small read must not fill it with bulk data.
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, WireError> {
        let read = if self.reader.buffer().is_empty() {
            self.reader.get_mut().read(into).await?
        } else {
            self.reader.read(into).await?
        };
        if read == 0 { Err(WireError::Closed) } else { Ok(read) }
    }

    async fn payload(&mut self, payload: &mut BytesMut, length: usize) -> Result<(), WireError> {
        while payload.len() < length {
            let missing = length - payload.len();
            let here = self.reader.buffer().len().min(missing);
            if here > 0 {
                payload.extend_from_slice(&self.reader.buffer()[..here]);
                self.reader.consume(here);
                continue;
            }
            let mut limited = self.reader.get_mut().take(missing as u64);
            let next = async { Ok(limited.read_buf(payload).await?) };
            if within(self.idle_timeout, "next byte of a frame", next).await? == 0 {
                return Err(WireError::Closed);
            }
        }
        Ok(())
    }
}

impl<'c, S: AsyncWrite> Outgoing<'c, S> {
    pub(super) fn new(writer: &'c mut BufWriter<WriteHalf<S>>) -> Self {
        Self { writer }
    }

    /// Writes a control message without flushing.
    pub async fn message(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let frame = Frame::Control(codec::encode(message)?.into());
        let write = frame::write_frame(self.writer, &frame);
        within(limits::FRAME_WRITE_DEADLINE, "room for a message", write).await
    }

    /// Writes a frame of data without flushing.
    pub async fn data(&mut self, data: &[u8]) -> Result<(), WireError> {
        let write = frame::write_data(self.writer, data);
        within(limits::FRAME_WRITE_DEADLINE, "room for a frame", write).await
    }

    /// Sends what was written.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        let flush = async { Ok(self.writer.flush().await?) };
        within(limits::FRAME_WRITE_DEADLINE, "room for a frame", flush).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use tokio::io::duplex;

    use super::*;
    use crate::connection::Connection;
    use crate::handshake::{Channel, Introduction};
    use crate::message::{Hello, RefusalCode};

    /// A buffer is used again as soon as nothing refers to its content, and not before.
    #[test]
    fn a_lent_buffer_comes_back_after_its_last_reader() {
        let buffers = Arc::new(Buffers::default());
        let buffer = BytesMut::from(&b"content"[..]);
        let place = buffer.as_ptr();
        let content = buffers.lend(buffer);
        let end = content.slice(4..);
        drop(content);
        assert_eq!(buffers.take().capacity(), 0, "it was given away while it is read");
        assert_eq!(end, &b"ent"[..]);
        drop(end);
        assert_eq!(buffers.take().as_ptr(), place);
    }

    /// Golden bytes: a change of these is a change of the protocol.
    #[test]
    fn messages_have_fixed_bytes() {
        let request = ChunkRequest { file: 1, offset: 300, length: 2 };
        assert_eq!(codec::encode(&request).unwrap(), [1, 251, 44, 1, 2]);
        assert_eq!(
            codec::encode(&ChunkMessage::End { checksum: Checksum::from_crc32(0x0102_0304) }).unwrap(),
            [0, 252, 4, 3, 2, 1]
        );
        let failed = ChunkMessage::Failed(Refusal::new(RefusalCode::Changed, "x"));
        assert_eq!(codec::encode(&failed).unwrap(), [1, 9, 1, b'x']);
        assert_eq!(codec::encode(&ChunkMessage::KeepAlive).unwrap(), [2]);
    }

    /// Items arrive as they were sent, whatever the sizes, the read-ahead and the cuts of the pipe.
    #[tokio::test]
    async fn items_arrive_as_they_were_sent() {
        for pipe in [128, 1000, 64 * 1024, 1024 * 1024] {
            let (left, right) = duplex(pipe);
            let hello = Hello { name: "x".parse().unwrap(), listen_port: None, instance: 0, catalog: None };
            let ours = Introduction::open(hello);
            let (dialled, answered) = Channel::of_pipe([1; 32], [2; 32]);
            let left = Connection::open(left, &dialled, &ours);
            let (left, right) = tokio::join!(left, Connection::open(right, &answered, &ours));
            let (mut left, mut right) = (left.unwrap(), right.unwrap());
            let sizes = [1, 5, 64 * 1024, 64 * 1024 + 1, 3];
            let content = |size: usize| vec![u8::try_from(size % 251).unwrap(); size];
            let sending = async {
                let (_, mut outgoing) = left.halves();
                for size in sizes {
                    outgoing.data(&content(size)).await.unwrap();
                    outgoing.message(&ChunkMessage::End { checksum: Checksum::from_crc32(7) }).await.unwrap();
                }
                outgoing.flush().await.unwrap();
            };
            let receiving = async {
                let (mut incoming, _) = right.halves();
                let mut buffer = BytesMut::new();
                for size in sizes {
                    match incoming.item(buffer).await.unwrap() {
                        ChunkItem::Data(data) => {
                            assert_eq!(data.chunk(), content(size));
                            buffer = data;
                        }
                        other @ ChunkItem::Control(_) => panic!("{other:?}"),
                    }
                    match incoming.item(BytesMut::new()).await.unwrap() {
                        ChunkItem::Control(ChunkMessage::End { checksum }) => {
                            assert_eq!(checksum, Checksum::from_crc32(7));
                        }
                        other => panic!("{other:?}"),
                    }
                }
            };
            tokio::join!(sending, receiving);
        }
    }
}
