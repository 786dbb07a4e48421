//! Both providers make the same of an archive, and of one that `unrar x` unpacks, the same tree as `unrar x`: every
//! fixture, and archives that are written here byte by byte, good, odd and damaged. The header map of each lists the same, and so it is
//! unpacked from a stream.

// Tests may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod cases;
mod corpus;
mod writer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::packed::{PackedArchive, PackedArchives, PackedBytes};
use lanspread_archive::provider::{ArchiveListing, EntrySink, ProviderChoice};
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError, provider_with_dictionary};
use lanspread_testing::programs;
use lanspread_types::content::{EntryStep, RootFile};
use lanspread_types::layout::is_archive_name;
use lanspread_types::limits::DICTIONARY_BYTES_DEFAULT;
use tokio_util::sync::CancellationToken;

/// What a provider makes of an archive.
#[derive(Debug, PartialEq, Eq)]
struct Unpacked {
    listing: ArchiveListing,
    steps: Vec<EntryStep<Vec<u8>>>,
}

impl Unpacked {
    /// The content of every file by its name.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut open = String::new();
        for step in &self.steps {
            match step {
                EntryStep::FileBegin(file) => {
                    file.path.as_str().clone_into(&mut open);
                    files.insert(open.clone(), Vec::new());
                }
                EntryStep::Data(bytes) => files.get_mut(&open).unwrap().extend_from_slice(bytes),
                EntryStep::Copy(copy) => {
                    let content = files[copy.original.as_str()].clone();
                    files.insert(copy.path.as_str().to_owned(), content);
                }
                _ => {}
            }
        }
        files
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

fn unpack(choice: &ProviderChoice, archive: &ArchiveSet) -> Result<Unpacked, ArchiveError> {
    unpack_with(choice, archive, DICTIONARY_BYTES_DEFAULT)
}

fn unpack_with(
    choice: &ProviderChoice,
    archive: &ArchiveSet,
    dictionary_bytes_max: u64,
) -> Result<Unpacked, ArchiveError> {
    let cancel = CancellationToken::new();
    let open = provider_with_dictionary(choice, dictionary_bytes_max).open(archive, &cancel)?;
    let listing = ArchiveListing::clone(open.listing());
    let sink = Rc::new(RefCell::new(Recorder::default()));
    open.extract(sink.clone(), &cancel)?;
    Ok(Unpacked { listing, steps: sink.take().0 })
}

/// What both providers make of an archive, or the code of both refusals; anything else is a disagreement.
fn agreed(label: &str, archive: &ArchiveSet) -> Result<Unpacked, &'static str> {
    let native = unpack(&ProviderChoice::Native, archive);
    let unrar = unpack(&ProviderChoice::Unrar(programs::real("unrar")), archive);
    match (native, unrar) {
        (Ok(native), Ok(unrar)) => {
            assert_eq!(native.listing, unrar.listing, "{label}");
            assert!(native.steps == unrar.steps, "{label}: the steps differ");
            assert_eq!(listed_from_its_map(archive), native.listing, "{label}");
            assert!(from_its_stream(archive) == native, "{label}: from its stream");
            Ok(native)
        }
        (Err(native), Err(unrar)) => {
            println!("{label}:\n  native: {native}\n  unrar:  {unrar}");
            assert_eq!(native.code(), unrar.code(), "{label}: native: {native}; unrar: {unrar}");
            Err(native.code())
        }
        (Ok(_), Err(error)) => panic!("{label}: only unrar refuses it: {error}"),
        (Err(error), Ok(_)) => panic!("{label}: only native refuses it: {error}"),
    }
}

/// The listing of an archive of which only the header map is there.
fn listed_from_its_map(archive: &ArchiveSet) -> ArchiveListing {
    let cancel = CancellationToken::new();
    let map = HeaderMap::read(archive, 1 << 20, &cancel).unwrap();
    for pair in map.ranges().windows(2) {
        let (one, next) = (pair[0], pair[1]);
        let is_apart = next.volume > one.volume || next.offset > one.offset + one.length;
        assert!(is_apart, "{one:?} {next:?}");
    }
    let sizes: Vec<u64> = archive.paths().map(|path| fs::metadata(path).unwrap().len()).collect();
    let names: Vec<String> =
        archive.paths().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let elsewhere =
        ArchiveSet::group(Path::new("/nowhere"), names.iter().map(String::as_str)).unwrap().remove(0);
    ArchiveListing::clone(&map.list(&elsewhere, &sizes, DICTIONARY_BYTES_DEFAULT, &cancel).unwrap())
}

/// The bytes of the volumes, which are only read forward.
struct Forward(Vec<Vec<u8>>, Mutex<(usize, u64)>);

impl PackedBytes for Forward {
    fn read_at(&self, volume: usize, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut next = self.1.lock().unwrap();
        assert!((volume, offset) >= *next, "{volume}, {offset} after {next:?}");
        let count = (&self.0[volume][usize::try_from(offset).unwrap()..]).read(out)?;
        *next = (volume, offset + count as u64);
        Ok(count)
    }
}

/// What an archive is whose bytes are not on the disk but arrive in their order.
fn from_its_stream(archive: &ArchiveSet) -> Unpacked {
    let cancel = CancellationToken::new();
    let bytes: Vec<Vec<u8>> = archive.paths().map(|path| fs::read(path).unwrap()).collect();
    let headers = HeaderMap::read(archive, 1 << 20, &cancel).unwrap();
    let file = |(name, bytes): (&String, &Vec<u8>)| RootFile { name: name.clone(), size: bytes.len() as u64 };
    let volumes = archive.files().iter().zip(&bytes).map(file).collect();
    let stream = Arc::new(Forward(bytes, Mutex::default()));
    let packed =
        PackedArchives::new(vec![PackedArchive { volumes, headers }], stream, DICTIONARY_BYTES_DEFAULT)
            .unwrap();
    let open = packed.list(&cancel).unwrap().0.remove(0);
    let listing = open.listing().clone();
    let sink = Rc::new(RefCell::new(Recorder::default()));
    open.extract(&packed, sink.clone(), &cancel).unwrap();
    Unpacked { listing, steps: sink.take().0 }
}

/// The files that the program itself extracts, and whether it has no complaint.
fn extracted_by_program(archive: &ArchiveSet) -> (BTreeMap<String, Vec<u8>>, bool) {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(programs::real("unrar"))
        .args(["x", "-cfg-", "-idq", "-p-", "-y", "--"])
        .arg(fs::canonicalize(archive.first_path()).unwrap())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .output()
        .unwrap()
        .status;
    let mut files = BTreeMap::new();
    read_folder(folder.path(), folder.path(), &mut files);
    (files, status.success())
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            read_folder(root, &path, files);
        } else if metadata.is_file() {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.insert(name, fs::read(&path).unwrap_or_default());
        }
    }
}

/// Every archive of every fixture.
fn fixtures() -> Vec<(String, ArchiveSet)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    };
    let mut found = Vec::new();
    for game in folders(&root).iter().flat_map(|fixture| folders(fixture)) {
        let names = fs::read_dir(&game).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.filter(|name| is_archive_name(name)).collect();
        let label = game.strip_prefix(&root).unwrap().display().to_string();
        let sets = ArchiveSet::group(&game, names.iter().map(String::as_str)).unwrap();
        found.extend(sets.into_iter().map(|set| (label.clone(), set)));
    }
    found
}

#[test]
fn both_providers_agree_on_every_fixture() {
    let fixtures = fixtures();
    let (mut unpacked, mut refused) = (0, 0);
    for (label, archive) in &fixtures {
        match agreed(label, archive) {
            Ok(_) => unpacked += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(unpacked >= 20 && refused >= 8, "{unpacked} unpacked, {refused} refused");
}
