//! `tests/agreement` gives every archive that it has to the packed reader as well.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex};

use lanspread_types::checksum::Checksum;
use lanspread_types::content::{EntryStep, HeaderRange};
use lanspread_types::layout::is_archive_name;
use lanspread_types::limits::{ARCHIVE_HEADER_BYTES_MAX, DICTIONARY_BYTES_DEFAULT};
use proptest::prelude::*;

use super::*;
use crate::error::SinkError;
use crate::provider::{EntrySink, ProviderChoice};

/// The bytes of volumes, which may be read forward only.
struct Stream {
    volumes: Vec<Vec<u8>>,
    /// The most that one read gives, as if no more were there yet.
    at_once: usize,
    /// After so many bytes every read fails.
    fails_after: u64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The next place that was not read yet.
    next: (usize, u64),
    reads: usize,
    bytes: u64,
}

impl Stream {
    fn new(volumes: Vec<Vec<u8>>) -> Self {
        Self { volumes, at_once: usize::MAX, fails_after: u64::MAX, seen: Mutex::default() }
    }
}

impl PackedBytes for Stream {
    fn read_at(&self, volume: usize, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut seen = self.seen.lock().unwrap();
        assert!((volume, offset) >= seen.next, "{volume}, {offset} after {:?}", seen.next);
        let mut here = &self.volumes[volume][usize::try_from(offset).unwrap()..];
        assert!(!out.is_empty() && !here.is_empty(), "{volume}, {offset}: nothing to read");
        if seen.bytes >= self.fails_after {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the window is closed"));
        }
        let most = out.len().min(self.at_once);
        let count = here.read(&mut out[..most])?;
        seen.next = (volume, offset + count as u64);
        seen.reads += 1;
        seen.bytes += count as u64;
        Ok(count)
    }
}

/// The archives of one game, as a manifest has them.
#[derive(Clone)]
struct Game {
    archives: Vec<PackedArchive>,
    volumes: Vec<Vec<u8>>,
}

type Steps = Vec<EntryStep<Vec<u8>>>;

/// What was listed of each archive, and what its content was.
type Unpacked = (Vec<ArchiveListing>, Steps);

impl Game {
    fn of_sets(sets: &[ArchiveSet]) -> Result<Self, ArchiveError> {
        let (mut archives, mut volumes) = (Vec::new(), Vec::new());
        for set in sets {
            let headers = HeaderMap::read(set, ARCHIVE_HEADER_BYTES_MAX, &CancellationToken::new())?;
            let mut files = Vec::new();
            for (name, path) in set.files().iter().zip(set.paths()) {
                let bytes = fs::read(path).unwrap();
                files.push(RootFile { name: name.clone(), size: bytes.len() as u64 });
                volumes.push(bytes);
            }
            archives.push(PackedArchive { volumes: files, headers });
        }
        Ok(Self { archives, volumes })
    }

    fn of_bytes(bytes: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.eti"), bytes).unwrap();
        Self::of_sets(&[ArchiveSet::single(folder.path(), "x.eti")]).unwrap()
    }

    fn stream(&self) -> Stream {
        Stream::new(self.volumes.clone())
    }

    fn unpack(&self, stream: Arc<Stream>) -> (Steps, Result<Unpacked, ArchiveError>) {
        let sink = Rc::new(RefCell::new(Recorder::default()));
        let unpacked = self.unpack_into(&sink, stream);
        let steps = sink.take().0;
        (steps.clone(), unpacked.map(|listings| (listings, steps)))
    }

    fn unpack_into(
        &self,
        sink: &Rc<RefCell<Recorder>>,
        stream: Arc<Stream>,
    ) -> Result<Vec<ArchiveListing>, ArchiveError> {
        let cancel = CancellationToken::new();
        let archives = PackedArchives::new(self.archives.clone(), stream, DICTIONARY_BYTES_DEFAULT)?;
        let (listed, _) = archives.list(&cancel)?;
        let listings = listed.iter().map(|archive| archive.listing().clone()).collect();
        for archive in listed {
            archive.extract(&archives, sink.clone(), &cancel)?;
        }
        Ok(listings)
    }

    fn fails(&self) -> ArchiveError {
        self.unpack(Arc::new(self.stream())).1.unwrap_err()
    }
}

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

/// The archives of each game of the fixtures.
fn fixtures() -> Vec<(String, Vec<ArchiveSet>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let names = |path: &Path| -> Vec<String> {
        fs::read_dir(path).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut found = Vec::new();
    for fixture in names(&root).iter().filter(|name| name.starts_with("fixture-")) {
        for game in names(&root.join(fixture)) {
            let folder = root.join(fixture).join(&game);
            let files: Vec<String> =
                names(&folder).into_iter().filter(|name| is_archive_name(name)).collect();
            let sets = ArchiveSet::group(&folder, files.iter().map(String::as_str)).unwrap();
            found.push((format!("{fixture}/{game}"), sets));
        }
    }
    found
}

fn fixture(name: &str) -> Game {
    let (_, sets) = fixtures().into_iter().find(|(label, _)| label == name).unwrap();
    Game::of_sets(&sets).unwrap()
}

fn from_disk(sets: &[ArchiveSet]) -> Result<Unpacked, ArchiveError> {
    let (provider, cancel) = (crate::provider(&ProviderChoice::Native), CancellationToken::new());
    let (listed, _) = list::list(&*provider, sets, &cancel)?;
    let listings = listed.iter().map(|archive| archive.listing().clone()).collect();
    let sink = Rc::new(RefCell::new(Recorder::default()));
    for archive in listed {
        archive.extract(&*provider, sink.clone(), &cancel)?;
    }
    Ok((listings, sink.take().0))
}

/// RAR 4, volumes, references, BLAKE2sp, tables at the tail, recovery records, quick-open lists, comments, solid.
#[test]
fn every_fixture_gives_from_its_stream_what_it_gives_from_the_disk() {
    let (mut unpacked, mut refused) = (0, 0);
    for (label, sets) in fixtures() {
        match (Game::of_sets(&sets), from_disk(&sets)) {
            (Ok(game), Ok(expected)) => {
                for at_once in [usize::MAX, 4099] {
                    let stream = Arc::new(Stream { at_once, ..game.stream() });
                    let (_, got) = game.unpack(Arc::clone(&stream));
                    assert!(got.unwrap() == expected, "{label}");
                    let seen = stream.seen.lock().unwrap();
                    let size: usize = game.volumes.iter().map(Vec::len).sum();
                    let entries: usize = expected.0.iter().map(|listing| listing.entries.len()).sum();
                    assert!(seen.bytes <= size as u64, "{label}");
                    let bound = 2 * size / at_once.min(64 * 1024) + 4 * (entries + game.volumes.len());
                    assert!(seen.reads <= bound, "{label}: {} reads, {bound} at most", seen.reads);
                }
                unpacked += 1;
            }
            (Ok(game), Err(expected)) => {
                assert_eq!(game.fails().code(), expected.code(), "{label}");
                refused += 1;
            }
            (Err(_), _) => refused += 1,
        }
    }
    assert!(unpacked >= 20 && refused >= 10, "{unpacked} unpacked, {refused} refused");
}

#[test]
fn nothing_of_the_stream_is_read_before_an_archive_is_decoded() {
    for name in ["fixture-multi/cnctw", "fixture-rar4/rar4-classic"] {
        let game = fixture(name);
        let stream = Arc::new(Stream { fails_after: 0, ..game.stream() });
        let bytes = Arc::clone(&stream) as Arc<dyn PackedBytes>;
        let archives = PackedArchives::new(game.archives, bytes, DICTIONARY_BYTES_DEFAULT).unwrap();
        let (listed, totals) = archives.list(&CancellationToken::new()).unwrap();
        assert!(!listed.is_empty() && totals.bytes > 0);
        assert_eq!(stream.seen.lock().unwrap().reads, 0, "{name}");
    }
}

/// What the decoder makes of it does not count: it takes the end for damage.
#[test]
fn a_stream_that_fails_is_not_a_damaged_archive() {
    for name in ["fixture-solid/cnctw", "fixture-volumes/volumes-many", "fixture-rar4/rar4-classic"] {
        let game = fixture(name);
        for part in 0..4 {
            let fails_after = game.volumes.iter().map(Vec::len).sum::<usize>() as u64 * part / 4;
            let stream = Arc::new(Stream { fails_after, at_once: 1000, ..game.stream() });
            match game.unpack(stream).1.unwrap_err() {
                ArchiveError::Read { source, .. } => {
                    assert_eq!(source.kind(), io::ErrorKind::ConnectionAborted, "{name}");
                }
                other => panic!("{name}: {other}"),
            }
        }
    }
}

/// An archive of one file with this name and content.
fn archive(version: rars::ArchiveVersion, name: &str, content: &[u8]) -> Game {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.eti");
    let mut builder = rars::Builder::new(version);
    builder.add_bytes(name.into(), content.to_vec(), None, None).unwrap();
    builder.write_to_path(&path, None).unwrap();
    Game::of_bytes(fs::read(path).unwrap())
}

/// The map is that of an archive: its checksums are right, and so are those of the content.
#[test]
fn a_map_of_another_archive_is_found_out() {
    for version in [rars::ArchiveVersion::Rar50, rars::ArchiveVersion::Rar40] {
        let honest = archive(version, "name.txt", b"content");
        assert!(honest.unpack(Arc::new(honest.stream())).1.is_ok());
        for (name, content) in [("evil.txt", "content"), ("name.txt", "c0ntent")] {
            let mut lie = honest.clone();
            lie.archives[0].headers = archive(version, name, content.as_bytes()).archives[0].headers.clone();
            let error = lie.fails();
            assert!(matches!(error, ArchiveError::HeaderMap { .. }), "{error}");
        }
        for (name, content) in [("name.txt", "longer content"), ("longer-name.txt", "content")] {
            // In the volume as it is, its headers do not fit; in a larger one they do.
            for more in [0, 1000] {
                let mut lie = honest.clone();
                lie.archives[0].headers =
                    archive(version, name, content.as_bytes()).archives[0].headers.clone();
                lie.archives[0].volumes[0].size += more;
                let size = usize::try_from(lie.archives[0].volumes[0].size).unwrap();
                lie.volumes[0].resize(size, 0);
                let error = lie.fails();
                // Without an end record, RAR 4 takes what follows for a header that is damaged.
                let is_known = error.code() == "header-map-wrong" || error.code() == "archive-damaged";
                assert!(is_known, "{error}");
            }
        }
    }
}

/// Also where no decoder looks: the last record of RAR 4, and the headers of what is left out.
#[test]
fn one_other_byte_in_any_header_of_the_stream_is_found() {
    for name in ["fixture-edge/edge-cases", "fixture-rar4/rar4-classic", "fixture-volumes/volumes-few"] {
        let game = fixture(name);
        for range in game.archives[0].headers.ranges() {
            let mut other = game.clone();
            other.volumes[range.volume][usize::try_from(range.offset + range.length - 1).unwrap()] ^= 1;
            let error = other.fails();
            assert!(matches!(error, ArchiveError::HeaderMap { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn ranges_that_cannot_be_are_refused() {
    let range = |volume, offset, length| HeaderRange { volume, offset, length };
    let new = |ranges: &[HeaderRange], bytes| HeaderMap::new(ranges.to_vec(), vec![0; bytes]);
    assert!(new(&[range(0, 0, 8), range(0, 8, 2), range(1, 0, 2)], 12).is_some());
    for (what, ranges, bytes) in [
        ("more bytes", &[range(0, 0, 8)][..], 9),
        ("fewer bytes", &[range(0, 0, 8)], 7),
        ("an empty one", &[range(0, 0, 0)], 0),
        ("overlapping", &[range(0, 0, 8), range(0, 7, 2)], 10),
        ("out of order", &[range(0, 8, 2), range(0, 0, 8)], 10),
        ("volumes out of order", &[range(1, 0, 2), range(0, 0, 8)], 10),
        ("twice", &[range(0, 0, 8), range(0, 0, 8)], 16),
        ("overlong", &[range(0, u64::MAX, 8)], 8),
        ("longer than memory", &[range(0, 0, u64::MAX)], 8),
    ] {
        assert!(new(ranges, bytes).is_none(), "{what}");
    }
    let game = fixture("fixture-volumes/volumes-few");
    let with = |ranges: Vec<HeaderRange>| {
        let mut game = game.clone();
        let bytes = ranges.iter().map(|range| usize::try_from(range.length).unwrap()).sum();
        game.archives[0].headers = HeaderMap::new(ranges, vec![0; bytes]).unwrap();
        game.fails()
    };
    let size = game.archives[0].volumes[0].size;
    let volumes = game.volumes.len();
    for wrong in [range(0, size, 1), range(0, size - 1, 2), range(volumes, 0, 8)] {
        assert!(matches!(with(vec![wrong]), ArchiveError::HeaderMap { .. }), "{wrong:?}");
    }
    assert_eq!(with(Vec::new()).code(), "archive-damaged", "no header at all");
}

#[test]
fn other_names_and_other_orders_of_volumes_are_refused() {
    let game = fixture("fixture-volumes/volumes-many");
    let with = |change: &dyn Fn(&mut Vec<RootFile>)| {
        let mut game = game.clone();
        change(&mut game.archives[0].volumes);
        game.fails()
    };
    let swapped = with(&|volumes| volumes.swap(1, 2));
    assert!(matches!(swapped, ArchiveError::HeaderMap { .. }), "{swapped}");
    let renamed = with(&|volumes| volumes[1].name = "other.eti".to_owned());
    assert!(matches!(renamed, ArchiveError::VolumeMissing { .. }), "{renamed}");
    let left_out = with(&|volumes| drop(volumes.pop()));
    assert!(matches!(left_out, ArchiveError::HeaderMap { .. }), "{left_out}");
    let none = with(&Vec::clear);
    assert!(matches!(none, ArchiveError::HeaderMap { .. }), "{none}");
    let mut reversed = fixture("fixture-multi/cnctw");
    reversed.archives.reverse();
    let reversed = reversed.fails();
    assert!(matches!(reversed, ArchiveError::HeaderMap { .. }), "{reversed}");
}

#[test]
fn an_archive_of_another_set_is_not_opened() {
    let game = fixture("fixture-alpha/alpha-racer");
    let stream = Arc::new(game.stream());
    let archives = PackedArchives::new(game.archives, stream, DICTIONARY_BYTES_DEFAULT).unwrap();
    let other = ArchiveSet::single(Path::new(""), "other.eti");
    assert!(archives.open(&other, &CancellationToken::new()).is_err());
}

/// How a map is changed.
#[derive(Debug, Clone)]
enum Change {
    FlipHeader { at: usize, bit: u8 },
    FlipStream { at: usize, bit: u8 },
    Move { range: usize, by: i64 },
    Resize { range: usize, by: i64 },
    LeaveOut { range: usize },
    Insert { volume: usize, offset: u64, length: usize },
    Size { volume: usize, by: i64 },
}

fn change() -> impl Strategy<Value = Change> {
    let (any, bit, by) = (any::<usize>(), 0..8_u8, -40..40_i64);
    prop_oneof![
        (any, bit.clone()).prop_map(|(at, bit)| Change::FlipHeader { at, bit }),
        (any, bit).prop_map(|(at, bit)| Change::FlipStream { at, bit }),
        (any, by.clone()).prop_map(|(range, by)| Change::Move { range, by }),
        (any, by.clone()).prop_map(|(range, by)| Change::Resize { range, by }),
        any.prop_map(|range| Change::LeaveOut { range }),
        (0..3_usize, 0..4000_u64, 1..300_usize).prop_map(|(volume, offset, length)| Change::Insert {
            volume,
            offset,
            length
        }),
        (any, by).prop_map(|(volume, by)| Change::Size { volume, by }),
    ]
}

impl Game {
    /// `None` if no map can say that.
    fn changed(&self, changes: &[Change]) -> Option<Self> {
        let mut game = self.clone();
        let (mut ranges, mut parts) = (Vec::new(), Vec::new());
        let map = &self.archives[0].headers;
        for (index, range) in map.ranges().iter().enumerate() {
            ranges.push(*range);
            parts.push(map.bytes_of(index).to_vec());
        }
        for change in changes.iter().cloned() {
            let count = ranges.len().max(1);
            match change {
                Change::FlipHeader { at, bit } => {
                    let part = parts.get_mut(at % count)?;
                    let length = part.len();
                    *part.get_mut((at / count) % length)? ^= 1 << bit;
                }
                Change::FlipStream { at, bit } => {
                    let volume = at % game.volumes.len();
                    let length = game.volumes[volume].len();
                    game.volumes[volume][(at / 7) % length] ^= 1 << bit;
                }
                Change::Move { range, by } => {
                    let range = ranges.get_mut(range % count)?;
                    range.offset = range.offset.checked_add_signed(by)?;
                }
                Change::Resize { range, by } => {
                    let (range, part) = (ranges.get_mut(range % count)?, parts.get_mut(range % count)?);
                    range.length = range.length.checked_add_signed(by).filter(|length| *length > 0)?;
                    part.resize(usize::try_from(range.length).ok()?, 0);
                }
                Change::LeaveOut { range } if !ranges.is_empty() => {
                    ranges.remove(range % count);
                    parts.remove(range % count);
                }
                Change::LeaveOut { .. } => {}
                Change::Insert { volume, offset, length } => {
                    let place =
                        ranges.partition_point(|range| (range.volume, range.offset) < (volume, offset));
                    ranges.insert(place, HeaderRange { volume, offset, length: length as u64 });
                    let known = game.volumes.get(volume)?.get(usize::try_from(offset).ok()?..)?;
                    parts.insert(place, known.get(..length)?.to_vec());
                }
                Change::Size { volume, by } => {
                    let volume = volume % game.volumes.len();
                    let size = &mut game.archives[0].volumes[volume].size;
                    *size = size.checked_add_signed(by)?;
                    game.volumes[volume].resize(usize::try_from(*size).ok()?, 0);
                }
            }
        }
        game.archives[0].headers = HeaderMap::new(ranges, parts.concat())?;
        Some(game)
    }
}

/// Every file that is complete has the checksum that it ended with.
fn check_content(steps: &[EntryStep<Vec<u8>>]) {
    let mut content: &[u8] = &[];
    let mut files = BTreeMap::new();
    for step in steps {
        match step {
            EntryStep::FileBegin(file) => {
                files.insert(file.path.clone(), file.size);
                content = &[];
            }
            EntryStep::Data(bytes) => content = bytes,
            EntryStep::FileEnd(checksum) => assert_eq!(Checksum::of(content), *checksum),
            _ => {}
        }
    }
}

/// Small archives, and what they have.
static GAMES: LazyLock<Vec<(Game, Steps)>> = LazyLock::new(|| {
    let names = [
        "fixture-tail/tail-tables",
        "fixture-rar4/rar4-classic",
        "fixture-volumes/volumes-few",
        "fixture-edge/edge-stored",
    ];
    let games = names.map(fixture).map(|game| {
        let steps = game.unpack(Arc::new(game.stream())).0;
        (game, steps)
    });
    games.into()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever a stranger changes, in the map or in the stream: an archive that ends well is the one that it was.
    #[test]
    fn a_changed_map_gives_the_same_content_or_none(
        fixture_at in 0..4_usize,
        changes in proptest::collection::vec(change(), 1..4),
    ) {
        let (game, expected) = &GAMES[fixture_at];
        if let Some(changed) = game.changed(&changes) {
            let (steps, unpacked) = changed.unpack(Arc::new(changed.stream()));
            check_content(&steps);
            if let Ok((_, steps)) = unpacked {
                prop_assert!(steps == *expected, "other content");
            }
        }
    }
}
