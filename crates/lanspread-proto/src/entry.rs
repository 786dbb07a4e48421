//! Converts the content of archives to the messages that carry it, and back with every name checked.

use bytes::Bytes;
use lanspread_types::content::{CopyEntry, DirectoryEntry, EntryStep, FileEntry};
use lanspread_types::entry_path::{EntryPath, NameError, NamePolicy};

use crate::message::{StreamItem, StreamMessage};

/// The message that carries a step; content is not a message, and comes back as it is.
pub fn message<D>(step: EntryStep<D>) -> Result<StreamMessage, D> {
    Ok(match step {
        EntryStep::Data(content) => return Err(content),
        EntryStep::ArchiveBegin(summary) => StreamMessage::ArchiveBegin(summary),
        EntryStep::Directory(DirectoryEntry { path }) => StreamMessage::Directory { path: path.into() },
        EntryStep::FileBegin(FileEntry { path, size, checksum, modified, executable }) => {
            StreamMessage::FileBegin { path: path.into(), size, checksum, modified, executable }
        }
        EntryStep::FileEnd(checksum) => StreamMessage::FileEnd { checksum },
        EntryStep::Copy(CopyEntry { path, original, size, modified, executable }) => {
            StreamMessage::Copy { path: path.into(), original: original.into(), size, modified, executable }
        }
        EntryStep::ArchiveEnd => StreamMessage::ArchiveEnd,
    })
}

impl From<EntryStep<Bytes>> for StreamItem {
    fn from(step: EntryStep<Bytes>) -> Self {
        message(step).map_or_else(Self::Data, Self::Control)
    }
}

/// A message of a stream by kind: a step of an archive's content with checked names, or about the stream itself.
#[derive(Debug)]
pub enum Sorted<D> {
    /// Content of an archive. It is never [`EntryStep::Data`], which no message carries.
    Entry(EntryStep<D>),
    /// `begin`, `complete`, `failed`, `keep-alive` or `queued`.
    Stream(StreamMessage),
}

/// Checks the names of a message that the grammar has accepted, and tells content from messages about the stream.
///
/// # Errors
/// [`NameError`] if a name breaks a rule of `policy`.
pub fn sort<D>(message: StreamMessage, policy: NamePolicy) -> Result<Sorted<D>, NameError> {
    let parse = |name: &str| EntryPath::parse(name, policy);
    Ok(Sorted::Entry(match message {
        StreamMessage::ArchiveBegin(summary) => EntryStep::ArchiveBegin(summary),
        StreamMessage::Directory { path } => EntryStep::Directory(DirectoryEntry { path: parse(&path)? }),
        StreamMessage::FileBegin { path, size, checksum, modified, executable } => {
            EntryStep::FileBegin(FileEntry { path: parse(&path)?, size, checksum, modified, executable })
        }
        StreamMessage::FileEnd { checksum } => EntryStep::FileEnd(checksum),
        StreamMessage::Copy { path, original, size, modified, executable } => EntryStep::Copy(CopyEntry {
            path: parse(&path)?,
            original: parse(&original)?,
            size,
            modified,
            executable,
        }),
        StreamMessage::ArchiveEnd => EntryStep::ArchiveEnd,
        about_stream @ (StreamMessage::Begin { .. }
        | StreamMessage::Complete
        | StreamMessage::Failed(_)
        | StreamMessage::KeepAlive
        | StreamMessage::Queued(_)) => return Ok(Sorted::Stream(about_stream)),
    }))
}

#[cfg(test)]
mod tests {
    use lanspread_types::checksum::Checksum;

    use super::*;

    fn path(name: &str) -> EntryPath {
        EntryPath::parse(name, NamePolicy::Portable).unwrap()
    }

    #[test]
    fn what_is_sent_comes_back_the_same() {
        let checksum = Some(Checksum::of(b"x"));
        let file = FileEntry { path: path("a/b"), size: 1, checksum, modified: Some(-1), executable: true };
        let copy =
            CopyEntry { path: path("c"), original: path("a/b"), size: 1, modified: None, executable: false };
        let steps = [
            EntryStep::Directory(DirectoryEntry { path: path("a") }),
            EntryStep::FileBegin(file),
            EntryStep::FileEnd(Checksum::of(b"x")),
            EntryStep::Copy(copy),
            EntryStep::ArchiveEnd,
        ];
        for step in steps {
            match sort::<Bytes>(message(step.clone()).unwrap(), NamePolicy::Portable) {
                Ok(Sorted::Entry(back)) => assert_eq!(back, step),
                other => panic!("{step:?} came back as {other:?}"),
            }
        }
        assert_eq!(message(EntryStep::Data(7)), Err(7), "content is no message");
    }

    #[test]
    fn names_are_checked_where_they_arrive() {
        let directory = |path: &str| StreamMessage::Directory { path: path.to_owned() };
        let copy = |path: &str, original: &str| {
            let (path, original) = (path.to_owned(), original.to_owned());
            StreamMessage::Copy { path, original, size: 0, modified: None, executable: false }
        };
        for bad in [directory("../x"), directory("CON"), copy("../x", "a"), copy("a", "../x")] {
            assert!(sort::<Bytes>(bad.clone(), NamePolicy::Portable).is_err(), "{bad:?}");
        }
        assert!(sort::<Bytes>(directory("CON"), NamePolicy::Native).is_ok());
    }

    #[test]
    fn messages_about_the_stream_are_not_entries() {
        let sorted = sort::<Bytes>(StreamMessage::Complete, NamePolicy::Portable);
        assert!(matches!(sorted, Ok(Sorted::Stream(StreamMessage::Complete))));
    }
}
