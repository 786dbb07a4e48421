//! What a command writes on stderr: priorities for the journal of systemd, JSON lines, and a filter.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Running, Source, finish, fixtures, peer};

/// A command whose stderr is this file, which it is told is the journal. Returns what it wrote there.
fn to_journal(command: &mut Command, journal: &Path, named: bool) -> Vec<String> {
    let file = fs::File::create(journal).unwrap();
    let metadata = file.metadata().unwrap();
    let inode = if named { metadata.ino() } else { metadata.ino() + 1 };
    command.env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev())).stderr(file);
    command.output().unwrap();
    fs::read_to_string(journal).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn list() -> Command {
    let mut command = peer();
    command.args(["-v", "list", "--games-dir"]).arg(fixtures("fixture-solid"));
    command
}

#[test]
fn every_line_in_the_journal_has_a_priority_and_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, state) = (folder.path().join("journal"), folder.path().join("state"));
    let lines = to_journal(list().arg("--state-dir").arg(&state), &journal, true);
    assert!(lines.len() > 1, "the log and the answer: {lines:?}");
    assert!(lines.iter().all(|line| line.starts_with('<') && line[2..].starts_with('>')), "{lines:?}");
    let info = lines.iter().find(|line| line.contains("this process does the work itself")).unwrap();
    assert!(info.starts_with("<6>this process"), "neither time nor level beside the priority: {info}");

    let failing = to_journal(peer().args(["list", "--games-dir", "/no/such/folder"]), &journal, true);
    assert!(failing.last().unwrap().starts_with("<3>error: "), "{failing:?}");

    // A child that was given another stderr.
    let lines = to_journal(list().arg("--state-dir").arg(&state), &journal, false);
    assert!(lines.iter().all(|line| !line.starts_with('<')), "{lines:?}");
}

/// Also what happens at a daemon is a line of the journal.
#[test]
fn what_happens_at_a_daemon_has_a_priority() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, games) = (folder.path().join("journal"), folder.path().join("games"));
    fs::create_dir(&games).unwrap();
    let file = fs::File::create(&journal).unwrap();
    let metadata = file.metadata().unwrap();
    let mut command = peer();
    command.args(["serve", "--listen", "127.0.0.1:0", "--games-dir"]).arg(&games);
    command.arg("--state-dir").arg(folder.path().join("state")).stderr(file);
    command.env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino()));
    let mut daemon = Running::start(&mut command);
    let written = || fs::read_to_string(&journal).unwrap();
    crate::support::eventually("it says that the network is open", || written().contains("open: "));
    daemon.signal("TERM");
    daemon.wait_for_end();
    let lines = written();
    assert!(lines.lines().any(|line| line.starts_with("<6>") && line.contains(" listens on ")), "{lines}");
    assert!(lines.lines().any(|line| line.starts_with("<5>open: ")), "{lines}");
}

#[test]
fn with_json_each_line_on_stderr_is_an_object() {
    let state = tempfile::tempdir().unwrap();
    let done = finish(list().args(["--log-format", "json", "--state-dir"]).arg(state.path()));
    let lines: Vec<Value> = done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |level: &str, part: &str| {
        lines.iter().any(|line| line["level"] == level && line["message"].as_str().unwrap().contains(part))
    };
    assert!(found("info", "this process does the work itself"), "{}", done.stderr);
    assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')), "{}", done.stderr);
    let failed = finish(peer().args(["--log-format=json", "list", "--games-dir", "/no/such/folder"]));
    let error: Value = serde_json::from_str(failed.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["level"], "error");
}

/// A person who looks for the reason of a failure wants to know with whom was talked.
#[test]
fn a_verbose_log_names_each_connection_and_request() {
    let source = Source::start("den", &fixtures("fixture-solid"));
    let state = tempfile::tempdir().unwrap();
    let logged = |verbose: &str| {
        let mut command = peer();
        command.args([verbose, "status", "--peer", &source.address, "--state-dir"]).arg(state.path());
        finish(&mut command).succeeded().stderr.clone()
    };
    let stderr = logged("-vv");
    let id = source.ready["peer"].as_str().unwrap();
    assert!(stderr.contains(&format!("connected to den ({id}) at {}", source.address)), "{stderr}");
    assert!(stderr.contains("den is sent the request Status"), "{stderr}");
    assert!(!logged("-v").contains("connected to den"));
}

#[test]
fn a_filter_chooses_what_is_logged_and_a_wrong_one_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let logs = |filter: &str, verbose: &str| {
        let mut command = peer();
        command.args([verbose, "list", "--games-dir"]).arg(fixtures("fixture-solid"));
        command.env("LANSPREAD_LOG", filter).arg("--state-dir").arg(state.path());
        finish(&mut command)
    };
    let line = "this process does the work itself";
    assert!(logs("info", "--verbose").stderr.contains(line));
    assert!(logs("lanspread_peer_cli=info", "--verbose").stderr.contains(line));
    assert!(!logs("warn", "--verbose").stderr.contains(line), "the filter wins over -v");
    logs("lanspread_peer=loud", "--verbose").failed(2, &["--log", "lanspread_peer=loud"]);
}
