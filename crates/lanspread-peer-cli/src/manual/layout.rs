//! The help below the options, in its parts.

/// A part of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Prose(String),
    /// Lines under a title, such as examples. What is common to the indents of all lines is left out.
    Listing {
        title: String,
        lines: Vec<String>,
    },
}

/// The parts of a text: paragraphs are between empty lines, and a listing is a line that ends with a colon and indented ones.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs
        .map(|paragraph| listing(paragraph).unwrap_or_else(|| Block::Prose(paragraph.to_owned())))
        .collect()
}

fn listing(paragraph: &str) -> Option<Block> {
    let (title, rest) = paragraph.trim_matches('\n').split_once('\n')?;
    let title = title.strip_suffix(':')?.to_owned();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let common = rest.lines().map(indent).min()?;
    let lines = rest.lines().map(|line| line[common..].to_owned()).collect();
    (common > 0).then_some(Block::Listing { title, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_a_title_and_keeps_its_indents() {
        let listing = |title: &str, lines: &[&str]| Block::Listing {
            title: title.to_owned(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(
            blocks("Steps:\n  a\n    b\n\nOne: not\nindented.\n\nTail."),
            [
                listing("Steps", &["a", "  b"]),
                Block::Prose("One: not\nindented.".to_owned()),
                Block::Prose("Tail.".to_owned())
            ]
        );
        assert_eq!(blocks(""), []);
    }
}
