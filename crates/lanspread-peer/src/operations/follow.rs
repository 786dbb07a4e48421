//! Following an operation that another client has requested, and finding out how it ended.

use std::sync::Arc;

use lanspread_types::ids::GameId;

use super::{Live, OperationHandle, OperationId, Operations, OperationsError};
use crate::report::operation_outcome::EndedOperation;
use crate::report::script_answers::AwaitedOperation;

impl Live {
    /// One more follower.
    pub(super) fn follow(
        &mut self,
        operations: &Arc<Operations>,
        id: OperationId,
        joined: bool,
    ) -> OperationHandle {
        self.followers += 1;
        OperationHandle {
            operations: Arc::clone(operations),
            id,
            joined,
            events: self.events.subscribe(),
            outcome: self.outcome.subscribe(),
        }
    }
}

/// An operation that a client waits for.
pub(crate) enum Followed {
    Running(OperationHandle),
    Ended(EndedOperation),
}

impl Operations {
    /// Follows an operation that runs or waits, or says how it ended.
    ///
    /// # Errors
    /// [`OperationsError::NoOperation`], [`OperationsError::UnknownOperation`].
    pub(crate) fn follow(self: &Arc<Self>, awaited: &AwaitedOperation) -> Result<Followed, OperationsError> {
        let mut state = self.state();
        let is_awaited = |id: OperationId, game: &GameId| match awaited {
            AwaitedOperation::Operation(operation) => id == *operation,
            AwaitedOperation::Game(wanted) => game == wanted,
        };
        let newest =
            state.queue.entries().iter().rev().find(|entry| is_awaited(entry.id, &entry.request.game));
        if let Some(id) = newest.map(|entry| entry.id)
            && let Some(live) = state.live.get_mut(&id)
        {
            return Ok(Followed::Running(live.follow(self, id, true)));
        }
        let ended = state.outcomes.all().into_iter().find(|ended| is_awaited(ended.operation, &ended.game));
        ended.map(Followed::Ended).ok_or_else(|| match awaited {
            AwaitedOperation::Operation(operation) => {
                OperationsError::NoSuchOperation { operation: *operation }
            }
            AwaitedOperation::Game(game) => OperationsError::NoOperation { game: game.clone() },
        })
    }
}
