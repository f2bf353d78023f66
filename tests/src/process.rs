// SPDX-License-Identifier: Apache-2.0
//! Programs that run beside a scenario: the director, servers, captures.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::Cmd;
use crate::wait;

/// A program in the background. Dropping it kills it.
#[derive(Debug)]
pub struct Background {
    what: String,
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts a program; all it says goes to the file `log`.
    ///
    /// # Errors
    /// It is not installed or cannot be started.
    pub fn start(cmd: &Cmd, log: &Path) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let err = out.try_clone()?;
        let child = cmd
            .to_command()?
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start `{cmd}`"))?;
        Ok(Background { what: cmd.to_string(), child, log: log.to_owned() })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has said so far.
    pub fn said(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until it has said `word`.
    ///
    /// # Errors
    /// It ended, or `limit` passed; the message holds all it said.
    pub fn wait_for(&mut self, word: &str, limit: Duration) -> Result<()> {
        let what = format!("`{word}` from `{}`", self.what);
        wait::until(&what, limit, || {
            if self.said().contains(word) {
                return Ok(Some(()));
            }
            if let Some(status) = self.ended()? {
                bail!("`{}` ended with {status} instead of saying `{word}`", self.what);
            }
            Ok(None)
        })
        .with_context(|| format!("it said:\n{}", self.said()))
    }

    /// Its status if it has ended.
    ///
    /// # Errors
    /// The kernel refuses to say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a process number")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal `{}`", self.what))
    }

    /// Asks it to end and waits for it.
    ///
    /// # Errors
    /// It did not end within ten seconds.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        let what = format!("the end of `{}`", self.what);
        wait::until(&what, Duration::from_secs(10), || self.ended())
            .with_context(|| format!("it said:\n{}", self.said()))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A program that is gone already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
