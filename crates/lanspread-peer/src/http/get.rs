//! One request, with the redirects that it follows.

use lanspread_types::limits;
use lanspread_types::web_url::WebUrl;

use super::client::{HttpClient, Response};
use super::error::{HttpError, HttpProblem};

/// Asks for a URL. Redirects are followed, but not from an encrypted server to one that is not.
pub(super) async fn get(
    client: &HttpClient,
    url: &WebUrl,
    fields: &[(&'static str, String)],
) -> Result<Response, HttpError> {
    let mut at = url.clone();
    for _ in 0..=limits::HTTP_REDIRECTS_MAX {
        // Boxed, because connecting is by far the largest part of every operation that asks servers.
        let response = Box::pin(client.send(&at, fields)).await?;
        let Some(location) = response.head().redirect() else { return Ok(response) };
        let to = at.join(location);
        let to =
            to.map_err(|error| HttpError::new(&at, HttpProblem::Redirect(format!("to nowhere: {error}"))))?;
        if at.is_encrypted() && !to.is_encrypted() {
            let what = format!("to {to}, which is not encrypted");
            return Err(HttpError::new(&at, HttpProblem::Redirect(what)));
        }
        at = to;
    }
    let what = format!("more than {} times, at last to {at}", limits::HTTP_REDIRECTS_MAX);
    Err(HttpError::new(url, HttpProblem::Redirect(what)))
}
