//! One connection: its handshake, then messages with deadlines, over any `AsyncRead + AsyncWrite`.

use std::time::Duration;

use bytes::BufMut;
use lanspread_types::ids::PeerId;
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
use crate::handshake::{Channel, Introduction};
use crate::inflow::Inflow;
use crate::message::{Hello, StreamItem, StreamMessage};
use crate::{codec, frame, handshake};

/// Size of the buffers that gather small frames and read ahead; bulk data bypasses them.
const BUFFER_BYTES: usize = 64 * 1024;

/// A connection on which both sides have introduced themselves.
pub struct Connection<S> {
    reader: BufReader<ReadHalf<S>>,
    writer: BufWriter<WriteHalf<S>>,
    /// How long the other side may send no byte of an item.
    idle_timeout: Duration,
    /// The other side; its key was proved.
    pub peer: PeerId,
    /// The hello of the other side.
    pub theirs: Hello,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Exchanges proofs and hellos within [`limits::HELLO_DEADLINE`]. Both sides send first, so neither waits for the
    /// other. A side that finds the other one wrong closes the connection and sends nothing more.
    pub async fn open(stream: S, channel: &Channel, ours: &Introduction) -> Result<Self, WireError> {
        let exchange = async {
            let (reader, writer) = tokio::io::split(stream);
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
            let mut writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
            handshake::prove(&mut reader, &mut writer, channel, ours).await?;
            let peer = channel.peer();
            let theirs = exchange_hellos(&mut reader, &mut writer, &ours.hello, peer).await?;
            Ok(Self { reader, writer, idle_timeout: limits::STREAM_IDLE_DEADLINE, peer, theirs })
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

async fn exchange_hellos(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    ours: &Hello,
    peer: PeerId,
) -> Result<Hello, WireError> {
    let hello = Frame::Control(codec::encode(ours)?.into());
    let sending = async {
        frame::write_frame(writer, &hello).await?;
        Ok::<_, WireError>(writer.flush().await?)
    };
    // A side that does not want to talk has closed by now, so that nothing can be sent or nothing comes.
    let header = match sending.await {
        Ok(()) => frame::read_header(reader).await,
        Err(error) => Err(error),
    };
    let header = match header {
        Ok(Some(header)) => header,
        Ok(None) | Err(WireError::Io(_)) => return Err(WireError::TurnedAway { peer }),
        Err(error) => return Err(error),
    };
    match frame::read_payload(reader, header, limits::STREAM_IDLE_DEADLINE).await? {
        Frame::Control(payload) => codec::decode(&payload),
        Frame::Data(_) => Err(WireError::Unexpected { expected: "hello", got: "data" }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::message::Request;

    fn named(name: &str) -> Introduction {
        Introduction::open(Hello {
            name: name.parse().unwrap(),
            listen_port: None,
            instance: 0,
            catalog: None,
        })
    }

    async fn pair() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
        let (left, right) = duplex(64);
        let (dialled, answered) = Channel::of_pipe([1; 32], [2; 32]);
        let (one, other) = (named("one"), named("other"));
        let left = Connection::open(left, &dialled, &one);
        let (left, right) = tokio::join!(left, Connection::open(right, &answered, &other));
        (left.unwrap(), right.unwrap())
    }

    #[tokio::test]
    async fn each_side_learns_who_the_other_is() {
        let (left, right) = pair().await;
        assert_eq!((left.theirs.name.as_str(), left.peer), ("other", PeerId::of_key(&[2; 32])));
        assert_eq!((right.theirs.name.as_str(), right.peer), ("one", PeerId::of_key(&[1; 32])));
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
        right.send(&Request::News { library: None, activity: None }).await.unwrap();
        assert_eq!(
            left.receive("request", Duration::from_secs(1)).await.unwrap(),
            Some(Request::News { library: None, activity: None })
        );
        right.write_item(StreamItem::Data(bytes::Bytes::from_static(b"x"))).await.unwrap();
        right.flush().await.unwrap();
        assert!(left.receive::<Request>("request", Duration::from_secs(1)).await.is_err());
        drop(right);
        assert_eq!(left.receive::<Request>("request", Duration::from_secs(1)).await.unwrap(), None);
    }
}
