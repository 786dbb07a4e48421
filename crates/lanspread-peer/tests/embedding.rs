//! The library inside another program: several peers in one process do not see each other's events, and nothing is left
//! after they shut down.
//!
//! This file has only one test, because it counts the descriptors of the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

#[path = "common/support.rs"]
mod common;

use std::fs;

use common::{Machine, archives, difference, drain, extracted_by_unrar, install, serve, tree, workspace};
use lanspread_peer::{Peer, PeerEvent, PeerEvents};

fn open_descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let mut open: Vec<String> = entries
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        // The folder that this function is reading.
        .filter(|target| !target.ends_with("/fd"))
        .collect();
    open.sort();
    open
}

/// A machine that has downloaded one game of the fixtures.
fn downloaded(fixture: &str, game: &str) -> Machine {
    let machine = Machine::new();
    let from = workspace().join("fixtures").join(fixture).join(game);
    let to = machine.games_dir.join(game);
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    machine
}

/// The events of one peer as (what, game, the other peer), without progress.
fn story(events: &mut PeerEvents) -> Vec<(&'static str, String, String)> {
    let tell = |event| match event {
        PeerEvent::StreamInstallBegin { game, sources, .. } => Some(("begin", game, sources[0].to_string())),
        PeerEvent::StreamAttemptBegin { game, peer, .. } => Some(("attempt", game, peer.to_string())),
        PeerEvent::ArchiveBegin { game, peer, .. } => Some(("archive", game, peer.to_string())),
        PeerEvent::StreamInstallFinished { game, peer, .. } => Some(("finished", game, peer.to_string())),
        PeerEvent::TransferBegin { game, peer, .. } => Some(("transfer", game, peer.to_string())),
        PeerEvent::TransferEnd { game, peer, outcome, .. } => {
            assert_eq!(outcome, "complete");
            Some(("complete", game, peer.to_string()))
        }
        // Everybody on the network may use what is served: it is said once.
        PeerEvent::NetworkOpen { .. }
        // A receiver that also serves becomes known to the source that it asks.
        | PeerEvent::PeerFound { .. }
        | PeerEvent::PeerLibraryChanged { .. }
        | PeerEvent::PeerLost { .. }
        // Progress, and the own library.
        | PeerEvent::StreamProgress { .. }
        | PeerEvent::Finishing { .. }
        | PeerEvent::LibraryChanged { .. } => {
            None
        }
        other => panic!("{other:?}"),
    };
    let told = drain(events).into_iter().filter_map(tell);
    told.map(|(what, game, peer)| (what, game.to_string(), peer)).collect()
}

fn of_game<'s>(story: &'s [(&str, String, String)], game: &str) -> Vec<(&'s str, &'s str)> {
    story.iter().filter(|(_, about, _)| about == game).map(|(what, _, peer)| (*what, peer.as_str())).collect()
}

async fn install_and_compare(
    receiver: &Peer,
    machine: &Machine,
    source: &(Machine, &str, std::net::SocketAddr),
) {
    let (source, game, address) = source;
    install(receiver, game, &[*address]).await.unwrap();
    let expected = extracted_by_unrar(&archives(&source.games_dir.join(game)));
    let installed = tree(&machine.games_dir.join(game).join("local"));
    assert_eq!(difference(&installed, &expected), None);
}

/// Two peers each serve a game and install the other's at the same time, while a third peer installs both.
#[tokio::test(flavor = "multi_thread")]
async fn peers_in_one_process_keep_to_themselves_and_leave_nothing() {
    let before = open_descriptors();
    {
        let one = downloaded("fixture-solid", "cnctw");
        let other = downloaded("fixture-alpha", "alpha-racer");
        let third = Machine::new();
        let (one_peer, other_peer, third_peer) = (one.peer("one"), other.peer("other"), third.peer("third"));
        let mut events = [one_peer.events(), other_peer.events(), third_peer.events()];
        let one_address = serve(&one_peer).await;
        let other_address = serve(&other_peer).await;
        for stream in &mut events[..2] {
            assert!(matches!(stream.next().await, Some(PeerEvent::PeerReady { .. })));
        }
        let of_one = (one, "cnctw", one_address);
        let of_other = (other, "alpha-racer", other_address);

        tokio::join!(
            install_and_compare(&one_peer, &of_one.0, &of_other),
            install_and_compare(&other_peer, &of_other.0, &of_one),
            install_and_compare(&third_peer, &third, &of_one),
            install_and_compare(&third_peer, &third, &of_other),
        );

        assert_eq!(
            third_peer.running_tasks(),
            0,
            "a peer that does not serve runs nothing between two installs"
        );
        for peer in [&one_peer, &other_peer, &third_peer] {
            // A receiver is done before its source notices.
            while peer.active_outbound_transfers() > 0 {
                tokio::task::yield_now().await;
            }
            peer.shutdown().await.unwrap();
            assert_eq!((peer.running_tasks(), peer.active_outbound_transfers()), (0, 0), "{}", peer.name());
        }

        let [one_story, other_story, third_story] = events.each_mut().map(story);
        let installed_from =
            |name| vec![("begin", name), ("attempt", name), ("archive", name), ("finished", name)];
        assert_eq!(of_game(&one_story, "alpha-racer"), installed_from("other"));
        assert_eq!(of_game(&other_story, "cnctw"), installed_from("one"));
        assert_eq!(of_game(&third_story, "alpha-racer"), installed_from("other"));
        assert_eq!(of_game(&third_story, "cnctw"), installed_from("one"));
        assert_eq!(third_story.len(), 8, "the third peer serves nothing: {third_story:?}");
        for (story, own, receivers) in
            [(&one_story, "cnctw", ["other", "third"]), (&other_story, "alpha-racer", ["one", "third"])]
        {
            let served = of_game(story, own);
            for receiver in receivers {
                let about: Vec<&str> =
                    served.iter().filter(|(_, peer)| *peer == receiver).map(|(what, _)| *what).collect();
                assert_eq!(about, ["transfer", "complete"], "{story:?}");
            }
            assert_eq!(story.len(), 8, "four events of its install, two of each transfer: {story:?}");
        }
    }
    assert_eq!(open_descriptors(), before, "descriptors are left open");
}
