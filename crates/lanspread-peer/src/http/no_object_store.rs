//! The object store of a program that was built without any.

use std::time::SystemTime;

use lanspread_types::ids::WordError;
use lanspread_types::source_url::ObjectAddress;
use lanspread_types::web_url::WebUrl;

/// It is built without object stores.
#[derive(Debug, thiserror::Error)]
#[error("this program was built without them")]
pub(crate) struct NoObjectStores;

impl NoObjectStores {
    pub(super) const CODE: &str = "http-not-built";
}

pub(crate) use self::NoObjectStores as SettingsProblem;

/// Where objects are, which there are not.
pub(super) enum ObjectStore {}

impl ObjectStore {
    pub(super) fn of_environment() -> Result<Self, SettingsProblem> {
        Err(NoObjectStores)
    }

    pub(super) fn url_of(&self, _: &ObjectAddress, _: SystemTime) -> Result<WebUrl, WordError> {
        match *self {}
    }
}
