use lanspread_proto::activity::WorkFailure;

use super::*;

fn told() -> GameActivity {
    GameActivity::gone("g".parse().unwrap())
}

fn installed(version: &str) -> GameActivity {
    GameActivity { installed: true, installed_version: Some(version.parse().unwrap()), ..told() }
}

fn downloaded(version: &str) -> GameActivity {
    GameActivity { downloaded_version: Some(version.parse().unwrap()), ..told() }
}

fn works(kind: WorkKind, step: WorkStep, on: GameActivity) -> GameActivity {
    let work = GameWork {
        operation: 7,
        kind,
        step,
        bytes: Some(10),
        bytes_total: Some(100),
        bytes_per_second: Some(20),
        source: Some([1; 16].into()),
        position: None,
        attempt: None,
        waiting_for: None,
        ahead: Some(2),
    };
    GameActivity { work: Some(work), ..on }
}

fn fails(kind: WorkKind, code: &str, on: GameActivity) -> GameActivity {
    GameActivity { failure: Some(WorkFailure::new(kind, code, None, "why")), ..on }
}

fn of(told: &GameActivity, seat: SeatState) -> RoomCell {
    let game = RoomGame {
        game: "g".parse().unwrap(),
        title: "G".to_owned(),
        version: Some("2".parse().unwrap()),
        bytes: None,
        unpacked_bytes: None,
        wanted: true,
        peers: Vec::new(),
    };
    cell([7; 16].into(), &game, Some(told), seat)
}

#[test]
fn a_cell_says_what_is_so() {
    use WorkKind as K;
    use WorkStep as S;
    let both = GameActivity { downloaded_version: Some("2".parse().unwrap()), ..installed("2") };
    for (told, expected) in [
        (told(), CellState::Absent),
        (installed("2"), CellState::Installed),
        (installed("1"), CellState::Outdated),
        (downloaded("2"), CellState::Downloaded),
        (downloaded("1"), CellState::Outdated),
        (both.clone(), CellState::Installed),
        (works(K::StreamInstall, S::Preparing, told()), CellState::Streaming),
        (works(K::StreamInstall, S::Streaming, told()), CellState::Streaming),
        (works(K::StreamInstall, S::Waiting, told()), CellState::Waiting),
        (works(K::StreamInstall, S::Queued, told()), CellState::Waiting),
        (works(K::Install, S::Downloading, told()), CellState::Downloading),
        (works(K::Install, S::Unpacking, downloaded("2")), CellState::Installing),
        (works(K::Update, S::Streaming, installed("1")), CellState::Updating),
        (works(K::Verify, S::Preparing, installed("2")), CellState::Verifying),
        (works(K::Uninstall, S::Preparing, installed("2")), CellState::Installed),
        (fails(K::StreamInstall, "disk-full", told()), CellState::Failed),
        (fails(K::StreamInstall, "cancelled", told()), CellState::Interrupted),
        (fails(K::Update, "cancelled", installed("1")), CellState::Outdated),
        (fails(K::Update, "disk-full", installed("1")), CellState::Failed),
        (fails(K::Verify, "differences", both), CellState::Damaged),
        (fails(K::StreamInstall, "already-installed", installed("2")), CellState::Installed),
        (fails(K::Download, "already-downloaded", downloaded("2")), CellState::Downloaded),
    ] {
        let cell = of(&told, SeatState::Here);
        assert_eq!(cell.state, expected, "{told:?}");
        assert_eq!(
            cell.code.is_some(),
            is_problem(expected) || expected == CellState::Interrupted,
            "{told:?}"
        );
    }
}

#[test]
fn what_a_silent_peer_was_doing_is_unknown_and_what_it_has_is_not() {
    let works = works(WorkKind::StreamInstall, WorkStep::Streaming, told());
    assert_eq!(of(&works, SeatState::Silent).state, CellState::Unknown);
    assert_eq!(of(&works, SeatState::Silent).source, None, "its link is not shown either");
    assert_eq!(of(&installed("2"), SeatState::Silent).state, CellState::Installed);
    assert_eq!(of(&installed("2"), SeatState::Lost).state, CellState::Unknown);
    assert_eq!(of(&told(), SeatState::Lost).state, CellState::Absent);
}

#[test]
fn the_time_that_is_left_is_rounded_up_and_unknown_in_a_stall() {
    let cell = of(&works(WorkKind::StreamInstall, WorkStep::Streaming, told()), SeatState::Here);
    assert_eq!((cell.operation, cell.seconds_left, cell.before), (Some(7), Some(5), Some(2)));
    assert_eq!(seconds_left(Some(1), Some(9), Some(0)), None);
    assert_eq!(seconds_left(Some(9), Some(1), Some(3)), Some(0), "a liar's numbers");
    assert_eq!(seconds_left(Some(0), Some(u64::MAX), Some(1)), Some(u64::MAX));
}
