//! What the archives of a stream are read from.

use std::io;

/// The bytes of all volumes of a game, which arrive in their order. They are read by those that hold this; when the last of
/// them drops it, nothing more is read.
pub trait PackedBytes: Send + Sync {
    /// Reads bytes from this place on: as many as are there, at least one, and waits until one is. `volume` counts from 0
    /// over the volumes of all archives, in the order of the stream. Places only ascend: what is before a place that was
    /// read from is not read any more, and between two places bytes may be left out.
    ///
    /// # Errors
    /// If these bytes will not come; a read that waits for them ends with the error too.
    fn read_at(&self, volume: usize, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Lets every read fail, those that wait included: what was decoded is not wanted any more.
    fn close(&self) {}
}
