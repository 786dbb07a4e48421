//! What is so with one game at one peer, from what the peer tells. Pure.

use lanspread_proto::activity::{GameActivity, GameWork, WorkKind, WorkStep};
use lanspread_types::ids::{GameVersion, PeerId};

use crate::report::room::{CellState, RoomCell, RoomGame, SeatState};
use crate::room::words::kind_meant;

/// The code of a verification that has found differences.
const DIFFERENCES: &str = "differences";
/// The code of what was cancelled.
const CANCELLED: &str = "cancelled";

/// The cell of a peer and a game.
pub(crate) fn cell(peer: PeerId, game: &RoomGame, told: Option<&GameActivity>, seat: SeatState) -> RoomCell {
    let mut cell = RoomCell::of_nothing(peer, game.game.clone());
    let Some(told) = told else { return cell };
    cell.version =
        told.installed_version.clone().filter(|_| told.installed).or_else(|| told.downloaded_version.clone());
    cell.shareable = told.downloaded_version.is_some();
    cell.state = on_disk(told, game.version.as_ref());
    if let Some(failure) = &told.failure {
        let failed = failed(cell.state, failure.kind, &failure.code);
        if let Some(state) = failed {
            cell.state = state;
            cell.kind = kind_meant(failure.kind);
            (cell.code, cell.cause) =
                (Some(failure.code.clone().into()), failure.cause.clone().map(Into::into));
            cell.message = Some(failure.message.clone()).filter(|message| !message.is_empty());
        }
    }
    // What is being done says more than how it was before.
    if let Some(work) = &told.work
        && let Some(state) = working(work)
    {
        cell.state = state;
        (cell.code, cell.cause, cell.message) = (None, None, None);
        tell_work(&mut cell, work);
    }
    // What a peer did before it fell silent may still go on, or not.
    let is_known = seat == SeatState::Here || (seat == SeatState::Silent && !is_work(cell.state));
    if !is_known && cell.state != CellState::Absent {
        cell.state = CellState::Unknown;
        (cell.bytes_per_second, cell.seconds_left, cell.source) = (None, None, None);
    }
    cell
}

fn tell_work(cell: &mut RoomCell, work: &GameWork) {
    cell.operation = Some(work.operation);
    cell.kind = kind_meant(work.kind);
    (cell.bytes, cell.bytes_total) = (work.bytes, work.bytes_total);
    cell.bytes_per_second = work.bytes_per_second;
    cell.seconds_left = seconds_left(work.bytes, work.bytes_total, work.bytes_per_second);
    cell.source = work.source;
    cell.attempt = work.attempt.map(Into::into);
    cell.waiting_for = work.waiting_for;
    cell.before = work.ahead.map(Into::into);
}

/// How long the rest takes; none if that is not known, or nothing comes.
pub(crate) fn seconds_left(bytes: Option<u64>, total: Option<u64>, per_second: Option<u64>) -> Option<u64> {
    let left = total?.saturating_sub(bytes?);
    let per_second = per_second.filter(|rate| *rate > 0)?;
    Some(left.div_ceil(per_second))
}

fn on_disk(told: &GameActivity, wanted: Option<&GameVersion>) -> CellState {
    let is_other = |version: Option<&GameVersion>| {
        wanted.is_some_and(|wanted| version.is_some_and(|version| version != wanted))
    };
    if told.installed {
        if is_other(told.installed_version.as_ref()) { CellState::Outdated } else { CellState::Installed }
    } else if told.downloaded_version.is_some() {
        if is_other(told.downloaded_version.as_ref()) { CellState::Outdated } else { CellState::Downloaded }
    } else {
        CellState::Absent
    }
}

/// The state after an operation that has failed; none if what is there is as good as before and as it is wanted.
fn failed(on_disk: CellState, kind: WorkKind, code: &str) -> Option<CellState> {
    match (kind, code) {
        (_, DIFFERENCES) => Some(CellState::Damaged),
        // A second request for what is there was refused.
        _ if on_disk == CellState::Installed => None,
        (_, CANCELLED) => (on_disk == CellState::Absent).then_some(CellState::Interrupted),
        (WorkKind::Uninstall | WorkKind::Remove | WorkKind::Absent, _) => None,
        (WorkKind::Download, _) if on_disk == CellState::Downloaded => None,
        _ => Some(CellState::Failed),
    }
}

/// The state while an operation is on; none for one that takes away.
fn working(work: &GameWork) -> Option<CellState> {
    Some(match (work.step, work.kind) {
        (_, WorkKind::Uninstall | WorkKind::Remove | WorkKind::Absent) => return None,
        (WorkStep::Queued | WorkStep::Waiting, _) => CellState::Waiting,
        (_, WorkKind::Update) => CellState::Updating,
        (_, WorkKind::Repair) => CellState::Repairing,
        (WorkStep::Verifying, _) | (_, WorkKind::Verify) => CellState::Verifying,
        (WorkStep::Streaming, _) | (_, WorkKind::StreamInstall) => CellState::Streaming,
        (WorkStep::Downloading, _) | (_, WorkKind::Download) => CellState::Downloading,
        (WorkStep::Unpacking | WorkStep::Preparing | WorkStep::Finishing, _) => CellState::Installing,
    })
}

/// Whether something is being done.
pub(crate) fn is_work(state: CellState) -> bool {
    matches!(
        state,
        CellState::Waiting
            | CellState::Streaming
            | CellState::Downloading
            | CellState::Installing
            | CellState::Updating
            | CellState::Verifying
            | CellState::Repairing
    )
}

/// Whether the game can be played in the wanted version.
pub(crate) fn is_ready(cell: &RoomCell) -> bool {
    cell.state == CellState::Installed
}

/// Whether a person has to do something about this game. Of a peer that is not heard, a warning tells.
pub(crate) fn is_problem(state: CellState) -> bool {
    matches!(state, CellState::Failed | CellState::Damaged)
}

#[cfg(test)]
mod tests;
