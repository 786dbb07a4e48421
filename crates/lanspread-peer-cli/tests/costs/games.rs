//! The games of these tests. Each is made once per target folder, by the real `rar`.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::support::tool;

const MIB: u64 = 1 << 20;

/// One game of one archive: its files, and the options with which it is packed.
pub(crate) struct Game {
    pub(crate) name: &'static str,
    options: &'static [&'static str],
    /// Bytes of its large file.
    large_bytes: u64,
    /// Whether the large file can be packed.
    is_text: bool,
    /// Small files, of [`SMALL_BYTES`] each.
    pub(crate) small_files: u64,
}

const SMALL_BYTES: u64 = 1000;
/// Small files in one folder.
const PER_FOLDER: u64 = 100;

/// The other two stored games are this one and more, so that a difference has no start-up in it.
pub(crate) const BASE: Game =
    Game { name: "base", options: &["-m0"], large_bytes: 4 * MIB, is_text: false, small_files: 100 };
pub(crate) const MORE_BYTES: Game = Game { name: "more-bytes", large_bytes: 36 * MIB, ..BASE };
pub(crate) const MORE_FILES: Game = Game { name: "more-files", small_files: 1100, ..BASE };

/// Most of it goes through the decoder's window. Small, as it is decoded by a program that is watched closely.
pub(crate) const PACKED: Game = Game {
    name: "packed",
    options: &["-m1", "-md32m", "-s"],
    large_bytes: 6 * MIB,
    is_text: true,
    small_files: 0,
};

/// Unpacked, it is larger than its dictionary and the room beside it, so that all of the window is used.
pub(crate) const DICTIONARY: Game = Game { name: "dictionary", large_bytes: 56 * MIB, ..PACKED };

impl Game {
    pub(crate) fn bytes(&self) -> u64 {
        self.large_bytes + self.small_files * SMALL_BYTES
    }

    pub(crate) fn mib(&self) -> f64 {
        bytes_to_mib(self.bytes())
    }

    /// A games directory with this game.
    pub(crate) fn games_dir(&self) -> PathBuf {
        /// One test makes games, the others wait for it.
        static MAKING: Mutex<()> = Mutex::new(());
        let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The name says what is in it, so that other bytes get another folder.
        let what = format!("costs-{}-{}-{}", self.name, self.large_bytes, self.small_files);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(what);
        if !folder.is_dir() {
            let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            self.make(draft.path());
            // Another run of these tests may have been first. Its folder is as good.
            if fs::rename(draft.path().join("games"), &folder).is_err() {
                assert!(folder.is_dir());
            }
        }
        folder
    }

    fn make(&self, draft: &Path) {
        let content = draft.join("content");
        fs::create_dir(&content).unwrap();
        let mut noise = BufWriter::new(File::create(content.join("large.bin")).unwrap());
        write_content(&mut noise, self.large_bytes, self.is_text);
        noise.flush().unwrap();
        let mut random = File::open("/dev/urandom").unwrap();
        for number in 0..self.small_files {
            let folder = content.join(format!("folder-{}", number / PER_FOLDER));
            fs::create_dir_all(&folder).unwrap();
            let mut bytes = Vec::new();
            (&mut random).take(SMALL_BYTES).read_to_end(&mut bytes).unwrap();
            fs::write(folder.join(format!("{number}.bin")), bytes).unwrap();
        }
        let root = draft.join("games").join(self.name);
        fs::create_dir_all(&root).unwrap();
        let packed = Command::new(tool("rar"))
            .args(["a", "-cfg-", "-idq", "-y", "-r"])
            .args(self.options)
            .arg(root.join("game.rar"))
            .arg(".")
            .current_dir(&content)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(packed.success());
        fs::rename(root.join("game.rar"), root.join("game.eti")).unwrap();
        fs::write(root.join("version.ini"), "1\n").unwrap();
    }
}

pub(crate) fn bytes_to_mib(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "of games of some MiB")]
    let mib = bytes as f64 / MIB as f64;
    mib
}

/// Noise, of which `rar` packs nothing; or lines of hexadecimal digits, of which it packs half into real blocks.
fn write_content(to: &mut impl Write, bytes: u64, is_text: bool) {
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = bytes;
    while left > 0 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        let line = if is_text { format!("{word:x}\n").into_bytes() } else { word.to_le_bytes().to_vec() };
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(line.len());
        to.write_all(&line[..now]).unwrap();
        left -= now as u64;
    }
}
