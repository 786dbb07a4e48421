//! A daemon that stops lets what runs end, and its receivers wait for it to come back.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use serde_json::Value;

use crate::support::{
    BIG_BYTES, DEADLINE, Receiver, Running, SLOW, Source, Tree, big_games, copy_tree, decoded_at_source,
    finish, fixtures, own_address, peer, unrar_tree,
};

/// A stream in its middle.
fn begun_stream(receiver: &Receiver, source: &Source) -> Running {
    let mut install = Running::start(decoded_at_source(&mut receiver.install("big", &[source])));
    install.wait_for("stream-progress");
    install
}

#[test]
fn a_draining_source_ends_its_streams_and_begins_none() {
    let mut source = Source::slow_with("only", ["--drain", "10m"]);
    let receiver = Receiver::new();
    let install = begun_stream(&receiver, &source);
    source.signal("TERM");
    let draining = source.wait_for("peer-draining");
    assert_eq!((&draining["transfers"], &draining["drain_ms"]), (&1.into(), &600_000.into()));
    for (command, how) in [("install", "decoded"), ("install", "packed"), ("download", "download")] {
        let late = Receiver::new();
        let mut command = late.command(command, "big", &[&source]);
        if how == "decoded" {
            decoded_at_source(&mut command);
        }
        let refused = finish(command.arg("--no-wait"));
        assert_eq!(refused.status.code(), Some(4), "{how}: {}", refused.stderr);
        assert!(refused.stderr.contains("stop"), "{how}: {}", refused.stderr);
    }
    let mut asked = peer();
    asked.args(["verify", "big", "--games-dir"]).arg(source.games());
    finish(&mut asked).failed(5, &["this daemon is stopping"]);
    source.release();
    let done = install.finish();
    assert_eq!(done.succeeded().one("stream-install-finished")["bytes"], BIG_BYTES);
    assert_eq!(source.wait().code(), Some(0), "it ends when its last stream has ended");
}

#[test]
fn a_second_signal_ends_a_drain() {
    let mut source = Source::slow_with("only", ["--drain", "10m"]);
    let receiver = Receiver::new();
    let install = begun_stream(&receiver, &source);
    source.signal("TERM");
    source.wait_for("peer-draining");
    source.signal("TERM");
    assert_eq!(source.wait().code(), Some(0));
    assert!(!source.state().join("control.sock").exists(), "it ended in order");
    drop(install);
}

/// A daemon with folders that outlive it, on an address that stays.
struct Server {
    folder: tempfile::TempDir,
    address: String,
    daemon: Running,
}

impl Server {
    /// One that sends slowly until it is started again.
    fn slow() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_tree(&big_games(), &folder.path().join("games"));
        let mut daemon = Running::start(Self::serve(folder.path(), &own_address()).args(SLOW));
        let address = daemon.wait_for("peer-ready")["addr"].as_str().unwrap().to_owned();
        Self { folder, address, daemon }
    }

    fn serve(folder: &Path, listen: &str) -> Command {
        let mut command = peer();
        command.args(["serve", "--json", "--name", "only", "--listen", listen, "--games-dir"]);
        command.arg(folder.join("games")).arg("--state-dir").arg(folder.join("state"));
        command
    }

    fn stop(&mut self, signal: &str) {
        self.daemon.signal(signal);
        self.daemon.wait_for_end();
    }

    fn start_again(&mut self) {
        self.daemon = Running::start(&mut Self::serve(self.folder.path(), &self.address));
        self.daemon.wait_for("peer-ready");
    }
}

fn install_from(receiver: &Receiver, server: &Server) -> Command {
    let mut command = receiver.install("big", &[]);
    command.args(["--peer", &server.address]);
    command
}

/// What is decoded at the source begins again, and what is decoded here goes on where it stopped.
#[test]
fn a_receiver_goes_on_with_the_same_source_after_its_restart() {
    for signal in ["TERM", "KILL"] {
        let mut server = Server::slow();
        let receiver = Receiver::new();
        let mut install = Running::start(decoded_at_source(&mut install_from(&receiver, &server)));
        install.wait_for("stream-progress");
        server.stop(signal);
        let awaited = install.wait_for("source-awaited");
        assert_eq!((&awaited["peer"], &awaited["game"]), (&"only".into(), &"big".into()), "{awaited}");
        server.start_again();
        let done = install.finish();
        assert_eq!(done.succeeded().one("stream-install-finished")["bytes"], BIG_BYTES);
        assert_eq!(Tree::read(&receiver.local("big")), unrar_tree(&big_games().join("big")));
    }
}

#[test]
fn a_packed_stream_does_not_begin_again_when_its_source_is_back() {
    let mut server = Server::slow();
    server.daemon.wait_for("packing-list-made");
    let receiver = Receiver::new();
    let mut install = Running::start(&mut install_from(&receiver, &server));
    install.wait_for("packed-placed");
    install.wait_for("stream-progress");
    server.stop("TERM");
    server.start_again();
    let done = install.finish();
    let finished = done.succeeded().one("packed-finished");
    let bytes: u64 =
        finished["brought"].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).sum();
    let archive = fs::metadata(big_games().join("big/big.eti")).unwrap().len();
    assert!(bytes >= archive && bytes < archive + archive / 10, "{bytes} of {archive}: {finished}");
    assert_eq!(done.named("stream-attempt-begin").len(), 1, "it is one attempt");
    assert_eq!(done.named("upstream-begin").len(), 2, "the source was opened twice");
    assert_eq!(Tree::read(&receiver.local("big")), unrar_tree(&big_games().join("big")));
}

/// What a service manager is told. It reads at all times, as a real one does: the system keeps ten messages for one that does
/// not, and further ones are lost.
fn told_to(manager: UnixDatagram) -> mpsc::Receiver<String> {
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match manager.recv(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
                Ok(length) => {
                    if sender.send(String::from_utf8(buffer[..length].to_vec()).unwrap()).is_err() {
                        return;
                    }
                }
            }
        }
    });
    told
}

/// What a service manager hears of a reload, of the watchdog, and of a stop that takes time.
#[test]
fn a_service_reads_its_settings_again_and_asks_for_time_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    copy_tree(&fixtures("fixture-solid"), &folder.path().join("games"));
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let manager = told_to(manager);
    let told = || manager.recv_timeout(DEADLINE).expect("it tells its manager something");
    let other = Source::start("other", &fixtures("fixture-solid"));
    let mut command = Server::serve(folder.path(), "127.0.0.1:0");
    command.arg("--drain=1s").env("NOTIFY_SOCKET", folder.path().join("notify"));
    command.env("WATCHDOG_USEC", "400000");
    let mut daemon = Running::start(&mut command);
    daemon.wait_for("peer-ready");
    assert!(told().starts_with("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(told(), "WATCHDOG=1");
    }
    let mut add = peer();
    add.args(["peers", "add", &other.address, "--state-dir"]).arg(folder.path().join("state"));
    finish(&mut add).succeeded();
    daemon.signal("HUP");
    let mut heard = String::new();
    while !heard.contains("READY=1") {
        heard = format!("{heard}{}\n", told());
    }
    assert!(heard.contains("RELOADING=1\nMONOTONIC_USEC="), "{heard}");
    assert_eq!(
        daemon.wait_for("peer-found")["name"],
        Value::from("other"),
        "it was saved while this one ran"
    );
    daemon.signal("TERM");
    let mut heard = String::new();
    while !heard.contains("EXTEND_TIMEOUT_USEC=") {
        heard = format!("{heard}{}\n", told());
    }
    assert!(heard.contains("STOPPING=1"), "{heard}");
    daemon.finish().succeeded();
}
