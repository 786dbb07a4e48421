//! Makes very many connections to one peer, in a bounded number and time.
//!
//! ```text
//! outsider_flood --target HOST:PORT --connections N --per-second N --at-once N --seconds N [--manner MANNER]...
//! ```
//!
//! MANNER is one of `silent` (says nothing), `half` (half of the first message of TLS), `unproved` (TLS, and then a
//! proof of nothing) and `idle` (introduces itself as a peer and then says nothing); without it, the first three in
//! turn. Each connection stays until the peer closes it or the time is over. It prints one line of JSON when as many are
//! open as may be at once, or all of them, and one at the end that counts them.

#![allow(clippy::print_stdout)] // scenarios read its output

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lanspread_proto::connection::Connection;
use lanspread_proto::handshake::Introduction;
use lanspread_proto::message::{Hello, PROTOCOL_VERSION};
use lanspread_testing::time_of_day::now;
use lanspread_testing::tls::{self, Key, Proof, Secured, preamble};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

/// A record of TLS 1.3 that begins a handshake, and a little of the 512 bytes that it announces.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

type AnyError = Box<dyn std::error::Error>;

#[derive(Debug, Clone, Copy)]
enum Manner {
    Silent,
    Half,
    Unproved,
    Idle,
}

struct Arguments {
    target: String,
    connections: usize,
    per_second: u32,
    at_once: usize,
    seconds: u64,
    manners: Vec<Manner>,
}

fn arguments() -> Result<Arguments, AnyError> {
    let (mut target, mut connections, mut per_second) = (None, None, None);
    let (mut at_once, mut seconds) = (None, None);
    let mut manners = Vec::new();
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        match (option.as_str(), value.as_str()) {
            ("--target", _) => target = Some(value),
            ("--connections", number) => connections = Some(number.parse()?),
            ("--per-second", number) => per_second = Some(number.parse()?),
            ("--at-once", number) => at_once = Some(number.parse()?),
            ("--seconds", number) => seconds = Some(number.parse()?),
            ("--manner", "silent") => manners.push(Manner::Silent),
            ("--manner", "half") => manners.push(Manner::Half),
            ("--manner", "unproved") => manners.push(Manner::Unproved),
            ("--manner", "idle") => manners.push(Manner::Idle),
            _ => return Err(format!("there is no option {option} {value}").into()),
        }
    }
    if manners.is_empty() {
        manners = vec![Manner::Silent, Manner::Half, Manner::Unproved];
    }
    Ok(Arguments {
        target: target.ok_or("--target HOST:PORT is missing")?,
        connections: connections.ok_or("--connections N is missing")?,
        per_second: per_second.filter(|number| *number > 0).ok_or("--per-second N is missing")?,
        at_once: at_once.ok_or("--at-once N is missing")?,
        seconds: seconds.ok_or("--seconds N is missing")?,
        manners,
    })
}

/// What became of the connections.
#[derive(Debug, Default)]
struct Counts {
    /// Made: the peer's system has taken them.
    connected: AtomicUsize,
    /// Not made.
    failed: AtomicUsize,
    /// Closed by the peer before the time was over.
    closed: AtomicUsize,
    /// On which the peer has made TLS.
    encrypted: AtomicUsize,
    /// On which the peer has said hello.
    welcomed: AtomicUsize,
}

impl Counts {
    fn print(&self, event: &str) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        println!(
            "{}",
            json!({
                "event": event,
                "time": now(),
                "connected": count(&self.connected),
                "failed": count(&self.failed),
                "closed": count(&self.closed),
                "encrypted": count(&self.encrypted),
                "welcomed": count(&self.welcomed),
            })
        );
    }
}

fn add(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let Arguments { target, connections, per_second, at_once, seconds, manners } = arguments()?;
    let target = lookup_host(&target).await?.next().ok_or_else(|| format!("{target} has no address"))?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let counts = Arc::new(Counts::default());
    let places = Arc::new(Semaphore::new(at_once));
    let mut open = JoinSet::new();
    // One that comes late is made up for.
    let mut clock = interval(Duration::from_secs(1) / per_second);
    for number in 0..connections {
        if timeout_at(end, clock.tick()).await.is_err() {
            break;
        }
        let Ok(place) = timeout_at(end, Arc::clone(&places).acquire_owned()).await else { break };
        let (place, counts_here) = (place?, Arc::clone(&counts));
        let manner = manners[number % manners.len()];
        open.spawn(async move {
            let _ = timeout_at(end, one(target, manner, &counts_here)).await;
            drop(place);
        });
        while open.try_join_next().is_some() {}
        if number + 1 == at_once.min(connections) {
            counts.print("flooding");
        }
    }
    while open.join_next().await.is_some() {}
    counts.print("flood-over");
    Ok(())
}

/// One connection, until the peer closes it.
async fn one(target: SocketAddr, manner: Manner, counts: &Counts) -> io::Result<()> {
    let Ok(mut socket) = TcpStream::connect(target).await else {
        add(&counts.failed);
        return Ok(());
    };
    add(&counts.connected);
    // Whatever the peer does against it, it is over.
    let _ = match manner {
        Manner::Silent => until_closed(&mut socket).await,
        Manner::Half => {
            let _ = socket.write_all(HALF_A_HELLO).await;
            until_closed(&mut socket).await
        }
        Manner::Unproved => unproved(socket, counts).await,
        Manner::Idle => idle(socket, counts).await,
    };
    add(&counts.closed);
    Ok(())
}

async fn unproved(socket: TcpStream, counts: &Counts) -> io::Result<()> {
    let Secured { mut stream, channel } = tls::connect(socket, Some(&Key::random()), None).await?;
    add(&counts.encrypted);
    stream.write_all(&preamble(&channel, PROTOCOL_VERSION, &Proof::Other)).await?;
    stream.flush().await?;
    until_closed(&mut stream).await
}

async fn idle(socket: TcpStream, counts: &Counts) -> io::Result<()> {
    let Secured { stream, channel } = tls::connect(socket, Some(&Key::random()), None).await?;
    add(&counts.encrypted);
    let name = "guest".parse().map_err(io::Error::other)?;
    let ours = Introduction::open(Hello { name, listen_port: None, instance: 1, catalog: None });
    let mut connection = Connection::open(stream, &channel, &ours).await.map_err(io::Error::other)?;
    add(&counts.welcomed);
    connection.gone().await;
    Ok(())
}

async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}
