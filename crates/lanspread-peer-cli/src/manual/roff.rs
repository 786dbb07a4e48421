//! Text for the macros *man* of troff. What is special to it is escaped here and nowhere else.

/// A page that is being written.
pub(super) struct Page(String);

impl Page {
    pub(super) fn new(name: &str, section: &str, source: &str) -> Self {
        let title = escape(name);
        // An empty name of the manual would be that of the section, which leaves no room for the title in a narrow terminal.
        let source = escape(source);
        Self(format!(
            ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH \"{title}\" \"{section}\" \"\" \"{source}\" \"\\&\"\n"
        ))
    }

    pub(super) fn section(&mut self, title: &str) {
        self.line_of_macro(&format!(".SH \"{}\"", escape(title)));
    }

    pub(super) fn subsection(&mut self, title: &str) {
        self.line_of_macro(&format!(".SS \"{}\"", escape(title)));
    }

    /// A line of text that is escaped already.
    pub(super) fn line(&mut self, text: &str) {
        // A line that begins with one of these would be a request.
        if text.starts_with(['.', '\'']) {
            self.0 += "\\&";
        }
        self.0 += text;
        self.0.push('\n');
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        // The first one of a section needs no macro.
        let is_first =
            self.0.lines().last().is_some_and(|line| line.starts_with(".SH") || line.starts_with(".SS"));
        if !is_first {
            self.line_of_macro(".PP");
        }
        self.line(text);
    }

    /// A term, and what it means.
    pub(super) fn item(&mut self, term: &str, meaning: &str) {
        self.line_of_macro(".TP");
        self.line(term);
        self.line(if meaning.is_empty() { "\\&" } else { meaning });
    }

    /// Lines that stay as they are, not escaped yet. They are shown in full, however narrow the terminal is.
    pub(super) fn verbatim(&mut self, lines: &[String]) {
        self.line_of_macro(".nf");
        for line in lines {
            self.line(&escape(line));
        }
        self.line_of_macro(".fi");
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    fn line_of_macro(&mut self, line: &str) {
        self.0 += line;
        self.0.push('\n');
    }
}

pub(super) fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escape(text))
}

pub(super) fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escape(text))
}

/// A text in sentences: on one line, and with what is between backticks in bold.
pub(super) fn prose(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = words.split('`').enumerate().peekable();
    let mut prose = String::new();
    while let Some((number, part)) = parts.next() {
        // A backtick without its other half is a character like others.
        match (number % 2 == 1, parts.peek().is_some()) {
            (true, true) => prose += &bold(part),
            (true, false) => prose += &format!("\\(ga{}", escape(part)),
            (false, _) => prose += &escape(part),
        }
    }
    prose
}

/// The text as troff prints it in any encoding. Source: `groff_char(7)`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\\' => escaped += "\\e",
            '-' => escaped += "\\-",
            '"' => escaped += "\\(dq",
            '\'' => escaped += "\\(aq",
            '`' => escaped += "\\(ga",
            '^' => escaped += "\\(ha",
            '~' => escaped += "\\(ti",
            _ if character.is_ascii() => escaped.push(character),
            _ => escaped += &format!("\\[u{:04X}]", u32::from(character)),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_troff_would_interpret_is_escaped() {
        assert_eq!(escape("a\\b-c \"d\" 'e' ~/f…"), "a\\eb\\-c \\(dqd\\(dq \\(aqe\\(aq \\(ti/f\\[u2026]");
        assert_eq!(prose("use `a b`\n  or `"), "use \\fBa b\\fR or \\(ga");
        let mut page = Page::new("x", "1", "y");
        page.line(".so /etc/passwd");
        page.verbatim(&["'x".to_owned()]);
        assert!(page.text().ends_with("\n\\&.so /etc/passwd\n.nf\n\\(aqx\n.fi\n"));
    }
}
