//! What each source contributed, as data.

use lanspread_types::ids::PeerName;
use serde::{Deserialize, Serialize};

/// What one source contributed to a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceShare {
    /// Name of the source.
    pub peer: PeerName,
    /// Chunks of 16 MiB, or what is left of a file, that it sent whole. What came through a wave is in none of them.
    pub chunks: u64,
    /// Bytes that it sent.
    pub bytes: u64,
}

impl SourceShare {
    /// The shares of two parts of one download, each source once.
    pub(crate) fn sum(first: Vec<Self>, second: Vec<Self>) -> Vec<Self> {
        let mut sum: Vec<Self> = Vec::new();
        for share in first.into_iter().chain(second) {
            match sum.iter_mut().find(|known| known.peer == share.peer) {
                Some(known) => {
                    known.chunks += share.chunks;
                    known.bytes += share.bytes;
                }
                None => sum.push(share),
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_both_parts_is_named_once_with_what_it_sent_in_both() {
        let share = |peer: &str, chunks, bytes| SourceShare { peer: peer.parse().unwrap(), chunks, bytes };
        let sum = SourceShare::sum(
            vec![share("a", 0, 5), share("b", 0, 7)],
            vec![share("c", 1, 1), share("a", 2, 3)],
        );
        assert_eq!(sum, [share("a", 2, 8), share("b", 0, 7), share("c", 1, 1)]);
    }
}
