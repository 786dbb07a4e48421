//! Commands for several games: each failure is reported once, and a summary comes last.

use serde_json::json;

use crate::support::{Finished, Receiver, Running, Source, finish, fixtures, peer};

fn install(receiver: &Receiver, source: &Source, games: &[&str], json: bool) -> std::process::Command {
    let mut command = peer();
    command.args(["install", "--stream"]).args(games).args(["--peer", &source.address, "--games-dir"]);
    command.arg(receiver.games()).arg("--state-dir").arg(receiver.state());
    command.env("LANSPREAD_JSON", json.to_string());
    command
}

fn events(done: &Finished) -> Vec<String> {
    let names = done.objects().into_iter().map(|object| object["event"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn each_failed_game_has_one_error_and_the_summary_is_last() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let receiver = Receiver::new();
    let games = ["alpha-arena", "nosuch", "alpha-racer", "neither"];
    let done = finish(&mut install(&receiver, &source, &games, true));
    assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
    let mut failed: Vec<_> = done.named("error").iter().map(|error| error["game"].clone()).collect();
    failed.sort_by_key(ToString::to_string);
    assert_eq!(failed, [json!("neither"), json!("nosuch")]);
    assert_eq!(events(&done).last().unwrap(), "summary");
    let summary = done.one("summary");
    assert_eq!(summary["done"], json!(["alpha-arena", "alpha-racer"]));
    assert_eq!((&summary["failed"], &summary["exit_status"]), (&json!(["nosuch", "neither"]), &3.into()));
    assert_eq!(done.stderr.matches("error: ").count(), 2, "{}", done.stderr);

    let again = finish(&mut install(&receiver, &source, &games, false));
    assert_eq!(again.status.code(), Some(5), "the first failure decides: {}", again.stderr);
    assert_eq!(again.stdout, "");
    let errors: Vec<&str> = again.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 4, "{}", again.stderr);
    for game in games {
        assert_eq!(errors.iter().filter(|line| line.contains(game)).count(), 1, "{game}: {errors:?}");
    }
    assert!(again.stderr.ends_with("0 of 4 games done, failed: alpha-arena, nosuch, alpha-racer, neither\n"));
    assert!(!again.stderr.contains("first failure"), "{}", again.stderr);
}

#[test]
fn several_games_that_are_all_done_have_a_summary_too() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let games = ["alpha-arena", "alpha-racer"];
    let done = finish(&mut install(&Receiver::new(), &source, &games, false));
    assert!(done.succeeded().stderr.ends_with("all 2 games done\n"), "{}", done.stderr);
    let one = finish(&mut install(&Receiver::new(), &source, &games[..1], true));
    assert_eq!(one.succeeded().named("summary"), [json!(null); 0], "one game needs no summary");
}

/// An interrupt is printed once for each game, with its name.
#[test]
fn an_interrupt_of_two_games_names_both() {
    let source = Source::slow("only");
    let receiver = Receiver::new();
    let mut running = Running::start(&mut install(&receiver, &source, &["big", "other"], true));
    running.wait_for("stream-progress");
    running.signal("INT");
    let done = running.finish();
    let games: Vec<_> = done.named("error").iter().map(|error| error["game"].clone()).collect();
    assert!(
        games.len() == 2 && games.contains(&json!("big")) && games.contains(&json!("other")),
        "{games:?}"
    );
    assert_eq!(done.one("summary")["failed"], json!(["big", "other"]));
    assert_eq!(done.status.code(), Some(130), "{}", done.stderr);
    assert!(!done.stderr.contains("only failed"), "the source did nothing wrong: {}", done.stderr);
}
