//! `--dry-run`, `list`, `peers` and `status`: they print answers and change nothing.

use std::fs;

use crate::support::{Receiver, Source, dead_address, finish, fixtures, make_pipe, peer};

/// It prints sources, sizes and space, and changes nothing.
#[test]
fn a_dry_run_shows_what_would_happen() {
    let games = fixtures("fixture-solid");
    let (b, a) = (Source::start("b", &games), Source::start("a", &games));
    let receiver = Receiver::new();
    let done = finish(receiver.install("cnctw", &[&b, &a]).arg("--dry-run"));
    let plan = done.succeeded().one("stream-install-plan");
    assert_eq!((&plan["game"], &plan["version"]), (&"cnctw".into(), &"20250101".into()));
    let names: Vec<_> =
        plan["sources"].as_array().unwrap().iter().map(|source| source["name"].clone()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        (&plan["files"], &plan["bytes"], &plan["fits"]),
        (&62.into(), &1_407_710.into(), &true.into())
    );
    let number = |field: &str| plan[field].as_u64().unwrap();
    assert!(
        number("needed_bytes") > number("bytes") && number("free_bytes") > number("needed_bytes"),
        "{plan}"
    );
    receiver.assert_untouched();

    let mut command = peer();
    command.args(["install", "--stream", "cnctw", "--dry-run", "--peer", &a.address, "--games-dir"]);
    command.arg(receiver.games()).arg("--state-dir").arg(receiver.state());
    let done = finish(&mut command);
    assert!(
        done.succeeded().stdout.contains("62 files") && done.stdout.contains(&a.address),
        "{}",
        done.stdout
    );
    receiver.assert_untouched();
}

/// It fails as the install would.
#[test]
fn a_dry_run_of_an_impossible_install_fails() {
    let source = Source::start("only", &fixtures("fixture-encrypted"));
    let receiver = Receiver::new();
    finish(receiver.install("no-such-game", &[&source]).arg("--dry-run")).failed(3, &["no-such-game"]);
    finish(receiver.install("encrypted-data", &[&source]).arg("--dry-run")).failed(4, &["encrypted"]);
    fs::create_dir_all(receiver.local("encrypted-data")).unwrap();
    finish(receiver.install("encrypted-data", &[&source]).arg("--dry-run")).failed(5, &["already installed"]);
}

/// A streamed game is installed but not shareable, so it is not offered. The games of a source are offered.
#[test]
fn list_shows_local_and_offered_games() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    receiver.run("alpha-arena", &[&source]).succeeded();
    let list = |arguments: &[&str]| {
        let mut command = peer();
        command.args(["list", "--games-dir"]).arg(receiver.games()).arg("--state-dir").arg(receiver.state());
        finish(command.args(arguments))
    };
    let done = list(&["--json", "--peer", &source.address]);
    let local = done.succeeded().one("local-game");
    assert_eq!((&local["game"], &local["state"]), (&"alpha-arena".into(), &"local-only".into()));
    assert_eq!((&local["downloaded"], &local["installed"]), (&false.into(), &true.into()));
    let offered: Vec<_> = done.named("offered-game").iter().map(|object| object["game"].clone()).collect();
    assert_eq!(offered, ["alpha-arena", "alpha-racer", "common-quest"]);
    assert!(done.named("offered-game").iter().all(|object| object["peers"] == serde_json::json!(["only"])));

    let text = list(&[]).succeeded().stdout.clone();
    assert!(text.contains("installed, not shareable"), "{text}");

    // A game that is installed but not downloaded is not offered.
    let relay = Source::start("relay", &receiver.games());
    assert_eq!(relay.status()["games"], serde_json::json!([]));
    let second = Receiver::new();
    second.run("alpha-arena", &[&relay]).failed(3, &["alpha-arena", "relay: it does not have alpha-arena"]);
    second.assert_untouched();
}

/// Folders that look like games and are not served are named with the reason, by `list` and by a source, and what is a
/// pipe hangs neither.
#[test]
fn folders_that_are_passed_over_are_named_with_the_reason() {
    let receiver = Receiver::new();
    let games = receiver.games();
    let add = |folder: &str| {
        fs::create_dir(games.join(folder)).unwrap();
        fs::write(games.join(folder).join("a.eti"), "x").unwrap();
    };
    for folder in ["Age of Empires II", "pipe", "case", "wide"] {
        add(folder);
    }
    make_pipe(&games.join("pipe/version.ini"));
    fs::write(games.join("case/Version.ini"), "1").unwrap();
    fs::write(games.join("wide/version.ini"), b"\xff\xfe7\0\r\0\n\0").unwrap();
    let list = |arguments: &[&str]| {
        let mut command = peer();
        command.args(["list", "--games-dir"]).arg(&games).arg("--state-dir").arg(receiver.state());
        finish(command.args(arguments))
    };
    let expected =
        [("Age of Empires II", "folder-name"), ("case", "sentinel-name"), ("pipe", "sentinel-unusable")];
    let done = list(&["--json"]);
    let named = done.succeeded().named("folder-passed-over");
    let found: Vec<_> = named
        .iter()
        .map(|object| (object["folder"].as_str().unwrap(), object["code"].as_str().unwrap()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(named[0]["suggestion"], "Age-of-Empires-II");
    let wide = done.named("local-game").into_iter().find(|object| object["game"] == "wide").unwrap();
    assert_eq!((&wide["version"], &wide["state"]), (&"7".into(), &"ready".into()));

    let text = list(&[]).succeeded().stdout.clone();
    assert!(text.contains("(rename it, for example to Age-of-Empires-II)"), "{text}");
    assert!(text.contains("pipe is passed over: its version.ini is not usable: it is a pipe"), "{text}");

    // A copy of the folder for the source: a pipe cannot be copied.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("Age of Empires II")).unwrap();
    fs::write(folder.path().join("Age of Empires II/a.eti"), "x").unwrap();
    let mut source = Source::start("only", folder.path());
    assert_eq!(source.wait_for("folder-passed-over")["code"], "folder-name");
}

/// A peer that does not answer is reported on stderr, and the others are still listed.
#[test]
fn one_dead_peer_does_not_hide_the_others() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let (state, dead) = (tempfile::tempdir().unwrap(), dead_address());
    let peers = |arguments: &[&str]| {
        finish(peer().args(["peers", "--json", "--state-dir"]).arg(state.path()).args(arguments))
    };
    let done = peers(&["--peer", &dead, "--peer", &source.address]);
    let found = done.succeeded().one("peer");
    assert_eq!((&found["name"], &found["games"]), (&"only".into(), &3.into()));
    assert_eq!((&found["addr"], &found["peer"]), (&source.ready["addr"], &source.ready["peer"]));
    assert!(done.stderr.contains(&dead), "{}", done.stderr);
    peers(&["--peer", &dead]).failed(3, &[&dead]);
    peers(&[]).failed(2, &["--peer HOST:PORT"]);
}

/// `status` shows programs and people what a source serves and does.
#[test]
fn status_shows_what_a_source_does() {
    let source = Source::start_with("only", &fixtures("fixture-solid"), ["--max-streams", "3"]);
    let status = source.status();
    assert_eq!((&status["name"], &status["peer"]), (&"only".into(), &source.ready["peer"]));
    assert_eq!(status["games"], serde_json::json!(["cnctw"]));
    assert_eq!((&status["active_outbound_transfers"], &status["streams_max"]), (&0.into(), &3.into()));
    let state = tempfile::tempdir().unwrap();
    let ask =
        |address: &str| finish(peer().args(["status", "--peer", address, "--state-dir"]).arg(state.path()));
    let text = ask(&source.address).succeeded().stdout.clone();
    assert!(
        text.contains("only at ") && text.contains("1 games") && text.contains("0 of 3 streams"),
        "{text}"
    );
    let dead = dead_address();
    ask(&dead).failed(3, &[&dead]);
}

/// A failed command prints an `error` object for programs on stdout and a line for people on stderr.
#[test]
fn a_failure_is_an_object_too() {
    let receiver = Receiver::new();
    let done = receiver.run("cnctw", &[]);
    done.failed(2, &[]);
    let error = done.one("error");
    assert_eq!((&error["code"], &error["exit_status"]), (&"no-peers".into(), &2.into()));
    let line =
        format!("error: {} ({})\n", error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
    assert_eq!(done.stderr, line);
}

/// `--version` and `--help` are answers, not failures.
#[test]
fn version_and_help_are_answers() {
    for argument in ["--version", "--help"] {
        let done = finish(peer().arg(argument));
        assert!(done.succeeded().stdout.contains("lanspread-peer-cli"), "{}", done.stdout);
        assert_eq!(done.stderr, "");
    }
}

/// A pipe that closes early ends a listing without a panic.
#[test]
fn a_closed_stdout_ends_a_listing_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let state = tempfile::tempdir().unwrap();
    let mut command = peer();
    command.args(["list", "--games-dir"]).arg(fixtures("fixture-alpha")).arg("--state-dir").arg(state.path());
    let done = finish(command.stdout(writer));
    assert!(matches!(done.status.code(), Some(0 | 1)), "{:?}", done.status);
    assert!(!done.stderr.contains("panicked") && done.stderr.lines().count() <= 1, "{}", done.stderr);
}
