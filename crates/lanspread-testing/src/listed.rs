//! A manifest of the root files of a game, as an organiser makes it. It lists no entries.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_trust::manifest::{
    Blocks, Manifest, ManifestArchive, ManifestEntries, ManifestFile, chunk_bytes, encode,
};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, RootFile};
use lanspread_types::layout::{SENTINEL_FILE, is_archive_name};

/// The manifest of the root files in this folder. Each archive is one file.
pub fn manifest_of(root: &Path, game: &str, version: &str) -> Arc<ManifestFile> {
    let bytes = manifest_bytes(root, game, version);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    Arc::new(ManifestFile::open(file.path(), &ContentDigest::of(&bytes), None).unwrap())
}

/// The bytes of this manifest.
pub fn manifest_bytes(root: &Path, game: &str, version: &str) -> Vec<u8> {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let listed = names.filter(|name| name == SENTINEL_FILE || is_archive_name(name));
    let mut root_files: Vec<RootFile> =
        listed.map(|name| RootFile { size: fs::metadata(root.join(&name)).unwrap().len(), name }).collect();
    root_files.sort();
    let archives = root_files.iter().enumerate().filter(|(_, file)| file.name != SENTINEL_FILE);
    let archives = archives.map(|(file, _)| ManifestArchive {
        files: vec![file],
        format: ArchiveFormat::Rar5,
        solid: false,
        dictionary_bytes: 0,
        headers: Vec::new(),
    });
    let (archives, paths) =
        (archives.collect(), root_files.iter().map(|file| root.join(&file.name)).collect());
    let entries = ManifestEntries::default();
    let (game, version) = (game.parse().unwrap(), version.parse().unwrap());
    let manifest = Manifest { game, version, root_files, archives, entries };
    let mut bytes = Vec::new();
    encode(&manifest, &Digests { paths, chunk: chunk_bytes(manifest.root_bytes()) }, &mut bytes).unwrap();
    bytes
}

struct Digests {
    paths: Vec<PathBuf>,
    chunk: u32,
}

impl Blocks for Digests {
    fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
        for path in &self.paths {
            let mut file = File::open(path)?;
            loop {
                let mut chunk = Vec::new();
                (&mut file).take(self.chunk.into()).read_to_end(&mut chunk)?;
                if chunk.is_empty() {
                    break;
                }
                out.write_all(&ContentDigest::of(&chunk).0)?;
            }
        }
        Ok(())
    }

    fn write_headers(&self, _: usize, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
