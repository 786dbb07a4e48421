//! Object stores as sources: a real one that checks signatures, `SeaweedFS`, with one bucket that only a key opens.
//!
//! `LANSPREAD_TEST_WITHOUT_STORE=1` leaves these tests out, for a machine that cannot have it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::{Fair, command};
use crate::catalog_builds::build;
use crate::support::{Receiver, Tree, eventually, finish, unrar_tree};

const KEY_ID: &str = "key-of-the-party";
const SECRET: &str = "secret/of+the=party";
/// For one answer of a store that is starting: it may never answer what it was asked too early.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Signs that have to be encoded where the path is signed.
const PREFIX: &str = "lan+party/v1=2026";

/// A running store with the files of a game; killed when dropped.
struct Store {
    process: Child,
    port: u16,
    fair: Fair,
    _folder: tempfile::TempDir,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The store of all tests that run at the same time; `None` if these tests are left out.
fn store() -> Option<Arc<Store>> {
    static RUNNING: Mutex<Weak<Store>> = Mutex::new(Weak::new());
    if std::env::var_os("LANSPREAD_TEST_WITHOUT_STORE").is_some() {
        return None;
    }
    // If the store did not start for one test, the next one tries again.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let store = running.upgrade().unwrap_or_else(|| Arc::new(Store::start()));
    *running = Arc::downgrade(&store);
    Some(store)
}

impl Store {
    fn start() -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| crate::support::project().join("target"), Into::into);
        let program = target.join("tools/seaweedfs/bin/weed");
        assert!(program.is_file(), "{} is missing: run scripts/fetch_store.sh", program.display());
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let keys = format!(
            r#"{{"identities": [{{"name": "party", "actions": ["Read"],
                "credentials": [{{"accessKey": "{KEY_ID}", "secretKey": "{SECRET}"}}]}}]}}"#
        );
        fs::write(here.join("keys.json"), keys).unwrap();
        // Another process can take a port before the store has it, which then does not start: the next ones are tried.
        for _ in 0..5 {
            let free = free_ports();
            let mut weed = Command::new(&program);
            weed.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-master.telemetry=false"]);
            // A volume is a file on the disk of the tests.
            weed.args(["-volume.max=4", "-master.volumeSizeLimitMB=16"]);
            let ports = ["s3", "filer", "master", "volume"]
                .iter()
                .flat_map(|part| [format!("{part}.port"), format!("{part}.port.grpc")]);
            weed.args(ports.zip(&free).map(|(option, port)| format!("-{option}={port}")));
            weed.arg(format!("-dir={}", here.display()))
                .arg(format!("-s3.config={}/keys.json", here.display()));
            weed.current_dir(here).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = weed.spawn().unwrap();
            let (port, filer) = (free[0], free[2]);
            let mut is_up = false;
            eventually("the store answers", || {
                is_up = status(filer, "PUT", "/buckets/games/up", b"up") == 201
                    && status(port, "GET", "/games/up", b"") == 403;
                is_up || process.try_wait().unwrap().is_some()
            });
            if is_up {
                let fair = Fair::with_manifest_beside("fixture-multi");
                build(&fair.organiser, &["--source", &format!("s3://games/{PREFIX}")]).succeeded();
                put_game(filer, &fair.games.join("cnctw"));
                return Self { process, port, fair, _folder: folder };
            }
        }
        panic!("the store does not start");
    }

    /// A command on the game of the bucket, with this secret key.
    fn command(&self, receiver: &Receiver, words: &[&str], secret: &str) -> Command {
        let mut command = command(receiver, words, &format!("s3://games/{PREFIX}"));
        self.with_key(&mut command, secret);
        command
    }

    fn with_key<'c>(&self, command: &'c mut Command, secret: &str) -> &'c mut Command {
        command.env("AWS_ACCESS_KEY_ID", KEY_ID).env("AWS_SECRET_ACCESS_KEY", secret);
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
    }
}

/// One for each protocol of each of its parts.
fn free_ports() -> [u16; 8] {
    let sockets = [(); 8].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// Puts the files of a game into the bucket, by the way of the one who owns the store.
fn put_game(filer: u16, root: &Path) {
    for file in fs::read_dir(root).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let target = format!("/buckets/games/{PREFIX}/cnctw/{name}");
        let content = fs::read(&path).unwrap();
        // A store that has just started may have no volume for it yet.
        eventually(&format!("{target} is there"), || status(filer, "PUT", &target, &content) == 201);
    }
}

/// The status of the answer to a request; 0 if there is none.
fn status(port: u16, method: &str, target: &str, body: &[u8]) -> u16 {
    let ask = || {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
        write!(
            socket,
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            body.len()
        )?;
        socket.write_all(body)?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        std::io::Result::Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
    };
    ask().unwrap_or(0)
}

#[test]
fn a_key_opens_a_bucket_and_no_output_shows_it() {
    let Some(store) = store() else { return };
    let file = format!("/games/{PREFIX}/cnctw/version.ini").replace('+', "%2B").replace('=', "%3D");
    eventually("the bucket is not public", || match status(store.port, "GET", &file, b"") {
        200 => panic!("{file} is public"),
        status => status == 403,
    });
    let receiver = Receiver::new();
    let done = finish(store.command(&receiver, &["download"], SECRET).arg("-vv"));
    let finished = done.succeeded().one("download-finished");
    assert_eq!(finished["sources"][0]["peer"], format!("s3://games/{PREFIX}"));
    store.fair.assert_arrived(&receiver);
    for shown in [&done.stdout, &done.stderr] {
        assert!(!shown.contains(SECRET) && !shown.contains("X-Amz-") && !shown.contains(KEY_ID), "{shown}");
    }
}

#[test]
fn a_wrong_secret_key_is_named_in_one_line_and_not_shown() {
    let Some(store) = store() else { return };
    let receiver = Receiver::new();
    let refused = finish(&mut store.command(&receiver, &["download"], "wrong-one"));
    let errors = refused.named("error");
    assert_eq!((refused.status.code(), errors.len()), (Some(3), 1), "{}", refused.stdout);
    let line = errors[0]["message"].as_str().unwrap();
    let meaning = "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID";
    assert!(line.contains("SignatureDoesNotMatch") && line.contains(meaning), "{line}");
    assert!(!refused.stdout.contains("wrong-one") && !refused.stderr.contains("wrong-one"), "{line}");
    receiver.assert_untouched();

    let mut without = store.command(&receiver, &["download"], SECRET);
    let refused = finish(without.env_remove("AWS_ACCESS_KEY_ID"));
    assert_eq!(refused.status.code(), Some(3));
    assert!(refused.stdout.contains("AWS_ACCESS_KEY_ID is not set"), "{}", refused.stdout);
}

/// The catalog says in which bucket its games are; which key opens it is up to each machine.
#[test]
fn a_catalog_names_a_bucket_from_which_machines_install_without_an_archive() {
    let Some(store) = store() else { return };
    let receiver = Receiver::new();
    let alone = receiver.games().join("../catalog.toml");
    fs::copy(store.fair.catalog(), &alone).unwrap();
    let mut install = receiver.install("cnctw", &[]);
    let done = finish(store.with_key(&mut install, SECRET).arg("--catalog").arg(&alone));
    assert_eq!(done.succeeded().one("stream-install-finished")["trust"], "verified");
    assert_eq!(done.named("manifest-arrived").len(), 1);
    assert_eq!(done.one("upstream-begin")["kind"], "http");
    assert_eq!(Tree::read(&receiver.local("cnctw")), unrar_tree(&store.fair.games.join("cnctw")));
    assert!(!receiver.games().join("cnctw/cnctw-a.eti").exists(), "no archive is stored");
}
