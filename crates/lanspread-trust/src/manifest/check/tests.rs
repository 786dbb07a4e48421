use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveFormat, DirectoryEntry, RootFile};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use proptest::prelude::*;

use super::*;
use crate::manifest::content::{ManifestArchive, ManifestEntries};

type Step = EntryStep<Vec<u8>>;

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name, NamePolicy::Portable).unwrap()
}

fn file_steps(name: &str, content: &[u8], executable: bool) -> Vec<Step> {
    let size = content.len() as u64;
    let entry = FileEntry { path: path(name), size, checksum: None, modified: None, executable };
    let data = content.chunks(5).map(|piece| EntryStep::Data(piece.to_vec()));
    let end = EntryStep::FileEnd(Checksum::of(content));
    [EntryStep::FileBegin(entry)].into_iter().chain(data).chain([end]).collect()
}

/// A good stream in groups, each of which is one entry or one frame around entries.
#[derive(Debug, Clone)]
struct Good {
    manifest: Arc<Manifest>,
    totals: Totals,
    groups: Vec<Vec<Step>>,
}

impl Good {
    /// One archive with a folder, these files, and a copy of each of them.
    fn of(contents: &[(Vec<u8>, bool)]) -> Self {
        let summary = ArchiveSummary {
            name: "a.eti".to_owned(),
            format: ArchiveFormat::Rar5,
            solid: true,
            totals: Totals::default(),
        };
        let folder = || EntryStep::Directory(DirectoryEntry { path: path("folder") });
        let mut entries = ManifestEntries::default();
        let mut groups = vec![vec![EntryStep::ArchiveBegin(summary)], vec![folder()]];
        for kind in ["copy", "file"] {
            for (number, (content, executable)) in contents.iter().enumerate() {
                let name = path(&format!("{kind}{number:03}"));
                let (size, digest) = (content.len() as u64, ContentDigest::of(content));
                let listed =
                    EntryContent::File { size, executable: *executable, digest: &digest, parts: &[] };
                entries.push(&name, listed).unwrap();
            }
        }
        for (number, (content, executable)) in contents.iter().enumerate() {
            let (name, original) = (format!("copy{number:03}"), format!("file{number:03}"));
            groups.push(file_steps(&original, content, *executable));
            groups.push(vec![EntryStep::Copy(CopyEntry {
                path: path(&name),
                original: path(&original),
                size: content.len() as u64,
                modified: None,
                executable: *executable,
            })]);
        }
        entries.push(&path("folder"), EntryContent::Folder).unwrap();
        groups.push(vec![EntryStep::ArchiveEnd]);
        let totals = entries.totals();
        let manifest = Manifest {
            game: "g".parse().unwrap(),
            version: "1".parse().unwrap(),
            root_files: vec![RootFile { name: "a.eti".to_owned(), size: 9 }],
            archives: vec![ManifestArchive {
                files: vec![0],
                format: ArchiveFormat::Rar5,
                solid: true,
                dictionary_bytes: 0,
                headers: Vec::new(),
            }],
            entries,
        };
        Self { manifest: Arc::new(manifest), totals, groups }
    }

    fn check(&self) -> Result<(), Deviation> {
        let mut check = ManifestCheck::new(Arc::clone(&self.manifest));
        check.announced(self.totals)?;
        for step in self.groups.iter().flatten() {
            check.take(step, |data| data.as_slice())?;
        }
        check.complete()
    }
}

/// One change of a stream.
#[derive(Debug, Clone)]
enum Change {
    WithoutGroup(usize),
    GroupTwice(usize),
    ExtraFile,
    ExtraFolder,
    ExtraArchive,
    Byte(usize),
    WithoutData(usize),
    Path(usize),
    Size(usize, bool),
    Executable(usize),
    CopyOf(usize, usize),
    Summary(usize),
    Totals(usize, bool),
    FileAsFolder(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<u16>().prop_map(usize::from);
    prop_oneof![
        at().prop_map(Change::WithoutGroup),
        at().prop_map(Change::GroupTwice),
        Just(Change::ExtraFile),
        Just(Change::ExtraFolder),
        Just(Change::ExtraArchive),
        at().prop_map(Change::Byte),
        at().prop_map(Change::WithoutData),
        at().prop_map(Change::Path),
        (at(), any::<bool>()).prop_map(|(at, more)| Change::Size(at, more)),
        at().prop_map(Change::Executable),
        (at(), at()).prop_map(|(copy, of)| Change::CopyOf(copy, of)),
        at().prop_map(Change::Summary),
        (at(), any::<bool>()).prop_map(|(at, more)| Change::Totals(at, more)),
        at().prop_map(Change::FileAsFolder),
    ]
}

fn moved(number: &mut u64, more: bool) -> bool {
    let changed = if more { number.checked_add(1) } else { number.checked_sub(1) };
    changed.inspect(|changed| *number = *changed).is_some()
}

/// The steps that a filter takes, of which one is chosen.
fn choose(groups: &mut [Vec<Step>], at: usize, is_one: impl Fn(&Step) -> bool) -> Option<&mut Step> {
    let mut steps: Vec<&mut Step> = groups.iter_mut().flatten().filter(|step| is_one(step)).collect();
    if steps.is_empty() { None } else { Some(steps.swap_remove(at % steps.len())) }
}

impl Change {
    /// Changes the stream; `false` if it leaves it as it was.
    fn make(self, good: &mut Good) -> bool {
        let groups = &mut good.groups;
        let has_header = |step: &Step| {
            matches!(step, EntryStep::FileBegin(_) | EntryStep::Copy(_) | EntryStep::Directory(_))
        };
        match self {
            // The end of an archive says nothing; the grammar of streams looks for it.
            Self::WithoutGroup(at) => drop(groups.remove(at % (groups.len() - 1))),
            Self::GroupTwice(at) => {
                let at = at % (groups.len() - 1);
                groups.insert(at, groups[at].clone());
            }
            Self::ExtraFile => groups.insert(1, file_steps("extra", b"", false)),
            Self::ExtraFolder => {
                groups.insert(1, vec![EntryStep::Directory(DirectoryEntry { path: path("extra") })]);
            }
            Self::ExtraArchive => {
                let mut again = groups[0].clone();
                if let EntryStep::ArchiveBegin(summary) = &mut again[0] {
                    "b.eti".clone_into(&mut summary.name);
                }
                groups.push(again);
            }
            Self::Byte(at) => match choose(groups, at, |step| matches!(step, EntryStep::Data(_))) {
                Some(EntryStep::Data(bytes)) => {
                    let byte = at % bytes.len();
                    bytes[byte] ^= 1;
                }
                _ => return false,
            },
            Self::WithoutData(at) => match choose(groups, at, |step| matches!(step, EntryStep::Data(_))) {
                Some(EntryStep::Data(bytes)) => drop(bytes.pop()),
                _ => return false,
            },
            Self::Path(at) => match choose(groups, at, has_header) {
                Some(
                    EntryStep::FileBegin(FileEntry { path: name, .. })
                    | EntryStep::Copy(CopyEntry { path: name, .. })
                    | EntryStep::Directory(DirectoryEntry { path: name }),
                ) => *name = path(&format!("{name}x")),
                _ => return false,
            },
            Self::Size(at, more) => match choose(groups, at, has_header) {
                Some(
                    EntryStep::FileBegin(FileEntry { size, .. }) | EntryStep::Copy(CopyEntry { size, .. }),
                ) => {
                    return moved(size, more);
                }
                _ => return false,
            },
            Self::Executable(at) => match choose(groups, at, has_header) {
                Some(
                    EntryStep::FileBegin(FileEntry { executable, .. })
                    | EntryStep::Copy(CopyEntry { executable, .. }),
                ) => *executable = !*executable,
                _ => return false,
            },
            Self::CopyOf(at, of) => match choose(groups, at, |step| matches!(step, EntryStep::Copy(_))) {
                Some(EntryStep::Copy(copy)) => {
                    let other = path(&format!("file{:03}", of % 4));
                    // The bytes count: whether it is executable, the copy says itself.
                    let digest = |path: &EntryPath| match good.manifest.entries.find(path.as_str())?.content {
                        EntryContent::File { digest, .. } => Some(*digest),
                        EntryContent::Folder => None,
                    };
                    if digest(&other) == digest(&copy.original) {
                        return false;
                    }
                    copy.original = other;
                }
                _ => return false,
            },
            Self::Summary(at) => match &mut groups[0][0] {
                EntryStep::ArchiveBegin(summary) => match at % 3 {
                    0 => "other.eti".clone_into(&mut summary.name),
                    1 => summary.format = ArchiveFormat::Rar4,
                    _ => summary.solid = !summary.solid,
                },
                _ => return false,
            },
            Self::Totals(at, more) => {
                let Totals { files, directories, bytes } = &mut good.totals;
                return moved([files, directories, bytes][at % 3], more);
            }
            Self::FileAsFolder(at) => match choose(groups, at, |step| matches!(step, EntryStep::Copy(_))) {
                Some(step) => *step = EntryStep::Directory(DirectoryEntry { path: path("copy000") }),
                None => return false,
            },
        }
        true
    }
}

proptest! {
    #[test]
    fn any_change_of_a_good_stream_is_refused(
        contents in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..12), any::<bool>()), 1..4),
        change in change(),
    ) {
        let mut good = Good::of(&contents);
        prop_assert_eq!(good.check(), Ok(()));
        if change.make(&mut good) {
            prop_assert!(good.check().is_err());
        }
    }
}

#[test]
fn a_copy_may_be_of_another_file_with_the_same_bytes() {
    let mut good = Good::of(&[(b"x".to_vec(), false), (b"x".to_vec(), true), (b"y".to_vec(), true)]);
    let mut check_copy_of = |name: &str| {
        let last_copy = good
            .groups
            .iter_mut()
            .flatten()
            .rfind(|step| matches!(step, EntryStep::Copy(copy) if copy.path == path("copy001")));
        let Some(EntryStep::Copy(copy)) = last_copy else { panic!("no copy") };
        copy.original = path(name);
        good.check()
    };
    assert_eq!(check_copy_of("file000"), Ok(()), "that is not executable, and the copy is");
    assert!(check_copy_of("folder").is_err());
    assert!(check_copy_of("file002").is_err());
}

/// Two archives may name one folder, and one archive may name it twice.
#[test]
fn a_folder_may_come_again_if_it_was_announced() {
    let mut good = Good::of(&[(b"x".to_vec(), false)]);
    good.groups.insert(1, good.groups[1].clone());
    assert!(good.check().is_err());
    good.totals.directories += 1;
    assert_eq!(good.check(), Ok(()));
}

/// A wrong byte is found in its part, and the position of the part is named. A file of parts has no digest of its own to
/// disagree with.
#[test]
fn a_wrong_byte_of_a_large_file_is_found_in_its_part() {
    let part = usize::try_from(MANIFEST_PART_BYTES).unwrap();
    let bytes = vec![3; 2 * part + 5];
    let parts: Vec<ContentDigest> = bytes.chunks(part).map(ContentDigest::of).collect();
    let size = bytes.len() as u64;
    let digest = ContentDigest::of(b"the whole");
    let mut entries = ManifestEntries::default();
    let listed = EntryContent::File { size, executable: false, digest: &digest, parts: &parts };
    entries.push(&path("big"), listed).unwrap();
    let manifest = Arc::new(Manifest { entries, ..(*Good::of(&[(Vec::new(), false)]).manifest).clone() });
    for wrong in [None, Some(0), Some(part), Some(2 * part - 1), Some(2 * part + 4)] {
        let mut check = ManifestCheck::new(Arc::clone(&manifest));
        let entry = FileEntry { path: path("big"), size, checksum: None, modified: None, executable: false };
        check.take::<()>(&EntryStep::FileBegin(entry), |()| &[]).unwrap();
        let mut at = 0;
        let mut found = None;
        for piece in bytes.chunks(1_000_003) {
            let mut piece = piece.to_vec();
            if let Some(wrong) = wrong.filter(|wrong| (at..at + piece.len()).contains(wrong)) {
                piece[wrong - at] ^= 1;
            }
            at += piece.len();
            if let Err(deviation) = check.take(&EntryStep::Data(piece), |piece| piece.as_slice()) {
                found = Some((at, deviation));
                break;
            }
        }
        match (wrong, found) {
            (None, None) => check.take::<()>(&EntryStep::FileEnd(Checksum::of(b"")), |()| &[]).unwrap(),
            (Some(wrong), Some((at, deviation))) => {
                let begin = wrong / part * part;
                assert_eq!(deviation.position, Some(begin as u64));
                assert_eq!(deviation.path.as_deref(), Some("big"));
                assert!(at <= begin + part + 1_000_003, "found after {at} bytes");
            }
            other => panic!("{other:?}"),
        }
    }
}
