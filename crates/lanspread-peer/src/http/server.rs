//! One server of one game: ranges of its files.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use lanspread_types::ids::{GameId, PeerId, PeerName};
use lanspread_types::limits;
use lanspread_types::source_url::{FileAddress, ObjectAddress, SourceUrl};
use lanspread_types::web_url::WebUrl;
use sha2::{Digest, Sha256};

use super::client::{HttpClient, Response};
use super::error::{HttpError, HttpProblem};
use super::get::get;
use super::head::{Fingerprint, Wanted, check_range};
use super::object_store::ObjectStore;
use super::store_reason::StoreReason;

/// A server that has the files of a game.
pub(crate) struct HttpServer {
    url: SourceUrl,
    game: GameId,
    name: PeerName,
    client: HttpClient,
    /// Where the objects are, once one is asked for.
    store: OnceLock<ObjectStore>,
    /// What names the files that it has sent parts of.
    fingerprints: Mutex<BTreeMap<String, Fingerprint>>,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilePart<'f> {
    /// Name of the file.
    pub(crate) file: &'f str,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// Place of its first byte.
    pub(crate) offset: u64,
    /// Number of its bytes, at least 1.
    pub(crate) length: u64,
}

impl HttpServer {
    pub(crate) fn new(url: SourceUrl, game: GameId, client: HttpClient) -> Self {
        let name = name_of(&url);
        Self { url, game, name, client, store: OnceLock::new(), fingerprints: Mutex::default() }
    }

    /// The same, with this object store instead of the one that the environment names.
    #[cfg(all(test, feature = "s3"))]
    pub(super) fn with_store(self, store: ObjectStore) -> Self {
        Self { store: store.into(), ..self }
    }

    /// What people call it: as much of its URL as a name holds, without credentials.
    pub(crate) fn name(&self) -> &PeerName {
        &self.name
    }

    /// What records call it, where a peer has its identity. It proves nothing, and nothing is decided by it.
    pub(crate) fn record_id(&self) -> PeerId {
        PeerId::of_key(&Sha256::digest(format!("server {}", self.url)).into())
    }

    /// The URL of a file, now.
    pub(super) fn url_of(&self, file: &str) -> Result<WebUrl, HttpError> {
        let failed = |problem: HttpProblem| HttpError::new(&self.url, problem);
        match self.url.of_file(&self.game, file).map_err(|error| failed(error.into()))? {
            FileAddress::Web(url) => Ok(url),
            FileAddress::Object(object) => self.url_of_object(&object).map_err(failed),
        }
    }

    fn url_of_object(&self, object: &ObjectAddress) -> Result<WebUrl, HttpProblem> {
        let store = if let Some(store) = self.store.get() {
            store
        } else {
            let store = ObjectStore::of_environment()?;
            self.store.get_or_init(|| store)
        };
        Ok(store.url_of(object, SystemTime::now())?)
    }

    /// The failure of a request, with the reason that an object store writes where a page for people is elsewhere.
    pub(super) async fn failure(&self, mut response: Response, problem: HttpProblem) -> HttpError {
        let url = response.url().clone();
        let mut body = Vec::new();
        while self.url.is_object_store()
            && problem.is_refusal()
            && body.len() < limits::HTTP_REFUSAL_BYTES_MAX
        {
            let Ok(Some(bytes)) = response.next().await else { break };
            body.extend_from_slice(&bytes);
        }
        body.truncate(limits::HTTP_REFUSAL_BYTES_MAX);
        HttpError::new(
            &url,
            match StoreReason::of(&body) {
                Some(reason) => HttpProblem::Store { problem: Box::new(problem), reason },
                None => problem,
            },
        )
    }

    pub(super) fn client(&self) -> &HttpClient {
        &self.client
    }

    /// Forgets what named its files, after one has changed.
    pub(crate) fn forget(&self) {
        self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks for a part of a file.
    ///
    /// # Errors
    /// [`HttpError`], also if what is answered is not exactly this part.
    pub(crate) async fn part(&self, part: FilePart<'_>) -> Result<PartBody, HttpError> {
        let FilePart { file, size, offset, length } = part;
        let url = self.url_of(file)?;
        let before = self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned();
        let mut fields = vec![("range", format!("bytes={offset}-{}", offset + length - 1))];
        fields.extend(before.as_ref().map(|before| ("if-range", before.as_str().to_owned())));
        let response = get(&self.client, &url, &fields).await?;
        let wanted = Wanted { offset, length, total: size };
        let now = match check_range(response.head(), wanted, before.as_ref()) {
            Ok(now) => now,
            Err(problem) => return Err(self.failure(response, problem).await),
        };
        if let (None, Some(now)) = (before, now) {
            let mut known = self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(file.to_owned()).or_insert(now);
        }
        Ok(PartBody { response, length, got: 0 })
    }
}

/// The bytes of a part, as they arrive.
pub(crate) struct PartBody {
    response: Response,
    length: u64,
    got: u64,
}

impl PartBody {
    /// The next bytes, at most [`limits::HTTP_HEAD_BYTES_MAX`]; `None` when all have come.
    ///
    /// # Errors
    /// [`HttpError`], also if fewer or more come.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        let expected = self.length;
        let short = HttpProblem::Short { expected, got: self.got };
        let bytes = match self.response.next().await {
            Err(HttpError { url, problem: HttpProblem::Lost(_) }) => {
                return Err(HttpError { url, problem: short });
            }
            next => next?,
        };
        let Some(bytes) = bytes else {
            return if self.got == expected { Ok(None) } else { Err(self.wrong(short)) };
        };
        self.got += bytes.len() as u64;
        if self.got > expected {
            return Err(self.wrong(HttpProblem::More { expected }));
        }
        Ok(Some(bytes))
    }

    fn wrong(&self, problem: HttpProblem) -> HttpError {
        HttpError::new(self.response.url(), problem)
    }
}

/// The URL without credentials if it is short enough, or else scheme, host and port, or as much of them as fits.
fn name_of(url: &SourceUrl) -> PeerName {
    let whole = url.to_string();
    let origin_end = whole.find("://").and_then(|at| whole[at + 3..].find('/').map(|end| at + 3 + end));
    let origin = &whole[..origin_end.unwrap_or(whole.len())];
    let cut = &origin[..origin.len().min(limits::LABEL_BYTES_MAX)];
    let named = [whole.as_str(), origin, cut].into_iter().find_map(|name| name.parse().ok());
    named.unwrap_or_else(|| unreachable!("a URL is printable ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_url_without_credentials() {
        let long = "x".repeat(60);
        for (url, name) in [
            ("http://u:p@h:81/g/{game}/{file}", "http://h:81/g/{game}/{file}".to_owned()),
            (&format!("https://h/{long}/{{file}}?sig=x"), "https://h".to_owned()),
            (&format!("https://{long}/{{file}}"), format!("https://{}", &long[..56])),
        ] {
            assert_eq!(name_of(&url.parse().unwrap()).as_str(), name, "{url}");
        }
    }
}
