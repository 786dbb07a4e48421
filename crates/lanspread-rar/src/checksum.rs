//! The checksums of unpacked data.

use crate::error::{Error, Result};
use crate::header::FileHeader;

/// Computes the checksums that a member's header has.
pub(crate) struct Checksums {
    crc32: Option<crc32fast::Hasher>,
    blake2sp: Option<Box<blake2s_simd::blake2sp::State>>,
}

impl Checksums {
    pub(crate) fn of(file: &FileHeader) -> Self {
        Self {
            crc32: file.crc32.map(|_| crc32fast::Hasher::new()),
            blake2sp: file.blake2sp.map(|_| Box::new(blake2s_simd::blake2sp::State::new())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(crc32) = &mut self.crc32 {
            crc32.update(bytes);
        }
        if let Some(blake2sp) = &mut self.blake2sp {
            blake2sp.update(bytes);
        }
    }

    /// Compares them with those of the member's last part.
    pub(crate) fn verify(self, last: &FileHeader) -> Result<()> {
        if let (Some(hasher), Some(expected)) = (self.crc32, last.crc32) {
            let got = hasher.finalize();
            if got != expected {
                return Err(Error::Crc32 { name: last.name_lossy(), expected, got });
            }
        }
        if let (Some(state), Some(expected)) = (self.blake2sp, last.blake2sp) {
            let got = *state.finalize().as_array();
            if got != expected {
                let (expected, got) = (Box::new(expected), Box::new(got));
                return Err(Error::Blake2sp { name: last.name_lossy(), expected, got });
            }
        }
        Ok(())
    }
}
