//! Manifests of test games.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use lanspread_archive::header_map::HeaderMap;
use lanspread_archive::provider::ProviderChoice;
use lanspread_store::state::game_state::GameState;
use lanspread_trust::manifest::{
    Blocks, EntryContent, Manifest, ManifestArchive, ManifestEntries, ManifestFile, chunk_bytes, encode,
};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, RootFile};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::layout::{SENTINEL_FILE, is_archive_name};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::machine::{Node, Tree};

/// The manifest of a game with this installed tree, whose one archive is named after the game. Of its folders only those
/// in `folders` are entries.
pub fn of_tree(game: &GameId, version: &GameVersion, tree: &Tree, folders: &[&str]) -> ManifestFile {
    let entries = entries_of(tree, folders);
    let size = version.as_str().len() as u64;
    let root_files = vec![
        RootFile { name: format!("{game}.eti"), size: 1 },
        RootFile { name: SENTINEL_FILE.to_owned(), size },
    ];
    let archives = vec![archive_of(0)];
    stored(&Manifest { game: game.clone(), version: version.clone(), root_files, archives, entries })
}

fn entries_of(tree: &Tree, folders: &[&str]) -> ManifestEntries {
    let part = usize::try_from(limits::MANIFEST_PART_BYTES).unwrap_or(usize::MAX);
    let mut entries = ManifestEntries::default();
    let sorted: BTreeMap<&str, &Node> = tree.iter().map(|(path, node)| (path.as_str(), node)).collect();
    for (name, node) in sorted {
        let path = EntryPath::parse(name, NamePolicy::Portable).unwrap();
        match node {
            Node::File(content, executable) => {
                let (size, digest) = (content.len() as u64, ContentDigest::of(content));
                let parts: Vec<ContentDigest> = if content.len() > part {
                    content.chunks(part).map(ContentDigest::of).collect()
                } else {
                    Vec::new()
                };
                let listed =
                    EntryContent::File { size, executable: *executable, digest: &digest, parts: &parts };
                entries.push(&path, listed).unwrap();
            }
            _ if folders.contains(&name) => entries.push(&path, EntryContent::Folder).unwrap(),
            _ => {}
        }
    }
    entries
}

/// The manifest of the root files in this folder, as an organiser makes it, header bytes included. What is installed is this
/// tree; of its folders only those in `folders` are entries. Without a tree, no entries are listed.
pub fn of_archives(
    root: &Path,
    game: &GameId,
    version: &GameVersion,
    tree: Option<&Tree>,
    folders: &[&str],
) -> Arc<ManifestFile> {
    let state = GameState::read(root.parent().unwrap(), game).unwrap().unwrap();
    let (root_files, mut archives, mut headers) = (state.root_files.clone(), Vec::new(), Vec::new());
    let (provider, cancel) = (lanspread_archive::provider(&ProviderChoice::Native), CancellationToken::new());
    for set in state.archives().unwrap() {
        let map = HeaderMap::read(&set, limits::MANIFEST_HEADER_BYTES_MAX, &cancel).unwrap();
        let open = provider.open(&set, &cancel).unwrap();
        let listing = open.listing();
        let place = |name: &String| root_files.iter().position(|file| file.name == *name).unwrap();
        archives.push(ManifestArchive {
            files: set.files().iter().map(place).collect(),
            format: listing.summary.format,
            solid: listing.summary.solid,
            dictionary_bytes: listing.dictionary_bytes,
            headers: map.ranges().to_vec(),
        });
        headers.push(map.bytes().to_vec());
    }
    let contents: Vec<Vec<u8>> =
        root_files.iter().map(|file| fs::read(root.join(&file.name)).unwrap()).collect();
    let entries = tree.map(|tree| entries_of(tree, folders)).unwrap_or_default();
    let (game, version) = (game.clone(), version.clone());
    let manifest = Manifest { game, version, root_files, archives, entries };
    let chunk = usize::try_from(manifest.chunk_bytes()).unwrap();
    let chunks = contents.iter().flat_map(|content| content.chunks(chunk)).map(ContentDigest::of).collect();
    let mut bytes = Vec::new();
    encode(&manifest, &Stored { chunks, headers }, &mut bytes).unwrap();
    Arc::new(opened(&bytes))
}

/// The manifest of the root files in this folder, as an organiser makes it. Each archive is one file, and one folder is
/// installed.
pub fn of_root_files(root: &Path, game: &str, version: &str) -> Arc<ManifestFile> {
    Arc::new(opened(&bytes_of_root_files(root, game, version)))
}

/// The bytes of this manifest.
pub fn bytes_of_root_files(root: &Path, game: &str, version: &str) -> Vec<u8> {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| name == SENTINEL_FILE || is_archive_name(name)).collect();
    names.sort();
    let contents: Vec<Vec<u8>> = names.iter().map(|name| fs::read(root.join(name)).unwrap()).collect();
    let archives = (0..names.len()).filter(|file| names[*file] != SENTINEL_FILE).map(archive_of).collect();
    let sized = names.into_iter().zip(&contents);
    let root_files = sized.map(|(name, content)| RootFile { name, size: content.len() as u64 }).collect();
    let (game, version) = (game.parse().unwrap(), version.parse().unwrap());
    let mut entries = ManifestEntries::default();
    entries.push(&EntryPath::parse("data", NamePolicy::Portable).unwrap(), EntryContent::Folder).unwrap();
    let manifest = Manifest { game, version, root_files, archives, entries };
    let chunk = usize::try_from(chunk_bytes(manifest.root_bytes())).unwrap();
    encoded(
        &manifest,
        contents.iter().flat_map(|content| content.chunks(chunk)).map(ContentDigest::of).collect(),
    )
}

/// The file of a manifest without header bytes; the digests of its chunks are those of nothing.
pub fn stored(manifest: &Manifest) -> ManifestFile {
    opened(&encoded(manifest, (0..manifest.chunks()).map(|_| ContentDigest::of(b"")).collect()))
}

/// An archive of one file, without header bytes.
fn archive_of(file: usize) -> ManifestArchive {
    ManifestArchive {
        files: vec![file],
        format: ArchiveFormat::Rar5,
        solid: false,
        dictionary_bytes: 0,
        headers: Vec::new(),
    }
}

fn encoded(manifest: &Manifest, chunks: Vec<ContentDigest>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(manifest, &Stored { chunks, headers: Vec::new() }, &mut bytes).unwrap();
    bytes
}

fn opened(bytes: &[u8]) -> ManifestFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    ManifestFile::check(file, bytes.len() as u64, None).unwrap()
}

/// The digests of all chunks of all root files, and the header bytes of each archive.
struct Stored {
    chunks: Vec<ContentDigest>,
    headers: Vec<Vec<u8>>,
}

impl Blocks for Stored {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        self.chunks.iter().try_for_each(|digest| out.write_all(&digest.0))
    }

    fn write_headers(&self, archive: usize, out: &mut dyn Write) -> io::Result<()> {
        self.headers.get(archive).map_or(Ok(()), |bytes| out.write_all(bytes))
    }
}
