//! What is counted: one operation on one game, by the program as it is built, each of its processes under a tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::games::Game;
use crate::support::lines::Lines;
use crate::support::{Finished, Running, copy_tree, finish, peer, wait};

/// A program that runs the peer and counts.
pub(crate) trait Tool {
    /// What a process that is to be counted is started with, and where the tool writes.
    fn prefix(&self, report: &Path) -> Vec<String>;
    /// Waits until the report of an ended process is whole.
    fn complete(&self, report: &Path, pid: u32);
}

/// The first two of the processor's cores that this process may use, as `taskset` wants them. A decoder uses up to
/// four, with some memory for each; on the same number, counts are the same on every machine.
fn two_cores() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let cores = allowed.trim().split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<usize>().unwrap()..=last.parse().unwrap()
    });
    cores.take(2).map(|core| core.to_string()).collect::<Vec<_>>().join(",")
}

/// The command, run on two cores and by the tool, if there is one.
fn under(tool: Option<(&dyn Tool, &Path)>, command: &Command) -> Command {
    let mut outer = Command::new("taskset");
    outer.args(["--cpu-list", &two_cores()]);
    outer.args(tool.map_or_else(Vec::new, |(tool, report)| tool.prefix(report)));
    outer.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    outer
}

/// A peer that serves a games directory of its own; killed when dropped.
pub(crate) struct Serving {
    process: Child,
    /// Without its reader, the peer could print nothing more.
    _stdout: Lines,
    address: String,
    folder: TempDir,
}

impl Serving {
    pub(crate) fn start(tool: Option<(&dyn Tool, &Path)>, games: &Path, catalog: Option<&Catalog>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own_games = folder.path().join("games");
        copy_tree(games, &own_games);
        let mut command = peer();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--no-discovery", "--name", "peer"]);
        command.arg("--games-dir").arg(&own_games).arg("--state-dir").arg(folder.path());
        if let Some(catalog) = catalog {
            catalog.names(&mut command);
        }
        let mut command = under(tool, &command);
        let log = fs::File::create(folder.path().join("stderr")).unwrap();
        let mut process = command.stderr(log).spawn().unwrap();
        let stdout = Lines::of(process.stdout.take().unwrap());
        let line = stdout.next().unwrap_or_default();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let stderr = fs::read_to_string(folder.path().join("stderr")).unwrap_or_default();
            panic!("the peer is not ready: {error}: {line}{stderr}")
        });
        let address = ready["addr"].as_str().unwrap().to_owned();
        Self { process, _stdout: stdout, address, folder }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A command with its games directory, which it therefore carries out itself.
    pub(crate) fn ask(&self, words: &[&str]) {
        let mut command = peer();
        command.args(words).arg("--json").arg("--games-dir").arg(self.folder.path().join("games"));
        finish(command.arg("--state-dir").arg(self.folder.path())).succeeded();
    }

    /// Lets it end as an operator does.
    fn end(mut self, tool: &dyn Tool, report: &Path) {
        let pid = self.process.id();
        let sent = Command::new("kill").args(["-s", "TERM", &pid.to_string()]).status().unwrap();
        assert!(sent.success());
        let status = wait(&mut self.process);
        assert!(status.success(), "the peer ended with {status}");
        tool.complete(report, pid);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The catalog of an organiser, with the manifest of one game.
pub(crate) struct Catalog(TempDir);

impl Catalog {
    pub(crate) fn of(game: &Game) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_tree(&game.games_dir(), &folder.path().join("games"));
        let mut command = peer();
        command.args([
            "catalog",
            "build",
            "--games-dir",
            "games",
            "--out",
            "catalog",
            "--state-dir",
            "state",
        ]);
        finish(command.current_dir(folder.path())).succeeded();
        Self(folder)
    }

    fn names(&self, command: &mut Command) {
        command.arg("--catalog").arg(self.0.path().join("catalog/catalog.toml"));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The source decodes.
    StreamedInstall,
    /// The receiver decodes.
    PackedInstall,
    /// The same, by a receiver that passes everything on to another one, which is not counted.
    RelayedInstall,
    LocalInstall,
    Download,
}

/// The reports of an operation's processes.
pub(crate) struct Reports {
    folder: TempDir,
}

impl Reports {
    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// Of the process that was asked for the operation.
    pub(crate) fn receiver(&self) -> PathBuf {
        self.folder.path().join("receiver")
    }
}

/// How often an operation is tried that the machine is too busy for.
const TRIES: usize = 3;

/// Does it once, with each process under the tool.
///
/// On a busy machine a process under a tool can stand still for so long that the other one ends the connection, as it
/// should, and begins again: what was on its way, up to 32 MiB of a download, is sent twice. The program reports that, and
/// such a run is not counted. What is sent twice without a report is.
pub(crate) fn carry_out(operation: Operation, game: &Game, tool: &dyn Tool) -> Reports {
    let mut failures = String::new();
    for _ in 0..TRIES {
        let (reports, failed) = try_once(operation, game, tool);
        if failed.is_empty() {
            return reports;
        }
        println!("{operation:?} of {} is not counted: {failed}", game.name);
        failures += &failed;
    }
    panic!("{operation:?} of {}: its source failed in each of {TRIES} tries:\n{failures}", game.name);
}

/// The reports, and the lines in which the receiver reports that its source failed.
fn try_once(operation: Operation, game: &Game, tool: &dyn Tool) -> (Reports, String) {
    let reports = Reports { folder: tempfile::tempdir().unwrap() };
    let games = game.games_dir();
    let receiver = tempfile::tempdir().unwrap();
    let receiver_games = receiver.path().join("games");
    let mut command = peer();
    command.arg(if operation == Operation::Download { "download" } else { "install" });
    command.args(["--json", game.name, "--games-dir"]).arg(&receiver_games);
    command.arg("--state-dir").arg(receiver.path().join("state"));
    if operation == Operation::LocalInstall {
        copy_tree(&games, &receiver_games);
        let failed = run(&command, tool, &reports.receiver());
        return (reports, failed);
    }
    fs::create_dir(&receiver_games).unwrap();
    let is_packed = matches!(operation, Operation::PackedInstall | Operation::RelayedInstall);
    let catalog = is_packed.then(|| Catalog::of(game));
    let source = Serving::start(Some((tool, &reports.source())), &games, catalog.as_ref());
    command.args(["--peer", source.address()]);
    if let Some(catalog) = &catalog {
        command.args(["--stream", "--listen", "127.0.0.1:0"]);
        catalog.names(&mut command);
    }
    if operation == Operation::StreamedInstall {
        command.args(["--stream", "--decode-at", "source"]);
    }
    let failed = match &catalog {
        Some(catalog) if operation == Operation::RelayedInstall => {
            let last = Last { game, source: &source, catalog };
            relayed(&command, tool, &reports.receiver(), &last)
        }
        _ => run(&command, tool, &reports.receiver()),
    };
    source.end(tool, &reports.source());
    (reports, failed)
}

/// A receiver that takes everything from the one before it.
struct Last<'a> {
    game: &'a Game,
    source: &'a Serving,
    catalog: &'a Catalog,
}

impl Last<'_> {
    fn start(&self, folder: &Path) -> Running {
        let mut command = peer();
        command.args(["install", "--stream", "--json", self.game.name, "--peer", self.source.address()]);
        command.arg("--games-dir").arg(folder).arg("--state-dir").arg(folder.join("state"));
        self.catalog.names(&mut command);
        Running::start(&mut command)
    }
}

/// Runs a command that installs and relays. It is stopped from its place in the wave until the other receiver has the
/// next one.
fn relayed(command: &Command, tool: &dyn Tool, report: &Path, last: &Last<'_>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Running::start(&mut under(Some((tool, report)), command));
    let pid = relay.pid();
    relay.wait_for("packed-placed");
    relay.signal("STOP");
    let mut last = last.start(folder.path());
    last.wait_for("packed-placed");
    relay.signal("CONT");
    let (relay, last) = (relay.finish(), last.finish());
    tool.complete(report, pid);
    let brought = &last.succeeded().one("packed-finished")["brought"];
    let mut failed = failures(relay.succeeded());
    if brought["source_bytes"] != 0 {
        // The relay was too fast to be stopped, or too slow to answer in time.
        failed += &format!("the last receiver was not fed by the relay alone: {brought}");
    }
    failed
}

/// The lines in which a command reports that a source failed.
fn failures(done: &Finished) -> String {
    let is_failure = |line: &&str| {
        line.contains(r#""download-source-failed""#) || line.contains(r#""stream-attempt-failed""#)
    };
    done.stdout.lines().filter(is_failure).collect::<Vec<_>>().join("\n")
}

/// Returns the lines in which the command reports that a source failed.
fn run(command: &Command, tool: &dyn Tool, report: &Path) -> String {
    let running = Running::start(&mut under(Some((tool, report)), command));
    let pid = running.pid();
    let done = running.finish();
    done.succeeded();
    tool.complete(report, pid);
    failures(&done)
}
