//! Limits for what is sent and received: they hold, and are changed while a game is on its way; and what is counted.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::support::{
    BIG_BYTES, Finished, Receiver, Running, Source, big_games, decoded_at_source, finish, fixtures, peer,
};

/// So low that the game would take five minutes: half of that is enough for it without a limit, on a busy machine too.
const RATE: u64 = 512 * 1024;
/// What has been sent and not received, or is counted before it waits: windows of two sockets, and a chunk.
const ON_THE_WAY: u64 = 8 * 1024 * 1024;

fn limits(source: &Source, words: &[&str]) -> Finished {
    let mut command = peer();
    command.args(["limits", "--json", "--games-dir"]).arg(source.games()).args(words);
    finish(&mut command)
}

fn shown(done: &Finished) -> (Value, Value) {
    let limits = done.succeeded().one("limits");
    (limits["up_bytes_per_second"].clone(), limits["down_bytes_per_second"].clone())
}

/// Installs a large game while a limit holds, and then without one.
fn install_and_take_the_limit_away(source: &Source, receiver: &mut Command, take_away: impl FnOnce()) {
    let begun = Instant::now();
    let mut receiver = Running::start(receiver);
    for _ in 0..4 {
        let bytes = receiver.wait_for("stream-progress")["bytes"].as_u64().unwrap();
        let most = RATE * (begun.elapsed().as_secs() + 1) + ON_THE_WAY;
        assert!(bytes <= most, "{bytes} bytes in {:?}", begun.elapsed());
    }
    take_away();
    let done = receiver.finish();
    assert_eq!(done.succeeded().one("stream-install-finished")["bytes"], BIG_BYTES);
    let without = BIG_BYTES / RATE;
    assert!(begun.elapsed().as_secs() < without / 2, "{:?}: a limit holds it up", begun.elapsed());
    source.assert_idle();
}

#[test]
fn a_source_sends_no_more_than_its_limit_until_it_is_taken_away() {
    let source = Source::start_with("only", &big_games(), ["--limit-up", "512KiB/s"]);
    assert_eq!(shown(&limits(&source, &[])), (RATE.into(), Value::Null));
    let status = |words: &[&str]| {
        let mut command = peer();
        finish(command.args(["status", "--games-dir"]).arg(source.games()).args(words))
    };
    assert_eq!(status(&["--json"]).succeeded().one("peer-status")["up_bytes_per_second"], RATE);
    let line = "\n  limits: up 512.00 KiB/s (4.19 Mbit/s), down no limit";
    assert!(status(&[]).succeeded().stdout.contains(line), "{}", status(&[]).stdout);
    let receiver = Receiver::new();
    let mut install = receiver.install("big", &[&source]);
    install_and_take_the_limit_away(&source, decoded_at_source(&mut install), || {
        let changed = limits(&source, &["--up", "none", "--down", "100Mbit/s"]);
        assert_eq!(shown(&changed), (Value::Null, 12_500_000.into()));
    });
    assert_eq!(shown(&limits(&source, &[])), (Value::Null, 12_500_000.into()));
    assert!(status(&[]).succeeded().stdout.contains("limits: up no limit, down 11.92 MiB/s"));
    limits(&source, &["--down", "none"]).succeeded();
    assert!(!status(&[]).succeeded().stdout.contains("limits"), "none is set");
}

#[test]
fn a_receiver_takes_no_more_than_its_limit() {
    let source = Source::start("only", &big_games());
    let seat = Source::start_with("seat", tempfile::tempdir().unwrap().path(), ["--limit-down", "512KiB/s"]);
    let mut install = peer();
    install.args(["install", "--stream", "big", "--json", "--peer", &source.address]);
    install.arg("--games-dir").arg(seat.games()).arg("--state-dir").arg(seat.state());
    install_and_take_the_limit_away(&source, decoded_at_source(&mut install), || {
        assert_eq!(shown(&limits(&seat, &["--down", "0"])), (Value::Null, Value::Null));
    });
}

/// What the command prints is what a scraper reads, and it is there before anything has happened.
#[test]
fn metrics_are_printed_as_text() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    let mut command = peer();
    command.arg("metrics").arg("--games-dir").arg(source.games());
    let text = finish(&mut command).succeeded().stdout.clone();
    for line in [
        "# TYPE lanspread_sent_bytes_total counter",
        "lanspread_sent_bytes_total{kind=\"packed\"} 0",
        "lanspread_games{state=\"ready\"} 1",
        "lanspread_limit_bytes_per_second{direction=\"up\"} 0",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line} is not in:\n{text}");
    }
    assert!(text.ends_with('\n') && !text.ends_with("\n\n") && text.lines().all(|line| !line.is_empty()));
    let as_json = finish(command.arg("--json")).succeeded().one("metrics");
    assert!(as_json["text"].as_str().unwrap().contains("lanspread_build_info{version="));
}

#[test]
fn limits_that_are_none_are_refused_and_a_daemon_is_needed() {
    let source = Source::start("only", &fixtures("fixture-solid"));
    for (bad, why) in [("10KiB/s", "at least 256KiB/s"), ("20", "20MiB/s, 20MB/s or 100Mbit/s")] {
        let refused = limits(&source, &["--up", bad]);
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    assert_eq!(shown(&limits(&source, &[])), (Value::Null, Value::Null));
    let receiver = Receiver::new();
    let mut command = peer();
    command.arg("limits").arg("--games-dir").arg(receiver.games());
    finish(&mut command).failed(3, &["no daemon serves"]);
}
