use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use lanspread_types::content::EntryStep;
use lanspread_types::layout::is_archive_name;
use lanspread_types::limits::{ARCHIVE_HEADER_BYTES_MAX, DICTIONARY_BYTES_DEFAULT};

use super::*;
use crate::SinkError;
use crate::header_map::HeaderMap;
use crate::native::NativeProvider;
use crate::provider::{ArchiveProvider, EntrySink, ListedEntry};

/// Keeps the steps; pieces of one file become one.
#[derive(Default)]
struct Recorder(Vec<EntryStep<Vec<u8>>>);

impl EntrySink for Recorder {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        match (step, self.0.last_mut()) {
            (EntryStep::Data(more), Some(EntryStep::Data(bytes))) => bytes.extend_from_slice(more),
            (step, _) => self.0.push(step.map_data(<[u8]>::to_vec)),
        }
        Ok(())
    }
}

fn extract(
    set: &ArchiveSet,
    wanted: Option<&WantedEntries>,
) -> Result<Vec<EntryStep<Vec<u8>>>, ArchiveError> {
    let cancel = CancellationToken::new();
    let sink = Rc::new(RefCell::new(Recorder::default()));
    let open = NativeProvider::new(DICTIONARY_BYTES_DEFAULT).open(set, &cancel)?;
    match wanted {
        Some(wanted) => open.extract_some(wanted, sink.clone(), &cancel)?,
        None => open.extract(sink.clone(), &cancel)?,
    }
    let steps = sink.take().0;
    Ok(steps)
}

fn only(path: &EntryPath) -> WantedEntries {
    let path = path.clone();
    Arc::new(move |other: &EntryPath| *other == path)
}

/// The archive with nothing but its headers and these places.
fn with_holes(set: &ArchiveSet, map: &HeaderMap, places: &[DataRange], folder: &Path) -> ArchiveSet {
    for volume in 0..set.volumes() {
        let whole = fs::read(set.path(volume)).unwrap();
        let mut sparse = vec![0; whole.len()];
        let of_places = places.iter().filter(|place| place.volume == volume);
        let of_places = of_places.map(|place| (place.offset, place.length));
        let of_headers = map.parts().filter(|(range, _)| range.volume == volume);
        for (offset, length) in of_headers.map(|(range, _)| (range.offset, range.length)).chain(of_places) {
            let part = usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap();
            sparse[part.clone()].copy_from_slice(&whole[part]);
        }
        fs::write(folder.join(&set.files()[volume]), sparse).unwrap();
    }
    ArchiveSet::group(folder, set.files().iter().map(String::as_str)).unwrap().remove(0)
}

/// Every file of every fixture is decoded from what its places say, and is what the whole archive has.
#[test]
fn an_entry_needs_no_more_than_its_places() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let cancel = CancellationToken::new();
    let (mut decoded, mut is_less) = (0, 0);
    for game in [
        "fixture-solid/cnctw",
        "fixture-multi/cnctw",
        "fixture-volumes/volumes-few",
        "fixture-alpha/alpha-racer",
        "fixture-alpha/common-quest",
        "fixture-edge/edge-cases",
        "fixture-edge/edge-stored",
        "fixture-references/references-files",
    ] {
        let root = fixtures.join(game);
        let names = fs::read_dir(&root).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.filter(|name| is_archive_name(name)).collect();
        for set in ArchiveSet::group(&root, names.iter().map(String::as_str)).unwrap() {
            let map = HeaderMap::read(&set, ARCHIVE_HEADER_BYTES_MAX, &cancel).unwrap();
            let sizes: Vec<u64> = set.paths().map(|path| fs::metadata(path).unwrap().len()).collect();
            let listing = map.list(&set, &sizes, DICTIONARY_BYTES_DEFAULT, &cancel).unwrap();
            let whole = extract(&set, None).unwrap();
            for entry in &listing.entries {
                let ListedEntry::File(file) = entry else { continue };
                let wanted = only(&file.path);
                let places = map.places(&set, &sizes, &wanted, DICTIONARY_BYTES_DEFAULT, &cancel);
                let places = places.unwrap().unwrap();
                let folder = tempfile::tempdir().unwrap();
                let sparse = with_holes(&set, &map, &places, folder.path());
                let steps = extract(&sparse, Some(&wanted)).unwrap();
                let begin = whole
                    .iter()
                    .position(|step| matches!(step, EntryStep::FileBegin(begun) if begun.path == file.path))
                    .unwrap();
                let length = if file.size > 0 { 3 } else { 2 };
                assert_eq!(steps[1..steps.len() - 1], whole[begin..begin + length], "{game}: {}", file.path);
                decoded += 1;
                let bytes: u64 = places.iter().map(|place| place.length).sum();
                is_less += usize::from(!listing.summary.solid && bytes < file.size);
            }
        }
    }
    assert!(decoded > 20, "{decoded}");
    assert!(is_less > 0, "nothing of the others is needed");
}

/// The places are all that is needed, and all of them are.
#[test]
fn a_place_that_is_missing_is_noticed() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fixture-alpha/alpha-racer");
    let cancel = CancellationToken::new();
    let set = ArchiveSet::single(&fixtures, "alpha-racer.eti");
    let map = HeaderMap::read(&set, ARCHIVE_HEADER_BYTES_MAX, &cancel).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sparse = with_holes(&set, &map, &[], folder.path());
    let size = fs::metadata(set.path(0)).unwrap().len();
    let listing = map.list(&set, &[size], DICTIONARY_BYTES_DEFAULT, &cancel).unwrap();
    let has_bytes = |entry: &&ListedEntry| matches!(entry, ListedEntry::File(file) if file.size > 0);
    let Some(ListedEntry::File(file)) = listing.entries.iter().find(has_bytes) else { panic!() };
    assert!(extract(&sparse, Some(&only(&file.path))).is_err());
}
