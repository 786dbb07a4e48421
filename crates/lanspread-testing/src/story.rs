//! What an honest source sends of one game, frame by frame, and where in it a lie can be told.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use lanspread_archive::list::list;
use lanspread_archive::provider::EntrySink;
use lanspread_archive::set::ArchiveSet;
use lanspread_archive::{ArchiveError, SinkError};
use lanspread_types::content::EntryStep;

use lanspread_archive::provider::ProviderChoice;
use lanspread_proto::message::{StreamItem, StreamMessage};
use lanspread_store::state::game_state::GameState;
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{RootFile, Totals};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio_util::sync::CancellationToken;

use crate::step::Step;

/// Sends a message.
pub fn say(message: StreamMessage) -> Step {
    Step::Say(StreamItem::Control(message))
}

/// Sends content.
pub fn data(bytes: &[u8]) -> Step {
    Step::Say(StreamItem::Data(bytes.to_vec().into()))
}

/// The frames of one whole file.
pub fn file(path: &str, content: &[u8], modified: Option<i64>, executable: bool) -> Vec<Step> {
    let checksum = Checksum::of(content);
    let size = content.len() as u64;
    let path = path.to_owned();
    let mut steps =
        vec![say(StreamMessage::FileBegin { path, size, checksum: Some(checksum), modified, executable })];
    if !content.is_empty() {
        steps.push(data(content));
    }
    steps.push(say(StreamMessage::FileEnd { checksum }));
    steps
}

/// The frame of a copy.
pub fn copy(path: &str, original: &str, size: u64, modified: Option<i64>) -> Step {
    let (path, original) = (path.to_owned(), original.to_owned());
    say(StreamMessage::Copy { path, original, size, modified, executable: false })
}

/// What a source reports about one game before it streams it.
#[derive(Debug, Clone)]
pub struct Offered {
    pub game: GameId,
    pub version: GameVersion,
    pub files: Vec<RootFile>,
    pub archives: u64,
    pub totals: Totals,
}

/// The indexes of a file's frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    pub path: String,
    pub size: u64,
    pub begin: usize,
    pub data: Range<usize>,
}

impl FilePlace {
    /// Index of the frame that ends the file.
    pub fn end(&self) -> usize {
        self.data.end
    }
}

/// An honest stream. It begins with its totals and its first archive, and ends with *complete*.
#[derive(Debug, Clone)]
pub struct Story {
    pub steps: Vec<Step>,
    pub archives: u64,
    pub totals: Totals,
    /// Index and path of a folder's frame.
    pub folder: (usize, String),
    /// The first file in a folder that has content.
    pub first: FilePlace,
    /// The last file that has content.
    pub last: FilePlace,
    /// Indexes of the first and the last frame of the last archive.
    pub last_archive: Range<usize>,
    pub complete: usize,
}

impl Story {
    /// Finds these places in a stream. `None` if the game has no folder, no file in a folder, or no second file, of at
    /// least two bytes each.
    pub fn of(steps: Vec<Step>) -> Option<Self> {
        let message = |at: usize| match steps.get(at) {
            Some(Step::Say(StreamItem::Control(message))) => Some(message),
            _ => None,
        };
        let Some(&StreamMessage::Begin { archives, totals }) = message(0) else { return None };
        let mut folder = None;
        let mut files = Vec::new();
        let mut archive = 0..0;
        for at in 0..steps.len() {
            match message(at) {
                Some(StreamMessage::ArchiveBegin(_)) => archive.start = at,
                Some(StreamMessage::ArchiveEnd) => archive.end = at,
                Some(StreamMessage::Directory { path }) => drop(folder.get_or_insert((at, path.clone()))),
                // A lie may leave a byte out, and what is left must be a frame.
                Some(StreamMessage::FileBegin { path, size: size @ 2.., .. }) => {
                    let end = (at + 1..steps.len()).find(|at| message(*at).is_some())?;
                    files.push(FilePlace { path: path.clone(), size: *size, begin: at, data: at + 1..end });
                }
                _ => {}
            }
        }
        let first = files.iter().find(|file| file.path.contains('/'))?.clone();
        let last = files.pop().filter(|last| *last != first)?;
        let complete = steps.len() - 1;
        Some(Self { archives, totals, folder: folder?, first, last, last_archive: archive, complete, steps })
    }

    /// The message with this index, which must not be data.
    pub fn message(&self, at: usize) -> StreamMessage {
        match &self.steps[at] {
            Step::Say(StreamItem::Control(message)) => message.clone(),
            other => unreachable!("{other:?} is not a message"),
        }
    }

    /// The content of a file.
    pub fn content(&self, file: &FilePlace) -> Vec<u8> {
        let frames = self.steps[file.data.clone()].iter();
        let bytes = frames.filter_map(|step| match step {
            Step::Say(StreamItem::Data(bytes)) => Some(&bytes[..]),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }
}

/// What an honest source offers and sends of the downloaded game in this game root; errors are texts for people.
pub async fn of_game_root(game_root: &Path) -> Result<(Offered, Story), String> {
    let (offered, steps) = steps_of_game_root(game_root).await?;
    let story = Story::of(steps).ok_or_else(|| {
        format!(
            "{}: to lie about it takes a folder, a file in a folder and another file, of at least two bytes each",
            game_root.display()
        )
    })?;
    Ok((offered, story))
}

/// The same of any game, without the places for lies.
pub async fn steps_of_game_root(game_root: &Path) -> Result<(Offered, Vec<Step>), String> {
    let here = |what: &str| format!("{}: {what}", game_root.display());
    let name = game_root.file_name().and_then(|name| name.to_str());
    let game: GameId =
        name.and_then(|name| name.parse().ok()).ok_or_else(|| here("its name is not a game id"))?;
    let games_dir = game_root.parent().ok_or_else(|| here("it is in no folder"))?;
    let state = GameState::read(games_dir, &game).map_err(|error| error.to_string())?;
    let state = state.ok_or_else(|| here("there is no such folder"))?;
    let version = state.version.clone().ok_or_else(|| here("the game is not downloaded"))?;
    let archives = state.archives().map_err(|error| here(&error.to_string()))?;

    let decoding = tokio::task::spawn_blocking(move || said(&archives));
    let decoded = decoding.await.map_err(|_| here("the decoder panicked"))?;
    let items = decoded.map_err(|error| here(&error.to_string()))?;
    let Some(StreamItem::Control(StreamMessage::Begin { archives, totals })) = items.first() else {
        return Err(here("a stream without a beginning"));
    };
    let (archives, totals) = (*archives, *totals);
    let offered = Offered { game, version, files: state.root_files, archives, totals };
    Ok((offered, items.into_iter().map(Step::Say).collect()))
}

/// Everything that an honest source sends of these archives.
fn said(archives: &[ArchiveSet]) -> Result<Vec<StreamItem>, ArchiveError> {
    let provider = lanspread_archive::provider(&ProviderChoice::Native);
    let cancel = CancellationToken::new();
    let (listed, totals) = list(provider.as_ref(), archives, &cancel)?;
    let begin = StreamMessage::Begin { archives: archives.len() as u64, totals };
    let items = Rc::new(RefCell::new(Said(vec![StreamItem::Control(begin)])));
    for archive in listed {
        let sink = Rc::<RefCell<Said>>::clone(&items);
        archive.extract(provider.as_ref(), sink, &cancel)?;
    }
    let mut items = items.take().0;
    items.push(StreamItem::Control(StreamMessage::Complete));
    Ok(items)
}

/// Collects what is sent, the bytes of a file in frames of the size that a source sends.
#[derive(Default)]
struct Said(Vec<StreamItem>);

impl EntrySink for Said {
    fn take(&mut self, step: EntryStep<&[u8]>) -> Result<(), SinkError> {
        let EntryStep::Data(mut bytes) = step else {
            self.0.push(step.map_data(Bytes::copy_from_slice).into());
            return Ok(());
        };
        while !bytes.is_empty() {
            let open = match self.0.last_mut() {
                Some(StreamItem::Data(open)) if open.len() < limits::DATA_CHUNK_BYTES => open,
                _ => {
                    self.0.push(StreamItem::Data(Bytes::new()));
                    continue;
                }
            };
            let (now, rest) = bytes.split_at(bytes.len().min(limits::DATA_CHUNK_BYTES - open.len()));
            *open = [&open[..], now].concat().into();
            bytes = rest;
        }
        Ok(())
    }
}
