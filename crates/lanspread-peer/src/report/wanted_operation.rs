//! Operations that outlive the daemon which was asked for them, and daemons and sources that stop and come back.

use lanspread_types::ids::{GameId, PeerName};
use lanspread_types::limits;
use lanspread_types::text::printable;
use serde::{Deserialize, Serialize};

use crate::report::failure::Code;
use crate::report::operation::{OperationKind, OperationRequest};

/// An operation waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedOperation {
    /// Its number, in this run of the peer.
    pub operation: u64,
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// Whether an earlier run of the daemon was asked for it.
    pub resumed: bool,
}

/// An operation of an earlier run of the daemon failed because no source was there, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriedOperation {
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// Stable kebab-case code of the failure.
    pub code: Code,
    /// Why it failed, in one line.
    pub message: String,
    /// When it is tried again.
    pub retry_ms: u64,
}

/// An operation of an earlier run of the daemon is given up: it has begun too often without an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedOperation {
    /// What it does.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// How often it has begun.
    pub starts: u32,
}

/// This peer ends what runs, and then stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Transfers to other peers that run.
    pub transfers: u64,
    /// Operations that run.
    pub operations: u64,
    /// After so long it stops although some run.
    pub drain_ms: u64,
}

/// An operation waits for a source to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedSource {
    /// Which game.
    pub game: GameId,
    /// Name of the source that stopped, or whose connection broke.
    pub peer: PeerName,
    /// Stable kebab-case code of what ended it.
    pub code: Code,
    /// When it is asked again.
    pub retry_ms: u64,
    /// After so long it is waited for no longer.
    pub wait_ms: u64,
}

/// The one schema that exists.
const SCHEMA: u32 = 1;

/// The file of an operation that a daemon was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedOperation {
    schema: u32,
    /// How often it has begun in runs of the daemon that did not stop by themselves.
    pub starts: u32,
    /// What was asked for.
    pub request: OperationRequest,
}

impl WantedOperation {
    /// An operation that has not begun.
    pub fn new(request: OperationRequest) -> Self {
        Self { schema: SCHEMA, starts: 0, request }
    }

    /// The same, which began so often.
    #[must_use]
    pub fn with_starts(self, starts: u32) -> Self {
        Self { starts, ..self }
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Why they are not such a file, in one line.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        // The reason may have words of the file.
        let shown = |error: serde_json::Error| printable(&error.to_string(), limits::MESSAGE_BYTES_MAX);
        let wanted: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("is not a wanted operation of this version ({})", shown(error)))?;
        if wanted.schema != SCHEMA {
            return Err(format!("has schema {}, this program writes schema {SCHEMA}", wanted.schema));
        }
        Ok(wanted)
    }

    /// The bytes of its file.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("a request that was read can be written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_it_was_written_and_no_other_schema_is_read() {
        let request = r#"{"kind":"download","game":"g","options":{"peers":["den:4107"],"force":true}}"#;
        let request: OperationRequest = serde_json::from_str(request).unwrap();
        let wanted = WantedOperation::new(request).with_starts(2);
        let bytes = wanted.encode();
        assert_eq!(WantedOperation::parse(&bytes).unwrap(), wanted);
        let text = String::from_utf8(bytes).unwrap();
        let newer = text.replace("\"schema\":1", "\"schema\":2");
        assert!(WantedOperation::parse(newer.as_bytes()).unwrap_err().contains("schema 2"));
        let two_lines = text.replace("download", "down\\nload");
        let reason = WantedOperation::parse(two_lines.as_bytes()).unwrap_err();
        assert!(reason.contains("down") && !reason.contains('\n'), "{reason:?}");
        for bad in [&text[..text.len() - 1], "", "[]", &text.replace("\"starts\"", "\"start\"")] {
            assert!(
                WantedOperation::parse(bad.as_bytes()).unwrap_err().starts_with("is not a wanted"),
                "{bad}"
            );
        }
    }
}
