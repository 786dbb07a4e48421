//! A terminal of this test's own: a program runs in it, keys are typed, and what it shows can be read.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{eventually, wait};

/// A program in a terminal; killed when dropped.
pub(crate) struct Terminal {
    process: Child,
    keyboard: File,
    emulator: Arc<Mutex<Emulator>>,
    reader: Option<JoinHandle<()>>,
}

struct Emulator {
    screen: vt100::Parser,
    /// Everything that was written to the terminal.
    written: String,
}

impl Terminal {
    /// Runs a program in a terminal of this size.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
        // It becomes the terminal of a session of its own, so that Ctrl-C reaches the program.
        let mut in_session = Command::new("setsid");
        in_session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        in_session.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        if let Some(folder) = command.get_current_dir() {
            in_session.current_dir(folder);
        }
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => in_session.env(variable, value),
                None => in_session.env_remove(variable),
            };
        }
        resize(&master, columns, rows);
        let process = in_session.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        let keyboard = File::from(master);
        let screen = vt100::Parser::new(rows, columns, 0);
        let emulator = Arc::new(Mutex::new(Emulator { screen, written: String::new() }));
        let (mut display, shown) = (keyboard.try_clone().unwrap(), Arc::clone(&emulator));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the last program in the terminal is an error here.
            while let Ok(count @ 1..) = display.read(&mut buffer) {
                let mut emulator = shown.lock().unwrap();
                emulator.screen.process(&buffer[..count]);
                emulator.written += &String::from_utf8_lossy(&buffer[..count]);
            }
        });
        Self { process, keyboard, emulator, reader: Some(reader) }
    }

    /// Types these keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.emulator.lock().unwrap().screen.screen_mut().set_size(rows, columns);
        resize(&self.keyboard, columns, rows);
    }

    /// What the terminal shows.
    pub(crate) fn screen(&self) -> String {
        self.emulator.lock().unwrap().screen.screen().contents()
    }

    /// Everything that was written to it, with all its control characters.
    pub(crate) fn written(&self) -> String {
        self.emulator.lock().unwrap().written.clone()
    }

    /// Waits until the terminal shows what is expected.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut holds: impl FnMut(&str) -> bool) -> String {
        let mut screen = String::new();
        eventually(what, || {
            screen = self.screen();
            holds(&screen)
        });
        screen
    }

    /// Waits for the end of the program, and for everything that it printed.
    pub(crate) fn finish(&mut self) -> ExitStatus {
        let status = wait(&mut self.process);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking()
            && let Ok(emulator) = self.emulator.lock()
        {
            println!("the terminal showed:\n{}\n{:?}", emulator.screen.screen().contents(), emulator.written);
        }
    }
}

fn resize(terminal: &impl AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
