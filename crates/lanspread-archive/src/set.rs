//! Which files of a folder form which archive, and how to open them.
//!
//! `NAME.partN.eti` files of one `NAME` are the volumes of one archive, in volume order (`N` counts from 1, leading
//! zeros are allowed). Every other `*.eti` file is an archive of its own. Archives stream in byte-wise order of the
//! name of their first file.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use lanspread_types::regular_file::open_of_user;

/// One archive: one file, or all volumes of one set in volume order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSet {
    /// Folder that holds the files.
    root: PathBuf,
    /// File names, first volume first; never empty.
    files: Vec<String>,
}

/// The bytes of one volume, from a file or another source.
pub trait Volume: Read + Seek + Send {}

impl<T: Read + Seek + Send> Volume for T {}

/// A volume set in which a volume is missing or there twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("volume {missing} of the archive set {set} is missing or ambiguous; found {found:?}")]
pub struct VolumeGap {
    /// Common name of the set.
    pub set: String,
    /// The first volume number that does not occur exactly once.
    pub missing: u32,
    /// The files of the set.
    pub found: Vec<String>,
}

impl ArchiveSet {
    /// An archive of one file.
    pub fn single(root: &Path, file: &str) -> Self {
        Self { root: root.to_owned(), files: vec![file.to_owned()] }
    }

    /// File name of the archive, or of its first volume.
    pub fn name(&self) -> &str {
        &self.files[0]
    }

    /// Names of the files, first volume first.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// How many volumes there are, at least one.
    pub fn volumes(&self) -> usize {
        self.files.len()
    }

    /// Path of a volume; volumes count from 0.
    ///
    /// # Panics
    /// If there is no such volume.
    pub fn path(&self, volume: usize) -> PathBuf {
        self.root.join(&self.files[volume])
    }

    /// Paths of the files, first volume first.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().map(|file| self.root.join(file))
    }

    /// Path of the archive, or of its first volume.
    pub fn first_path(&self) -> PathBuf {
        self.root.join(self.name())
    }

    /// Opens a volume for reading; volumes count from 0. Decoders in this process have no other access to an archive.
    ///
    /// # Errors
    /// If the system refuses, or if it is not a regular file.
    ///
    /// # Panics
    /// If there is no such volume.
    pub fn open(&self, volume: usize) -> io::Result<Box<dyn Volume>> {
        Ok(Box::new(open_of_user(&self.path(volume))?))
    }

    /// Groups the archive files of one folder.
    ///
    /// # Errors
    /// [`VolumeGap`] for the first incomplete set.
    pub fn group<'n>(root: &Path, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<Self>, VolumeGap> {
        let mut sets: BTreeMap<String, Vec<(Option<u32>, String)>> = BTreeMap::new();
        for name in names {
            let (key, number) = match volume_number(name) {
                Some((stem, number)) => (format!("{stem}.part"), Some(number)),
                None => (name.to_owned(), None),
            };
            sets.entry(key).or_default().push((number, name.to_owned()));
        }
        let mut archives = Vec::with_capacity(sets.len());
        for (key, mut volumes) in sets {
            volumes.sort();
            if volumes[0].0.is_some() {
                check_numbers(&key, &volumes)?;
            }
            archives.push(Self {
                root: root.to_owned(),
                files: volumes.into_iter().map(|(_, name)| name).collect(),
            });
        }
        archives.sort_by(|one, other| one.name().cmp(other.name()));
        Ok(archives)
    }
}

fn check_numbers(set: &str, volumes: &[(Option<u32>, String)]) -> Result<(), VolumeGap> {
    for (expected, (number, _)) in (1..).zip(volumes) {
        if *number != Some(expected) {
            let found = volumes.iter().map(|(_, name)| name.clone()).collect();
            return Err(VolumeGap { set: set.to_owned(), missing: expected, found });
        }
    }
    Ok(())
}

/// `game.part03.eti` → (`game`, 3).
fn volume_number(name: &str) -> Option<(&str, u32)> {
    let (rest, _extension) = name.rsplit_once('.')?;
    let (stem, part) = rest.rsplit_once('.')?;
    let prefix = part.get(..4)?;
    let digits = part.get(4..)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if stem.is_empty() || !plain || !prefix.eq_ignore_ascii_case("part") {
        return None;
    }
    Some((stem, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use lanspread_types::layout::is_archive_name;

    use super::*;

    fn group(names: &[&str]) -> Result<Vec<Vec<String>>, VolumeGap> {
        let sets = ArchiveSet::group(Path::new("/g"), names.iter().copied())?;
        Ok(sets.into_iter().map(|set| set.files).collect())
    }

    #[test]
    fn single_archives_stream_in_byte_wise_order() {
        assert_eq!(group(&["b.eti", "B.eti", "a.eti"]).unwrap(), [["B.eti"], ["a.eti"], ["b.eti"]]);
    }

    #[test]
    fn volumes_of_one_set_are_one_archive_in_numeric_order() {
        let sets = group(&["x.part10.eti", "x.part2.eti", "a.eti", "x.part1.eti"]);
        assert_eq!(sets.unwrap_err().missing, 3);
        let names: Vec<String> = (1..=10).rev().map(|n| format!("x.part{n}.eti")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let sets = group(&names).unwrap();
        assert_eq!(sets.len(), 1);
        assert_eq!(sets[0][1], "x.part2.eti");
        assert_eq!(sets[0][9], "x.part10.eti");
    }

    #[test]
    fn missing_and_repeated_volumes_are_refused() {
        assert_eq!(group(&["x.part2.eti"]).unwrap_err().missing, 1);
        assert_eq!(group(&["x.part1.eti", "x.part01.eti"]).unwrap_err().missing, 2);
        assert_eq!(group(&["x.part0.eti", "x.part1.eti"]).unwrap_err().missing, 1);
    }

    #[test]
    fn names_that_only_look_like_volumes_are_single_archives() {
        assert_eq!(group(&["x.part.eti", "x.partA.eti", "part1.eti"]).unwrap().len(), 3);
        assert_eq!(group(&["x.disk1.eti", "x.disk2.eti", "x.par1.eti"]).unwrap().len(), 3);
        assert!(is_archive_name("x.ETI") && !is_archive_name(".eti") && !is_archive_name("x.rar"));
    }
}
