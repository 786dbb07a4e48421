//! Manifests of servers that lie about them.

use lanspread_testing::machine::scratch;
use lanspread_testing::manifests::bytes_of_root_files;

use super::*;
use crate::http::manifest::{Bounds, NoManifest, manifest_within};

/// Small, so that the tests are quick.
const BOUNDS: Bounds = Bounds { bytes_max: 1 << 20, deadline: Duration::from_millis(200) };

async fn refused(kind: &str, bounds: Bounds, hostile: &Hostile) -> NoManifest {
    let (folder, tasks, game) = (scratch(), Tasks::default(), "g".parse().unwrap());
    let server = server_at(&hostile.url(""), Duration::from_secs(5));
    let fetching = manifest_within(bounds, &server, &game, None, folder.path(), &tasks);
    let Err(refused) = fetching.await else { panic!("{kind}: it was taken") };
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{kind}: nothing of it is left");
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
    refused
}

/// One row for each lie: what is sent, and what people are told.
#[tokio::test]
async fn every_lie_about_a_manifest_is_refused_and_leaves_nothing() {
    let answer = |fields: &str, body: &[u8]| {
        let fields = fields.replace('\n', "\r\n");
        Step::Send([format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), body].concat())
    };
    let root = scratch();
    std::fs::write(root.path().join("version.ini"), "1").unwrap();
    std::fs::write(root.path().join("h.eti"), "an archive").unwrap();
    let other = bytes_of_root_files(root.path(), "h", "1");
    let short = other[..other.len() - 1].to_vec();
    // Not endless, so that it does not fill the disk if nothing stops it.
    let long = |fields, part: &[u8]| vec![answer(fields, &part.repeat((2 << 20) / part.len())), Step::Close];
    let limit = "1048576";
    let rows = [
        ("1 GiB", vec![answer("Content-Length: 1073741824\n", b"")], "1073741824"),
        ("too long", long("", b"MZMZ"), limit),
        ("too long, in chunks", long("Transfer-Encoding: chunked\n", b"10\r\nMZMZMZMZMZMZMZMZ\r\n"), limit),
        ("packed", vec![answer("Content-Encoding: gzip\n", &other), Step::Close], "Content-Encoding is gzip"),
        ("a page", vec![answer("", b"<html></html>"), Step::Close], "it is not a manifest"),
        ("of another game", vec![answer("", &other), Step::Close], "is that of h"),
        ("cut off", vec![answer("", &short), Step::Close], "it is cut"),
        ("cut off on the way", vec![answer("Content-Length: 10000\n", &other), Step::Close], "lost"),
        (
            "a redirect to a file",
            vec![Step::Send(b"HTTP/1.1 302 x\r\nLocation: file:///etc/passwd\r\n\r\n".to_vec())],
            "nowhere",
        ),
    ];
    let bounds = Bounds { deadline: Duration::from_mins(1), ..BOUNDS };
    for (kind, steps, message) in rows {
        let hostile = Hostile::scripted(move |_, _| steps.clone()).await;
        let refused = refused(kind, bounds, &hostile).await;
        assert!(refused.reason().contains(message), "{kind}: {}", refused.reason());
        assert!(!matches!(refused, NoManifest::Local(_) | NoManifest::Thread(_)), "{kind}: {refused}");
    }
}

/// Its time grows with what has come, not with what is announced.
#[tokio::test]
async fn a_manifest_that_trickles_is_left_in_time() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    let pause = BOUNDS.deadline / 10;
    let hostile = Hostile::scripted(move |_, _| vec![Step::Send(head.clone()), Step::Trickle(pause)]).await;
    let refused = refused("trickling", BOUNDS, &hostile).await;
    let NoManifest::Http(HttpError { problem: HttpProblem::Timeout { after, .. }, .. }) = refused else {
        panic!("{refused}")
    };
    assert!(after >= BOUNDS.deadline && after < 2 * BOUNDS.deadline, "{after:?}");
}
