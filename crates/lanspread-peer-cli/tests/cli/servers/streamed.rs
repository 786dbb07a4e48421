//! Packed streams from HTTP servers: a real nginx as the only source, and beside a peer.

use std::fs;
use std::thread;

use super::{Fair, command};
use crate::support::{Finished, Receiver, Source, Tree, finish, unrar_tree};

/// The names of the upstreams that sent anything, and the bytes of each.
fn shares(finished: &Finished) -> Vec<(String, u64)> {
    let shares = finished.succeeded().one("packed-finished")["shares"].clone();
    let share = |share: &serde_json::Value| {
        (share["upstream"].as_str().unwrap().to_owned(), share["bytes"].as_u64().unwrap())
    };
    shares.as_array().unwrap().iter().map(share).filter(|(_, bytes)| *bytes > 0).collect()
}

/// A server places no machine after another one: each takes the whole archive from it, and stores none of it.
#[test]
fn a_server_alone_feeds_streamed_installs_each_by_itself() {
    let fair = Fair::new("fixture-solid");
    let nginx = fair.serve();
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let archive = fs::metadata(fair.games.join("cnctw/cnctw.eti")).unwrap().len();
    let receivers = [Receiver::new(), Receiver::new()];
    let finished: Vec<Finished> = thread::scope(|scope| {
        let running: Vec<_> = receivers
            .iter()
            .map(|receiver| {
                scope.spawn(|| {
                    let mut install = command(receiver, &["install", "--stream"], &url);
                    finish(install.arg("--catalog").arg(fair.catalog()))
                })
            })
            .collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    for (receiver, finished) in receivers.iter().zip(&finished) {
        assert_eq!(finished.succeeded().one("stream-install-finished")["trust"], "verified");
        assert_eq!(finished.one("upstream-begin")["kind"], "http");
        assert_eq!(shares(finished), [(url.clone(), archive)]);
        assert_eq!(Tree::read(&receiver.local("cnctw")), unrar_tree(&fair.games.join("cnctw")));
        assert!(!receiver.games().join("cnctw/cnctw.eti").exists(), "no archive is stored");
    }
}

#[test]
fn a_server_is_not_asked_while_a_peer_sends() {
    let fair = Fair::new("fixture-solid");
    let source = Source::start("source", &fair.games);
    let nginx = fair.serve();
    let url = format!("http://127.0.0.1:{}", nginx.port);
    let receiver = Receiver::new();
    let mut install = command(&receiver, &["install", "--stream", "--peer", &source.address], &url);
    let finished = finish(install.arg("--catalog").arg(fair.catalog()));
    assert_eq!(finished.succeeded().one("upstream-begin")["kind"], "source");
    assert_eq!(shares(&finished).len(), 1);
    assert_eq!(nginx.requests(), "");
}
