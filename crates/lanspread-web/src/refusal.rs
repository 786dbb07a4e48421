//! Why a request is refused, as the page and scripts read it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lanspread_peer::PeerId;
use serde::Serialize;

/// A peer where nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedAt {
    /// Which peer.
    pub peer: PeerId,
    /// Stable kebab-case code.
    pub code: String,
    /// Why, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A refusal: nothing has been started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct WebRefusal {
    #[serde(skip)]
    status: StatusCode,
    /// Stable kebab-case code.
    pub code: String,
    /// Why, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Each peer where nothing was started, if several were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedAt>,
}

impl WebRefusal {
    /// A refusal with a status of HTTP.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: code.into(), message: message.into(), hint: None, refused: Vec::new() }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The same, with each peer that refused.
    #[must_use]
    pub fn of_peers(self, refused: Vec<RefusedAt>) -> Self {
        Self { refused, ..self }
    }

    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl IntoResponse for WebRefusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
