//! Checks announcements: bytes that anyone on the network can send become a bounded hint, or a reason why they cannot
//! be used. Pure.
//!
//! TXT keys of a peer that is of no party: `proto` (wire protocol version), `id` (`peer1…`), `inst` (instance,
//! hexadecimal), `name`, `rev` (library revision). A member of a party says `proto`, `n` (a random number of 16 hexadecimal
//! digits) and `t` (its tag, 32 hexadecimal digits), which only members can check: others learn neither which peer it is
//! nor which party. Unknown keys are ignored: a later version may add some.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use lanspread_proto::message::PROTOCOL_VERSION;
use lanspread_trust::party::PartyKey;
use lanspread_types::ids::{PeerId, PeerName};
use lanspread_types::limits;

use crate::discovery::directory::{MemberNumber, PeerKey};
use crate::discovery::heard::PeerHint;
use crate::discovery::networks::LinkNetwork;

/// An announcement as it was received.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announcement {
    pub(crate) port: u16,
    pub(crate) addresses: Vec<HeardAddress>,
    pub(crate) text: Vec<(String, Vec<u8>)>,
}

/// An address, and where it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeardAddress {
    pub(crate) ip: IpAddr,
    /// Index of the interface, which a link-local address needs; 0 if it is not known.
    pub(crate) scope_id: u32,
    /// Whether it was heard on the loopback interface, which means from this machine.
    pub(crate) on_loopback: bool,
}

/// Why an announcement is not a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// Its text lacks a key, or the value is malformed.
    #[error("its `{0}` is missing or malformed")]
    Text(&'static str),
    /// Another protocol version, which is worth reporting to the user.
    #[error("it speaks protocol version {0}, this program speaks {PROTOCOL_VERSION}")]
    Protocol(u16),
    /// Of a party, and this machine is of none or of another one; or the other way round.
    #[error("it is not of the party of this machine")]
    Stranger,
    /// Port 0.
    #[error("it has no port")]
    Port,
    /// No address that could be a peer on this network; the reason of the last one.
    #[error("it has no usable address: {0}")]
    Address(&'static str),
}

/// Longest text value that is read: all of them are short words.
const TEXT_BYTES_MAX: usize = 255;

/// Checks an announcement that was heard by a machine in these networks, which is of this party.
pub(crate) fn check(
    announcement: &Announcement,
    networks: &[LinkNetwork],
    party: &PartyKey,
) -> Result<PeerHint, Unusable> {
    // First, because another version may have other keys.
    let protocol: u16 = number(announcement, "proto", 10)?;
    if protocol != PROTOCOL_VERSION {
        return Err(Unusable::Protocol(protocol));
    }
    let is_of_a_party = announcement.text.iter().any(|(key, _)| key.eq_ignore_ascii_case("n"));
    match (party.is_open_network(), is_of_a_party) {
        (true, false) => {}
        (false, true) => return check_member(announcement, networks, party),
        _ => return Err(Unusable::Stranger),
    }
    let id: PeerId = word(announcement, "id")?.parse().map_err(|_| Unusable::Text("id"))?;
    let instance = number(announcement, "inst", 16)?;
    let name: PeerName = word(announcement, "name")?.parse().map_err(|_| Unusable::Text("name"))?;
    let revision = number(announcement, "rev", 10)?;
    let addresses = addresses(announcement, networks)?;
    Ok(PeerHint { key: PeerKey { id, instance }, name: Some(name), revision: Some(revision), addresses })
}

fn check_member(
    announcement: &Announcement,
    networks: &[LinkNetwork],
    party: &PartyKey,
) -> Result<PeerHint, Unusable> {
    let number: MemberNumber = digits(announcement, "n")?;
    let tag = digits(announcement, "t")?;
    if party.tag(&number, announcement.port) != tag {
        return Err(Unusable::Stranger);
    }
    let addresses = addresses(announcement, networks)?;
    Ok(PeerHint { key: PeerKey::of_number(number), name: None, revision: None, addresses })
}

/// The addresses worth dialling, at most [`limits::PEER_ADDRESSES_MAX`], in a fixed order.
pub(crate) fn addresses(
    announcement: &Announcement,
    networks: &[LinkNetwork],
) -> Result<Vec<SocketAddr>, Unusable> {
    if announcement.port == 0 {
        return Err(Unusable::Port);
    }
    let mut reason = "there is none";
    let mut usable = Vec::new();
    for heard in &announcement.addresses {
        match judge(*heard, networks) {
            Ok(rank) => usable.push((rank, socket(*heard, announcement.port))),
            Err(why) => reason = why,
        }
    }
    usable.sort_unstable();
    usable.dedup();
    usable.truncate(limits::PEER_ADDRESSES_MAX);
    if usable.is_empty() {
        return Err(Unusable::Address(reason));
    }
    Ok(usable.into_iter().map(|(_, address)| address).collect())
}

fn word<'a>(announcement: &'a Announcement, key: &'static str) -> Result<&'a str, Unusable> {
    let mut values = announcement.text.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
    // RFC 6763 section 6.4: if a key appears twice, the first one counts.
    let (_, value) = values.next().ok_or(Unusable::Text(key))?;
    if value.len() > TEXT_BYTES_MAX {
        return Err(Unusable::Text(key));
    }
    std::str::from_utf8(value).map_err(|_| Unusable::Text(key))
}

/// Bytes that are written in hexadecimal digits.
fn digits<const BYTES: usize>(
    announcement: &Announcement,
    key: &'static str,
) -> Result<[u8; BYTES], Unusable> {
    bytes_of_digits(word(announcement, key)?).ok_or(Unusable::Text(key))
}

/// The bytes that so many hexadecimal digits stand for.
pub(crate) fn bytes_of_digits<const BYTES: usize>(digits: &str) -> Option<[u8; BYTES]> {
    // `from_str_radix` also takes a sign.
    if digits.len() != 2 * BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Bytes as hexadecimal digits.
pub(crate) fn digits_of_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn number<N: TryFrom<u64>>(
    announcement: &Announcement,
    key: &'static str,
    radix: u32,
) -> Result<N, Unusable> {
    let digits = word(announcement, key)?;
    if digits.starts_with('+') {
        return Err(Unusable::Text(key));
    }
    let number = u64::from_str_radix(digits, radix).map_err(|_| Unusable::Text(key))?;
    number.try_into().map_err(|_| Unusable::Text(key))
}

/// Whether an address can be a peer on this network; lower ranks are dialled first. A machine that announces itself is
/// on the link where it is heard, so an address elsewhere is a mistake or points at another machine.
fn judge(heard: HeardAddress, networks: &[LinkNetwork]) -> Result<u8, &'static str> {
    let rank = match heard.ip {
        IpAddr::V4(ip) => judge_v4(ip, heard.on_loopback)?,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(_) => return Err("it is an IPv4-mapped address"),
            None => judge_v6(ip, heard)?,
        },
    };
    let heard_on = |network: &LinkNetwork| heard.scope_id == 0 || network.interface == heard.scope_id;
    if networks.iter().any(|network| heard_on(network) && network.contains(heard.ip)) {
        Ok(rank)
    } else {
        Err("it is not on a network of this machine")
    }
}

fn judge_v4(ip: Ipv4Addr, on_loopback: bool) -> Result<u8, &'static str> {
    let octets = ip.octets();
    // RFC 6598: shared address space, used by overlay networks.
    let shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
    // RFC 1122: addresses of this network, and class E.
    let reserved = octets[0] == 0 || octets[0] >= 240;
    match ip {
        _ if reserved || ip.is_multicast() => Err("it names no machine"),
        _ if ip.is_loopback() => loopback(on_loopback),
        _ if ip.is_private() => Ok(1),
        _ if shared => Ok(2),
        _ if ip.is_link_local() => Ok(4),
        _ => Err("it is a public address"),
    }
}

fn judge_v6(ip: Ipv6Addr, heard: HeardAddress) -> Result<u8, &'static str> {
    match ip {
        _ if ip.is_unspecified() || ip.is_multicast() => Err("it names no machine"),
        _ if ip.is_loopback() => loopback(heard.on_loopback),
        _ if ip.is_unique_local() => Ok(3),
        _ if ip.is_unicast_link_local() && heard.scope_id == 0 => Err("its interface is not known"),
        _ if ip.is_unicast_link_local() => Ok(5),
        _ => Err("it is a public address"),
    }
}

fn loopback(on_loopback: bool) -> Result<u8, &'static str> {
    if on_loopback { Ok(0) } else { Err("it is a loopback address, heard from another machine") }
}

fn socket(heard: HeardAddress, port: u16) -> SocketAddr {
    match heard.ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, heard.scope_id).into(),
        ip => SocketAddr::new(ip, port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "peer1l5gs6vqa9urhmc2pfw8enazpky8nndga";

    fn heard(ip: &str) -> HeardAddress {
        HeardAddress { ip: ip.parse().unwrap(), scope_id: 0, on_loopback: false }
    }

    fn network(interface: u32, ip: &str, prefix_bits: u8) -> LinkNetwork {
        LinkNetwork { interface, ip: ip.parse().unwrap(), prefix_bits }
    }

    /// A machine on every network, so that only the kind of an address decides.
    fn everywhere() -> [LinkNetwork; 2] {
        [network(3, "10.0.0.1", 0), network(3, "fe80::1", 0)]
    }

    fn check(announcement: &Announcement) -> Result<PeerHint, Unusable> {
        super::check(announcement, &everywhere(), &PartyKey::open_network())
    }

    const NUMBER: MemberNumber = [0, 1, 2, 3, 4, 5, 6, 0xff];

    /// What a member of this party announces at port 4000.
    fn of_member(party: &PartyKey) -> Announcement {
        let tag = digits_of_bytes(&party.tag(&NUMBER, 4000));
        let text = [("proto", PROTOCOL_VERSION.to_string()), ("n", digits_of_bytes(&NUMBER)), ("t", tag)];
        let text = text.map(|(key, value)| (key.to_owned(), value.into_bytes())).to_vec();
        Announcement { text, ..announcement() }
    }

    fn announcement() -> Announcement {
        let protocol = PROTOCOL_VERSION.to_string();
        let text = [("proto", &*protocol), ("id", ID), ("inst", "2a"), ("name", "pc 7"), ("rev", "3")];
        Announcement {
            port: 4000,
            addresses: vec![heard("10.0.0.7")],
            text: text.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).to_vec(),
        }
    }

    fn with(key: &str, value: &[u8]) -> Announcement {
        let mut announcement = announcement();
        announcement.text.retain(|(name, _)| name != key);
        announcement.text.push((key.to_owned(), value.to_vec()));
        announcement
    }

    fn at(addresses: &[HeardAddress]) -> Result<Vec<SocketAddr>, Unusable> {
        check(&Announcement { addresses: addresses.to_vec(), ..announcement() }).map(|hint| hint.addresses)
    }

    #[test]
    fn a_whole_announcement_is_a_hint() {
        let hint = check(&announcement()).unwrap();
        assert_eq!(hint.key, PeerKey { id: ID.parse().unwrap(), instance: 42 });
        assert_eq!((hint.name.unwrap().as_str(), hint.revision), ("pc 7", Some(3)));
        assert_eq!(hint.addresses, [([10, 0, 0, 7], 4000).into()]);
    }

    #[test]
    fn a_missing_or_malformed_key_is_named() {
        let long = [b'x'; 300];
        let cases: [(&'static str, &[u8]); 14] = [
            ("id", b""),
            ("id", b"0001"),
            ("id", &[0xff; 32]),
            ("inst", b"xyz"),
            ("inst", b"+1"),
            ("inst", b"10000000000000000"),
            ("name", b""),
            ("name", b"a\x1b[2Jb"),
            ("name", "a\u{202e}b".as_bytes()),
            ("name", &[0xc3]),
            ("name", &long),
            ("rev", b"-1"),
            ("proto", b"65537"),
            ("proto", b"one"),
        ];
        for (key, value) in cases {
            assert_eq!(check(&with(key, value)), Err(Unusable::Text(key)), "{key} {value:?}");
        }
        for key in ["id", "inst", "name", "rev", "proto"] {
            let mut announcement = announcement();
            announcement.text.retain(|(name, _)| name != key);
            assert_eq!(check(&announcement), Err(Unusable::Text(key)));
        }
        assert_eq!(check(&with("proto", b"1")), Err(Unusable::Protocol(1)));
        assert_eq!(check(&Announcement { port: 0, ..announcement() }), Err(Unusable::Port));
    }

    #[test]
    fn a_member_is_a_hint_to_members_and_to_no_other_peer() {
        let (ours, other) = (PartyKey::random().unwrap(), PartyKey::random().unwrap());
        let heard =
            |announcement: &Announcement, party: &PartyKey| super::check(announcement, &everywhere(), party);
        let hint = heard(&of_member(&ours), &ours).unwrap();
        assert_eq!((hint.key, hint.name, hint.revision), (PeerKey::of_number(NUMBER), None, None));
        assert_eq!(hint.addresses, [([10, 0, 0, 7], 4000).into()]);
        for (announcement, party) in [
            (of_member(&ours), &other),
            (of_member(&ours), &PartyKey::open_network()),
            (of_member(&PartyKey::open_network()), &PartyKey::open_network()),
            (announcement(), &ours),
            (Announcement { port: 4001, ..of_member(&ours) }, &ours),
        ] {
            assert_eq!(heard(&announcement, party), Err(Unusable::Stranger));
        }
        let mut old = of_member(&ours);
        old.text[0].1 = b"9".to_vec();
        assert_eq!(heard(&old, &PartyKey::open_network()), Err(Unusable::Protocol(9)));
    }

    #[test]
    fn a_number_or_a_tag_that_was_changed_is_of_a_stranger() {
        let ours = PartyKey::random().unwrap();
        for (place, key) in [(1, "n"), (2, "t")] {
            let whole = of_member(&ours);
            for at in 0..whole.text[place].1.len() {
                let mut changed = whole.clone();
                let digit = &mut changed.text[place].1[at];
                *digit = if *digit == b'0' { b'1' } else { b'0' };
                assert_eq!(
                    super::check(&changed, &everywhere(), &ours),
                    Err(Unusable::Stranger),
                    "{key} {at}"
                );
            }
            for bad in [&b""[..], b"0", b"+011223344556677", &[0xff; 16], &[b'0'; 33]] {
                let mut changed = whole.clone();
                changed.text[place].1 = bad.to_vec();
                assert_eq!(super::check(&changed, &everywhere(), &ours), Err(Unusable::Text(key)), "{bad:?}");
            }
        }
        let mut without = of_member(&ours);
        without.text.truncate(2);
        assert_eq!(super::check(&without, &everywhere(), &ours), Err(Unusable::Text("t")));
    }

    #[test]
    fn only_addresses_of_this_network_are_dialled() {
        for good in ["10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.9.9", "fd00::1"] {
            assert!(at(&[heard(good)]).is_ok(), "{good}");
        }
        for bad in [
            "0.0.0.0",
            "0.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            "224.0.0.251",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "127.0.0.1",
            "::",
            "::1",
            "ff02::fb",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "fe80::1",
        ] {
            assert!(matches!(at(&[heard(bad)]), Err(Unusable::Address(_))), "{bad}");
        }
        let own = HeardAddress { on_loopback: true, ..heard("127.0.0.1") };
        assert_eq!(at(&[own]).unwrap(), [([127, 0, 0, 1], 4000).into()]);
        let scoped = HeardAddress { scope_id: 3, ..heard("fe80::1") };
        assert_eq!(at(&[scoped]).unwrap(), ["[fe80::1%3]:4000".parse().unwrap()]);
        let mixed = at(&[scoped, heard("8.8.8.8"), heard("169.254.1.1"), heard("10.0.0.1")]).unwrap();
        let shown: Vec<String> = mixed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.1:4000", "169.254.1.1:4000", "[fe80::1%3]:4000"], "the likeliest first");
    }

    /// The network decides, and the interface on which the address was heard, if it is known.
    #[test]
    fn an_address_must_be_on_the_link_where_it_was_heard() {
        let networks = [
            network(1, "127.0.0.1", 8),
            network(2, "192.168.1.7", 24),
            network(3, "172.17.0.1", 16),
            network(2, "fe80::7", 64),
            network(2, "fd00::7", 64),
        ];
        let usable = |ip: &str, scope_id, on_loopback| {
            let heard = HeardAddress { scope_id, on_loopback, ..heard(ip) };
            let announcement = Announcement { addresses: vec![heard], ..announcement() };
            super::check(&announcement, &networks, &PartyKey::open_network()).map(|hint| hint.addresses)
        };
        for (ip, scope_id, on_loopback) in [
            ("192.168.1.1", 2, false),
            ("192.168.1.200", 0, false),
            ("172.17.9.9", 3, false),
            ("fe80::99", 2, false),
            ("fd00::99", 2, false),
            ("127.0.0.1", 1, true),
        ] {
            assert!(usable(ip, scope_id, on_loopback).is_ok(), "{ip} on {scope_id}");
        }
        for (ip, scope_id, on_loopback) in [
            ("10.0.0.1", 2, false),
            ("192.168.2.1", 2, false),
            ("192.168.1.0", 2, false),
            ("192.168.1.255", 2, false),
            // Heard on one network, and points into another one of this machine.
            ("172.17.0.2", 2, false),
            ("192.168.1.1", 3, false),
            ("fe80::99", 3, false),
            ("fd00:1::99", 2, false),
            ("127.0.0.1", 2, false),
            ("127.0.0.1", 2, true),
        ] {
            let refused = usable(ip, scope_id, on_loopback);
            assert!(matches!(refused, Err(Unusable::Address(_))), "{ip} on {scope_id}: {refused:?}");
        }
        let nowhere = super::check(&announcement(), &[], &PartyKey::open_network());
        assert!(matches!(nowhere, Err(Unusable::Address(_))), "{nowhere:?}");
    }

    fn any_address() -> impl Strategy<Value = HeardAddress> {
        (any::<IpAddr>(), any::<u32>(), any::<bool>()).prop_map(|(ip, scope_id, on_loopback)| HeardAddress {
            ip,
            scope_id,
            on_loopback,
        })
    }

    proptest! {
        /// No announcement causes a panic, and every hint stays within the bounds.
        #[test]
        fn hostile_announcements_are_bounded_or_refused(
            port in any::<u16>(),
            addresses in proptest::collection::vec(any_address(), 0..40),
            kept in 0usize..6,
            odd in proptest::collection::vec(("(id|inst|name|rev|proto|x)", proptest::collection::vec(any::<u8>(), 0..300)), 0..6),
        ) {
            let mut text = announcement().text;
            text.truncate(kept);
            text.extend(odd);
            if let Ok(hint) = check(&Announcement { port, addresses, text }) {
                prop_assert!((1..=limits::PEER_ADDRESSES_MAX).contains(&hint.addresses.len()));
                for address in hint.addresses {
                    prop_assert!(address.port() != 0);
                    prop_assert!(!address.ip().is_unspecified() && !address.ip().is_multicast());
                }
            }
        }

        /// The order in which addresses arrive does not matter.
        #[test]
        fn the_order_of_addresses_is_fixed(lasts in proptest::collection::vec(any::<u8>(), 1..30)) {
            let heard: Vec<_> = lasts.iter().map(|last| heard(&format!("10.0.0.{last}"))).collect();
            let backwards: Vec<_> = heard.iter().rev().copied().collect();
            prop_assert_eq!(at(&heard), at(&backwards));
        }
    }
}
