//! From the operations of this peer to what others are told of them, and back.

use std::cmp::Reverse;
use std::path::Path;

use lanspread_proto::activity::{GameWork, WorkFailure, WorkKind, WorkStep};

use crate::report::failure::OperationFailure;
use crate::report::operation::OperationKind;
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

/// What this peer tells others of an operation that has failed, was cancelled or would fail. They do not learn the paths of
/// its folders.
pub(crate) fn failure(
    kind: OperationKind,
    failure: &OperationFailure,
    places: &OwnPlaces<'_>,
) -> WorkFailure {
    let message = places.hidden_in(&failure.message);
    WorkFailure::new(kind_told(kind), &failure.code, failure.cause.as_deref(), &message)
}

/// The folders of this peer.
pub(crate) struct OwnPlaces<'a> {
    pub(crate) games_dir: &'a Path,
    pub(crate) state_dir: &'a Path,
}

impl OwnPlaces<'_> {
    /// A message with paths that begin in these folders.
    fn hidden_in(&self, message: &str) -> String {
        let mut places = [(self.games_dir, "its games directory"), (self.state_dir, "its state directory")];
        // One may be inside the other.
        places.sort_by_key(|(place, _)| Reverse(place.as_os_str().len()));
        places.into_iter().fold(message.to_owned(), |message, (place, name)| hide(&message, place, name))
    }
}

/// A message in which paths begin inside a folder, and the folder has a name. A relative path says nothing of where it is, and
/// could be a word of the message.
fn hide(message: &str, place: &Path, name: &str) -> String {
    if !place.is_absolute() || place.parent().is_none() {
        return message.to_owned();
    }
    let place = place.display().to_string();
    let place = place.trim_end_matches('/');
    let is_of_name = |sign: char| sign.is_alphanumeric() || "-_.".contains(sign);
    let mut parts = message.split(place);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        // It may be the beginning or the end of another path.
        if shown.ends_with(is_of_name) || rest.starts_with(is_of_name) {
            shown += place;
            shown += rest;
        } else if let Some(inside) = rest.strip_prefix('/').filter(|inside| inside.starts_with(is_of_name)) {
            shown += inside;
        } else {
            shown += name;
            shown += rest;
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_peer_learns_where_the_folders_of_this_one_are() {
        let places =
            OwnPlaces { games_dir: Path::new("/srv/pc/games"), state_dir: Path::new("/srv/pc/games/.state") };
        for (message, told) in [
            ("/srv/pc/games has 5 bytes free", "its games directory has 5 bytes free"),
            (
                "cannot create /srv/pc/games/g/local: Permission denied",
                "cannot create g/local: Permission denied",
            ),
            ("cannot read /srv/pc/games/.state/identity.pem", "cannot read identity.pem"),
            ("/srv/pc/games/.state is full", "its state directory is full"),
            ("no peer offers g", "no peer offers g"),
        ] {
            assert_eq!(places.hidden_in(message), told);
        }
    }

    #[test]
    fn words_and_other_paths_stay_as_they_are() {
        let message = "2 games need 1.5 GiB: cannot read /srv/games2/a, /mnt/srv/games/b or /";
        for games_dir in ["games", ".", "/", "", "/srv/games", "/srv/games/"] {
            let places = OwnPlaces { games_dir: Path::new(games_dir), state_dir: Path::new("state") };
            assert_eq!(places.hidden_in(message), message, "{games_dir:?}");
        }
        let places = OwnPlaces { games_dir: Path::new("/srv/games/"), state_dir: Path::new("/srv/state") };
        assert_eq!(places.hidden_in("cannot read /srv/games/g"), "cannot read g");
    }
}
