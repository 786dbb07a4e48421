//! The routes without sockets: a daemon that is made up answers.

use std::sync::Mutex;

use futures_util::StreamExt;
use lanspread_peer::{GameId, OperationKind, PeerId, Room};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;
use crate::daemon::{Answering, Coming, Log, Planned, RoomFeed, RoomNews, Started};
use crate::guard::TokenDigest;
use crate::testing::{self, id};

const HOST: &str = "127.0.0.1:8080";

/// What the daemon was asked, and what it says.
#[derive(Default)]
struct Said {
    room: Mutex<Room>,
    /// How often the room began to be followed, and how often news of it were asked for.
    followed: Mutex<usize>,
    looked_at: Mutex<usize>,
    started: Mutex<Vec<Start>>,
    /// What it was asked to plan, and where.
    planned: Mutex<Vec<(PeerId, OperationKind)>>,
    cancelled: Mutex<Vec<u64>>,
    log: Mutex<Vec<mpsc::UnboundedSender<Value>>>,
}

struct MadeUp(Arc<Said>);

/// The peer that the made-up daemon is.
const OWN: [u8; 16] = [1; 16];

/// A seat that never says what it would do.
const SLOW: u8 = 9;

impl RoomDaemon for MadeUp {
    fn own(&self) -> PeerId {
        OWN.into()
    }

    fn room(&self) -> Box<dyn RoomFeed> {
        *self.0.followed.lock().unwrap() += 1;
        Box::new(Told { said: Arc::clone(&self.0), told: None })
    }

    fn start(&self, asked: Start) -> Answering<'_, Started> {
        self.0.started.lock().unwrap().push(asked);
        Box::pin(async { Ok(Started { operations: vec![7], refused: Vec::new() }) })
    }

    /// A download needs 5 MiB, and 3 are free.
    fn plan(&self, peer: PeerId, kind: OperationKind, _: &GameId) -> Answering<'_, Planned> {
        self.0.planned.lock().unwrap().push((peer, kind));
        if peer == id(SLOW) {
            return Box::pin(std::future::pending());
        }
        let plan = match (kind, peer == OWN.into()) {
            (OperationKind::StreamInstall, true) => Err(WebRefusal::new(409, "no-peers", "no peer answers")),
            (OperationKind::StreamInstall, false) => Err(WebRefusal::new(409, "busy", "it has no time")),
            _ => Ok(Planned {
                changed: true,
                needed_bytes: Some(5 << 20),
                free_bytes: 3 << 20,
                fits: Some(false),
                ..Planned::default()
            }),
        };
        Box::pin(async { plan })
    }

    fn cancel(&self, operation: u64) -> Answering<'_, ()> {
        self.0.cancelled.lock().unwrap().push(operation);
        Box::pin(async { Ok(()) })
    }

    fn metrics(&self) -> Answering<'_, String> {
        Box::pin(async { Ok("# TYPE lanspread_peers gauge\n".to_owned()) })
    }

    fn log(&self) -> Box<dyn Log> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.log.lock().unwrap().push(sender);
        Box::new(Lines(receiver))
    }
}

/// Tells the room whenever it is another one than was told last.
struct Told {
    said: Arc<Said>,
    told: Option<Room>,
}

impl RoomFeed for Told {
    fn next(&mut self) -> Coming<'_, RoomNews> {
        *self.said.looked_at.lock().unwrap() += 1;
        let room = self.said.room.lock().unwrap().clone();
        if self.told.as_ref() == Some(&room) {
            return Box::pin(std::future::pending());
        }
        self.told = Some(room.clone());
        Box::pin(async { Some(RoomNews::Whole(Box::new(room))) })
    }
}

struct Lines(mpsc::UnboundedReceiver<Value>);

impl Log for Lines {
    fn next(&mut self) -> Coming<'_, Value> {
        Box::pin(self.0.recv())
    }
}

struct Page {
    said: Arc<Said>,
    router: Router,
    stop: CancellationToken,
}

fn page(token: Option<&str>) -> Page {
    page_with(token, Commands::Room)
}

fn page_with(token: Option<&str>, allowed: Commands) -> Page {
    let (said, stop) = (Arc::<Said>::default(), CancellationToken::new());
    set_room(&said, json!({ "self": id(1), "peers": [{ "peer": id(1) }] }));
    let guard = Guard { names: Vec::new(), token: token.map(TokenDigest::of) };
    let router = routes(Site::new(Arc::new(MadeUp(Arc::clone(&said))), guard, allowed, stop.clone()));
    Page { said, router, stop }
}

fn set_room(said: &Said, room: Value) {
    *said.room.lock().unwrap() = testing::room(room);
}

fn get_request(path: &str) -> Request {
    Request::get(path).header("host", HOST).body(Body::empty()).unwrap()
}

fn command(method: &str, path: &str, body: impl Into<Body>) -> Request {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", HOST)
        .header("origin", format!("http://{HOST}"))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

impl Page {
    async fn ask(&self, request: Request) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn json(&self, request: Request) -> (u16, Value) {
        let response = self.ask(request).await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn ticket(&self) -> String {
        let (status, answer) = self.json(command("POST", "/api/v1/ticket", "{}")).await;
        assert_eq!(status, 200);
        answer["ticket"].as_str().unwrap().to_owned()
    }

    async fn live(&self) -> Events {
        let response = self.ask(get_request(&format!("{LIVE}?ticket={}", self.ticket().await))).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events(response.into_body().into_data_stream())
    }
}

struct Events(axum::body::BodyDataStream);

impl Events {
    /// The name and the data of the next event.
    async fn next(&mut self) -> Option<(String, Value)> {
        let bytes = self.0.next().await?.unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.ends_with("\n\n"));
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        Some((field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap()))
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_names_from_being_markup() {
    let page = page(None);
    for path in ["/", "/room.css", "/room.js", "/api/v1/room", "/no-such", "/metrics"] {
        let response = page.ask(get_request(path)).await;
        for (name, value) in HEADERS {
            assert_eq!(response.headers()[name], value, "{path}");
        }
    }
    let refused =
        page.ask(Request::get("/").header("host", "evil.example").body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    assert_eq!(page.json(get_request("/no-such")).await.0, 404);
    assert_eq!(page.json(get_request("/api/v1/operations")).await.0, 405);
}

#[tokio::test]
async fn the_room_is_answered_with_its_number() {
    let page = page(None);
    let (status, room) = page.json(get_request("/api/v1/room")).await;
    assert_eq!((status, &room["v"], &room["seq"]), (200, &json!(1), &json!(1)));
    assert_eq!(room["peers"][0]["peer"], json!(id(1)));
    assert!(room["time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn an_operation_starts_once_and_only_if_the_request_is_right() {
    let page = page(None);
    let peer = PeerId::random().unwrap();
    let body = json!({ "kind": "stream-install", "game": "g", "peers": [peer] });
    let (status, answer) = page.json(command("POST", "/api/v1/operations", body.to_string())).await;
    assert_eq!((status, answer), (202, json!({ "operations": [7] })));
    let asked = Start { kind: OperationKind::StreamInstall, game: "g".parse().unwrap(), peers: vec![peer] };
    assert_eq!(*page.said.started.lock().unwrap(), [asked]);

    for (status, wrong) in [
        (400, String::new()),
        (400, "[]".to_owned()),
        (400, json!({ "kind": "stream-install", "game": "../g", "peers": [peer] }).to_string()),
        (400, json!({ "kind": "stream-install", "game": "g", "peers": [] }).to_string()),
        (400, json!({ "kind": "stream-install", "game": "g", "peers": ["x"] }).to_string()),
        (400, json!({ "kind": "stream-install", "game": "g", "peers": [peer], "force": true }).to_string()),
        (422, json!({ "kind": "remove", "game": "g", "peers": [peer] }).to_string()),
        (413, " ".repeat(limits::WEB_BODY_BYTES_MAX + 1)),
    ] {
        let text: String = wrong.chars().take(80).collect();
        assert_eq!(page.json(command("POST", "/api/v1/operations", wrong)).await.0, status, "{text}");
    }
    assert_eq!(page.said.started.lock().unwrap().len(), 1, "nothing else was started");
}

#[tokio::test]
async fn a_forged_request_starts_nothing() {
    let page = page(None);
    let body =
        json!({ "kind": "stream-install", "game": "g", "peers": [PeerId::random().unwrap()] }).to_string();
    let forge = |name: &'static str, value: &'static str| {
        let mut request = command("POST", "/api/v1/operations", body.clone());
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    };
    for (status, request) in [
        (403, forge("origin", "http://evil.example")),
        (403, forge("host", "evil.example")),
        (415, forge("content-type", "text/plain")),
        (415, forge("content-type", "application/x-www-form-urlencoded")),
    ] {
        assert_eq!(page.json(request).await.0, status);
    }
    assert!(page.said.started.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_that_only_shows_or_is_for_one_machine_starts_nothing_else() {
    let other = PeerId::random().unwrap();
    let start = |peers: &[PeerId]| {
        let body = json!({ "kind": "stream-install", "game": "g", "peers": peers });
        command("POST", "/api/v1/operations", body.to_string())
    };
    let shows = page_with(None, Commands::None);
    assert_eq!(shows.json(start(&[OWN.into()])).await.0, 403);
    assert_eq!(shows.json(command("DELETE", "/api/v1/operations/41", Body::empty())).await.0, 403);
    let (_, room) = shows.json(get_request("/api/v1/room")).await;
    assert_eq!(room["commands"], "none");
    assert!(room["commands_reason"].as_str().unwrap().contains("--web-commands"));
    shows.live().await;

    let own = page_with(None, Commands::Own);
    let (status, refused) = own.json(start(&[OWN.into(), other])).await;
    assert_eq!((status, &refused["code"]), (403, &json!("not-permitted")));
    assert_eq!(own.json(start(&[OWN.into()])).await.0, 202);
    assert_eq!(own.json(command("DELETE", "/api/v1/operations/41", Body::empty())).await.0, 200);
    assert!(shows.said.started.lock().unwrap().is_empty());
    assert_eq!(own.said.started.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn cancelling_names_an_operation() {
    let page = page(None);
    assert_eq!(page.json(command("DELETE", "/api/v1/operations/41", Body::empty())).await.0, 200);
    assert_eq!(page.json(command("DELETE", "/api/v1/operations/all", Body::empty())).await.0, 400);
    assert_eq!(*page.said.cancelled.lock().unwrap(), [41]);
}

#[tokio::test]
async fn what_is_possible_follows_from_the_room() {
    let page = page(None);
    let (here, source) = (PeerId::random().unwrap(), PeerId::random().unwrap());
    let peer = |peer| json!({ "peer": peer });
    set_room(
        &page.said,
        json!({
            "self": here, "peers": [peer(here), peer(source)], "games": [{ "game": "g", "peers": [source] }],
        }),
    );
    let (status, answer) = page.json(get_request(&format!("/api/v1/actions?game=g&peer={here}"))).await;
    assert_eq!((status, &answer["v"]), (200, &json!(1)));
    assert_eq!(answer["actions"][0]["kind"], "stream-install");
    assert_eq!(answer["actions"][0]["reason"], Value::Null);
    assert_eq!(page.json(get_request("/api/v1/actions?game=g")).await.0, 400);
}

/// What a machine says that it would do counts more than what the room knows. It is asked only about what the room has nothing
/// against, and only if it is the only one.
#[tokio::test]
async fn what_is_possible_on_one_machine_is_what_it_would_do() {
    let page = page(None);
    let (own, seat, source): (PeerId, PeerId, PeerId) = (OWN.into(), id(2), id(3));
    let peer = |peer| json!({ "peer": peer, "accepts": true });
    set_room(
        &page.said,
        json!({
            "self": own, "peers": [peer(own), peer(seat), peer(source)], "games": [{ "game": "g", "peers": [source] }],
        }),
    );
    let actions = async |of: &[PeerId]| {
        let peers = of.iter().map(|peer| format!("&peer={peer}")).collect::<Vec<_>>().concat();
        let (status, answer) = page.json(get_request(&format!("/api/v1/actions?game=g{peers}"))).await;
        assert_eq!(status, 200);
        let action = |kind: &str| {
            let actions = answer["actions"].as_array().unwrap();
            actions.iter().find(|action| action["kind"] == kind).unwrap().clone()
        };
        (action("stream-install"), action("download"))
    };
    let planned = || std::mem::take(&mut *page.said.planned.lock().unwrap());
    let both = [OperationKind::StreamInstall, OperationKind::Download];
    for peer in [own, seat] {
        let (stream, download) = actions(&[peer]).await;
        let (reason, peers) =
            if peer == own { (json!("no peer answers"), json!([])) } else { (Value::Null, json!([seat])) };
        assert_eq!((&stream["reason"], &stream["peers"]), (&reason, &peers), "no time to look is no reason");
        assert_eq!(download["reason"], "2.0 MiB more disk is needed");
        assert_eq!((&download["needed_bytes"], &download["free_bytes"]), (&json!(5 << 20), &json!(3 << 20)));
        assert_eq!(planned(), both.map(|kind| (peer, kind)), "to unpack or update it there is nothing here");
    }
    let (stream, _) = actions(&[own, seat]).await;
    assert_eq!(stream["peers"], json!([own, seat]));
    assert_eq!(planned(), []);
}

#[tokio::test(start_paused = true)]
async fn a_slow_machine_holds_up_no_page() {
    let page = page(None);
    let (own, slow): (PeerId, PeerId) = (OWN.into(), id(SLOW));
    let peers = [own, slow].map(|peer| json!({ "peer": peer, "accepts": true }));
    set_room(
        &page.said,
        json!({ "self": own, "peers": peers, "games": [{ "game": "g", "peers": [id(3)] }] }),
    );
    let of = |peer| page.json(get_request(&format!("/api/v1/actions?game=g&peer={peer}")));
    let mut asked_slow = std::pin::pin!(of(slow));
    assert!(timeout(limits::WEB_PLAN_DEADLINE / 2, &mut asked_slow).await.is_err());
    timeout(limits::WEB_PLAN_DEADLINE / 4, of(own)).await.unwrap();
    let (status, answer) = asked_slow.await;
    assert_eq!((status, &answer["actions"][0]["peers"]), (200, &json!([slow])), "what the room knows");
}

#[tokio::test]
async fn without_its_token_only_the_files_of_the_page_are_answered() {
    let page = page(Some("the right token"));
    for path in ["/api/v1/room", "/api/v1/actions", "/metrics", LIVE, "/api/v1/live?ticket=guessed"] {
        let response = page.ask(get_request(path)).await;
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    for (method, path) in
        [("POST", "/api/v1/ticket"), ("POST", "/api/v1/operations"), ("DELETE", "/api/v1/operations/1")]
    {
        assert_eq!(page.json(command(method, path, "{}")).await.0, 401, "{path}");
    }
    assert_eq!(page.ask(get_request("/")).await.status(), 200);
    let with_token = |mut request: Request| {
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer the right token"));
        request
    };
    let (_, answer) = page.json(with_token(command("POST", "/api/v1/ticket", "{}"))).await;
    let live = format!("{LIVE}?ticket={}", answer["ticket"].as_str().unwrap());
    assert_eq!(page.ask(get_request(&live)).await.status(), 200);
    assert_eq!(page.ask(get_request(&live)).await.status(), 401, "a ticket opens once");
}

#[tokio::test(start_paused = true)]
async fn a_page_gets_the_room_then_what_changes_and_a_sign_of_life() {
    let page = page(None);
    let mut events = page.live().await;
    let (name, room) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &room["seq"]), ("snapshot", &json!(1)));
    let (name, _) = events.next().await.unwrap();
    assert_eq!(name, "time", "nothing has changed");

    let cell = json!({ "peer": id(1), "game": "g", "state": "installed" });
    set_room(&page.said, json!({ "self": id(1), "peers": [{ "peer": id(1) }], "cells": [cell] }));
    let (name, change) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &change["seq"]), ("delta", &json!(2)));
    assert_eq!(change["cells"], json!([cell]));
    assert!(change.get("peers").is_none());

    set_room(&page.said, json!({ "self": id(1) }));
    assert_eq!(events.next().await.unwrap().0, "snapshot", "a peer that is gone is no delta");

    page.said.log.lock().unwrap()[0].send(json!({ "event": "peer-lost" })).unwrap();
    let (name, log) = events.next().await.unwrap();
    assert_eq!((name.as_str(), log), ("log", json!([{ "event": "peer-lost" }])));
}

#[tokio::test(start_paused = true)]
async fn however_many_pages_look_the_room_is_looked_at_twice_a_second() {
    let page = page(None);
    let mut readers = Vec::new();
    for _ in 0..limits::WEB_READERS_MAX {
        readers.push(page.live().await);
    }
    for reader in &mut readers {
        assert_eq!(reader.next().await.unwrap().0, "snapshot");
    }
    let before = *page.said.looked_at.lock().unwrap();
    let start = tokio::time::Instant::now();
    futures_util::future::join_all(readers.iter_mut().map(Events::next)).await;
    let looks = *page.said.looked_at.lock().unwrap() - before;
    let most = start.elapsed().as_millis() / limits::WEB_ROOM_INTERVAL.as_millis() + 1;
    // One look finds what is new, a second one that there is no more.
    assert!(looks as u128 <= 2 * most, "{looks} looks in {:?}", start.elapsed());

    let refused = page.ask(get_request(&format!("{LIVE}?ticket={}", page.ticket().await))).await;
    assert_eq!(refused.status(), 503, "one page too many");
    drop(readers.pop());
    assert_eq!(page.ask(get_request(&format!("{LIVE}?ticket={}", page.ticket().await))).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fell_behind_gets_one_change() {
    let page = page(None);
    let (mut slow, mut quick) = (page.live().await, page.live().await);
    let room = |bytes: u64| {
        let cell = json!({ "peer": id(1), "game": "g", "state": "streaming", "bytes": bytes });
        json!({ "self": id(1), "peers": [{ "peer": id(1) }], "cells": [cell] })
    };
    set_room(&page.said, room(0));
    for events in [&mut slow, &mut quick] {
        assert_eq!(events.next().await.unwrap().0, "snapshot");
    }
    for bytes in 1..=5 {
        set_room(&page.said, room(bytes));
        assert_eq!(quick.next().await.unwrap().1["cells"][0]["bytes"], bytes);
    }
    let (name, change) = slow.next().await.unwrap();
    assert_eq!((name.as_str(), &change["cells"][0]["bytes"]), ("delta", &json!(5)));
    assert_eq!(slow.next().await.unwrap().0, "time", "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_daemon_ends_the_stream() {
    let page = page(None);
    let mut events = page.live().await;
    events.next().await.unwrap();
    page.stop.cancel();
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_room_is_followed_only_while_a_page_is_open() {
    let page = page(None);
    let followed = || *page.said.followed.lock().unwrap();
    let (mut one, mut other) = (page.live().await, page.live().await);
    assert_eq!(followed(), 0, "nothing was read yet");
    for events in [&mut one, &mut other] {
        events.next().await.unwrap();
    }
    assert_eq!(followed(), 1, "once for both");
    drop(one);
    other.next().await.unwrap();
    assert_eq!(followed(), 1);
    drop(other);
    page.live().await.next().await.unwrap();
    assert_eq!(followed(), 2, "it was given up when the last page was closed");
    page.json(get_request("/api/v1/room")).await;
    page.json(get_request("/api/v1/room")).await;
    assert_eq!(followed(), 4, "a single request follows nothing");
}
