//! Games that are decoded where they are installed: what a plan, a status and the events of receivers say.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::catalogs::Organiser;
use crate::support::{Receiver, Running, SLOW, Source, Tree, big_games, finish, fixtures, peer, unrar_tree};

/// A catalog with the manifests of the game in this folder, which is copied to its organiser: other tests link these files,
/// which changes them while they are read.
fn catalog_of(organiser: &Organiser, games: &Path, game: &str) -> PathBuf {
    let own = organiser.path("games").join(game);
    fs::create_dir_all(&own).unwrap();
    for file in fs::read_dir(games.join(game)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), own.join(file.file_name())).unwrap();
    }
    organiser.run(&["build", "--games-dir", "games", "--out", "party"]).succeeded();
    organiser.path("party/catalog.toml")
}

fn with(catalog: &Path) -> [OsString; 2] {
    ["--catalog".into(), catalog.into()]
}

/// A plan says where the game would be decoded, from which upstreams, and what memory that takes.
#[test]
fn a_dry_run_says_where_it_is_decoded_from_whom_and_what_memory_that_takes() {
    let (organiser, games) = (Organiser::new(), fixtures("fixture-solid"));
    let catalog = catalog_of(&organiser, &games, "cnctw");
    let games = organiser.path("games");
    let (b, a) =
        (Source::start_with("b", &games, with(&catalog)), Source::start_with("a", &games, with(&catalog)));
    let receiver = Receiver::new();
    let plan = |options: &[&str]| {
        let mut command = receiver.install("cnctw", &[&b, &a]);
        finish(command.arg("--dry-run").args(with(&catalog)).args(options))
    };
    let here = plan(&[]).succeeded().one("operation-plan");
    assert_eq!(here["decode_at"], "receiver");
    let upstreams = serde_json::json!([
        {"upstream": "a", "kind": "source"},
        {"upstream": "b", "kind": "source"}
    ]);
    assert_eq!(here["upstreams"], upstreams);
    assert_eq!(
        (&here["files"], &here["bytes"]),
        (&62.into(), &1_407_710.into()),
        "as the manifest lists them"
    );
    let archive = fs::metadata(games.join("cnctw/cnctw.eti")).unwrap().len();
    let beside = 16 * 1024 * 1024;
    let memory = here["memory_bytes"].as_u64().unwrap();
    assert!(memory > archive + beside && memory < archive + beside + (64 << 20), "{memory}");

    let there = plan(&["--decode-at", "source"]).succeeded().one("operation-plan");
    assert_eq!((&there["decode_at"], &there["upstreams"]), (&"source".into(), &serde_json::json!([])));
    assert_eq!(there["memory_bytes"], beside);
    receiver.assert_untouched();

    let mut command = peer();
    command.args(["install", "--stream", "cnctw", "--dry-run", "--peer", &a.address, "--games-dir"]);
    command.arg(receiver.games()).arg("--state-dir").arg(receiver.state()).args(with(&catalog));
    let told = finish(&mut command).succeeded().stdout.clone();
    assert!(
        told.contains(
            "\n  decoded here, from receivers that are placed before it when it joins, then from a"
        ),
        "{told}"
    );
}

/// The status of a daemon, from its own socket.
fn status(daemon: &Source) -> serde_json::Value {
    let mut command = peer();
    finish(command.args(["status", "--json", "--games-dir"]).arg(daemon.games()))
        .succeeded()
        .one("peer-status")
}

/// The source sends so slowly that both receivers are on their way while everybody is asked.
#[test]
fn a_status_names_the_chain_of_a_source_and_the_follower_of_a_relay() {
    let (organiser, games) = (Organiser::new(), big_games());
    let catalog = catalog_of(&organiser, &games, "big");
    let games = organiser.path("games");
    let source =
        Source::start_with("den", &games, SLOW.map(OsString::from).into_iter().chain(with(&catalog)));
    let nothing = tempfile::tempdir().unwrap();
    let before = Source::start_with("seat-1", nothing.path(), with(&catalog));
    let last = Receiver::new();

    let mut command = peer();
    command.args(["install", "--stream", "big", "--json", "--peer", &source.address, "--games-dir"]);
    let mut first = Running::start(command.arg(before.games()));
    assert_eq!(first.wait_for("packed-placed")["position"], 0);
    let mut second = Running::start(last.install("big", &[&source]).args(with(&catalog)));
    let placed = second.wait_for("packed-placed");
    assert_eq!((&placed["position"], &placed["relays"]), (&1.into(), &serde_json::json!(["seat-1"])));
    let waves = status(&source)["waves"].clone();
    assert_eq!((&waves[0]["game"], &waves[0]["receivers"]), (&"big".into(), &2.into()), "{waves}");
    assert!(waves[0]["chunks"].as_u64().unwrap() > 140, "{waves}");
    assert_eq!(source.status()["waves"], serde_json::json!([]), "other peers learn nothing of it");
    let begun = second.wait_for("upstream-begin");
    assert_eq!((&begun["upstream"], &begun["kind"]), (&"seat-1".into(), &"relay".into()));
    let relays = status(&before)["relays"].clone();
    assert!(relays[0]["follower"].is_string() && relays[0]["position"] == 0, "{relays}");
    source.release();
    for done in [first.finish(), second.finish()] {
        let finished = done.succeeded().one("packed-finished");
        let bytes = |share: &serde_json::Value| share["bytes"].as_u64().unwrap();
        let bytes: u64 = finished["shares"].as_array().unwrap().iter().map(bytes).sum();
        assert!(bytes > 150 << 20, "{finished}");
        let by_kind = finished["brought"].as_object().unwrap().values();
        assert_eq!(by_kind.map(|bytes| bytes.as_u64().unwrap()).sum::<u64>(), bytes, "{finished}");
    }
    assert_eq!(Tree::read(&last.local("big")), unrar_tree(&games.join("big")));
    assert_eq!(status(&before)["relays"], serde_json::json!([]));
}
