//! `--dry-run` of every operation: it changes nothing, and says what the operation then does.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Finished, Receiver, Source, Tree, copy_tree, finish, fixtures, peer};

const GAME: &str = "alpha-racer";

struct Seat {
    receiver: Receiver,
    source: Source,
}

impl Seat {
    fn new() -> Self {
        Self::with_source(Source::start("only", &fixtures("fixture-alpha")))
    }

    fn with_source(source: Source) -> Self {
        Self { receiver: Receiver::new(), source }
    }

    fn run(&self, words: &[&str]) -> Finished {
        let mut command = peer();
        command.env("LANSPREAD_GAMES_DIR", self.receiver.games());
        command.env("LANSPREAD_STATE_DIR", self.receiver.state());
        command.env("LANSPREAD_PEER", &self.source.address);
        finish(command.args(words).args([GAME, "--json"]))
    }

    /// Returns the plan of an operation, and asserts that it changed nothing in the games directory.
    fn plan(&self, words: &[&str]) -> Value {
        let before = self.receiver.disk();
        let done = self.run(&[words, &["--dry-run"]].concat());
        let plan = done.succeeded().one("operation-plan");
        assert!(self.receiver.disk() == before, "{words:?} changed something");
        plan
    }

    /// An operation is refused in the same way by its plan.
    fn both_refused(&self, words: &[&str], status: i32, parts: &[&str]) {
        let plan = self.run(&[words, &["--dry-run"]].concat());
        plan.failed(status, parts);
        let error = |done: &Finished| {
            let mut error = done.one("error");
            error.as_object_mut().unwrap().remove("time");
            error
        };
        assert_eq!(error(&plan), error(&self.run(words)), "{words:?}");
    }

    fn first_file(&self) -> PathBuf {
        let tree = self.receiver.local(GAME);
        let name = Tree::read(&tree).0.into_keys().find(|path| !path.ends_with('/')).unwrap();
        tree.join(name)
    }

    fn archive(&self) -> PathBuf {
        let root = self.receiver.games().join(GAME);
        let is_archive = |path: &PathBuf| path.extension().is_some_and(|name| name == "eti");
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).find(is_archive).unwrap()
    }

    /// Changes one byte of a file and keeps its size.
    fn flip(path: &PathBuf) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(path, bytes).unwrap();
    }
}

fn steps(plan: &Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect()
}

fn changes_nothing(plan: &Value) {
    assert_eq!(
        (&plan["changed"], &plan["fetched_bytes"], &plan["files"]),
        (&json!(false), &json!(0), &json!(0))
    );
    assert_eq!(
        (&plan["removed_bytes"], &plan["lost_files"], &plan["needed_bytes"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

#[test]
fn a_download_an_install_and_their_removal() {
    let seat = Seat::new();
    let plan = seat.plan(&["download"]);
    assert_eq!((steps(&plan), &plan["changed"], &plan["files"]), (vec!["download"], &json!(true), &json!(0)));
    assert_eq!(plan["sources"][0]["name"], "only");
    let both = seat.plan(&["install"]);
    assert_eq!(steps(&both), ["download", "unpack"]);
    let done = seat.run(&["download"]).succeeded().one("download-finished");
    assert_eq!(plan["fetched_bytes"], done["bytes_fetched"]);
    assert_eq!((&both["fetched_bytes"], &both["version"]), (&done["bytes_fetched"], &done["version"]));
    seat.both_refused(&["download"], 5, &["already"]);

    let plan = seat.plan(&["install"]);
    assert_eq!(
        (steps(&plan), &plan["fetched_bytes"], &plan["sources"]),
        (vec!["unpack"], &json!(0), &json!([]))
    );
    let done = seat.run(&["install"]).succeeded().one("install-finished");
    assert_eq!((&plan["files"], &plan["bytes"]), (&done["files"], &done["bytes"]));
    assert_eq!(
        (&both["files"], &both["bytes"]),
        (&done["files"], &done["bytes"]),
        "known before the download"
    );
    let needed = |plan: &Value| plan["needed_bytes"].as_u64().unwrap();
    assert!(needed(&both) > needed(&plan), "archives and tree are there together");
    seat.both_refused(&["install"], 5, &["already installed"]);

    let compared = seat.plan(&["verify"]);
    assert_eq!(steps(&compared), ["compare"]);
    changes_nothing(&compared);
    let tree_bytes = done["bytes"].clone();
    let uninstall = seat.plan(&["uninstall"]);
    assert_eq!((steps(&uninstall), &uninstall["removed_bytes"]), (vec!["uninstall"], &tree_bytes));
    let remove = seat.plan(&["remove"]);
    let absent = seat.plan(&["absent"]);
    assert_eq!(steps(&absent), ["uninstall", "remove"]);
    let done = seat.run(&["remove"]).succeeded().one("remove-finished");
    assert_eq!((steps(&remove), &remove["removed_bytes"]), (vec!["remove"], &done["bytes"]));
    let sum = done["bytes"].as_u64().unwrap() + tree_bytes.as_u64().unwrap();
    assert_eq!(absent["removed_bytes"], sum);
    seat.both_refused(&["remove"], 5, &["not downloaded"]);
    seat.run(&["absent"]).succeeded();
    changes_nothing(&seat.plan(&["absent"]));
    seat.both_refused(&["uninstall"], 5, &["not installed"]);
    seat.both_refused(&["update"], 5, &["not installed"]);
    seat.both_refused(&["verify"], 5, &["not installed"]);
}

#[test]
fn an_ensure_and_a_repair() {
    let mut seat = Seat::new();
    // With its list, less is fetched: it must not be made between a plan and what is done.
    while seat.source.wait_for("packing-list-made")["game"] != GAME {}
    let plan = seat.plan(&["ensure"]);
    assert_eq!(
        (steps(&plan), &plan["changed"], &plan["lost_files"]),
        (vec!["stream"], &json!(true), &json!(0))
    );
    assert!(plan["memory_bytes"].as_u64().unwrap() > 0, "{plan}");
    seat.run(&["ensure"]).succeeded();
    let plan = seat.plan(&["ensure"]);
    changes_nothing(&plan);
    assert_eq!((steps(&plan), &plan["version"]), (vec![], &json!("20250102")));
    changes_nothing(&seat.plan(&["repair"]));
    changes_nothing(&seat.plan(&["update"]));

    let file = seat.first_file();
    Seat::flip(&file);
    // Names and sizes are right.
    changes_nothing(&seat.plan(&["ensure"]));
    let repair = seat.plan(&["repair"]);
    let ensure = seat.plan(&["ensure", "--verify"]);
    let name = file.strip_prefix(seat.receiver.local(GAME)).unwrap().to_str().unwrap().to_owned();
    for plan in [&repair, &ensure] {
        assert_eq!(
            (steps(plan), &plan["changed"], &plan["files"]),
            (vec!["repair"], &json!(true), &json!(1))
        );
        assert_eq!((&plan["lost_files"], &plan["lost"]), (&json!(1), &json!([name])));
    }
    let done = seat.run(&["repair"]).succeeded().one("repair-finished");
    assert_eq!((&repair["fetched_bytes"], &repair["bytes"]), (&done["bytes_fetched"], &done["bytes"]));

    // The archives too, of which a chunk is wrong.
    let plan = seat.plan(&["ensure", "--archives"]);
    assert_eq!(steps(&plan), ["download"]);
    seat.run(&["ensure", "--archives"]).succeeded();
    Seat::flip(&seat.archive());
    let plan = seat.plan(&["repair"]);
    assert_eq!((steps(&plan), &plan["lost_files"]), (vec!["repair"], &json!(0)));
    let done = seat.run(&["repair"]).succeeded().one("repair-finished");
    assert_eq!(plan["fetched_bytes"], done["bytes_fetched"]);
}

#[test]
fn an_update_says_which_files_of_the_user_would_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let games = folder.path().join("games");
    copy_tree(&fixtures("fixture-alpha"), &games);
    let seat = Seat::with_source(Source::start("only", &games));
    seat.run(&["install", "--stream"]).succeeded();
    fs::write(games.join(GAME).join("version.ini"), "20991231").unwrap();
    let seat = Seat { source: Source::start("newer", &games), ..seat };
    let plan = seat.plan(&["update"]);
    assert_eq!(
        (steps(&plan), &plan["version"], &plan["lost_files"]),
        (vec!["stream"], &json!("20991231"), &json!(0))
    );

    fs::write(seat.receiver.local(GAME).join("save"), "mine").unwrap();
    for words in [&["update"][..], &["ensure"], &["uninstall"], &["absent"]] {
        seat.both_refused(words, 5, &["save"]);
        let forced = seat.plan(&[words, &["--force"]].concat());
        assert_eq!((&forced["lost_files"], &forced["lost"]), (&json!(1), &json!(["save"])), "{words:?}");
    }
    let done = seat.run(&["update", "--force"]).succeeded().one("stream-install-finished");
    assert_eq!((&plan["files"], &plan["bytes"]), (&done["files"], &done["bytes"]));
}

/// A plan counts what other operations have booked, as the operation does.
#[test]
fn beside_an_operation_that_has_booked_the_disk_a_plan_and_its_operation_are_refused() {
    let seat = Seat::new();
    seat.run(&["download"]).succeeded();
    let bookings = seat.receiver.games().join(".lanspread/bookings");
    fs::create_dir_all(&bookings).unwrap();
    let booking = bookings.join("other.json");
    fs::write(&booking, r#"{"needed_bytes":4611686018427387904,"written_bytes":1}"#).unwrap();
    // As the operation that has booked, as long as it runs.
    let running = fs::File::open(&booking).unwrap();
    running.lock().unwrap();
    for words in [&["install"][..], &["install", "--stream"], &["ensure"]] {
        let before = seat.receiver.disk();
        let planned = seat.run(&[words, &["--dry-run"]].concat());
        assert!(seat.receiver.disk() == before, "{words:?} changed something");
        let planned = planned.failed(7, &["of which other operations have booked 4611686018427387903"]);
        let plan = planned.one("operation-plan");
        assert_eq!(
            (&plan["fits"], &plan["booked_bytes"]),
            (&json!(false), &json!(4_611_686_018_427_387_903_u64))
        );
        let parts = [" are needed", "of which other operations have booked 4611686018427387903"];
        seat.run(words).failed_after_notes(7, &parts);
    }
    drop(running);
    // Its lock is free: it was killed.
    let plan = seat.plan(&["install"]);
    assert_eq!((&plan["fits"], &plan["booked_bytes"]), (&json!(true), &json!(0)));
    seat.run(&["install"]).succeeded();
}

/// For people.
#[test]
fn a_plan_of_several_games_is_a_line_for_each_and_fails_like_the_games_that_cannot_be_done() {
    let seat = Seat::new();
    let mut command = peer();
    command.args(["ensure", GAME, "no-such-game", "--dry-run", "--games-dir"]).arg(seat.receiver.games());
    command.arg("--state-dir").arg(seat.receiver.state()).args(["--peer", &seat.source.address]);
    let done = finish(&mut command);
    assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
    assert!(done.stdout.contains("alpha-racer 20250102: would stream it; "), "{}", done.stdout);
    seat.receiver.assert_untouched();
}
