//! The tests use the loopback interface and ports of their own, so that no test hears another one or the network.

use std::time::Duration;

use lanspread_types::ids::PeerId;

use super::*;
use crate::discovery::heard::PeerHint;
use crate::report::channel::EventSender;
use crate::source::library_index::LibraryIndex;
use crate::task::Tasks;

/// Far above what a machine under load needs; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

fn advertised(name: &str) -> Advertised {
    Advertised {
        key: PeerKey { id: PeerId::random().unwrap(), instance: 42 },
        name: name.parse().unwrap(),
        listening: ([127, 0, 0, 1], 4000).into(),
    }
}

fn open() -> Arc<PartyKey> {
    Arc::new(PartyKey::open_network())
}

/// A port that no other program uses at this moment.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

async fn next(discovery: &mut Discovery) -> Heard {
    timeout(DEADLINE, discovery.next()).await.expect("something is heard").expect("multicast DNS runs")
}

#[tokio::test]
async fn an_announcement_is_heard_updated_and_withdrawn() {
    let port = free_port();
    let index = LibraryIndex::new(EventSender::new());
    index.replace(Vec::new());
    let (tasks, ours) = (Tasks::default(), advertised("pc 7"));
    let mut listener = Discovery::start(port, open()).unwrap();
    let announcing = Discovery::start(port, open()).unwrap();
    let stop = tasks.cancel_token();
    tasks.spawn("discovery", run(announcing, ours.clone(), index.follow(), |_| {}, stop));
    let hint = PeerHint {
        key: ours.key,
        name: Some(ours.name.clone()),
        revision: Some(1),
        addresses: vec![ours.listening],
    };
    assert_eq!(next(&mut listener).await, Heard::Hint(hint.clone()));
    assert!(listener.interfaces().iter().any(|name| name == "lo"), "{:?}", listener.interfaces());
    let game = lanspread_types::content::GameOffer {
        game: "g".parse().unwrap(),
        version: "1".parse().unwrap(),
        bytes: 1,
        entries: false,
    };
    index.replace(vec![game]);
    let newer = Heard::Hint(PeerHint { revision: Some(2), ..hint });
    while next(&mut listener).await != newer {}
    assert_eq!(tasks.stop(DEADLINE).await, 0);
    while next(&mut listener).await != Heard::Gone(ours.key) {}
    listener.stop().await;
}

/// What a flood does to a slow reader: the crate ends its subscription. Peers that it did not read of then are heard of all
/// the same, and the end of the thread is still an end.
#[tokio::test]
async fn peers_are_heard_of_after_a_subscription_has_ended() {
    let port = free_port();
    let ours = advertised("pc 8");
    let mut listener = Discovery::start(port, open()).unwrap();
    let mut announcing = Discovery::start(port, open()).unwrap();
    let daemon = listener.daemon.clone().unwrap();
    daemon.stop_browse(SERVICE).unwrap();
    announcing.advertise(&ours, 1).unwrap();
    let is_ours = |heard: &Heard| matches!(heard, Heard::Hint(hint) if hint.key == ours.key);
    while !is_ours(&next(&mut listener).await) {}
    announcing.stop().await;
    daemon.shutdown().unwrap().recv_async().await.unwrap();
    let ended = async { while listener.next().await.is_some() {} };
    timeout(DEADLINE, ended).await.expect("it does not browse for ever");
}

/// Stopping waits for the thread to end: afterwards it takes no more commands.
#[tokio::test]
async fn stopping_ends_the_thread() {
    let discovery = Discovery::start(free_port(), open()).unwrap();
    let daemon = discovery.daemon.clone().unwrap();
    discovery.stop().await;
    assert!(matches!(daemon.browse(SERVICE), Err(mdns_sd::Error::DaemonShutdown)));
    let dropped = Discovery::start(free_port(), open()).unwrap();
    let daemon = dropped.daemon.clone().unwrap();
    drop(dropped);
    let ended = async {
        while !matches!(daemon.browse(SERVICE), Err(mdns_sd::Error::DaemonShutdown)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, ended).await.unwrap();
}

#[test]
fn the_name_of_an_instance_says_which_run_of_which_peer_it_is() {
    let key = PeerKey { id: PeerId::random().unwrap(), instance: 7 };
    assert_eq!(instance_key(&format!("{}.{SERVICE}", instance_name(key))), Some(key));
    for bad in ["", "x", "x-y", "printer._lanspread._tcp.local.", &format!("{}-+000000000000007.x", key.id)] {
        assert_eq!(instance_key(bad), None, "{bad}");
    }
}

#[test]
fn interfaces_are_read_from_the_text_or_not_at_all() {
    let text = "_lanspread._tcp.local. on 3 interfaces [wlan0 (3), eth0 (2), lo (1)]";
    assert_eq!(interfaces(text), ["eth0", "lo", "wlan0"]);
    for other in ["", "[", "]", "x []", "eth0", "x [eth0]"] {
        assert!(interfaces(other).is_empty(), "{other}");
    }
}

/// A member is heard by members only, under a number that changes, and nothing that it announces names it.
#[tokio::test]
async fn a_member_announces_a_number_and_nothing_about_itself() {
    let port = free_port();
    let (party, ours) = (Arc::new(PartyKey::random().unwrap()), advertised("pc 7"));
    let mut member = Discovery::start(port, Arc::clone(&party)).unwrap();
    let mut outsiders = [Discovery::start(port, open()).unwrap()];
    let mut announcing = Discovery::start(port, party).unwrap();
    announcing.advertise_to_members(&ours).unwrap();
    let Heard::Hint(first) = next(&mut member).await else { panic!() };
    assert!(first.key.is_of_number());
    assert_eq!((first.name, first.revision, first.addresses), (None, None, vec![ours.listening]));
    for outsider in &mut outsiders {
        let Heard::Stranger(name) = next(outsider).await else { panic!() };
        let number = name.split('.').next().unwrap();
        assert!(number.len() == 16 && number.bytes().all(|digit| digit.is_ascii_hexdigit()), "{name}");
    }
    announcing.advertise_to_members(&ours).unwrap();
    let (mut newer, mut gone) = (None, false);
    while newer.is_none() || !gone {
        match next(&mut member).await {
            Heard::Hint(hint) if hint.key != first.key => newer = Some(hint.key),
            Heard::Gone(key) => gone = key == first.key,
            _ => {}
        }
    }
    announcing.stop().await;
    while next(&mut member).await != Heard::Gone(newer.unwrap()) {}
    member.stop().await;
}
