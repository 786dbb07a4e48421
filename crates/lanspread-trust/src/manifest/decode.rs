//! From bytes to a manifest that can be installed.

use lanspread_types::content::{ArchiveFormat, HeaderRange, RootFile, Totals};
use lanspread_types::entry_path::{EntryKind, EntryPath, NamePolicy, PathIndex};
use lanspread_types::layout::{SENTINEL_FILE, is_archive_name};
use lanspread_types::limits;

use crate::manifest::content::{
    EntryContent, Manifest, ManifestArchive, ManifestEntries, chunk_bytes, parts_of,
};
use crate::manifest::encode::{EXECUTABLE, FILE, FOLDER, FORMAT, HASH, MAGIC};
use crate::manifest::error::ManifestProblem;
use crate::manifest::input::{Input, Stored};

/// Where a manifest holds what is not in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// First byte of the digests of chunks.
    pub(super) chunks: u64,
    /// First header byte of each archive.
    pub(super) headers: Vec<u64>,
}

/// Decodes a manifest of so many bytes.
pub(super) fn decode<S: Stored + ?Sized>(
    stored: &S,
    bytes: u64,
) -> Result<(Manifest, Places), ManifestProblem> {
    if bytes > limits::MANIFEST_BYTES_MAX {
        let limit = limits::MANIFEST_BYTES_MAX;
        return Err(ManifestProblem::Limit { what: "bytes", limit, got: bytes });
    }
    let mut input = Input::new(stored, bytes);
    head(&mut input)?;
    let game = input.text("bytes of a game id", limits::GAME_ID_BYTES_MAX)?.parse()?;
    let version = input.text("bytes of a version", limits::LABEL_BYTES_MAX)?.parse()?;
    let chunk = u32::from_le_bytes(input.array()?);
    let root_files = root_files(&mut input)?;
    let empty = ManifestEntries::default();
    let mut manifest = Manifest { game, version, root_files, archives: Vec::new(), entries: empty };
    let expected = chunk_bytes(manifest.root_bytes());
    if chunk != expected {
        return rule(format!("its chunks have {chunk} bytes, {expected} are expected"));
    }
    let chunks = input.position();
    // The sizes are bounded, so this does not overflow.
    input.skip(manifest.chunks() * 32)?;
    let mut places = Places { chunks, headers: Vec::new() };
    archives(&mut input, &mut manifest, &mut places)?;
    manifest.entries = entries(&mut input)?;
    if let Some(file) = manifest.archive_without_headers().filter(|_| !manifest.has_tree()) {
        // Else there would be two packing lists of the same files.
        return rule(format!("it lists neither an installed tree nor the headers of {}", file.name));
    }
    let totals = Totals { files: input.number()?, directories: input.number()?, bytes: input.number()? };
    let sums = manifest.entries.totals();
    if totals != sums {
        return rule(format!("its totals are {totals:?}, the sums over its entries are {sums:?}"));
    }
    if input.left() > 0 {
        return Err(ManifestProblem::Longer(input.position()));
    }
    Ok((manifest, places))
}

fn rule<T>(what: String) -> Result<T, ManifestProblem> {
    Err(ManifestProblem::Rule(what))
}

fn head<S: Stored + ?Sized>(input: &mut Input<'_, S>) -> Result<(), ManifestProblem> {
    match input.array::<8>() {
        Ok(magic) if magic == *MAGIC => {}
        Ok(_) | Err(ManifestProblem::Cut(_)) => return Err(ManifestProblem::NotAManifest),
        Err(error) => return Err(error),
    }
    let format = u16::from_le_bytes(input.array()?);
    if format != FORMAT {
        return Err(ManifestProblem::Newer { what: "format", got: format.into() });
    }
    let hash = input.byte()?;
    if hash != HASH {
        return Err(ManifestProblem::Newer { what: "hash", got: hash.into() });
    }
    Ok(())
}

/// The root files. Which lists are a game's is the rule for downloads, and this one is sorted.
fn root_files<S: Stored + ?Sized>(input: &mut Input<'_, S>) -> Result<Vec<RootFile>, ManifestProblem> {
    let count = input.count("root files", limits::ROOT_FILES_MAX)?;
    let (mut files, mut bytes) = (Vec::<RootFile>::new(), 0_u64);
    let mut names = PathIndex::new(NamePolicy::Portable);
    for _ in 0..count {
        let name = input.text("bytes of a file name", limits::COMPONENT_BYTES_MAX)?;
        let size = input.at_most("bytes of a root file", limits::GAME_BYTES_MAX)?;
        let path = EntryPath::parse(&name, NamePolicy::Portable)?;
        if path.parents().next().is_some() || (name != SENTINEL_FILE && !is_archive_name(&name)) {
            return rule(format!("its root file `{path}` is neither an archive nor {SENTINEL_FILE}"));
        }
        if files.last().is_some_and(|before| before.name >= name) {
            return rule("its root files are not sorted".to_owned());
        }
        names.insert(&path, EntryKind::File)?;
        bytes += size;
        if bytes > limits::GAME_BYTES_MAX {
            let limit = limits::GAME_BYTES_MAX;
            return Err(ManifestProblem::Limit { what: "bytes of root files", limit, got: bytes });
        }
        files.push(RootFile { name, size });
    }
    if !files.iter().any(|file| file.name == SENTINEL_FILE) {
        return rule(format!("it has no {SENTINEL_FILE}"));
    }
    if files.len() < 2 {
        return rule("it has no archive".to_owned());
    }
    Ok(files)
}

fn archives<S: Stored + ?Sized>(
    input: &mut Input<'_, S>,
    manifest: &mut Manifest,
    places: &mut Places,
) -> Result<(), ManifestProblem> {
    let mut is_used: Vec<bool> = manifest.root_files.iter().map(|file| file.name == SENTINEL_FILE).collect();
    let mut header_sums = HeaderSums::default();
    for _ in 0..input.count("archives", manifest.root_files.len())? {
        let mut files = Vec::new();
        for _ in 0..input.count("volumes", manifest.root_files.len())? {
            let file = input.count("root files before a volume", manifest.root_files.len() - 1)?;
            if std::mem::replace(&mut is_used[file], true) {
                return rule(format!("{} is of two archives, or of none", manifest.root_files[file].name));
            }
            files.push(file);
        }
        let before = manifest.archives.last().and_then(|archive| archive.files.first());
        match files.first() {
            None => return rule("an archive has no volume".to_owned()),
            Some(first) if before.is_some_and(|before| before > first) => {
                return rule("its archives are not sorted".to_owned());
            }
            Some(_) => {}
        }
        let format = match input.byte()? {
            4 => ArchiveFormat::Rar4,
            5 => ArchiveFormat::Rar5,
            other => return Err(ManifestProblem::Newer { what: "archive format", got: other.into() }),
        };
        let solid = match input.byte()? {
            0 => false,
            1 => true,
            _ => return Err(ManifestProblem::Number(input.position() - 1)),
        };
        let dictionary_bytes = input.at_most("bytes of a dictionary", limits::DICTIONARY_BYTES_MAX)?;
        let sizes: Vec<u64> = files.iter().map(|file| manifest.root_files[*file].size).collect();
        let headers = headers(input, &sizes, &mut header_sums)?;
        places.headers.push(input.position());
        input.skip(headers.iter().map(|range| range.length).sum())?;
        manifest.archives.push(ManifestArchive { files, format, solid, dictionary_bytes, headers });
    }
    match is_used.iter().position(|is_used| !is_used) {
        Some(file) => rule(format!("{} is of no archive", manifest.root_files[file].name)),
        None => Ok(()),
    }
}

/// Ranges and bytes of the headers of all archives so far.
#[derive(Default)]
struct HeaderSums {
    ranges: u64,
    bytes: u64,
}

/// The ranges of one archive, whose volumes have these sizes.
fn headers<S: Stored + ?Sized>(
    input: &mut Input<'_, S>,
    sizes: &[u64],
    sums: &mut HeaderSums,
) -> Result<Vec<HeaderRange>, ManifestProblem> {
    // Each has three numbers and a byte of its own, so a false count ends with the input.
    let count = input.at_most("ranges of headers", input.left() / 4)?;
    let mut ranges = Vec::<HeaderRange>::new();
    sums.ranges = sums.ranges.saturating_add(count);
    if sums.ranges > limits::MANIFEST_HEADER_RANGES_MAX {
        let limit = limits::MANIFEST_HEADER_RANGES_MAX;
        return Err(ManifestProblem::Limit { what: "ranges of headers", limit, got: sums.ranges });
    }
    for _ in 0..count {
        let volume = input.count("volumes before a range of headers", sizes.len() - 1)?;
        let (offset, length) = (input.number()?, input.number()?);
        let end = offset.checked_add(length).filter(|end| length > 0 && *end <= sizes[volume]);
        if end.is_none() {
            return rule(format!("a range of headers, {length} bytes from {offset}, is not inside its file"));
        }
        if let Some(before) = ranges.last() {
            let touches = before.volume == volume && offset <= before.offset + before.length;
            if volume < before.volume || touches {
                return rule("its ranges of headers are not sorted, or touch".to_owned());
            }
        }
        sums.bytes = sums.bytes.saturating_add(length);
        if sums.bytes > limits::MANIFEST_HEADER_BYTES_MAX {
            let limit = limits::MANIFEST_HEADER_BYTES_MAX;
            return Err(ManifestProblem::Limit { what: "bytes of headers", limit, got: sums.bytes });
        }
        ranges.push(HeaderRange { volume, offset, length });
    }
    Ok(ranges)
}

fn entries<S: Stored + ?Sized>(input: &mut Input<'_, S>) -> Result<ManifestEntries, ManifestProblem> {
    let count = input.at_most("entries", limits::ENTRIES_MAX)?;
    let mut entries = ManifestEntries::default();
    let mut paths = PathIndex::new(NamePolicy::Portable);
    let mut before = String::new();
    for _ in 0..count {
        let name = input.text("bytes of a path", limits::PATH_BYTES_MAX)?;
        let path = EntryPath::parse(&name, NamePolicy::Portable)?;
        if name <= before {
            return rule(format!("its entries are not sorted at `{path}`"));
        }
        before = name;
        let kind = input.byte()?;
        let what = if kind == FOLDER { EntryKind::Directory } else { EntryKind::File };
        paths.insert(&path, what)?;
        let pushed = match kind {
            FOLDER => entries.push(&path, EntryContent::Folder),
            FILE | EXECUTABLE => {
                let size = input.at_most("bytes of a file", limits::GAME_BYTES_MAX)?;
                let digest = input.digest()?;
                let mut parts = Vec::new();
                for _ in 0..parts_of(size) {
                    parts.push(input.digest()?);
                }
                let executable = kind == EXECUTABLE;
                entries.push(&path, EntryContent::File { size, executable, digest: &digest, parts: &parts })
            }
            other => return Err(ManifestProblem::Newer { what: "kind of entry", got: other.into() }),
        };
        let bytes = entries.totals().bytes;
        if pushed.is_none() || bytes > limits::GAME_BYTES_MAX {
            let limit = limits::GAME_BYTES_MAX;
            return Err(ManifestProblem::Limit { what: "unpacked bytes", limit, got: bytes });
        }
    }
    Ok(entries)
}
