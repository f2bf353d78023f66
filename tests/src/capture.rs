// SPDX-License-Identifier: Apache-2.0
//! What really was on a wire, by tcpdump.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::command::Cmd;
use crate::netns::Netns;
use crate::process::Background;

/// A running tcpdump.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Background,
    file: PathBuf,
}

impl Capture {
    /// Starts to capture what matches `filter` on an interface; `file` (of no other capture) takes the packets.
    ///
    /// # Errors
    /// tcpdump is not installed or refuses.
    pub fn start(ns: &Netns, iface: &str, filter: &str, file: &Path) -> Result<Self> {
        let cmd = ns
            .cmd("tcpdump")
            .args(["-Z", "root", "-U", "--immediate-mode", "-i", iface, "-w"])
            .arg(file.display())
            .arg(filter);
        let mut tcpdump = Background::start(&cmd, &file.with_extension("log"))?;
        tcpdump.wait_for("listening on", Duration::from_secs(10))?;
        Ok(Capture { tcpdump, file: file.to_owned() })
    }

    /// Ends the capture and returns a line per packet, as `tcpdump -nevv` prints them.
    ///
    /// # Errors
    /// tcpdump does not end, or cannot read what it wrote.
    pub fn stop(mut self) -> Result<Vec<String>> {
        // The last packets may still be between the kernel and tcpdump.
        std::thread::sleep(Duration::from_millis(100));
        self.tcpdump.stop()?;
        let text = Cmd::new("tcpdump").args(["-ntevv", "-r"]).arg(self.file.display()).check()?;
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            match lines.last_mut() {
                // A packet that takes several lines continues with a blank.
                Some(packet) if line.starts_with(char::is_whitespace) => {
                    packet.push(' ');
                    packet.push_str(line.trim());
                }
                _ => lines.push(line.to_owned()),
            }
        }
        Ok(lines)
    }
}
