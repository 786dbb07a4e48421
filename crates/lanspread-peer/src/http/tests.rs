//! Servers that do everything wrong, over real sockets.

pub(crate) mod hostile;
mod manifests;
#[cfg(feature = "s3")]
mod objects;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper_util::client::proxy::matcher::Matcher;
use lanspread_types::content::RootFile;
use lanspread_types::limits;

use self::hostile::{Hostile, Step};
use super::client::HttpClient;
use super::error::{HttpError, HttpProblem};
use super::server::{FilePart, HttpServer};
use super::upstream::{ChunkPlace, HttpUpstream};
use crate::task::Tasks;
use crate::traffic::Meter;

/// The file that honest answers are of.
const SIZE: u64 = 1000;
const PART: FilePart<'static> = FilePart { file: "a.eti", size: SIZE, offset: 100, length: 50 };

fn content(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(|place| (place % 251) as u8).collect()
}

fn client(idle_timeout: Duration, proxies: Matcher) -> HttpClient {
    HttpClient::with_proxies(&Tasks::default(), idle_timeout, proxies)
}

pub(crate) fn server_at(url: &str, idle_timeout: Duration) -> HttpServer {
    let client = client(idle_timeout, Matcher::builder().build());
    HttpServer::new(url.parse().unwrap(), "g".parse().unwrap(), client)
}

async fn whole(server: &HttpServer, part: FilePart<'_>) -> Result<Vec<u8>, HttpError> {
    let mut body = server.part(part).await?;
    let mut whole = Vec::new();
    while let Some(bytes) = body.next().await? {
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}

/// An answer that is right, but for the fields that replace or follow.
fn right(fields: &str, body: &[u8]) -> Vec<u8> {
    let range = if fields.contains("Content-Range") { "" } else { "Content-Range: bytes 100-149/1000\r\n" };
    let length = if fields.contains("Content-Length") || fields.contains("chunked") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let fields = fields.replace('\n', "\r\n");
    [format!("HTTP/1.1 206 Partial Content\r\n{range}{length}{fields}\r\n").as_bytes(), body].concat()
}

#[tokio::test]
async fn parts_come_over_one_connection_and_say_which_state_of_the_file_they_are_of() {
    let hostile = Hostile::honest(content(0..SIZE), "ETag: \"7\"\r\n").await;
    let server = server_at(&hostile.url(""), Duration::from_secs(5));
    for offset in [0, 100, 950] {
        let got = whole(&server, FilePart { offset, ..PART }).await.unwrap();
        assert_eq!(got, content(offset..offset + 50));
    }
    let requests = hostile.requests();
    assert_eq!(hostile.connections(), 1);
    assert!(requests[0].starts_with("GET /g/a.eti HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("range: bytes=0-49\r\n") && !requests[0].contains("if-range"));
    assert!(requests[1].contains("if-range: \"7\"\r\n"), "{}", requests[1]);
    assert!(requests[1].contains("accept-encoding: identity\r\n"));
}

/// One row for each kind of wrong answer: what is sent, the code, and a part of the message.
#[tokio::test]
async fn every_wrong_answer_has_its_own_error() {
    let body = content(100..150);
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let endless = || vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Endless(vec![1; 65536])];
    let cut = || vec![Step::Send(right("Content-Length: 50\n", &body[..20])), Step::Close];
    let chunks = |tail: &[u8]| {
        let mut sent = right("Transfer-Encoding: chunked\n", b"32\r\n");
        sent.extend_from_slice(&[&body[..], b"\r\n", tail].concat());
        vec![Step::Send(sent), Step::Close]
    };
    let bomb = format!("HTTP/1.1 206 x\r\n{}", "X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(101));
    let long = format!("HTTP/1.1 206 x\r\nX-A: {}", "b".repeat(limits::HTTP_HEAD_BYTES_MAX));
    let rows: Vec<(&str, Vec<Step>, &str, &str)> = vec![
        ("endless 200", endless(), "http-range", "206 expected"),
        ("200 of another length", vec![Step::Send(status("200 OK"))], "http-range", "206 expected"),
        (
            "other range",
            vec![Step::Send(right("Content-Range: bytes 0-49/1000\n", &body))],
            "http-range",
            "bytes 0-49/1000",
        ),
        (
            "other size",
            vec![Step::Send(right("Content-Range: bytes 100-149/1001\n", &body))],
            "http-range",
            "/1001",
        ),
        (
            "a byte later",
            vec![Step::Send(right("Content-Range: bytes 101-150/1000\n", &body))],
            "http-range",
            "bytes 101-150/1000",
        ),
        (
            "several parts",
            vec![Step::Send(right(
                "Content-Range: none\nContent-Type: multipart/byteranges; boundary=x\n",
                &body,
            ))],
            "http-range",
            "Content-Range is none",
        ),
        ("other length", vec![Step::Send(right("Content-Length: 51\n", &body))], "http-range", "51"),
        ("packed", vec![Step::Send(right("Content-Encoding: gzip\n", &body))], "http-range", "gzip"),
        ("cut off", cut(), "connection-lost", "20 bytes came, 50 expected"),
        (
            "too few",
            chunks(b"0\r\n\r\n").into_iter().map(shorten).collect(),
            "connection-lost",
            "49 bytes came",
        ),
        ("too many", chunks(b"1\r\nx\r\n0\r\n\r\n"), "http-range", "more bytes came than the 50"),
        ("not ended", chunks(b""), "connection-lost", "50 bytes came"),
        ("404", vec![Step::Send(status("404 Not Found"))], "http-missing", "404"),
        ("403", vec![Step::Send(status("403 Forbidden"))], "http-denied", "403"),
        ("401", vec![Step::Send(status("401 Unauthorized"))], "http-denied", "401"),
        ("416", vec![Step::Send(status("416 x\r\nContent-Range: bytes */70"))], "http-range", "bytes */70"),
        ("429", vec![Step::Send(status("429 x\r\nRetry-After: 5"))], "busy", "429"),
        ("500", vec![Step::Send(status("500 x"))], "http-status", "500"),
        ("closed", vec![Step::Close], "connection-lost", "lost"),
        ("not HTTP", vec![Step::Send(b"SSH-2.0-OpenSSH\r\n".to_vec())], "http-malformed", "cannot be read"),
        ("many fields", vec![Step::Send(bomb.into_bytes())], "http-malformed", "cannot be read"),
        ("a long head", vec![Step::Send(long.into_bytes())], "http-malformed", "cannot be read"),
        ("no place", vec![Step::Send(status("302 x"))], "http-redirect", "without saying where"),
        (
            "other scheme",
            vec![Step::Send(status("302 x\r\nLocation: file:///etc/passwd"))],
            "http-redirect",
            "nowhere",
        ),
        (
            "a longer and longer way",
            vec![Step::Redirect],
            "http-redirect",
            "more than 5 times, at last to http://127.0.0.1",
        ),
        ("a loop", vec![Step::Send(status("302 x\r\nLocation: /g/a.eti"))], "http-redirect", "5 times"),
    ];
    for (kind, steps, code, message) in rows {
        let hostile = Hostile::scripted(move |_, _| steps.clone()).await;
        let server = server_at(&hostile.url("user:secret@"), Duration::from_secs(5));
        let refused = whole(&server, PART).await.unwrap_err();
        let shown = refused.to_string();
        assert_eq!(refused.code(), code, "{kind}: {shown}");
        assert!(shown.contains(message) && shown.contains("/g/a.eti"), "{kind}: {shown}");
        assert!(
            !shown.contains("secret") && hostile.requests()[0].contains("authorization: Basic"),
            "{kind}: {shown}"
        );
        assert!(hostile.requests().len() <= 1 + limits::HTTP_REDIRECTS_MAX, "{kind}: it is asked again");
    }
}

/// One byte less in the chunk of an answer.
fn shorten(step: Step) -> Step {
    let Step::Send(sent) = step else { return step };
    let at = sent.windows(6).position(|bytes| bytes == b"\r\n32\r\n").unwrap();
    let (head, body) = sent.split_at(at + 6);
    let mut shortened = head[..at + 2].to_vec();
    shortened.extend_from_slice(b"31\r\n");
    shortened.extend_from_slice(&body[..49]);
    shortened.extend_from_slice(&body[50..]);
    Step::Send(shortened)
}

#[tokio::test]
async fn an_answer_that_brings_nothing_is_left_after_the_idle_time_wherever_it_stops() {
    let idle = Duration::from_millis(200);
    for steps in [
        vec![Step::Silence],
        vec![Step::Send(b"HTTP/1.1 206 x\r\nContent-".to_vec()), Step::Silence],
        vec![Step::Send(b"HTTP/1.1 206 x\r\nX-A: ".to_vec()), Step::Trickle(idle / 10)],
        vec![Step::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())],
        vec![Step::Send(right("Transfer-Encoding: chunked\n", b"")), Step::Endless(b"0".repeat(1000))],
        vec![Step::Send(right("Content-Length: 50\n", &[1; 20])), Step::Silence],
    ] {
        let is_sending = !matches!(steps.last(), Some(Step::Silence));
        let hostile = Hostile::scripted(move |_, _| steps.clone()).await;
        let began = Instant::now();
        let refused = whole(&server_at(&hostile.url(""), idle), PART).await.unwrap_err();
        assert_eq!(refused.code(), "timeout", "{refused}");
        assert!(began.elapsed() >= idle && began.elapsed() < 20 * idle, "{:?}", began.elapsed());
        if is_sending {
            hostile.left().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_is_left_after_a_span() {
    let part = FilePart { size: 1 << 30, offset: 0, length: 1 << 20, ..PART };
    let head = right("Content-Range: bytes 0-1048575/1073741824\nContent-Length: 1048576\n", b"");
    let hostile =
        Hostile::scripted(move |_, _| vec![Step::Send(head.clone()), Step::Trickle(Duration::from_secs(7))])
            .await;
    let server = server_at(&hostile.url(""), limits::STREAM_IDLE_DEADLINE);
    let began = tokio::time::Instant::now();
    let refused = whole(&server, part).await.unwrap_err();
    assert_eq!(refused.code(), "too-slow", "{refused}");
    assert!(began.elapsed() < 2 * limits::HTTP_PROGRESS_SPAN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_file_that_changes_is_noticed_and_forgotten() {
    let body = content(100..150);
    let hostile = Hostile::scripted(move |_, number| {
        vec![Step::Send(right(&format!("ETag: \"{}\"\n", number / 2), &body)), Step::Keep]
    })
    .await;
    let server = server_at(&hostile.url(""), Duration::from_secs(5));
    assert!(whole(&server, PART).await.is_ok());
    assert!(whole(&server, PART).await.is_ok());
    let refused = whole(&server, PART).await.unwrap_err();
    assert!(matches!(refused.problem, HttpProblem::Changed { .. }) && refused.may_pass(), "{refused}");
    server.forget();
    assert!(whole(&server, PART).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_made_again() {
    let body = content(100..150);
    let hostile = Hostile::scripted(move |_, _| vec![Step::Send(right("", &body)), Step::Close]).await;
    let server = server_at(&hostile.url(""), Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(whole(&server, PART).await.unwrap(), content(100..150));
    }
    assert_eq!(hostile.connections(), 3);
}

/// What comes before it was asked for is no answer to the next request.
#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_not_taken() {
    let (first, other) = (content(100..150), vec![0; 50]);
    let hostile = Hostile::scripted(move |_, _| {
        let (right, unasked) = (right("", &first), right("", &other));
        vec![Step::Send([right, unasked].concat()), Step::Keep]
    })
    .await;
    let server = server_at(&hostile.url(""), Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(whole(&server, PART).await.unwrap(), content(100..150));
    }
    assert_eq!(hostile.connections(), 3, "such a connection is not used again");
}

/// A server of HTTP/1.0 ends the body by closing the connection.
#[tokio::test]
async fn a_body_may_end_with_the_connection() {
    let body = content(100..150);
    let hostile = Hostile::scripted(move |_, _| {
        let head = b"HTTP/1.0 206 x\r\nContent-Range: bytes 100-149/1000\r\n\r\n";
        vec![Step::Send([&head[..], &body].concat()), Step::Close]
    })
    .await;
    let server = server_at(&hostile.url(""), Duration::from_secs(5));
    assert_eq!(whole(&server, PART).await.unwrap(), content(100..150));
}

#[tokio::test]
async fn redirects_lead_to_where_the_file_is() {
    let there = Hostile::honest(content(0..SIZE), "").await;
    let to = format!("{}storage/{{}}", there.url(""));
    let hostile = Hostile::scripted(move |head, _| {
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        let location = to.replace("{}", &path);
        vec![Step::Send(
            format!("HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        )]
    })
    .await;
    let server = server_at(&hostile.url("user:secret@"), Duration::from_secs(5));
    assert_eq!(whole(&server, PART).await.unwrap(), content(100..150));
    let asked = &there.requests()[0];
    assert!(asked.starts_with("GET /storage/g/a.eti") && !asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn a_proxy_is_asked_with_the_whole_url_and_its_own_credentials() {
    let proxy = Hostile::honest(content(0..SIZE), "").await;
    let proxies = Matcher::builder().http(proxy.url("proxy:secret@")).no("10.0.0.1").build();
    let client = client(Duration::from_secs(5), proxies);
    let server = |url: &str| HttpServer::new(url.parse().unwrap(), "g".parse().unwrap(), client.clone());
    assert_eq!(whole(&server("http://games.example:8080/"), PART).await.unwrap(), content(100..150));
    let asked = &proxy.requests()[0];
    assert!(asked.starts_with("GET http://games.example:8080/g/a.eti HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.contains("host: games.example:8080\r\n") && asked.contains("proxy-authorization: Basic "),
        "{asked}"
    );

    let refusing =
        Hostile::scripted(|_, _| vec![Step::Send(b"HTTP/1.1 407 who are you\r\n\r\n".to_vec())]).await;
    let proxies = Matcher::builder().all(refusing.url("proxy:secret@")).build();
    let client = HttpClient::with_proxies(&Tasks::default(), Duration::from_secs(5), proxies);
    let server = HttpServer::new("https://games.example".parse().unwrap(), "g".parse().unwrap(), client);
    let refused = whole(&server, PART).await.unwrap_err();
    assert_eq!(refused.code(), "http-proxy", "{refused}");
    assert!(refused.to_string().contains("407") && !refused.to_string().contains("secret"), "{refused}");
    assert!(refusing.requests()[0].starts_with("CONNECT games.example:443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_server_without_encryption_is_no_https_server() {
    let hostile = Hostile::honest(content(0..SIZE), "").await;
    let url = hostile.url("").replace("http://", "https://");
    let refused = whole(&server_at(&url, Duration::from_secs(5)), PART).await.unwrap_err();
    assert_eq!(refused.code(), "encryption-failed", "{refused}");
    drop(hostile);
    let refused = whole(&server_at("http://127.0.0.1:1/", Duration::from_secs(5)), PART).await.unwrap_err();
    assert_eq!(refused.code(), "unreachable", "{refused}");
}

#[tokio::test]
async fn an_upstream_answers_in_the_order_of_the_questions_over_as_many_connections() {
    let hostile = Hostile::honest(content(0..SIZE), "").await;
    let server = Arc::new(server_at(&hostile.url(""), Duration::from_secs(5)));
    let files = [RootFile { name: "a.eti".to_owned(), size: SIZE }].into();
    let place = |chunk: u64| ChunkPlace { file: 0, offset: chunk * 50, length: 50 };
    let counted = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&counted);
    let count = Arc::new(move |bytes| {
        counting.fetch_add(bytes, Ordering::Relaxed);
    });
    let mut upstream = HttpUpstream::new(server, Tasks::default(), files, Meter::unlimited(), count);
    assert!(!upstream.ask(0, ChunkPlace { file: 1, ..place(0) }), "there is no such file");
    assert!(!upstream.ask(0, ChunkPlace { length: 0, ..place(0) }), "there is no such chunk");
    let ahead = limits::PACKED_AHEAD as u64;
    for chunk in 0..ahead {
        assert!(upstream.ask(chunk, place(chunk)));
    }
    for chunk in 0..20 {
        let (answered, bytes) = upstream.next().await.unwrap();
        assert_eq!((answered, &bytes[..]), (chunk, &content(chunk * 50..chunk * 50 + 50)[..]));
        if chunk + ahead < 20 {
            assert!(upstream.ask(chunk + ahead, place(chunk + ahead)));
        }
    }
    assert!(hostile.connections() <= limits::PACKED_AHEAD, "{}", hostile.connections());
    assert_eq!(counted.load(Ordering::Relaxed), SIZE, "each byte is counted once");
}

#[tokio::test]
async fn requests_of_an_upstream_end_with_it() {
    let hostile = Hostile::scripted(|_, _| vec![Step::Silence]).await;
    let tasks = Tasks::default();
    let client = HttpClient::with_proxies(&tasks, Duration::from_mins(1), Matcher::builder().build());
    let server = HttpServer::new(hostile.url("").parse().unwrap(), "g".parse().unwrap(), client);
    let files = [RootFile { name: "a.eti".to_owned(), size: SIZE }].into();
    let mut upstream =
        HttpUpstream::new(Arc::new(server), tasks.clone(), files, Meter::unlimited(), Arc::new(|_| {}));
    assert!(upstream.ask((), ChunkPlace { file: 0, offset: 0, length: 50 }));
    hostile.asked().await;
    drop(upstream);
    assert_eq!(tasks.stop(Duration::from_secs(10)).await, 0);
}
