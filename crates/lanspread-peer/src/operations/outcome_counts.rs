//! How many operations have ended in which way. Pure.

use std::collections::BTreeMap;

use crate::report::failure::{ErrorCategory, OperationFailure};
use crate::report::operation::OperationKind;

/// The ways in which an operation can end.
const OUTCOMES: [&str; 3] = ["done", "failed", "cancelled"];

/// Operations that have ended, by kind and outcome.
#[derive(Debug, Default)]
pub(super) struct OutcomeCounts(BTreeMap<(&'static str, &'static str), u64>);

impl OutcomeCounts {
    /// One more has ended.
    pub(super) fn add(&mut self, kind: OperationKind, failure: Option<&OperationFailure>) {
        let [done, failed, cancelled] = OUTCOMES;
        let outcome = match failure.map(|failure| failure.category) {
            None => done,
            Some(ErrorCategory::Interrupted) => cancelled,
            Some(_) => failed,
        };
        *self.0.entry((kind.code(), outcome)).or_default() += 1;
    }

    /// All kinds and outcomes, those with no operation too: a counter that begins with its first one looks like a jump.
    pub(super) fn all(&self) -> Vec<(OperationKind, &'static str, u64)> {
        let of_kind = |kind: OperationKind| {
            OUTCOMES.map(|outcome| (kind, outcome, self.0.get(&(kind.code(), outcome)).copied().unwrap_or(0)))
        };
        OperationKind::ALL.into_iter().flat_map(of_kind).collect()
    }
}
