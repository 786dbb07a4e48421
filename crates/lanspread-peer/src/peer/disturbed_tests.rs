//! Attempts that something else than the content of the stream ends, or nearly: the disk of the receiver, a source that
//! is only slow, the user. On loopback, as in `attempt_tests`.

use std::sync::Arc;

use lanspread_testing::lying_source::LyingSource;
use lanspread_testing::machine::{Machine, Tree};
use lanspread_testing::small_game::frame;
use lanspread_testing::step::Step;
use lanspread_testing::{lies, small_game};
use lanspread_types::content::{RootFile, Totals};
use lanspread_types::fault::LocalError;
use lanspread_types::limits;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::peer::attempt_tests::{assert_installed, install, installed, listening, put_notes};
use crate::peer::error::PeerError;
use crate::report::channel::PeerEvents;
use crate::report::event::PeerEvent;
use crate::report::operation::{DecodeAt, OperationOptions};
use crate::testing::machine::PeerOf;

/// A source that pauses in the middle of the stream, when the staging folder exists and holds the first file.
struct Paused {
    source: LyingSource,
    barrier: Arc<Barrier>,
}

fn paused(name: &str, files: Vec<RootFile>) -> Paused {
    let barrier = Arc::new(Barrier::new(2));
    let mut stream = small_game::stream();
    stream.splice(
        frame::LAST_FILE_BEGIN..frame::LAST_FILE_BEGIN,
        [Step::Meet(Arc::clone(&barrier)), Step::Meet(Arc::clone(&barrier))],
    );
    Paused { source: LyingSource::new(name, files, stream), barrier }
}

/// If the disk fails in the middle, the next source is not tried: no other source can help.
#[tokio::test]
async fn a_failing_disk_ends_the_install() {
    let machine = Machine::new();
    put_notes(&machine);
    let before = machine.everything();
    let paused = paused("a", Vec::new());
    let first = paused.source.listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peer = machine.peer("receiver");
    let mut events = peer.events();
    let addresses = [first.address, second.address];
    let disturbing = async {
        paused.barrier.wait().await;
        // The folder into which the next file would be written has gone.
        let staging = machine.games_dir().join("small/.local.installing");
        std::fs::remove_dir_all(staging).unwrap();
        paused.barrier.wait().await;
    };
    let (result, ()) = tokio::join!(install(&peer, &addresses), disturbing);
    let error = result.unwrap_err();
    assert!(matches!(error, PeerError::Local(LocalError::Io { action: "create", .. })), "{error:?}");
    assert_eq!(error.code(), "local-io");
    assert_eq!(second.connections(), 1, "asked for its details and never tried");
    assert_eq!(failed_sources(&mut events), [], "no source is blamed for this machine");
    assert_eq!(machine.everything(), before);
    assert_eq!(peer.running_tasks(), 0);
}

/// The failed attempts that were reported: source and code.
fn failed_sources(events: &mut PeerEvents) -> Vec<(String, String)> {
    let told = std::iter::from_fn(|| events.try_next());
    told.filter_map(|event| match event {
        PeerEvent::StreamAttemptFailed { peer, code, .. } => Some((peer.to_string(), code.into_owned())),
        _ => None,
    })
    .collect()
}

/// An entry that this machine cannot hold may be in the stream of one source only, so the next one is tried.
#[tokio::test]
async fn an_entry_that_cannot_be_created_is_one_source_s_entry() {
    let machine = Machine::new();
    let paused = paused("a", Vec::new());
    let first = paused.source.listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peer = machine.peer("receiver");
    let addresses = [first.address, second.address];
    let disturbing = async {
        paused.barrier.wait().await;
        // To a file system that does not distinguish case, a name can be taken by another one.
        let staging = machine.games_dir().join("small/.local.installing");
        std::fs::write(staging.join(small_game::LAST_FILE), "in the way").unwrap();
        paused.barrier.wait().await;
    };
    let (result, ()) = tokio::join!(install(&peer, &addresses), disturbing);
    let report = result.unwrap();
    let attempts: Vec<_> = report.attempts.iter().map(|a| (a.peer.as_str(), &*a.code)).collect();
    assert_eq!(attempts, [("a", "local-io")]);
    assert_installed(&machine, "the second source");
}

/// A small file system over the games directory of a machine, if this machine lets the test mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(machine: &Machine, options: &str) -> Option<Self> {
        let place = machine.games_dir();
        let mount = ["-t", "tmpfs", "-o", options, "lanspread-test"];
        let done = std::process::Command::new("mount").args(mount).arg(&place).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(place));
        }
        println!("not tried: no right to mount a small disk");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount").arg(&self.0).status();
        assert!(done.is_ok_and(|done| done.success()), "the small disk is still mounted");
    }
}

/// A disk that is really full, if this machine lets the test mount one, does not fit the second source's claim either,
/// so the install ends with the disk's failure.
#[tokio::test]
async fn a_full_disk_ends_the_install() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine, "size=24m") else { return };
    let mount = machine.games_dir();
    let paused = paused("a", Vec::new());
    let first = paused.source.listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peer = machine.peer("receiver");
    let addresses = [first.address, second.address];
    let (mut events, mut told) = (peer.events(), peer.events());
    let filling = async {
        paused.barrier.wait().await;
        // The claim was accepted; the test, not the source, fills the disk from here on.
        while !matches!(events.next().await, Some(PeerEvent::ArchiveBegin { .. })) {}
        let ballast = mount.join("ballast");
        let filled = std::io::copy(&mut std::io::repeat(1), &mut std::fs::File::create(&ballast).unwrap());
        assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        paused.barrier.wait().await;
    };
    let (result, ()) = tokio::join!(install(&peer, &addresses), filling);
    let left: Vec<String> = machine.everything().into_keys().collect();
    drop((peer, disk));
    let error = result.unwrap_err();
    assert!(matches!(error, PeerError::Local(_)), "{error:?}");
    assert_eq!(error.code(), "disk-full", "{error}");
    let failed = failed_sources(&mut told);
    assert_eq!(failed.iter().map(|(peer, _)| peer.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(left, ["ballast"]);
}

/// A source that announces more entries than the file system has room for fails alone.
#[tokio::test]
async fn a_source_that_uses_up_the_inodes_is_left_for_the_next_one() {
    let machine = Machine::new();
    let Some(disk) = SmallDisk::mount(&machine, "size=64m,nr_inodes=64") else { return };
    let mut entries = Vec::new();
    for number in 0..100 {
        entries.extend(small_game::file(&format!("{number}"), b"", false));
    }
    let many = small_game::stream_of(entries, Totals { files: 100, directories: 0, bytes: 0 });
    let first = LyingSource::new("a", Vec::new(), many).listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peer = machine.peer("receiver");
    let report = install(&peer, &[first.address, second.address]).await;
    let (tree, _) = installed(&machine);
    drop((peer, disk));
    let report = report.unwrap();
    assert_eq!(report.attempts[0].code, "not-enough-inodes");
    assert_eq!((report.source.name.as_str(), tree), ("b", small_game::tree()));
}

/// A source that is alive but slow is left for the next one, and gets another turn after that one has failed.
#[tokio::test(start_paused = true)]
async fn a_slow_source_is_left_and_tried_again_after_the_others() {
    let machine = Machine::new();
    // While a blocking thread runs, the paused clock does not move by itself.
    let (stop_clock, stopped) = std::sync::mpsc::channel::<()>();
    let clock = tokio::task::spawn_blocking(move || stopped.recv());
    let barrier = Arc::new(Barrier::new(2));
    let mut slow = small_game::stream();
    slow.insert(frame::LAST_FILE_BEGIN, Step::Meet(Arc::clone(&barrier)));
    slow.insert(frame::LAST_FILE_BEGIN + 1, Step::Wait(2 * limits::SLOW_SOURCE_SPAN));
    let slow = LyingSource::new("a", Vec::new(), slow).listen().await;
    let busy = lies::all(&small_game::story()).into_iter().find(|lie| lie.name == "busy").unwrap();
    let busy = listening("b", &[], &busy).await;
    // The source's keep-alives take real time, so that here only its slowness ends the attempt.
    let peer = machine.describe("receiver").idle_timeout(std::time::Duration::from_mins(10)).build().unwrap();
    let mut events = peer.events();
    let addresses = [slow.address, busy.address];
    let moving = async {
        barrier.wait().await;
        tokio::time::advance(limits::SLOW_SOURCE_SPAN).await;
        barrier.wait().await;
        // This time it is not left, however long it takes.
        tokio::time::advance(3 * limits::SLOW_SOURCE_SPAN).await;
    };
    let (report, ()) = tokio::join!(install(&peer, &addresses), moving);
    let report = report.unwrap();
    assert_eq!(report.source.name.as_str(), "a");
    let expected = [("a", "too-slow"), ("b", "busy")].map(|(peer, code)| (peer.to_owned(), code.to_owned()));
    assert_eq!(failed_sources(&mut events), expected);
    assert_installed(&machine, "the slow source");
    drop(stop_clock);
    let _ = clock.await.unwrap();
}

/// Cancelled in the middle of a file: no next source, nothing left, nothing running.
#[tokio::test]
async fn cancelling_leaves_nothing() {
    let machine = Machine::new();
    let paused = paused("a", Vec::new());
    let first = paused.source.listen().await;
    let second = LyingSource::new("b", Vec::new(), small_game::stream()).listen().await;
    let peer = machine.peer("receiver");
    let cancel = CancellationToken::new();
    let options = OperationOptions {
        peers: vec![first.address.into(), second.address.into()],
        decode_at: DecodeAt::Source,
        ..OperationOptions::default()
    };
    let game = small_game::game();
    let cancelling = async {
        paused.barrier.wait().await;
        assert!(
            machine.games_dir().join("small/.local.installing").is_dir(),
            "it was cancelled before it began"
        );
        cancel.cancel();
    };
    let mut events = peer.events();
    let (result, ()) = tokio::join!(peer.stream_install_game(&game, &options, cancel.clone()), cancelling);
    assert!(matches!(result, Err(PeerError::Cancelled)), "{result:?}");
    // Whatever is reported is there when the call returns, and no source is blamed for the user's decision.
    let told: Vec<PeerEvent> = std::iter::from_fn(|| events.try_next()).collect();
    let is_failure = |event: &&PeerEvent| matches!(event, PeerEvent::StreamAttemptFailed { .. });
    assert_eq!(told.iter().find(is_failure), None);
    match told.last() {
        Some(PeerEvent::StreamInstallFailed { code, attempts, .. }) => {
            assert_eq!((&**code, &attempts[..]), ("cancelled", &[][..]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(machine.everything(), Tree::new());
    assert_eq!((peer.running_tasks(), second.connections()), (0, 1));
}

/// A peer that is shut down cancels its install: `shutdown` promises to cancel everything.
#[tokio::test]
async fn shutting_down_cancels_a_running_install() {
    let machine = Machine::new();
    let paused = paused("a", Vec::new());
    let source = paused.source.listen().await;
    let peer = machine.peer("receiver");
    let stopping = async {
        paused.barrier.wait().await;
        peer.shutdown().await
    };
    let addresses = [source.address];
    let (result, stopped) = tokio::join!(install(&peer, &addresses), stopping);
    assert!(matches!(result, Err(PeerError::Cancelled)), "{result:?}");
    stopped.unwrap();
    assert_eq!(machine.everything(), Tree::new());
    assert_eq!(peer.running_tasks(), 0);
}
