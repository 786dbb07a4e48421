//! Serves one connection: the handshake, then one request at a time until the other side closes the connection or a transfer
//! ends it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lanspread_archive::set::ArchiveSet;
use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
#[cfg(test)]
use lanspread_proto::message::Hello;
use lanspread_proto::message::{CatalogMark, Refusal, RefusalCode, Reply, Request, StreamMessage};
use lanspread_proto::packed::Follow;
use lanspread_store::state::game_state::GameState;
use lanspread_tls::endpoint::Endpoint;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::admission::Receiver;
use super::handshake_counts::HandshakeEnd;
use super::poll::Known;
use super::running::TransferKind;
use super::waiting::Asking;
use super::{Source, download, entries, handed_on, packed, poll, stream, waiting};
use crate::guests::guest::Guest;
use crate::guests::turns::RequestTurn;
use crate::source::parts::{FILES_PER_MESSAGE, in_parts, offers_in_parts};
use crate::source::visitor::Visitor;
use crate::transport::handshakes::Handshakes;
use crate::transport::listener::ServeConnection;
use crate::transport::seats::Seat;

/// Which requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    All,
    /// Those of receivers that follow an install of this peer, which does not serve.
    Followers,
}

/// Serves every connection from an address, until `stop`.
pub(crate) fn serve_each(
    source: Arc<Source>,
    ours: Endpoint,
    stop: CancellationToken,
) -> Arc<ServeConnection> {
    serve_connections(source, ours, stop, Answers::All)
}

/// Answers receivers that follow an install of this peer, and refuses everything else, until `stop`.
pub(crate) fn serve_followers(
    source: Arc<Source>,
    ours: Endpoint,
    stop: CancellationToken,
) -> Arc<ServeConnection> {
    serve_connections(source, ours, stop, Answers::Followers)
}

fn serve_connections(
    source: Arc<Source>,
    ours: Endpoint,
    stop: CancellationToken,
    answers: Answers,
) -> Arc<ServeConnection> {
    let (ours, handshakes) = (Arc::new(ours), Handshakes::default());
    Arc::new(move |socket, from, seat| {
        let (source, ours, stop) = (Arc::clone(&source), Arc::clone(&ours), stop.clone());
        let handshake = handshakes.begin(from);
        Box::pin(async move {
            // Another version of the catalog may be in force by now.
            let mut ours = Endpoint::clone(&ours);
            ours.introduction.hello.catalog = source.catalog.as_ref().and_then(|catalog| catalog.mark());
            let _open = OpenConnection::count(&source);
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                () = handshake.gave_way() => {
                    source.handshakes.add(HandshakeEnd::GaveWay);
                    tracing::debug!("a handshake with {from} gave way to another one");
                    return;
                }
                opened = ours.answer(socket) => opened,
            };
            drop(handshake);
            let connection = match opened {
                Ok(connection) => connection,
                Err(error) => {
                    source.handshakes.add(HandshakeEnd::of(&error));
                    return log_handshake(from, &error);
                }
            };
            source.handshakes.add(HandshakeEnd::Done);
            tracing::debug!("{} connected from {from}", connection.theirs.name);
            if let Some(visitors) = source.visitors.get() {
                let (peer, hello) = (connection.peer, connection.theirs.clone());
                // If too many peers connect at once, the later ones are noticed at their next connection.
                let _ = visitors.try_send(Visitor { from, peer, hello });
            }
            serve_visitor(&source, connection, &seat, &stop, answers).await;
        })
    })
}

/// What a user may have to do something about is more than a detail.
fn log_handshake(from: SocketAddr, error: &WireError) {
    if HandshakeEnd::of(error) == HandshakeEnd::Refused {
        tracing::info!("a connection from {from} is refused: {error}");
    } else {
        tracing::debug!("a connection from {from} was not made: {error}");
    }
}

/// Serves one connection whose other end has no address.
#[cfg(test)]
pub(crate) async fn serve<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    socket: S,
    ours: &Hello,
    stop: &CancellationToken,
) {
    serve_from(source, socket, ([127, 0, 0, 1], 0).into(), ours, stop).await;
}

/// Serves one connection as if it came from an address.
#[cfg(test)]
pub(crate) async fn serve_from<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    socket: S,
    from: SocketAddr,
    ours: &Hello,
    stop: &CancellationToken,
) {
    let _open = OpenConnection::count(source);
    let seat = crate::transport::seats::Seats::new(None).take(from);
    let seat = seat.unwrap_or_else(|| unreachable!("the first connection has a place"));
    let opening = crate::testing::answered(socket, ours);
    if let Some(Ok(connection)) = stop.run_until_cancelled(opening).await {
        serve_visitor(source, connection, &seat, stop, Answers::All).await;
    }
}

/// Serves one connection to its end. When the peer stops, a transfer tells its receiver so; everything else is cut off.
async fn serve_visitor<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: Connection<S>,
    seat: &Seat,
    stop: &CancellationToken,
    answers: Answers,
) {
    if let Err(error) = converse(source, connection, seat, stop, answers).await {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Counts an open connection, however it ends.
struct OpenConnection<'s>(&'s Source);

impl<'s> OpenConnection<'s> {
    fn count(source: &'s Source) -> Self {
        source.connections.fetch_add(1, Ordering::Relaxed);
        Self(source)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn converse<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    mut connection: Connection<S>,
    seat: &Seat,
    stop: &CancellationToken,
    answers: Answers,
) -> Result<(), WireError> {
    let guest = seat.guest.who_is(connection.peer);
    let mut next_list = Instant::now();
    loop {
        seat.idles();
        let next = connection.receive("request", limits::REQUEST_IDLE_DEADLINE);
        let Some(request) = stop.run_until_cancelled(next).await.transpose()?.flatten() else {
            return Ok(());
        };
        tracing::debug!("{} sent the request {request:?}", connection.theirs.name);
        if answers == Answers::Followers && !is_of_follower(source, &request).await {
            let refusal = refused(RefusalCode::NotOffered, "it serves nothing but what it is installing");
            return connection.send(&refusal).await;
        }
        match request {
            Request::StreamInstall { game, version } => {
                let asking = Asking { guest: &guest, seat, stop, draining: Some(&source.draining) };
                return stream_install(source, &mut connection, asking, game, version).await;
            }
            Request::StreamEntries { game, version, manifest, from_path } => {
                let wanted = WantedEntries { game, version, manifest, from_path };
                let asking = Asking { guest: &guest, seat, stop, draining: Some(&source.draining) };
                return stream_entries(source, &mut connection, asking, wanted).await;
            }
            Request::Download { game, version } => {
                let asking = Asking { guest: &guest, seat, stop, draining: Some(&source.draining) };
                return download::serve(source, &mut connection, asking, game, version).await;
            }
            Request::Join(wanted) => {
                // It waits in a queue, perhaps for long.
                seat.answers();
                packed::join(source, &mut connection, seat.guest.address, wanted, stop).await?;
            }
            Request::Follow(wanted) => {
                let asking = Asking { guest: &guest, seat, stop, draining: None };
                return packed::follow(source, &mut connection, asking, wanted).await;
            }
            Request::Operate { kind, game } => {
                let reply = source.asked.operate(&connection, kind, game);
                connection.send(&reply).await?;
            }
            Request::Plan { kind, game } => {
                seat.answers();
                let planning = source.asked.plan(&connection, kind, game);
                let Some(reply) = stop.run_until_cancelled(planning).await else { return Ok(()) };
                connection.send(&reply).await?;
            }
            Request::CannotReach { wave, relay } => {
                let reply = packed::cannot_reach(source, wave, relay, connection.peer);
                connection.send(&reply).await?;
            }
            listing => {
                seat.answers();
                if let Request::Details { game } = &listing {
                    source.packed.asked(game, connection.peer);
                }
                let answering = async {
                    if let Request::News { library, activity } = listing {
                        // A peer that asks again at once waits, however often something changes.
                        sleep_until(next_list).await;
                        let known = Known { library, activity };
                        let replies = poll::news(source, &mut connection, &guest, known).await;
                        next_list = Instant::now() + limits::LIBRARY_ANSWER_INTERVAL;
                        if let Some(replies) = replies {
                            return replies;
                        }
                    }
                    Arc::new(answer(source, &guest, listing).await)
                };
                let Some(replies) = stop.run_until_cancelled(answering).await else {
                    return Ok(());
                };
                for reply in replies.iter() {
                    let Some(written) = stop.run_until_cancelled(connection.send(reply)).await else {
                        return Ok(());
                    };
                    written?;
                }
            }
        }
    }
}

/// Whether a window of this peer is followed, or will be in a moment.
async fn is_of_follower(source: &Source, request: &Request) -> bool {
    match request {
        Request::Follow(Follow { packed, .. }) => source.packed.relays.find_soon(packed).await.is_some(),
        _ => false,
    }
}

/// Answers a request that is not a transfer, on blocking threads because it reads the disk.
async fn answer(source: &Arc<Source>, guest: &Guest, request: Request) -> Vec<Reply> {
    let Request::Totals { game, version } = request else {
        let turn = source.quick_answers.next(guest).await;
        return in_background(source, turn, move |source, _| answer_blocking(source, request)).await;
    };
    // To look whether the answer is known costs next to nothing, and does not wait for listings.
    let wanted = game.clone();
    let turn = source.quick_answers.next(guest).await;
    let looked = in_background(source, turn, move |source, _| {
        let archives = archives(&source.offered(&wanted, Some(&version))?)?;
        let known = source.totals.known(&wanted, &archives).transpose()?;
        Ok(match known {
            Some(reply) => Looked::Replies(vec![reply]),
            None => Looked::NotKnown(archives),
        })
    })
    .await;
    match looked {
        Looked::Replies(replies) => replies,
        Looked::NotKnown(archives) => {
            let turn = source.inspections.next(guest).await;
            in_background(source, turn, move |source, cancel| {
                let found = source.totals.find_out(source.provider.as_ref(), &game, &archives, cancel);
                Ok(vec![found?])
            })
            .await
        }
    }
}

/// What a look at the remembered totals yields.
enum Looked {
    Replies(Vec<Reply>),
    NotKnown(Vec<ArchiveSet>),
}

impl From<Vec<Reply>> for Looked {
    fn from(replies: Vec<Reply>) -> Self {
        Self::Replies(replies)
    }
}

/// Does the work of one turn on a blocking thread. If it fails, the answer says so.
async fn in_background<T: From<Vec<Reply>> + Send + 'static>(
    source: &Arc<Source>,
    turn: RequestTurn,
    work: impl FnOnce(&Source, &CancellationToken) -> Result<T, Refusal> + Send + 'static,
) -> T {
    let worker = Arc::clone(source);
    let cancel = source.tasks.cancel_token();
    let cancel_on_drop = cancel.clone().drop_guard();
    let answered = source
        .tasks
        .spawn_blocking("answer", move || {
            // The turn ends with the work, also if the answer is no longer wanted.
            let _turn = turn;
            work(&worker, &cancel)
        })
        .await;
    drop(cancel_on_drop);
    match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(refusal)) => vec![Reply::Refused(refusal)].into(),
        Err(error) => {
            tracing::error!("the answer to a request ended abnormally: {error}");
            vec![refused(RefusalCode::Internal, "the source failed")].into()
        }
    }
}

fn answer_blocking(source: &Source, request: Request) -> Result<Vec<Reply>, Refusal> {
    let failed = |error| {
        tracing::warn!("the games directory cannot be read: {error}");
        Refusal::new(RefusalCode::Internal, "the games directory cannot be read")
    };
    match request {
        // Only while the index has not been read.
        Request::News { .. } => Ok(offers_in_parts(0, &source.offers().map_err(failed)?)),
        Request::Status => Ok(vec![Reply::Status(source.status().map_err(failed)?)]),
        Request::Details { game } => {
            let state = match source.offered(&game, None) {
                Ok(state) => state,
                Err(refusal) => {
                    let entries = source.entries_offered(&game, None);
                    let (version, manifest) = entries.map_err(|_| refusal)?;
                    return Ok(vec![Reply::EntriesOffered { version, manifest }]);
                }
            };
            let Some(version) = state.version.clone() else {
                return Ok(vec![refused(RefusalCode::NotOffered, "no version")]);
            };
            let offered = source.packing_list_offered(&state, &version);
            Ok(in_parts(&state.root_files, FILES_PER_MESSAGE, |files, more| Reply::Details {
                version: version.clone(),
                files: files.to_vec(),
                more,
                manifest: offered.manifest,
                manifest_in_ms: offered.in_ms,
            }))
        }
        Request::Manifest { digest, from } => Ok(vec![handed_on::manifest(source, &digest, from)?]),
        Request::Catalog { signer, version, part, from } => {
            Ok(vec![handed_on::catalog(source, CatalogMark { signer, version }, part, from)?])
        }
        Request::Totals { .. }
        | Request::StreamInstall { .. }
        | Request::StreamEntries { .. }
        | Request::Download { .. }
        | Request::Join(_)
        | Request::Follow(_)
        | Request::CannotReach { .. }
        | Request::Operate { .. }
        | Request::Plan { .. } => Err(Refusal::new(RefusalCode::BadRequest, "it is no quick answer")),
    }
}

fn refused(code: RefusalCode, message: &str) -> Reply {
    Reply::Refused(Refusal::new(code, message))
}

/// The archives of a game, or why they do not form whole sets.
fn archives(state: &GameState) -> Result<Vec<ArchiveSet>, Refusal> {
    let archives =
        state.archives().map_err(|gap| Refusal::new(RefusalCode::ArchiveDamaged, &gap.to_string()))?;
    if archives.is_empty() {
        return Err(Refusal::new(RefusalCode::NotOffered, &format!("it has no archive of {}", state.game)));
    }
    Ok(archives)
}

async fn stream_install<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    asking: Asking<'_>,
    game: GameId,
    version: GameVersion,
) -> Result<(), WireError> {
    let place = waiting::place::<StreamMessage, _>(
        &source.transfers,
        source.waits.for_game(&game),
        connection,
        asking,
    )
    .await?;
    let Some(place) = place else { return Ok(()) };
    let admitted = match source.admit(place, TransferKind::Stream, game, version, archives).await {
        Ok(admitted) => admitted,
        Err(refusal) => return connection.send(&StreamMessage::Failed(refusal)).await,
    };
    let to = Receiver::of(connection);
    let provider = Arc::clone(&source.provider);
    admitted
        .run(to, asking.stop, async |archives, running| {
            let memory = (source.dictionaries.clone(), *asking.guest);
            stream::send(connection, provider, archives, memory, &source.tasks, running).await
        })
        .await;
    Ok(())
}

/// The installed files that a receiver asks for.
struct WantedEntries {
    game: GameId,
    version: GameVersion,
    manifest: ContentDigest,
    from_path: Option<String>,
}

async fn stream_entries<S: AsyncRead + AsyncWrite>(
    source: &Arc<Source>,
    connection: &mut Connection<S>,
    asking: Asking<'_>,
    wanted: WantedEntries,
) -> Result<(), WireError> {
    let place = waiting::place::<StreamMessage, _>(
        &source.transfers,
        source.waits.for_game(&wanted.game),
        connection,
        asking,
    )
    .await?;
    let Some(place) = place else { return Ok(()) };
    let WantedEntries { game, version, manifest, from_path } = wanted;
    let asked = game.clone();
    let judge = move |source: &Source| {
        let tree = source.open_entries(&asked, &version, manifest)?;
        if tree.totals(from_path.as_deref()).files == 0 {
            return Err(Refusal::new(RefusalCode::BadRequest, "no file is listed from that path on"));
        }
        Ok((tree, from_path))
    };
    let admitted = match source.admit_after(place, TransferKind::Stream, game, judge).await {
        Ok(admitted) => admitted,
        Err(refusal) => return connection.send(&StreamMessage::Failed(refusal)).await,
    };
    let to = Receiver::of(connection);
    admitted
        .run(to, asking.stop, async |(tree, from_path), running| {
            entries::send(connection, tree, from_path, &source.tasks, running).await
        })
        .await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lanspread_types::content::Totals;

    use super::*;

    fn totals(more: bool) -> Totals {
        Totals { files: u64::from(more), ..Totals::default() }
    }

    #[test]
    fn long_lists_travel_in_parts_that_say_whether_more_follow() {
        let reply = |part: &[u8], more| Reply::Totals { archives: part.len() as u64, totals: totals(more) };
        assert_eq!(in_parts(&[], 2, reply).len(), 1);
        assert_eq!(in_parts(&[1, 2], 2, reply), [Reply::Totals { archives: 2, totals: totals(false) }]);
        let parts = in_parts(&[1, 2, 3], 2, reply);
        assert_eq!(parts[0], Reply::Totals { archives: 2, totals: totals(true) });
        assert_eq!(parts[1], Reply::Totals { archives: 1, totals: totals(false) });
    }
}
