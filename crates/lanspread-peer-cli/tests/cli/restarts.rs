//! A daemon that is killed or stopped does what it was asked for when it is started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{
    Finished, Running, SLOW, Source, Tree, big_games, copy_tree, finish, fixtures, own_address, peer,
    unrar_tree,
};

/// A daemon whose folders outlive it.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("games")).unwrap();
        Self { folder }
    }

    /// One with these games.
    fn with_games(from: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_tree(from, &folder.path().join("games"));
        Self { folder }
    }

    fn games(&self) -> PathBuf {
        self.folder.path().join("games")
    }

    fn with_folders(&self, command: &mut Command) {
        command.arg("--games-dir").arg(self.games()).arg("--state-dir").arg(self.folder.path().join("state"));
    }

    fn start(&self) -> Running {
        self.start_on("127.0.0.1:0", &[]).0
    }

    /// Its daemon, and the address on which it serves.
    fn start_on(&self, listen: &str, options: &[&str]) -> (Running, String) {
        let mut command = peer();
        command.args(["serve", "--json", "--listen", listen, "--name", "machine"]).args(options);
        self.with_folders(&mut command);
        let mut daemon = Running::start(&mut command);
        let ready = daemon.wait_for("peer-ready");
        (daemon, ready["addr"].as_str().unwrap().to_owned())
    }

    fn ask(&self, words: &[&str]) -> Finished {
        let mut command = peer();
        self.with_folders(command.args(words).arg("--json"));
        finish(&mut command)
    }

    /// A client that the test does not follow.
    fn request(&self, words: &[&str]) -> Client {
        let mut command = peer();
        self.with_folders(command.args(words).stdout(Stdio::null()).stderr(Stdio::null()));
        Client(command.spawn().unwrap())
    }

    /// The files of operations that outlive the daemon, without drafts.
    fn wanted(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.games().join(".lanspread/wanted")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.strip_suffix(".json.new").is_none()).collect()
    }
}

struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn installed(machine: &Machine, game: &str, from: &Path) -> bool {
    Tree::read(&machine.games().join(game).join("local")) == unrar_tree(&from.join(game))
}

#[test]
fn what_a_killed_daemon_was_asked_for_is_done_by_the_next_one() {
    let big = Source::slow("big");
    let small = Source::start("small", &fixtures("fixture-solid"));
    let machine = Machine::new();
    // The second operation waits, and so it has not ended when the daemon is killed.
    let mut daemon = machine.start_on("127.0.0.1:0", &["--max-operations", "1"]).0;
    let _first = machine.request(&["install", "--stream", "big", "--peer", &big.address]);
    daemon.wait_for("stream-progress");
    let _second = machine.request(&["download", "cnctw", "--peer", &small.address]);
    // What is accepted is written down.
    assert_eq!(daemon.wait_for("operation-queued")["game"], "cnctw");
    assert_eq!(machine.wanted().len(), 2);
    daemon.signal("KILL");
    daemon.wait_for_end();
    assert!(!machine.games().join("big/local").exists());
    big.release();

    let mut daemon = machine.start();
    let resumed = [(); 2].map(|()| daemon.wait_for("operation-queued"));
    let kinds: Vec<_> = resumed.iter().map(|event| (&event["kind"], &event["resumed"])).collect();
    let (yes, stream, download) = (Value::Bool(true), Value::from("stream-install"), Value::from("download"));
    assert_eq!(kinds, [(&stream, &yes), (&download, &yes)]);
    for _ in 0..2 {
        assert_eq!(daemon.wait_for("operation-end")["outcome"], "done");
    }
    assert!(installed(&machine, "big", &big_games()));
    assert!(machine.games().join("cnctw/version.ini").is_file());
    assert_eq!(machine.wanted(), [""; 0], "nothing is done a third time");
    assert_eq!(machine.ask(&["operations"]).succeeded().stdout, "");
    // The next start has nothing to do either.
    daemon.signal("KILL");
    daemon.wait_for_end();
    let daemon = machine.start();
    machine.ask(&["status"]).succeeded();
    daemon.signal("TERM");
    let ended = daemon.finish();
    assert_eq!(ended.named("operation-queued"), [Value::Null; 0]);
}

#[test]
fn what_a_client_cancelled_is_not_done_again() {
    let source = Source::slow("only");
    let machine = Machine::new();
    let mut daemon = machine.start();
    let mut client = peer();
    machine.with_folders(client.args(["install", "--json", "--stream", "big", "--peer", &source.address]));
    let mut client = Running::start(&mut client);
    client.wait_for("stream-progress");
    assert_eq!(machine.wanted().len(), 1);
    client.signal("INT");
    client.finish().failed(130, &["cancelled"]);
    assert_eq!(machine.wanted(), [""; 0]);
    daemon.signal("KILL");
    daemon.wait_for_end();
}

/// After a power failure all machines start together, and the source may be the last one.
#[test]
fn a_resumed_operation_waits_for_its_source() {
    let sources = Machine::with_games(&big_games());
    let (mut source, address) = sources.start_on(&own_address(), &SLOW);
    let machine = Machine::new();
    let mut daemon = machine.start();
    let _client = machine.request(&["install", "--stream", "big", "--peer", &address]);
    daemon.wait_for("stream-progress");
    daemon.signal("KILL");
    daemon.wait_for_end();
    source.signal("KILL");
    source.wait_for_end();

    let mut daemon = machine.start();
    let retry = daemon.wait_for("operation-retry");
    assert_eq!((&retry["kind"], &retry["game"]), (&"stream-install".into(), &"big".into()), "{retry}");
    let operation = machine.ask(&["operations"]).succeeded().one("operation");
    assert_eq!((&operation["running"], &operation["resumed"]), (&true.into(), &true.into()));
    let _again = sources.start_on(&address, &[]);
    assert_eq!(daemon.wait_for("operation-end")["outcome"], "done");
    assert!(installed(&machine, "big", &big_games()));
}
