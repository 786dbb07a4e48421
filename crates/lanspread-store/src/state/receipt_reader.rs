//! Reads a receipt, completely or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use lanspread_types::checksum::{Checksum, ContentDigest};
use lanspread_types::content::{InstallTrust, Totals};
use lanspread_types::entry_path::{EntryPath, NamePolicy};
use lanspread_types::fault::{ForeignState, LocalError};
use lanspread_types::ids::GameId;
use lanspread_types::layout::RECEIPTS_DIR;
use lanspread_types::limits;
use lanspread_types::regular_file::{if_present, open_ours};
use serde::Deserialize;

use crate::error::StoreError;
use crate::state::games_dir::GamesDir;
use crate::state::receipt::ReceiptHead;
use crate::state::receipt::ReceiptTail;
use crate::state::receipt::{FIRST_SCHEMA, FileStamp, SCHEMA};
use crate::state::receipt::{draft_name, final_name};

/// One file of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InstalledFile {
    pub(crate) size: u64,
    pub(crate) content: InstalledContent,
}

/// What a receipt says about the content of a file. A digest says more than a checksum, so that only one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstalledContent {
    Checksum(Checksum),
    Digest(ContentDigest),
}

/// A complete receipt.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) head: ReceiptHead,
    /// By path below `local/`, sorted.
    pub(crate) files: BTreeMap<String, InstalledFile>,
    pub(crate) totals: Totals,
}

/// A receipt that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiptError {
    /// The file cannot be read.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// It is not a valid receipt.
    #[error("{}, line {line}: {problem}", path.display())]
    Malformed { path: PathBuf, line: u64, problem: String },
}

impl From<ReceiptError> for StoreError {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Local(error) => error.into(),
            ReceiptError::Malformed { path, line, problem } => Self::Foreign(ForeignState {
                path,
                what: format!("is not a valid receipt: line {line}: {problem}"),
            }),
        }
    }
}

/// The line of a file, unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: String,
    size: u64,
    crc32: Option<String>,
    sha256: Option<ContentDigest>,
    stamp: Option<FileStamp>,
}

/// One file, as a receipt lists it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListedFile<'r> {
    pub(crate) path: &'r str,
    pub(crate) installed: InstalledFile,
    /// What identifies the file that was verified.
    pub(crate) stamp: Option<FileStamp>,
}

/// A line after the first one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    File(RawFile),
    Tail(ReceiptTail),
}

/// Reads the receipt of a game, if there is one.
pub(crate) fn read(games: &GamesDir, game: &GameId) -> Result<Option<Receipt>, ReceiptError> {
    let path = games.state_path(RECEIPTS_DIR, &final_name(game));
    let Some(file) = open(games, game)? else { return Ok(None) };
    parse(BufReader::new(file), &path, game, limits::ENTRIES_MAX).map(Some)
}

/// Gives each file of a receipt to `take`, in the order in which they were installed, which refuses a file with the
/// reason. The memory that this takes does not depend on how many there are.
pub(crate) fn read_each(
    games: &GamesDir,
    game: &GameId,
    take: impl FnMut(&ReceiptHead, ListedFile<'_>) -> Result<(), String>,
) -> Result<Option<ReceiptHead>, ReceiptError> {
    let path = games.state_path(RECEIPTS_DIR, &final_name(game));
    let Some(file) = open(games, game)? else { return Ok(None) };
    let (head, _) = parse_each(BufReader::new(file), &path, game, limits::ENTRIES_MAX, take)?;
    Ok(Some(head))
}

/// The same of the draft of a receipt, and its totals.
pub(crate) fn read_each_of_draft(
    games: &GamesDir,
    game: &GameId,
    take: impl FnMut(&ReceiptHead, ListedFile<'_>) -> Result<(), String>,
) -> Result<Option<(ReceiptHead, Totals)>, ReceiptError> {
    let path = games.state_path(RECEIPTS_DIR, &draft_name(game));
    let Some(file) = open_named(games, &draft_name(game))? else { return Ok(None) };
    parse_each(BufReader::new(file), &path, game, limits::ENTRIES_MAX, take).map(Some)
}

/// The first line of the receipt of an installed game, if there is one.
pub(crate) fn head(games: &GamesDir, game: &GameId) -> Result<Option<ReceiptHead>, ReceiptError> {
    let path = games.state_path(RECEIPTS_DIR, &final_name(game));
    let Some(file) = open(games, game)? else { return Ok(None) };
    Lines::new(BufReader::new(file), &path).head(game).map(Some)
}

fn open(games: &GamesDir, game: &GameId) -> Result<Option<File>, LocalError> {
    open_named(games, &final_name(game))
}

fn open_named(games: &GamesDir, name: &str) -> Result<Option<File>, LocalError> {
    let Some(receipts) = games.existing_state_folder(RECEIPTS_DIR)? else { return Ok(None) };
    let path = games.state_path(RECEIPTS_DIR, name);
    if_present(open_ours(&receipts, name)).map_err(|error| error.of_ours("read", &path))
}

fn parse(input: impl BufRead, path: &Path, game: &GameId, files_max: u64) -> Result<Receipt, ReceiptError> {
    let mut files = BTreeMap::new();
    let (head, totals) = parse_each(input, path, game, files_max, |_, file| {
        match files.insert(file.path.to_owned(), file.installed) {
            None => Ok(()),
            Some(_) => Err(format!("`{}` is listed twice", file.path)),
        }
    })?;
    Ok(Receipt { head, files, totals })
}

fn parse_each(
    input: impl BufRead,
    path: &Path,
    game: &GameId,
    files_max: u64,
    mut take: impl FnMut(&ReceiptHead, ListedFile<'_>) -> Result<(), String>,
) -> Result<(ReceiptHead, Totals), ReceiptError> {
    let mut lines = Lines::new(input, path);
    let head = lines.head(game)?;
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let tail = loop {
        let Some(line) = lines.next()? else {
            return Err(lines.malformed("it ends without its totals"));
        };
        let file = match serde_json::from_slice(&line) {
            Ok(Line::File(file)) => file,
            Ok(Line::Tail(tail)) => break tail,
            Err(_) => return Err(lines.malformed("it is neither a file nor the totals")),
        };
        if files >= files_max {
            return Err(lines.malformed(format!("there are more than {files_max} files")));
        }
        let name = EntryPath::parse(&file.path, NamePolicy::Native)
            .map_err(|error| lines.malformed(error.to_string()))?;
        let checksum = file.crc32.as_deref().map(str::parse).transpose();
        let checksum = checksum.map_err(|_| lines.malformed("the CRC-32 is not 8 hexadecimal digits"))?;
        if file.sha256.is_some() != (head.trust == InstallTrust::Verified) {
            return Err(lines.malformed("files of a verified tree have a SHA-256, and no others"));
        }
        let content = file.sha256.map(InstalledContent::Digest).or(checksum.map(InstalledContent::Checksum));
        let content = content.ok_or_else(|| lines.malformed("there is no CRC-32"))?;
        bytes = bytes.checked_add(file.size).ok_or_else(|| lines.malformed("the sizes overflow"))?;
        let installed = InstalledFile { size: file.size, content };
        let listed = ListedFile { path: name.as_str(), installed, stamp: file.stamp };
        take(&head, listed).map_err(|problem| lines.malformed(problem))?;
        files += 1;
    };
    if (tail.files, tail.bytes) != (files, bytes) {
        return Err(lines.malformed(format!(
            "the totals are {} files and {} bytes, but the lines sum up to {} and {bytes}",
            tail.files, tail.bytes, files
        )));
    }
    if lines.next()?.is_some() {
        return Err(lines.malformed("something follows the totals"));
    }
    let totals = Totals { files: tail.files, directories: tail.directories, bytes };
    Ok((head, totals))
}

/// The lines of a receipt, counted and bounded.
struct Lines<'a, R> {
    input: R,
    path: &'a Path,
    number: u64,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(input: R, path: &'a Path) -> Self {
        Self { input, path, number: 0 }
    }

    /// The next line without its line feed; `None` after the last one.
    fn next(&mut self) -> Result<Option<Vec<u8>>, ReceiptError> {
        self.number += 1;
        let mut line = Vec::new();
        let longest = limits::RECEIPT_LINE_BYTES_MAX as u64;
        let mut bounded = self.input.by_ref().take(longest);
        bounded.read_until(b'\n', &mut line).map_err(LocalError::io("read", self.path))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            return Err(self.malformed(format!("it is cut off, or longer than {longest} bytes")));
        }
        Ok(Some(line))
    }

    fn head(&mut self, game: &GameId) -> Result<ReceiptHead, ReceiptError> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        let Some(line) = self.next()? else { return Err(self.malformed("it is empty")) };
        let versioned: Versioned =
            serde_json::from_slice(&line).map_err(|_| self.malformed("it has no schema"))?;
        if !(FIRST_SCHEMA..=SCHEMA).contains(&versioned.schema) {
            return Err(self.malformed(format!(
                "it has schema {}, this program reads schemas {FIRST_SCHEMA} to {SCHEMA}",
                versioned.schema
            )));
        }
        let head: ReceiptHead =
            serde_json::from_slice(&line).map_err(|error| self.malformed(error.to_string()))?;
        if head.game != *game {
            return Err(self.malformed(format!("it belongs to {}", head.game)));
        }
        let is_verified = head.trust == InstallTrust::Verified;
        if head.manifest.is_some() != is_verified || (is_verified && head.schema == FIRST_SCHEMA) {
            return Err(self.malformed("a tree is verified by a manifest, and only in schema 2"));
        }
        Ok(head)
    }

    fn malformed(&self, problem: impl Into<String>) -> ReceiptError {
        ReceiptError::Malformed { path: self.path.to_owned(), line: self.number, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanspread_types::ids::PeerId;

    use crate::state::receipt::publish;
    use crate::state::receipt::{ChecksumText, FileLine, ReceiptDraft};

    use super::*;

    fn game() -> GameId {
        "g".parse().unwrap()
    }

    fn line(path: &str, size: u64, checksum: Checksum) -> FileLine<'_> {
        FileLine { path, size, crc32: Some(ChecksumText(checksum)), sha256: None, stamp: None }
    }

    fn written() -> (tempfile::TempDir, GamesDir) {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        let (version, name) = ("20250101".parse().unwrap(), "pc".parse().unwrap());
        let head = ReceiptHead::new(&game(), &version, &name, PeerId::random().unwrap(), None);
        let mut draft = ReceiptDraft::create(&games, &head).unwrap();
        draft.file(&line("b/\"quoted\" \\ name", 3, Checksum::from_crc32(0xdead_beef))).unwrap();
        draft.file(&line("a", 0, Checksum::of(b""))).unwrap();
        draft.complete(Totals { files: 2, directories: 7, bytes: 3 }).unwrap();
        publish(&games, &game()).unwrap();
        (folder, games)
    }

    fn parse_text(text: &[u8]) -> Result<Receipt, ReceiptError> {
        parse(text, Path::new("r"), &game(), 2)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (_folder, games) = written();
        let receipt = read(&games, &game()).unwrap().unwrap();
        assert_eq!(receipt.totals, Totals { files: 2, directories: 7, bytes: 3 });
        let files: Vec<_> =
            receipt.files.iter().map(|(path, file)| (path.as_str(), file.size, file.content)).collect();
        assert_eq!(
            files,
            [
                ("a", 0, InstalledContent::Checksum(Checksum::of(b""))),
                ("b/\"quoted\" \\ name", 3, InstalledContent::Checksum(Checksum::from_crc32(0xdead_beef)))
            ]
        );
        let head = head(&games, &game()).unwrap().unwrap();
        assert_eq!((head.version.as_str(), head.trust), ("20250101", InstallTrust::Unverified));
        assert_eq!(receipt.head.source.as_str(), "pc");
        assert!(read(&games, &"other".parse().unwrap()).unwrap().is_none());
        assert!(super::head(&games, &"other".parse().unwrap()).unwrap().is_none());
    }

    /// A receipt that is cut at any byte is refused: a prefix never passes for the whole.
    #[test]
    fn a_torn_receipt_is_refused() {
        let (folder, _games) = written();
        let whole = fs::read(folder.path().join(".lanspread/receipts/g.jsonl")).unwrap();
        for cut in 0..whole.len() {
            assert!(parse_text(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(parse_text(&whole).is_ok());
    }

    #[test]
    fn a_malformed_receipt_is_refused_with_its_line() {
        let head = r#"{"schema":1,"game":"g","version":"1","source":"pc","source_id":"0"}"#;
        let file = r#"{"path":"a","size":3,"crc32":"00000000"}"#;
        let tail = r#"{"files":1,"directories":0,"bytes":3}"#;
        let lines = |lines: &[&str]| parse_text(format!("{}\n", lines.join("\n")).as_bytes());
        assert!(lines(&[head, file, tail]).is_ok());
        let long = format!(
            r#"{{"path":"{}","size":3,"crc32":"00000000"}}"#,
            "x".repeat(limits::RECEIPT_LINE_BYTES_MAX)
        );
        let replaced = |what: &str, with: &str| file.replace(what, with);
        let (other, another) = (replaced("\"a\"", "\"b\""), replaced("\"a\"", "\"c\""));
        let table: &[(&[&str], u64, &str)] = &[
            (&[&head.replace("\"schema\":1", "\"schema\":3"), file, tail], 1, "schema 3"),
            (&[&head.replace("\"game\":\"g\"", "\"game\":\"h\""), file, tail], 1, "belongs to h"),
            (&["[]", file, tail], 1, "no schema"),
            (&[head, file, file, tail], 3, "twice"),
            (&[head, file, &tail.replace(":3", ":4")], 3, "totals"),
            (&[head, tail], 2, "totals"),
            (&[head, file, &other, &another, tail], 4, "more than 2 files"),
            (&[head, file, tail, file], 4, "follows"),
            (&[head, "{}", tail], 2, "neither"),
            (&[head, &long, tail], 2, "longer"),
            (&[head, &replaced("\"a\"", "\"../a\""), tail], 2, "refused"),
            (&[head, &replaced("00000000", "+0000000"), tail], 2, "hexadecimal"),
            (&[head, &replaced("00000000", "0"), tail], 2, "hexadecimal"),
        ];
        for (text, at, said) in table {
            match lines(text) {
                Err(ReceiptError::Malformed { line, problem, .. }) => {
                    assert_eq!(line, *at, "{problem}");
                    assert!(problem.contains(said), "`{problem}` does not say `{said}`");
                }
                other => panic!("{said}: {other:?}"),
            }
        }
    }

    /// Receipts of the first schema have neither trust nor digests.
    #[test]
    fn a_receipt_of_the_first_schema_is_unverified_and_a_verified_one_has_all_digests() {
        let old = r#"{"schema":1,"game":"g","version":"1","source":"pc","source_id":"0"}"#;
        let digest = ContentDigest::of(b"abc");
        let new = old.replace(":1,", ":2,");
        let verified =
            |head: &str| head.replace('}', &format!(r#","trust":"verified","manifest":"{digest}"}}"#));
        let unverified = new.replace('}', r#","trust":"unverified"}"#);
        let plain = r#"{"path":"a","size":3,"crc32":"352441c2"}"#;
        let proved = plain.replace('}', &format!(r#","sha256":"{digest}"}}"#));
        let only = format!(r#"{{"path":"a","size":3,"sha256":"{digest}"}}"#);
        let stamped = only.replace('}', r#","stamp":{"inode":1,"modified_ns":2,"changed_ns":3}}"#);
        let tail = r#"{"files":1,"directories":0,"bytes":3}"#;
        let parsed = |head: &str, file: &str| parse_text(format!("{head}\n{file}\n{tail}\n").as_bytes());
        for (head, file) in [
            (old, plain),
            (&unverified, plain),
            (&new, plain),
            (&verified(&new), &proved),
            (&verified(&new), &only),
            (&verified(&new), &stamped),
        ] {
            let receipt = parsed(head, file).unwrap_or_else(|error| panic!("{head} {file}: {error}"));
            let is_verified = head.contains(r#""verified""#);
            assert_eq!(receipt.head.trust == InstallTrust::Verified, is_verified, "{head}");
            let digest = InstalledContent::Digest(digest);
            assert_eq!(receipt.files["a"].content == digest, is_verified, "{head} {file}");
        }
        let without = new.replace('}', r#","trust":"verified"}"#);
        for (head, file) in [
            (&verified(old), &proved),
            (&verified(&new), &plain.to_owned()),
            (&without, &proved),
            (&unverified, &proved),
            (&new, &proved),
            (&verified(&new).replace("verified", "unverified"), &plain.to_owned()),
            (&verified(&new), &r#"{"path":"a","size":3}"#.to_owned()),
            (&new, &r#"{"path":"a","size":3}"#.to_owned()),
            (&verified(&new), &stamped.replace("inode", "node")),
        ] {
            assert!(parsed(head, file).is_err(), "{head} {file}");
        }
    }

    #[test]
    fn what_is_not_a_receipt_is_reported_and_never_waited_for() {
        let (folder, games) = written();
        let path = folder.path().join(".lanspread/receipts/g.jsonl");
        let kept = folder.path().join("kept");
        fs::rename(&path, &kept).unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        let reported = |what: &str| {
            for error in [read(&games, &game()).unwrap_err(), head(&games, &game()).unwrap_err()] {
                assert!(matches!(StoreError::from(error), StoreError::Foreign(_)), "{what}");
            }
        };
        reported("link");
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        reported("pipe");
    }

    /// A draft never writes to what is under its name.
    #[test]
    fn a_draft_replaces_a_link_and_a_second_name() {
        let folder = tempfile::tempdir().unwrap();
        let games = GamesDir::open(folder.path()).unwrap();
        let receipts = folder.path().join(".lanspread/receipts");
        fs::create_dir_all(&receipts).unwrap();
        let precious = folder.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        for link in [fs::hard_link::<_, std::path::PathBuf>, std::os::unix::fs::symlink] {
            let draft = receipts.join("g.draft");
            link(&precious, draft.clone()).unwrap();
            let (version, name) = ("1".parse().unwrap(), "pc".parse().unwrap());
            let head = ReceiptHead::new(&game(), &version, &name, PeerId::random().unwrap(), None);
            ReceiptDraft::create(&games, &head).unwrap();
            assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
            fs::remove_file(draft).unwrap();
        }
    }
}
