use std::fs;

use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn id() -> PeerId {
    PeerId::random().unwrap()
}

#[test]
fn a_penalty_is_there_after_a_restart_and_in_other_programs_until_it_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let (liar, rude) = (id(), id());
    let (one, other) =
        (Penalties::new(folder.path().join("s"), true), Penalties::new(folder.path().join("s"), true));
    assert!(other.running().is_empty());
    one.lied(liar, address("10.0.0.5:1"), "a").unwrap();
    one.broke_protocol(rude, address("10.0.0.6:1"), "b").unwrap();
    let offenders = |penalties: &Penalties| -> Vec<String> {
        penalties.running().iter().map(|penalty| penalty.offender.to_string()).collect()
    };
    let expected = [liar.to_string(), "10.0.0.5".to_owned(), rude.to_string()];
    assert_eq!(offenders(&one), expected);
    assert_eq!(offenders(&other), expected, "a program that was already running");
    assert_eq!(offenders(&Penalties::new(folder.path().join("s"), true)), expected, "one that starts later");
    other.clear(ClearedPenalties::Of(Offender::Peer(liar))).unwrap();
    assert_eq!(offenders(&one), expected[1..]);
    assert_eq!(other.clear(ClearedPenalties::All).unwrap().len(), 2);
    assert!(one.running().is_empty());
    assert_eq!(fs::read_dir(folder.path().join("s")).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_lie_counts_for_the_address_only_where_every_peer_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let count = |is_open, from: &str| {
        let penalties = Penalties::new(folder.path(), is_open);
        penalties.clear(ClearedPenalties::All).unwrap();
        penalties.lied(id(), address(from), "x").unwrap();
        penalties.running().len()
    };
    assert_eq!([count(true, "10.0.0.5:1"), count(false, "10.0.0.5:1")], [2, 1]);
    assert_eq!(count(true, "127.0.0.1:1"), 1, "programs of one machine share it");
}

#[test]
fn failed_handshakes_are_not_written_and_end_with_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    let penalties = Penalties::new(folder.path().join("s"), true);
    let at = address("10.0.0.5:1").ip();
    penalties.after_handshake(at, Some(&WireError::Closed));
    assert_eq!(penalties.pause_at(at), None, "it was only busy");
    penalties.after_handshake(at, Some(&WireError::NotLanspread));
    assert!(penalties.pause_at(at).is_some() && penalties.pause_at(address("10.0.0.6:1").ip()).is_none());
    assert_eq!(penalties.running().len(), 1);
    assert!(penalties.current().of(&id(), at, SystemTime::now()).is_none(), "it is no vote against a peer");
    assert!(!folder.path().join("s").exists());
    penalties.after_handshake(at, None);
    assert_eq!(penalties.pause_at(at), None);
}

#[test]
fn a_file_that_was_cut_loses_its_last_line_only() {
    let folder = tempfile::tempdir().unwrap();
    let penalties = Penalties::new(folder.path(), false);
    for _ in 0..3 {
        penalties.lied(id(), address("10.0.0.5:1"), "x").unwrap();
    }
    let path = folder.path().join(FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 5]).unwrap();
    assert_eq!(Penalties::new(folder.path(), false).running().len(), 2);
    assert_eq!(penalties.running().len(), 2);
    penalties.lied(id(), address("10.0.0.5:1"), "x").unwrap();
    assert_eq!(Penalties::new(folder.path(), false).running().len(), 3);
}

#[test]
fn two_programs_that_write_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let penalties = Penalties::new(folder.path(), false);
                (0..4).for_each(|_| penalties.lied(id(), address("10.0.0.5:1"), "x").unwrap());
            });
        }
    });
    assert_eq!(Penalties::new(folder.path(), false).running().len(), 32);
}

/// The clock was a year ahead. Without the correction on disk, every start would begin the penalty again.
#[test]
fn a_penalty_of_the_future_is_corrected_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let penalties = Penalties::new(folder.path(), false);
    penalties.lied(id(), address("10.0.0.5:1"), "x").unwrap();
    let path = folder.path().join(FILE);
    let penalty = penalties.running().remove(0);
    let given_at_s = penalty.given_at_s;
    let future = Penalty { given_at_s: given_at_s + 365 * 24 * 3600, ..penalty };
    fs::write(&path, serde_json::to_string(&future).unwrap() + "\n").unwrap();
    let left = penalties.running()[0].left(SystemTime::now()).unwrap();
    assert!(left.as_secs() <= 600);
    let written: Penalty = serde_json::from_str(fs::read_to_string(&path).unwrap().trim()).unwrap();
    assert!(written.given_at_s <= given_at_s + 60);
}

/// A disk that refuses the file must not let a liar go on in this process.
#[test]
fn a_penalty_that_cannot_be_written_still_holds_here() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(FILE)).unwrap();
    let penalties = Penalties::new(folder.path(), false);
    let liar = id();
    assert!(matches!(penalties.lied(liar, address("10.0.0.5:1"), "x"), Err(LocalError::Foreign(_))));
    let at = address("10.0.0.5:1").ip();
    assert!(penalties.current().of(&liar, at, SystemTime::now()).is_some());
}
