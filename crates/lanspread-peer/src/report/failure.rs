//! Failures as data: what an operation, an attempt or a peer's answer came to, for events, followers and sockets.
//!
//! Codes are kebab-case and never change; texts may. Advice is not among this: whoever shows a failure knows best what
//! its user can do.

use std::borrow::Cow;

use lanspread_types::ids::PeerName;
use serde::{Deserialize, Serialize};

/// A word of a short, fixed, documented list.
pub type Code = Cow<'static, str>;

/// How a failed operation is classed; the command line gives each class its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCategory {
    /// A bug or an unforeseen state.
    Unexpected,
    /// The request itself is wrong.
    Usage,
    /// Nobody offers what was asked for, or the peer asked is not there.
    NotOffered,
    /// Every source was tried and failed.
    SourcesFailed,
    /// The request is understood and refused.
    Refused,
    /// Content of this machine is not what it should be.
    Content,
    /// The disk of this machine.
    Local,
    /// Cancelled by the user.
    Interrupted,
}

/// A peer that was asked and cannot be a source, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAnswer {
    /// Name of the peer, or the address when it never said its name.
    pub peer: String,
    /// Why it is no source.
    pub reason: String,
}

/// A failed attempt, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why an operation failed, as it can be told to several followers and over the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct OperationFailure {
    /// Stable kebab-case code.
    pub code: Code,
    /// Why, in one line.
    pub message: String,
    /// What the code alone does not say, kebab-case; see `docs/events.md` for the words of each code.
    pub cause: Option<Code>,
    /// How the failure is classed.
    pub category: ErrorCategory,
}

impl AttemptFailure {
    /// A failure whose code says it all.
    pub fn new(peer: &PeerName, code: impl Into<Code>, message: String) -> Self {
        Self { peer: peer.clone(), code: code.into(), message, cause: None }
    }
}

impl OperationFailure {
    /// A failure as a layer describes it; its text becomes one line whatever is in it, because names come from outside.
    pub fn new(code: impl Into<Code>, category: ErrorCategory, message: &str) -> Self {
        let message = message.replace(['\n', '\r'], " ");
        Self { code: code.into(), message, cause: None, category }
    }
}
