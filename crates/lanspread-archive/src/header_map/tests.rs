//! `tests/agreement` lists every archive that it has from its map as well.

use std::fs;
use std::path::Path;

use lanspread_types::layout::is_archive_name;
use lanspread_types::limits::{ARCHIVE_HEADER_BYTES_MAX, DICTIONARY_BYTES_DEFAULT};

use super::*;

fn fixture(name: &str) -> (ArchiveSet, Vec<u64>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    let names = fs::read_dir(&root).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| is_archive_name(name)).collect();
    let archive = ArchiveSet::group(&root, names.iter().map(String::as_str)).unwrap().remove(0);
    let sizes = archive.paths().map(|path| fs::metadata(path).unwrap().len()).collect();
    (archive, sizes)
}

fn read(archive: &ArchiveSet) -> HeaderMap {
    HeaderMap::read(archive, ARCHIVE_HEADER_BYTES_MAX, &CancellationToken::new()).unwrap()
}

fn list(map: &HeaderMap, archive: &ArchiveSet, sizes: &[u64]) -> Result<Arc<ArchiveListing>, ArchiveError> {
    map.list(archive, sizes, DICTIONARY_BYTES_DEFAULT, &CancellationToken::new())
}

/// With a comment, a recovery record and a quick-open list; solid; of eleven volumes; of RAR 4.
#[test]
fn a_map_has_the_bytes_of_its_places_and_no_data() {
    for name in [
        "fixture-edge/edge-cases",
        "fixture-edge/edge-stored",
        "fixture-solid/cnctw",
        "fixture-volumes/volumes-many",
        "fixture-rar4/rar4-classic",
    ] {
        let (archive, sizes) = fixture(name);
        let map = read(&archive);
        let volumes: Vec<Vec<u8>> = archive.paths().map(|path| fs::read(path).unwrap()).collect();
        let mut expected = Vec::new();
        for range in map.ranges() {
            let begin = usize::try_from(range.offset).unwrap();
            let end = begin + usize::try_from(range.length).unwrap();
            expected.extend_from_slice(&volumes[range.volume][begin..end]);
        }
        assert_eq!(map.bytes(), expected, "{name}");
        assert!(map.ranges().iter().all(|range| range.length > 0), "{name}");
        let listing = list(&map, &archive, &sizes).unwrap();
        let (entries, volumes) = (listing.summary.totals.entries(), sizes.len() as u64);
        // `rar` writes less than 100 bytes beside a name, and a few headers for each volume.
        let (bytes, bound) = (map.bytes().len() as u64, 200 * (entries + 4 * volumes));
        assert!(bytes < bound, "{name}: {bytes} bytes for {entries} entries");
    }
}

/// Not by the data: none of it is there. Not by a file of that name either.
#[test]
fn a_map_lists_an_archive_after_the_program_of_a_self_extracting_one() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["fixture-alpha/alpha-racer", "fixture-rar4/rar4-classic"] {
        let (archive, _) = fixture(name);
        let mut bytes = vec![b'R'; 300_000];
        bytes.extend(fs::read(archive.first_path()).unwrap());
        let size = bytes.len() as u64;
        let moved = ArchiveSet::single(folder.path(), archive.name());
        fs::write(moved.first_path(), bytes).unwrap();
        let map = read(&moved);
        assert_eq!(map.ranges()[0].offset, 300_000);
        fs::remove_file(moved.first_path()).unwrap();
        let (plain, sizes) = fixture(name);
        let expected = list(&read(&plain), &plain, &sizes).unwrap();
        assert_eq!(list(&map, &moved, &[size]).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_map_that_lacks_a_header_is_refused() {
    for name in ["fixture-solid/cnctw", "fixture-rar4/rar4-classic", "fixture-volumes/volumes-many"] {
        let (archive, sizes) = fixture(name);
        let whole = read(&archive);
        assert_eq!(HeaderMap::new(whole.ranges().to_vec(), whole.bytes().to_vec()).as_ref(), Some(&whole));
        let mut at = 0;
        for left_out in 0..whole.ranges().len() {
            let (mut ranges, mut bytes) = (whole.ranges().to_vec(), whole.bytes().to_vec());
            let range = ranges.remove(left_out);
            let length = usize::try_from(range.length).unwrap();
            bytes.drain(at..at + length);
            at += length;
            let map = HeaderMap::new(ranges, bytes).unwrap();
            assert!(list(&map, &archive, &sizes).is_err(), "{name}: without {range:?}");
        }
        assert_eq!(HeaderMap::new(whole.ranges().to_vec(), whole.bytes()[1..].to_vec()), None);
        assert!(list(&whole, &archive, &sizes[1..]).is_err(), "{name}");
    }
}

#[test]
fn a_map_is_bounded() {
    let cancel = CancellationToken::new();
    for name in ["fixture-solid/cnctw", "fixture-rar4/rar4-classic", "fixture-volumes/volumes-many"] {
        let (archive, _) = fixture(name);
        let bytes = read(&archive).bytes().len() as u64;
        assert!(HeaderMap::read(&archive, bytes, &cancel).is_ok(), "{name}");
        let error = HeaderMap::read(&archive, bytes - 1, &cancel).unwrap_err();
        assert!(matches!(error, ArchiveError::Limit { .. }), "{name}: {error}");
    }
}
