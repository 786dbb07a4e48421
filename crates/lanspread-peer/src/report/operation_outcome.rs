//! How an operation ended, as data.

use std::time::SystemTime;

use lanspread_types::ids::GameId;
use serde::{Deserialize, Serialize};

use crate::report::failure::OperationFailure;
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
}
