//! `--dry-run`, `list`, `peers` and `status`: they print answers and change nothing.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

use crate::support::{
    Finished, Receiver, Running, Source, dead_address, decoded_at_source, finish, fixtures, make_pipe, peer,
    project, wait,
};

/// It prints sources, sizes and space, and changes nothing.
#[test]
fn a_dry_run_shows_what_would_happen() {
    let games = fixtures("fixture-solid");
    let (b, a) = (Source::start("b", &games), Source::start("a", &games));
    let receiver = Receiver::new();
    let done = finish(receiver.install("cnctw", &[&b, &a]).arg("--dry-run"));
    let plan = done.succeeded().one("operation-plan");
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

    // For people: one row for each game, wherever it is, and nothing but rows.
    let text = list(&["--peer", &source.address]).succeeded().stdout.clone();
    let games: Vec<_> = text.lines().filter_map(|row| row.split_whitespace().next()).collect();
    assert_eq!(games, ["alpha-arena", "alpha-racer", "common-quest"], "{text}");
    assert!(text.lines().all(|row| row.ends_with("only")), "{text}");
    // All that is known of one, and of one that is nowhere.
    let text = list(&["--peer", &source.address, "alpha-arena"]).succeeded().stdout.clone();
    assert!(text.starts_with("alpha-arena\n") && text.contains("by only\n"), "{text}");
    assert!(!text.contains("alpha-racer"), "{text}");
    let done = list(&["--json", "--peer", &source.address, "alpha-racer", "nowhere"]);
    done.failed(3, &["nowhere is not here"]);
    assert_eq!((done.named("offered-game").len(), done.named("local-game").len()), (1, 0));
    assert_eq!(done.one("error")["code"], "not-offered");

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
    assert!(text.contains("only at ") && text.contains("1 game, 0 of 3 streams, 1 connection\n"), "{text}");
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

/// Runs a command whose stdout has no reader any more.
fn unread(command: &mut Command) -> Finished {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Running::start(command.stdout(writer)).finish()
}

/// As `list | head -1` does: the reader has what it wanted.
#[test]
fn a_closed_stdout_ends_a_question_quietly() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let state = tempfile::tempdir().unwrap();
    let questions: [&[&str]; 8] = [
        &["list"],
        &["list", "--json"],
        &["status"],
        &["events"],
        &["events", "--json"],
        &["completions", "bash"],
        &["reference"],
        &["schema"],
    ];
    for words in questions {
        let mut command = peer();
        command.args(words).env("LANSPREAD_GAMES_DIR", source.games()).arg("--state-dir").arg(state.path());
        let done = unread(&mut command);
        assert_eq!((done.status.code(), done.stderr.as_str()), (Some(0), ""), "{words:?}");
    }
}

/// A follower that has lost its reader ends at the next event; it would otherwise be left behind by every script.
#[test]
fn a_follower_ends_when_its_reader_has_gone() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    for json in [true, false] {
        let mut command = peer();
        command.args(["events", "--follow", "--games-dir"]).arg(source.games());
        command.env("LANSPREAD_JSON", json.to_string());
        let mut follower = command.spawn().unwrap();
        // What has happened already is here; the reader goes before the next event happens.
        let mut stdout = BufReader::new(follower.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        drop(stdout);
        let receiver = Receiver::new();
        receiver.run("alpha-arena", &[&source]).succeeded();
        assert_eq!(wait(&mut follower).code(), Some(0), "json: {json}");
    }
}

/// What `events` was asked for is on stdout, for people too.
#[test]
fn events_for_people_are_on_stdout() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    for option in ["--verbose", "--quiet"] {
        let mut command = peer();
        let done = finish(command.args(["events", option, "--games-dir"]).arg(source.games()));
        assert!(done.succeeded().stdout.contains("only listens on 127.0.0.1:"), "{}", done.stdout);
        assert!(!done.stderr.contains("listens"), "{}", done.stderr);
    }
}

/// All named peers are asked. Those that do not answer are reported, and the exit status says that there are some.
#[test]
fn status_asks_every_named_peer() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let (state, first, second) = (tempfile::tempdir().unwrap(), dead_address(), dead_address());
    let ask = |peers: &[&str], json: bool| {
        let mut command = peer();
        command.args(["status", "--state-dir"]).arg(state.path()).env("LANSPREAD_JSON", json.to_string());
        finish(command.args(peers.iter().flat_map(|address| ["--peer", address])))
    };
    let done = ask(&[&first, &source.address, &second], true);
    assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
    assert_eq!(done.one("peer-status")["name"], "only");
    let unavailable: Vec<_> = done.named("peer-unavailable").iter().map(|it| it["peer"].clone()).collect();
    assert_eq!(unavailable, [first.as_str(), second.as_str()]);
    let error = done.one("error");
    assert_eq!((&error["code"], &error["exit_status"]), (&"unreachable".into(), &3.into()));
    assert_eq!(error["message"], "2 of 3 peers did not answer");

    let done = ask(&[&first, &source.address], false);
    assert_eq!(done.status.code(), Some(3));
    assert!(done.stdout.starts_with("only at ") && done.stdout.lines().count() == 1, "{}", done.stdout);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(lines[0].contains(&first) && lines[0].contains("firewall"), "{lines:?}");
    assert_eq!(lines[1..], ["error: 1 of 2 peers did not answer"]);
    ask(&[&source.address, &source.address], false).succeeded();
}

/// The titles of a catalog are shown where its games are listed.
#[test]
fn list_shows_the_titles_of_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog.toml");
    let games = "[games.alpha-arena]\nname = \"The \\u001b[31mArena\"\nversion = \"1\"\n";
    fs::write(&catalog, format!("schema = 1\n{games}")).unwrap();
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    receiver.run("alpha-arena", &[&source]).succeeded();
    let list = |json: bool| {
        let mut command = peer();
        command.args(["list", "--games-dir"]).arg(receiver.games()).arg("--state-dir").arg(receiver.state());
        command.args(["--peer", &source.address]).arg("--catalog").arg(&catalog);
        finish(command.env("LANSPREAD_JSON", json.to_string()))
    };
    let done = list(true);
    let shown = "The \\u{1b}[31mArena";
    assert_eq!(done.succeeded().one("local-game")["title"], shown);
    let titles: Vec<_> = done.named("offered-game").iter().map(|game| game["title"].clone()).collect();
    assert_eq!(titles, [serde_json::json!(shown), serde_json::Value::Null, serde_json::Value::Null]);
    let text = list(false).succeeded().stdout.clone();
    assert_eq!(text.matches(shown).count(), 1, "{text}");

    // A daemon shows the titles of its own catalog.
    let mut options = vec![OsString::from("--catalog")];
    options.push(catalog.clone().into());
    let daemon = Source::start_with("daemon", &fixtures("fixture-alpha"), options);
    let done = finish(peer().args(["list", "--json", "--games-dir"]).arg(daemon.games()));
    let arena = done.named("local-game").into_iter().find(|game| game["game"] == "alpha-arena");
    assert_eq!(arena.unwrap()["title"], shown);
}

/// The schema is the page in `docs/`. Every object that any of these tests reads is compared with it.
#[test]
fn schema_prints_the_schema_of_the_events() {
    let printed = finish(peer().arg("schema")).succeeded().stdout.clone();
    assert_eq!(printed, fs::read_to_string(project().join("docs/event-schema.json")).unwrap());
}

/// With `-v`, a command tells what it decides, and `-vv` what happens on connections. Without, it tells nothing of that.
#[test]
fn verbose_tells_what_is_decided() {
    let source = Source::start_with("only", &fixtures("fixture-alpha"), ["-vv"]);
    let dead = dead_address();
    let install = |option: &str| {
        let receiver = Receiver::new();
        let mut command = peer();
        command.args(["install", option, "--stream", "alpha-arena", "--games-dir"]).arg(receiver.games());
        command.args(["--peer", &dead, "--peer", &source.address]).arg("--state-dir").arg(receiver.state());
        finish(decoded_at_source(&mut command)).succeeded().stderr.clone()
    };
    let told = install("-v");
    let decisions = [
        "this process does the work itself".to_owned(),
        format!("asking {dead}, which was named or saved"),
        format!("{} offers it, after ", source.address),
        format!("{dead} failed after "),
        "multicast DNS was not needed".to_owned(),
        format!(
            "which most peers have, from peers with the same files, in this order: only ({})",
            source.address
        ),
        "bytes; ".to_owned(),
        "syncing the file system of ".to_owned(),
    ];
    for decision in &decisions {
        assert!(told.contains(decision), "`{decision}` is not in:\n{told}");
    }
    let told = install("--quiet");
    assert_eq!(told, "");
    let log = fs::read_to_string(source.state().join("stderr")).unwrap();
    assert!(
        log.contains("connected from 127.0.0.1:") && log.contains("sent the request StreamInstall"),
        "{log}"
    );

    let listed = finish(peer().args(["list", "-v", "--games-dir"]).arg(source.games()));
    let daemon = format!("(process {}) does the work", source.pid());
    assert!(listed.succeeded().stderr.contains(&daemon), "{}", listed.stderr);
}
