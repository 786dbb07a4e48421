use proptest::prelude::*;
use zeroize::Zeroizing;

use super::lines::{ED25519, encode, part};
use super::*;

/// A fixed key, so that the bytes of everything are known.
fn key() -> SecretKey {
    SecretKey::from_seed(KeyId([0x13, 2, 3, 4, 5, 6, 7, 8]), Zeroizing::new([1; 32]))
}

const PUBLIC: &str = "untrusted comment: minisign public key 0807060504030213\n\
                      RWQTAgMEBQYHCIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c\n";

/// Made by the program `minisign` 0.11 with `minisign -G -W`, and its signature of the file `hi\n`.
const PUBLIC_OF_PROGRAM: &str = "untrusted comment: minisign public key A794E579D874C69D\n\
    RWSdxnTYeeWUp5ZAx+W6UuXELkZx8inc/hn3nUUNk8kK8UBMc7YV6pxG\n";
const SECRET_OF_PROGRAM: &str = "untrusted comment: minisign encrypted secret key\n\
    RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAncZ02HnllKfjVLfMiL5MnI73Fln5Trxl\
    hSR4a9Vmu152njQ77Hl7xpZAx+W6UuXELkZx8inc/hn3nUUNk8kK8UBMc7YV6pxGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
const SIGNATURE_OF_PROGRAM: &str = "untrusted comment: signature from minisign secret key\n\
    RUSdxnTYeeWUp5jEDUDNVtpRf3JjIrLvHsdU03V/d/kOKQRxoidpGzGveo9WwkNx8pkdpGK6/YhFO485ncalaxz4pbLYtSM51Ag=\n\
    trusted comment: timestamp:1795699679\tfile:f\thashed\n\
    BRXDVE9wiD4MS9ELZYJgE82NWAEKnsBV1VxT+Ftp/CK5Qh1PHsAkMEzloPm50YYa5kRl/iIxJ4/3W/pzT3nUBg==\n";

#[test]
fn the_files_of_a_key_have_known_bytes() {
    assert_eq!(key().public().file(), PUBLIC);
    assert_eq!(PublicKey::parse_file(PUBLIC.as_bytes()), Ok(key().public()));
    let file = key().file();
    assert!(
        file.starts_with("untrusted comment: minisign secret key 0807060504030213\nRWQAAEIyAAAA"),
        "{:?}",
        &**file
    );
    let read = SecretKey::parse_file(file.as_bytes()).ok().unwrap();
    assert_eq!(*read.file(), *file);
}

#[test]
fn what_the_program_made_is_accepted_and_its_public_key_has_the_same_bytes() {
    let secret = SecretKey::parse_file(SECRET_OF_PROGRAM.as_bytes()).ok().unwrap();
    assert_eq!(secret.public().file(), PUBLIC_OF_PROGRAM);
    let signature = Signature::parse(SIGNATURE_OF_PROGRAM.as_bytes()).unwrap();
    assert_eq!(signature.verify(&secret.public(), b"hi\n"), Ok(()));
    assert_eq!(signature.trusted_comment(), "timestamp:1795699679\tfile:f\thashed");
    assert_eq!(signature.verify(&secret.public(), b"ho\n"), Err(SignatureProblem::FileChanged));
}

#[test]
fn a_signature_counts_for_its_file_its_comment_and_its_key() {
    let signature = Signature::sign(&key(), b"file", "lanspread catalog Summer version 7");
    let text = signature.file();
    let read = Signature::parse(text.as_bytes()).unwrap();
    assert_eq!(read, signature);
    assert_eq!(read.verify(&key().public(), b"file"), Ok(()));
    assert_eq!(read.verify(&key().public(), b"filf"), Err(SignatureProblem::FileChanged));
    let changed = Signature::parse(text.replace("version 7", "version 8").as_bytes()).unwrap();
    assert_eq!(changed.verify(&key().public(), b"file"), Err(SignatureProblem::CommentChanged));
    let other = SecretKey::random().unwrap().public();
    let (signed_by, expected) = (key().public().id(), other.id());
    let refused = SignatureProblem::OtherKey { signed_by, expected };
    assert_eq!(read.verify(&other, b"file"), Err(refused));
    // The same id does not make it the same key.
    let twin = SecretKey::from_seed(key().public().id(), Zeroizing::new([2; 32])).public();
    assert_eq!(read.verify(&twin, b"file"), Err(SignatureProblem::FileChanged));
}

#[test]
fn a_signature_file_is_four_lines_and_nothing_else() {
    use SignatureProblem as P;
    let text = Signature::sign(&key(), b"file", "comment").file();
    assert!(Signature::parse(text.replace('\n', "\r\n").as_bytes()).is_ok());
    let legacy = {
        let mut bytes = ED25519.to_vec();
        bytes.extend([0; 72]);
        text.replace(text.lines().nth(1).unwrap(), &encode(&bytes))
    };
    let unknown = text.replace("\nRU", "\nXX");
    let long = text.replace("trusted comment: comment", &format!("trusted comment: {}", "x".repeat(1024)));
    let table = [
        (String::new(), P::NotFourLines),
        ("x".to_owned(), P::NotFourLines),
        (text.trim_end().to_owned(), P::NotFourLines),
        (text.repeat(2), P::NotFourLines),
        (format!("{text}\n"), P::NotFourLines),
        (format!("\n{text}"), P::NotFourLines),
        (text.replace('\n', "\r"), P::NotFourLines),
        (text.replace("trusted comment: comment", "trusted comment: \u{1b}[2J"), P::NotFourLines),
        (text.replacen("untrusted", "untrustet", 1), P::NoComment),
        (text.replace("\ntrusted comment:", "\ntrusted comment"), P::NoTrustedComment),
        (text.replace("\nRU", "\nRUU"), P::Damaged(2, 74)),
        (text.replace("=\n", "\n"), P::Damaged(2, 74)),
        (text.replace("\nRU", "\n*U"), P::Damaged(2, 74)),
        (text.replace("==\n", "=\n"), P::Damaged(4, 64)),
        (legacy, P::Legacy),
        (unknown, P::Algorithm),
        (long, P::TooLarge),
    ];
    for (text, expected) in table {
        assert_eq!(Signature::parse(text.as_bytes()), Err(expected), "{text:?}");
    }
}

/// A secret key with these bytes changed.
fn changed(at: usize, bytes: &[u8]) -> Result<SecretKey, KeyProblem> {
    let file = key().file();
    let line = file.lines().nth(1).unwrap();
    let mut key: Vec<u8> = lines::decode::<158>(line).unwrap().to_vec();
    key[at..at + bytes.len()].copy_from_slice(bytes);
    SecretKey::parse_file(format!("untrusted comment: x\n{}\n", encode(&key)).as_bytes())
}

#[test]
fn a_secret_key_is_accepted_with_and_without_a_checksum_and_else_named() {
    use KeyProblem as P;
    assert_eq!(changed(126, &[0; 32]).ok().unwrap().public(), key().public());
    for (at, bytes, expected) in [
        (0, &b"Ec"[..], P::Algorithm),
        (2, b"Sc", P::PassPhrase),
        (2, b"Xy", P::Algorithm),
        (4, b"B3", P::Algorithm),
        (54, b"\0", P::Checksum),
        (62, b"\0", P::Checksum),
        (94, b"\0", P::Halves),
        (126, b"\0", P::Checksum),
        (157, b"\0", P::Checksum),
    ] {
        assert_eq!(changed(at, bytes).err(), Some(expected), "{at} {bytes:?}");
    }
    for (text, expected) in [
        ("", P::NotTwoLines),
        ("untrusted comment: x\n", P::NotTwoLines),
        ("comment\nRWQ=\n", P::NoComment),
        ("untrusted comment: x\nRWQ=\n", P::Damaged(158)),
    ] {
        assert_eq!(SecretKey::parse_file(text.as_bytes()).err(), Some(expected), "{text:?}");
    }
    assert_eq!(PublicKey::parse_file(b"untrusted comment: x\nRWQ=\n"), Err(P::Damaged(42)));
    assert_eq!(PublicKey::parse(&encode(&[0; 42])), Err(P::Algorithm));
    assert_eq!(PublicKey::parse_file(key().file().as_bytes()), Err(P::Damaged(42)), "a secret key");
}

proptest! {
    /// Whatever is changed in a signature file, what is still accepted says the same about the same file.
    #[test]
    fn a_changed_signature_never_counts_for_more(at in 0_usize..400, to in any::<u8>()) {
        let text = Signature::sign(&key(), b"file", "comment").file();
        let mut bytes = text.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(read) = Signature::parse(&bytes) && read.verify(&key().public(), b"file").is_ok() {
            prop_assert_eq!(read, Signature::parse(text.as_bytes()).unwrap());
        }
    }

    #[test]
    fn a_signature_reads_as_it_was_written(file in any::<Vec<u8>>(), comment in "[ -~\t]{1,99}", seed in any::<[u8; 32]>()) {
        let key = SecretKey::from_seed(KeyId(part(&seed, 0)), Zeroizing::new(seed));
        let signature = Signature::sign(&key, &file, &comment);
        let read = Signature::parse(signature.file().as_bytes()).unwrap();
        prop_assert_eq!(&read, &signature);
        prop_assert_eq!(read.verify(&key.public(), &file), Ok(()));
        let secret = SecretKey::parse_file(key.file().as_bytes()).ok().unwrap();
        prop_assert_eq!(secret.public(), key.public());
    }
}
