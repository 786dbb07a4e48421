//! A byte stream whose first bytes are remembered: they say what the other side speaks, when it is not TLS.
//!
//! A program of version 1 of the protocol sends its preamble at once, in clear text. It is answered with the preamble of
//! this version, so that its user is told both numbers; nothing else is ever sent in clear text.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use lanspread_proto::WireError;
use lanspread_proto::handshake::{MAGIC, PREAMBLE_BYTES};
use lanspread_proto::message::PROTOCOL_VERSION;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The first byte of every connection in TLS.
const TLS_HANDSHAKE: u8 = 0x16;
/// The first byte of a connection that a server of TLS refuses.
const TLS_ALERT: u8 = 0x15;

/// A byte stream, and the first bytes that were read from it.
#[derive(Debug)]
pub(crate) struct FirstBytes<S> {
    inner: S,
    bytes: [u8; PREAMBLE_BYTES],
    filled: usize,
    /// How many of them were looked at and are still to be read.
    unread: usize,
}

/// What the other side speaks, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Tls,
    /// An older version, in clear text. The number may not have arrived yet.
    ClearText(Option<u16>),
    Unknown,
}

impl<S> FirstBytes<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, bytes: [0; PREAMBLE_BYTES], filled: 0, unread: 0 }
    }

    /// What the bytes that have arrived say.
    pub(crate) fn speaks(&self) -> Option<Speaks> {
        let here = &self.bytes[..self.filled];
        match here.first()? {
            &(TLS_HANDSHAKE | TLS_ALERT) => return Some(Speaks::Tls),
            _ if here.len() <= MAGIC.len() => MAGIC.starts_with(here),
            _ => here.starts_with(MAGIC),
        }
        .then(|| {
            let version = here.get(MAGIC.len()..).and_then(|rest| rest.try_into().ok());
            Speaks::ClearText(version.map(u16::from_be_bytes))
        })
        .or(Some(Speaks::Unknown))
    }
}

impl<S: AsyncRead + Unpin> FirstBytes<S> {
    /// Waits for the first byte, which is still to be read afterwards.
    pub(crate) async fn look(&mut self) -> Result<Speaks, WireError> {
        if self.filled == 0 {
            self.filled = self.inner.read(&mut self.bytes[..1]).await?;
            self.unread = self.filled;
        }
        self.speaks().ok_or(WireError::Closed)
    }

    /// Reads on until it is certain which version the other side speaks, and makes an error of it.
    pub(crate) async fn version_in_clear_text(&mut self) -> WireError {
        loop {
            match self.speaks() {
                Some(Speaks::ClearText(Some(theirs))) => {
                    return WireError::Version { ours: PROTOCOL_VERSION, theirs };
                }
                Some(Speaks::ClearText(None)) => {}
                _ => return WireError::NotLanspread,
            }
            match self.inner.read(&mut self.bytes[self.filled..]).await {
                Ok(0) => return WireError::NotLanspread,
                Ok(count) => self.filled += count,
                Err(error) => return error.into(),
            }
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread > 0 {
            let count = this.unread.min(buffer.remaining());
            let from = this.filled - this.unread;
            buffer.put_slice(&this.bytes[from..from + count]);
            this.unread -= count;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(context, buffer);
        if this.filled < PREAMBLE_BYTES {
            let read = &buffer.filled()[before..];
            let count = read.len().min(PREAMBLE_BYTES - this.filled);
            this.bytes[this.filled..this.filled + count].copy_from_slice(&read[..count]);
            this.filled += count;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
