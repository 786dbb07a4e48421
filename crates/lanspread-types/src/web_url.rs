//! URLs of HTTP servers, as far as a client needs them. Pure.
//!
//! A URL may hold credentials: a name and a password before the host, or a signature in its query. Neither is ever shown.

use std::fmt;

use crate::ids::WordError;
use crate::limits;

/// The rule that a text of another scheme breaks.
pub(crate) const NOT_WEB: &str = "it must begin with http:// or https://";

/// A URL that can be requested.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebUrl {
    is_encrypted: bool,
    /// `NAME:PASSWORD`, percent-encoded as it was written.
    credentials: Option<String>,
    /// A name, an IPv4 address, or an IPv6 address in brackets; in small letters.
    host: String,
    port: u16,
    /// Path and query; begins with `/`.
    target: String,
}

impl WebUrl {
    /// Reads a URL. What follows a `#` is not part of it.
    ///
    /// # Errors
    /// [`WordError`], which shows no credentials.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let fail = |rule| WordError { what: "URL", value: shown_of_text(text), rule };
        if text.len() > limits::REQUEST_URL_BYTES_MAX {
            return Err(fail("it is too long"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fail("it must have printable ASCII characters only; others are percent-encoded"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let is_encrypted = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(fail(NOT_WEB)),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place).ok_or_else(|| fail("its port must be 1 to 65535"))?;
        if !is_host(host) {
            return Err(fail("its host must be a name, an IPv4 address or an IPv6 address in brackets"));
        }
        Ok(Self {
            is_encrypted,
            credentials: credentials.filter(|credentials| !credentials.is_empty()),
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(if is_encrypted { 443 } else { 80 }),
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        })
    }

    /// Where a redirect of this URL leads. Credentials do not leave the server that they are for.
    ///
    /// # Errors
    /// [`WordError`].
    pub fn join(&self, location: &str) -> Result<Self, WordError> {
        let scheme = if self.is_encrypted { "https:" } else { "http:" };
        let has_scheme = location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
        let mut joined = if has_scheme {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{scheme}{location}"))?
        } else {
            let path = self.target.split('?').next().unwrap_or_default();
            let folder = &path[..=path.rfind('/').unwrap_or_default()];
            let target = match location.chars().next() {
                Some('/') => location.to_owned(),
                Some('?') => format!("{path}{location}"),
                None | Some('#') => self.target.clone(),
                Some(_) => format!("{folder}{location}"),
            };
            Self::parse(&format!("{scheme}//{}{}", self.authority(), without_dots(&target)))?
        };
        if joined.credentials.is_none() && joined.origin() == self.origin() {
            joined.credentials.clone_from(&self.credentials);
        }
        Ok(joined)
    }

    /// Whether it is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Host, and the port if it is not that of the scheme: the `Host` of a request.
    pub fn host_field(&self) -> String {
        if self.port == if self.is_encrypted { 443 } else { 80 } {
            self.host.clone()
        } else {
            self.authority()
        }
    }

    /// Scheme, host and port: requests of one origin can share a connection.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_encrypted { "https" } else { "http" }, self.host_field())
    }

    /// Path and query, which may hold credentials.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// `NAME:PASSWORD`, decoded, if it has them.
    pub fn credentials(&self) -> Option<Vec<u8>> {
        self.credentials.as_deref().map(percent_decoded)
    }
}

/// Without credentials and query.
impl fmt::Display for WebUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = match self.target.split_once('?') {
            Some((path, _)) => (path, "?…"),
            None => (self.target.as_str(), ""),
        };
        write!(formatter, "{}{path}{query}", self.origin())
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that should be a URL, without what may be credentials.
pub(crate) fn shown_of_text(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    let place = rest[..path].rsplit('@').next().unwrap_or_default();
    let path = rest[path..].split('?').next().unwrap_or_default();
    let shown =
        if scheme.is_empty() { format!("{place}{path}") } else { format!("{scheme}://{place}{path}") };
    crate::text::printable(&shown, 80)
}

fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let host_end = place.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = place[host_end..].find(':') else { return Some((place, None)) };
    let (host, port) = place.split_at(host_end + colon);
    let port = &port[1..];
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((host, Some(port)))
}

fn is_host(host: &str) -> bool {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = inside {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    !host.is_empty() && host.len() <= 255 && is_plain
}

/// Removes `.` and `..` from the path of a target (RFC 3986, section 5.2.4).
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next().unwrap_or_default();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    if matches!(last, "." | "..") {
        kept.push("");
    }
    format!("/{}{query}", kept.join("/"))
}

/// A name as a part of a path or a query: everything but letters, digits, `.`, `_`, `~` and `-` is encoded.
pub fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._~-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, others)) = rest.split_first() {
        let digits = if *first == b'%' { others.get(..2) } else { None };
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> WebUrl {
        WebUrl::parse(text).unwrap()
    }

    #[test]
    fn a_url_has_an_origin_and_a_target() {
        for (text, origin, target) in [
            ("http://a", "http://a", "/"),
            ("HTTP://A:80/x%20y?z=1#f", "http://a", "/x%20y?z=1"),
            ("https://a.b:8443?q", "https://a.b:8443", "/?q"),
            ("https://[fe80::1]:443/", "https://[fe80::1]", "/"),
            ("http://u:p@a:81/@:x", "http://a:81", "/@:x"),
        ] {
            let url = url(text);
            assert_eq!((url.origin().as_str(), url.target()), (origin, target), "{text}");
        }
        for bad in [
            "",
            "a",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://a:0/",
            "http://a:65536/",
            "http://a:+1/",
            "http://a:/",
            "http://[::1/",
            "http://[x]/",
            "http://a b/",
            "http://a/\u{e4}",
            "http://a/\n",
            "http://a\\b/",
            "http://a<b>/",
            &format!("http://a/{}", "x".repeat(9000)),
        ] {
            assert!(WebUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_used_and_never_shown() {
        let text = "https://us%40er:sec%3Aret@host/path/x?X-Amz-Signature=secret";
        let url = url(text);
        assert_eq!(url.credentials().unwrap(), b"us@er:sec:ret");
        assert!(url.target().ends_with("=secret"));
        for shown in [url.to_string(), format!("{url:?}")] {
            assert_eq!(shown, "https://host/path/x?…");
        }
        let refused = WebUrl::parse("https://user:secret@ho st/?secret").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused}");
    }

    #[test]
    fn a_redirect_leads_where_browsers_go() {
        let from = url("https://u:p@a:81/b/c/d?q=1");
        for (location, expected) in [
            ("http://x/y", "http://x/y"),
            ("//x/y", "https://x/y"),
            ("/x", "https://a:81/x"),
            ("x", "https://a:81/b/c/x"),
            ("../x", "https://a:81/b/x"),
            ("../../../../x/./y", "https://a:81/x/y"),
            ("..", "https://a:81/b/"),
            ("?r#f", "https://a:81/b/c/d?…"),
            ("", "https://a:81/b/c/d?…"),
        ] {
            let to = from.join(location).unwrap();
            assert_eq!(to.to_string(), expected, "{location}");
            let keeps_credentials = to.origin() == from.origin();
            assert_eq!(to.credentials().is_some(), keeps_credentials, "{location}");
        }
        assert!(from.join("ftp://x/").is_err());
        assert!(from.join("http://\u{0}/").is_err());
    }

    #[test]
    fn names_are_encoded_so_that_they_stay_names() {
        assert_eq!(percent_encoded("a b/c?d#e%f.eti"), "a%20b%2Fc%3Fd%23e%25f.eti");
        assert_eq!(percent_encoded("\u{e4}~_-"), "%C3%A4~_-");
        assert_eq!(percent_decoded("%4a%zz%C3%A4%"), "J%zz\u{e4}%".as_bytes());
    }
}
