//! Operations as a peer takes them: queued, joined, followed, cancelled.

use std::sync::Arc;

use lanspread_types::ids::GameId;

use crate::operations::{
    OperationContext, OperationHandle, OperationInfo, OperationsError, Perform, Performing,
};
use crate::peer::core::Peer;
use crate::report::failure::OperationFailure;
use crate::report::operation::{OperationKind, OperationRequest};

impl Perform for Peer {
    fn perform(&self, kind: OperationKind, context: OperationContext) -> Performing<'_> {
        Box::pin(async move { self.perform_kind(kind, &context).await.map_err(OperationFailure::from) })
    }
}

impl Peer {
    /// Asks for an operation. It runs when its turn comes, whether or not anybody follows it; the same request before
    /// it is done joins it.
    ///
    /// # Errors
    /// [`OperationsError::QueueFull`]; [`OperationsError::Closed`] when the peer stops.
    pub fn submit(&self, request: OperationRequest) -> Result<OperationHandle, OperationsError> {
        self.inner.operations.submit(request, Arc::new(self.clone()))
    }

    /// What runs and waits, in the order in which it was asked for.
    pub fn running_operations(&self) -> Vec<OperationInfo> {
        self.inner.operations.running()
    }

    /// Cancels every operation on a game, whoever asked for it; returns how many.
    ///
    /// # Errors
    /// [`OperationsError::NoOperation`] when there is none.
    pub fn cancel_operations(&self, game: &GameId) -> Result<usize, OperationsError> {
        self.inner.operations.cancel(game)
    }
}
