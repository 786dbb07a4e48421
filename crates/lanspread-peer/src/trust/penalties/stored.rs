//! The penalties of one state directory: `penalties.jsonl`, which every program that uses it shares.
//!
//! The file is replaced as a whole at each change, under a lock of the state directory, so two programs lose nothing of
//! each other. A change by another program is noticed at the next question. Penalties for failed handshakes are short
//! and anyone can cause them, so they stay in memory: a flood must not become a flood of writes.

use std::fs::{DirBuilder, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lanspread_proto::WireError;
use lanspread_trust::draft_file;
use lanspread_types::fault::LocalError;
use lanspread_types::ids::PeerId;
use lanspread_types::limits;
use lanspread_types::regular_file::{if_present, open_folder_of_user, open_ours, read_whole};

use super::{ClearedPenalties, Penalty, PenaltyList};
use crate::report::offender::{Offence, Offender};

const FILE: &str = "penalties.jsonl";

/// The penalties that a state directory knows. Clones share what is in memory.
#[derive(Debug, Clone)]
pub struct Penalties {
    state_dir: PathBuf,
    /// Whether every peer is let in, so that a lie also counts for the address.
    is_open: bool,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The file as it was read last.
    stamp: Option<Stamp>,
    list: PenaltyList,
    /// Failed handshakes by address.
    handshakes: PenaltyList,
    /// Offences in this process, in the order of their type.
    given: [u64; 3],
}

/// Identifies one state of the file.
type Stamp = (SystemTime, u64, u64);

impl Penalties {
    /// The penalties of a state directory. If every peer `is_open`ly let in, a lie also counts for the address.
    pub fn new(state_dir: impl Into<PathBuf>, is_open: bool) -> Self {
        Self { state_dir: state_dir.into(), is_open, known: Arc::default() }
    }

    /// Records that a peer sent other bytes than the trusted manifest lists. Writes the file: call it where blocking is
    /// allowed.
    ///
    /// # Errors
    /// [`LocalError`] if the file cannot be written; the penalty then holds for this process only.
    pub fn lied(&self, peer: PeerId, address: SocketAddr, what: &str) -> Result<(), LocalError> {
        self.punish(peer, address, Offence::Lied, what).map(|_| ())
    }

    /// Records that a peer broke the protocol or its own announcement. Blocks as [`Self::lied`] does.
    ///
    /// # Errors
    /// As for [`Self::lied`].
    pub fn broke_protocol(&self, peer: PeerId, address: SocketAddr, what: &str) -> Result<(), LocalError> {
        self.punish(peer, address, Offence::BrokeProtocol, what).map(|_| ())
    }

    /// Records an offence of a peer that had proved its identity. Returns how many seconds its penalty takes.
    pub(crate) fn punish(
        &self,
        peer: PeerId,
        address: SocketAddr,
        offence: Offence,
        what: &str,
    ) -> Result<u64, LocalError> {
        let ip = address.ip().to_canonical();
        self.known().given[offence as usize] += 1;
        let by_address = offence == Offence::Lied && self.is_open && !ip.is_loopback();
        self.change(|list, now| {
            let length_s = list.punish(Offender::Peer(peer), offence, what, now);
            if by_address {
                list.punish(Offender::Address(ip.into()), offence, what, now);
            }
            length_s
        })
    }

    /// Records how a handshake at an address ended; in memory only. A peer that proves itself ends the pause of its
    /// address. An address where no program answers, or a busy one, is nothing that a pause would save.
    pub(crate) fn after_handshake(&self, address: IpAddr, error: Option<&WireError>) {
        use WireError::{Encryption, NotLanspread, OtherParty, Version};
        let (offender, now) = (Offender::Address(address.into()), SystemTime::now());
        let mut known = self.known();
        match error {
            None => {
                known.handshakes.clear(ClearedPenalties::Of(offender), now);
            }
            Some(error @ (Encryption(_) | NotLanspread | OtherParty { .. } | Version { .. })) => {
                known.given[Offence::FailedHandshake as usize] += 1;
                known.handshakes.punish(offender, Offence::FailedHandshake, &error.to_string(), now);
            }
            Some(_) => {}
        }
    }

    /// How many offences of a kind there were in this process.
    pub(crate) fn given(&self, offence: Offence) -> u64 {
        self.known().given[offence as usize]
    }

    /// How long peers that were only heard of are not to be dialled at this address.
    pub(crate) fn pause_at(&self, address: IpAddr) -> Option<Duration> {
        self.known().handshakes.pause_at(address, SystemTime::now())
    }

    /// The penalties as they are now, for questions without reading the file again.
    pub(crate) fn current(&self) -> PenaltyList {
        let mut known = self.known();
        self.look(&mut known);
        known.list.clone()
    }

    /// The penalties that are not over: those of the file, then those of this process.
    pub fn running(&self) -> Vec<Penalty> {
        let mut known = self.known();
        self.look(&mut known);
        let now = SystemTime::now();
        [known.list.running(now), known.handshakes.running(now)].concat()
    }

    /// Clears penalties. Returns those that were not over.
    ///
    /// # Errors
    /// [`LocalError`] if the file cannot be written; nothing is cleared then.
    pub fn clear(&self, which: ClearedPenalties) -> Result<Vec<Penalty>, LocalError> {
        let mut cleared = self.change(|list, now| list.clear(which, now))?;
        cleared.extend(self.known().handshakes.clear(which, SystemTime::now()));
        Ok(cleared)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> PathBuf {
        self.state_dir.join(FILE)
    }

    /// Reads the file again if it has changed. If it cannot be read, that is logged once, and what was known stays.
    fn look(&self, known: &mut Known) {
        let now = stamp(&self.path());
        if now == known.stamp {
            return;
        }
        known.stamp = now;
        match self.load() {
            Ok(mut list) => {
                let is_corrected = list.correct(SystemTime::now());
                known.list = list;
                // Otherwise each program that starts would begin them again.
                if is_corrected && let Err(error) = self.change_file(known, |_, _| ()) {
                    tracing::warn!("penalties of the future are not corrected: {error}");
                }
            }
            Err(error) => tracing::warn!("the penalties stay as they were known: {error}"),
        }
    }

    /// Changes the list in the file and in memory. If the file cannot be written, the change is in memory.
    fn change<T>(&self, change: impl Fn(&mut PenaltyList, SystemTime) -> T) -> Result<T, LocalError> {
        let mut known = self.known();
        let changed = self.change_file(&mut known, &change);
        if changed.is_err() {
            change(&mut known.list, SystemTime::now());
        }
        changed
    }

    fn change_file<T>(
        &self,
        known: &mut Known,
        change: impl Fn(&mut PenaltyList, SystemTime) -> T,
    ) -> Result<T, LocalError> {
        let path = self.path();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir);
        made.map_err(LocalError::io("create the state folder", &self.state_dir))?;
        let folder = open_folder_of_user(&self.state_dir).map_err(LocalError::io("open", &self.state_dir))?;
        folder.lock().map_err(LocalError::io("lock", &self.state_dir))?;
        let now = SystemTime::now();
        let mut list = self.load()?;
        list.correct(now);
        let changed = change(&mut list, now);
        let lines = list.to_lines().map_err(|error| LocalError::io("write", &path)(error.into()))?;
        draft_file::replace(&path, lines.as_bytes(), 0o600)?;
        known.list = list;
        known.stamp = stamp(&path);
        Ok(changed)
    }

    fn load(&self) -> Result<PenaltyList, LocalError> {
        let path = self.path();
        let folder: File = match open_folder_of_user(&self.state_dir) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PenaltyList::default()),
            Err(error) => return Err(LocalError::io("read", &path)(error)),
        };
        let read = if_present(open_ours(&folder, FILE))
            .and_then(|file| file.map(|file| read_whole(&file, limits::PENALTIES_BYTES_MAX)).transpose());
        let Some(bytes) = read.map_err(|error| error.of_ours("read", &path))? else {
            return Ok(PenaltyList::default());
        };
        let (list, unread) = PenaltyList::from_lines(&String::from_utf8_lossy(&bytes));
        if unread > 0 {
            tracing::warn!("{}: {unread} lines are no penalties and are left out", path.display());
        }
        Ok(list)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests;
