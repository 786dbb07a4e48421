//! A source or the receiver is killed, stops or fails during an install.

use std::process::Command;

use crate::support::{
    BIG_BYTES, Receiver, Running, Source, Tree, big_games, decoded_at_source, eventually, finish, fixtures,
    peer, unrar_tree,
};

/// The first source fails before its first byte. It is reported, and the next source delivers the whole game.
#[test]
fn the_next_source_replaces_a_failing_one() {
    let games = fixtures("fixture-solid");
    let bad = Source::start_with("a-bad", &games, ["--unrar", "/missing-unrar"]);
    let good = Source::start("b-good", &games);
    let receiver = Receiver::new();
    let done = finish(decoded_at_source(&mut receiver.install("cnctw", &[&good, &bad])));
    done.succeeded();
    assert_eq!(done.one("stream-install-begin")["sources"], serde_json::json!(["a-bad", "b-good"]));
    let attempts: Vec<_> =
        done.named("stream-attempt-begin").iter().map(|event| event["peer"].clone()).collect();
    assert_eq!(attempts, ["a-bad", "b-good"]);
    let failed = done.one("stream-attempt-failed");
    assert_eq!(failed["peer"], "a-bad");
    assert_eq!(failed["code"], "decoder-unavailable");
    assert!(!failed["message"].as_str().unwrap().contains('\n'));
    assert!(done.named("stream-progress").iter().all(|event| event["peer"] == "b-good"), "{}", done.stdout);
    assert_eq!(done.one("stream-install-finished")["peer"], "b-good");
    assert_eq!(Tree::read(&receiver.local("cnctw")), unrar_tree(&games.join("cnctw")));
    bad.assert_idle();
    good.assert_idle();
}

/// The exit status says that every source failed, the line names each of them, and the disk is as before.
#[test]
fn an_install_that_fails_at_every_source_leaves_nothing() {
    let games = fixtures("fixture-solid");
    let sources =
        ["a-bad", "b-bad"].map(|name| Source::start_with(name, &games, ["--unrar", "/missing-unrar"]));
    let receiver = Receiver::new();
    let done = finish(decoded_at_source(&mut receiver.install("cnctw", &[&sources[0], &sources[1]])));
    done.failed(4, &["cnctw", "a-bad", "b-bad"]);
    let failed = done.one("stream-install-failed");
    assert_eq!(failed["code"], "all-sources-failed");
    assert_eq!(failed["attempts"].as_array().map(Vec::len), Some(2), "{failed}");
    receiver.assert_untouched();
}

/// Ctrl-C during a stream: exit status 130, one line, the disk as before, and the source is idle again.
#[test]
fn an_interrupted_install_leaves_nothing() {
    let mut source = Source::slow("only");
    let receiver = Receiver::new();
    let mut install = Running::start(&mut receiver.install("big", &[&source]));
    install.wait_for("stream-progress");
    install.signal("INT");
    install.finish().failed(130, &["cancelled"]);
    receiver.assert_untouched();
    source.assert_idle();
    let end = source.wait_for("transfer-end");
    assert!(end["outcome"] != "complete" && end["bytes"].as_u64().unwrap() < BIG_BYTES, "{end}");
}

/// A receiver that is killed during a stream leaves its staging folder. The next command removes that, reports it and
/// installs the game.
#[test]
fn a_killed_receiver_is_recovered_by_the_next_command() {
    let games = big_games();
    let source = Source::slow("only");
    let receiver = Receiver::new();
    let mut install = Running::start(&mut receiver.install("big", &[&source]));
    install.wait_for("stream-progress");
    install.signal("KILL");
    assert!(!install.finish().stdout.contains("stream-install-finished"), "killed too late");
    assert!(receiver.games().join("big/.local.installing").is_dir(), "there is something to recover");
    assert!(!receiver.local("big").exists());
    source.assert_idle();
    source.release();

    let done = receiver.run("big", &[&source]);
    let recovered = done.succeeded().one("game-recovered");
    assert_eq!((&recovered["game"], &recovered["action"]), (&"big".into(), &"rolled-back".into()));
    assert_eq!(Tree::read(&receiver.local("big")), unrar_tree(&games.join("big")));
    let left = receiver.disk().0.into_keys().filter(|path| !path.starts_with("big/local"));
    assert_eq!(
        left.collect::<Vec<_>>(),
        [".lanspread/", ".lanspread/receipts/", ".lanspread/receipts/big.jsonl", "big/"]
    );
}

/// The only source is killed during a stream: every source failed, and the disk is as before.
#[test]
fn a_killed_source_without_another_fails_the_install() {
    let mut source = Source::slow("only");
    let receiver = Receiver::new();
    let mut install = Running::start(receiver.install("big", &[&source]).arg("--no-wait"));
    install.wait_for("stream-progress");
    source.signal("KILL");
    source.wait();
    install.finish().failed(4, &["big", "only"]);
    receiver.assert_untouched();
}

/// The first source is killed during a stream. The second one starts from the beginning, and every byte is right.
#[test]
fn the_next_source_replaces_a_killed_one() {
    let games = big_games();
    let mut first = Source::slow("a-first");
    let second = Source::start("b-second", &games);
    let receiver = Receiver::new();
    let mut install = Running::start(decoded_at_source(&mut receiver.install("big", &[&first, &second])));
    assert_eq!(install.wait_for("stream-progress")["peer"], "a-first");
    first.signal("KILL");
    first.wait();
    let done = install.finish();
    done.succeeded();
    assert_eq!(done.one("stream-attempt-failed")["peer"], "a-first");
    let finished = done.one("stream-install-finished");
    assert_eq!((&finished["peer"], &finished["bytes"]), (&"b-second".into(), &BIG_BYTES.into()));
    assert_eq!(Tree::read(&receiver.local("big")), unrar_tree(&games.join("big")));
    second.assert_idle();
}

/// A source that is streaming when SIGTERM arrives exits with status 0, and long before its stream would end. The receiver
/// tries the next source. How soon, is a claim of scenario S34: here the machine may be busy.
#[test]
fn a_stopping_source_informs_its_receiver_and_exits() {
    let games = big_games();
    let mut first = Source::slow("a-first");
    let second = Source::start("b-second", &games);
    let receiver = Receiver::new();
    let mut install = Running::start(decoded_at_source(&mut receiver.install("big", &[&first, &second])));
    install.wait_for("stream-progress");
    first.signal("TERM");
    // Its stream would take longer than it is waited for.
    assert_eq!(first.wait().code(), Some(0));
    let done = install.finish();
    done.succeeded();
    let failed = done.one("stream-attempt-failed");
    assert_eq!((&failed["peer"], &failed["code"]), (&"a-first".into(), &"source-stopping".into()));
    assert_eq!(done.one("stream-install-finished")["peer"], "b-second");
}

/// While one install of a game runs, a second one is refused, names the process of the first, and does not harm it.
#[test]
fn a_second_install_of_the_same_game_is_refused() {
    let games = big_games();
    let source = Source::slow("only");
    let receiver = Receiver::new();
    let mut first = Running::start(&mut receiver.install("big", &[&source]));
    first.wait_for("stream-progress");
    let holder = format!("process {}", first.pid());
    let second = receiver.run("big", &[&source]);
    source.release();
    second.failed(5, &["big", &holder]);
    assert_eq!(second.one("error")["code"], "in-progress");
    first.finish().succeeded();
    assert_eq!(Tree::read(&receiver.local("big")), unrar_tree(&games.join("big")));
}

/// When a receiver is killed, its source no longer counts the stream and closes the archive, with either decoder.
#[test]
fn a_source_is_idle_after_its_receiver_was_killed() {
    let unrar = crate::support::tool("unrar");
    for options in [vec![], vec!["--unrar".as_ref(), unrar.as_os_str()]] {
        let source = Source::slow_with("only", &options);
        let receiver = Receiver::new();
        let mut install = Running::start(decoded_at_source(&mut receiver.install("big", &[&source])));
        install.wait_for("stream-progress");
        install.signal("STOP");
        source.release();
        eventually("the stream is counted", || source.status()["active_outbound_transfers"] == 1);
        install.signal("KILL");
        install.finish();
        source.assert_idle();
    }
}

/// An install continues after the reader of its stdout has closed the pipe.
#[test]
fn a_closed_stdout_does_not_stop_an_install() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let receiver = Receiver::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = Running::start(receiver.install("cnctw", &[&source]).stdout(writer)).finish();
    done.succeeded();
    assert_eq!(done.stderr, "");
    assert_eq!(Tree::read(&receiver.local("cnctw")), unrar_tree(&fixtures("fixture-solid/cnctw")));
}

/// An install that takes a place for streams, because the source decodes it.
fn decoded(receiver: &Receiver, sources: &[&Source]) -> Command {
    let mut command = receiver.install("big", sources);
    command.args(["--decode-at", "source"]);
    command
}

/// A source with no place for another stream is left for the next one without a failure. Alone it is waited for, and its
/// receiver has its turn; one that does not wait gives up with a status of its own.
#[test]
fn a_source_without_a_place_is_left_or_waited_for() {
    let games = big_games();
    let full = Source::slow_with("a-full", ["--max-streams", "1"]);
    let other = Source::start("b-other", &games);
    let (first, second, third, fourth) = (Receiver::new(), Receiver::new(), Receiver::new(), Receiver::new());
    let mut holding = Running::start(&mut decoded(&first, &[&full]));
    holding.wait_for("stream-progress");
    // A receiver that gives up is counted until its connection has ended.
    let none_waits = || eventually("no receiver waits", || full.status()["waiting"] == 0);

    let done = finish(&mut decoded(&second, &[&full, &other]));
    let queued = done.succeeded().one("queued");
    assert_eq!((&queued["peer"], &queued["ahead"]), (&"a-full".into(), &0.into()));
    assert_eq!(done.named("stream-attempt-failed").len(), 0);
    assert_eq!(done.one("stream-install-finished")["peer"], "b-other");
    none_waits();

    for options in [&["--no-wait"][..], &["--wait", "1s"]] {
        let given_up = finish(decoded(&third, &[&full]).args(options));
        given_up.failed(8, &["a-full", "no source of big has a place", "0 wait before this machine"]);
        assert_eq!(given_up.one("error")["code"], "no-place");
        third.assert_untouched();
        none_waits();
    }

    let mut waiting = Running::start(&mut decoded(&fourth, &[&full]));
    waiting.wait_for("queued");
    assert_eq!(full.status()["waiting"], 1);
    let asked = finish(peer().args(["status", "--json", "--games-dir"]).arg(full.games()));
    let named = asked.succeeded().one("peer-status")["waiting_receivers"].clone();
    assert_eq!((named.as_array().unwrap().len(), &named[0]["game"]), (1, &"big".into()), "{named}");
    full.release();
    holding.finish().succeeded();
    waiting.finish().succeeded();
    assert_eq!(Tree::read(&fourth.local("big")), unrar_tree(&games.join("big")));
    full.assert_idle();
}

/// A download is waited for in the same way.
#[test]
fn a_download_waits_for_its_turn_or_gives_up() {
    let full = Source::slow_with("full", ["--max-streams", "1"]);
    let (first, second) = (Receiver::new(), Receiver::new());
    let mut holding = Running::start(&mut decoded(&first, &[&full]));
    holding.wait_for("stream-progress");
    let download = || {
        let mut command = peer();
        command
            .args(["download", "--json", "big", "--peer", &full.address, "--games-dir"])
            .arg(second.games());
        command.arg("--state-dir").arg(second.state());
        command
    };
    let given_up = finish(download().arg("--no-wait"));
    given_up.failed(8, &["full", "no source of big has a place"]);
    let mut waiting = Running::start(&mut download());
    waiting.wait_for("queued");
    full.release();
    holding.finish().succeeded();
    waiting.finish().succeeded();
}
