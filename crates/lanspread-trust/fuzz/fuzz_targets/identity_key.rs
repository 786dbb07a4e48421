//! Files of identities: what is accepted is one key, which reads again as the same.
#![no_main]

use lanspread_trust::identity_key::{IdentityKey, digest_of_public};
use libfuzzer_sys::fuzz_target;

fn fuzz(input: &[u8]) {
    // A public key as TLS sends it has one form.
    assert_eq!(digest_of_public(input).is_some(), input.len() == 44 && input.starts_with(&PUBLIC_PREFIX));
    let Ok(key) = IdentityKey::parse_pem(input) else { return };
    let written = key.pem();
    let again = IdentityKey::parse_pem(written.as_bytes()).expect("a file of ours");
    assert_eq!((again.public(), *again.pem() == *written), (key.public(), true));
    assert_eq!(digest_of_public(key.public()), Some(key.digest()));
    assert!(!format!("{key:?}").contains(written.lines().nth(1).expect("three lines")), "a secret is shown");
    // Two keys in one file are none.
    assert!(IdentityKey::parse_pem(&[written.as_bytes(), input].concat()).is_err());
}

const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fuzz_target!(|input: &[u8]| fuzz(input));
