// SPDX-License-Identifier: Apache-2.0
//! A wire between client and director on which every frame takes its time, and that takes no more than it can.

use std::time::Duration;

use anyhow::Result;

use crate::net::{Net, join};
use crate::netns::{Names, Netns};
use crate::process::Background;
use crate::scapy::PYTHON;

/// What a wire is like, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// How long a frame is under way.
    pub one_way: Duration,
    /// What it takes; frames that come faster wait, and none is lost.
    pub bytes_per_second: u32,
}

/// The running wire.
#[derive(Debug)]
pub struct Delay {
    _program: Background,
    _ns: Netns,
    _dir: tempfile::TempDir,
}

impl Delay {
    /// Joins the client's `eth0` with the director's `port0`.
    ///
    /// # Errors
    /// An interface of that name exists, or Python is not installed.
    pub fn between(net: &Net, names: &Names, wire: Wire) -> Result<Self> {
        let (ns, dir) = (Netns::create(names, "delay")?, tempfile::tempdir()?);
        ns.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        join(&net.client, "eth0", &ns, "near")?;
        join(&net.director, "port0", &ns, "far")?;
        let ms = wire.one_way.as_secs_f64() * 1000.0;
        let cmd = ns.cmd(PYTHON).args(["-u", "-c", HOP, "near", "far"]).arg(ms).arg(wire.bytes_per_second);
        let mut program = Background::start(&cmd, &dir.path().join("log"))?;
        program.wait_for("delaying", Duration::from_secs(10))?;
        Ok(Delay { _program: program, _ns: ns, _dir: dir })
    }
}

const HOP: &str = include_str!("../tools/delay_hop.py");
