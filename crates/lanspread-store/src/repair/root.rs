//! Which chunks of the downloaded files are wrong.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use lanspread_types::checksum::ChecksumHasher;
use lanspread_types::content::RootFile;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::download::partials::{Partials, RepairKind, RepairParts};
use crate::error::StoreError;
use crate::state::chunks::{Chunk, Chunks};
use crate::state::listed_chunks::ListedChunks;
use crate::state::record::Record;
use crate::verify::comparison::{Comparison, Problem, Recording};
use crate::verify::downloaded::{DownloadedFiles, ExpectedFiles, PART};

/// The downloaded files that are wrong, chunk by chunk.
#[derive(Debug, Clone)]
pub struct RootRepair {
    version: GameVersion,
    files: Vec<RootFile>,
    chunk_bytes: u64,
    /// Whether a chunk is right, by its id.
    is_right: Vec<bool>,
    /// What is wrong with a file, by its number.
    wrong: Vec<Option<Wrong>>,
    paths: Vec<PathBuf>,
    /// What was recorded when the files arrived, if they were compared with that.
    recorded: Option<Record>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It can be changed where it is.
    Parts,
    /// It is missing, or is replaced as a whole.
    Whole,
}

impl RootRepair {
    /// Compares downloaded files with the manifest or the record. None if they are right.
    pub(super) fn find(
        download: &DownloadedFiles,
        recording: Recording,
        comparison: &mut Comparison<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let files = download.files().to_vec();
        let chunk_bytes = match &download.expected {
            ExpectedFiles::Recorded(record) => record.chunks.chunk_bytes(),
            ExpectedFiles::Listed(listed, _) => chunk_bytes(listed, &files),
        };
        let chunks = Chunks::of(&files, chunk_bytes);
        let paths = files.iter().map(|file| download.path(&file.name)).collect();
        let (is_right, wrong) = (vec![true; chunks.all().len()], vec![None; files.len()]);
        let version = download.version().clone();
        let recorded = match &download.expected {
            ExpectedFiles::Recorded(record) => Some(record.clone()),
            ExpectedFiles::Listed(..) => None,
        };
        let mut repair = Self { version, files, chunk_bytes, is_right, wrong, paths, recorded };
        for number in 0..repair.files.len() {
            let problem = repair.judge(download, &chunks, number, comparison)?;
            let can_be_changed = || download.can_be_changed(&repair.files[number].name);
            repair.wrong[number] = problem.map(|problem| {
                if problem != Problem::Missing && can_be_changed() { Wrong::Parts } else { Wrong::Whole }
            });
            comparison.file(PART, &repair.files[number].name, problem);
        }
        if repair.wrong.iter().all(Option::is_none) {
            if recording == Recording::On {
                download.found_right()?;
            }
            return Ok(None);
        }
        Ok(Some(repair))
    }

    /// Judges each chunk of a file.
    fn judge(
        &mut self,
        download: &DownloadedFiles,
        chunks: &Chunks,
        number: usize,
        comparison: &mut Comparison<'_>,
    ) -> Result<Option<Problem>, StoreError> {
        let expected = &self.files[number];
        let Some((mut content, size)) = download.open(&expected.name)? else {
            self.set_wrong(chunks, number);
            return Ok(Some(Problem::Missing));
        };
        let mut problem = (size != expected.size).then_some(Problem::Size);
        for chunk in chunks.of_file(number) {
            let is_right = chunk.offset + chunk.length <= size
                && match &download.expected {
                    ExpectedFiles::Listed(listed, _) => {
                        is_listed(listed, chunk, &mut content, &self.paths[number], |bytes| {
                            comparison.advance(bytes);
                            comparison.go_on()
                        })?
                    }
                    ExpectedFiles::Recorded(record) => {
                        content
                            .seek(SeekFrom::Start(chunk.offset))
                            .map_err(LocalError::io("read", &self.paths[number]))?;
                        let read = comparison.read((&mut content).take(chunk.length))?;
                        let (length, checksum) = read.map_err(LocalError::io("read", &self.paths[number]))?;
                        let recorded = record.here[chunk.id].as_ref().map(|recorded| recorded.checksum);
                        length == chunk.length && recorded == Some(checksum)
                    }
                };
            if !is_right {
                self.is_right[chunk.id] = false;
                problem = problem.or(Some(Problem::Content));
            }
        }
        Ok(problem)
    }

    fn set_wrong(&mut self, chunks: &Chunks, number: usize) {
        for chunk in chunks.of_file(number) {
            self.is_right[chunk.id] = false;
        }
    }

    /// The version of the files.
    pub fn version(&self) -> &GameVersion {
        &self.version
    }

    /// All files, sorted by name.
    pub fn files(&self) -> &[RootFile] {
        &self.files
    }

    /// Number of files that are wrong.
    pub fn wrong_files(&self) -> u64 {
        self.wrong.iter().flatten().count() as u64
    }

    /// Looks closer at what is wrong, if a list says more of the same files than the record does.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`]; if a file or the list cannot be read.
    pub fn refine(&mut self, listed: &ListedChunks, cancel: &CancellationToken) -> Result<(), StoreError> {
        let finer = chunk_bytes(listed, &self.files);
        if finer >= self.chunk_bytes || listed.files() != self.files || listed.version() != &self.version {
            return Ok(());
        }
        let (coarse, fine) = (Chunks::of(&self.files, self.chunk_bytes), Chunks::of(&self.files, finer));
        let mut is_right = vec![true; fine.all().len()];
        for chunk in fine.all() {
            let around = coarse.containing(chunk.file, chunk.offset);
            if around.is_none_or(|around| self.is_right[around.id]) {
                continue;
            }
            let path = &self.paths[chunk.file];
            let go_on = |_| if cancel.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) };
            is_right[chunk.id] = self.wrong[chunk.file] == Some(Wrong::Parts)
                && match File::open(path) {
                    Ok(mut content) => is_listed(listed, chunk, &mut content, path, go_on)?,
                    Err(_) => false,
                };
        }
        // What the list says is right and the record says is wrong is of other bytes, which the list knows better.
        (self.chunk_bytes, self.is_right) = (finer, is_right);
        Ok(())
    }

    /// Compares what was fetched, together with what is right, with the record of the files, if that is all there is to
    /// compare with: sources may have other files of the same version.
    ///
    /// # Errors
    /// [`StoreError::OtherBytes`]; if a file cannot be read.
    pub fn check_fetched(
        &self,
        game: &GameId,
        partials: &Partials,
        fetched: &Record,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let Some(recorded) = &self.recorded else { return Ok(()) };
        for chunk in recorded.chunks.all() {
            let is_inside =
                |part: &&Chunk| part.offset >= chunk.offset && part.offset < chunk.offset + chunk.length;
            let parts: Vec<&Chunk> = fetched.chunks.of_file(chunk.file).iter().filter(is_inside).collect();
            if parts.iter().all(|part| fetched.here[part.id].is_none()) {
                continue;
            }
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let mut checksum = ChecksumHasher::default();
            for part in parts {
                let mut file = match &fetched.here[part.id] {
                    Some(_) => partials.open(part.file)?,
                    None => File::open(&self.paths[part.file])
                        .map_err(LocalError::io("open", &self.paths[part.file]))?,
                };
                add_part(&mut checksum, &mut file, part)
                    .map_err(LocalError::io("read", &self.paths[part.file]))?;
            }
            let was = recorded.here[chunk.id].as_ref().map(|was| was.checksum);
            if was != Some(checksum.finish()) {
                let file = self.files[chunk.file].name.clone();
                return Err(StoreError::OtherBytes { game: game.clone(), file });
            }
        }
        Ok(())
    }

    /// What is fetched to repair the files.
    pub fn parts(&self) -> RepairParts {
        let chunks = Chunks::of(&self.files, self.chunk_bytes);
        let needs = |chunk: &Chunk| match self.wrong[chunk.file] {
            None => false,
            Some(Wrong::Parts) => !self.is_right[chunk.id],
            Some(Wrong::Whole) => true,
        };
        let is_needed: Vec<bool> = chunks.all().iter().map(needs).collect();
        let is_made = self.wrong.iter().map(Option::is_some).collect();
        RepairParts {
            version: self.version.clone(),
            files: self.files.clone(),
            chunk_bytes: self.chunk_bytes,
            is_needed,
            is_made,
            kind: RepairKind::Download,
        }
    }
}

fn add_part(checksum: &mut ChecksumHasher, file: &mut File, part: &Chunk) -> io::Result<()> {
    file.seek(SeekFrom::Start(part.offset))?;
    let mut buffer = vec![0; limits::DATA_CHUNK_BYTES];
    let mut content = file.take(part.length);
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => checksum.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes of a chunk that is fetched alone: of a listed chunk, or of several if there are very many.
pub(super) fn chunk_bytes(listed: &ListedChunks, files: &[RootFile]) -> u64 {
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let mut chunk_bytes = listed.chunk_bytes();
    while chunk_bytes < limits::CHUNK_BYTES && bytes / chunk_bytes > limits::REPAIR_CHUNKS_MAX {
        chunk_bytes *= 2;
    }
    chunk_bytes
}

fn is_listed(
    listed: &ListedChunks,
    chunk: &Chunk,
    content: &mut File,
    shown: &std::path::Path,
    read: impl FnMut(u64) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    listed.are_in(chunk.file, content, shown, chunk.offset..chunk.offset + chunk.length, read)
}
