//! Why a source does not do what it was asked for.

use std::fmt;

use lanspread_types::limits;
use lanspread_types::text::printable;
use serde::{Deserialize, Serialize};

/// Why a source refuses or fails: one of a short list of codes, and a text without local paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RawRefusal")]
pub struct Refusal {
    /// The reason, for programs.
    pub code: RefusalCode,
    /// The reason, for people: one line, safe to print.
    pub message: String,
}

/// A refusal as it arrives.
#[derive(Deserialize)]
struct RawRefusal {
    code: RefusalCode,
    message: String,
}

impl From<RawRefusal> for Refusal {
    fn from(raw: RawRefusal) -> Self {
        Self::new(raw.code, &raw.message)
    }
}

impl Refusal {
    /// A refusal with this text, made printable and cut to its limit.
    pub fn new(code: RefusalCode, message: &str) -> Self {
        Self { code, message: printable(message, limits::MESSAGE_BYTES_MAX / 4) }
    }
}

/// Why a source refuses or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The source does not offer the game.
    NotOffered,
    /// The source offers the game in another version.
    OtherVersion,
    /// The source already serves as many streams as it may.
    Busy,
    /// An archive is damaged or incomplete.
    ArchiveDamaged,
    /// An archive holds something that must not be installed.
    ArchiveRefused,
    /// The source cannot decode: its decoder cannot be run.
    DecoderUnavailable,
    /// The source is stopping.
    Stopping,
    /// The request breaks the protocol.
    BadRequest,
    /// Anything else; the cause is in the source's log.
    Internal,
    /// A file changed while it was being sent.
    Changed,
    /// The user there does not allow this peer to have something done.
    NotPermitted,
}

impl RefusalCode {
    /// Stable kebab-case code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "not-offered",
            Self::OtherVersion => "other-version",
            Self::Busy => "busy",
            Self::ArchiveDamaged => "archive-damaged",
            Self::ArchiveRefused => "archive-refused",
            Self::DecoderUnavailable => "decoder-unavailable",
            Self::Stopping => "source-stopping",
            Self::BadRequest => "bad-request",
            Self::Internal => "source-internal",
            Self::Changed => "source-changed",
            Self::NotPermitted => "not-permitted",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
