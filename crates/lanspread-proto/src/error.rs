//! What can go wrong between two peers.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::message::Refusal;

/// A connection or message that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No connection to any address of the peer.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The other side closed the connection in the middle of a message or stream.
    #[error("the connection was closed too early")]
    Closed,
    /// The other side took too long.
    #[error("no {what} within {} s", after.as_secs())]
    Timeout {
        /// What was awaited.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The other side is not a lanspread peer.
    #[error("this is not a lanspread peer")]
    NotLanspread,
    /// The other side speaks another protocol version.
    #[error("it speaks protocol version {theirs}, this program speaks {ours}; use the same release on both")]
    Version {
        /// Our version.
        ours: u16,
        /// Its version.
        theirs: u16,
    },
    /// Another peer than the expected one answers at this address.
    #[error("another peer answers at this address now")]
    OtherPeer,
    /// The peer at this address is the one that asks.
    #[error("this is the asking peer itself; two peers on one machine need a --state-dir each")]
    SelfConnect,
    /// Others had answered and this one was not waited for any longer.
    #[error("it had not answered when others had")]
    NotAwaited,
    /// A frame beyond the limits.
    #[error("a {kind} frame of {got} bytes; the limit is {limit}")]
    FrameTooLong {
        /// Kind of the frame.
        kind: &'static str,
        /// The bound.
        limit: usize,
        /// The length it claims.
        got: u64,
    },
    /// Bytes that do not decode.
    #[error("a malformed message: {0}")]
    Malformed(String),
    /// A message that does not fit the state of the conversation.
    #[error("{got} where {expected} belongs")]
    Unexpected {
        /// What fits.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// More or less than was announced.
    #[error("{got} {what} where {expected} were announced")]
    Totals {
        /// What is counted.
        what: &'static str,
        /// Number announced.
        expected: u64,
        /// Number received.
        got: u64,
    },
    /// The peer understood and refused, or its stream failed.
    #[error("{}", .0.message)]
    Refused(Refusal),
}

impl WireError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Io(_) | Self::Closed => "connection-lost",
            Self::Timeout { .. } | Self::NotAwaited => "timeout",
            Self::NotLanspread => "not-lanspread",
            Self::Version { .. } => "protocol-version",
            Self::OtherPeer => "other-peer",
            Self::SelfConnect => "self-connect",
            Self::FrameTooLong { .. } | Self::Malformed(_) | Self::Unexpected { .. } => "protocol-violation",
            Self::Totals { .. } => "totals-mismatch",
            Self::Refused(refusal) => refusal.code.as_str(),
        }
    }
}

/// Gives `future` a deadline and names what was awaited.
pub async fn within<T>(
    after: Duration,
    what: &'static str,
    future: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    timeout(after, future).await.unwrap_or(Err(WireError::Timeout { what, after }))
}
