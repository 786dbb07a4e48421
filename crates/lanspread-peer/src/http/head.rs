//! Whether the head of an answer is that of the range that was asked for. Pure.

use std::time::Duration;

use lanspread_types::limits;
use lanspread_types::text::printable;

use super::error::HttpProblem;

/// Characters of a header field that a message shows.
const FIELD_CHARS_SHOWN: usize = 80;

/// Status and header fields of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Names in small letters. A value that is not text is empty.
    pub(super) fields: Vec<(String, String)>,
}

/// Which bytes of a file are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) offset: u64,
    /// At least 1.
    pub(super) length: u64,
    /// Bytes of the whole file.
    pub(super) total: u64,
}

/// What names one state of a file on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    /// A strong entity tag, with its quotes.
    Tag(String),
    /// When it was modified last, as the server writes it.
    Modified(String),
}

impl Fingerprint {
    /// The value of `If-Range`.
    pub(super) fn as_str(&self) -> &str {
        let (Self::Tag(text) | Self::Modified(text)) = self;
        text
    }
}

impl Head {
    /// The only field of that name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim())
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        let tag =
            self.field("etag").filter(|tag| tag.len() > 1 && tag.starts_with('"') && tag.ends_with('"'));
        let modified = self.field("last-modified").filter(|date| !date.is_empty());
        tag.map(|tag| Fingerprint::Tag(tag.to_owned()))
            .or_else(|| modified.map(|date| Fingerprint::Modified(date.to_owned())))
    }

    /// Where it redirects to, if it says so.
    pub(super) fn redirect(&self) -> Option<&str> {
        let location = self.field("location").filter(|location| !location.is_empty());
        location.filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))
    }

    /// What a status says that is neither 200 nor 206.
    pub(super) fn refusal(&self) -> HttpProblem {
        let status = self.status;
        match status {
            401 | 403 | 407 => HttpProblem::Denied { status },
            404 | 410 => HttpProblem::Missing { status },
            301 | 302 | 303 | 307 | 308 => HttpProblem::Redirect("without saying where to".to_owned()),
            429 | 503 => HttpProblem::Busy { status, retry_after: self.retry_after() },
            _ => HttpProblem::Status { status },
        }
    }

    /// In seconds only: a date would need the clocks of two machines to agree.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.field("retry-after")?.parse().ok()?;
        Some(Duration::from_secs(seconds).min(limits::HTTP_RETRY_AFTER_MAX))
    }

    /// Refuses content that was packed on the way: its bytes would not be those of the file.
    pub(super) fn check_plain(&self) -> Result<(), HttpProblem> {
        match self.field("content-encoding") {
            None => Ok(()),
            Some(encoding) if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") => Ok(()),
            Some(encoding) => Err(HttpProblem::Encoded(shown(encoding))),
        }
    }
}

/// Checks that an answer is the wanted range of the file that `before` names. Returns what names the file now.
pub(super) fn check_range(
    head: &Head,
    wanted: Wanted,
    before: Option<&Fingerprint>,
) -> Result<Option<Fingerprint>, HttpProblem> {
    let Wanted { offset, length, total } = wanted;
    let now = head.fingerprint();
    if matches!(head.status, 200 | 206) {
        check_same(before, now.as_ref())?;
        head.check_plain()?;
    }
    match head.status {
        206 => {
            let expected = format!("bytes {offset}-{}/{total}", offset + length - 1);
            let got = head.field("content-range").unwrap_or("missing");
            if parse_range(got) != Some((offset, offset + length - 1, total)) {
                return Err(HttpProblem::OtherRange { expected, got: shown(got) });
            }
        }
        // A server that sends no parts is as good if a part is the whole.
        200 if offset == 0 && length == total => {}
        200 => return Err(HttpProblem::NoRanges),
        416 => {
            let expected = format!("bytes {offset}-{}/{total}", offset + length - 1);
            let got = head.field("content-range").unwrap_or("status 416");
            return Err(HttpProblem::OtherRange { expected, got: shown(got) });
        }
        _ => return Err(head.refusal()),
    }
    match head.field("content-length") {
        Some(got) if got.parse() != Ok(length) => {
            Err(HttpProblem::OtherLength { expected: length, got: shown(got) })
        }
        _ => Ok(now),
    }
}

/// Two answers are compared if both say the same kind of thing.
fn check_same(before: Option<&Fingerprint>, now: Option<&Fingerprint>) -> Result<(), HttpProblem> {
    let (Some(before), Some(now)) = (before, now) else { return Ok(()) };
    if std::mem::discriminant(before) != std::mem::discriminant(now) || before == now {
        return Ok(());
    }
    Err(HttpProblem::Changed { expected: shown(before.as_str()), got: shown(now.as_str()) })
}

/// First byte, last byte, bytes of the whole file.
fn parse_range(text: &str) -> Option<(u64, u64, u64)> {
    // `parse` also takes a sign.
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    let (unit, range) = text.split_once(' ')?;
    let (range, total) = range.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    unit.eq_ignore_ascii_case("bytes").then_some(())?;
    Some((number(first)?, number(last)?, number(total)?))
}

fn shown(text: &str) -> String {
    printable(text, FIELD_CHARS_SHOWN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: Wanted = Wanted { offset: 10, length: 5, total: 100 };

    fn head(status: u16, fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Head { status, fields: fields.collect() }
    }

    fn check(status: u16, fields: &[(&str, &str)]) -> Result<Option<Fingerprint>, HttpProblem> {
        check_range(&head(status, fields), WANTED, None)
    }

    #[test]
    fn only_exactly_the_range_that_was_asked_for_is_taken() {
        let right = ("content-range", "bytes 10-14/100");
        assert!(check(206, &[right]).is_ok());
        assert!(check(206, &[right, ("content-length", "5"), ("content-encoding", "identity")]).is_ok());
        for wrong in [
            "bytes 10-15/100",
            "bytes 9-14/100",
            "bytes 10-14/101",
            "bytes 10-14/*",
            "bytes */100",
            "10-14/100",
            "bytes 10-14",
            "items 10-14/100",
            "bytes +10-14/100",
            "bytes -",
            "",
            "bytes 99999999999999999999-1/1",
        ] {
            let got = check(206, &[("content-range", wrong)]);
            assert!(matches!(got, Err(HttpProblem::OtherRange { .. })), "{wrong}: {got:?}");
        }
        assert!(
            matches!(check(206, &[]), Err(HttpProblem::OtherRange { .. })),
            "as a multipart answer has none"
        );
        let got = check(206, &[right, ("content-length", "6")]);
        assert!(matches!(got, Err(HttpProblem::OtherLength { expected: 5, .. })), "{got:?}");
        let got = check(206, &[right, ("content-encoding", "gzip")]);
        assert!(matches!(got, Err(HttpProblem::Encoded(_))), "{got:?}");
    }

    #[test]
    fn a_whole_file_is_taken_only_where_the_range_is_the_whole_file() {
        assert!(matches!(check(200, &[("content-length", "100")]), Err(HttpProblem::NoRanges)));
        let whole = Wanted { offset: 0, length: 100, total: 100 };
        assert!(check_range(&head(200, &[]), whole, None).is_ok());
        let longer = check_range(&head(200, &[("content-length", "101")]), whole, None);
        assert!(matches!(longer, Err(HttpProblem::OtherLength { .. })), "{longer:?}");
    }

    #[test]
    fn a_file_that_changed_is_reported_whatever_else_the_answer_says() {
        let tagged = |tag: &str| Fingerprint::Tag(tag.to_owned());
        let right = ("content-range", "bytes 10-14/100");
        assert_eq!(check(206, &[right, ("etag", "\"a\"")]).unwrap(), Some(tagged("\"a\"")));
        let modified = Fingerprint::Modified("Mon".to_owned());
        assert_eq!(
            check(206, &[right, ("etag", "W/\"a\""), ("last-modified", "Mon")]).unwrap(),
            Some(modified)
        );
        for (status, fields) in
            [(206, [right, ("etag", "\"b\"")]), (200, [("content-length", "100"), ("etag", "\"b\"")])]
        {
            let got = check_range(&head(status, &fields), WANTED, Some(&tagged("\"a\"")));
            assert!(matches!(got, Err(HttpProblem::Changed { .. })), "{status}: {got:?}");
        }
        assert!(
            check_range(&head(206, &[right]), WANTED, Some(&tagged("\"a\""))).is_ok(),
            "a cache may leave it out"
        );
    }

    #[test]
    fn a_status_says_what_is_wrong() {
        let code = |status| match check(status, &[("retry-after", "7")]) {
            Err(HttpProblem::Denied { .. }) => "denied",
            Err(HttpProblem::Missing { .. }) => "missing",
            Err(HttpProblem::Busy { retry_after: Some(after), .. }) if after.as_secs() == 7 => "busy",
            Err(HttpProblem::OtherRange { .. }) => "range",
            Err(HttpProblem::Status { .. }) => "status",
            other => panic!("{status}: {other:?}"),
        };
        let table = [
            (401, "denied"),
            (403, "denied"),
            (404, "missing"),
            (410, "missing"),
            (429, "busy"),
            (503, "busy"),
            (416, "range"),
            (500, "status"),
            (502, "status"),
            (304, "status"),
            (100, "status"),
            (204, "status"),
        ];
        for (status, expected) in table {
            assert_eq!(code(status), expected, "{status}");
        }
        for (asked, got) in [("99999", Some(60)), ("-1", None), ("Mon, 01 Jan 2035 00:00:00 GMT", None)] {
            let Err(HttpProblem::Busy { retry_after, .. }) = check(429, &[("retry-after", asked)]) else {
                panic!()
            };
            assert_eq!(retry_after.map(|after| after.as_secs()), got, "{asked}");
        }
    }

    proptest! {
        /// Whatever the fields say: an accepted 206 names the wanted range.
        #[test]
        fn no_field_makes_another_range_acceptable(range in "[ -~]{0,40}", length in "[ -~]{0,8}") {
            let fields = [("content-range", range.as_str()), ("content-length", length.as_str())];
            if check(206, &fields).is_ok() {
                prop_assert!(range.contains("10-14/100"), "{}", range);
            }
        }
    }
}
