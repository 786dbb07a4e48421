//! Helpers of all these tests: folders, a running source, a finished command, a picture of the disk.
//!
//! No test sleeps to be in time. Tests wait for the `peer-ready` line of a source and for the events of a stream, and
//! poll everything else with a deadline.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use lanspread_testing::json_schema::Schema;
use serde_json::Value;
use tempfile::TempDir;

use self::lines::Lines;

// Other test programs take this file from here by its path.
#[path = "lines.rs"]
pub(crate) mod lines;

/// Generous: only a hang reaches it, however slow the machine is.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn fixtures(fixture: &str) -> PathBuf {
    project().join("fixtures").join(fixture)
}

/// The real `rar` or `unrar`.
pub(crate) fn tool(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project().join("target"), PathBuf::from);
    let path = target.join("tools/bin").join(name);
    assert!(path.is_file(), "{} is missing: run scripts/fetch_tools.sh", path.display());
    path
}

/// A user without rights.
pub(crate) const POWERLESS_USER: u32 = 65534;

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A copy of the program that every user can run; they may not be able to read the build folder.
pub(crate) fn program_for_all(folder: &Path) -> PathBuf {
    let program = folder.join("peer");
    // Another process copies: a child that a test beside this one forks could hold our own descriptor open, and a file
    // that is open for writing cannot be run.
    let copied =
        Command::new("cp").arg(env!("CARGO_BIN_EXE_lanspread-peer-cli")).arg(&program).status().unwrap();
    assert!(copied.success());
    program
}

/// The peer, without the variables and the config file of the user who runs the tests.
pub(crate) fn peer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanspread-peer-cli"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LANSPREAD_"))
    {
        command.env_remove(name);
    }
    // Nothing of the user who runs the tests is read or written.
    for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
        command.env_remove(variable);
    }
    command.env("HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("home"));
    // Tests name their peers, so none of their traffic leaves this machine.
    command.env("LANSPREAD_NO_DISCOVERY", "1");
    command.env("LANSPREAD_CONFIG", "/dev/null");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A finished command.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The objects on stdout; every line must be one.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(object).collect()
    }

    pub(crate) fn named(&self, event: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["event"] == event).collect()
    }

    pub(crate) fn one(&self, event: &str) -> Value {
        let mut found = self.named(event);
        assert_eq!(found.len(), 1, "one {event} in:\n{}", self.stdout);
        found.remove(0)
    }

    #[track_caller]
    pub(crate) fn succeeded(&self) -> &Self {
        assert_eq!(self.status.code(), Some(0), "stdout:\n{}stderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that it failed with this status, in exactly one line that names all of `parts`.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, parts: &[&str]) -> &Self {
        let output = format!("stdout:\n{}stderr:\n{}", self.stdout, self.stderr);
        assert_eq!(self.status.code(), Some(status), "{output}");
        assert_eq!(self.stderr.lines().count(), 1, "one line on stderr; {output}");
        assert!(self.stderr.starts_with("error: "), "{output}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not named; {output}");
        }
        self
    }
}

impl Finished {
    /// Checks that it failed with this status, and that the last line on stderr names all of `parts`.
    #[track_caller]
    pub(crate) fn failed_after_notes(&self, status: i32, parts: &[&str]) {
        let line = self.stderr.lines().last().unwrap_or_default();
        assert_eq!(self.status.code(), Some(status), "{}", self.stderr);
        assert!(
            line.starts_with("error: ") && parts.iter().all(|part| line.contains(part)),
            "{}",
            self.stderr
        );
    }
}

#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Finished {
    Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).finish()
}

/// A receiver: its games directory and its state directory.
pub(crate) struct Receiver {
    folder: TempDir,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("games")).unwrap();
        Self { folder }
    }

    pub(crate) fn games(&self) -> PathBuf {
        self.folder.path().join("games")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn local(&self, game: &str) -> PathBuf {
        self.games().join(game).join("local")
    }

    /// `install --json --stream GAME` from these sources, not started.
    pub(crate) fn install(&self, game: &str, sources: &[&Source]) -> Command {
        let mut command = self.command("install", game, sources);
        command.arg("--stream");
        command
    }

    /// `COMMAND --json GAME` from these sources, not started.
    pub(crate) fn command(&self, command: &str, game: &str, sources: &[&Source]) -> Command {
        let name = command;
        let mut command = peer();
        command.args([name, "--json", game, "--games-dir"]).arg(self.games());
        command.arg("--state-dir").arg(self.state());
        for source in sources {
            command.args(["--peer", &source.address]);
        }
        command
    }

    pub(crate) fn run(&self, game: &str, sources: &[&Source]) -> Finished {
        finish(&mut self.install(game, sources))
    }

    /// Everything below the games directory.
    pub(crate) fn disk(&self) -> Tree {
        Tree::read(&self.games())
    }

    /// Nothing below the games directory, and beside it only what a peer keeps of itself.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.disk(), Tree::empty(), "the games directory is as before");
        let beside: Vec<String> = Tree::read(self.folder.path()).0.into_keys().collect();
        let expected = ["games/", "state/", "state/identity.pem"];
        assert!(beside.iter().all(|path| expected.contains(&path.as_str())), "{beside:?}");
    }
}

/// A picture of a folder: each path with its content. Links are not followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, String>);

impl Tree {
    pub(crate) fn read(root: &Path) -> Self {
        let mut found = BTreeMap::new();
        walk(root, "", &mut found);
        Self(found)
    }

    pub(crate) fn empty() -> Self {
        Self(BTreeMap::new())
    }
}

fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            found.insert(format!("{name}/"), String::new());
            walk(&path, &format!("{name}/"), found);
        } else if metadata.is_file() {
            let content = digest(&fs::read(&path).unwrap());
            let executable = metadata.permissions().mode() & 0o111 != 0;
            found.insert(
                name,
                format!("{} bytes {content:016x} at {} x {executable}", metadata.len(), metadata.mtime()),
            );
        } else {
            found.insert(name, format!("link to {}", fs::read_link(&path).unwrap().display()));
        }
    }
}

/// FNV-1a over words: enough to tell files apart in a test, and quick in a debug build.
fn digest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.chain(rest.iter().map(|byte| u64::from(*byte))).fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    })
}

/// What the real `unrar` makes of the archives of a game root.
pub(crate) fn unrar_tree(game_root: &Path) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let mut archives: Vec<_> = fs::read_dir(game_root).unwrap().map(|entry| entry.unwrap().path()).collect();
    // `unrar` finds the other volumes of a set by its first one.
    archives.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".eti") && (!name.contains(".part") || name.ends_with(".part1.eti"))
    });
    archives.sort();
    for archive in archives {
        let extracted = Command::new(tool("unrar"))
            .args(["x", "-cfg-", "-idq", "-o+"])
            .arg(archive)
            .arg(folder.path().join(""))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(extracted.status.success(), "{}", String::from_utf8_lossy(&extracted.stderr));
    }
    Tree::read(folder.path())
}

/// A named pipe without a writer: a program that opens it as a file waits for ever.
pub(crate) fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "mkfifo {}", path.display());
}

/// An address at which no program listens. Another program could take a port that was free a moment ago, but programs listen
/// on such an address only if their user names it.
pub(crate) fn dead_address() -> String {
    format!("{}:1", own_loopback())
}

/// An address of this machine that nothing else has, with a port for `--listen`. A peer that is started again at the address
/// where it was finds it free: on 127.0.0.1, a test beside it could have taken the port.
pub(crate) fn own_address() -> String {
    format!("{}:0", own_loopback())
}

/// Another one for each call and for each process of tests.
fn own_loopback() -> Ipv4Addr {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 1, low, TAKEN.fetch_add(1, Ordering::Relaxed))
}

/// The same files again, without copying them where the file system can.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == ".lanspread" {
            continue; // belongs to the peer that serves the original
        }
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&path, &copy);
        } else {
            // No link: a link that another test makes changes the times of the file, and to a source that is a change.
            fs::copy(&path, &copy).unwrap();
        }
    }
}

/// A running source; killed when dropped.
pub(crate) struct Source {
    process: Child,
    stdout: Lines,
    pub(crate) address: String,
    pub(crate) ready: Value,
    /// Its state directory, which also holds its stderr.
    folder: TempDir,
}

impl Source {
    pub(crate) fn start(name: &str, games: &Path) -> Self {
        Self::start_with(name, games, [""; 0])
    }

    pub(crate) fn start_with(
        name: &str,
        games: &Path,
        options: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A daemon owns its games directory: each has its own, with the same files in it.
        let own_games = folder.path().join("games");
        copy_tree(games, &own_games);
        let mut command = peer();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--no-discovery", "--name", name]);
        command.arg("--games-dir").arg(&own_games).arg("--state-dir").arg(folder.path()).args(options);
        let log = fs::File::create(folder.path().join("stderr")).unwrap();
        let mut process = command.stderr(log).spawn().unwrap();
        let stdout = Lines::of(process.stdout.take().unwrap());
        let ready = stdout.next().map(|line| object(&line)).expect("the source ended before it was ready");
        assert_eq!(ready["event"], "peer-ready", "{ready}");
        let address = ready["addr"].as_str().unwrap().to_owned();
        Self { process, stdout, address, ready, folder }
    }

    /// One of [`big_games`] that sends slowly until it is [released](Self::release): the test acts in the middle of the
    /// stream, however fast the machine is.
    pub(crate) fn slow(name: &str) -> Self {
        Self::slow_with(name, [""; 0])
    }

    pub(crate) fn slow_with(name: &str, options: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let options = options.into_iter().map(|option| option.as_ref().to_owned());
        Self::start_with(name, &big_games(), SLOW.map(OsString::from).into_iter().chain(options))
    }

    /// From now on it sends as fast as it can.
    pub(crate) fn release(&self) {
        let mut command = peer();
        command.args(["limits", "--up", "none", "--games-dir"]).arg(self.games());
        finish(&mut command).succeeded();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its own games directory.
    pub(crate) fn games(&self) -> PathBuf {
        self.folder.path().join("games")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Reads its events up to the next one of this name.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, event: &str) -> Value {
        wait_for(event, &self.stdout, &mut String::new())
    }

    /// Its `status`.
    pub(crate) fn status(&self) -> Value {
        let state = tempfile::tempdir().unwrap();
        let mut command = peer();
        command.args(["status", "--json", "--peer", &self.address, "--state-dir"]).arg(state.path());
        finish(&mut command).succeeded().one("peer-status")
    }

    /// Checks that it has no stream, no open archive and no child.
    pub(crate) fn assert_idle(&self) {
        eventually("the source is idle", || self.status()["active_outbound_transfers"] == 0);
        eventually("the source has no archive open", || {
            let folder = format!("/proc/{}/fd", self.pid());
            let mut open =
                fs::read_dir(folder).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            !open.any(|path| path.to_string_lossy().contains(".eti"))
        });
        eventually("the source has no child", || {
            let children = format!("/proc/{0}/task/{0}/children", self.pid());
            fs::read_to_string(children).unwrap_or_default().trim().is_empty()
        });
    }

    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.pid(), signal);
    }

    /// Waits until it exits.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.process)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SIGKILL also ends a process that was stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let output = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
            println!("{} at {} printed on stderr:\n{output}", self.ready["name"], self.address);
        }
    }
}

/// A command that runs while the test acts on it; killed when dropped.
pub(crate) struct Running {
    process: Child,
    /// None if it does not print into a pipe.
    stdout: Option<Lines>,
    stderr: Option<Lines>,
    seen: String,
}

impl Running {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let (stdout, stderr) = (process.stdout.take().map(Lines::of), process.stderr.take().map(Lines::of));
        Self { process, stdout, stderr, seen: String::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Reads its events up to the next one of this name.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, event: &str) -> Value {
        wait_for(event, self.stdout.as_ref().expect("it prints into a pipe"), &mut self.seen)
    }

    /// The next line on its stderr.
    #[track_caller]
    pub(crate) fn next_on_stderr(&mut self) -> Option<String> {
        self.stderr.as_ref().expect("its stderr is a pipe").next()
    }

    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.pid(), signal);
    }

    /// Waits until it has ended.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        wait(&mut self.process)
    }

    /// Waits for its end and returns everything it printed.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let seen = std::mem::take(&mut self.seen);
        let stdout = self.stdout.take().map_or_else(String::new, |lines| lines.rest(seen));
        let stderr = self.stderr.take().map_or_else(String::new, |lines| lines.rest(String::new()));
        Finished { status: wait(&mut self.process), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads events up to the next one of this name; all of them are added to `seen`.
#[track_caller]
fn wait_for(event: &str, lines: &Lines, seen: &mut String) -> Value {
    loop {
        let line = lines.next_after(seen).unwrap_or_else(|| panic!("no {event} in:\n{seen}"));
        *seen += &line;
        let object = object(&line);
        if object["event"] == event {
            return object;
        }
    }
}

/// The object on a line, which must be as `docs/event-schema.json` describes it.
fn object(line: &str) -> Value {
    static SCHEMA: std::sync::OnceLock<Schema> = std::sync::OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let text = fs::read_to_string(project().join("docs/event-schema.json")).unwrap();
        Schema::parse(&text).unwrap()
    });
    let object = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(schema.problem_strictly(&object), None, "{line}");
    object
}

/// Waits for the end of a process.
pub(crate) fn wait(process: &mut Child) -> ExitStatus {
    let mut ended = None;
    eventually("the process has ended", || {
        ended = process.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

fn send_signal(pid: u32, signal: &str) {
    // std sends no signal but SIGKILL, and this crate forbids unsafe code.
    let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -s {signal} {pid}");
}

/// Polls until it holds. Use it only for what announces itself in no other way.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "after {} s not yet so: {what}", DEADLINE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command whose game is streamed decoded, whether the source has made its packing list or not. It makes that some seconds
/// after its start: what a test expects of a decoded stream only, it would not get on a slow machine.
pub(crate) fn decoded_at_source(command: &mut Command) -> &mut Command {
    command.env("LANSPREAD_DECODE_AT", "source")
}

/// Options of a daemon that sends [`big_games`] slowly: the whole stream takes five minutes, longer than any test waits, and
/// its first chunk two seconds.
pub(crate) const SLOW: [&str; 2] = ["--limit-up", "512KiB/s"];

/// A games directory with one game of incompressible files in a stored archive, large enough that the buffers on its way
/// do not hold its stream. To act in the middle of that, hold it up: [`Source::slow`]. Made once per target folder.
pub(crate) fn big_games() -> PathBuf {
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    MADE.get_or_init(make_big_games).clone()
}

pub(crate) const BIG_BYTES: u64 = 3 * BIG_FILE_BYTES;
const BIG_FILE_BYTES: u64 = 50 * 1024 * 1024;

fn make_big_games() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("big-games");
    if folder.is_dir() {
        return folder;
    }
    let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = draft.path().join("games/big");
    fs::create_dir_all(&root).unwrap();
    for name in ["one.bin", "three.bin", "two.bin"] {
        let mut noise = fs::File::open("/dev/urandom").unwrap().take(BIG_FILE_BYTES);
        std::io::copy(&mut noise, &mut fs::File::create(draft.path().join(name)).unwrap()).unwrap();
    }
    let packed = Command::new(tool("rar"))
        .args(["a", "-cfg-", "-idq", "-y", "-m0", "games/big/big.rar", "one.bin", "two.bin", "three.bin"])
        .current_dir(draft.path())
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(packed.success());
    fs::rename(root.join("big.rar"), root.join("big.eti")).unwrap();
    fs::write(root.join("version.ini"), "1\n").unwrap();
    // Another run of these tests may have been first. Its folder is as good.
    if fs::rename(draft.path().join("games"), &folder).is_err() {
        assert!(folder.is_dir());
    }
    folder
}
