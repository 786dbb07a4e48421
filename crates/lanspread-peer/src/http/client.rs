//! Connections to HTTP servers: proxies, encryption, and one request at a time on each connection. The one file that names
//! the HTTP library.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use lanspread_tls::web::WebTls;
use lanspread_types::limits;
use lanspread_types::text::printable;
use lanspread_types::web_url::WebUrl;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::error::{HttpError, HttpProblem};
use super::head::Head;
use crate::task::Tasks;
use crate::transport::dial::connect_by_name;

/// The longest text of a library that a message shows.
const TEXT_CHARS_SHOWN: usize = 200;
/// Bytes of the answer with which a proxy opens a tunnel.
const TUNNEL_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Asks HTTP servers. Clones share their connections.
#[derive(Clone)]
pub(crate) struct HttpClient(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    /// How long a server may send nothing.
    idle_timeout: Duration,
    proxies: Matcher,
    tls: OnceCell<WebTls>,
    idle: Mutex<Vec<Link>>,
}

/// An open connection on which no request runs.
struct Link {
    origin: String,
    sender: SendRequest<String>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl HttpClient {
    /// A client with the proxies that the environment names.
    pub(crate) fn new(tasks: &Tasks, idle_timeout: Duration) -> Self {
        Self::with_proxies(tasks, idle_timeout, Matcher::from_env())
    }

    pub(super) fn with_proxies(tasks: &Tasks, idle_timeout: Duration, proxies: Matcher) -> Self {
        let (tasks, idle) = (tasks.clone(), Mutex::default());
        Self(Arc::new(Inner { tasks, idle_timeout, proxies, tls: OnceCell::new(), idle }))
    }

    /// Sends one request and receives the head of its answer.
    pub(super) async fn send(
        &self,
        url: &WebUrl,
        fields: &[(&'static str, String)],
    ) -> Result<Response, HttpError> {
        let failed = |problem| HttpError::new(url, problem);
        let uri: Uri = format!("{}{}", url.origin(), url.target()).parse().map_err(|_| {
            failed(HttpProblem::Malformed("its URL has characters that HTTP does not send".to_owned()))
        })?;
        let proxy = self.0.proxies.intercept(&uri);
        loop {
            let idle = self.take_idle(url);
            let was_used = idle.is_some();
            let mut link = match idle {
                Some(link) => link,
                None => self.connect(url, proxy.as_ref()).await.map_err(failed)?,
            };
            let request = request(url, &uri, proxy.as_ref(), fields);
            let request = request.map_err(|error| failed(HttpProblem::Malformed(shown(&error))))?;
            let (what, after) = ("answer", self.0.idle_timeout);
            let answering = async {
                link.sender.ready().await?;
                link.sender.send_request(request).await
            };
            let answer = match timeout(after, answering).await {
                Err(_) => return Err(failed(HttpProblem::Timeout { what, after })),
                // The server closed the connection while no request ran.
                Ok(Err(error)) if was_used && !error.is_parse() => continue,
                Ok(Err(error)) => return Err(failed(problem(&error))),
                Ok(Ok(answer)) => answer,
            };
            let (parts, body) = answer.into_parts();
            let fields = parts.headers.iter().map(|(name, value)| {
                (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
            });
            let head = Head { status: parts.status.as_u16(), fields: fields.collect() };
            return Ok(Response {
                url: url.clone(),
                head,
                body,
                link: Some(link),
                client: self.clone(),
                waited: Duration::ZERO,
                bytes: 0,
            });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self, url: &WebUrl) -> Option<Link> {
        let (mut idle, origin) = (self.idle(), url.origin());
        idle.retain(|link| !link.sender.is_closed());
        let found = idle.iter().rposition(|link| link.origin == origin)?;
        Some(idle.swap_remove(found))
    }

    fn keep(&self, link: Link) {
        let mut idle = self.idle();
        if idle.len() < limits::HTTP_IDLE_CONNECTIONS_MAX {
            idle.push(link);
        }
    }

    async fn connect(&self, url: &WebUrl, proxy: Option<&Intercept>) -> Result<Link, HttpProblem> {
        let socket: Box<dyn Stream> = match proxy {
            None => Box::new(
                connect_by_name(url.host(), url.port())
                    .await
                    .map_err(|error| HttpProblem::Connect(error.to_string()))?,
            ),
            Some(proxy) => self.through(proxy, url).await?,
        };
        let socket: Box<dyn Stream> = if url.is_encrypted() {
            let (what, after) = ("encrypted connection", limits::HELLO_DEADLINE);
            let encrypting = self.encrypt(url, socket);
            let encrypted =
                timeout(after, encrypting).await.map_err(|_| HttpProblem::Timeout { what, after })?;
            encrypted.map_err(|error| HttpProblem::Encryption(shown(&error)))?
        } else {
            socket
        };
        let mut builder = Builder::new();
        builder.max_headers(limits::HTTP_FIELDS_MAX).max_buf_size(limits::HTTP_HEAD_BYTES_MAX);
        let (sender, connection) =
            builder.handshake::<_, String>(TokioIo::new(socket)).await.map_err(|error| problem(&error))?;
        let cancel = self.0.tasks.cancel_token();
        // It ends when the link and the answer that uses it are dropped.
        self.0.tasks.spawn_contained("http-connection", async move {
            if let Some(Err(error)) = cancel.run_until_cancelled(connection).await {
                tracing::debug!("a connection to a server ended: {error}");
            }
        });
        Ok(Link { origin: url.origin(), sender })
    }

    /// Connects to a proxy; for an encrypted server, to that server through it.
    async fn through(&self, proxy: &Intercept, url: &WebUrl) -> Result<Box<dyn Stream>, HttpProblem> {
        let uri = proxy.uri();
        let place = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
        let failed = |message: String| HttpProblem::Proxy { proxy: place.clone(), message };
        if uri.scheme_str() != Some("http") {
            return Err(failed("only proxies of http:// are used".to_owned()));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let connected = connect_by_name(host, uri.port_u16().unwrap_or(80)).await;
        let mut socket = connected.map_err(|error| failed(error.to_string()))?;
        if url.is_encrypted() {
            let authority = url.authority();
            let authorization = proxy.basic_auth().and_then(|value| value.to_str().ok());
            let authorization =
                authorization.map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
            let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n");
            let opening = open_tunnel(&mut socket, request.as_bytes());
            let opened = timeout(limits::HELLO_DEADLINE, opening).await;
            opened.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(failed)?;
        }
        Ok(Box::new(socket))
    }

    async fn encrypt(&self, url: &WebUrl, socket: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        let tls = self.0.tls.get_or_try_init(|| async {
            let reading = self.0.tasks.spawn_blocking("certificates", WebTls::of_this_machine);
            reading.await.unwrap_or_else(|error| Err(io::Error::other(error)))
        });
        Ok(Box::new(tls.await?.connect(url.host(), socket).await?))
    }
}

/// Asks a proxy for a connection to a server. Reads no byte beyond the answer's head.
async fn open_tunnel(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> Result<(), String> {
    let lost = |error: io::Error| error.to_string();
    socket.write_all(request).await.map_err(lost)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == TUNNEL_HEAD_BYTES_MAX {
            return Err("its answer is too long".to_owned());
        }
        head.push(socket.read_u8().await.map_err(lost)?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let is_open =
        line.starts_with("HTTP/1.") && line.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    if is_open { Ok(()) } else { Err(printable(&line, TEXT_CHARS_SHOWN)) }
}

fn request(
    url: &WebUrl,
    uri: &Uri,
    proxy: Option<&Intercept>,
    fields: &[(&'static str, String)],
) -> Result<Request<String>, hyper::http::Error> {
    let is_through_proxy = proxy.is_some() && !url.is_encrypted();
    // A proxy needs the whole URL; a server knows who it is.
    let target = if is_through_proxy { uri.to_string() } else { url.target().to_owned() };
    let mut builder = Request::get(target).header("host", url.host_field());
    builder = builder.header("user-agent", concat!("lanspread/", env!("CARGO_PKG_VERSION")));
    // Content that is packed on the way would not be the bytes of the file.
    builder = builder.header("accept-encoding", "identity");
    if let Some(credentials) = url.credentials() {
        builder = builder.header("authorization", format!("Basic {}", STANDARD.encode(credentials)));
    }
    if let Some(authorization) = proxy.filter(|_| is_through_proxy).and_then(Intercept::basic_auth) {
        builder = builder.header("proxy-authorization", authorization);
    }
    for (name, value) in fields {
        builder = builder.header(*name, value);
    }
    builder.body(String::new())
}

/// The answer to a request.
pub(super) struct Response {
    url: WebUrl,
    head: Head,
    body: Incoming,
    /// Kept for the next request when the whole body has come. Otherwise the connection ends with the answer.
    link: Option<Link>,
    client: HttpClient,
    /// How long the server was waited for in this span, and what it sent in it.
    waited: Duration,
    bytes: u64,
}

impl Response {
    /// What was asked for, after redirects.
    pub(super) fn url(&self) -> &WebUrl {
        &self.url
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let (what, after, began) = ("data", self.client.0.idle_timeout, Instant::now());
            let next = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let Ok(next) = timeout(after, next).await else {
                return Err(HttpError::new(&self.url, HttpProblem::Timeout { what, after }));
            };
            self.waited += began.elapsed();
            let Some(frame) = next else {
                if let Some(link) = self.link.take() {
                    self.client.keep(link);
                }
                return Ok(None);
            };
            let frame = frame.map_err(|error| HttpError::new(&self.url, problem(&error)))?;
            // Trailers say nothing about bytes.
            let Ok(data) = frame.into_data() else { continue };
            self.bytes += data.len() as u64;
            self.check_progress()?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    fn check_progress(&mut self) -> Result<(), HttpError> {
        if self.waited < limits::HTTP_PROGRESS_SPAN {
            return Ok(());
        }
        let (within, got) = (std::mem::take(&mut self.waited), std::mem::take(&mut self.bytes));
        let expected = limits::HTTP_PROGRESS_BYTES_MIN;
        if got >= expected {
            return Ok(());
        }
        Err(HttpError::new(&self.url, HttpProblem::TooSlow { expected, got, within }))
    }
}

/// What an error of the library is about.
fn problem(error: &hyper::Error) -> HttpProblem {
    if error.is_parse() { HttpProblem::Malformed(shown(error)) } else { HttpProblem::Lost(shown(error)) }
}

/// The text of an error of a library with its causes.
fn shown(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(&format!(": {more}"));
        }
        cause = error.source();
    }
    printable(&text, TEXT_CHARS_SHOWN)
}
