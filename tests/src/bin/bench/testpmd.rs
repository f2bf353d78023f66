// SPDX-License-Identifier: Apache-2.0
//! dpdk-testpmd on the same device: what the device costs, and what touching a packet costs in C.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Memory, Sample, cpu, pcap_args};

/// A running testpmd, forwarding.
pub struct Testpmd {
    child: Child,
    commands: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Testpmd {
    /// Starts it on a file in one of its forwarding modes, with room for `mbufs` packets.
    pub fn start(file: &Path, mode: &str, mbufs: u32, memory: Memory) -> Result<Testpmd> {
        // Its output comes by the line only where it believes in a terminal, unless told so.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "dpdk-testpmd"])
            .args(memory.eal_args(mbufs))
            .args(["--no-pci", "--no-telemetry", "--lcores", "0@0,1@1", "--vdev"])
            .arg(format!("net_pcap0,{}", pcap_args(file)))
            .args(["--", "-i", "--nb-cores=1", "--burst=32", "--rxd=1024", "--txd=1024", "--mbcache=256"])
            .args([
                "--port-topology=loop",
                &format!("--total-num-mbufs={mbufs}"),
                &format!("--forward-mode={mode}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start dpdk-testpmd: install the package dpdk-dev")?;
        let commands = child.stdin.take().context("stdin was piped")?;
        let output = BufReader::new(child.stdout.take().context("stdout was piped")?);
        let mut testpmd = Testpmd { child, commands, output };
        testpmd.command("start")?;
        testpmd.received().context("testpmd did not come up")?;
        Ok(testpmd)
    }

    /// Packets forwarded and time spent during `window`.
    pub fn sample(&mut self, window: Duration) -> Result<Sample> {
        let pid = self.child.id();
        let (times, packets) = (cpu::times(pid)?, self.received()?);
        sleep(window);
        let (later, packets) = (cpu::times(pid)?, self.received()? - packets);
        Ok(Sample { time: cpu::busiest(&times, &later), packets })
    }

    fn command(&mut self, line: &str) -> Result<()> {
        writeln!(self.commands, "{line}")
            .and_then(|()| self.commands.flush())
            .context("testpmd has gone away")
    }

    fn received(&mut self) -> Result<u64> {
        self.command("show port stats 0")?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line)? == 0 {
                bail!("testpmd ended");
            }
            if let Some((_, rest)) = line.split_once("RX-packets:") {
                let number = rest.split_whitespace().next().unwrap_or_default();
                return number.parse().with_context(|| format!("testpmd printed `{}`", line.trim()));
            }
        }
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.command("quit");
        sleep(Duration::from_millis(200));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
