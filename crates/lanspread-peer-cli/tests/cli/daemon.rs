//! Commands that use a running daemon: they do the same and print the same, several commands share one operation, and
//! neither commands nor a second daemon can harm the daemon.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::support::{
    BIG_BYTES, DEADLINE, Finished, Receiver, Running, Source, Tree, decoded_at_source, eventually, finish,
    fixtures, peer, unrar_tree,
};

/// A daemon without games, and commands that use it.
struct Daemon {
    source: Source,
}

impl Daemon {
    fn start() -> Self {
        let empty = tempfile::tempdir().unwrap();
        Self { source: Source::start("daemon", empty.path()) }
    }

    /// A command with the daemon's games directory, not started.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = peer();
        command.args(words).arg("--json").arg("--games-dir").arg(self.source.games());
        command.arg("--state-dir").arg(self.source.state());
        command
    }

    fn ask(&self, words: &[&str]) -> Finished {
        finish(&mut self.command(words))
    }

    fn control(&self) -> UnixStream {
        UnixStream::connect(self.source.state().join("control.sock")).unwrap()
    }
}

/// The names of the events, without repetitions in a row.
fn names(done: &Finished) -> Vec<String> {
    let mut names: Vec<String> =
        done.objects().iter().map(|object| object["event"].as_str().unwrap().to_owned()).collect();
    names.dedup();
    names
}

#[test]
fn a_command_prints_the_same_with_and_without_a_daemon() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let daemon = Daemon::start();
    let install = ["install", "--stream", "cnctw", "--peer", &source.address];
    let by_daemon = finish(decoded_at_source(&mut daemon.command(&install)));
    let by_itself = finish(decoded_at_source(&mut Receiver::new().install("cnctw", &[&source])));
    assert_eq!(names(by_daemon.succeeded()), names(by_itself.succeeded()));
    let local = daemon.source.games().join("cnctw/local");
    assert_eq!(Tree::read(&local), unrar_tree(&fixtures("fixture-solid").join("cnctw")));
    let again = daemon.ask(&install);
    again.failed(5, &["already installed"]);
    let listed = daemon.ask(&["list"]);
    assert_eq!(listed.succeeded().one("local-game")["state"], "local-only");
    let status = daemon.ask(&["status"]);
    assert_eq!(status.succeeded().one("peer-status")["name"], "daemon");
}

#[test]
fn two_commands_share_one_operation_and_one_of_them_can_leave() {
    let mut source = Source::slow("only");
    let daemon = Daemon::start();
    let install = ["install", "--stream", "big", "--peer", &source.address];
    let mut first = Running::start(decoded_at_source(&mut daemon.command(&install)));
    first.wait_for("stream-progress");
    let mut second = Running::start(decoded_at_source(&mut daemon.command(&install)));
    second.wait_for("stream-progress");
    let listed = daemon.ask(&["operations"]).succeeded().one("operation");
    assert_eq!((&listed["kind"], &listed["followers"]), (&"stream-install".into(), &2.into()));
    first.signal("INT");
    let left = first.finish();
    left.failed(
        130,
        &["left install --stream big", "it continues", "`lanspread-peer-cli cancel big` ends it"],
    );
    assert_eq!(left.one("error")["game"], "big");
    source.release();
    let done = second.finish();
    assert_eq!(done.succeeded().one("stream-install-finished")["bytes"], BIG_BYTES);
    source.assert_idle();
    let end = source.wait_for("transfer-end");
    assert_eq!(
        (&end["outcome"], &end["bytes"]),
        (&"complete".into(), &BIG_BYTES.into()),
        "one stream, whole"
    );
}

#[test]
fn an_operation_survives_a_killed_command() {
    let source = Source::slow("only");
    let mut daemon = Daemon::start();
    let mut command =
        Running::start(&mut daemon.command(&["install", "--stream", "big", "--peer", &source.address]));
    command.wait_for("stream-progress");
    command.signal("KILL");
    drop(command);
    source.release();
    assert_eq!(daemon.source.wait_for("operation-end")["outcome"], "done");
    assert!(daemon.source.games().join("big/local").is_dir());
}

#[test]
fn an_interrupt_of_the_command_and_a_cancel_end_the_operation() {
    let source = Source::slow("only");
    let daemon = Daemon::start();
    let install = ["install", "--stream", "big", "--peer", &source.address];
    for by_interrupt in [true, false] {
        let mut command = Running::start(&mut daemon.command(&install));
        command.wait_for("stream-progress");
        if by_interrupt {
            command.signal("INT");
        } else {
            let cancelled = daemon.ask(&["cancel", "big"]).succeeded().one("operations-cancelled");
            assert_eq!(cancelled["count"], 1);
        }
        command.finish().failed(130, &["cancelled"]);
        assert!(!daemon.source.games().join("big").exists(), "nothing of it is left");
        source.assert_idle();
    }
    daemon.ask(&["cancel", "big"]).failed(5, &["no operation on big"]);
    assert_eq!(daemon.ask(&["operations"]).succeeded().stdout, "");
}

#[test]
fn the_newest_outcome_of_each_game_is_shown_with_why_and_what_to_do() {
    const GAME: &str = "alpha-racer";
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let daemon = Daemon::start();
    daemon.ask(&["uninstall", GAME]).failed(5, &["not installed"]);
    daemon.ask(&["install", "--stream", GAME, "--peer", &source.address]).succeeded();
    daemon.ask(&["uninstall", "nothing-here"]).failed(5, &["not installed"]);
    let ended = || daemon.ask(&["operations", "--ended"]).succeeded().named("ended-operation");
    let told = ended();
    let fields = |field: &str| told.iter().map(|ended| ended[field].clone()).collect::<Vec<_>>();
    assert_eq!(fields("game"), [GAME, "nothing-here"], "the newest last, and one of each game");
    assert_eq!(fields("outcome"), ["done", "not-installed"]);
    assert_eq!(fields("kind"), ["stream-install", "uninstall"]);
    assert!(told[0]["message"].is_null() && told[1]["message"].as_str().unwrap().contains("not installed"));
    let tree = daemon.source.games().join(GAME).join("local");
    let name = Tree::read(&tree).0.into_keys().find(|path| !path.ends_with('/')).unwrap();
    fs::remove_file(tree.join(name)).unwrap();
    assert!(!daemon.ask(&["verify", GAME]).status.success());
    let newest = ended().pop().unwrap();
    assert_eq!((&newest["game"], &newest["outcome"]), (&GAME.into(), &"differences".into()));
    assert_eq!(newest["hint"], "to repair it: `lanspread-peer-cli repair alpha-racer`");
    assert_eq!(daemon.ask(&["operations"]).succeeded().stdout, "", "nothing runs");
}

#[test]
fn a_command_reports_that_its_daemon_is_stopping() {
    let source = Source::slow("only");
    let mut daemon = Daemon::start();
    let mut command =
        Running::start(&mut daemon.command(&["install", "--stream", "big", "--peer", &source.address]));
    command.wait_for("stream-progress");
    daemon.source.signal("TERM");
    command.finish().failed(130, &["cancelled"]);
    assert_eq!(daemon.source.wait().code(), Some(0));
    assert!(!daemon.source.games().join("big").exists(), "nothing of it is left");
    assert!(!daemon.source.state().join("control.sock").exists());
}

#[test]
fn a_command_reports_that_its_daemon_was_killed() {
    let source = Source::slow("only");
    let daemon = Daemon::start();
    let mut command =
        Running::start(&mut daemon.command(&["install", "--stream", "big", "--peer", &source.address]));
    command.wait_for("stream-progress");
    daemon.source.signal("KILL");
    command.finish().failed(1, &["ended before this was done", "start it again"]);
}

#[test]
fn events_can_be_read_later_and_followed() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let daemon = Daemon::start();
    let mut follower = Running::start(&mut daemon.command(&["events", "--follow"]));
    follower.wait_for("peer-ready");
    daemon.ask(&["install", "--stream", "cnctw", "--peer", &source.address]).succeeded();
    assert_eq!(follower.wait_for("operation-end")["outcome"], "done");
    let events = names(daemon.ask(&["events"]).succeeded());
    for expected in ["peer-ready", "operation-begin", "stream-install-finished", "operation-end"] {
        assert!(events.iter().any(|name| name == expected), "{expected}: {events:?}");
    }
}

#[test]
fn only_the_user_may_open_the_socket() {
    let daemon = Daemon::start();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(daemon.source.state().join("control.sock")), 0o600);
}

#[test]
fn nonsense_and_floods_on_the_socket_do_no_harm() {
    let daemon = Daemon::start();
    let reply_to = |words: &[u8]| {
        let mut control = daemon.control();
        // The daemon may close the connection before it has read everything.
        let _ = control.write_all(words);
        let mut reply = String::new();
        control.set_read_timeout(Some(DEADLINE)).unwrap();
        BufReader::new(control).read_line(&mut reply).unwrap();
        reply
    };
    for nonsense in [&b"nonsense\n"[..], b"{}\n", b"{\"request\":\"no-such\"}\n", b"\xff\xfe\n", b"[[[[[[\n"]
    {
        assert!(reply_to(nonsense).contains("\"failed\""), "{nonsense:?}");
    }
    assert!(reply_to(&vec![b'x'; 5 << 20]).contains("too long"));
    assert!(reply_to(b"{\"request\":\"give-up\"}\n").contains("\"failed\""));
    // Many connections that send nothing: the daemon closes those beyond its limit, and the others time out. Once they
    // are closed, commands work again.
    let silent: Vec<UnixStream> = (0..200).map(|_| daemon.control()).collect();
    let mut refused = daemon.control();
    let _ = refused.read(&mut [0; 1]);
    drop(silent);
    eventually("it answers again", || daemon.ask(&["operations"]).status.success());
    daemon.source.status();
}

#[test]
fn a_games_directory_and_a_state_directory_have_one_daemon() {
    let daemon = Daemon::start();
    let pid = format!("process {}", daemon.source.pid());
    let other = tempfile::tempdir().unwrap();
    let serve = |games: &std::path::Path, state: &std::path::Path| {
        let mut command = peer();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--games-dir"])
            .arg(games)
            .arg("--state-dir")
            .arg(state);
        finish(&mut command)
    };
    serve(&daemon.source.games(), other.path()).failed(5, &[&pid, "games"]);
    serve(other.path(), &daemon.source.state()).failed(5, &[&pid]);
    daemon.source.status();
}

#[test]
fn a_killed_daemon_no_longer_owns_its_directories() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let mut daemon = Daemon::start();
    daemon.source.signal("KILL");
    daemon.source.wait();
    daemon.ask(&["operations"]).failed(3, &["no daemon"]);
    daemon.ask(&["install", "--stream", "cnctw", "--peer", &source.address]).succeeded();
}

#[test]
fn an_unreachable_daemon_is_named_and_no_daemon_works_beside_it() {
    let daemon = Daemon::start();
    fs::remove_file(daemon.source.state().join("control.sock")).unwrap();
    let pid = format!("process {}", daemon.source.pid());
    daemon.ask(&["list"]).failed(3, &[&pid, "control.sock", "--no-daemon"]);
    daemon.ask(&["list", "--no-daemon"]).succeeded();
}
