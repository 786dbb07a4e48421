//! Runs the archive program as a child that never outlives the call.
//!
//! Invariants: the child leads a process group of its own. However a [`Run`] ends (success, error, cancellation or
//! panic), its whole group is killed and the child is reaped before the [`Run`] is gone. The child gets no terminal, no
//! input and no environment that could add switches. One thread does all the work: it polls standard output and
//! standard error together, so the child cannot block on one while we wait for the other. It checks for cancellation
//! every [`CANCEL_CHECK_INTERVAL`], even if the child prints nothing.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, thread};

use lanspread_types::limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio_util::sync::CancellationToken;

/// How long cancellation may go unnoticed while the child is silent.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A running program.
pub(super) struct Run {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// The beginning of its stderr: the first complaint is the cause, the rest follows from it.
    complaints: Vec<u8>,
    reaped: bool,
}

/// How a program ended.
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    /// What it wrote to stderr, up to [`limits::STDERR_BYTES_MAX`].
    pub(super) complaints: Vec<u8>,
}

/// Why waiting for a program ended early.
pub(super) enum Interruption {
    Cancelled,
    System(io::Error),
}

impl From<io::Error> for Interruption {
    fn from(source: io::Error) -> Self {
        Self::System(source)
    }
}

impl From<Errno> for Interruption {
    fn from(source: Errno) -> Self {
        Self::System(source.into())
    }
}

impl Run {
    /// Starts `program`, an absolute path or a name on `PATH`, in `folder`.
    pub(super) fn start(program: &Path, arguments: &[&str], folder: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            // `UNRAR` and `RAR` can hold switches; it does not need our other variables either.
            .env_clear()
            .env("PATH", search_path())
            // Names are printed as UTF-8 and times as UTC, whatever the settings of this machine.
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Self { child, stdout, stderr, complaints: Vec::new(), reaped: false })
    }

    /// Waits for the next bytes of standard output; returns 0 at its end.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        cancel: &CancellationToken,
    ) -> Result<usize, Interruption> {
        while self.stdout.is_some() {
            if cancel.is_cancelled() {
                return Err(Interruption::Cancelled);
            }
            let ready = self.poll(CANCEL_CHECK_INTERVAL)?;
            if ready.stderr {
                self.read_complaints()?;
            }
            let Some(stdout) = self.stdout.as_mut().filter(|_| ready.stdout) else { continue };
            match stdout.read(buffer) {
                Ok(0) => self.stdout = None,
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                read => return Ok(read?),
            }
        }
        Ok(0)
    }

    /// Waits until the program exits, after its standard output has ended.
    pub(super) fn finish(mut self, cancel: &CancellationToken) -> Result<Outcome, Interruption> {
        // It usually exits immediately, so the first waits are short.
        let mut pause = Duration::from_millis(1);
        while !self.has_exited()? {
            if cancel.is_cancelled() {
                return Err(Interruption::Cancelled);
            }
            if self.stderr.is_none() {
                thread::sleep(pause);
            } else if self.poll(pause)?.stderr {
                self.read_complaints()?;
            }
            pause = (pause * 2).min(CANCEL_CHECK_INTERVAL);
        }
        let status = self.kill_and_reap()?;
        self.read_last_complaints()?;
        Ok(Outcome { status, complaints: std::mem::take(&mut self.complaints) })
    }

    /// Ends the program now and returns what it had complained about.
    pub(super) fn stop(mut self) -> io::Result<Vec<u8>> {
        self.kill_and_reap()?;
        self.read_last_complaints()?;
        Ok(std::mem::take(&mut self.complaints))
    }

    /// Waits until a pipe has something to read, but at most for `patience`.
    fn poll(&self, patience: Duration) -> io::Result<Ready> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        let mut pipes = Vec::with_capacity(2);
        pipes.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        pipes.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut pipes, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(source) => return Err(source.into()),
        }
        // A closed or broken pipe counts as ready: reading it shows which.
        let mut ready = pipes.iter().map(|pipe| !pipe.revents().is_empty());
        let stdout = self.stdout.is_some() && ready.next().unwrap_or(false);
        let stderr = self.stderr.is_some() && ready.next().unwrap_or(false);
        Ok(Ready { stdout, stderr })
    }

    /// Reads what is waiting on stderr and keeps only the beginning.
    fn read_complaints(&mut self) -> io::Result<()> {
        let Some(stderr) = &mut self.stderr else { return Ok(()) };
        let mut buffer = [0; 4096];
        match stderr.read(&mut buffer) {
            Ok(0) => self.stderr = None,
            Ok(count) => {
                let kept = limits::STDERR_BYTES_MAX.saturating_sub(self.complaints.len() as u64);
                let keep = usize::try_from(kept).map_or(count, |kept| kept.min(count));
                self.complaints.extend_from_slice(&buffer[..keep]);
            }
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(source),
        }
        Ok(())
    }

    /// Reads what a dead child left on stderr. Does not wait for its end, because a runaway descendant may hold the
    /// pipe open.
    fn read_last_complaints(&mut self) -> io::Result<()> {
        self.stdout = None;
        while (self.complaints.len() as u64) < limits::STDERR_BYTES_MAX && self.poll(Duration::ZERO)?.stderr {
            self.read_complaints()?;
        }
        Ok(())
    }

    /// Whether the child has exited. It is not reaped yet, so that no other process can get its process id.
    fn has_exited(&self) -> Result<bool, Errno> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
            Ok(status) => Ok(status.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(source) => Err(source),
        }
    }

    /// Kills the whole group: a program that is a script may have children of its own. Then reaps the child.
    fn kill_and_reap(&mut self) -> io::Result<ExitStatus> {
        if !self.reaped {
            // If there is no such group, all of it has ended already.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.reaped
            && let Err(source) = self.kill_and_reap()
        {
            tracing::error!(%source, pid = self.child.id(), "cannot reap the archive program");
        }
    }
}

/// Which pipes have something to read.
struct Ready {
    stdout: bool,
    stderr: bool,
}

/// Our `PATH` without relative folders, which would mean the folder of the archive.
fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).filter(|folder| folder.is_absolute())).unwrap_or_default()
}
