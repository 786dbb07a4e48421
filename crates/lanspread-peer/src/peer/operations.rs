//! Submits, lists and cancels the operations of a peer.

use std::sync::Arc;

use lanspread_types::ids::GameId;

use crate::operations::Followed;
use crate::operations::{
    OperationContext, OperationHandle, OperationInfo, OperationsError, Perform, Performing,
};
use crate::peer::core::Peer;
use crate::report::failure::OperationFailure;
use crate::report::operation::{OperationKind, OperationRequest};
use crate::report::operation_outcome::EndedOperation;
use crate::report::script_answers::AwaitedOperation;

/// An operation that a client waits for, as it is now.
pub(crate) enum AwaitedNow {
    Running(OperationHandle),
    Ended(EndedOperation),
}

impl Perform for Peer {
    fn perform(&self, kind: OperationKind, context: OperationContext) -> Performing<'_> {
        Box::pin(async move { self.perform_until_back(kind, &context).await.map_err(OperationFailure::from) })
    }
}

impl Peer {
    /// Requests an operation. It runs when its turn comes, even if it has lost its followers. An equal request joins it
    /// until it is done.
    ///
    /// # Errors
    /// [`OperationsError::QueueFull`]; [`OperationsError::Closed`] if the peer is stopping.
    pub fn submit(&self, request: OperationRequest) -> Result<OperationHandle, OperationsError> {
        self.inner.operations.submit(request, Arc::new(self.clone()))
    }

    /// Follows an operation that another client requested, or says how it ended.
    pub(crate) fn follow_operation(&self, awaited: &AwaitedOperation) -> Result<AwaitedNow, OperationsError> {
        Ok(match self.inner.operations.follow(awaited)? {
            Followed::Running(operation) => AwaitedNow::Running(operation),
            Followed::Ended(ended) => AwaitedNow::Ended(ended),
        })
    }

    /// The running and waiting operations, in the order of their requests.
    pub fn running_operations(&self) -> Vec<OperationInfo> {
        self.inner.operations.running()
    }

    /// How the newest operation on each game has ended in this run of the peer, as far as it is remembered: of at most
    /// [`limits::OUTCOMES_MAX`](lanspread_types::limits::OUTCOMES_MAX) games.
    pub fn ended_operations(&self) -> Vec<EndedOperation> {
        self.inner.operations.ended()
    }

    /// Cancels every operation on a game, no matter which client requested it. Returns how many there were.
    ///
    /// # Errors
    /// [`OperationsError::NoOperation`] if there is none.
    pub fn cancel_operations(&self, game: &GameId) -> Result<usize, OperationsError> {
        self.inner.operations.cancel(game)
    }

    /// Cancels one operation by its number, no matter which client requested it. Returns its game.
    ///
    /// # Errors
    /// [`OperationsError::NoSuchOperation`] if it has ended, or never was.
    pub fn cancel_operation(&self, operation: u64) -> Result<GameId, OperationsError> {
        self.inner.operations.cancel_one(operation)
    }
}
