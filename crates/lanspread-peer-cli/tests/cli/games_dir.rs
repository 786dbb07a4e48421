//! The games directory of a command: which one it takes if none is named, and which ones it creates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, Source, copy_tree, finish, fixtures, peer};

/// A user: a home folder, and commands without any option about folders.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = peer();
        command.env("HOME", self.home.path()).current_dir(self.home.path()).args(words);
        command
    }

    /// A running daemon with a copy of a fixture.
    fn serve(&self, fixture: &str, games_dir: &str, state_dir: Option<&str>) -> Daemon {
        copy_tree(&fixtures(fixture), &self.path(games_dir));
        let mut command =
            self.command(&["serve", "--json", "--listen", "127.0.0.1:0", "--games-dir", games_dir]);
        if let Some(state_dir) = state_dir {
            command.args(["--state-dir", state_dir]);
        }
        let mut running = Running::start(&mut command);
        let ready = running.wait_for("peer-ready");
        Daemon { running, ready }
    }

    fn local_games(&self, words: &[&str]) -> Vec<String> {
        let done = finish(self.command(&["list", "--json"]).args(words));
        let games = done.succeeded().named("local-game");
        games.iter().map(|game| game["game"].as_str().unwrap().to_owned()).collect()
    }
}

struct Daemon {
    running: Running,
    ready: Value,
}

const BUILT_IN: &str = ".local/share/lanspread/games";

/// The folder below the data directory is created, named and used again, by every kind of command.
#[test]
fn a_command_without_a_games_directory_uses_the_one_of_the_user() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let user = User::new();
    let run = |words: &[&str]| finish(user.command(words).env("LANSPREAD_PEER", &source.address));
    let named = format!("games directory: {}", user.path(BUILT_IN).display());
    let done = run(&["install", "--stream", "alpha-arena"]);
    assert!(done.succeeded().stderr.contains(&format!("{named}, created now\n")), "{}", done.stderr);
    assert!(user.path(BUILT_IN).join("alpha-arena/local").is_dir());
    let done = run(&["download", "alpha-racer"]);
    assert!(done.succeeded().stderr.contains(&format!("{named}\n")), "{}", done.stderr);
    run(&["verify", "alpha-racer"]).succeeded();
    assert_eq!(user.local_games(&[]), ["alpha-arena", "alpha-racer"]);

    let mut daemon = Running::start(&mut user.command(&["serve", "--json", "--listen", "127.0.0.1:0"]));
    daemon.wait_for("peer-ready");
    let status = finish(&mut user.command(&["status", "--json"]));
    assert_eq!(status.succeeded().one("peer-status")["games"], serde_json::json!(["alpha-racer"]));
    run(&["remove", "alpha-racer"]).succeeded();
    daemon.signal("TERM");
    assert!(daemon.finish().succeeded().stderr.contains(&named));

    let data = tempfile::tempdir().unwrap();
    let done = finish(user.command(&["list"]).env("XDG_DATA_HOME", data.path()));
    assert!(done.succeeded().stderr.contains("created now"), "{}", done.stderr);
    assert!(data.path().join("lanspread/games").is_dir());
    let done = finish(user.command(&["list", "--state-dir", "state"]).env_remove("HOME"));
    done.failed(2, &["no games directory", "--games-dir"]);
}

/// Without an option the running daemon's goes before the config file's. An option goes before both.
#[test]
fn the_running_daemon_of_the_user_is_found() {
    let user = User::new();
    let Daemon { running: mut daemon, .. } = user.serve("fixture-solid", "served", None);
    copy_tree(&fixtures("fixture-rar4"), &user.path("other"));
    let config = user.path("lanspread.toml");
    fs::write(&config, "games-dir = '~/other'\n").unwrap();
    let config = ["--config", config.to_str().unwrap()];
    assert_eq!(user.local_games(&[]), ["cnctw"]);
    assert_eq!(user.local_games(&config), ["cnctw"]);
    assert_eq!(user.local_games(&["--games-dir", "other"]), ["rar4-classic"]);
    assert_eq!(user.local_games(&["--state-dir", "state"]), [""; 0], "another peer has other games");
    let done = finish(&mut user.command(&["list"]));
    let said = format!(
        "games directory: {}, of the running daemon (process {})",
        user.path("served").display(),
        daemon.pid()
    );
    assert!(done.succeeded().stderr.contains(&said), "{}", done.stderr);
    let done = finish(&mut user.command(&["operations"]));
    assert_eq!((done.succeeded().stdout.as_str(), done.stderr.as_str()), ("", ""));
    daemon.signal("KILL");
    daemon.wait_for_end();
    assert_eq!(user.local_games(&config), ["rar4-classic"], "a killed daemon counts for nothing");
}

/// A daemon with a state directory of its own is another peer, which a command can install from. Only a command that
/// needs a daemon takes it, and if there are several, says so.
#[test]
fn daemons_with_another_state_directory_are_named() {
    let user = User::new();
    let mut solid = user.serve("fixture-solid", "solid", Some("solid-state"));
    let address = solid.ready["addr"].as_str().unwrap().to_owned();
    let of_solid = finish(&mut user.command(&["status", "--json"]));
    assert_eq!(
        of_solid.succeeded().one("peer-status")["games"],
        serde_json::json!(["cnctw"]),
        "the only one"
    );
    let done = finish(&mut user.command(&["install", "--stream", "cnctw", "--peer", &address]));
    let said = format!("{} (process {})", user.path("solid").display(), solid.running.pid());
    assert!(done.succeeded().stderr.contains(&said), "{}", done.stderr);
    assert!(user.path(BUILT_IN).join("cnctw/local").is_dir());

    let rar4 = user.serve("fixture-rar4", "rar4", Some("rar4-state"));
    let names = [&solid, &rar4].map(|daemon| format!("(process {})", daemon.running.pid()));
    for words in [&["operations"][..], &["status"], &["events"], &["cancel", "cnctw"]] {
        let done = finish(&mut user.command(words));
        done.failed(2, &[&names[0], &names[1], user.path("rar4").to_str().unwrap(), "--games-dir"]);
    }
    assert_eq!(user.local_games(&["--state-dir", "solid-state"]), ["cnctw"]);
    assert_eq!(user.local_games(&["--games-dir", "rar4"]), ["rar4-classic"]);
    rar4.running.signal("TERM");
    rar4.running.finish().succeeded();
    finish(&mut user.command(&["operations"])).succeeded();
    solid.running.signal("KILL");
    solid.running.wait_for_end();
    finish(&mut user.command(&["operations"])).failed(3, &["no daemon serves"]);
}

/// A games directory that was named is created by the commands that fill it, one level deep. If nothing arrives, it goes
/// again.
#[test]
fn a_named_games_directory_is_created_below_a_folder_that_exists() {
    let source = Source::start("only", &fixtures("fixture-alpha"));
    let user = User::new();
    let run = |words: &[&str], games_dir: &str| {
        let mut command = user.command(words);
        finish(command.args(["--peer", &source.address, "--games-dir", games_dir]))
    };
    let done = run(&["install", "--stream", "alpha-arena"], "streamed");
    assert!(done.succeeded().stderr.contains("streamed, created now"), "{}", done.stderr);
    run(&["download", "alpha-racer"], "downloaded").succeeded();
    for folder in ["streamed/alpha-arena/local", "downloaded/alpha-racer/version.ini"] {
        assert!(user.path(folder).exists(), "{folder}");
    }
    let mut serve = user.command(&["serve", "--json", "--listen", "127.0.0.1:0", "--games-dir", "served"]);
    Running::start(&mut serve).wait_for("peer-ready");
    assert!(user.path("served").is_dir());

    let refused = |words: &[&str], games_dir: &str| {
        run(words, games_dir).failed(7, &["does not exist", games_dir, "mkdir -p", "--games-dir"]);
        assert!(!user.path(Path::new(games_dir).iter().next().unwrap().to_str().unwrap()).exists());
    };
    refused(&["install", "--stream", "alpha-arena"], "no/such");
    refused(&["list"], "nothing");
    refused(&["install", "--stream", "alpha-arena", "--dry-run"], "nothing");
    run(&["install", "--stream", "no-such-game"], "failed").failed_after_notes(3, &["no peer offers"]);
    assert!(!user.path("failed").exists(), "a failed install leaves the machine as it was");
}
