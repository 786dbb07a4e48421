//! Which requests are answered at all. Decided from the head of a request alone, before anything is done for it.
//!
//! A page of another site may send requests to this machine with the browser of a user. So each request must name this
//! machine as its host, which a name of another site that leads here does not (DNS rebinding), and each request that
//! changes something must come from a page of the same host.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use sha2::{Digest, Sha256};

use crate::refusal::WebRefusal;

/// The digest of a token: comparing digests tells nothing about how much of a guess is right.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// Where the stream of changes is. A ticket opens it too, which is checked there.
pub(crate) const LIVE: &str = "/api/v1/live";

/// What a request must have.
pub(crate) struct Guard {
    /// Names of this machine that a host may have, in lower case.
    pub(crate) names: Vec<String>,
    /// None if everyone who reaches the page may use it.
    pub(crate) token: Option<TokenDigest>,
}

impl Guard {
    /// Checks the head of a request.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), WebRefusal> {
        let host = one(headers, &header::HOST).ok_or_else(|| foreign_host(""))?;
        if !self.is_ours(host) {
            return Err(foreign_host(host));
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            check_origin(headers, host)?;
            check_type(headers)?;
        }
        let path = uri.path();
        let is_open = !(path.starts_with("/api/") || path == "/metrics") || path == LIVE;
        if is_open { Ok(()) } else { self.check_token(headers) }
    }

    pub(crate) fn check_token(&self, headers: &HeaderMap) -> Result<(), WebRefusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let shown = one(headers, &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        match shown {
            Some(shown) if TokenDigest::of(shown) == *token => Ok(()),
            Some(_) => Err(WebRefusal::new(401, "wrong-token", "this is not the token of the page")),
            None => Err(WebRefusal::new(401, "token-needed", "a token is needed")),
        }
    }

    /// Whether a host is this machine: an address, `localhost` or a name that was configured, with any port.
    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        let is_address = name.parse::<IpAddr>().is_ok();
        is_address || name == "localhost" || self.names.contains(&name)
    }
}

/// The only value of a header. A header that is given twice has none: two programs may read two different values.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The name or address of a host, in lower case, without its port and the brackets of IPv6.
fn name_of(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    (!name.is_empty() && port.is_none_or(is_port)).then(|| name.to_ascii_lowercase())
}

fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), WebRefusal> {
    let origin = one(headers, &header::ORIGIN);
    let authority = origin.and_then(|it| it.strip_prefix("http://").or_else(|| it.strip_prefix("https://")));
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let message = match origin {
        Some(_) => "the request comes from a page of another host",
        None => "the request does not say from which page it comes (Origin)",
    };
    Err(WebRefusal::new(403, "foreign-origin", message))
}

/// A form can send other types to another host without asking it first, and this one it cannot.
fn check_type(headers: &HeaderMap) -> Result<(), WebRefusal> {
    let value = one(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(WebRefusal::new(415, "content-type", "the request must have the type application/json"))
}

fn foreign_host(host: &str) -> WebRefusal {
    let host = lanspread_types::text::printable(host, 80);
    let message = format!("`{host}` is no address and no name of this machine");
    WebRefusal::new(403, "foreign-host", message)
        .with_hint(Some("use its address, or name it with `--web-name`".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let parse =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(parse).collect()
    }

    fn guard(token: Option<&str>) -> Guard {
        Guard { names: vec!["den.local".to_owned()], token: token.map(TokenDigest::of) }
    }

    fn code(guard: &Guard, method: &Method, path: &str, pairs: &[(&str, &str)]) -> String {
        match guard.check(method, &path.parse().unwrap(), &headers(pairs)) {
            Ok(()) => "ok".to_owned(),
            Err(refusal) => refusal.code,
        }
    }

    #[test]
    fn a_host_is_an_address_localhost_or_a_name_that_was_configured() {
        let get = |host| code(&guard(None), &Method::GET, "/", &[("host", host)]);
        for ours in [
            "127.0.0.1:8080",
            "192.168.7.10",
            "[::1]:80",
            "[fe80::1]",
            "localhost:80",
            "LOCALHOST",
            "den.local:1",
            "Den.Local",
        ] {
            assert_eq!(get(ours), "ok", "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost:x",
            "127.0.0.1:99999",
            "[::1",
            "[den.local]",
            "::1",
            "den.local:",
            "user@127.0.0.1",
            "127.0.0.1:80:80",
        ] {
            assert_eq!(get(foreign), "foreign-host", "{foreign}");
        }
        assert_eq!(code(&guard(None), &Method::GET, "/", &[]), "foreign-host");
        let two = [("host", "127.0.0.1"), ("host", "evil.example")];
        assert_eq!(code(&guard(None), &Method::GET, "/", &two), "foreign-host");
    }

    #[test]
    fn what_changes_something_comes_from_a_page_of_the_same_host_as_json() {
        let (host, json) = (("host", "127.0.0.1:80"), ("content-type", "application/json"));
        let ask =
            |method: &Method, pairs: &[(&str, &str)]| code(&guard(None), method, "/api/v1/operations", pairs);
        for method in [Method::POST, Method::DELETE, Method::PUT, Method::PATCH, Method::OPTIONS] {
            let own = ("origin", "http://127.0.0.1:80");
            assert_eq!(ask(&method, &[host, json, own]), "ok");
            assert_eq!(ask(&method, &[host, json]), "foreign-origin");
            for foreign in [
                "http://evil.example",
                "http://127.0.0.1",
                "http://127.0.0.1:81",
                "null",
                "127.0.0.1:80",
                "file://127.0.0.1:80",
                "http://127.0.0.1:80.evil.example",
                "",
            ] {
                assert_eq!(ask(&method, &[host, json, ("origin", foreign)]), "foreign-origin", "{foreign}");
            }
            for other in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "",
                "application/jsonp",
            ] {
                assert_eq!(ask(&method, &[host, own, ("content-type", other)]), "content-type", "{other}");
            }
            let with_charset = ("content-type", "Application/JSON; charset=utf-8");
            assert_eq!(ask(&method, &[host, own, with_charset]), "ok");
        }
    }

    #[test]
    fn a_token_guards_the_interface_and_not_the_files_of_the_page() {
        let guarded = guard(Some("the right token"));
        let ask = |path: &str, value: Option<&str>| {
            let mut pairs = vec![("host", "127.0.0.1")];
            pairs.extend(value.map(|value| ("authorization", value)));
            code(&guarded, &Method::GET, path, &pairs)
        };
        for path in ["/api/v1/room", "/api/v1/actions?game=g", "/metrics", "/api/v2/else"] {
            assert_eq!(ask(path, None), "token-needed", "{path}");
            assert_eq!(ask(path, Some("Bearer a wrong token")), "wrong-token", "{path}");
            assert_eq!(ask(path, Some("Basic the right token")), "token-needed", "{path}");
            assert_eq!(ask(path, Some("Bearer the right token")), "ok", "{path}");
        }
        for path in ["/", "/room.js", "/room.css", "/api/v1/live"] {
            assert_eq!(ask(path, None), "ok", "{path}");
        }
    }
}
