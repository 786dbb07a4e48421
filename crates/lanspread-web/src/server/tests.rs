//! The limits of connections, on real sockets of the loopback interface.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, Instant};

use super::*;
use lanspread_peer::{GameId, OperationKind, PeerId};

use crate::daemon::{Answering, Coming, Log, Planned, RoomFeed, RoomNews, Start, Started};
use crate::refusal::WebRefusal;

struct Still;

impl RoomDaemon for Still {
    fn own(&self) -> PeerId {
        [1; 16].into()
    }

    fn room(&self) -> Box<dyn RoomFeed> {
        Box::new(Nothing(false))
    }

    fn start(&self, _: Start) -> Answering<'_, Started> {
        Box::pin(async { Ok(Started::default()) })
    }

    fn plan(&self, _: PeerId, _: OperationKind, _: &GameId) -> Answering<'_, Planned> {
        Box::pin(async { Err(WebRefusal::new(409, "busy", "nothing is planned here")) })
    }

    fn cancel(&self, _: u64) -> Answering<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn metrics(&self) -> Answering<'_, String> {
        Box::pin(async { Ok(String::new()) })
    }

    fn log(&self) -> Box<dyn Log> {
        Box::new(Nothing(true))
    }
}

/// A room that is told once, and nothing else.
struct Nothing(bool);

impl RoomFeed for Nothing {
    fn next(&mut self) -> Coming<'_, RoomNews> {
        if std::mem::replace(&mut self.0, true) {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { Some(RoomNews::Whole(Box::default())) })
    }
}

impl Log for Nothing {
    fn next(&mut self) -> Coming<'_, Value> {
        Box::pin(std::future::pending())
    }
}

async fn start() -> WebServer {
    let config = WebConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        names: Vec::new(),
        token: None,
        commands: Commands::default(),
    };
    WebServer::start(config, Arc::new(Still)).await.unwrap()
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

/// The beginning of the answer; empty if the connection was closed instead.
async fn ask(stream: &mut TcpStream, text: &str) -> String {
    let mut answer = vec![0; 512];
    if stream.write_all(text.as_bytes()).await.is_err() {
        return String::new();
    }
    let length = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn one_connection_more_than_the_limit_is_closed_and_a_place_is_free_again_after() {
    let server = start().await;
    let mut open = Vec::new();
    for _ in 0..limits::WEB_CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        assert!(ask(&mut stream, &request("/api/v1/room")).await.starts_with("HTTP/1.1 200 "));
        open.push(stream);
    }
    let mut further = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(ask(&mut further, &request("/")).await, "");
    drop(open.pop());
    // The server sees the end of a connection a moment later.
    let again = async {
        loop {
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            if ask(&mut stream, &request("/")).await.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), again).await.unwrap();
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_arrive_holds_no_place() {
    let server = start().await;
    let ended_after = async |said: &str| {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let begun = Instant::now();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        begun.elapsed()
    };
    let most = limits::WEB_HEAD_DEADLINE + Duration::from_secs(1);
    for said in ["", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", &request("/room.css")] {
        let elapsed = ended_after(said).await;
        assert!(elapsed <= most, "{said:?}: {elapsed:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let long =
        format!("GET /?{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "x".repeat(2 * limits::WEB_HEAD_BYTES_MAX));
    let answer = ask(&mut stream, &long).await;
    assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn stopping_ends_the_stream_of_changes_and_waits_for_it() {
    let server = start().await;
    let mut live = TcpStream::connect(server.address()).await.unwrap();
    let answer = ask(&mut live, &request("/api/v1/live")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let address = server.address();
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < limits::WEB_FAREWELL_DEADLINE);
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), live.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends as a whole");
    assert!(TcpStream::connect(address).await.is_err());
}
