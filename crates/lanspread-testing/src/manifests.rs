//! Manifests of test games.

use std::collections::BTreeMap;
use std::io::{self, Write};

use lanspread_trust::manifest::{
    Blocks, EntryContent, Manifest, ManifestArchive, ManifestEntries, ManifestFile, encode,
};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{ArchiveFormat, RootFile};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;

use crate::machine::{Node, Tree};

/// The manifest of a game with this installed tree, whose one archive is named after the game. Of its folders only those
/// in `folders` are entries.
pub fn of_tree(game: &GameId, version: &GameVersion, tree: &Tree, folders: &[&str]) -> ManifestFile {
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
    let size = version.as_str().len() as u64;
    let root_files = vec![
        RootFile { name: format!("{game}.eti"), size: 1 },
        RootFile { name: "version.ini".to_owned(), size },
    ];
    let archives = vec![ManifestArchive {
        files: vec![0],
        format: ArchiveFormat::Rar5,
        solid: false,
        dictionary_bytes: 0,
        headers: Vec::new(),
    }];
    stored(&Manifest { game: game.clone(), version: version.clone(), root_files, archives, entries })
}

/// The file of a manifest without header bytes; the digests of its chunks are those of nothing.
pub fn stored(manifest: &Manifest) -> ManifestFile {
    struct Nothing(u64);

    impl Blocks for Nothing {
        fn write_chunks(&self, out: &mut dyn Write) -> io::Result<()> {
            (0..self.0).try_for_each(|_| out.write_all(&ContentDigest::of(b"").0))
        }

        fn write_headers(&self, _archive: usize, _out: &mut dyn Write) -> io::Result<()> {
            Ok(())
        }
    }

    let mut bytes = Vec::new();
    encode(manifest, &Nothing(manifest.chunks()), &mut bytes).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    ManifestFile::check(file, bytes.len() as u64, None).unwrap()
}
