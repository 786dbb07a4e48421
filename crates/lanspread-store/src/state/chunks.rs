//! How the files of a game root are cut into chunks. Pure.

use lanspread_types::content::RootFile;

/// A part of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Its index among all chunks of the download.
    pub id: usize,
    /// Index of its file in the list of files.
    pub file: usize,
    /// Its index among the chunks of its file.
    pub(crate) index: u64,
    /// Position of its first byte in the file.
    pub offset: u64,
    /// Number of bytes, at least 1.
    pub length: u64,
}

/// All chunks of some files, in order. An empty file has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    list: Vec<Chunk>,
    /// For each file the id of its first chunk, and the number of chunks at the end.
    first: Vec<usize>,
    chunk_bytes: u64,
}

impl Chunks {
    /// Cuts files into chunks of `chunk_bytes`. The last chunk of a file is what is left.
    pub fn of(files: &[RootFile], chunk_bytes: u64) -> Self {
        let chunk_bytes = chunk_bytes.max(1);
        let (mut list, mut first) = (Vec::new(), Vec::with_capacity(files.len() + 1));
        for (file, RootFile { size, .. }) in files.iter().enumerate() {
            first.push(list.len());
            for index in 0..size.div_ceil(chunk_bytes) {
                let offset = index * chunk_bytes;
                let length = chunk_bytes.min(size - offset);
                list.push(Chunk { id: list.len(), file, index, offset, length });
            }
        }
        first.push(list.len());
        Self { list, first, chunk_bytes }
    }

    /// Bytes of a chunk that is not the last one of its file.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// All chunks, in the order of their ids.
    pub fn all(&self) -> &[Chunk] {
        &self.list
    }

    /// The chunks of one file.
    pub fn of_file(&self, file: usize) -> &[Chunk] {
        match (self.first.get(file), self.first.get(file + 1)) {
            (Some(begin), Some(end)) => &self.list[*begin..*end],
            _ => &[],
        }
    }

    /// The chunk that has the byte at `offset` of a file, if there is one.
    pub fn containing(&self, file: usize, offset: u64) -> Option<Chunk> {
        self.at(file, offset / self.chunk_bytes)
    }

    /// The chunk with this index in a file, if there is one.
    pub(crate) fn at(&self, file: usize, index: u64) -> Option<Chunk> {
        self.of_file(file).get(usize::try_from(index).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every byte of every file is in exactly one chunk, and none is too long.
        #[test]
        fn chunks_cover_every_byte_once(sizes in proptest::collection::vec(0u64..50, 0..6), chunk_bytes in 1u64..20) {
            let files: Vec<_> = sizes.iter().map(|size| RootFile { name: String::new(), size: *size }).collect();
            let chunks = Chunks::of(&files, chunk_bytes);
            for (number, file) in files.iter().enumerate() {
                let mut end = 0;
                for (index, chunk) in chunks.of_file(number).iter().enumerate() {
                    prop_assert_eq!((chunk.file, chunk.offset), (number, end));
                    prop_assert!(chunk.length >= 1 && chunk.length <= chunk_bytes);
                    prop_assert_eq!(chunks.at(number, index as u64), Some(*chunk));
                    prop_assert_eq!(chunks.all()[chunk.id], *chunk);
                    prop_assert_eq!(chunks.containing(number, chunk.offset), Some(*chunk));
                    prop_assert_eq!(chunks.containing(number, chunk.offset + chunk.length - 1), Some(*chunk));
                    end += chunk.length;
                }
                prop_assert_eq!(end, file.size);
                prop_assert_eq!(chunks.containing(number, file.size.next_multiple_of(chunk_bytes)), None);
            }
            prop_assert_eq!(chunks.at(files.len(), 0), None);
        }
    }
}
