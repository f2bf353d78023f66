// SPDX-License-Identifier: Apache-2.0
//! Frames no kernel would send, made by scapy.

use anyhow::{Context, Result, bail};

use crate::netns::Netns;

/// Runs a scapy script in a namespace and returns what it printed. The script finds all of scapy imported and its arguments in
/// `sys.argv[1:]`.
///
/// # Errors
/// scapy is not installed, or the script fails.
pub fn run(ns: &Netns, script: &str, args: &[&str]) -> Result<String> {
    let probe =
        ns.cmd(PYTHON).args(["-c", "import scapy"]).run().with_context(|| format!("scapy needs {PYTHON}"))?;
    if !probe.status.success() {
        bail!("scapy is not installed: apt-get install python3-scapy");
    }
    let script = format!("import sys\nfrom scapy.all import *\nconf.verb = 0\n{script}");
    ns.cmd(PYTHON).args(["-c", &script]).args(args).check()
}

/// The distribution's Python, which is the one that has the distribution's scapy.
pub const PYTHON: &str = "/usr/bin/python3";
