//! `serve --web`: who may use the page, and that it can do what the command line does.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{DEADLINE, Source, eventually, finish, fixtures, peer};

/// A daemon with a page, and the address of the page.
struct Page {
    daemon: Source,
    address: String,
    ready: Value,
}

impl Page {
    fn start(web: &str, options: &[&str]) -> Self {
        let empty = tempfile::tempdir().unwrap();
        let mut all = vec!["--web", web];
        all.extend(options);
        let mut daemon = Source::start_with("seat", empty.path(), all);
        let ready = daemon.wait_for("page-ready");
        let url = ready["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        Self { daemon, address, ready }
    }

    fn connect(&self) -> TcpStream {
        // A page on every address is asked on one of them.
        let stream = TcpStream::connect(self.address.replace("0.0.0.0", "127.0.0.1")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Status and body of the answer to one request.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut stream = self.connect();
        let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines = lines.concat();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// A request as the page sends it.
    fn as_page(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let (origin, bearer) =
            (format!("http://{}", self.address), format!("Bearer {}", token.unwrap_or("none")));
        let headers = [
            ("Host", self.address.as_str()),
            ("Origin", &origin),
            ("Content-Type", "application/json"),
            ("Authorization", &bearer),
        ];
        self.ask(method, path, &headers, body)
    }

    fn room(&self, token: Option<&str>) -> Value {
        let (status, room) = self.as_page("GET", "/api/v1/room", token, "");
        assert_eq!(status, 200, "{room}");
        room
    }

    fn operations(&self) -> usize {
        let mut command = peer();
        command.args(["operations", "--json", "--games-dir"]).arg(self.daemon.games());
        command.arg("--state-dir").arg(self.daemon.state());
        finish(&mut command).succeeded().named("operation").len()
    }
}

#[test]
fn low_disk_install_from_the_page_of_a_machine_without_games() {
    let source = Source::start("den", &fixtures("fixture-solid"));
    let page = Page::start("127.0.0.1:0", &["--peer", &source.address]);
    assert_eq!(page.ready["token_file"], Value::Null, "loopback needs no token");
    eventually("the game is offered", || page.room(None)["games"][0]["game"] == "cnctw");
    let own = page.room(None)["self"].clone();
    let path = format!("/api/v1/actions?game=cnctw&peer={}", own.as_str().unwrap());
    let (_, actions) = page.as_page("GET", &path, None, "");
    assert_eq!(actions["actions"][0]["kind"], "stream-install");
    assert_eq!(actions["actions"][0]["reason"], Value::Null, "{actions}");
    let start = json!({ "kind": "stream-install", "game": "cnctw", "peers": [own] }).to_string();
    let (status, started) = page.as_page("POST", "/api/v1/operations", None, &start);
    assert_eq!((status, started["operations"].as_array().map(Vec::len)), (202, Some(1)), "{started}");
    eventually("it is installed", || page.daemon.games().join("cnctw/local").is_dir());
    eventually("the room shows it", || {
        let room = page.room(None);
        let cells = room["cells"].as_array().unwrap();
        cells.iter().any(|cell| cell["peer"] == own && cell["state"] == "installed")
    });
    let (status, refused) = page.as_page("POST", "/api/v1/operations", None, &start);
    // An operation that begins is accepted, and the room says how it ended; one that cannot begin is refused.
    assert!(status == 202 || refused["code"] == "already-installed", "{refused}");
    assert_eq!(page.as_page("GET", "/metrics", None, "").0, 200);
    let (status, refused) = page.as_page("DELETE", "/api/v1/operations/999", None, "");
    assert_eq!((status, &refused["code"]), (409, &json!("no-operation")));
}

#[test]
fn a_forged_request_is_refused_and_starts_nothing() {
    let source = Source::start("den", &fixtures("fixture-solid"));
    let page = Page::start("127.0.0.1:0", &["--peer", &source.address]);
    eventually("the game is offered", || page.room(None)["games"][0]["game"] == "cnctw");
    let body =
        json!({ "kind": "stream-install", "game": "cnctw", "peers": [page.room(None)["self"]] }).to_string();
    let (host, origin) = (("Host", page.address.as_str()), format!("http://{}", page.address));
    let json = ("Content-Type", "application/json");
    for (status, headers) in [
        (403, vec![host, json, ("Origin", "http://evil.example")]),
        (403, vec![host, json]),
        (403, vec![("Host", "evil.example"), json, ("Origin", "http://evil.example")]),
        (415, vec![host, ("Content-Type", "application/x-www-form-urlencoded"), ("Origin", &origin)]),
        (415, vec![host, ("Content-Type", "text/plain"), ("Origin", &origin)]),
    ] {
        let (got, refused) = page.ask("POST", "/api/v1/operations", &headers, &body);
        assert_eq!(got, status, "{headers:?}: {refused}");
    }
    assert_eq!(
        page.ask("GET", "/api/v1/room", &[("Host", "evil.example")], "").0,
        403,
        "not to be read either"
    );
    assert_eq!(page.operations(), 0);
    assert!(!page.daemon.games().join("cnctw").exists());
}

#[test]
fn off_loopback_the_page_asks_for_a_token_that_only_this_user_can_read() {
    let page = Page::start("0.0.0.0:0", &[]);
    let file = page.ready["token_file"].as_str().unwrap();
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = fs::read_to_string(file).unwrap();
    assert_eq!(page.as_page("GET", "/api/v1/room", None, "").0, 401);
    assert_eq!(page.as_page("POST", "/api/v1/ticket", None, "{}").0, 401);
    assert_eq!(page.as_page("GET", "/api/v1/live", None, "").0, 401);
    assert_eq!(page.as_page("GET", "/", None, "").0, 200);
    assert_eq!(page.room(Some(token.trim()))["peers"][0]["name"], "seat");
}

#[test]
fn a_token_file_counts_on_loopback_too_and_one_without_a_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "correct-horse-battery\n").unwrap();
    let page = Page::start("127.0.0.1:0", &["--web-token-file", file.to_str().unwrap()]);
    assert_eq!(page.as_page("GET", "/api/v1/room", None, "").0, 401);
    page.room(Some("correct-horse-battery"));

    fs::write(&file, "short").unwrap();
    let mut command = peer();
    command.args(["serve", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--web-token-file"]).arg(&file);
    command
        .arg("--games-dir")
        .arg(folder.path().join("games"))
        .arg("--state-dir")
        .arg(folder.path().join("state"));
    finish(&mut command).failed_after_notes(7, &["token file", "at least 16"]);
}

#[test]
fn the_end_of_the_daemon_ends_the_stream_of_changes() {
    let page = Page::start("127.0.0.1:0", &[]);
    let mut live = page.connect();
    write!(live, "GET /api/v1/live HTTP/1.1\r\nHost: {}\r\n\r\n", page.address).unwrap();
    let mut begin = [0; 12];
    live.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    page.daemon.signal("TERM");
    let mut rest = Vec::new();
    live.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("event: snapshot"));
    let _ = live.shutdown(Shutdown::Both);
}
