//! The files of the state directory that lanspread writes and users edit: penalties, decisions about peers, and the
//! versions of catalogs. Whatever is in them, a change leaves files that read as what was there and the change.
#![no_main]

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use lanspread_peer::{
    PeerAddress, PeerId, Penalties, SavedPeers, SavedPeersError, Signer, TrustError, forget_catalog_version, limits,
};
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn fuzz(input: &[u8]) {
    for file in ["penalties.jsonl", "peers.toml", "catalog-seen"] {
        fs::write(FOLDER.path().join(file), input).expect("a file");
    }
    check_penalties();
    check_decisions();
    check_seen();
}

fn check_penalties() {
    let penalties = Penalties::new(FOLDER.path(), false);
    let running = penalties.running();
    assert!(running.len() <= limits::PENALTIES_MAX);
    let now = SystemTime::now();
    for penalty in &running {
        let left = penalty.left(now).unwrap_or(Duration::ZERO);
        assert!(left <= limits::LIE_PENALTY_MAX + Duration::from_secs(60), "{penalty:?}");
        assert!(penalty.what.chars().count() <= limits::PENALTY_TEXT_CHARS_MAX);
        assert!(!penalty.what.contains(char::is_control), "{penalty:?}");
    }
    // Many people punish many peers; one more fits, and another program reads it.
    let (liar, at) = (id(), ([10, 0, 0, 1], 1).into());
    if let Err(error) = penalties.lied(liar, at, "x") {
        panic!("{error}");
    }
    let again = Penalties::new(FOLDER.path(), false).running();
    assert!(again.iter().any(|penalty| penalty.offender == lanspread_peer::Offender::Peer(liar)), "{again:?}");
}

fn check_decisions() {
    let saved = SavedPeers::of(Some(FOLDER.path().to_owned())).expect("a state directory");
    let before = match saved.decisions() {
        Ok(before) => before,
        Err(SavedPeersError::Foreign(state)) => return assert!(!state.what.contains('\n'), "{:?}", state.what),
        Err(error) => panic!("{error}"),
    };
    assert!(before.saved.len() <= limits::SAVED_PEERS_MAX);
    let address: PeerAddress = "added.lan:1".parse().expect("an address");
    let mut after = before.clone();
    match saved.add(&address, None) {
        Ok(true) => after.saved.push(saved.load().expect("the file was written").pop().expect("a peer")),
        Ok(false) => assert!(before.saved.iter().any(|peer| peer.address == address)),
        Err(SavedPeersError::TooMany) => assert_eq!(before.saved.len(), limits::SAVED_PEERS_MAX),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(saved.decisions().expect("the file was written"), after);
}

fn check_seen() {
    let signer = Signer::of_key([1; 32]);
    match forget_catalog_version(FOLDER.path(), &signer) {
        Ok(_) => assert_eq!(forget_catalog_version(FOLDER.path(), &signer).expect("a file of ours"), None),
        Err(TrustError::Foreign(state)) => assert!(!state.what.contains('\n'), "{:?}", state.what),
        Err(error) => panic!("{error}"),
    }
}

fn id() -> PeerId {
    PeerId::from([7; 16])
}

fuzz_target!(|input: &[u8]| fuzz(input));
