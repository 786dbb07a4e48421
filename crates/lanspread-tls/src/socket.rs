//! The byte stream inside TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use lanspread_types::limits::TLS_SEND_BUFFER_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::first_bytes::FirstBytes;

/// The byte stream inside TLS. A read takes everything that has arrived and fits; a write may leave bytes behind that a
/// flush sends.
#[derive(Debug)]
pub struct TlsSocket<S>(TlsStream<FirstBytes<S>>);

impl<S> TlsSocket<S> {
    pub(crate) fn new(mut stream: TlsStream<FirstBytes<S>>) -> Self {
        let limit = Some(TLS_SEND_BUFFER_BYTES);
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(limit),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(limit),
        }
        Self(stream)
    }

    /// What TLS knows about this connection.
    pub fn session(&self) -> &rustls::CommonState {
        self.0.get_ref().1
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsSocket<S> {
    /// The end is the end, whether it is announced inside TLS or not: what may end where is said by the protocol inside,
    /// whose frames and lists say how long they are.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            polled => polled,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
