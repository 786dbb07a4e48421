//! Why an operation was not accepted, or not cancelled.

use lanspread_types::ids::GameId;

use crate::report::failure::{ErrorCategory, OperationFailure};

/// Why an operation was not accepted, or not cancelled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationsError {
    /// Too many operations are waiting.
    #[error("{waiting} operations are already waiting, the limit")]
    QueueFull {
        /// How many are waiting.
        waiting: usize,
    },
    /// There is nothing to cancel.
    #[error("no operation on {game} is running or waiting")]
    NoOperation {
        /// The game asked for.
        game: GameId,
    },
    /// There is no operation of this number, or it has ended.
    #[error("no operation of number {operation} is running or waiting")]
    NoSuchOperation {
        /// The number asked for.
        operation: u64,
    },
    /// The peer is stopping.
    #[error("cancelled")]
    Closed,
    /// The peer ends what runs, and begins nothing.
    #[error("this daemon is stopping, and begins nothing new")]
    Draining,
}

impl OperationsError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queue-full",
            Self::NoOperation { .. } | Self::NoSuchOperation { .. } => "no-operation",
            Self::Closed => "cancelled",
            Self::Draining => "daemon-stopping",
        }
    }

    /// Category of the failure.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::QueueFull { .. }
            | Self::NoOperation { .. }
            | Self::NoSuchOperation { .. }
            | Self::Draining => ErrorCategory::Refused,
            Self::Closed => ErrorCategory::Interrupted,
        }
    }
}

impl From<OperationsError> for OperationFailure {
    fn from(error: OperationsError) -> Self {
        Self::new(error.code(), error.category(), &error.to_string())
    }
}
