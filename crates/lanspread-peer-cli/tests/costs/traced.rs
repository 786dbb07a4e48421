//! Counts system calls with `strace`.
//!
//! A full trace and not its summary (`-c`): only the trace says whether a write went to a file, to a socket or to a
//! thread that sleeps. The alternatives say less: `/proc/PID/io` counts neither `sendto` nor `recvfrom` nor anything
//! that opens, and perf's tracepoints need more rights than ptrace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::operations::Tool;
use crate::support::eventually;

/// Set by `scripts/test.sh` where tracing is not possible; it then reports that nothing was counted.
const LEFT_OUT: &str = "LANSPREAD_TEST_WITHOUT_STRACE";

pub(crate) struct Strace;

impl Strace {
    /// `None` if the tests are told to do without it. A machine on which it does not work fails the test: no run
    /// passes by skipping.
    pub(crate) fn find() -> Option<Self> {
        if std::env::var_os(LEFT_OUT).is_some() {
            println!("NOT CHECKED: system calls, because {LEFT_OUT} is set");
            return None;
        }
        let probe =
            Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stdin(Stdio::null()).output();
        let problem = match probe {
            Ok(output) if output.status.success() => return Some(Self),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        panic!(
            "strace cannot trace here: {problem}\nInstall it (apt-get install strace) and allow ptrace, or leave these \
             tests out with {LEFT_OUT}=1"
        );
    }
}

impl Tool for Strace {
    fn prefix(&self, report: &Path) -> Vec<String> {
        // `-D`: the program is our child, and the tracer is not between us. `-y`: what each descriptor is. `-s 0`:
        // content is not wanted.
        let report = report.display().to_string();
        ["strace", "-D", "-f", "-y", "-s", "0", "-o", &report, "--"].map(str::to_owned).to_vec()
    }

    fn complete(&self, report: &Path, pid: u32) {
        eventually("the trace is written to its end", || {
            let trace = fs::read_to_string(report).unwrap_or_default();
            trace.lines().any(|line| ends_process(line, pid))
        });
    }
}

fn ends_process(line: &str, pid: u32) -> bool {
    // Short numbers are padded.
    line.split_once(' ').is_some_and(|(number, what)| {
        number.parse() == Ok(pid) && what.trim_start().starts_with("+++ exited with ")
    })
}

/// System calls by kind. A kind groups calls that do the same work, so that a call that is replaced by a similar one
/// is still counted.
#[derive(Debug, Default)]
pub(crate) struct Calls(BTreeMap<&'static str, u64>);

impl Calls {
    pub(crate) fn read(report: &Path) -> Self {
        let mut calls = Self::default();
        for line in fs::read_to_string(report).unwrap().lines() {
            if let Some((name, target)) = parse(line) {
                *calls.0.entry(kind(name, target)).or_default() += 1;
            }
        }
        calls
    }

    /// How many more calls of each kind than in the other, per unit.
    pub(crate) fn more_than(&self, base: &Self, units: f64) -> BTreeMap<&'static str, f64> {
        let count = |calls: &Self, kind| calls.0.get(kind).copied().unwrap_or(0);
        let kinds = self.0.keys().chain(base.0.keys());
        #[allow(clippy::cast_precision_loss, reason = "counts of some thousands")]
        kinds.map(|kind| (*kind, (count(self, kind) as f64 - count(base, kind) as f64) / units)).collect()
    }
}

/// Name of the call that a line begins, and what its first argument refers to if that is a descriptor.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (_pid, call) = line.split_once(' ')?;
    // Not a call: `<... read resumed>`, whose beginning was counted, signals and ends of threads.
    let (name, arguments) = call.trim_start().split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let target = arguments.split_once('<').filter(|(number, _)| number.parse::<u32>().is_ok());
    Some((name, target.map_or("", |(_, rest)| rest)))
}

pub(crate) const WAITS: &str = "waits and wakes";
pub(crate) const READS: &str = "reads of files";
pub(crate) const WRITES: &str = "writes of files";
pub(crate) const SENDS: &str = "sends";
pub(crate) const RECEIVES: &str = "receives";
pub(crate) const OPENS: &str = "opened or created files";
pub(crate) const CLOSES: &str = "closed descriptors";
pub(crate) const FOLDERS: &str = "created folders";
pub(crate) const DESCRIPTORS: &str = "settings of descriptors";
pub(crate) const SEEKS: &str = "seeks";
pub(crate) const TIMES: &str = "set times";
pub(crate) const STATUS: &str = "looks at files";
pub(crate) const SYNCS: &str = "syncs";
pub(crate) const MEMORY: &str = "changes of memory";
pub(crate) const THREADS: &str = "starts of threads";
pub(crate) const OTHERS: &str = "all other calls";

fn kind(name: &str, target: &str) -> &'static str {
    let is_socket = target.starts_with("socket:") || target.starts_with("TCP") || target.starts_with("UNIX");
    let is_file = target.starts_with('/');
    match name {
        "read" | "pread64" | "readv" | "preadv" | "preadv2" | "copy_file_range" | "sendfile" if is_file => {
            READS
        }
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" if is_file => WRITES,
        "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" if is_socket => SENDS,
        "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" if is_socket => RECEIVES,
        // Other descriptors only wake: those of events, timers, watched folders, and the pipe to the test.
        "read" | "write" | "futex" | "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "epoll_ctl" | "poll"
        | "ppoll" | "sched_yield" | "clock_nanosleep" | "nanosleep" | "restart_syscall" => WAITS,
        "open" | "openat" | "openat2" | "creat" => OPENS,
        "close" | "close_range" => CLOSES,
        "mkdir" | "mkdirat" => FOLDERS,
        "fcntl" | "ioctl" | "flock" | "dup" | "dup3" => DESCRIPTORS,
        "lseek" => SEEKS,
        "utimensat" | "futimesat" | "utime" | "utimes" => TIMES,
        "stat" | "fstat" | "lstat" | "statx" | "newfstatat" | "statfs" | "fstatfs" | "access"
        | "faccessat" | "faccessat2" | "readlink" | "readlinkat" | "getdents64" => STATUS,
        "fsync" | "fdatasync" | "syncfs" | "sync" | "sync_file_range" => SYNCS,
        "mmap" | "munmap" | "mremap" | "mprotect" | "madvise" | "brk" => MEMORY,
        "clone" | "clone3" | "exit" | "rseq" | "set_robust_list" | "sigaltstack" | "rt_sigprocmask"
        | "prctl" | "gettid" | "sched_getaffinity" => THREADS,
        _ => OTHERS,
    }
}

#[test]
fn lines_of_a_trace_are_read() {
    let kinds = |line| parse(line).map(|(name, target)| kind(name, target));
    assert_eq!(kinds("12  read(7</games/a b.eti>, \"\"..., 262144) = 262144"), Some(READS));
    assert_eq!(kinds("12    write(9<anon_inode:[eventfd]>, \"\"..., 8 <unfinished ...>"), Some(WAITS));
    assert_eq!(kinds("12 writev(8<socket:[77]>, [{iov_base=\"\"..., iov_len=5}], 1) = 5"), Some(SENDS));
    assert_eq!(kinds("12 futex(0x7f00, FUTEX_WAIT_PRIVATE, 1, NULL <unfinished ...>"), Some(WAITS));
    assert_eq!(kinds("12 openat(AT_FDCWD</work>, \"/etc\", O_RDONLY) = 3</etc>"), Some(OPENS));
    assert_eq!(kinds("12 fallocate(3</games/x>, 0, 0, 100) = 0"), Some(OTHERS));
    for no_call in
        ["12 <... read resumed>\"\"..., 8) = 8", "12 +++ exited with 0 +++", "12 --- SIGTERM {si} ---"]
    {
        assert_eq!(kinds(no_call), None, "{no_call}");
    }
    assert!(
        ends_process("12    +++ exited with 0 +++", 12)
            && ends_process("123456 +++ exited with 1 +++", 123_456)
    );
    assert!(!ends_process("123   +++ exited with 0 +++", 12));
}
