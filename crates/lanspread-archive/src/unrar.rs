//! The external program `unrar` as a provider: `unrar lt` lists an archive, one `unrar p` prints all its
//! content.
//!
//! Invariants: the program runs in the folder of the archive and gets the plain name of the first volume, never names
//! of entries, which it would take for wildcards. It asks no questions and reads neither a configuration file nor our
//! environment. [`ListingGuard`] holds what it prints to the listing, and an archive ends only after the program has
//! ended without a fault; `unrar/headers.rs` has the two cases in which its word alone is not enough. No process outlives a
//! call (`unrar/child.rs`).
//!
//! This relies on facts about `unrar` 6.21 and `rar` 7.01 that tests check: `p` prints nothing for directories, empty
//! files, file references and hard links, so its output is the content of all other files, end to end; `*` and `?` in
//! the name of an archive are wildcards, `[` is not. No test checks that the locale must be a UTF-8 one: in any other,
//! the program prints `?` for characters that the locale cannot hold. glibc has `C.UTF-8` since 2.35, Debian's glibc
//! since earlier versions, and musl has it too.

mod child;
mod headers;
mod listing_text;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_types::limits;
use lanspread_types::regular_file::open_of_user;
use tokio_util::sync::CancellationToken;

use crate::error::ArchiveError;
use crate::listing_guard::ListingGuard;
use crate::provider::{ArchiveListing, ArchiveProvider, OpenArchive, SharedSink};
use crate::set::ArchiveSet;
use crate::unrar::child::{Interruption, Run};
use crate::unrar::listing_text::ListingText;

/// Lists all volumes (`-v`) with all fields (`lt`); [`SAFE_SWITCHES`] follow.
const LIST: [&str; 2] = ["lt", "-v"];
/// Prints content, and nothing but faults on stderr (`-idq`).
const PRINT: [&str; 2] = ["p", "-idq"];
/// No configuration file, no password, no archive comment, no questions, no further switches.
const SAFE_SWITCHES: [&str; 5] = ["-cfg-", "-p-", "-c-", "-y", "--"];
/// Dictionaries that the program allows without being asked to.
const DICTIONARY_BYTES_UNASKED: u64 = 4 << 30;
/// Most bytes read from the pipe at once; more than it usually holds.
const READ_BYTES: usize = 256 * 1024;

/// Lists and decodes with an external `unrar`.
#[derive(Clone)]
pub(super) struct UnrarProvider {
    program: PathBuf,
    dictionary_bytes_max: u64,
}

impl UnrarProvider {
    /// `program` is a path, or a name to look for on `PATH`.
    pub(super) fn new(program: PathBuf, dictionary_bytes_max: u64) -> Self {
        // The program runs in the folder of the archive, where a relative path would mean something else.
        let is_path = program.components().count() > 1;
        let program = if is_path { std::path::absolute(&program).unwrap_or(program) } else { program };
        Self { program, dictionary_bytes_max }
    }

    fn start(
        &self,
        archive: &ArchiveSet,
        command: [&str; 2],
        dictionary: Option<&str>,
    ) -> Result<Run, ArchiveError> {
        let name = archive.name();
        if let Some(odd) = name.chars().find(|character| character.is_control() || "*?".contains(*character))
        {
            let reason =
                format!("it would take {odd:?} in the name of the archive for a wildcard; rename the file");
            return Err(self.failed(archive, reason));
        }
        // The error of the system is clearer than the program's about which file cannot be read, and why.
        for path in archive.paths() {
            if let Err(error) = open_of_user(&path) {
                return Err(ArchiveError::Read { path, source: error.into() });
            }
        }
        let first = archive.first_path();
        let folder = match first.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let arguments: Vec<&str> =
            command.into_iter().chain(dictionary).chain(SAFE_SWITCHES).chain([name]).collect();
        Run::start(&self.program, &arguments, folder)
            .map_err(|source| ArchiveError::ProgramMissing { program: self.program.clone(), source })
    }

    /// Waits until a run whose output has ended exits, and reports its fault.
    fn finish(
        &self,
        archive: &ArchiveSet,
        run: Run,
        empty: bool,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        let outcome = run.finish(cancel).map_err(|source| self.interrupted(archive, source))?;
        let name = archive.name();
        if verdict::can_be_about_the_comment(outcome.status, &outcome.complaints)
            && headers::are_whole(archive)?
        {
            return Ok(());
        }
        match verdict::of_ended_run(&self.program, name, outcome.status, &outcome.complaints, empty) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn failed(&self, archive: &ArchiveSet, reason: String) -> ArchiveError {
        ArchiveError::ProgramFailed {
            program: self.program.clone(),
            archive: archive.name().to_owned(),
            reason,
        }
    }

    fn interrupted(&self, archive: &ArchiveSet, interruption: Interruption) -> ArchiveError {
        match interruption {
            Interruption::Cancelled => ArchiveError::Cancelled,
            Interruption::System(source) => self.failed(archive, format!("cannot watch it: {source}")),
        }
    }
}

impl ArchiveProvider for UnrarProvider {
    fn open(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn OpenArchive>, ArchiveError> {
        let listing = Arc::new(self.inspect(archive, cancel)?);
        Ok(Box::new(UnrarArchive { provider: self.clone(), set: archive.clone(), listing }))
    }
}

/// An archive that the program has listed.
struct UnrarArchive {
    provider: UnrarProvider,
    set: ArchiveSet,
    listing: Arc<ArchiveListing>,
}

impl OpenArchive for UnrarArchive {
    fn listing(&self) -> &Arc<ArchiveListing> {
        &self.listing
    }

    fn extract(self: Box<Self>, sink: SharedSink, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        self.provider.extract(&self.set, &self.listing, sink, cancel)
    }
}

impl UnrarProvider {
    fn inspect(
        &self,
        archive: &ArchiveSet,
        cancel: &CancellationToken,
    ) -> Result<ArchiveListing, ArchiveError> {
        let mut run = self.start(archive, LIST, None)?;
        let mut text = ListingText::new(&self.program, archive.name(), self.dictionary_bytes_max);
        let mut buffer = vec![0; READ_BYTES];
        let mut bytes: u64 = 0;
        let mut refusal = None;
        loop {
            let count = run.read(&mut buffer, cancel).map_err(|source| self.interrupted(archive, source))?;
            if count == 0 {
                break;
            }
            bytes += count as u64;
            if bytes > limits::LISTING_BYTES_MAX {
                let (what, limit) = ("bytes of listing", limits::LISTING_BYTES_MAX);
                return Err(ArchiveError::Limit {
                    archive: archive.name().to_owned(),
                    what,
                    limit,
                    got: bytes,
                });
            }
            // The program lists entries out of damaged headers too, and says so in the end. Damage is then the cause.
            if refusal.is_none() {
                refusal = text.push(&buffer[..count]).err();
            }
        }
        self.finish(archive, run, true, cancel)?;
        headers::check_end(archive, cancel)?;
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let files: Vec<PathBuf> = archive.paths().collect();
        text.finish(files.iter().filter_map(|path| path.file_name()?.to_str()))
    }

    fn extract(
        &self,
        archive: &ArchiveSet,
        listing: &Arc<ArchiveListing>,
        sink: SharedSink,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        let mut run = self.start(archive, PRINT, allowed_dictionary(listing.dictionary_bytes).as_deref())?;
        let mut guard = ListingGuard::begin(Arc::clone(listing), sink)?;
        let empty = guard.expected().is_none();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = run.read(&mut buffer, cancel).map_err(|source| self.interrupted(archive, source))?;
            if count == 0 {
                break;
            }
            if let Err(misfit) = guard.push(&buffer[..count]) {
                return Err(self.explain(archive, run, misfit));
            }
        }
        self.finish(archive, run, empty, cancel)?;
        guard.finish()
    }

    /// Stops a run whose output was not accepted. If the archive is at fault, the program's own message may explain it
    /// better.
    fn explain(&self, archive: &ArchiveSet, run: Run, misfit: ArchiveError) -> ArchiveError {
        if matches!(misfit, ArchiveError::Sink(_)) {
            return misfit;
        }
        match run.stop() {
            Ok(complaints) => verdict::of_stopped_run(archive.name(), &complaints).unwrap_or(misfit),
            Err(source) => self.interrupted(archive, Interruption::System(source)),
        }
    }
}

/// The switch without which the program (from version 7) refuses dictionaries above 4 GiB.
fn allowed_dictionary(bytes: u64) -> Option<String> {
    (bytes > DICTIONARY_BYTES_UNASKED).then(|| format!("-mdx{}g", bytes.div_ceil(1 << 30)))
}

#[cfg(test)]
mod tests;
