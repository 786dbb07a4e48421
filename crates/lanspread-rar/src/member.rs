//! One member while it is decoded: from the items of jobs to pieces of unpacked data.

use std::ops::Range;

use crate::batch::{Batch, Mark, Repeats};
use crate::checksum::Checksums;
use crate::error::{DataError, Error, Result};
use crate::header::FileHeader;
use crate::schedule::Schedule;
use crate::source::{Item, Job, PackedSource};
use crate::window::{OutputPlace, Window};

/// Where a piece of unpacked data is.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Window(OutputPlace),
    Stored(Range<usize>),
}

/// What drives the decoder: all of an archive's items, one after the other.
pub(crate) struct Engine {
    schedule: Schedule,
    job: Job,
    /// Index of the current item.
    item: usize,
    window: Window,
    /// For blocks that are decoded here.
    batch: Box<Batch>,
    /// What blocks may repeat.
    repeats: Repeats,
    playing: Option<Playing>,
    member: Option<Current>,
    /// A compressed member was left out without decoding it, so that no solid one can follow.
    has_gap: bool,
    /// The largest size of a member that states none.
    member_bytes_max: u64,
    has_failed: bool,
}

/// Operations that are being executed.
struct Playing {
    /// They are in the engine's own batch, not in the job's.
    is_own: bool,
    from: Mark,
    until: Mark,
}

/// The member that was begun.
struct Current {
    file: Box<FileHeader>,
    checksums: Checksums,
    /// Bytes handed on.
    handed: u64,
    /// The last part's header, once all packed data was decoded.
    last: Option<Box<FileHeader>>,
}

impl Current {
    fn damaged(&self, source: DataError) -> Error {
        Error::Data { name: self.file.name_lossy(), source }
    }
}

impl Engine {
    pub(crate) fn new(source: PackedSource, workers: usize, member_bytes_max: u64) -> Self {
        Self {
            schedule: Schedule::new(source, workers),
            job: Job::default(),
            item: 0,
            window: Window::new(),
            batch: Box::new(Batch::new()),
            repeats: Repeats::UNSET,
            playing: None,
            member: None,
            has_gap: false,
            member_bytes_max,
            has_failed: false,
        }
    }

    /// Goes to the next member, over what is left of the one before. After an error, there is no next.
    pub(crate) fn next_member(&mut self, is_solid: bool) -> Result<Option<&FileHeader>> {
        if self.has_failed {
            return Err(Error::Failed);
        }
        // Every early return leaves it set.
        self.has_failed = true;
        if self.member.is_some() {
            if is_solid {
                self.decode_over()?;
            } else {
                self.skip_over()?;
            }
        }
        let begun = self.begin()?;
        self.has_failed = false;
        if !begun {
            return Ok(None);
        }
        Ok(self.member.as_ref().map(|member| &*member.file))
    }

    /// The next piece of the current member, `None` at its end, when it has been verified.
    pub(crate) fn next_piece(&mut self) -> Result<Option<Piece>> {
        if self.has_failed {
            return Err(Error::Failed);
        }
        self.has_failed = true;
        let piece = self.find_piece()?;
        match &piece {
            Some(piece) => {
                let bytes = bytes_of(&self.window, &self.job, piece);
                if let Some(member) = &mut self.member {
                    member.checksums.update(bytes);
                    member.handed += bytes.len() as u64;
                    if let Some(expected) = member.file.unpacked_bytes.filter(|size| member.handed > *size) {
                        let name = member.file.name_lossy();
                        return Err(Error::Size { name, expected, got: member.handed, more: true });
                    }
                }
            }
            None => self.end()?,
        }
        self.has_failed = false;
        Ok(piece)
    }

    /// The bytes of the piece that was found last.
    pub(crate) fn bytes(&self, piece: &Piece) -> &[u8] {
        bytes_of(&self.window, &self.job, piece)
    }

    /// Nothing more can be decoded.
    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
    }

    fn find_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            let Some(member) = &self.member else { return Ok(None) };
            let all = member.last.is_some();
            if let Some(output) = self.window.take_output(all).map_err(|damage| member.damaged(damage))? {
                return Ok(Some(Piece::Window(output)));
            }
            if all {
                return Ok(None);
            }
            if let Some(range) = self.advance()? {
                return Ok(Some(Piece::Stored(range)));
            }
        }
    }

    /// Verifies the current member and leaves it.
    fn end(&mut self) -> Result<()> {
        let Some(Current { file, checksums, handed, last }) = self.member.take() else { return Ok(()) };
        let Some(last) = last else { return Ok(()) };
        if file.is_directory || file.redirection.is_some() {
            return Ok(());
        }
        if let Some(expected) = last.unpacked_bytes.filter(|expected| *expected != handed) {
            return Err(Error::Size { name: file.name_lossy(), expected, got: handed, more: false });
        }
        checksums.verify(&last)
    }

    /// Does the next bit of work: executes operations, decodes a block, or goes to the next item. Returns stored data.
    fn advance(&mut self) -> Result<Option<Range<usize>>> {
        if self.playing.is_some() {
            self.play()?;
            return Ok(None);
        }
        let Some(member) = &mut self.member else { return Ok(None) };
        self.item += 1;
        if self.item > self.job.items.len() {
            self.next_job()?;
            return Ok(None);
        }
        let at = self.item - 1;
        match &mut self.job.items[at] {
            Item::Block(_) => self.begin_block(at),
            Item::Stored(range) => return Ok(Some(range.clone())),
            Item::Damaged(damage) => {
                // What was decoded before is of no use without the rest.
                return Err(member.damaged(*damage));
            }
            Item::MemberEnd(last) => member.last = Some(last.clone()),
            item @ Item::Failed(_) => return Err(take_failure(item)),
            // A member ends before another begins, and before the archive does.
            Item::Member(_) | Item::End => return Err(Error::Failed),
        }
        Ok(None)
    }

    /// Begins to execute a block, decoding it first unless a worker has.
    fn begin_block(&mut self, at: usize) {
        let Item::Block(block) = &mut self.job.items[at] else { return };
        if let Some((from, until)) = block.decoded.take() {
            self.playing = Some(Playing { is_own: false, from, until });
        } else {
            block.cursor.repeats = self.repeats;
            self.decode_more(at);
        }
    }

    /// Decodes as much of a block as there is room for.
    fn decode_more(&mut self, at: usize) {
        self.job.decode_block(at, &mut self.batch);
        self.playing = Some(Playing { is_own: true, from: Mark::default(), until: self.batch.end() });
    }

    /// Executes operations, and at their end continues with the block.
    fn play(&mut self) -> Result<()> {
        let (Some(playing), Some(member)) = (&mut self.playing, &self.member) else { return Ok(()) };
        let batch = if playing.is_own { Some(&*self.batch) } else { self.job.batch() };
        if let Some(batch) = batch {
            let played = self.window.play(batch, &mut playing.from, playing.until, &self.repeats);
            played.map_err(|damage| member.damaged(damage))?;
        }
        let produced = self.window.produced();
        match member.file.unpacked_bytes {
            Some(expected) if produced > expected => {
                let name = member.file.name_lossy();
                return Err(Error::Size { name, expected, got: produced, more: true });
            }
            None if produced > self.member_bytes_max => {
                let limit = self.member_bytes_max;
                return Err(Error::Limit { what: "bytes in a member", limit, got: produced });
            }
            _ => {}
        }
        if playing.from.operation < playing.until.operation {
            return Ok(());
        }
        self.playing = None;
        let at = self.item - 1;
        let Item::Block(block) = &mut self.job.items[at] else { return Ok(()) };
        if let Some(damage) = block.failure {
            return Err(member.damaged(damage));
        }
        self.repeats = block.cursor.repeats.resolve(&self.repeats);
        block.cursor.repeats = self.repeats;
        if !block.cursor.is_at_end() {
            self.decode_more(at);
        }
        Ok(())
    }

    fn next_job(&mut self) -> Result<()> {
        self.job = self.schedule.next(std::mem::take(&mut self.job))?;
        self.item = 0;
        Ok(())
    }

    /// Leaves the rest of a member out, but keeps the dictionary right for the next.
    fn decode_over(&mut self) -> Result<()> {
        while self.find_piece()?.is_some() {}
        self.member = None;
        Ok(())
    }

    /// Leaves the rest of a member out without decoding it.
    fn skip_over(&mut self) -> Result<()> {
        self.playing = None;
        let Some(member) = self.member.take() else { return Ok(()) };
        self.has_gap |= !member.file.compression.is_stored();
        if member.last.is_some() {
            // All of it was decoded, only not handed on.
            return Ok(());
        }
        loop {
            match self.job.items.get_mut(self.item) {
                None => {
                    self.next_job()?;
                    continue;
                }
                Some(Item::MemberEnd(_)) => break,
                Some(item @ Item::Failed(_)) => return Err(take_failure(item)),
                Some(Item::Damaged(damage)) => return Err(member.damaged(*damage)),
                Some(_) => {}
            }
            self.item += 1;
        }
        self.item += 1;
        Ok(())
    }

    /// Begins the next member. `false` at the end of the archive.
    fn begin(&mut self) -> Result<bool> {
        loop {
            match self.job.items.get_mut(self.item) {
                None => self.next_job()?,
                Some(Item::Member(file)) => {
                    let file = file.clone();
                    self.item += 1;
                    self.begin_member(file)?;
                    return Ok(true);
                }
                Some(Item::End) => return Ok(false),
                Some(item @ Item::Failed(_)) => return Err(take_failure(item)),
                // Items of a member that has ended.
                Some(_) => return Err(Error::Failed),
            }
        }
    }

    fn begin_member(&mut self, file: Box<FileHeader>) -> Result<()> {
        let has_data = !file.is_directory && file.redirection.is_none();
        if has_data && !file.compression.is_stored() {
            let is_solid = file.compression.is_solid;
            if is_solid && self.has_gap {
                return Err(Error::Skipped { name: file.name_lossy() });
            }
            if !is_solid {
                self.has_gap = false;
                self.repeats = Repeats::UNSET;
            }
            self.window.begin(file.compression.dictionary_bytes, is_solid)?;
        } else {
            self.window.begin_other();
        }
        let checksums = Checksums::of(&file);
        self.member = Some(Current { file, checksums, handed: 0, last: None });
        Ok(())
    }
}

fn bytes_of<'a>(window: &'a Window, job: &'a Job, piece: &Piece) -> &'a [u8] {
    match piece {
        Piece::Window(output) => window.output(output),
        Piece::Stored(range) => job.stored(range.clone()),
    }
}

/// Takes the error out of an item, which is the last.
fn take_failure(item: &mut Item) -> Error {
    match std::mem::replace(item, Item::Damaged(DataError::BlockTruncated)) {
        Item::Failed(error) => error,
        _ => Error::Failed,
    }
}
