//! Lists, tests or extracts an archive.
//!
//! ```text
//! cargo run --release --example rar -- list ARCHIVE...
//! cargo run --release --example rar -- test ARCHIVE...
//! cargo run --release --example rar -- extract FOLDER ARCHIVE...
//! ```
//!
//! Further files are further volumes. `THREADS` sets the number of threads, 1 if it is not set.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use lanspread_rar::{ArchiveDecoder, FileHeader, Header, Headers, Limits, VolumeReader};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list", volumes @ ..] if !volumes.is_empty() => list(volumes),
        ["test", volumes @ ..] if !volumes.is_empty() => unpack(volumes, None),
        ["extract", folder, volumes @ ..] if !volumes.is_empty() => unpack(volumes, Some(Path::new(folder))),
        _ => Err("usage: rar list|test|extract [FOLDER] ARCHIVE...".into()),
    }
}

fn list(volumes: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for volume in volumes {
        for header in Headers::seek(File::open(volume)?, Limits::default())? {
            if let Header::File(file) = header? {
                let size = file.unpacked_bytes.map_or("?".to_owned(), |bytes| bytes.to_string());
                writeln!(
                    out,
                    "{size:>12} {:>12} {}",
                    file.block.data_bytes,
                    file.name_lossy().escape_debug()
                )?;
            }
        }
    }
    Ok(())
}

fn unpack(volumes: &[&str], folder: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let threads = std::env::var("THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut limits = Limits::default();
    limits.dictionary_bytes = 4 << 30;
    let paths: Vec<PathBuf> = volumes.iter().map(PathBuf::from).collect();
    let open = move |number: u64| -> io::Result<Option<VolumeReader>> {
        let Some(path) = usize::try_from(number).ok().and_then(|number| paths.get(number)) else {
            return Ok(None);
        };
        Ok(Some(Box::new(File::open(path)?)))
    };
    let mut decoder = ArchiveDecoder::with_volumes(open, limits, threads)?;
    let (mut members, mut bytes) = (0u64, 0u64);
    while let Some(member) = decoder.next_member()? {
        let target = match folder {
            Some(folder) => make_target(folder, member.header())?,
            None => None,
        };
        members += 1;
        member.copy_to(|piece| {
            bytes += piece.len() as u64;
            match &target {
                Some(file) => (&*file).write_all(piece),
                None => Ok(()),
            }
        })?;
    }
    writeln!(io::stdout(), "{members} members, {bytes} bytes, all as their headers state")?;
    Ok(())
}

/// Makes what the header describes, and gives the file for its data. Links and references are left out.
fn make_target(folder: &Path, header: &FileHeader) -> Result<Option<File>, Box<dyn Error>> {
    let name = std::str::from_utf8(&header.name)?;
    let inside = Path::new(name);
    if inside.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(format!("refuses the name {name:?}").into());
    }
    let path = folder.join(inside);
    if header.is_directory {
        fs::create_dir_all(path)?;
        return Ok(None);
    }
    if header.redirection.is_some() {
        return Ok(None);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(Some(File::create_new(path)?))
}
