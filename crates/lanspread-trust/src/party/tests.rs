use proptest::prelude::*;
use ring::hkdf;

use super::*;

const EXPORTER: [u8; 32] = [0xee; 32];
const CLIENT: KeyDigest = [0xcc; 32];
const SERVER: KeyDigest = [0x55; 32];

fn key(bytes: [u8; 16]) -> PartyKey {
    PartyKey(Zeroizing::new(bytes))
}

fn counting() -> PartyKey {
    key(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Calculated with the `hmac` module of Python, from the text of the documentation.
#[test]
fn proofs_tags_and_names_have_golden_values() {
    let of = |key: &PartyKey| {
        let proof = |role| hex(&key.proof(role, &EXPORTER, &CLIENT, &SERVER));
        let tag = hex(&key.tag(&[1, 2, 3, 4, 5, 6, 7, 8], 4107));
        [proof(Role::Client), proof(Role::Server), tag, key.name()]
    };
    assert_eq!(
        of(&PartyKey::open_network()),
        [
            "3d8f3b8d289c5c67b7f960e1b74b6d2fc55c56314b1f8799c8a2901fd121c389",
            "0f10104966d59c6cfa1fdfee47b94bc736a61bd93574708f0350f502b9bbb36c",
            "3e3561a524c8bc1a8b8d3e44b9e8e03a",
            "e525",
        ]
    );
    assert_eq!(
        of(&counting()),
        [
            "c41cfc84fbd81c93cd21a94d0a19742f2cd42c46020c0a3b878aa04ebf65aabe",
            "f5b80f98fad5d1b14470f36dcd02528543ce949e8e85cc468f1f039f8b325df3",
            "b457b364116665adcedefdfc3949a282",
            "asnd",
        ]
    );
}

#[test]
fn the_derivation_is_hkdf() {
    for info in [PROOF_INFO, TAG_INFO, NAME_INFO] {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&*counting().0);
        let mut expected = [0; 32];
        let info_parts = [info];
        extracted.expand(&info_parts, hkdf::HKDF_SHA256).unwrap().fill(&mut expected).unwrap();
        assert_eq!(*counting().derived(info), expected);
    }
}

#[test]
fn a_key_of_zeros_is_no_party_and_no_key_is_shown() {
    assert!(PartyKey::from_bytes(Zeroizing::new([0; 16])).is_none());
    assert!(PartyKey::open_network().is_open_network());
    let made = PartyKey::random().unwrap();
    assert!(!made.is_open_network());
    assert!(PartyKey::from_bytes(Zeroizing::new(*made.0)).is_some());
    assert_ne!(made.0, PartyKey::random().unwrap().0);
    assert_eq!(format!("{made:?} {:?}", Some(&made)), "PartyKey Some(PartyKey)");
}

proptest! {
    #[test]
    fn a_proof_holds_for_its_key_role_connection_and_identities_only(
        bytes in any::<[u8; 16]>(), exporter in any::<[u8; 32]>(), client in any::<[u8; 32]>(),
        server in any::<[u8; 32]>(), is_client in any::<bool>(), byte in 0_usize..32, bit in 0_u8..8,
    ) {
        let of = key(bytes);
        let role = if is_client { Role::Client } else { Role::Server };
        let proof = of.proof(role, &exporter, &client, &server);
        prop_assert!(of.proves(&proof, role, &exporter, &client, &server));
        prop_assert!(!of.proves(&proof, role.other(), &exporter, &client, &server));
        if client != server {
            prop_assert!(!of.proves(&proof, role, &exporter, &server, &client));
        }
        let changed = |of: &[u8; 32]| { let mut other = *of; other[byte] ^= 1 << bit; other };
        prop_assert!(!of.proves(&changed(&proof), role, &exporter, &client, &server));
        prop_assert!(!of.proves(&proof, role, &changed(&exporter), &client, &server));
        prop_assert!(!of.proves(&proof, role, &exporter, &changed(&client), &server));
        prop_assert!(!of.proves(&proof, role, &exporter, &client, &changed(&server)));
        let mut other = bytes;
        other[byte % 16] ^= 1 << bit;
        prop_assert!(!key(other).proves(&proof, role, &exporter, &client, &server));
    }

    #[test]
    fn a_tag_is_of_one_key_nonce_and_port(
        bytes in any::<[u8; 16]>(), nonce in any::<[u8; 8]>(), port in any::<u16>(), byte in 0_usize..16, bit in 0_u8..8,
    ) {
        let tag = key(bytes).tag(&nonce, port);
        let mut other = bytes;
        other[byte] ^= 1 << bit;
        prop_assert_ne!(key(other).tag(&nonce, port), tag);
        let mut other = nonce;
        other[byte % 8] ^= 1 << bit;
        prop_assert_ne!(key(bytes).tag(&other, port), tag);
        prop_assert_ne!(key(bytes).tag(&nonce, port ^ 1 << byte), tag);
    }
}
