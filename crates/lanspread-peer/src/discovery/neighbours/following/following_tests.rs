use std::time::Duration;

use lanspread_proto::activity::{ActivityHead, GameActivity};
use lanspread_proto::connection::Connection;
use lanspread_proto::message::{Reply, Request};
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::discovery::catalog_news::CatalogNews;
use crate::discovery::directory::HowKnown;
use crate::report::channel::EventSender;
use crate::task::Tasks;
use crate::testing::{answered, dialled, endpoint, hello};

const DEADLINE: Duration = Duration::from_mins(1);

fn part(revision: u64, games: Vec<GameActivity>, more: bool) -> Reply {
    Reply::Activity { revision, is_whole: true, accepts: true, head: ActivityHead::default(), games, more }
}

fn games(from: usize) -> Vec<GameActivity> {
    let game = |number| GameActivity {
        installed: true,
        ..GameActivity::gone(format!("game-{number}").parse().unwrap())
    };
    (from..from + limits::ACTIVITY_GAMES_PER_MESSAGE).map(game).collect()
}

/// What a neighbour tells that the test plays, and how the connection to it ends.
async fn told(
    answers: impl AsyncFnOnce(&mut Connection<DuplexStream>),
) -> (WireError, std::sync::Arc<Neighbours>, PeerKey) {
    let penalties = crate::Penalties::new("/nowhere", true);
    let (news, events, tasks) = (CatalogNews::default(), EventSender::new(), Tasks::default());
    let neighbours = Neighbours::new(endpoint("ours"), news, events, tasks, penalties);
    let (near, far) = duplex(1 << 16);
    let theirs = hello("teller");
    let ours = &neighbours.ours.introduction.hello;
    let (near, far) = tokio::join!(dialled(near, ours), answered(far, &theirs));
    let (connection, mut far, address) = (near.unwrap(), far.unwrap(), ([10, 0, 0, 1], 4107).into());
    let key = PeerKey::from(&connection);
    neighbours.directory().claim(key, &theirs.name, address, HowKnown::Connected, SystemTime::now());
    neighbours.room.answers(key.id, &theirs.name, address, Instant::now());
    let mut dialled = Dialled { connection, address };
    let answering = async {
        let asked: Option<Request> = far.receive("request", DEADLINE).await.unwrap();
        assert_eq!(asked, Some(Request::News { library: None, activity: None }));
        far.send(&Reply::Games { revision: 1, games: Vec::new(), more: false }).await.unwrap();
        let asked: Option<Request> = far.receive("request", DEADLINE).await.unwrap();
        assert_eq!(asked, Some(Request::News { library: Some(1), activity: None }));
        answers(&mut far).await;
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        () = answering => unreachable!(),
        error = neighbours.poll(key, &mut dialled) => error,
    };
    (error, neighbours, key)
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_that_tells_without_end_is_left() {
    let (error, neighbours, key) = told(async |far| {
        for number in 0.. {
            let games = games(number * limits::ACTIVITY_GAMES_PER_MESSAGE);
            if far.send(&part(1, games, true)).await.is_err() {
                return;
            }
        }
    })
    .await;
    assert!(matches!(error, WireError::Malformed(_)), "{error}");
    assert!(neighbours.room.all()[&key.id].games.is_empty(), "nothing of it is kept");
}

#[tokio::test(start_paused = true)]
async fn parts_of_two_revisions_and_empty_parts_are_refused() {
    for second in [part(2, games(99), false), part(1, Vec::new(), true)] {
        let (error, ..) = told(async |far| {
            far.send(&part(1, games(0), true)).await.unwrap();
            far.send(&second).await.unwrap();
        })
        .await;
        assert!(matches!(error, WireError::Malformed(_)), "{error}");
    }
}

/// What it tells is asked for from the revision on that is known.
#[tokio::test(start_paused = true)]
async fn what_is_known_is_not_told_again() {
    let (error, neighbours, key) = told(async |far| {
        far.send(&part(7, games(0), false)).await.unwrap();
        let asked: Option<Request> = far.receive("request", DEADLINE).await.unwrap();
        assert_eq!(asked, Some(Request::News { library: Some(1), activity: Some(7) }));
        // And now it is silent.
    })
    .await;
    assert!(matches!(error, WireError::Timeout { .. }), "{error}");
    let known = &neighbours.room.all()[&key.id];
    assert_eq!((known.games.len(), known.accepts), (limits::ACTIVITY_GAMES_PER_MESSAGE, true));
}
