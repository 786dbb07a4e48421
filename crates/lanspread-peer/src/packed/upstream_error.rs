//! Why an upstream of a packed stream ended, and whether it is used again.

use lanspread_proto::WireError;
use lanspread_proto::message::RefusalCode;
use lanspread_proto::packed::LeaveReason;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::fault::LocalError;

use crate::http::error::HttpError;
use crate::packed::plan::UpstreamEnding;

/// A chunk came that is not as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "chunk {chunk} (`{path}` from byte {position}) is not as listed: SHA-256 {expected} expected, got {got}"
)]
pub(crate) struct OtherChunk {
    pub(crate) chunk: u64,
    /// Name of the file, safe to print.
    pub(crate) path: String,
    pub(crate) position: u64,
    pub(crate) expected: ContentDigest,
    pub(crate) got: ContentDigest,
}

/// Why an upstream ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The connection, the protocol, or a refusal.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It sent this receiver away.
    #[error("{}", match .0 {
        LeaveReason::Replaced => "it feeds another receiver instead",
        LeaveReason::Ending => "it passes nothing on any more",
    })]
    SentAway(LeaveReason),
    /// It sent other bytes than the manifest lists.
    #[error(transparent)]
    OtherChunk(#[from] OtherChunk),
    /// It was left because its machine held this receiver up.
    #[error("its machine is slower than this one")]
    Slow,
    /// It was left because it brought nothing although it was alive.
    #[error("it is alive, and brought nothing for a long time")]
    Stalled,
    /// It was left because it no longer has what is needed, and is too far ahead.
    #[error("it no longer has what is needed next, and is too far ahead")]
    TooFarAhead,
    /// It brought something that was not asked for, or says of something that it is gone which it has.
    #[error("it answered what was not asked")]
    Unasked,
    /// A server failed, or answered something else than was asked.
    #[error(transparent)]
    Http(Box<HttpError>),
    /// This machine failed.
    #[error(transparent)]
    Local(LocalError),
    /// Its task panicked.
    #[error("internal fault: the task of this upstream ended abnormally")]
    Panicked,
}

impl From<HttpError> for UpstreamError {
    fn from(error: HttpError) -> Self {
        Self::Http(Box::new(error))
    }
}

impl UpstreamError {
    /// Stable kebab-case code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::SentAway(why) => why.as_str(),
            Self::OtherChunk(_) => "not-as-listed",
            Self::Slow => "relay-slow",
            Self::Stalled => "stalled",
            Self::TooFarAhead => "too-far-ahead",
            Self::Unasked => "protocol-violation",
            Self::Http(error) => error.code(),
            Self::Local(error) => error.code(),
            Self::Panicked => "internal",
        }
    }

    /// What this says of the upstream. Pure.
    pub(crate) fn ending(&self) -> UpstreamEnding {
        match self {
            Self::SentAway(LeaveReason::Replaced) | Self::TooFarAhead => UpstreamEnding::Occupied,
            Self::Wire(WireError::Refused(refusal)) if refusal.code == RefusalCode::Busy => {
                UpstreamEnding::Occupied
            }
            Self::Stalled => UpstreamEnding::Stalled,
            Self::Http(error) if error.may_pass() => UpstreamEnding::MayPass(error.retry_after()),
            error if error.may_pass() => UpstreamEnding::MayPass(None),
            _ => UpstreamEnding::Final,
        }
    }

    /// Whether it may be used again in this operation. Pure.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::SentAway(_) | Self::Slow | Self::Stalled | Self::TooFarAhead => true,
            Self::Wire(error) => error.may_pass(),
            Self::Http(error) => error.may_pass(),
            _ => false,
        }
    }
}
