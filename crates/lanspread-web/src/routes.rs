//! Which request is answered how. Thin: each answer is a file of the page or what the daemon says.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures_util::future::join_all;
use lanspread_peer::{GameId, OperationKind, PeerId};
use lanspread_types::limits;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::actions;
use crate::actions::Action;
use crate::assets::{ASSETS, HEADERS};
use crate::commands::Commands;
use crate::daemon::{ActionsAsked, Planned, RoomDaemon, Start};
use crate::guard::{Guard, LIVE};
use crate::live::{Live, Numbered, PageReader};
use crate::refusal::WebRefusal;
use crate::tickets::Tickets;

/// What all requests have in common.
pub(crate) struct Site {
    daemon: Arc<dyn RoomDaemon>,
    guard: Guard,
    allowed: Commands,
    tickets: Tickets,
    live: Arc<Live>,
    readers: Arc<Semaphore>,
    /// One page after the other has the daemon look what is possible, because each look asks other peers.
    planning: Semaphore,
    stop: CancellationToken,
}

type Here = State<Arc<Site>>;

impl Site {
    pub(crate) fn new(
        daemon: Arc<dyn RoomDaemon>,
        guard: Guard,
        allowed: Commands,
        stop: CancellationToken,
    ) -> Self {
        let (readers, live) =
            (Arc::new(Semaphore::new(limits::WEB_READERS_MAX)), Arc::new(Live::new(allowed)));
        let (tickets, planning) = (Tickets::default(), Semaphore::new(1));
        Self { daemon, guard, allowed, tickets, live, readers, planning, stop }
    }

    /// The room, for one request.
    async fn picture(&self) -> Result<Arc<Numbered>, WebRefusal> {
        let picture = self.live.picture(&*self.daemon).await;
        if self.readers.available_permits() == limits::WEB_READERS_MAX {
            self.live.rest();
        }
        picture
    }
}

impl Site {
    /// What operations on a game would do on one machine; nothing of what it cannot say soon.
    async fn plans(
        &self,
        peer: PeerId,
        game: &GameId,
        kinds: Vec<OperationKind>,
    ) -> Vec<(OperationKind, Result<Planned, WebRefusal>)> {
        let plans = kinds.into_iter().map(async |kind| (kind, self.daemon.plan(peer, kind, game).await));
        if peer == self.daemon.own() {
            let _turn = self.planning.acquire().await;
            return join_all(plans).await;
        }
        // The other machine makes one after the other by itself, and may be slow on purpose.
        timeout(limits::WEB_PLAN_DEADLINE, join_all(plans)).await.unwrap_or_default()
    }
}

/// All routes, behind the checks of each request.
pub(crate) fn routes(site: Site) -> Router {
    let site = Arc::new(site);
    let mut router = Router::new();
    for asset in ASSETS {
        let answer = ([(header::CONTENT_TYPE, asset.content_type)], asset.content);
        router = router.route(asset.path, get(async move || answer));
    }
    router
        .route("/api/v1/room", get(room))
        .route(LIVE, get(live))
        .route("/api/v1/actions", get(actions))
        .route("/api/v1/ticket", post(ticket))
        .route("/api/v1/operations", post(start))
        .route("/api/v1/operations/{operation}", delete(cancel))
        .route("/metrics", get(metrics))
        .fallback(async || WebRefusal::new(404, "not-found", "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            WebRefusal::new(405, "method", "this address has no such method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&site), checked))
        .with_state(site)
}

async fn checked(State(site): Here, request: Request, next: Next) -> Response {
    let mut response = match site.guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

async fn room(State(site): Here) -> Result<Response, WebRefusal> {
    Ok(Json(site.picture().await?.snapshot()).into_response())
}

async fn live(
    State(site): Here,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebRefusal> {
    let query = query.unwrap_or_default();
    let ticket = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket");
    if !ticket.is_some_and(|(_, ticket)| site.tickets.take(&ticket)) {
        site.guard.check_token(&headers)?;
    }
    let place = Arc::clone(&site.readers).try_acquire_owned().map_err(|_| {
        let message = format!("{} pages are open already", limits::WEB_READERS_MAX);
        WebRefusal::new(503, "busy", message).with_hint(Some("close one of them".to_owned()))
    })?;
    let reader = PageReader::new(Arc::clone(&site.live), Arc::clone(&site.daemon), site.stop.clone(), place);
    let events = futures_util::stream::unfold(reader, |mut reader| async {
        reader.next().await.map(|event| (Ok::<_, Infallible>(event), reader))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response())
}

async fn actions(State(site): Here, RawQuery(query): RawQuery) -> Result<Response, WebRefusal> {
    let asked = ActionsAsked::read(&query.unwrap_or_default())?;
    let mut actions = actions::actions(&site.picture().await?.room, &asked, site.allowed);
    // Of one machine, it is asked. To ask many would be a load on all of them.
    if let [peer] = asked.peers[..]
        && site.allowed != Commands::None
    {
        let kinds: Vec<_> = actions.iter().filter_map(Action::to_plan).collect();
        for (kind, plan) in site.plans(peer, &asked.game, kinds).await {
            actions
                .iter_mut()
                .filter(|action| action.to_plan() == Some(kind))
                .for_each(|action| action.planned(&plan));
        }
    }
    Ok(Json(json!({ "v": 1, "actions": actions })).into_response())
}

async fn ticket(State(site): Here, request: Request) -> Result<Response, WebRefusal> {
    body(request).await?;
    Ok(Json(json!({ "ticket": site.tickets.give()? })).into_response())
}

async fn start(State(site): Here, request: Request) -> Result<Response, WebRefusal> {
    let body = body(request).await?;
    let asked: Start = serde_json::from_slice(&body)
        .map_err(|error| WebRefusal::new(400, "bad-request", format!("this is no request: {error}")))?;
    let asked = asked.check()?;
    site.allowed.check(site.daemon.own(), &asked.peers)?;
    let started = site.daemon.start(asked).await?;
    Ok((StatusCode::ACCEPTED, Json(started)).into_response())
}

async fn cancel(State(site): Here, Path(operation): Path<String>) -> Result<Response, WebRefusal> {
    let operation = operation
        .parse()
        .map_err(|_| WebRefusal::new(400, "bad-request", "the number of an operation is expected"))?;
    site.allowed.check(site.daemon.own(), &[])?;
    site.daemon.cancel(operation).await?;
    Ok(Json(json!({})).into_response())
}

async fn metrics(State(site): Here) -> Result<Response, WebRefusal> {
    let text = site.daemon.metrics().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The whole body of a request, within its bounds.
async fn body(request: Request) -> Result<bytes::Bytes, WebRefusal> {
    let reading = axum::body::to_bytes(request.into_body(), limits::WEB_BODY_BYTES_MAX);
    match timeout(limits::WEB_BODY_DEADLINE, reading).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let message = format!("the body is longer than {} bytes, or broken", limits::WEB_BODY_BYTES_MAX);
            Err(WebRefusal::new(413, "too-long", message))
        }
        Err(_) => Err(WebRefusal::new(408, "too-slow", "the body did not arrive in time")),
    }
}

#[cfg(test)]
mod tests;
