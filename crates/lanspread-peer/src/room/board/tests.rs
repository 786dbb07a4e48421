use lanspread_proto::activity::{WorkFailure, WorkKind};
use proptest::prelude::*;

use super::*;

fn game(id: &str, version: &str) -> GameActivity {
    GameActivity {
        installed: true,
        installed_version: Some(version.parse().unwrap()),
        ..GameActivity::gone(id.parse().unwrap())
    }
}

/// What a peer knows, by the rules that every receiver keeps.
#[derive(Default)]
struct Knows {
    revision: Option<u64>,
    games: BTreeMap<GameId, GameActivity>,
}

impl Knows {
    fn hear(&mut self, activity: &Activity) -> usize {
        let mut told = 0;
        for (number, part) in activity.since(self.revision, false).into_iter().enumerate() {
            let Reply::Activity { revision, is_whole, games, .. } = part else { panic!("{part:?}") };
            if is_whole && number == 0 {
                self.games.clear();
            }
            told += games.len();
            for game in games {
                if game.is_gone() {
                    self.games.remove(&game.game);
                } else {
                    self.games.insert(game.game.clone(), game);
                }
            }
            self.revision = Some(revision);
        }
        told
    }
}

#[test]
fn each_is_told_what_it_does_not_know_and_nothing_twice() {
    let board = Board::default();
    let mut knows = Knows::default();
    board.write(ActivityHead::default(), vec![game("a", "1"), game("b", "1")]);
    assert_eq!(knows.hear(&board.current()), 2);
    assert_eq!(knows.hear(&board.current()), 0);
    board.write(ActivityHead::default(), vec![game("a", "1"), game("b", "2")]);
    assert_eq!(knows.hear(&board.current()), 1);
    board.write(ActivityHead::default(), vec![game("b", "2")]);
    assert_eq!(knows.hear(&board.current()), 1, "that one is gone");
    assert_eq!(knows.games.into_keys().collect::<Vec<_>>(), ["b".parse().unwrap()]);
}

#[test]
fn the_same_again_is_no_change() {
    let board = Board::default();
    board.write(ActivityHead::default(), vec![game("a", "1")]);
    let mut follower = board.follow();
    follower.mark_unchanged();
    board.write(ActivityHead::default(), vec![game("a", "1")]);
    assert!(!follower.has_changed().unwrap());
    board.write(ActivityHead { waiting: 1, ..ActivityHead::default() }, vec![game("a", "1")]);
    assert!(follower.has_changed().unwrap());
}

#[test]
fn games_that_come_and_go_do_not_fill_the_board() {
    let board = Board::default();
    let mut knows = Knows::default();
    for number in 0..limits::ACTIVITY_GAMES_MAX * 2 + 10 {
        board.write(ActivityHead::default(), vec![game(&format!("g{number}"), "1")]);
        if number == 5 {
            knows.hear(&board.current());
        }
    }
    assert!(board.current().games.len() <= limits::ACTIVITY_GAMES_MAX + 2);
    knows.hear(&board.current());
    assert_eq!(knows.games.len(), 1, "one that knew an old state is told everything");
}

#[test]
fn what_is_told_is_bounded_and_what_happens_is_told_first() {
    let mut games: Vec<GameActivity> =
        (0..limits::ACTIVITY_GAMES_MAX + 100).map(|number| game(&format!("g{number:05}"), "1")).collect();
    let text = "x".repeat(limits::FAILURE_TEXT_CHARS_MAX);
    for game in games.iter_mut().rev().take(limits::ACTIVITY_FAILURES_MAX + 5) {
        game.failure = Some(WorkFailure::new(WorkKind::Verify, "damaged", None, &text));
    }
    let told = within_bounds(games);
    assert!(told.len() <= limits::ACTIVITY_GAMES_MAX);
    assert!(told.iter().map(GameActivity::memory_bytes).sum::<usize>() <= limits::ACTIVITY_BYTES_MAX);
    let failures = |game: &&GameActivity| game.failure.is_some();
    assert_eq!(told.iter().take_while(failures).count(), limits::ACTIVITY_FAILURES_MAX + 5);
    let texts =
        told.iter().filter(|game| game.failure.as_ref().is_some_and(|failure| !failure.message.is_empty()));
    assert_eq!(texts.count(), limits::ACTIVITY_FAILURES_MAX);
}

proptest! {
    /// However states follow each other, and whenever a peer asks, it knows what is so.
    #[test]
    fn a_peer_that_asks_now_and_then_knows_what_is_so(
        states in prop::collection::vec((prop::collection::vec(0..6_u8, 0..6), prop::bool::ANY), 1..30)
    ) {
        let board = Board::default();
        let mut knows = Knows::default();
        for (versions, asks) in states {
            let games: Vec<GameActivity> = versions
                .iter()
                .enumerate()
                .filter(|(_, version)| **version > 0)
                .map(|(id, version)| game(&format!("g{id}"), &version.to_string()))
                .collect();
            board.write(ActivityHead::default(), games.clone());
            if asks {
                knows.hear(&board.current());
                let so: Vec<GameActivity> = knows.games.values().cloned().collect();
                prop_assert_eq!(so, games);
            }
        }
    }
}
