//! What a download serves chunks of. The files of a game root are one kind; a window of verified bytes will be another,
//! and the loop that answers requests need not know.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use lanspread_proto::message::{DownloadFile, Refusal, RefusalCode};
use lanspread_store::state::game_state::GameState;
use lanspread_types::content::RootFile;
use lanspread_types::regular_file::{FileError, open_of_user};
use sha2::{Digest, Sha256};

/// Files of which chunks can be read, on a thread that may block.
pub(super) trait ServedChunks: Send + 'static {
    /// The files as they are announced, in the order in which requests number them.
    fn files(&self) -> &[DownloadFile];

    /// Reads bytes of a file from `offset` on and returns how many: 0 only at the end of the file.
    ///
    /// # Errors
    /// The refusal that the receiver is sent.
    fn read_at(&mut self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<usize, Refusal>;

    /// Makes sure that a file is still the one that was announced.
    ///
    /// # Errors
    /// The refusal that the receiver is sent.
    fn check_unchanged(&mut self, file: usize) -> Result<(), Refusal>;
}

/// The root files of a game.
#[derive(Debug)]
pub(super) struct FilesOnDisk {
    files: Vec<DownloadFile>,
    /// Of each file.
    paths: Vec<PathBuf>,
    /// The file that was read last: most requests are for the same one.
    open: Option<(usize, File)>,
}

impl FilesOnDisk {
    /// Takes the fingerprint of every root file.
    pub(super) fn survey(state: &GameState) -> Result<Self, Refusal> {
        let mut files = Vec::with_capacity(state.root_files.len());
        let mut paths = Vec::with_capacity(state.root_files.len());
        for file in &state.root_files {
            let path = state.root.join(&file.name);
            let (_, metadata) = open_regular(&path)?;
            if metadata.len() != file.size {
                return Err(changed(file));
            }
            files.push(DownloadFile { file: file.clone(), fingerprint: fingerprint(&metadata) });
            paths.push(path);
        }
        Ok(Self { files, paths, open: None })
    }

    fn open(&mut self, file: usize) -> Result<&File, Refusal> {
        let opened = match self.open.take() {
            Some((number, opened)) if number == file => opened,
            _ => open_regular(&self.paths[file])?.0,
        };
        Ok(&self.open.insert((file, opened)).1)
    }
}

impl ServedChunks for FilesOnDisk {
    fn files(&self) -> &[DownloadFile] {
        &self.files
    }

    fn read_at(&mut self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let read = self.open(file)?.read_at(buffer, offset);
        read.map_err(|error| unreadable(&self.paths[file], &error))
    }

    fn check_unchanged(&mut self, file: usize) -> Result<(), Refusal> {
        let metadata = self.open(file)?.metadata().map_err(|error| unreadable(&self.paths[file], &error))?;
        let announced = &self.files[file];
        if fingerprint(&metadata) == announced.fingerprint { Ok(()) } else { Err(changed(&announced.file)) }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refusal {
    tracing::warn!("{} cannot be read: {error}", path.display());
    Refusal::new(RefusalCode::Internal, "it cannot read one of its files")
}

/// Opens a regular file, without blocking if something else has taken its name meanwhile, for example a pipe.
fn open_regular(path: &Path) -> Result<(File, Metadata), Refusal> {
    let opened = open_of_user(path).and_then(|file| {
        let metadata = file.metadata()?;
        Ok((file, metadata))
    });
    opened.map_err(|error| {
        tracing::warn!("{} cannot be served: {error}", path.display());
        match error {
            FileError::Io(_) => Refusal::new(RefusalCode::Internal, "it cannot read one of its files"),
            _ => Refusal::new(RefusalCode::Changed, "one of its files is no longer a regular file"),
        }
    })
}

/// Identifies a file and its last change in one number, the same in every run of the program.
pub(super) fn fingerprint(metadata: &Metadata) -> u64 {
    let mut hash = Sha256::new();
    for part in [metadata.dev(), metadata.ino(), metadata.size()] {
        hash.update(part.to_be_bytes());
    }
    for part in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hash.update(part.to_be_bytes());
    }
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(super) fn changed(file: &RootFile) -> Refusal {
    Refusal::new(RefusalCode::Changed, &format!("its {} has changed", file.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(root: &Path, files: &[(&str, u64)]) -> GameState {
        GameState {
            game: "g".parse().unwrap(),
            root: root.to_owned(),
            version: None,
            problem: None,
            installed: false,
            installed_version: None,
            installed_trust: None,
            root_files: files
                .iter()
                .map(|(name, size)| RootFile { name: (*name).to_owned(), size: *size })
                .collect(),
        }
    }

    fn code(root: &Path, files: &[(&str, u64)]) -> Option<RefusalCode> {
        FilesOnDisk::survey(&state(root, files)).err().map(|refusal| refusal.code)
    }

    /// A file is announced only if it is a regular file of the size that its game was judged with.
    #[test]
    fn only_regular_files_of_the_listed_size_are_announced() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join("a.eti"), "1234").unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let pipe = root.join("p.eti");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::fs::create_dir(root.join("d.eti")).unwrap();
        assert_eq!(code(root, &[("a.eti", 4)]), None);
        assert_eq!(code(root, &[("a.eti", 3)]), Some(RefusalCode::Changed));
        assert_eq!(code(root, &[("a.eti", 4), ("p.eti", 0)]), Some(RefusalCode::Changed));
        let folder_bytes = std::fs::metadata(root.join("d.eti")).unwrap().len();
        assert_eq!(code(root, &[("d.eti", folder_bytes)]), Some(RefusalCode::Changed));
        assert_eq!(code(root, &[("gone.eti", 0)]), Some(RefusalCode::Internal));
    }
}
