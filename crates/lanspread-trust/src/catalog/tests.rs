use std::io::{self, Write};

use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, HeaderRange, RootFile};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use proptest::prelude::*;

use super::*;
use crate::manifest::{
    Blocks, EntryContent, Manifest, ManifestArchive, ManifestEntries, ManifestError, ManifestProblem, encode,
    file_name,
};

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_catalog_of_schema_1_names_games_and_versions() {
    let content = parse("schema = 1\n[games.a]\nname = 'A'\nversion = '7'\n").unwrap();
    assert_eq!(content.games[&"a".parse().unwrap()].version.as_str(), "7");
    assert_eq!(content.head, None);
}

#[test]
fn a_catalog_of_schema_2_names_manifests() {
    let text = format!(
        "schema = 2\nversion = 7\nname = 'Summer'\nmade = 2026-07-01T18:00:00Z\n[games.a]\nname = 'A'\n\
         version = '7'\nmanifest = '{DIGEST}'\nmanifest_bytes = 9\nbytes = 1\nunpacked_bytes = 2\n[games.b]\n\
         name = 'B'\nversion = '1'\n"
    );
    let content = parse(&text).unwrap();
    let head = content.head.as_ref().unwrap();
    assert_eq!((head.version, head.name.as_ref().unwrap().as_str()), (7, "Summer"));
    assert_eq!(head.made.unwrap().to_string(), "2026-07-01T18:00:00Z");
    let game = &content.games[&"a".parse().unwrap()];
    assert_eq!(game.manifest, Some(ManifestReference { digest: ContentDigest::of(b"abc"), bytes: 9 }));
    assert_eq!((game.bytes, game.unpacked_bytes), (Some(1), Some(2)));
    assert_eq!(content.games[&"b".parse().unwrap()].manifest, None);
}

#[test]
fn a_broken_catalog_is_refused_with_its_line() {
    let game = "[games.a]\nname = 'A'\nversion = '1'\n";
    let table = [
        (String::new(), "schema"),
        ("schema = 3".to_owned(), "schema 3"),
        ("schema = 1\n[games.a]\nname = 'A'\n".to_owned(), "version"),
        (format!("schema = 1\n{game}vresion = '1'\n"), "line 5"),
        ("schema = 1\n[games.'../x']\nname = 'A'\nversion = '1'\n".to_owned(), "line 2"),
        ("schema = 1\n\n[games.a\n".to_owned(), "line 3"),
        ("schema = 1\n[games.a]\nname = 'A'\nversion = ''\n".to_owned(), "line 4"),
        ("schema = 1\nversion = 1\n".to_owned(), "version"),
        (format!("schema = 1\n{game}manifest = '{DIGEST}'\n"), "manifest"),
        ("schema = 2\n".to_owned(), "version"),
        ("schema = 2\nversion = 0\n".to_owned(), "its version is 0"),
        ("schema = 2\nversion = 9007199254740993\n".to_owned(), "its version is 9007199254740993"),
        ("schema = 2\nversion = -1\n".to_owned(), "line 2"),
        (format!("schema = 2\nversion = 1\nname = '{}'\n", "x".repeat(65)), "catalog name"),
        ("schema = 2\nversion = 1\nmade = 2026-07-01T18:00:00+02:00\n".to_owned(), "UTC"),
        ("schema = 2\nversion = 1\nexpires = 2026-07-01\n".to_owned(), "UTC"),
        ("schema = 2\nversion = 1\nexpires = 'soon'\n".to_owned(), "line 3"),
        ("schema = 2\nversion = 1\nsigned = true\n".to_owned(), "signed"),
        (format!("schema = 2\nversion = 1\n{game}manifest = '{DIGEST}'\n"), "only one of"),
        (format!("schema = 2\nversion = 1\n{game}manifest_bytes = 9\n"), "only one of"),
        (
            format!("schema = 2\nversion = 1\n{game}manifest = '{DIGEST}'\nmanifest_bytes = 268435457\n"),
            "the limit is 268435456",
        ),
        (
            format!("schema = 2\nversion = 1\n{game}manifest = '{}'\nmanifest_bytes = 1\n", &DIGEST[1..]),
            "64 hexadecimal digits",
        ),
        (format!("schema = 2\nversion = 1\n{game}bytes = 17592186044417\n"), "the limit is 17592186044416"),
        ("schema = 2\nversion = 1\nsources = ['ftp://h/']\n".to_owned(), "http://"),
        (format!("schema = 2\nversion = 1\nsources = [{}]\n", "'http://h/',".repeat(17)), "the limit is 16"),
    ];
    for (text, expected) in table {
        let reason = parse(&text).unwrap_err();
        assert!(reason.contains(expected), "{text:?}: {reason}");
        assert!(!reason.contains('\n'));
    }
}

/// The digests and the header byte of a game of two bytes.
struct OneByteEach;

impl Blocks for OneByteEach {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&[7; 64])
    }

    fn write_headers(&self, _: usize, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"R")
    }
}

/// Its digest says nothing about what is installed, and that is what a catalog is believed for.
#[test]
fn a_packing_list_is_no_manifest_of_a_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| RootFile { name: name.to_owned(), size: 1 };
    let archive = ManifestArchive {
        files: vec![0],
        format: ArchiveFormat::Rar5,
        solid: false,
        dictionary_bytes: 0,
        headers: vec![HeaderRange { volume: 0, offset: 0, length: 1 }],
    };
    let (game, version): (GameId, GameVersion) = ("g".parse().unwrap(), "1".parse().unwrap());
    let mut manifest = Manifest {
        game: game.clone(),
        version: version.clone(),
        root_files: vec![file("g.eti"), file("version.ini")],
        archives: vec![archive],
        entries: ManifestEntries::default(),
    };
    let opened = |manifest: &Manifest| {
        let mut bytes = Vec::new();
        encode(manifest, &OneByteEach, &mut bytes).unwrap();
        let digest = ContentDigest::of(&bytes);
        let manifests = folder.path().join(MANIFESTS_DIR);
        std::fs::create_dir_all(&manifests).unwrap();
        std::fs::write(manifests.join(file_name(&digest)), &bytes).unwrap();
        let reference = Some(ManifestReference { digest, bytes: bytes.len() as u64 });
        let (name, version) = (String::new(), version.clone());
        let known = CatalogGame { name, version, manifest: reference, bytes: None, unpacked_bytes: None };
        open_manifest(folder.path(), &game, &known)
    };
    let refused = opened(&manifest).unwrap_err();
    assert!(matches!(refused, ManifestError::Refused { problem: ManifestProblem::NoTree, .. }), "{refused}");
    let path = EntryPath::parse("data", NamePolicy::Portable).unwrap();
    manifest.entries.push(&path, EntryContent::Folder).unwrap();
    assert!(opened(&manifest).unwrap().is_some());
}

fn times() -> impl Strategy<Value = Option<CatalogTime>> {
    prop::option::of((0_u64..4_000_000_000).prop_map(|seconds| {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        CatalogTime(time)
    }))
}

fn heads() -> impl Strategy<Value = Option<CatalogHead>> {
    let name = prop::option::of("[ -~é\"\\\\]{0,30}");
    let source = "[a-z]{1,5}(/[ -~&&[^ #?{}\\\\<>]]{0,9})?(/\\{game\\})?/\\{file\\}";
    let source = source.prop_filter_map("a URL", |source| format!("https://{source}").parse().ok());
    let sources = prop::collection::vec(source, 0..3);
    prop::option::of((1..=limits::CATALOG_VERSION_MAX, name, times(), times(), sources).prop_map(
        |(version, name, made, expires, sources)| CatalogHead {
            version,
            name: name.and_then(|name| name.parse().ok()),
            made,
            expires,
            sources,
        },
    ))
}

fn games() -> impl Strategy<Value = BTreeMap<GameId, CatalogGame>> {
    let id = "[a-z0-9._-]{1,9}".prop_filter_map("reserved", |id| id.parse::<GameId>().ok());
    let manifest = prop::option::of((any::<[u8; 32]>(), 0..=limits::MANIFEST_BYTES_MAX));
    let bytes = prop::option::of(0..=limits::GAME_BYTES_MAX);
    let game = ("\\PC{0,20}|(?s).{0,9}", "[a-z0-9\"]{1,9}", manifest, bytes.clone(), bytes);
    let game = game.prop_map(|(name, version, manifest, bytes, unpacked_bytes)| CatalogGame {
        name,
        version: version.parse().unwrap(),
        manifest: manifest.map(|(digest, bytes)| ManifestReference { digest: ContentDigest(digest), bytes }),
        bytes,
        unpacked_bytes,
    });
    prop::collection::btree_map(id, game, 0..6)
}

proptest! {
    /// Also titles with quotes, control characters and line ends.
    #[test]
    fn a_catalog_reads_as_it_was_written(head in heads(), mut games in games()) {
        if head.is_none() {
            for game in games.values_mut() {
                (game.manifest, game.bytes, game.unpacked_bytes) = (None, None, None);
            }
        }
        let content = CatalogContent { head, games };
        prop_assert_eq!(parse(&content.to_toml()), Ok(content));
    }
}
