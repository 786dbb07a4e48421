//! Multicast DNS of a program that was built without it: there is none. Who asks for it is refused before anything begins
//! (`check_discovery`).

use std::future::Ready;
use std::sync::Arc;

use lanspread_trust::party::PartyKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::discovery::heard::{Advertised, Heard};
use crate::source::library_index::Library;

/// The port that it would have.
pub(crate) const PORT: u16 = 5353;
/// Whether this program has it.
pub(crate) const IS_BUILT: bool = false;

/// Running multicast DNS, which there is not.
pub(crate) enum NoMulticast {}

pub(crate) use self::NoMulticast as Discovery;

impl NoMulticast {
    pub(crate) fn start(_: u16, _: Arc<PartyKey>) -> Result<Self, String> {
        Err("this program was built without it".to_owned())
    }

    pub(crate) fn interfaces(&self) -> &[String] {
        match *self {}
    }

    pub(crate) fn next(&mut self) -> Ready<Option<Heard>> {
        match *self {}
    }

    pub(crate) fn stop(self) -> Ready<()> {
        match self {}
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the one that runs takes them too")]
pub(crate) fn run(
    discovery: Discovery,
    _: Advertised,
    _: watch::Receiver<Arc<Library>>,
    _: impl Fn(Heard),
    _: CancellationToken,
) -> Ready<()> {
    match discovery {}
}
