//! A server that does what a test wants.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;

/// What the server does after a request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Sends this again and again.
    Endless(Vec<u8>),
    /// Redirects to a place that is a little longer.
    Redirect,
    /// Sends one byte, waits, and so on.
    Trickle(Duration),
    /// Does nothing for ever.
    Silence,
    Close,
    /// Waits until as many requests have come as the barrier has room for.
    Together(Arc<Barrier>),
    /// Takes the next request; this also happens if nothing else is left to do.
    Keep,
}

/// The right answer to a request for a range, with these header fields.
pub(crate) fn range_of(content: &[u8], head: &str, fields: &str) -> Vec<Step> {
    let range = head.split("range: bytes=").nth(1).and_then(|range| range.split("\r\n").next());
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return vec![Step::Close];
    };
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let (total, length) = (content.len(), last + 1 - first);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{total}\r\n\
         Content-Length: {length}\r\n{fields}\r\n"
    );
    vec![Step::Send([head.as_bytes(), &content[first..=last]].concat()), Step::Keep]
}

type Script = dyn Fn(&str, usize) -> Vec<Step> + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    asked: Notify,
    left: Notify,
}

pub(crate) struct Hostile {
    port: u16,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hostile {
    /// A server that takes the steps which the script says for the head of a request and its number.
    pub(crate) async fn scripted(script: impl Fn(&str, usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script): (Arc<Seen>, Arc<Script>) = (Arc::default(), Arc::new(script));
        let at_task = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                at_task.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(answer(socket, Arc::clone(&at_task), Arc::clone(&script)));
            }
        });
        Self { port, seen, task }
    }

    /// A server that has one file and answers ranges of it.
    pub(crate) async fn honest(content: Vec<u8>, fields: &'static str) -> Self {
        Self::scripted(move |head, _| range_of(&content, head, fields)).await
    }

    /// Its URL, with these credentials before the host.
    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}/", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Returns when a request has come.
    pub(crate) async fn asked(&self) {
        self.seen.asked.notified().await;
    }

    /// Returns when a client has closed a connection on which the server was sending.
    pub(crate) async fn left(&self) {
        self.seen.left.notified().await;
    }
}

async fn answer(mut socket: TcpStream, seen: Arc<Seen>, script: Arc<Script>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
            // As real servers do where TLS comes to a place without it.
            if head == [0x16] {
                let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                return;
            }
        }
        let head = String::from_utf8(head).unwrap();
        let number = {
            let mut requests = seen.requests.lock().unwrap();
            requests.push(head.clone());
            requests.len() - 1
        };
        seen.asked.notify_one();
        for step in script(&head, number) {
            let done = match step {
                Step::Send(bytes) => socket.write_all(&bytes).await,
                Step::Endless(bytes) => loop {
                    if let Err(error) = socket.write_all(&bytes).await {
                        break Err(error);
                    }
                },
                Step::Redirect => {
                    let at = head.split(' ').nth(1).unwrap_or_default();
                    let head = format!("HTTP/1.1 302 x\r\nLocation: {at}/on\r\nContent-Length: 0\r\n\r\n");
                    socket.write_all(head.as_bytes()).await
                }
                Step::Trickle(pause) => loop {
                    if let Err(error) = socket.write_all(b"x").await {
                        break Err(error);
                    }
                    tokio::time::sleep(pause).await;
                },
                Step::Silence => std::future::pending().await,
                Step::Together(barrier) => {
                    barrier.wait().await;
                    Ok(())
                }
                Step::Close => return,
                Step::Keep => Ok(()),
            };
            // The client had enough.
            if done.is_err() {
                seen.left.notify_one();
                return;
            }
        }
    }
}
