//! The stream of changes: `snapshot`, then `delta`, `log` and `time`, as server-sent events.
//!
//! The readers drive it: while there is none, nothing is looked at. Each of them counts its change from the picture that
//! it was sent last, so a slow one costs the memory of one room and never a backlog.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use lanspread_peer::Room;
use lanspread_types::limits;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::changes::Picture;
use crate::commands::Commands;
use crate::daemon::{Log, RoomDaemon, RoomFeed, RoomNews};
use crate::refusal::WebRefusal;

/// A picture with its number.
pub(crate) struct Numbered {
    pub(crate) seq: u64,
    pub(crate) room: Arc<Room>,
    picture: Picture,
    /// What came before it, and the event that says what changed since then.
    since_previous: Option<(u64, Bytes)>,
}

impl Numbered {
    /// The picture of a room; the one before if it shows the same.
    fn after(
        before: Option<Arc<Self>>,
        room: &Arc<Room>,
        allowed: Commands,
    ) -> Result<Arc<Self>, WebRefusal> {
        let picture = Picture::of(room, allowed)
            .map_err(|error| WebRefusal::new(500, "internal", format!("the room cannot be told: {error}")))?;
        let room = Arc::clone(room);
        Ok(match before {
            Some(before) if before.picture == picture => before,
            Some(before) => {
                let mut numbered = Self { seq: before.seq + 1, room, picture, since_previous: None };
                numbered.since_previous = Some((before.seq, numbered.counted_since(&before)));
                Arc::new(numbered)
            }
            None => Arc::new(Self { seq: 1, room, picture, since_previous: None }),
        })
    }

    /// The whole room, with the number of its last change.
    pub(crate) fn snapshot(&self) -> Map<String, Value> {
        self.stamped(self.picture.snapshot())
    }

    fn stamped(&self, mut object: Map<String, Value>) -> Map<String, Value> {
        object.insert("v".to_owned(), json!(1));
        object.insert("seq".to_owned(), json!(self.seq));
        object.insert("time".to_owned(), json!(now()));
        object
    }

    /// The event for a reader that has seen `before`.
    fn event_since(&self, before: &Self) -> Bytes {
        match &self.since_previous {
            Some((seq, event)) if *seq == before.seq => event.clone(),
            _ => self.counted_since(before),
        }
    }

    fn counted_since(&self, before: &Self) -> Bytes {
        match self.picture.since(&before.picture) {
            Some(change) => event("delta", Some(self.seq), &Value::Object(self.stamped(change))),
            None => self.whole_event(),
        }
    }

    fn whole_event(&self) -> Bytes {
        event("snapshot", Some(self.seq), &Value::Object(self.snapshot()))
    }
}

/// One event of the stream. JSON has no line breaks of its own, so it is one line.
fn event(name: &str, id: Option<u64>, data: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

/// RFC 3339, UTC, milliseconds.
fn now() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}

/// The newest picture, for all readers.
pub(crate) struct Live {
    /// What the page may do at most.
    allowed: Commands,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// None while no page is open.
    followed: Option<Followed>,
    newest: Option<(Arc<Numbered>, Instant)>,
}

/// The room of the daemon, and what it has told of it so far.
struct Followed {
    feed: Box<dyn RoomFeed>,
    room: Arc<Room>,
    /// Whether something was told of it since the last picture.
    is_news: bool,
}

impl Followed {
    async fn begin(daemon: &dyn RoomDaemon) -> Option<Self> {
        let mut feed = daemon.room();
        match feed.next().await? {
            RoomNews::Whole(room) => Some(Self { feed, room: Arc::from(room), is_news: true }),
            RoomNews::Changes(_) => None,
        }
    }

    /// Takes everything that was told meanwhile; none if nothing will be told any more.
    fn catch_up(&mut self) -> Option<()> {
        while let Some(news) = self.feed.next().now_or_never() {
            self.is_news = true;
            match news? {
                RoomNews::Whole(room) => self.room = Arc::from(room),
                RoomNews::Changes(changes) => Arc::make_mut(&mut self.room).apply(*changes),
            }
        }
        Some(())
    }
}

impl Live {
    pub(crate) fn new(allowed: Commands) -> Self {
        Self { allowed, now: Mutex::default() }
    }

    /// The room as it was at most [`limits::WEB_ROOM_INTERVAL`] ago. Cancel-safe.
    pub(crate) async fn picture(&self, daemon: &dyn RoomDaemon) -> Result<Arc<Numbered>, WebRefusal> {
        let mut now = self.now.lock().await;
        if let (Some((picture, seen)), true) = (&now.newest, now.followed.is_some())
            && seen.elapsed() < limits::WEB_ROOM_INTERVAL
        {
            return Ok(Arc::clone(picture));
        }
        let no_room = || WebRefusal::new(503, "no-room", "this daemon has no room to show now");
        let mut followed = match now.followed.take() {
            Some(followed) => followed,
            None => Followed::begin(daemon).await.ok_or_else(no_room)?,
        };
        followed.catch_up().ok_or_else(no_room)?;
        let is_news = std::mem::take(&mut followed.is_news);
        let before = now.newest.take().map(|(before, _)| before);
        let numbered = match before {
            Some(before) if !is_news => before,
            before => Numbered::after(before, &followed.room, self.allowed)?,
        };
        *now = Now { followed: Some(followed), newest: Some((Arc::clone(&numbered), Instant::now())) };
        Ok(numbered)
    }

    /// Follows the room no longer, until it is asked for again.
    pub(crate) fn rest(&self) {
        // If it is being asked for at this moment, it is not at rest.
        if let Ok(mut now) = self.now.try_lock() {
            now.followed = None;
        }
    }
}

/// One page that is told what changes.
pub(crate) struct PageReader {
    live: Arc<Live>,
    daemon: Arc<dyn RoomDaemon>,
    stop: CancellationToken,
    log: Option<Box<dyn Log>>,
    seen: Option<Arc<Numbered>>,
    looks: Interval,
    said: Instant,
    place: OwnedSemaphorePermit,
}

impl PageReader {
    pub(crate) fn new(
        live: Arc<Live>,
        daemon: Arc<dyn RoomDaemon>,
        stop: CancellationToken,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let mut looks = tokio::time::interval(limits::WEB_ROOM_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let log = Some(daemon.log());
        Self { live, daemon, stop, log, seen: None, looks, said: Instant::now(), place }
    }

    /// The next event; none when the daemon stops or can no longer say what its room is.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let stop = self.stop.clone();
        let next = stop.run_until_cancelled(self.something()).await??;
        self.said = Instant::now();
        Some(next)
    }

    async fn something(&mut self) -> Option<Bytes> {
        loop {
            let logged = async {
                match &mut self.log {
                    // After the room, which says who the events are about.
                    Some(log) if self.seen.is_some() => log.next().await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                logged = logged => match logged {
                    Some(entry) => return Some(event("log", None, &json!([entry]))),
                    None => self.log = None,
                },
                _ = self.looks.tick() => {
                    let now = match self.live.picture(&*self.daemon).await {
                        Ok(now) => now,
                        Err(refusal) => {
                            tracing::warn!("the room page cannot be told what changes: {refusal}");
                            return None;
                        }
                    };
                    let before = self.seen.replace(Arc::clone(&now));
                    match before {
                        None => return Some(now.whole_event()),
                        Some(before) if before.seq != now.seq => return Some(now.event_since(&before)),
                        Some(_) if self.said.elapsed() >= limits::WEB_SIGN_OF_LIFE_INTERVAL => {
                            return Some(event("time", None, &Value::Object(now.stamped(Map::new()))));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
    }
}

impl Drop for PageReader {
    fn drop(&mut self) {
        let others = limits::WEB_READERS_MAX - 1 - self.place.semaphore().available_permits();
        if others == 0 {
            self.live.rest();
        }
    }
}
