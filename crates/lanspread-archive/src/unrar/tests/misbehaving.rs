//! Programs that hang, fail or are missing. Each is a shell script in a folder of its own.

use lanspread_types::content::{ArchiveFormat, Totals};
use lanspread_types::entry_path::{EntryPath, NamePolicy};

use super::*;
use crate::provider::ListedEntry;

/// A folder with a program and a file in the place of an archive.
struct Stage {
    folder: tempfile::TempDir,
    provider: UnrarProvider,
    archive: ArchiveSet,
}

impl Stage {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        programs::script(&program, script);
        fs::write(folder.path().join("x.eti"), "not read").unwrap();
        let archive = ArchiveSet::single(folder.path(), "x.eti");
        Self { provider: UnrarProvider::new(program, DICTIONARY_BYTES_DEFAULT), archive, folder }
    }

    fn inspect(&self, cancel: &CancellationToken) -> Result<ArchiveListing, ArchiveError> {
        self.provider.inspect(&self.archive, cancel)
    }

    /// Extracts with a listing of one file of `size` bytes.
    fn extract(&self, size: u64, sink: TreeSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        let path = EntryPath::parse("a", NamePolicy::Portable).unwrap();
        let file = FileEntry { path, size, checksum: None, modified: None, executable: false };
        let totals = Totals { files: 1, directories: 0, bytes: size };
        let summary =
            ArchiveSummary { name: "x.eti".into(), format: ArchiveFormat::Rar5, solid: false, totals };
        let listing = ArchiveListing { summary, entries: vec![ListedEntry::File(file)], dictionary_bytes: 0 };
        self.provider.extract(&self.archive, &Arc::new(listing), Rc::new(RefCell::new(sink)), cancel)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn wait_for_pids(&self, count: usize) {
        programs::block_until("the program runs", || programs::pids(self.folder.path()).len() == count);
    }

    fn assert_gone(&self) {
        for pid in programs::pids(self.folder.path()) {
            programs::block_until("its processes are gone", || programs::is_gone(pid));
        }
    }
}

/// Runs `work` and cancels it as soon as the script has written `pid_count` process ids.
fn cancel_while<T: Send>(
    stage: &Stage,
    pid_count: usize,
    work: impl FnOnce(&CancellationToken) -> T + Send,
) -> (T, Duration) {
    let cancel = CancellationToken::new();
    thread::scope(|scope| {
        let other_thread = scope.spawn(|| {
            stage.wait_for_pids(pid_count);
            cancel.cancel();
            Instant::now()
        });
        let result = work(&cancel);
        let returned = Instant::now();
        let cancelled = other_thread.join().unwrap();
        (result, returned.saturating_duration_since(cancelled))
    })
}

const SILENT: &str = "cd \"${0%/*}\"; sleep 1000 & echo $! >> pids; echo $$ >> pids; wait";

#[test]
fn a_silent_program_is_cancelled_with_all_its_children() {
    let stage = Stage::new(SILENT);
    let (result, late) = cancel_while(&stage, 2, |cancel| stage.inspect(cancel));
    assert!(matches!(result, Err(ArchiveError::Cancelled)), "{result:?}");
    assert!(late < Duration::from_secs(1), "{late:?}");
    stage.assert_gone();
}

#[test]
fn extraction_is_cancelled_too() {
    let stage = Stage::new(SILENT);
    let (result, late) = cancel_while(&stage, 2, |cancel| stage.extract(5, TreeSink::default(), cancel));
    assert!(matches!(result, Err(ArchiveError::Cancelled)), "{result:?}");
    assert!(late < Duration::from_secs(1), "{late:?}");
    stage.assert_gone();
}

/// The program closes its output and keeps running: the wait for its exit must be cancellable as well.
#[test]
fn a_program_that_does_not_end_is_cancelled() {
    let stage = Stage::new(&format!("exec >&-; {SILENT}"));
    let (result, late) = cancel_while(&stage, 2, |cancel| stage.inspect(cancel));
    assert!(matches!(result, Err(ArchiveError::Cancelled)), "{result:?}");
    assert!(late < Duration::from_secs(1), "{late:?}");
    stage.assert_gone();
    let stage = Stage::new(&format!("exec >&- 2>&-; {SILENT}"));
    let (result, _) = cancel_while(&stage, 2, |cancel| stage.inspect(cancel));
    assert!(matches!(result, Err(ArchiveError::Cancelled)), "{result:?}");
    stage.assert_gone();
}

#[test]
fn a_child_left_behind_holds_up_nothing_and_is_killed() {
    let stage = Stage::new("cd \"${0%/*}\"; sleep 1000 >&- & echo $! >> pids; echo gone wrong >&2; exit 7");
    let begun = Instant::now();
    let error = stage.inspect(&CancellationToken::new()).unwrap_err();
    assert!(error.to_string().ends_with("program failed on x.eti: exit status: 7: gone wrong"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    stage.assert_gone();
}

#[test]
fn a_program_is_stopped_when_the_sink_is_closed_or_gets_too_much() {
    let endless = "cd \"${0%/*}\"; echo $$ >> pids; exec cat /dev/zero";
    let stage = Stage::new(endless);
    let sink = TreeSink { closed: true, ..TreeSink::default() };
    let result = stage.extract(1 << 40, sink, &CancellationToken::new());
    assert!(matches!(result, Err(ArchiveError::Sink(SinkError::Closed))), "{result:?}");
    stage.assert_gone();
    let stage = Stage::new(endless);
    let result = stage.extract(5, TreeSink::default(), &CancellationToken::new());
    assert!(matches!(result, Err(ArchiveError::Corrupt { .. })), "{result:?}");
    stage.assert_gone();
}

#[test]
fn too_few_bytes_are_an_error_with_the_reason_of_the_program() {
    let extract =
        |script: &str| Stage::new(script).extract(5, TreeSink::default(), &CancellationToken::new());
    assert!(extract("printf hello").is_ok());
    assert!(matches!(extract("printf hell"), Err(ArchiveError::Size { expected: 5, got: 4, .. })));
    assert!(matches!(extract("exit 10"), Err(ArchiveError::ProgramFailed { .. })));
    let error = extract("printf hell; echo 'Unexpected end of archive' >&2; exit 3").unwrap_err();
    assert_eq!(error.to_string(), "x.eti is damaged: Unexpected end of archive");
    // All bytes are there, but the program reports a fault.
    assert!(matches!(extract("printf hello; exit 3"), Err(ArchiveError::Corrupt { .. })));
    assert!(matches!(extract("printf hello; kill -9 $$"), Err(ArchiveError::ProgramFailed { .. })));
}

/// The program writes far more to stderr than a pipe holds, before any output: neither side may block, and memory
/// stays bounded.
#[test]
fn a_flood_of_complaints_blocks_nothing() {
    let stage =
        Stage::new("head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; printf hello; echo end >&2; exit 2");
    let error = stage.extract(5, TreeSink::default(), &CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::ProgramFailed { .. }), "{error}");
    assert!(error.to_string().len() < 1000);
}

/// The variable `UNRAR` can hold switches, and a relative folder on `PATH` would be relative to the game.
#[test]
fn the_program_gets_safe_arguments_and_no_environment() {
    let stage = Stage::new(
        "cd \"${0%/*}\"; printf '%s\\n' \"$@\" > arguments; env > environment; cat > input; pwd > pwd",
    );
    assert!(stage.inspect(&CancellationToken::new()).is_err());
    assert_eq!(stage.read("arguments"), "lt\n-v\n-cfg-\n-p-\n-c-\n-y\n--\nx.eti\n");
    assert_eq!(stage.read("input"), "", "nothing to read from us");
    let environment = stage.read("environment");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    // The shell sets these itself.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["LC_ALL", "PATH", "TZ"]);
}

#[test]
fn what_cannot_be_run_or_read_is_named() {
    let stage = Stage::new("exit 3");
    let error = stage.inspect(&CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::Corrupt { .. }), "{error}");
    assert_eq!(error.to_string(), "x.eti is damaged: unrar ended with exit status: 3");

    for missing in ["/nonexistent/unrar", "nonexistent-unrar"] {
        let provider = UnrarProvider::new(missing.into(), DICTIONARY_BYTES_DEFAULT);
        let error = provider.inspect(&stage.archive, &CancellationToken::new()).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::ProgramMissing { program, .. } if program == Path::new(missing))
        );
    }
    fs::remove_file(stage.folder.path().join("x.eti")).unwrap();
    let error = stage.inspect(&CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ArchiveError::Read { .. }), "{error}");
}

#[test]
fn a_relative_program_is_found_from_our_folder() {
    let provider = UnrarProvider::new("tools/unrar".into(), DICTIONARY_BYTES_DEFAULT);
    assert_eq!(provider.program, std::env::current_dir().unwrap().join("tools/unrar"));
    let provider = UnrarProvider::new("unrar".into(), DICTIONARY_BYTES_DEFAULT);
    assert_eq!(provider.program, Path::new("unrar"), "looked for on PATH");
}
