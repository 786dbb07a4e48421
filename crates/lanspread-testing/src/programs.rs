//! The real archive programs, and fake ones that do what a test needs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The real `unrar` or `rar`. A test that needs one fails without it, so that no run passes by skipping tests.
pub fn real(name: &str) -> PathBuf {
    let variable = format!("LANSPREAD_TEST_{}", name.to_uppercase());
    let chosen = std::env::var_os(variable).map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let program = chosen.unwrap_or_else(|| target.join("tools/bin").join(name));
    assert!(program.is_file(), "{name} is not at {}: run scripts/fetch_tools.sh", program.display());
    program
}

/// Makes a program of a shell script. A child process writes the file: if this process had it open for writing while
/// another test forks, it could not be executed.
pub fn script(path: &Path, text: &str) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    write!(shell.stdin.take().unwrap(), "#!/bin/sh\n{text}\n").unwrap();
    assert!(shell.wait().unwrap().success());
}

/// An `unrar` that lists as the real one does, and instead of printing content writes its process id and that of a
/// child into `pids` beside itself, prints `bytes` zero bytes and then hangs.
pub fn slow_unrar(folder: &Path, bytes: u64) -> PathBuf {
    let program = folder.join("slow-unrar");
    let real = real("unrar");
    let text = format!(
        "[ \"$1\" = p ] || exec '{}' \"$@\"\n\
         sleep 1000 & \n\
         printf '%s\\n%s\\n' $$ $! >> '{}/pids'\n\
         head -c {bytes} /dev/zero\n\
         wait",
        real.display(),
        folder.display()
    );
    script(&program, &text);
    program
}

/// The process ids that a program has written to `pids` so far.
pub fn pids(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("pids")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether a process is gone, or dead and only waiting to be reaped by its parent.
pub fn is_gone(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// How often to check for something that another process does without a notification.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

fn assert_in_time(begun: Instant, what: &str) {
    assert!(begun.elapsed() < Duration::from_secs(10), "still waiting until {what}");
}

/// Waits for something that another process does without a notification. Fails after ten seconds.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert_in_time(begun, what);
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The same on a thread that may block.
pub fn block_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert_in_time(begun, what);
        std::thread::sleep(LOOK_INTERVAL);
    }
}
