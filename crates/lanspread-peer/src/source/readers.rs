//! Knows which transfers read which game, so that an operation that takes the game's files away can wait for them.
//!
//! Invariants: every outbound transfer is registered from before the gate judges it until its last read. While an
//! operation holds a game quiet, no transfer registers for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_types::ids::GameId;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The games that are being read or held quiet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readers {
    games: Arc<Mutex<BTreeMap<GameId, Reading>>>,
}

/// One game. It leaves the map when no transfer reads it and no operation holds it quiet.
#[derive(Debug, Default)]
struct Reading {
    transfers: usize,
    /// Operations that hold it quiet, or wait until it is.
    quiet: usize,
    /// Ends the transfers that are running.
    end: CancellationToken,
    /// Notified when the last transfer has ended.
    idle: Arc<Notify>,
}

/// One transfer, registered until it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    readers: Readers,
    game: GameId,
    end: CancellationToken,
}

/// A game that no transfer reads or begins to read until this is dropped.
#[derive(Debug)]
pub(crate) struct Quiet {
    readers: Readers,
    game: GameId,
}

impl Readers {
    /// Registers a transfer; none while an operation holds the game quiet.
    pub(crate) fn register(&self, game: &GameId) -> Option<Reader> {
        let mut games = self.lock();
        let reading = games.entry(game.clone()).or_default();
        if reading.quiet > 0 {
            return None;
        }
        reading.transfers += 1;
        let end = reading.end.clone();
        Some(Reader { readers: self.clone(), game: game.clone(), end })
    }

    /// Keeps new transfers from reading the game and waits until no transfer does. After `deadline` it ends the running
    /// transfers and waits for them. Dropping the future releases the game.
    pub(crate) async fn quiesce(&self, game: &GameId, deadline: Duration) -> Quiet {
        let (end, idle) = {
            let mut games = self.lock();
            let reading = games.entry(game.clone()).or_default();
            reading.quiet += 1;
            (reading.end.clone(), Arc::clone(&reading.idle))
        };
        let quiet = Quiet { readers: self.clone(), game: game.clone() };
        let ended = async {
            loop {
                // Listens before it looks, so that it misses no end in between.
                let mut rung = std::pin::pin!(idle.notified());
                rung.as_mut().enable();
                if self.transfers(game) == 0 {
                    break;
                }
                rung.await;
            }
        };
        let mut ended = std::pin::pin!(ended);
        if timeout(deadline, &mut ended).await.is_err() {
            tracing::warn!("{game}: an operation ends {} transfers that still read it", self.transfers(game));
            end.cancel();
            ended.await;
        }
        quiet
    }

    fn transfers(&self, game: &GameId) -> usize {
        self.lock().get(game).map_or(0, |reading| reading.transfers)
    }

    /// Changes the counts of a game in the map, and removes the game when they are zero.
    fn release(&self, game: &GameId, change: impl FnOnce(&mut Reading)) {
        let mut games = self.lock();
        let Some(reading) = games.get_mut(game) else { return };
        change(reading);
        if reading.transfers == 0 {
            reading.idle.notify_waiters();
        }
        if reading.quiet == 0 && reading.end.is_cancelled() {
            // A transfer that registers from now on is not one of those that were ended.
            reading.end = CancellationToken::new();
        }
        if reading.transfers == 0 && reading.quiet == 0 {
            games.remove(game);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GameId, Reading>> {
        self.games.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Runs a transfer, which must end soon after `stop` is cancelled, and cancels `stop` when the game must be quiet.
    pub(crate) async fn run<T>(&self, stop: &CancellationToken, transfer: impl Future<Output = T>) -> T {
        let mut transfer = std::pin::pin!(transfer);
        tokio::select! {
            ended = &mut transfer => ended,
            () = self.end.cancelled() => {
                stop.cancel();
                transfer.await
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.release(&self.game, |reading| reading.transfers -= 1);
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.readers.release(&self.game, |reading| reading.quiet -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn game() -> GameId {
        "g".parse().unwrap()
    }

    #[tokio::test]
    async fn no_transfer_reads_a_quiet_game_and_other_games_are_not_touched() {
        let readers = Readers::default();
        let quiet = readers.quiesce(&game(), LONG).await;
        assert!(readers.register(&game()).is_none());
        assert!(readers.register(&"other".parse().unwrap()).is_some());
        drop(quiet);
        assert!(readers.register(&game()).is_some());
        assert!(readers.lock().is_empty(), "nothing is kept of games that no transfer reads");
    }

    /// The wait ends with the last transfer, whichever that is, and not before. Meanwhile none begins.
    #[tokio::test]
    async fn quiescing_waits_for_every_running_transfer() {
        let readers = Readers::default();
        let (one, other) = (readers.register(&game()).unwrap(), readers.register(&game()).unwrap());
        let game_id = game();
        let mut waiting = Box::pin(readers.quiesce(&game_id, LONG));
        assert!(polled(&mut waiting).await.is_none());
        assert!(readers.register(&game()).is_none(), "refused while an operation waits");
        drop(other);
        assert!(polled(&mut waiting).await.is_none());
        drop(one);
        assert!(polled(&mut waiting).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_transfers_are_ended_and_still_waited_for() {
        let readers = Readers::default();
        let reader = readers.register(&game()).unwrap();
        let stop = CancellationToken::new();
        let farewell = Notify::new();
        let transfer = async {
            reader
                .run(&stop, async {
                    stop.cancelled().await;
                    farewell.notified().await;
                    "ended"
                })
                .await
        };
        let mut transfer = Box::pin(transfer);
        let game_id = game();
        let mut waiting = Box::pin(readers.quiesce(&game_id, Duration::from_mins(1)));
        tokio::select! {
            _ = &mut transfer => panic!("the transfer says farewell first"),
            _ = &mut waiting => panic!("the transfer still runs"),
            () = stop.cancelled() => {}
        }
        assert!(polled(&mut waiting).await.is_none(), "asked to end is not ended");
        farewell.notify_one();
        assert_eq!(transfer.await, "ended");
        drop(reader);
        let quiet = waiting.await;
        drop(quiet);
        let next = readers.register(&game()).unwrap();
        assert!(!next.end.is_cancelled(), "a later transfer is not one of those that were ended");
    }

    /// Until the deadline, no transfer is asked to end, and one that ends by itself never is.
    #[tokio::test(start_paused = true)]
    async fn transfers_have_until_the_deadline() {
        let readers = Readers::default();
        let reader = readers.register(&game()).unwrap();
        let asked_to_end = reader.end.clone();
        let game_id = game();
        let deadline = Duration::from_mins(1);
        let mut waiting = Box::pin(readers.quiesce(&game_id, deadline));
        assert!(polled(&mut waiting).await.is_none());
        tokio::time::advance(deadline * 9 / 10).await;
        assert!(polled(&mut waiting).await.is_none() && !asked_to_end.is_cancelled());
        drop(reader);
        assert!(polled(&mut waiting).await.is_some() && !asked_to_end.is_cancelled());
    }

    /// An operation asks the running transfers to end and then gives up before they have ended. A transfer that begins
    /// then is not one of those.
    #[tokio::test(start_paused = true)]
    async fn a_transfer_after_a_given_up_operation_is_not_asked_to_end() {
        let readers = Readers::default();
        let reader = readers.register(&game()).unwrap();
        let game_id = game();
        let mut waiting = Box::pin(readers.quiesce(&game_id, Duration::from_mins(1)));
        assert!(polled(&mut waiting).await.is_none());
        tokio::time::advance(Duration::from_mins(2)).await;
        assert!(polled(&mut waiting).await.is_none() && reader.end.is_cancelled());
        drop(waiting);
        let next = readers.register(&game()).unwrap();
        assert!(!next.end.is_cancelled() && reader.end.is_cancelled());
    }

    #[tokio::test]
    async fn an_operation_that_gives_up_waiting_releases_the_game() {
        let readers = Readers::default();
        let _reader = readers.register(&game()).unwrap();
        let game_id = game();
        let mut waiting = Box::pin(readers.quiesce(&game_id, LONG));
        assert!(polled(&mut waiting).await.is_none());
        drop(waiting);
        assert!(readers.register(&game()).is_some());
    }

    /// The result of a future, if one more poll completes it.
    async fn polled<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
