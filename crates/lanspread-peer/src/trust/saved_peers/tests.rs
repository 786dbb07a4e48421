use std::fs;
use std::path::Path;

use super::*;

fn saved(folder: &Path) -> SavedPeers {
    SavedPeers::of(Some(folder.join("state"))).unwrap()
}

fn peer(text: &str) -> PeerAddress {
    text.parse().unwrap()
}

fn addresses(saved: &SavedPeers) -> Vec<String> {
    saved.load().unwrap().iter().map(|saved| saved.address.to_string()).collect()
}

fn answered(name: &str) -> (PeerId, PeerName) {
    (PeerId::random().unwrap(), name.parse().unwrap())
}

#[test]
fn peers_are_saved_once_and_in_order_until_they_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    assert_eq!(saved.load().unwrap(), []);
    for (address, new) in [("pc-7.lan:4100", true), ("[fe80::1]:1", true), ("pc-7.lan:4100", false)] {
        assert_eq!(saved.add(&peer(address), None).unwrap(), new, "{address}");
    }
    assert_eq!(addresses(&saved), ["pc-7.lan:4100", "[fe80::1]:1"]);
    assert!(saved.remove(&peer("pc-7.lan:4100")).unwrap());
    assert!(!saved.remove(&peer("pc-7.lan:4100")).unwrap());
    assert_eq!(addresses(&saved), ["[fe80::1]:1"]);
    assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 1, "no draft is left");
}

#[test]
fn two_programs_that_save_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    std::thread::scope(|scope| {
        for port in 1..=16 {
            let saved = &saved;
            scope.spawn(move || saved.add(&peer(&format!("a:{port}")), None).unwrap());
        }
    });
    assert_eq!(saved.load().unwrap().len(), 16);
}

#[test]
fn a_file_that_is_not_ours_is_reported_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    fs::create_dir(folder.path().join("state")).unwrap();
    let long = " ".repeat(usize::try_from(limits::SAVED_PEERS_BYTES_MAX).unwrap() + 1);
    for text in
        ["peers = [\"x\"]", "peer = []", "peers = []\nother = 1", "[[trusted]]\nname = \"x\"", "\u{0}", &long]
    {
        fs::write(saved.path(), text).unwrap();
        let result = saved.add(&peer("a:1"), None);
        assert!(matches!(result, Err(SavedPeersError::Foreign(_))), "{text:.20}: {result:?}");
        assert_eq!(fs::read_to_string(saved.path()).unwrap(), text);
    }
}

#[test]
fn the_number_of_saved_peers_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    fs::create_dir(folder.path().join("state")).unwrap();
    let full =
        (1..=limits::SAVED_PEERS_MAX).map(|port| PeersItem::Address(peer(&format!("a:{port}"))).into());
    let full = PeerDecisions { saved: full.collect(), ..PeerDecisions::default() };
    fs::write(saved.path(), write(&full)).unwrap();
    assert!(matches!(saved.add(&peer("b:1"), None), Err(SavedPeersError::TooMany)));
    assert_eq!(saved.decisions().unwrap(), full);
}

/// Neither the list nor its draft is opened through a link.
#[test]
fn nothing_is_read_or_written_through_a_link_and_a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    let precious = folder.path().join("precious");
    fs::write(&precious, "kept").unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    std::os::unix::fs::symlink(
        &precious,
        folder.path().join(format!("state/.{FILE}.{}.draft", std::process::id())),
    )
    .unwrap();
    saved.add(&peer("10.0.0.1:1"), None).unwrap();
    assert_eq!(addresses(&saved), ["10.0.0.1:1"]);
    fs::remove_file(saved.path()).unwrap();
    std::os::unix::fs::symlink(&precious, saved.path()).unwrap();
    assert!(matches!(saved.add(&peer("10.0.0.2:1"), None), Err(SavedPeersError::Foreign(_))));
    fs::remove_file(saved.path()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, saved.path(), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(matches!(saved.load(), Err(SavedPeersError::Foreign(_))));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
}

/// Earlier versions wrote a list of addresses.
#[test]
fn addresses_without_an_identity_are_read_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(saved.path(), "peers = [\n    \"10.0.0.5:4100\",\n]\n").unwrap();
    assert_eq!(saved.load().unwrap()[0].id, None);
    let den = Some(answered("a \"quoted\" \\ name"));
    assert!(saved.add(&peer("10.0.0.6:4100"), den.clone()).unwrap());
    assert!(!saved.add(&peer("10.0.0.5:4100"), Some(answered("b"))).unwrap(), "it is pinned now");
    let loaded = saved.load().unwrap();
    assert_eq!((loaded[1].id, loaded[1].name.clone()), den.unzip());
    assert!(loaded.iter().all(|peer| peer.id.is_some() && peer.since.is_some()));
    assert!(!saved.add(&peer("10.0.0.6:4100"), None).unwrap());
    assert_eq!(saved.load().unwrap(), loaded, "a pin is not lost because a peer does not answer");
    assert!(
        fs::read_to_string(saved.path()).unwrap().starts_with("[[peers]]\naddress = \"10.0.0.5:4100\"\n")
    );
}

#[test]
fn a_peer_is_trusted_or_denied_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    let (id, name) = answered("den");
    let of = || {
        let decisions = saved.decisions().unwrap();
        (decisions.trusts(&id), decisions.denies(&id))
    };
    saved.trust(id, Some(name.clone())).unwrap();
    saved.trust(id, None).unwrap();
    assert_eq!((of(), saved.decisions().unwrap().trusted[0].name.as_ref()), ((true, false), Some(&name)));
    saved.deny(id, Some("sent \u{1b}[2J")).unwrap();
    assert_eq!(of(), (false, true));
    assert_eq!(saved.decisions().unwrap().denied[0].reason.as_deref(), Some("sent \\u{1b}[2J"));
    saved.trust(id, None).unwrap();
    assert_eq!(of(), (true, false));
    saved.add(&peer("10.0.0.5:1"), Some((id, name))).unwrap();
    assert!(saved.forget(id).unwrap() && !saved.forget(id).unwrap());
    assert_eq!((of(), saved.load().unwrap()[0].id), ((false, false), None));
}

#[test]
fn a_name_whose_key_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let saved = saved(folder.path());
    let (id, name) = answered("den");
    let other = PeerId::random().unwrap();
    saved.add(&peer("10.0.0.5:1"), Some((id, name.clone()))).unwrap();
    let decisions = saved.decisions().unwrap();
    assert!(decisions.knows_name_of_another(&name, &other) && !decisions.knows_name_of_another(&name, &id));
    assert!(!decisions.knows_name_of_another(&"attic".parse().unwrap(), &other));
    saved.trust(other, Some(name.clone())).unwrap();
    assert!(!saved.decisions().unwrap().knows_name_of_another(&name, &other), "both are known by it");
}
