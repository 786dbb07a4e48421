//! Peak memory of a source, a receiver and an install from archives, with an archive of the dictionary that `rar` uses.
//!
//! What is measured is the peak of a process that still runs, without the pages of the program's own file (`VmHWM` less
//! `RssFile`). These are 20 MiB in a debug build and 10 MiB in a release build; the rest is the same in both.

use std::fs;

use crate::bounds::{
    DICTIONARY_MIB, LOCAL_INSTALL_MEMORY_MIB, PACKED_RECEIVER_MEMORY_MIB, PACKED_SOURCE_MEMORY_MIB,
    RECEIVER_MEMORY_MIB, SOURCE_MEMORY_MIB, WINDOW_MIB,
};
use crate::games::{DICTIONARY, bytes_to_mib};
use crate::operations::{Catalog, Serving};

fn peak_mib(process: &Serving) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let kib = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    bytes_to_mib((kib("VmHWM:") - kib("RssFile:")) << 10)
}

#[track_caller]
fn assert_at_most(what: &str, got: f64, bound: f64) {
    println!("peak memory of a {what}: {got:.1} MiB, bound {bound} MiB");
    assert!(got <= bound, "{what}: {got:.1} MiB at its peak, the bound is {bound} MiB");
}

#[test]
fn peers_hold_a_dictionary_and_little_more() {
    let games = DICTIONARY.games_dir();
    let empty = tempfile::tempdir().unwrap();
    let source = Serving::start(None, &games, None);
    let receiver = Serving::start(None, empty.path(), None);
    receiver.ask(&[
        "install",
        "--stream",
        "--decode-at",
        "source",
        DICTIONARY.name,
        "--peer",
        source.address(),
    ]);
    let peak = peak_mib(&source);
    assert!(peak > DICTIONARY_MIB, "{peak:.1} MiB: the dictionary of this archive is a smaller one");
    assert_at_most("source", peak, SOURCE_MEMORY_MIB);
    assert_at_most("receiver", peak_mib(&receiver), RECEIVER_MEMORY_MIB);

    let owner = Serving::start(None, &games, None);
    owner.ask(&["install", DICTIONARY.name]);
    assert_at_most("peer that installs from archives", peak_mib(&owner), LOCAL_INSTALL_MEMORY_MIB);
}

/// Twice as many chunks pass through the window as it holds.
#[test]
fn a_packed_stream_takes_the_window_and_the_dictionary_and_little_more() {
    let games = DICTIONARY.games_dir();
    let catalog = Catalog::of(&DICTIONARY);
    let empty = tempfile::tempdir().unwrap();
    let source = Serving::start(None, &games, Some(&catalog));
    let receiver = Serving::start(None, empty.path(), Some(&catalog));
    let window = WINDOW_MIB.to_string();
    receiver.ask(&["install", "--stream", "--window", &window, DICTIONARY.name, "--peer", source.address()]);
    let peak = peak_mib(&receiver);
    assert!(peak > DICTIONARY_MIB + WINDOW_MIB, "{peak:.1} MiB: the window was not filled");
    assert_at_most("receiver of a packed stream", peak, PACKED_RECEIVER_MEMORY_MIB);
    // A source without a dictionary has decoded nothing.
    assert_at_most("source of a packed stream", peak_mib(&source), PACKED_SOURCE_MEMORY_MIB);
}
