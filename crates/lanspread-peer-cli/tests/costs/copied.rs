//! Counts copied bytes with `valgrind --tool=dhat --mode=copy`, which records each call of `memcpy` and its like.
//!
//! It needs no rights, counts every copy from the file to the socket, those of libraries too, and names the place. Copies
//! of less than [`CONTENT_BYTES`] on average are values that move, and not content. A copy byte by byte is not seen; no
//! code here copies content so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::operations::Tool;

/// Pieces of content are far larger, values are smaller.
const CONTENT_BYTES: u64 = 2048;

pub(crate) struct Dhat;

impl Dhat {
    pub(crate) fn find() -> Self {
        let found = Command::new("valgrind").arg("--version").output();
        assert!(found.is_ok(), "valgrind is needed to count copies: apt-get install valgrind");
        Self
    }
}

impl Tool for Dhat {
    fn prefix(&self, report: &Path) -> Vec<String> {
        let report = format!("--dhat-out-file={}", report.display());
        // Without inlined functions, reading what the compiler says about them takes a second less.
        let options =
            ["--tool=dhat", "--mode=copy", "--read-inline-info=no", "--log-file=/dev/null", &report];
        std::iter::once("valgrind").chain(options).map(str::to_owned).collect()
    }

    fn complete(&self, report: &Path, pid: u32) {
        assert!(report.is_file(), "valgrind wrote nothing about process {pid} to {}", report.display());
    }
}

/// Copied content: bytes by the functions that called the copy.
#[derive(Debug)]
pub(crate) struct Copies(BTreeMap<String, u64>);

impl Copies {
    pub(crate) fn read(report: &Path) -> Self {
        let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!(report["mode"], "copy");
        let number = |value: &Value| value.as_u64().unwrap();
        let mut copies = BTreeMap::new();
        for place in report["pps"].as_array().unwrap() {
            let (bytes, calls) = (number(&place["tb"]), number(&place["tbk"]));
            if bytes / calls.max(1) >= CONTENT_BYTES {
                let frames = place["fs"].as_array().unwrap().iter().map(|frame| {
                    let index = usize::try_from(number(frame)).unwrap();
                    report["ftbl"][index].as_str().unwrap()
                });
                *copies.entry(callers(frames)).or_default() += bytes;
            }
        }
        Self(copies)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().sum()
    }

    /// The places that copied a hundredth of all or more, the largest first.
    pub(crate) fn list(&self) -> String {
        let least = self.bytes() / 100;
        let mut places: Vec<_> = self.0.iter().filter(|(_, bytes)| **bytes >= least).collect();
        places.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
        let mut list = String::new();
        for (place, bytes) in places {
            list += &format!("\n  {bytes:>10} bytes by {place}");
        }
        list
    }
}

/// The nearest functions of ours or of a library, without addresses.
fn callers<'a>(frames: impl Iterator<Item = &'a str>) -> String {
    let names = frames.filter_map(|frame| {
        let (_address, rest) = frame.split_once(": ")?;
        let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
        let is_language = ["core::", "alloc::", "std::", "<core::", "<alloc::", "<std::", "mem"];
        (!is_language.iter().any(|start| name.starts_with(start))).then_some(name)
    });
    names.take(3).collect::<Vec<_>>().join(" < ")
}
