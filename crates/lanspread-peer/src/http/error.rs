//! What can be wrong with an HTTP server.

use std::time::Duration;

use lanspread_types::ids::WordError;

use super::object_store::SettingsProblem;
use super::store_reason::StoreReason;

/// A request to a server failed. The text names its URL without credentials.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub(crate) struct HttpError {
    /// What was asked for, without credentials.
    pub(crate) url: String,
    /// What is wrong.
    pub(crate) problem: HttpProblem,
}

/// What is wrong with a server or its answer.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a client finds most of it"))]
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpProblem {
    /// This program cannot do it.
    #[cfg_attr(feature = "http", allow(dead_code, reason = "only a build without it says so"))]
    #[error("this program was built without HTTP")]
    NotBuilt,
    /// A variable of the environment does not say which object store it is, or who asks.
    #[error("no object store can be asked: {0}")]
    Settings(#[from] SettingsProblem),
    /// The names of the game and the file make no URL.
    #[error(transparent)]
    Url(#[from] WordError),
    /// No address of the server accepted a connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server did not prove its name, or TLS failed otherwise.
    #[error("no encrypted connection can be made: {0}")]
    Encryption(String),
    /// The proxy that the environment names did not connect.
    #[error("the proxy {proxy} does not connect: {message}")]
    Proxy {
        /// Where it is, without credentials.
        proxy: String,
        /// What it did.
        message: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The server took too long.
    #[error("no {what} within {} s", after.as_secs())]
    Timeout {
        /// What did not arrive.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The server is alive and sends next to nothing.
    #[error("{got} bytes in {} s, at least {expected} are expected", within.as_secs())]
    TooSlow {
        /// Bytes expected in that time.
        expected: u64,
        /// Bytes that came.
        got: u64,
        /// The time in which it was waited for.
        within: Duration,
    },
    /// What was sent is not HTTP, or its head is too long.
    #[error("its answer cannot be read: {0}")]
    Malformed(String),
    /// A redirect that is not followed.
    #[error("it redirects {0}")]
    Redirect(String),
    /// The server wants other credentials, or none of this machine.
    #[error("status {status}: it does not let this machine in")]
    Denied {
        /// Status of the answer.
        status: u16,
    },
    /// The server does not have the file.
    #[error("status {status}: it does not have this file")]
    Missing {
        /// Status of the answer.
        status: u16,
    },
    /// The server has too much to do.
    #[error("status {status}: it has too much to do")]
    Busy {
        /// Status of the answer.
        status: u16,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// An object store says why it refuses.
    #[error("{problem}; the object store says {reason}")]
    Store {
        /// What its status means.
        problem: Box<HttpProblem>,
        /// What it says.
        reason: StoreReason,
    },
    /// Another status.
    #[error("status {status}, 206 expected")]
    Status {
        /// Status of the answer.
        status: u16,
    },
    /// The whole file came where a part was asked for.
    #[error("status 200, 206 expected: it does not send parts of files")]
    NoRanges,
    /// Another range came, or the file has another size.
    #[error("Content-Range is {got}, {expected} expected")]
    OtherRange {
        /// What was asked for.
        expected: String,
        /// What the answer says.
        got: String,
    },
    /// The announced length is another one.
    #[error("Content-Length is {got}, {expected} expected")]
    OtherLength {
        /// Bytes asked for.
        expected: u64,
        /// Bytes announced.
        got: String,
    },
    /// The content is packed on the way.
    #[error("its Content-Encoding is {0}, none was asked for")]
    Encoded(String),
    /// The file is not the one of the last answer.
    #[error("the file changed: {expected} before, {got} now")]
    Changed {
        /// What named it before.
        expected: String,
        /// What names it now.
        got: String,
    },
    /// The answer ended too early.
    #[error("{got} bytes came, {expected} expected")]
    Short {
        /// Bytes asked for.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// The answer did not end.
    #[error("more bytes came than the {expected} that were asked for")]
    More {
        /// Bytes asked for.
        expected: u64,
    },
}

impl HttpError {
    pub(crate) fn new(url: &impl std::fmt::Display, problem: impl Into<HttpProblem>) -> Self {
        Self { url: url.to_string(), problem: problem.into() }
    }

    /// Stable kebab-case code.
    pub(crate) fn code(&self) -> &'static str {
        self.problem.code()
    }

    /// Whether another request to the same server may succeed. Pure.
    pub(crate) fn may_pass(&self) -> bool {
        self.problem.may_pass()
    }

    /// The pause that the server asks for, bounded.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.problem.retry_after()
    }
}

impl HttpProblem {
    /// Whether the server does not send the file at all, and may say why.
    pub(super) fn is_refusal(&self) -> bool {
        use HttpProblem as P;
        matches!(
            self,
            P::Denied { .. } | P::Missing { .. } | P::Busy { .. } | P::Status { .. } | P::Redirect(_)
        )
    }

    fn code(&self) -> &'static str {
        use HttpProblem as P;
        match self {
            P::NotBuilt => "http-not-built",
            P::Settings(_) => SettingsProblem::CODE,
            P::Store { problem, .. } => problem.code(),
            P::Url(_) => "http-url",
            P::Connect(_) => "unreachable",
            P::Encryption(_) => "encryption-failed",
            P::Proxy { .. } => "http-proxy",
            P::Lost(_) | P::Short { .. } => "connection-lost",
            P::Timeout { .. } => "timeout",
            P::TooSlow { .. } => "too-slow",
            P::Malformed(_) => "http-malformed",
            P::Redirect(_) => "http-redirect",
            P::Denied { .. } => "http-denied",
            P::Missing { .. } => "http-missing",
            P::Busy { .. } => "busy",
            P::Status { .. } => "http-status",
            P::NoRanges | P::OtherRange { .. } | P::OtherLength { .. } | P::Encoded(_) | P::More { .. } => {
                "http-range"
            }
            P::Changed { .. } => "http-changed",
        }
    }

    fn may_pass(&self) -> bool {
        use HttpProblem as P;
        match self {
            P::Store { problem, .. } => problem.may_pass(),
            P::Connect(_)
            | P::Proxy { .. }
            | P::Lost(_)
            | P::Short { .. }
            | P::Timeout { .. }
            | P::TooSlow { .. }
            | P::Busy { .. }
            | P::Changed { .. } => true,
            P::Status { status } => *status >= 500,
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            HttpProblem::Busy { retry_after, .. } => *retry_after,
            HttpProblem::Store { problem, .. } => problem.retry_after(),
            _ => None,
        }
    }
}
