//! From the operations of this peer to what others are told of them, and back.

use lanspread_proto::activity::{GameWork, WorkFailure, WorkKind, WorkStep};

use crate::report::operation::OperationKind;
use crate::report::operation_outcome::EndedOperation;
use crate::report::operation_progress::{OperationProgress, OperationStep};

/// What others are told of a running or waiting operation.
pub(crate) fn work(
    operation: u64,
    kind: OperationKind,
    running: bool,
    progress: &OperationProgress,
) -> GameWork {
    GameWork {
        operation,
        kind: kind_told(kind),
        step: if running { step_told(progress.step) } else { WorkStep::Queued },
        bytes: progress.bytes,
        bytes_total: progress.bytes_total,
        bytes_per_second: progress.bytes_per_second,
        source: progress.source_id,
        position: progress.position,
        attempt: progress.attempt.map(|attempt| u32::try_from(attempt).unwrap_or(u32::MAX)),
        waiting_for: progress.waiting_for_id,
        ahead: progress.ahead,
    }
}

/// What others are told of an operation that has failed or was cancelled.
pub(crate) fn failure(ended: &EndedOperation) -> Option<WorkFailure> {
    let failure = ended.failure.as_ref()?;
    Some(WorkFailure::new(kind_told(ended.kind), &failure.code, failure.cause.as_deref(), &failure.message))
}

/// The kind of an operation, on the wire.
pub(crate) fn kind_told(kind: OperationKind) -> WorkKind {
    match kind {
        OperationKind::StreamInstall => WorkKind::StreamInstall,
        OperationKind::Download => WorkKind::Download,
        OperationKind::Install => WorkKind::Install,
        OperationKind::Update => WorkKind::Update,
        OperationKind::Uninstall => WorkKind::Uninstall,
        OperationKind::Remove => WorkKind::Remove,
        OperationKind::Verify => WorkKind::Verify,
        OperationKind::Repair => WorkKind::Repair,
        OperationKind::Ensure => WorkKind::Ensure,
        OperationKind::Absent => WorkKind::Absent,
    }
}

/// The kind of an operation that another peer does or asks for; none if this program cannot do it.
#[expect(clippy::unnecessary_wraps, reason = "a kind may come to the wire before a program can do it")]
pub(crate) fn kind_meant(kind: WorkKind) -> Option<OperationKind> {
    Some(match kind {
        WorkKind::StreamInstall => OperationKind::StreamInstall,
        WorkKind::Download => OperationKind::Download,
        WorkKind::Install => OperationKind::Install,
        WorkKind::Update => OperationKind::Update,
        WorkKind::Uninstall => OperationKind::Uninstall,
        WorkKind::Remove => OperationKind::Remove,
        WorkKind::Verify => OperationKind::Verify,
        WorkKind::Ensure => OperationKind::Ensure,
        WorkKind::Absent => OperationKind::Absent,
        WorkKind::Repair => OperationKind::Repair,
    })
}

fn step_told(step: OperationStep) -> WorkStep {
    match step {
        OperationStep::Preparing => WorkStep::Preparing,
        OperationStep::Waiting => WorkStep::Waiting,
        OperationStep::Streaming => WorkStep::Streaming,
        OperationStep::Downloading => WorkStep::Downloading,
        OperationStep::Unpacking => WorkStep::Unpacking,
        OperationStep::Verifying => WorkStep::Verifying,
        OperationStep::Finishing => WorkStep::Finishing,
    }
}
