//! The client of a program that was built without HTTP: every request fails.

use std::future::{Ready, ready};
use std::time::Duration;

use bytes::Bytes;
use lanspread_types::web_url::WebUrl;

use super::error::{HttpError, HttpProblem};
use super::head::Head;
use crate::task::Tasks;

/// Asks HTTP servers.
#[derive(Clone)]
pub(crate) struct NoHttp;

impl NoHttp {
    pub(crate) fn new(_: &Tasks, _: Duration) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the one that asks uses it")]
    pub(super) fn send(
        &self,
        url: &WebUrl,
        _: &[(&'static str, String)],
    ) -> Ready<Result<Response, HttpError>> {
        ready(Err(HttpError::new(url, HttpProblem::NotBuilt)))
    }
}

pub(crate) use self::NoHttp as HttpClient;

/// The answer to a request, which there is not.
pub(super) enum Response {}

impl Response {
    pub(super) fn url(&self) -> &WebUrl {
        match *self {}
    }

    pub(super) fn head(&self) -> &Head {
        match *self {}
    }

    pub(super) fn next(&mut self) -> Ready<Result<Option<Bytes>, HttpError>> {
        match *self {}
    }
}
