//! One connection: its handshake, then messages with deadlines, over any `AsyncRead + AsyncWrite`.

use std::time::Duration;

use bytes::BufMut;
use lanspread_types::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadHalf,
    WriteHalf,
};
use tokio::time::{Instant, timeout_at};

use crate::chunk::{Incoming, Outgoing};
use crate::error::{WireError, within};
use crate::frame::Frame;
use crate::inflow::Inflow;
use crate::message::{Hello, PROTOCOL_VERSION, StreamItem, StreamMessage};
use crate::{codec, frame};

const MAGIC: &[u8; 8] = b"LANSPRD\n";
/// Size of the buffers that gather small frames and read ahead; bulk data bypasses them.
const BUFFER_BYTES: usize = 64 * 1024;

/// A connection on which both sides have introduced themselves.
pub struct Connection<S> {
    reader: BufReader<ReadHalf<S>>,
    writer: BufWriter<WriteHalf<S>>,
    /// How long the other side may send no byte of an item.
    idle_timeout: Duration,
    /// The hello of the other side.
    pub theirs: Hello,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Exchanges preambles and hellos within [`limits::HELLO_DEADLINE`]. Both sides send first, so neither waits for
    /// the other.
    pub async fn open(stream: S, ours: &Hello) -> Result<Self, WireError> {
        let exchange = async {
            let (reader, writer) = tokio::io::split(stream);
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
            let mut writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
            writer.write_all(MAGIC).await?;
            writer.write_u16(PROTOCOL_VERSION).await?;
            frame::write_frame(&mut writer, &Frame::Control(codec::encode(ours)?.into())).await?;
            writer.flush().await?;
            let theirs = read_hello(&mut reader).await?;
            Ok(Self { reader, writer, idle_timeout: limits::STREAM_IDLE_DEADLINE, theirs })
        };
        within(limits::HELLO_DEADLINE, "hello", exchange).await
    }

    /// Sends one control message.
    pub async fn send(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let frame = Frame::Control(codec::encode(message)?.into());
        let write = async {
            frame::write_frame(&mut self.writer, &frame).await?;
            Ok(self.writer.flush().await?)
        };
        within(limits::FRAME_WRITE_DEADLINE, "room for a message", write).await
    }

    /// Writes one item of a stream without flushing, so that small ones travel together.
    pub async fn write_item(&mut self, item: StreamItem) -> Result<(), WireError> {
        let frame = match item {
            StreamItem::Control(message) => Frame::Control(codec::encode(&message)?.into()),
            StreamItem::Data(bytes) => Frame::Data(bytes),
        };
        let write = frame::write_frame(&mut self.writer, &frame);
        within(limits::FRAME_WRITE_DEADLINE, "room for a frame", write).await
    }

    /// Sends what was written.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        let flush = async { Ok(self.writer.flush().await?) };
        within(limits::FRAME_WRITE_DEADLINE, "room for a frame", flush).await
    }

    /// Writes the beginning of `bytes`, which are whole frames or the rest of one, and returns how many were written: at
    /// least one. They must not wait for longer than until `deadline`. Cancel safe: nothing is written if it is dropped
    /// early.
    pub async fn write_some(&mut self, bytes: &[u8], deadline: Instant) -> Result<usize, WireError> {
        let write = async {
            if !self.writer.buffer().is_empty() {
                self.writer.flush().await?;
            }
            // Many frames at once gain nothing from another buffer.
            match self.writer.get_mut().write(bytes).await? {
                0 => Err(WireError::Closed),
                count => Ok(count),
            }
        };
        let after = limits::FRAME_WRITE_DEADLINE;
        let timeout = WireError::Timeout { what: "room for a frame", after };
        timeout_at(deadline, write).await.unwrap_or(Err(timeout))
    }

    /// Reads what has arrived of a stream behind what `buffer` holds, at least one byte. A frame must begin within the idle
    /// timeout, its bytes must not pause for longer than that, and one deadline holds for all of them. Cancel safe: nothing
    /// is lost if it is dropped early.
    pub async fn read_inflow(&mut self, inflow: &mut Inflow, buffer: &mut Vec<u8>) -> Result<(), WireError> {
        if buffer.capacity() < limits::STREAM_BATCH_BYTES {
            buffer.reserve_exact(limits::STREAM_BATCH_BYTES - buffer.len());
        }
        let room = limits::STREAM_BATCH_BYTES - buffer.len();
        let here = self.reader.buffer();
        if !here.is_empty() {
            let count = here.len().min(room);
            buffer.extend_from_slice(&here[..count]);
            self.reader.consume(count);
            inflow.arrived(Instant::now());
            return Ok(());
        }
        let (what, after, deadline) = inflow.patience(Instant::now(), self.idle_timeout);
        let mut into = (&mut *buffer).limit(room);
        let read = self.reader.get_mut().read_buf(&mut into);
        let read = timeout_at(deadline, read).await.map_err(|_| WireError::Timeout { what, after })?;
        if read? == 0 {
            return Err(WireError::Closed);
        }
        inflow.arrived(Instant::now());
        Ok(())
    }

    /// Receives one control message, which must begin within `idle`; `None` if the other side closed between two
    /// messages.
    pub async fn receive<M: DeserializeOwned>(
        &mut self,
        what: &'static str,
        idle: Duration,
    ) -> Result<Option<M>, WireError> {
        match self.frame(what, idle).await? {
            None => Ok(None),
            Some(Frame::Control(payload)) => codec::decode(&payload).map(Some),
            Some(Frame::Data(_)) => Err(WireError::Unexpected { expected: what, got: "data" }),
        }
    }

    /// Sets how long the other side may send no byte of an item, [`limits::STREAM_IDLE_DEADLINE`] at first.
    pub fn set_idle_timeout(&mut self, idle_timeout: Duration) {
        self.idle_timeout = idle_timeout;
    }

    /// Receives the next item of a stream, which must begin within the idle timeout.
    pub async fn receive_item(&mut self) -> Result<StreamItem, WireError> {
        match self.frame("frame", self.idle_timeout).await? {
            None => Err(WireError::Closed),
            Some(Frame::Control(payload)) => {
                Ok(StreamItem::Control(codec::decode::<StreamMessage>(&payload)?))
            }
            Some(Frame::Data(bytes)) => Ok(StreamItem::Data(bytes)),
        }
    }

    /// Splits the connection, for a download, in which both sides send at the same time.
    pub fn halves(&mut self) -> (Incoming<'_, S>, Outgoing<'_, S>) {
        (Incoming::new(&mut self.reader, self.idle_timeout), Outgoing::new(&mut self.writer))
    }

    /// Waits until the other side closes or sends something, which it must not do while it receives a stream.
    /// Cancel safe: nothing is lost if it is dropped early.
    pub async fn gone(&mut self) {
        // Bytes, the end and a broken connection all mean the same.
        let _ = self.reader.fill_buf().await;
    }

    /// Receives one frame. It must begin within `idle`; then one deadline holds for the whole frame, not for each byte.
    async fn frame(&mut self, what: &'static str, idle: Duration) -> Result<Option<Frame>, WireError> {
        let begins = async { Ok(self.reader.fill_buf().await?.is_empty()) };
        if within(idle, what, begins).await? {
            return Ok(None);
        }
        let whole = async {
            match frame::read_header(&mut self.reader).await? {
                Some(header) => {
                    frame::read_payload(&mut self.reader, header, self.idle_timeout).await.map(Some)
                }
                None => Ok(None),
            }
        };
        within(limits::FRAME_DEADLINE, "rest of a frame", whole).await
    }
}

async fn read_hello(reader: &mut (impl AsyncRead + Unpin)) -> Result<Hello, WireError> {
    let mut magic = [0; MAGIC.len()];
    let mut filled = 0;
    while filled < magic.len() {
        match reader.read(&mut magic[filled..]).await? {
            0 => return Err(WireError::Closed),
            count => filled += count,
        }
        // Checked after each read, so that a short greeting of another protocol is recognised immediately.
        if !MAGIC.starts_with(&magic[..filled]) {
            return Err(WireError::NotLanspread);
        }
    }
    let theirs = reader.read_u16().await.map_err(|_| WireError::Closed)?;
    if theirs != PROTOCOL_VERSION {
        return Err(WireError::Version { ours: PROTOCOL_VERSION, theirs });
    }
    let header = frame::read_header(reader).await?.ok_or(WireError::Closed)?;
    match frame::read_payload(reader, header, limits::STREAM_IDLE_DEADLINE).await? {
        Frame::Control(payload) => codec::decode(&payload),
        Frame::Data(_) => Err(WireError::Unexpected { expected: "hello", got: "data" }),
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::ids::PeerId;
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::message::Request;

    fn hello(name: &str) -> Hello {
        Hello {
            peer: PeerId::random().unwrap(),
            name: name.parse().unwrap(),
            listen_port: None,
            instance: 0,
            catalog: None,
        }
    }

    async fn pair() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
        let (left, right) = duplex(64);
        let (one, other) = (hello("one"), hello("other"));
        let (left, right) = tokio::join!(Connection::open(left, &one), Connection::open(right, &other));
        (left.unwrap(), right.unwrap())
    }

    #[tokio::test]
    async fn each_side_learns_who_the_other_is() {
        let (left, right) = pair().await;
        assert_eq!(left.theirs.name.as_str(), "other");
        assert_eq!(right.theirs.name.as_str(), "one");
    }

    #[tokio::test]
    async fn another_version_is_reported_with_both_numbers() {
        let (ours, mut theirs) = duplex(4096);
        theirs.write_all(b"LANSPRD\n\x00\x63").await.unwrap();
        let result = Connection::open(ours, &hello("x")).await;
        assert!(matches!(result, Err(WireError::Version { ours: PROTOCOL_VERSION, theirs: 0x63 })));
    }

    #[tokio::test]
    async fn other_protocols_are_recognised_by_their_first_bytes() {
        for greeting in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"LANX"] {
            let (ours, mut theirs) = duplex(4096);
            theirs.write_all(greeting).await.unwrap();
            let result = Connection::open(ours, &hello("x")).await;
            assert!(matches!(result, Err(WireError::NotLanspread)), "{greeting:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_dripping_end_at_the_deadline() {
        let (ours, mut theirs) = duplex(4096);
        let drip = async {
            for byte in MAGIC {
                theirs.write_all(&[*byte]).await.unwrap();
                tokio::time::advance(Duration::from_secs(2)).await;
            }
            std::future::pending::<()>().await;
        };
        let ours_hello = hello("x");
        tokio::select! {
            () = drip => unreachable!(),
            result = Connection::open(ours, &ours_hello) => {
                assert!(matches!(result, Err(WireError::Timeout { what: "hello", .. })));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_has_one_deadline_for_all_its_bytes() {
        let (mut left, right) = pair().await;
        let (_, mut raw) = tokio::io::split(right.reader.into_inner().unsplit(right.writer.into_inner()));
        raw.write_all(&[0, 0, 0, 200, 0]).await.unwrap();
        let drip = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if raw.write_all(&[0]).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = drip => unreachable!(),
            result = left.receive::<Request>("request", Duration::from_secs(100)) => {
                assert!(matches!(result, Err(WireError::Timeout { what: "rest of a frame", .. })), "{result:?}");
            }
        }
    }

    #[tokio::test]
    async fn closing_between_messages_is_the_end_and_data_is_not_a_message() {
        let (mut left, mut right) = pair().await;
        right.send(&Request::Games { known: None }).await.unwrap();
        assert_eq!(
            left.receive("request", Duration::from_secs(1)).await.unwrap(),
            Some(Request::Games { known: None })
        );
        right.write_item(StreamItem::Data(bytes::Bytes::from_static(b"x"))).await.unwrap();
        right.flush().await.unwrap();
        assert!(left.receive::<Request>("request", Duration::from_secs(1)).await.is_err());
        drop(right);
        assert_eq!(left.receive::<Request>("request", Duration::from_secs(1)).await.unwrap(), None);
    }
}
