//! Packs a folder as a RAR 4 archive, for `fixtures/`: the real `rar` no longer writes that format.
//!
//! ```text
//! fixtures/make_fixtures.py --payload rar4 --out FOLDER
//! cargo run --package lanspread-testing --example make_rar4_fixture -- FOLDER fixtures/fixture-rar4/rar4-classic/rar4-classic.eti
//! ```

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rars::{ArchiveVersion, Builder};

/// 2025-01-02 03:04:06 in DOS fields, so that the archive is the same every time.
const MODIFIED: u32 = (45 << 25) | (1 << 21) | (2 << 16) | (3 << 11) | (4 << 5) | 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(archive), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: make_rar4_fixture FOLDER ARCHIVE".into());
    };
    let mut builder = Builder::new(ArchiveVersion::Rar29).compression_level(Some(3)).solid(true);
    add_folder(&mut builder, Path::new(&folder), "")?;
    builder.write_to_path(Path::new(&archive), None)?;
    Ok(())
}

/// Adds the content of a folder, sorted, with `prefix` before the names.
fn add_folder(builder: &mut Builder, folder: &Path, prefix: &str) -> Result<(), Box<dyn Error>> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_str().ok_or("a name is not UTF-8")?);
        let metadata = entry.metadata()?;
        let (modified, mode) = (Some(MODIFIED), Some(metadata.mode()));
        if metadata.is_dir() {
            builder.add_directory(name.clone().into_bytes(), modified, mode)?;
            add_folder(builder, &entry.path(), &format!("{name}/"))?;
        } else {
            builder.add_bytes(name.into_bytes(), fs::read(entry.path())?, modified, mode)?;
        }
    }
    Ok(())
}
