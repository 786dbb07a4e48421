//! The catalog in force: files that are read, and read again after they change, so that an organiser can replace them
//! while a daemon runs.
//!
//! Without a pinned signer, a file that was named is the user's own: it is trusted as it is, signed or not. With one, a
//! catalog counts only with the signature of that signer, at the first reading and at every later one, and its version
//! never goes down. What counts is kept in the state directory (`catalog_store.rs`), where catalogs from peers come too.
//! Of the named file and the one that is kept, the higher version is in force. A bad new file changes nothing: the
//! catalog before it stays in force, also after a restart.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use lanspread_proto::message::CatalogMark;
use lanspread_trust::minisign::Signer;
use lanspread_types::ids::PeerName;

use crate::report::channel::EventSender;
use crate::report::event::PeerEvent;
use crate::trust::catalog::Catalog;
use crate::trust::catalog_store::{CatalogStore, TakenFiles};
use crate::trust::error::TrustError;
use crate::trust::signed_catalog::{SignedCatalog, signature_path};

/// Whose catalog counts, and where what counts is kept.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) signer: Signer,
    /// Whether peers may hand on a newer one than the named file, which is then no fault of the file.
    pub(crate) from_peers: bool,
    pub(crate) store: CatalogStore,
}

/// The catalog in force, kept up to date with its files.
#[derive(Debug)]
pub(crate) struct LiveCatalog {
    named: Option<PathBuf>,
    pinned: Option<Pinned>,
    events: EventSender,
    read: Mutex<Read>,
}

/// A signed catalog that is handed on.
#[derive(Debug)]
pub(crate) struct HandedOn {
    pub(crate) mark: CatalogMark,
    pub(crate) files: TakenFiles,
}

#[derive(Debug, Default)]
struct Read {
    stamps: Vec<Option<Stamp>>,
    in_force: Option<Arc<Catalog>>,
    handed_on: Option<Arc<HandedOn>>,
}

/// Identifies one state of a file.
type Stamp = (SystemTime, u64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl LiveCatalog {
    /// Reads the catalog for the first time.
    ///
    /// # Errors
    /// [`TrustError`] if the named file is bad and no catalog is kept that could stay in force instead.
    pub(crate) fn load(
        named: Option<&Path>,
        pinned: Option<Pinned>,
        events: EventSender,
    ) -> Result<Self, TrustError> {
        let live = Self { named: named.map(Path::to_owned), pinned, events, read: Mutex::default() };
        let mut read = Read { stamps: live.stamps(), ..Read::default() };
        if let Err(error) = live.read_files(&mut read) {
            if read.in_force.is_none() {
                return Err(error);
            }
            live.refused(&error);
        }
        *live.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(live)
    }

    /// The files that decide which catalog is in force.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let named = self.named.iter().cloned();
        match &self.pinned {
            None => named.collect(),
            Some(pinned) => {
                let signature = self.named.as_deref().map(signature_path);
                named.chain(signature).chain([pinned.store.path()]).collect()
            }
        }
    }

    /// Whose catalog counts, if a signer is pinned.
    pub(crate) fn pinned(&self) -> Option<&Pinned> {
        self.pinned.as_ref()
    }

    /// The catalog in force, as the files are now. If a new one is bad, that is reported once and the previous catalog
    /// stays in force.
    ///
    /// # Errors
    /// [`TrustError::NoCatalog`] if a signer is pinned of whom there is no catalog yet.
    pub(crate) fn current(&self) -> Result<Arc<Catalog>, TrustError> {
        let in_force = self.up_to_date(|read| read.in_force.clone());
        in_force.ok_or_else(|| self.none_yet())
    }

    /// The signed catalog that this peer hands on, if it has one.
    pub(crate) fn handed_on(&self) -> Option<Arc<HandedOn>> {
        self.up_to_date(|read| read.handed_on.clone())
    }

    /// What this peer says of its catalog.
    pub(crate) fn mark(&self) -> Option<CatalogMark> {
        self.handed_on().map(|handed_on| handed_on.mark)
    }

    /// Takes a catalog that a peer handed on, if it counts and is newer than the one in force. Returns whether it is
    /// now in force.
    ///
    /// # Errors
    /// [`TrustError`]; the catalog before stays in force.
    pub(crate) fn take_from_peer(
        &self,
        bytes: Vec<u8>,
        signature: Vec<u8>,
        from: &PeerName,
    ) -> Result<bool, TrustError> {
        let Some(Pinned { signer, store, .. }) = &self.pinned else { return Ok(false) };
        let signed = SignedCatalog::check(&store.path(), bytes, signature, signer)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let before = read.version();
        if before.is_some_and(|before| signed.version <= before) {
            return Ok(false);
        }
        let files = store.take(&signed, signer)?;
        self.put_in_force(&mut read, &signed, signer, files, Some(from));
        read.stamps = self.stamps();
        Ok(true)
    }

    fn none_yet(&self) -> TrustError {
        match &self.pinned {
            Some(pinned) => TrustError::NoCatalog { signer: pinned.signer },
            None => TrustError::Catalog {
                path: self.named.clone().unwrap_or_default(),
                reason: "it was never read".to_owned(),
            },
        }
    }

    fn up_to_date<T>(&self, take: impl FnOnce(&Read) -> T) -> T {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the files are read: a change in the meantime causes another reading.
        let now = self.stamps();
        if now != read.stamps {
            read.stamps = now;
            if let Err(error) = self.read_files(&mut read) {
                self.refused(&error);
            }
        }
        take(&read)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files().iter().map(|file| stamp(file)).collect()
    }

    /// Reads the files, and puts in force what counts more than what is in force.
    fn read_files(&self, read: &mut Read) -> Result<(), TrustError> {
        let Some(pinned) = &self.pinned else {
            if let Some(named) = &self.named {
                read.in_force = Some(Arc::new(Catalog::load(named)?));
            }
            return Ok(());
        };
        let named = match &self.named {
            Some(named) => self.read_named(named, pinned, read),
            None => Ok(()),
        };
        // Another process may have kept a newer one, and it stays in force if the named file is bad.
        let stored = pinned.store.stored(&pinned.signer)?;
        if let Some((signed, files)) = stored
            && read.version().is_none_or(|version| signed.version > version)
        {
            self.put_in_force(read, &signed, &pinned.signer, files, None);
        }
        match named {
            // Peers, or another process, have handed on a newer one: nothing is wrong.
            Err(TrustError::Older { path, version, seen })
                if pinned.from_peers && read.version().is_some_and(|ours| ours >= seen) =>
            {
                tracing::info!(
                    "{} is version {version}; version {seen} of the same signer is in force",
                    path.display()
                );
                Ok(())
            }
            named => named,
        }
    }

    fn read_named(&self, named: &Path, pinned: &Pinned, read: &mut Read) -> Result<(), TrustError> {
        let signed = SignedCatalog::read(named, &pinned.signer)?;
        let files = pinned.store.take(&signed, &pinned.signer)?;
        self.put_in_force(read, &signed, &pinned.signer, files, None);
        Ok(())
    }

    fn put_in_force(
        &self,
        read: &mut Read,
        candidate: &SignedCatalog,
        signer: &Signer,
        files: TakenFiles,
        from: Option<&PeerName>,
    ) {
        let old = read.version();
        let catalog = candidate.catalog();
        if old != Some(candidate.version) {
            if let Some(expires) = catalog.content().head.as_ref().and_then(|head| head.expires)
                && expires.has_passed()
            {
                tracing::warn!(
                    "the catalog of version {} expired at {expires}; ask its author for a newer one",
                    candidate.version
                );
            }
            if old.is_some() || from.is_some() {
                let (from, version) = (from.cloned(), candidate.version);
                self.events.report(PeerEvent::CatalogUpdated { from, version, old });
            }
        }
        let mark = CatalogMark { signer: *signer.bytes(), version: candidate.version };
        read.in_force = Some(Arc::new(catalog.clone()));
        read.handed_on = Some(Arc::new(HandedOn { mark, files }));
    }

    fn refused(&self, error: &TrustError) {
        tracing::warn!("the previous catalog stays in force: {error}");
        self.events.report(PeerEvent::CatalogRefused {
            from: None,
            code: error.code().into(),
            message: error.to_string(),
        });
    }
}

impl Read {
    fn version(&self) -> Option<u64> {
        self.handed_on.as_ref().map(|handed_on| handed_on.mark.version)
    }
}

#[cfg(test)]
mod tests;
