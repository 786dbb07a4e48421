use std::io::{self, Write};

use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, HeaderRange, RootFile};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::limits;
use proptest::prelude::*;

use super::*;

/// The blocks of a manifest in memory.
struct InMemory {
    chunks: Vec<ContentDigest>,
    headers: Vec<Vec<u8>>,
}

impl Blocks for InMemory {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        self.chunks.iter().try_for_each(|digest| out.write_all(&digest.0))
    }

    fn write_headers(&self, archive: usize, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.headers[archive])
    }
}

fn bytes_of(manifest: &Manifest) -> Vec<u8> {
    let chunks = (0..manifest.chunks()).map(|chunk| ContentDigest::of(&chunk.to_le_bytes())).collect();
    let headers = manifest.archives.iter().map(|archive| {
        let length: u64 = archive.headers.iter().map(|range| range.length).sum();
        vec![7; usize::try_from(length).unwrap()]
    });
    let blocks = InMemory { chunks, headers: headers.collect() };
    let mut bytes = Vec::new();
    encode(manifest, &blocks, &mut bytes).unwrap();
    bytes
}

fn check(bytes: &[u8]) -> Result<ManifestFile<&[u8]>, ManifestProblem> {
    ManifestFile::check(bytes, bytes.len() as u64, None)
}

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name, NamePolicy::Portable).unwrap()
}

fn root_file(name: &str, size: u64) -> RootFile {
    RootFile { name: name.to_owned(), size }
}

/// Every field that the format has.
fn example() -> Manifest {
    let mut entries = ManifestEntries::default();
    let digest = ContentDigest::of(b"abc");
    let file = |size, executable, parts| EntryContent::File { size, executable, digest: &digest, parts };
    let two = [ContentDigest([1; 32]), ContentDigest([2; 32])];
    for (name, content) in [
        ("bin", EntryContent::Folder),
        ("bin/game.exe", file(300, true, &[])),
        ("big", file(limits::MANIFEST_PART_BYTES + 1, false, &two)),
        ("empty", file(0, false, &[])),
    ]
    .into_iter()
    .collect::<std::collections::BTreeMap<_, _>>()
    {
        entries.push(&path(name), content).unwrap();
    }
    let range = |volume, offset, length| HeaderRange { volume, offset, length };
    Manifest {
        game: "cnctw".parse().unwrap(),
        version: "20250101".parse().unwrap(),
        root_files: vec![
            root_file("a.eti", 300_000),
            root_file("b.part1.eti", 5),
            root_file("b.part2.eti", 0),
            root_file("version.ini", 9),
        ],
        archives: vec![
            ManifestArchive {
                files: vec![0],
                format: ArchiveFormat::Rar5,
                solid: true,
                dictionary_bytes: 4 << 20,
                headers: vec![range(0, 0, 3), range(0, 299_999, 1)],
            },
            ManifestArchive {
                files: vec![1, 2],
                format: ArchiveFormat::Rar4,
                solid: false,
                dictionary_bytes: 0,
                headers: vec![],
            },
        ],
        entries,
    }
}

#[test]
fn the_header_bytes_of_each_archive_are_read_by_their_place() {
    let bytes = bytes_of(&example());
    let manifest = check(&bytes).unwrap();
    assert_eq!(manifest.headers(0).unwrap(), [7; 4]);
    assert_eq!(manifest.headers(1).unwrap(), [0; 0], "not recorded");
    assert_eq!(manifest.headers(2).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

/// Other programs read these bytes: they change with the number of the format only.
#[test]
fn a_manifest_has_known_bytes() {
    let bytes = bytes_of(&example());
    let mut expected = b"LSPMANI\n\x01\x00\x01\x05cnctw\x0820250101\x00\x00\x04\x00".to_vec();
    expected.extend(b"\x04\x05a.eti\xe0\xa7\x12\x0bb.part1.eti\x05\x0bb.part2.eti\x00\x0bversion.ini\x09");
    for chunk in 0..4_u64 {
        expected.extend(ContentDigest::of(&chunk.to_le_bytes()).0);
    }
    expected
        .extend(b"\x02\x01\x00\x05\x01\x80\x80\x80\x02\x02\x00\x00\x03\x00\xdf\xa7\x12\x01\x07\x07\x07\x07");
    expected.extend(b"\x02\x01\x02\x04\x00\x00\x00");
    let digest = ContentDigest::of(b"abc").0;
    expected.extend(b"\x04\x03big\x01\x81\x80\x80\x20");
    expected.extend(digest);
    expected.extend([1; 32]);
    expected.extend([2; 32]);
    expected.extend(b"\x03bin\x00\x0cbin/game.exe\x02\xac\x02");
    expected.extend(digest);
    expected.extend(b"\x05empty\x01\x00");
    expected.extend(digest);
    expected.extend(b"\x03\x01\xad\x82\x80\x20");
    assert_eq!(bytes, expected);
    let read = check(&bytes).unwrap();
    assert_eq!(*read.manifest(), example());
    assert_eq!(read.digest(), ContentDigest::of(&bytes));
}

#[test]
fn chunks_and_entries_are_found_by_their_place_and_path() {
    let bytes = bytes_of(&example());
    let read = check(&bytes).unwrap();
    let chunk = |number: u64| ContentDigest::of(&number.to_le_bytes());
    assert_eq!(read.chunk(0, 1).unwrap(), chunk(1));
    assert_eq!(read.chunk(1, 0).unwrap(), chunk(2));
    assert_eq!(read.chunk(3, 0).unwrap(), chunk(3));
    for (file, number) in [(0, 2), (2, 0), (4, 0)] {
        assert!(read.chunk(file, number).is_err(), "{file} {number}");
    }
    let entries = &read.manifest().entries;
    assert_eq!(entries.find("bin").unwrap().content, EntryContent::Folder);
    let EntryContent::File { size, executable, .. } = entries.find("bin/game.exe").unwrap().content else {
        panic!()
    };
    assert_eq!((size, executable), (300, true));
    assert!(entries.find("bin/game").is_none());
}

/// Each row breaks one rule that a reader relies on.
#[test]
fn what_could_not_be_installed_is_refused() {
    let mut table: Vec<(Manifest, &str)> = Vec::new();
    let mut row = |expected, change: &dyn Fn(&mut Manifest)| {
        let mut manifest = example();
        change(&mut manifest);
        table.push((manifest, expected));
    };
    row("not sorted", &|manifest| manifest.root_files.swap(0, 1));
    row("not sorted", &|manifest| manifest.root_files[1] = root_file("a.eti", 1));
    row("letter case", &|manifest| manifest.root_files[0] = root_file("B.PART1.eti", 300_000));
    row("neither an archive", &|manifest| manifest.root_files[0] = root_file("a.exe", 300_000));
    row("neither an archive", &|manifest| manifest.root_files[0] = root_file("a/b.eti", 300_000));
    row("`..`", &|manifest| manifest.root_files[0] = root_file("../a.eti", 300_000));
    row("has no version.ini", &|manifest| manifest.root_files[3] = root_file("x.eti", 9));
    row("the limit is", &|manifest| manifest.root_files[0].size = limits::GAME_BYTES_MAX + 1);
    row("is of no archive", &|manifest| _ = manifest.archives.pop());
    row("of two archives", &|manifest| manifest.archives[1].files[1] = 0);
    row("of two archives", &|manifest| manifest.archives[1].files[1] = 3);
    row("has no volume", &|manifest| manifest.archives[1].files.clear());
    row("archives are not sorted", &|manifest| manifest.archives.swap(0, 1));
    row("the limit is", &|manifest| {
        manifest.archives[0].dictionary_bytes = limits::DICTIONARY_BYTES_MAX + 1;
    });
    row("not inside", &|manifest| manifest.archives[0].headers[1].length = 2);
    row("not inside", &|manifest| manifest.archives[0].headers[1].offset = u64::MAX);
    row("not inside", &|manifest| manifest.archives[0].headers[0].length = 0);
    row("neither an installed tree nor the headers of b.part1.eti", &|manifest| {
        manifest.entries = ManifestEntries::default();
    });
    row("touch", &|manifest| manifest.archives[0].headers.swap(0, 1));
    row("touch", &|manifest| {
        manifest.archives[0].headers[1] = HeaderRange { volume: 0, offset: 3, length: 1 }
    });
    for (manifest, expected) in table {
        // Chunks of sizes beyond the limits are not written out.
        let bytes = if manifest.root_bytes() > 1 << 30 {
            let start = bytes_of(&example());
            let at = start.windows(3).position(|part| part == b"\xe0\xa7\x12").unwrap();
            [&start[..at], b"\x81\x80\x80\x80\x80\x80\x04", &start[at + 3..]].concat()
        } else {
            bytes_of(&manifest)
        };
        let refused = check(&bytes).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}

/// Each takes more memory than it has bytes.
#[test]
fn a_header_map_of_more_ranges_than_a_game_has_is_refused() {
    let bytes = bytes_of(&example());
    let of_archive = b"\x02\x01\x00\x05\x01\x80\x80\x80\x02\x02";
    let at = bytes.windows(of_archive.len()).position(|part| part == of_archive).unwrap();
    let (head, rest) = (&bytes[..at + of_archive.len() - 1], vec![0; 9_000_000]);
    let refused = check(&[head, b"\x81\x89\x7a", &rest].concat()).map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "it has 2000001 ranges of headers, the limit is 2000000");
}

/// A tree with these paths; folders end in `/`.
fn tree(names: &[&str]) -> Vec<u8> {
    let digest = ContentDigest::of(b"");
    let mut manifest = example();
    manifest.entries = ManifestEntries::default();
    for name in names {
        let content = if name.ends_with('/') {
            EntryContent::Folder
        } else {
            EntryContent::File { size: 1, executable: false, digest: &digest, parts: &[] }
        };
        let name = EntryPath::parse(name.trim_end_matches('/'), NamePolicy::Native).unwrap();
        manifest.entries.push(&name, content).unwrap();
    }
    bytes_of(&manifest)
}

#[test]
fn paths_that_are_never_installed_are_refused() {
    assert!(check(&tree(&["a/", "a/b", "c/d"])).is_ok());
    for (names, expected) in [
        (&["b", "a"][..], "not sorted"),
        (&["a", "a"], "not sorted"),
        (&["A", "a"], "letter case"),
        (&["a", "a/b"], "same name"),
        (&["CON"], "device name"),
        (&["a:b"], "Windows"),
    ] {
        let refused = check(&tree(names)).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{names:?}: {refused}");
    }
    // Nothing that this program could have made: the bytes are changed.
    let bytes = tree(&["aa/bb"]);
    let at = bytes.windows(5).position(|part| part == b"aa/bb").unwrap();
    for name in [b"../bb", b"aa/..", b"/a/bb", b"aa\0bb", b"a\x80/bb", b"aa//b"] {
        let mut changed = bytes.clone();
        changed[at..at + 5].copy_from_slice(&name[..5]);
        let refused = check(&changed).map(|_| ());
        assert!(
            matches!(refused, Err(ManifestProblem::Name(_) | ManifestProblem::NotUnicode(_))),
            "{name:?}: {refused:?}"
        );
    }
}

#[test]
fn another_format_is_of_a_newer_program_and_other_numbers_are_wrong() {
    let bytes = bytes_of(&example());
    let changed = |at: usize, to: u8| {
        let mut changed = bytes.clone();
        changed[at] = to;
        check(&changed).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(changed(8, 2), "it is of a newer program: format 2");
    assert_eq!(changed(10, 2), "it is of a newer program: hash 2");
    assert_eq!(changed(0, b'l'), "it is not a manifest");
    assert_eq!(check(b"LSP").map(|_| ()).unwrap_err().to_string(), "it is not a manifest");
    let totals = changed(bytes.len() - 6, 4);
    assert!(totals.starts_with("its totals are Totals { files: 4"), "{totals}");
    let chunk = changed(28, 8);
    assert!(chunk.starts_with("its chunks have 524288 bytes, 262144 are expected"), "{chunk}");
    let longer = [&bytes[..], b"\0"].concat();
    assert!(matches!(check(&longer).map(|_| ()), Err(ManifestProblem::Longer(_))));
}

/// A small number in a longer form names the same content by another digest.
#[test]
fn a_number_has_one_form() {
    for bytes in [&b"\x80\x00"[..], b"\x81\x00", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", &[0xff; 11]] {
        let read = input::Input::new(bytes, bytes.len() as u64).number();
        assert!(matches!(read, Err(ManifestProblem::Number(0))), "{bytes:?}: {read:?}");
    }
    for (bytes, number) in [
        (&b"\x00"[..], 0),
        (b"\x7f", 127),
        (b"\x80\x01", 128),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", u64::MAX),
    ] {
        assert_eq!(input::Input::new(bytes, bytes.len() as u64).number().unwrap(), number);
    }
}

#[test]
fn a_file_is_believed_for_its_digest_and_length_only() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = bytes_of(&example());
    let digest = ContentDigest::of(&bytes);
    let path = folder.path().join(file_name(&digest));
    assert!(ManifestFile::open(&path, &digest, None).unwrap_err().is_absent());
    std::fs::write(&path, &bytes).unwrap();
    let opened = ManifestFile::open(&path, &digest, Some(bytes.len() as u64)).unwrap();
    assert_eq!((opened.manifest(), opened.bytes()), (&example(), bytes.len() as u64));
    let refused = |digest: &ContentDigest, bytes| {
        let error = ManifestFile::open(&path, digest, bytes).unwrap_err();
        let ManifestError::Refused { problem, .. } = error else { panic!("{error}") };
        problem
    };
    assert!(matches!(refused(&digest, Some(1)), ManifestProblem::Length { expected: 1, .. }));
    assert!(matches!(refused(&ContentDigest([0; 32]), None), ManifestProblem::Digest { .. }));
    std::fs::File::create(&path).unwrap().set_len(limits::MANIFEST_BYTES_MAX + 1).unwrap();
    assert!(matches!(refused(&digest, None), ManifestProblem::Limit { what: "bytes", .. }));
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let sizes = prop::collection::vec(0_u64..2_000_000, 1..5);
    let file = (0_u64..200, any::<bool>(), any::<[u8; 32]>(), any::<bool>());
    let tree = prop::collection::btree_map("[a-c]{1,2}(/[a-c]{1,2}){0,2}", file, 1..12);
    let archive = (any::<bool>(), 0..=limits::DICTIONARY_BYTES_MAX, any::<bool>());
    (sizes, tree, archive).prop_map(|(sizes, tree, (solid, dictionary_bytes, is_one_set))| {
        let mut root_files: Vec<RootFile> = (1..)
            .zip(&sizes)
            .map(|(number, size)| root_file(&format!("g.part{number}.eti"), *size))
            .collect();
        root_files.push(root_file("version.ini", 5));
        let archive = |files: Vec<usize>| {
            let first = sizes[files[0]];
            let mut headers = Vec::new();
            if first > 10 {
                headers.push(HeaderRange { volume: 0, offset: 0, length: 3 });
                headers.push(HeaderRange { volume: 0, offset: 4, length: first - 4 });
                headers.retain(|range| range.length < 10_000);
            }
            let format = ArchiveFormat::Rar5;
            ManifestArchive { files, format, solid, dictionary_bytes, headers }
        };
        let all: Vec<usize> = (0..sizes.len()).collect();
        let archives = if is_one_set {
            vec![archive(all)]
        } else {
            all.into_iter().map(|file| archive(vec![file])).collect()
        };
        let mut entries = ManifestEntries::default();
        let is_parent = |name: &str| tree.keys().any(|other| other.starts_with(&format!("{name}/")));
        for (name, (size, executable, digest, is_folder)) in &tree {
            let digest = ContentDigest(*digest);
            let content = if *is_folder || is_parent(name) {
                EntryContent::Folder
            } else {
                EntryContent::File { size: *size, executable: *executable, digest: &digest, parts: &[] }
            };
            entries.push(&path(name), content).unwrap();
        }
        let (game, version) = ("g".parse().unwrap(), "1".parse().unwrap());
        Manifest { game, version, root_files, archives, entries }
    })
}

/// The bytes of a packing list.
fn packing_list_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    check(bytes).unwrap().write_packing_list(&mut list).unwrap().then_some(list)
}

#[test]
fn a_packing_list_is_a_manifest_without_a_tree() {
    let mut manifest = example();
    assert_eq!(manifest.packing_list(), None, "the headers of the second archive are not known");
    assert_eq!(packing_list_of(&bytes_of(&manifest)), None);
    manifest.archives[1].headers = vec![HeaderRange { volume: 0, offset: 0, length: 5 }];
    let list = packing_list_of(&bytes_of(&manifest)).unwrap();
    assert!(
        list.ends_with(b"\x00\x00\x05\x07\x07\x07\x07\x07\x00\x00\x00\x00"),
        "no entry, and totals of nothing"
    );
    let read = check(&list).unwrap();
    assert!(!read.manifest().has_tree() && manifest.has_tree());
    assert_eq!(Some(read.manifest()), manifest.packing_list().as_ref());
    assert_eq!(read.chunk(0, 1).unwrap(), ContentDigest::of(&1_u64.to_le_bytes()));
}

proptest! {
    /// A source that has a catalog, one that read the files itself and one that got the list name the same digest.
    #[test]
    fn the_same_files_have_one_packing_list(manifest in manifests(), other_tree in manifests()) {
        let derived = packing_list_of(&bytes_of(&manifest));
        let made = manifest.packing_list().map(|list| bytes_of(&list));
        prop_assert_eq!(&derived, &made);
        let manifest_with_list = manifest.clone();
        let of_another_tree = Manifest { entries: other_tree.entries, ..manifest };
        prop_assert_eq!(&packing_list_of(&bytes_of(&of_another_tree)), &made);
        if let Some(made) = made {
            let digest = check(&bytes_of(&manifest_with_list)).unwrap().packing_list_digest().unwrap();
            prop_assert_eq!(digest, Some(ContentDigest::of(&made)));
            prop_assert_eq!(packing_list_of(&made), Some(made));
        }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written(manifest in manifests()) {
        let bytes = bytes_of(&manifest);
        let read = check(&bytes).unwrap();
        prop_assert_eq!(read.manifest(), &manifest);
        let mut again = Vec::new();
        encode(read.manifest(), &read, &mut again).unwrap();
        prop_assert_eq!(again, bytes);
    }

    /// No name is needed to notice this: the form itself is strict.
    #[test]
    fn a_cut_manifest_is_refused(manifest in manifests(), at in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&manifest);
        prop_assert!(check(&bytes[..at.index(bytes.len())]).is_err());
    }

    /// With its name, every change is noticed. Without it, what still decodes is the one form of something.
    #[test]
    fn a_changed_manifest_is_refused_or_another_one(
        manifest in manifests(), at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        let bytes = bytes_of(&manifest);
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= flip;
        let named = ManifestFile::check(&changed[..], changed.len() as u64, Some(&ContentDigest::of(&bytes)));
        let is_noticed = matches!(named, Err(ManifestProblem::Digest { .. }));
        prop_assert!(is_noticed);
        if let Ok(read) = check(&changed) {
            let mut again = Vec::new();
            encode(read.manifest(), &read, &mut again).unwrap();
            prop_assert_eq!(again, changed);
        }
    }
}
