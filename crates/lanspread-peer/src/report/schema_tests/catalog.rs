//! One of each kind of answer about catalogs and parties, and a second one where a field can be missing.

use lanspread_types::checksum::ContentDigest;

use crate::report::answer::Answer;
use crate::report::built_manifest::{ArrivedManifest, BuiltManifest};
use crate::report::event::PeerEvent;
use crate::report::packing_list::{AwaitedPackingList, MadePackingList};
use crate::report::party_line::PartyLineShown;

fn manifest_written() -> Answer {
    Answer::ManifestWritten {
        path: "x".to_owned(),
        game: super::game(),
        version: super::version(),
        manifest: ContentDigest([0; 32]),
        bytes: 1,
        tree: true,
    }
}

pub(super) fn answers() -> Vec<Answer> {
    use Answer as R;
    let (game, version) = (super::game, super::version);
    let text = || "x".to_owned();
    let digest = || ContentDigest([0; 32]);
    let key = |copy| R::CatalogKey { key_id: text(), public_key: text(), path: text(), made: true, copy };
    let verified = |expires: Option<String>| R::CatalogVerified {
        catalog: text(),
        key_id: text(),
        trusted_comment: text(),
        version: expires.as_ref().map(|_| 1),
        expires,
        expired: false,
        games: 1,
        manifests: 1,
        manifests_missing: 0,
    };
    let of_game = |count: Option<u64>| R::CatalogGame {
        game: game(),
        title: text(),
        version: version(),
        manifest: count.map(|_| digest()),
        manifest_bytes: count,
        bytes: count,
        unpacked_bytes: count,
    };
    let about = |version: Option<u64>| R::Catalog {
        catalog: text(),
        schema: 2,
        version,
        name: version.map(|_| "n".parse().unwrap()),
        made: version.map(|_| text()),
        expires: version.map(|_| text()),
        expired: false,
        signed_by: version.map(|_| text()),
        sources: vec![text()],
        games: 1,
    };
    let entry = |bytes: Option<u64>| R::CatalogEntry {
        path: text(),
        bytes,
        executable: false,
        sha256: bytes.map(|_| digest()),
    };
    let difference = |one: Option<_>, two| R::CatalogDifference {
        game: game(),
        change: "added".into(),
        old_version: one,
        new_version: two,
    };
    let party = |line: Option<&str>| R::Party {
        party: "k7qf".to_owned(),
        change: "made".into(),
        path: text(),
        catalog_signer: line.map(|_| text()),
        line: line.map(|line| PartyLineShown(line.to_owned())),
        daemons_to_restart: vec![text()],
    };
    let differences = |version| R::CatalogDifferences {
        old_version: version,
        new_version: version,
        differences: 1,
        unchanged: 1,
    };
    vec![
        party(None),
        party(Some("party1…")),
        manifest_written(),
        R::CatalogBuilt { catalog: text(), version: 1, games: 1, written: true, removed: vec![game()] },
        difference(Some(version()), None),
        difference(None, Some(version())),
        differences(Some(1)),
        differences(None),
        key(Some(text())),
        key(None),
        R::CatalogForgotten { key_id: text(), version: Some(1) },
        R::CatalogForgotten { key_id: text(), version: None },
        R::CatalogSigned { catalog: text(), signature: text(), key_id: text(), version: 1 },
        verified(Some(text())),
        verified(None),
        about(Some(1)),
        about(None),
        of_game(Some(1)),
        of_game(None),
        R::CatalogManifest {
            game: game(),
            version: version(),
            manifest: digest(),
            bytes: 1,
            chunk_bytes: 1,
            archives: 1,
            dictionary_bytes: 0,
            header_bytes: 0,
            files: 1,
            directories: 0,
            unpacked_bytes: 1,
        },
        R::CatalogRootFile { name: text(), bytes: 1 },
        entry(Some(1)),
        entry(None),
    ]
}

pub(super) fn events() -> Vec<PeerEvent> {
    let digest = ContentDigest([0; 32]);
    vec![
        PeerEvent::CatalogUpdated { from: Some("n".parse().unwrap()), version: 2, old: Some(1) },
        PeerEvent::CatalogUpdated { from: None, version: 2, old: None },
        PeerEvent::CatalogRefused {
            from: Some("n".parse().unwrap()),
            code: "x".into(),
            message: "x".to_owned(),
        },
        PeerEvent::CatalogRefused { from: None, code: "x".into(), message: "x".to_owned() },
        PeerEvent::ManifestArrived(ArrivedManifest {
            game: super::game(),
            peer: "n".parse().unwrap(),
            manifest: digest,
            bytes: 1,
        }),
        PeerEvent::ManifestMissing { game: super::game(), manifest: digest, message: "x".to_owned() },
        PeerEvent::PackingListMade(MadePackingList {
            game: super::game(),
            version: super::version(),
            manifest: digest,
            read_bytes: 1,
            duration_ms: 1,
        }),
        PeerEvent::PackingListAwaited(AwaitedPackingList { game: super::game(), in_ms: 1 }),
        PeerEvent::CatalogBuildProgress { game: super::game(), bytes: 1, bytes_total: 2 },
        PeerEvent::CatalogGameBuilt(BuiltManifest {
            game: super::game(),
            version: super::version(),
            change: "added".into(),
            read: true,
            manifest: ContentDigest([0; 32]),
            manifest_bytes: 1,
            bytes: 1,
            unpacked_bytes: 1,
            files: 1,
            duration_ms: 1,
        }),
    ]
}
