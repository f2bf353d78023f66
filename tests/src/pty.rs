// SPDX-License-Identifier: Apache-2.0
//! A terminal with a program in it: what a person at a keyboard sees and does.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::command::require;
use crate::wait;

/// A terminal of 120 columns and 30 lines, and the program in it. Dropping it kills the program.
pub struct Terminal {
    keyboard: File,
    slave: File,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a program in a new terminal.
    ///
    /// # Errors
    /// There is no terminal to be had, or no such program.
    pub fn start(program: &str, words: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        require("setsid")?;
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave: OwnedFd =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).context("the terminal")?;
        let slave = File::from(slave);
        tcsetwinsize(&slave, Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })?;
        // Its own session: the terminal controls it, so that control-C is a signal. setsid becomes the program.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(words)
            .env("TERM", "xterm")
            .envs(env.iter().copied())
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut keyboard = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        read_on(keyboard.try_clone()?, Arc::clone(&seen));
        keyboard.flush()?;
        Ok(Terminal { keyboard, slave, child, seen })
    }

    /// Types.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn types(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Forgets what was seen so far, so that what is waited for is new.
    pub fn forget(&mut self) {
        self.seen.lock().expect("the reader does not panic").clear();
    }

    /// All that the program wrote since, control sequences included.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("the reader does not panic")).into_owned()
    }

    /// Waits until `text` is to be seen.
    ///
    /// # Errors
    /// Ten seconds passed; the message holds what was seen.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let what = format!("`{text}` in the terminal");
        wait::until(&what, Duration::from_secs(10), || Ok(self.seen().contains(text).then_some(())))
            .with_context(|| format!("seen was:\n{:?}", self.seen()))
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// Ten seconds passed.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        wait::until("the end of the program", Duration::from_secs(10), || Ok(self.child.try_wait()?))
            .with_context(|| format!("seen was:\n{:?}", self.seen()))
    }

    /// Whether the terminal is as a shell expects it: it gathers lines and shows what is typed.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn is_plain(&self) -> Result<bool> {
        let modes = tcgetattr(&self.slave)?.local_modes;
        Ok(modes.contains(LocalModes::ICANON | LocalModes::ECHO))
    }

    /// The process number of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn read_on(mut screen: File, seen: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        // Reading fails once nobody has the terminal open any more.
        while let Ok(n @ 1..) = screen.read(&mut chunk) {
            seen.lock().expect("nobody panics with it").extend_from_slice(&chunk[..n]);
        }
    });
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A program that is gone already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
