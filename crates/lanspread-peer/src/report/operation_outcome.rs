//! How an operation ended, as data.

use std::time::SystemTime;

use lanspread_types::ids::GameId;
use serde::{Deserialize, Serialize};

use crate::report::failure::{Code, OperationFailure};
use crate::report::operation::OperationKind;

/// An operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndedOperation {
    /// Its number, in this run of the peer.
    pub operation: u64,
    /// What it did.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// When it ended.
    pub at: SystemTime,
    /// Why it failed; none if it did what it was asked to.
    pub failure: Option<OperationFailure>,
}

/// What is reported about an operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedReport {
    /// Its number, in this run of the daemon.
    pub operation: u64,
    /// What it did.
    pub kind: OperationKind,
    /// With which game.
    pub game: GameId,
    /// How long ago it ended.
    pub ago_ms: u64,
    /// `done`, or the stable kebab-case code of its failure.
    pub outcome: Code,
    /// Why it failed, in one line; none if it did what it was asked to.
    pub message: Option<String>,
    /// What the code alone does not say, kebab-case.
    pub cause: Option<Code>,
}

impl EndedOperation {
    /// An operation that ends now.
    pub(crate) fn now(
        operation: u64,
        kind: OperationKind,
        game: GameId,
        failure: Option<&OperationFailure>,
    ) -> Self {
        Self { operation, kind, game, at: SystemTime::now(), failure: failure.cloned() }
    }

    /// How it ended: `done`, or the code of its failure.
    pub(crate) fn outcome(&self) -> Code {
        self.failure.as_ref().map_or_else(|| "done".into(), |failure| failure.code.clone())
    }

    /// What is reported about it at this time.
    #[expect(clippy::disallowed_methods, reason = "a time for people, which nothing waits for")]
    pub(crate) fn report(self, now: SystemTime) -> EndedReport {
        let outcome = self.outcome();
        let Self { operation, kind, game, at, failure } = self;
        // A clock that was set back does not make it end in the future.
        let ago = now.duration_since(at).unwrap_or_default();
        let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        let (message, cause) = failure.map(|failure| (failure.message, failure.cause)).unzip();
        EndedReport { operation, kind, game, ago_ms, outcome, message, cause: cause.flatten() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::failure::ErrorCategory;

    #[test]
    fn what_is_reported_says_how_it_ended_and_how_long_ago() {
        let failure = OperationFailure {
            cause: Some("no-answer".into()),
            ..OperationFailure::new("no-peers", ErrorCategory::NotOffered, "no peer\nanswers")
        };
        let ended = |failure| EndedOperation::now(3, OperationKind::Verify, "g".parse().unwrap(), failure);
        let failed = ended(Some(&failure));
        let report = failed.clone().report(failed.at + Duration::from_secs(2));
        assert_eq!((report.ago_ms, &*report.outcome), (2_000, "no-peers"));
        assert_eq!(
            (report.message.as_deref(), report.cause.as_deref()),
            (Some("no peer answers"), Some("no-answer"))
        );
        let done = ended(None);
        let report = done.clone().report(done.at - Duration::from_secs(2));
        assert_eq!((report.ago_ms, &*report.outcome, report.message, report.cause), (0, "done", None, None));
    }
}
