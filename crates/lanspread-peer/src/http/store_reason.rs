//! Why an object store refuses a request. Pure.

use std::fmt;

/// Characters of a code that a message shows: the longest ones have some forty.
const CODE_CHARS_MAX: usize = 64;

/// The code of an object store for what it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreReason(String);

impl StoreReason {
    /// Finds the code in what a store writes about a refusal; `None` if it does not look like one.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let body = String::from_utf8_lossy(body);
        let (_, code) = body.split_once("<Code>")?;
        let (code, _) = code.split_once("</Code>")?;
        let is_code = !code.is_empty() && code.len() <= CODE_CHARS_MAX;
        (is_code && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| Self(code.to_owned()))
    }

    /// What the code means for the settings of this machine, if it is about them.
    fn meaning(&self) -> Option<&'static str> {
        Some(match self.0.as_str() {
            "SignatureDoesNotMatch" => "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
            "InvalidAccessKeyId" => "it does not know AWS_ACCESS_KEY_ID",
            "AccessDenied" => "this key may not read the object, or the clock of this machine is wrong",
            "RequestTimeTooSkewed" => "the clock of this machine is wrong",
            "ExpiredToken" | "InvalidToken" => "AWS_SESSION_TOKEN counts no longer",
            "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationQueryParametersError" => {
                "AWS_REGION or AWS_ENDPOINT_URL is not that of the bucket"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for StoreReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)?;
        self.meaning().map_or(Ok(()), |meaning| write!(formatter, " ({meaning})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_code_is_shown() {
        let of = |body: &str| StoreReason::of(body.as_bytes()).map(|reason| reason.to_string());
        assert_eq!(of("<?xml?><Error><Code>NoSuchBucket</Code><Message>x"), Some("NoSuchBucket".to_owned()));
        let wrong_secret = of("<Code>SignatureDoesNotMatch</Code>").unwrap();
        assert!(wrong_secret.contains("AWS_SECRET_ACCESS_KEY does not belong"), "{wrong_secret}");
        for other in
            ["", "<Code>", "<Code></Code>", "<Code>a b</Code>", "<Code>\u{1b}[2J</Code>", "Forbidden"]
        {
            assert_eq!(of(other), None, "{other:?}");
        }
        assert_eq!(of(&format!("<Code>{}</Code>", "x".repeat(65))), None);
    }
}
