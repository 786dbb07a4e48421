//! Lies in which every checksum and every sum is right, so that only a manifest finds them out.

use lanspread_proto::message::{StreamItem, StreamMessage};
use lanspread_types::checksum::Checksum;
use lanspread_types::content::{ArchiveSummary, Totals};

use super::{Lie, accounted_for, extra_file, lie, named};
use crate::step::Step;
use crate::story::{FilePlace, Story, say};

/// Lies that only a receiver with a manifest detects. Every checksum and every sum is right.
pub fn against_a_manifest(story: &Story) -> Vec<Lie> {
    let lie = |name, stream| lie(name, "not-as-listed", stream);
    let (first, last) = (&story.first, &story.last);
    let mut content = story.content(first);
    content.push(b'x');
    vec![
        lie("listed-other-byte", story.other_bytes(first, false)),
        lie("listed-other-last-byte", story.other_bytes(last, true)),
        lie("listed-extra-file", story.with_entries(extra_file())),
        lie(
            "listed-extra-folder",
            story.with_entries(vec![say(StreamMessage::Directory { path: "x".into() })]),
        ),
        lie("listed-missing-file", story.instead_of(last, Vec::new())),
        lie("listed-other-size", story.instead_of(first, named(&first.path, &content))),
        lie(
            "listed-other-name",
            story.instead_of(first, named(&format!("{}x", first.path), &story.content(first))),
        ),
        lie("listed-executable", story.changed_header(first, |_, executable| *executable = !*executable)),
        lie("listed-file-twice", {
            // In the place of the last file, so that the number of files is right.
            story.instead_of(last, named(&first.path, &story.content(first)))
        }),
        lie("listed-file-as-folder", {
            story.instead_of(last, vec![say(StreamMessage::Directory { path: last.path.clone() })])
        }),
        lie("listed-totals", {
            let totals = Totals { directories: 0, bytes: story.totals.bytes, files: story.totals.files + 1 };
            story.begun_with(story.archives, totals)
        }),
        lie("listed-another-game", {
            story.changed(|steps| {
                for step in steps {
                    if let Step::Say(StreamItem::Control(
                        StreamMessage::FileBegin { path, .. }
                        | StreamMessage::Directory { path }
                        | StreamMessage::Copy { path, .. },
                    )) = step
                    {
                        path.insert_str(0, "another/");
                    }
                }
            })
        }),
    ]
}

impl Story {
    /// With these entries in the place of a file, which its totals include.
    fn instead_of(&self, file: &FilePlace, entries: Vec<Step>) -> Vec<Step> {
        let mut more = Totals::default();
        for entry in &entries {
            more = more.checked_add(accounted_for(entry)).unwrap();
        }
        self.changed(|steps| {
            for at in [0, self.archive_of(file)] {
                if let Step::Say(StreamItem::Control(
                    StreamMessage::Begin { totals, .. }
                    | StreamMessage::ArchiveBegin(ArchiveSummary { totals, .. }),
                )) = &mut steps[at]
                {
                    let Totals { files, bytes, .. } = *totals;
                    let without = Totals { files: files - 1, bytes: bytes - file.size, ..*totals };
                    *totals = without.checked_add(more).unwrap();
                }
            }
            steps.splice(file.begin..=file.end(), entries);
        })
    }

    /// Index of the frame that begins the archive of a file.
    fn archive_of(&self, file: &FilePlace) -> usize {
        let begins =
            |step: &Step| matches!(step, Step::Say(StreamItem::Control(StreamMessage::ArchiveBegin(_))));
        self.steps[..file.begin].iter().rposition(begins).unwrap()
    }

    /// With another header of a file, which has no checksum then.
    fn changed_header(&self, file: &FilePlace, change: impl FnOnce(&mut String, &mut bool)) -> Vec<Step> {
        let StreamMessage::FileBegin { mut path, size, modified, mut executable, .. } =
            self.message(file.begin)
        else {
            unreachable!("a file's begin")
        };
        change(&mut path, &mut executable);
        let checksum = None;
        self.replaced(
            file.begin,
            say(StreamMessage::FileBegin { path, size, checksum, modified, executable }),
        )
    }

    /// With one other byte in a file, and with the checksums of what is sent.
    fn other_bytes(&self, file: &FilePlace, from_end: bool) -> Vec<Step> {
        let mut other = Self { steps: self.changed_header(file, |_, _| {}), ..self.clone() };
        let (at, step) = self.wrong(file, from_end);
        other.steps[at] = step;
        let checksum = Checksum::of(&other.content(file));
        other.steps[file.end()] = say(StreamMessage::FileEnd { checksum });
        other.steps
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::content::ArchiveFormat;

    use super::*;

    fn archive(entries: Vec<Step>) -> Vec<Step> {
        let totals = entries
            .iter()
            .fold(Totals::default(), |sum, entry| sum.checked_add(accounted_for(entry)).unwrap());
        let name = "a.eti".to_owned();
        let summary = ArchiveSummary { name, format: ArchiveFormat::Rar5, solid: false, totals };
        let mut steps = vec![say(StreamMessage::ArchiveBegin(summary))];
        steps.extend(entries);
        steps.push(say(StreamMessage::ArchiveEnd));
        steps
    }

    fn bytes_said(steps: &[Step]) -> Vec<u64> {
        let said = steps.iter().filter_map(|step| match step {
            Step::Say(StreamItem::Control(
                StreamMessage::Begin { totals, .. }
                | StreamMessage::ArchiveBegin(ArchiveSummary { totals, .. }),
            )) => Some(totals.bytes),
            _ => None,
        });
        said.collect()
    }

    /// The file in question is larger than the whole last archive.
    #[test]
    fn the_sums_of_the_archive_that_holds_the_file_follow_the_lie() {
        let mut steps = vec![say(StreamMessage::Begin {
            archives: 2,
            totals: Totals { files: 2, directories: 1, bytes: 12 },
        })];
        let mut entries = vec![say(StreamMessage::Directory { path: "d".to_owned() })];
        entries.extend(named("d/a", b"0123456789"));
        steps.extend(archive(entries));
        steps.extend(archive(named("b", b"01")));
        steps.push(say(StreamMessage::Complete));
        let lies = against_a_manifest(&Story::of(steps).unwrap());
        let said = |name| bytes_said(&lies.iter().find(|lie| lie.name == name).unwrap().stream);
        assert_eq!(said("listed-other-byte"), [12, 10, 2]);
        assert_eq!(said("listed-other-size"), [13, 11, 2]);
        assert_eq!(said("listed-missing-file"), [10, 10, 0]);
    }
}
