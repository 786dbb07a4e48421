//! Files of keys and signatures: what is accepted reads again as the same, and a changed signature never counts.
#![no_main]

use lanspread_trust::minisign::{PublicKey, SecretKey, Signature};
use libfuzzer_sys::fuzz_target;

const PUBLIC: &str = "RWSdxnTYeeWUp5ZAx+W6UuXELkZx8inc/hn3nUUNk8kK8UBMc7YV6pxG";
/// The one signature of `hi\n` that this key has made, and its comment.
const COMMENT: &str = "timestamp:1795699679\tfile:f\thashed";

fn fuzz(input: &[u8]) {
    if let Ok(signature) = Signature::parse(input) {
        assert!(input.len() <= 1024 && signature.trusted_comment().len() < input.len());
        assert!(!signature.trusted_comment().chars().any(|c| c.is_control() && c != '\t'));
        let written = signature.file();
        // The first comment is ours, and may make the file too long.
        if written.len() <= 1024 {
            assert_eq!(Signature::parse(written.as_bytes()).as_ref(), Ok(&signature));
        }
        let key = PublicKey::parse(PUBLIC).expect("a good key");
        if signature.verify(&key, b"hi\n").is_ok() {
            assert_eq!(signature.trusted_comment(), COMMENT);
        }
        assert!(signature.verify(&key, b"ho\n").is_err());
        // Two signatures in one file are none.
        assert!(Signature::parse(&[input, input].concat()).is_err());
    }
    if let Ok(key) = PublicKey::parse_file(input) {
        assert_eq!(PublicKey::parse_file(key.file().as_bytes()), Ok(key));
        assert_eq!(PublicKey::parse(&key.to_string()), Ok(key));
    }
    if let Ok(key) = SecretKey::parse_file(input) {
        let again = SecretKey::parse_file(key.file().as_bytes()).ok().expect("it was written by us");
        assert_eq!(again.public(), key.public());
    }
}

fuzz_target!(|input: &[u8]| fuzz(input));
