//! What can go wrong between two peers.

use std::io;
use std::time::Duration;

use lanspread_types::ids::PeerId;
use tokio::time::timeout;

use crate::refusal::{Refusal, RefusalCode};

/// What is wrong with a connection or a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// No address of the peer accepted a connection.
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
        /// What did not arrive.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The other side is not a lanspread peer.
    #[error("this is not a lanspread peer")]
    NotLanspread,
    /// The other side speaks another protocol version.
    #[error("it speaks protocol version {theirs}, this program speaks {ours}")]
    Version {
        /// The version of this program.
        ours: u16,
        /// The version of the other side.
        theirs: u16,
    },
    /// The encrypted connection could not be made.
    #[error("no encrypted connection can be made: {0}")]
    Encryption(String),
    /// A peer other than the expected one answered at this address.
    #[error("it answers as {got}, but {expected} was expected there")]
    OtherKey {
        /// The peer that should answer.
        expected: PeerId,
        /// The peer that answers.
        got: PeerId,
    },
    /// The other side has not proved that it is of the same party.
    #[error("{}", other_party(peer, ours.as_deref(), *theirs_is_open))]
    OtherParty {
        /// The other side.
        peer: PeerId,
        /// The name of the party of this machine, if it is of one.
        ours: Option<String>,
        /// Whether the other side is of no party.
        theirs_is_open: bool,
    },
    /// This machine does not talk to the other side.
    #[error("{peer} is denied on this machine, or is not one of those that it allows")]
    NotAdmitted {
        /// The other side.
        peer: PeerId,
    },
    /// The other side proved who it is and closed the connection before it said anything.
    #[error("{peer} closed the connection at once: it has no place left, or it does not talk to this peer")]
    TurnedAway {
        /// The other side.
        peer: PeerId,
    },
    /// The peer at this address has the identity of the peer that asks.
    #[error("this is the asking peer itself")]
    SelfConnect,
    /// Other peers had answered, so that this one was no longer waited for.
    #[error("it had not answered when the other peers had")]
    NotAwaited,
    /// What the peer reports does not fit beside what other peers report.
    #[error("together with other peers it reports too much: there is no room for {what}")]
    NoRoom {
        /// What was left out.
        what: &'static str,
    },
    /// A frame is longer than its limit.
    #[error("a {kind} frame of {got} bytes; the limit is {limit}")]
    FrameTooLong {
        /// Kind of the frame.
        kind: &'static str,
        /// The longest payload, in bytes.
        limit: usize,
        /// The claimed length, in bytes.
        got: u64,
    },
    /// Bytes that cannot be decoded, or values beyond the limits.
    #[error("a malformed message: {0}")]
    Malformed(String),
    /// A message that does not fit the state of the conversation.
    #[error("got {got}, expected {expected}")]
    Unexpected {
        /// What is allowed.
        expected: &'static str,
        /// What arrived.
        got: &'static str,
    },
    /// More or less content arrived than was announced.
    #[error("got {got} {what}, {expected} were announced")]
    Totals {
        /// What is counted.
        what: &'static str,
        /// Number announced.
        expected: u64,
        /// Number received.
        got: u64,
    },
    /// The peer refused the request, or its stream failed.
    #[error("{}", .0.message)]
    Refused(Refusal),
}

impl WireError {
    /// Whether another try with the same peer may succeed.
    pub fn may_pass(&self) -> bool {
        use RefusalCode::{Busy, Changed, Internal, Stopping};
        match self {
            Self::Connect(_)
            | Self::Io(_)
            | Self::Closed
            | Self::TurnedAway { .. }
            | Self::Timeout { .. } => true,
            Self::Refused(refusal) => matches!(refusal.code, Busy | Changed | Internal | Stopping),
            _ => false,
        }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Io(_) | Self::Closed => "connection-lost",
            Self::Timeout { .. } | Self::NotAwaited => "timeout",
            Self::NotLanspread => "not-lanspread",
            Self::Version { .. } => "protocol-version",
            Self::Encryption(_) => "encryption-failed",
            Self::OtherKey { .. } => "other-peer",
            Self::OtherParty { .. } => "other-party",
            Self::NotAdmitted { .. } => "not-admitted",
            Self::TurnedAway { .. } => "turned-away",
            Self::SelfConnect => "self-connect",
            Self::FrameTooLong { .. } | Self::Malformed(_) | Self::Unexpected { .. } => "protocol-violation",
            Self::Totals { .. } => "totals-mismatch",
            Self::NoRoom { .. } => "busy",
            Self::Refused(refusal) => refusal.code.as_str(),
        }
    }
}

fn other_party(peer: &PeerId, ours: Option<&str>, theirs_is_open: bool) -> String {
    match ours {
        None => format!("{peer} is of a party; this machine is of none"),
        Some(name) if theirs_is_open => format!("{peer} is of no party; this machine is of the party {name}"),
        Some(name) => format!("{peer} is not of the party of this machine ({name})"),
    }
}

/// Gives `future` a deadline; `what` names in the error what did not arrive.
pub async fn within<T>(
    after: Duration,
    what: &'static str,
    future: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    timeout(after, future).await.unwrap_or(Err(WireError::Timeout { what, after }))
}
