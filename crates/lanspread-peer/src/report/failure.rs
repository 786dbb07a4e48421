//! Failures as data: why an operation or an attempt failed, or a peer is not a source, for events, followers and the
//! control socket.
//!
//! Codes are kebab-case and never change; texts may. Failures contain no advice: the program that shows a failure knows
//! what its user can do.

use std::borrow::Cow;

use lanspread_types::ids::PeerName;
use serde::{Deserialize, Serialize};

/// A word of a short, fixed, documented list.
pub type Code = Cow<'static, str>;

/// Class of a failure; the command line program has an exit status for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCategory {
    /// A bug or an unforeseen state.
    Unexpected,
    /// The request itself is wrong.
    Usage,
    /// No peer offers what was asked for, or the peer asked does not answer.
    NotOffered,
    /// Every source was tried and failed.
    SourcesFailed,
    /// The request was understood and refused.
    Refused,
    /// Content on this machine is not as expected.
    Content,
    /// Every source has as many receivers as it serves at once, and the wait is over.
    NoPlace,
    /// The disk of this machine.
    Local,
    /// Cancelled by the user.
    Interrupted,
}

/// A peer that was asked and cannot be a source, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerAnswer {
    /// Name of the peer, or its address if its name is not known.
    pub peer: String,
    /// Why it is not a source.
    pub reason: String,
}

/// A failed attempt, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttemptFailure {
    /// Name of the source.
    pub peer: PeerName,
    /// Stable kebab-case code.
    pub code: Code,
    /// Why, in one line.
    pub message: String,
    /// What the code alone does not say; not part of events.
    #[serde(skip)]
    pub cause: Option<Code>,
}

/// Why an operation failed, in a form for several followers and the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct OperationFailure {
    /// Stable kebab-case code.
    pub code: Code,
    /// Why, in one line.
    pub message: String,
    /// What the code alone does not say, kebab-case; see `docs/events.md` for the words of each code.
    pub cause: Option<Code>,
    /// Class of the failure.
    pub category: ErrorCategory,
}

impl AttemptFailure {
    /// A failure without a cause beyond its code.
    pub fn new(peer: &PeerName, code: impl Into<Code>, message: String) -> Self {
        Self { peer: peer.clone(), code: code.into(), message, cause: None }
    }
}

impl OperationFailure {
    /// A failure as a layer describes it. Line breaks in the text are replaced, because it may contain names from
    /// outside.
    pub fn new(code: impl Into<Code>, category: ErrorCategory, message: &str) -> Self {
        let message = message.replace(['\n', '\r'], " ");
        Self { code: code.into(), message, cause: None, category }
    }
}
