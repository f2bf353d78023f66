// SPDX-License-Identifier: Apache-2.0
//! A switch with one access port and one trunk: what comes in at the access port leaves the trunk with an 802.1Q tag, and back.
//!
//! It stands where a kernel's VLAN device would do the same: many kernels, such as those of small virtual machines, have none.

use std::time::Duration;

use anyhow::Result;

use crate::net::{Net, join};
use crate::netns::{Names, Netns};
use crate::process::Background;
use crate::scapy::PYTHON;

/// The running switch.
#[derive(Debug)]
pub struct Tagger {
    _program: Background,
    ns: Netns,
    _dir: tempfile::TempDir,
}

impl Tagger {
    /// Joins the client's `eth0` (untagged) with the director's `port0` (tagged with `id`).
    ///
    /// # Errors
    /// An interface of that name exists, or Python is not installed.
    pub fn between(net: &Net, names: &Names, id: u16) -> Result<Self> {
        let (ns, dir) = (Netns::create(names, "tagger")?, tempfile::tempdir()?);
        ns.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        join(&net.client, "eth0", &ns, "access")?;
        join(&net.director, "port0", &ns, "trunk")?;
        let cmd = ns.cmd(PYTHON).args(["-u", "-c", SWITCH, "access", "trunk"]).arg(id);
        let mut program = Background::start(&cmd, &dir.path().join("log"))?;
        program.wait_for("switching", Duration::from_secs(10))?;
        Ok(Tagger { _program: program, ns, _dir: dir })
    }

    /// The namespace of the switch; the tagged side is its interface `trunk`.
    pub fn ns(&self) -> &Netns {
        &self.ns
    }
}

const SWITCH: &str = include_str!("../tools/access_switch.py");
