//! One small game in three forms: as the installed tree, as the stream of an honest source, and as a downloaded game
//! with a real archive.
//!
//! It has one of everything that a stream can carry: a folder, files, a copy, an empty file, an executable.

use std::fs;
use std::path::Path;

use crate::machine::{Node, Tree};
use crate::step::Step;
use crate::story;
use crate::story::{Offered, Story};
pub use crate::story::{data, say};
use lanspread_proto::message::StreamMessage;
use lanspread_store::state::game_state::GameState;
use lanspread_types::content::{ArchiveFormat, ArchiveSummary, RootFile, Totals};
use lanspread_types::ids::{GameId, GameVersion};

/// Modification time of every file, in Unix seconds: even, because some RAR formats count in steps of two seconds.
pub const MODIFIED: i64 = 1_735_787_046;

pub const EMPTY_FOLDER: &str = "saves";
pub const FIRST_FILE: &str = "data/one.bin";
pub const FIRST_CONTENT: &[u8] = b"the first file of the game, whose bytes matter\n";
pub const COPY: &str = "data/two.bin";
pub const EMPTY_FILE: &str = "data/zero";
pub const LAST_FILE: &str = "run.sh";
pub const LAST_CONTENT: &[u8] = b"#!/bin/sh\nexec ./game\n";

pub fn game() -> GameId {
    "small".parse().unwrap()
}

pub fn version() -> GameVersion {
    "20250101".parse().unwrap()
}

/// The installed tree.
pub fn tree() -> Tree {
    let file = |content: &[u8], executable| Node::File(content.to_vec(), executable);
    let nodes = [
        (EMPTY_FOLDER, Node::Folder),
        ("data", Node::Folder),
        (FIRST_FILE, file(FIRST_CONTENT, false)),
        (COPY, file(FIRST_CONTENT, false)),
        (EMPTY_FILE, file(b"", false)),
        (LAST_FILE, file(LAST_CONTENT, true)),
    ];
    nodes.into_iter().map(|(path, node)| (path.to_owned(), node)).collect()
}

pub fn totals() -> Totals {
    let bytes = 2 * FIRST_CONTENT.len() + LAST_CONTENT.len();
    Totals { files: 4, directories: 1, bytes: bytes as u64 }
}

/// The frames of one whole file.
pub fn file(path: &str, content: &[u8], executable: bool) -> Vec<Step> {
    story::file(path, content, Some(MODIFIED), executable)
}

/// A whole stream of one archive around these entries.
pub fn stream_of(entries: Vec<Step>, totals: Totals) -> Vec<Step> {
    let summary =
        ArchiveSummary { name: "small.eti".to_owned(), format: ArchiveFormat::Rar5, solid: false, totals };
    let mut steps =
        vec![say(StreamMessage::Begin { archives: 1, totals }), say(StreamMessage::ArchiveBegin(summary))];
    steps.extend(entries);
    steps.extend([say(StreamMessage::ArchiveEnd), say(StreamMessage::Complete)]);
    steps
}

/// Indexes of frames in [`stream`].
pub mod frame {
    pub const BEGIN: usize = 0;
    pub const ARCHIVE_BEGIN: usize = 1;
    pub const DIRECTORY: usize = 2;
    pub const FIRST_FILE_BEGIN: usize = 3;
    pub const FIRST_DATA: usize = 4;
    pub const FIRST_FILE_END: usize = 5;
    pub const LAST_FILE_BEGIN: usize = 9;
    pub const LAST_DATA: usize = 10;
    pub const LAST_FILE_END: usize = 11;
    pub const ARCHIVE_END: usize = 12;
    pub const COMPLETE: usize = 13;
}

/// What an honest source sends.
pub fn stream() -> Vec<Step> {
    let mut entries = vec![say(StreamMessage::Directory { path: EMPTY_FOLDER.to_owned() })];
    entries.extend(file(FIRST_FILE, FIRST_CONTENT, false));
    entries.push(story::copy(COPY, FIRST_FILE, FIRST_CONTENT.len() as u64, Some(MODIFIED)));
    entries.extend(file(EMPTY_FILE, b"", false));
    entries.extend(file(LAST_FILE, LAST_CONTENT, true));
    stream_of(entries, totals())
}

/// The same stream as a [`Story`].
pub fn story() -> Story {
    Story::of(stream()).unwrap()
}

/// What a source of it offers: these files, or without any a list with the archive of [`stream`].
pub fn offered(mut files: Vec<RootFile>) -> Offered {
    if files.is_empty() {
        files = vec![RootFile { name: "small.eti".to_owned(), size: 1 }];
    }
    Offered { game: game(), version: version(), files, archives: 1, totals: totals() }
}

/// Puts the downloaded game, sentinel and a real archive, into a games directory.
pub fn download(games_dir: &Path) {
    download_with(games_dir, FIRST_CONTENT);
}

/// The same with other bytes in the first file: sizes, names and version are the same.
pub fn download_other(games_dir: &Path) {
    download_with(games_dir, &FIRST_CONTENT.to_ascii_uppercase());
}

fn download_with(games_dir: &Path, first_content: &[u8]) {
    let root = games_dir.join(game().as_str());
    fs::create_dir(&root).unwrap();
    let mut archive = rars::Builder::new(rars::ArchiveVersion::Rar50);
    let modified = Some(u32::try_from(MODIFIED).unwrap());
    archive.add_directory(EMPTY_FOLDER.into(), modified, Some(0o40755)).unwrap();
    for (path, content, mode) in [
        (FIRST_FILE, first_content, 0o100_644),
        (COPY, first_content, 0o100_644),
        (EMPTY_FILE, &b""[..], 0o100_644),
        (LAST_FILE, LAST_CONTENT, 0o100_755),
    ] {
        archive.add_bytes(path.into(), content.to_vec(), modified, Some(mode)).unwrap();
    }
    archive.write_to_path(&root.join("small.eti"), None).unwrap();
    fs::write(root.join("version.ini"), version().as_str()).unwrap();
}

/// The root files of the game in a games directory, as a source offers them.
pub fn root_files(games_dir: &Path) -> Vec<RootFile> {
    GameState::read(games_dir, &game()).unwrap().unwrap().root_files
}
