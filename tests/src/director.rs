// SPDX-License-Identifier: Apache-2.0
//! `dpvsd` in a namespace, and the two tools that talk to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::command::{Cmd, Done};
use crate::net::Plan;
use crate::netns::Netns;
use crate::process::Background;
use crate::traffic::Traffic;
use crate::wait;

/// A running director.
#[derive(Debug)]
pub struct Director {
    daemon: Background,
    ipc: PathBuf,
    command: String,
}

impl Director {
    /// Starts `dpvsd` in a namespace as a plan says and waits until it is ready. Its socket, log and configuration are files in
    /// `dir` that begin with `name`.
    ///
    /// # Errors
    /// `dpvsd` is not built, or does not become ready within 20 seconds; the message holds its log.
    pub fn start(ns: &Netns, plan: &Plan, dir: &Path, name: &str) -> Result<Self> {
        let ipc = dir.join(format!("{name}.sock"));
        let conf = dir.join(format!("{name}.conf"));
        std::fs::write(&conf, &plan.conf)?;
        // Always a file of our own: the machine may have one where dpvsd looks by itself.
        let mut cmd =
            ns.cmd(&built("dpvsd")?).arg("--ipc").arg(ipc.display()).arg("--conf").arg(conf.display());
        for (port, iface) in plan.ports() {
            cmd = cmd.arg("--port").arg(format!("{port}={}:{iface}", plan.driver.name()));
        }
        if let Some(text) = &plan.keepalived {
            let file = dir.join(format!("{name}.keepalived"));
            std::fs::write(&file, text)?;
            cmd = cmd.arg("--keepalived").arg(file.display());
        }
        cmd = cmd.arg("--workers").arg(plan.workers);
        let mut daemon = Background::start(&cmd, &dir.join(format!("{name}.log")))?;
        daemon.wait_for("ready ports=", Duration::from_secs(20))?;
        Ok(Director { daemon, ipc, command: cmd.to_string() })
    }

    /// The command line it was started with.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Its control socket.
    pub fn ipc(&self) -> &Path {
        &self.ipc
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.daemon.said()
    }

    /// `ipvsadm WORDS`, which must succeed; returns what it printed.
    ///
    /// # Errors
    /// It is refused.
    pub fn ipvsadm(&self, words: &str) -> Result<String> {
        self.tool("ipvsadm", words)?.check()
    }

    /// `dpip WORDS`, which must succeed; returns what it printed.
    ///
    /// # Errors
    /// It is refused.
    pub fn dpip(&self, words: &str) -> Result<String> {
        self.tool("dpip", words)?.check()
    }

    /// `ipvsadm WORDS`, whatever comes of it.
    ///
    /// # Errors
    /// It is not built.
    pub fn try_ipvsadm(&self, words: &str) -> Result<Done> {
        self.tool("ipvsadm", words)?.run()
    }

    /// `dpip WORDS`, whatever comes of it.
    ///
    /// # Errors
    /// It is not built.
    pub fn try_dpip(&self, words: &str) -> Result<Done> {
        self.tool("dpip", words)?.run()
    }

    /// Lines of `ipvsadm -Lnc` without titles: one per connection.
    ///
    /// # Errors
    /// The listing is refused.
    pub fn conns(&self) -> Result<Vec<String>> {
        let text = self.ipvsadm("-Lnc")?;
        let lines = text.lines().filter(|l| ["TCP", "UDP", "SCTP", "ICMP"].iter().any(|p| l.starts_with(p)));
        Ok(lines.map(str::to_owned).collect())
    }

    /// Waits until no connection is left.
    ///
    /// # Errors
    /// Some are left after `limit`.
    pub fn no_conns(&self, limit: Duration) -> Result<()> {
        wait::until("an empty connection table", limit, || Ok(self.conns()?.is_empty().then_some(())))
            .with_context(|| format!("left: {:#?}", self.conns()))
    }

    /// Where every packet went.
    ///
    /// # Errors
    /// The daemon does not say.
    pub fn traffic(&self) -> Result<Traffic> {
        Traffic::parse(&self.dpip(Traffic::WORDS)?)
    }

    /// Waits until every packet is accounted for; while packets move, the workers' numbers are not of the same moment.
    ///
    /// # Errors
    /// Some are unaccounted for after five seconds; the message holds the numbers.
    pub fn conserves(&self) -> Result<Traffic> {
        let mut last = Traffic::default();
        wait::until("every packet to be accounted for", Duration::from_secs(5), || {
            last = self.traffic()?;
            Ok((last.missing() == 0).then(|| last.clone()))
        })
        .with_context(|| format!("{} packets are missing: {last:?}", last.missing()))
    }

    /// Waits until every packet buffer is back in its pool, but for those of packets that wait for a neighbour.
    ///
    /// # Errors
    /// Some are still in use after five seconds.
    pub fn returns_buffers(&self) -> Result<()> {
        let mut last = (0, 0);
        wait::until("packet buffers to come back", Duration::from_secs(5), || {
            let links: Value = serde_json::from_str(&self.dpip("--json -s link show")?)?;
            let in_use = links.pointer("/links/0/stats/mbuf_inuse").and_then(Value::as_u64);
            last =
                (in_use.with_context(|| format!("no mbuf_inuse in {links}"))?, self.traffic()?.count("held"));
            Ok((last.0 <= last.1).then_some(()))
        })
        .with_context(|| format!("{} are in use, {} packets are held", last.0, last.1))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.daemon.signal(signal)
    }

    /// Fails if it has ended, or a thread of it has panicked.
    ///
    /// # Errors
    /// See above; the message holds its log.
    pub fn healthy(&mut self) -> Result<()> {
        if let Some(status) = self.daemon.ended()? {
            bail!("dpvsd ended with {status}:\n{}", self.log());
        }
        ensure!(!self.log().contains("panicked"), "dpvsd panicked:\n{}", self.log());
        Ok(())
    }

    /// Ends it as a service manager does; it must end well.
    ///
    /// # Errors
    /// It does not end, or not with status 0, or leaves its socket.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.daemon.stop()?;
        ensure!(status.success(), "dpvsd ended with {status}:\n{}", self.log());
        ensure!(!self.ipc.exists(), "dpvsd left {} behind", self.ipc.display());
        Ok(())
    }

    fn tool(&self, name: &str, words: &str) -> Result<Cmd> {
        Ok(Cmd::new(built(name)?).words(words).env("DPVS_IPC_FILE", self.ipc.display()))
    }
}

/// A program of this product: in `DPVS_BIN_DIR`, else where cargo has put it beside the running test.
///
/// # Errors
/// It is not built.
pub fn built(program: &str) -> Result<String> {
    let dir = match std::env::var_os("DPVS_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let exe = std::env::current_exe()?;
            let dir = exe.parent().context("an executable is in a directory")?;
            if dir.ends_with("deps") { dir.join("..") } else { dir.to_owned() }
        }
    };
    let file = dir.join(program);
    ensure!(file.is_file(), "{} is not built: cargo build -p {program}", file.display());
    Ok(file.canonicalize()?.display().to_string())
}
