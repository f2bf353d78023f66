// SPDX-License-Identifier: Apache-2.0
//! A whole lab: the network, the director, the real servers, and a scenario that is run in it.

use std::fs::{File, OpenOptions};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::client::{self, Pace};
use crate::director::Director;
use crate::net::{Driver, Family, Net, Plan};
use crate::netns::{Names, need_root};
use crate::server::Server;
use crate::sweep;

/// Everything a scenario plays with. Dropping it removes all of it.
#[derive(Debug)]
pub struct Lab {
    /// What was asked for.
    pub plan: Plan,
    /// The director.
    pub director: Director,
    /// The real servers, in the order of their addresses.
    pub servers: Vec<Server>,
    /// The namespaces.
    pub net: Net,
    dir: TempDir,
    _turn: Option<Turn>,
}

/// Runs a scenario in a lab of its own. Afterwards the director must be healthy, every packet accounted for, and the daemon must
/// end well. When anything fails, what the director has to say is printed first.
///
/// # Panics
/// The scenario fails or panics.
pub fn scenario(plan: Plan, body: impl FnOnce(&mut Lab) -> Result<()>) {
    eprintln!("lab: {plan}");
    let mut lab = Lab::start(plan).unwrap_or_else(|e| panic!("the lab does not start: {e:#}"));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        body(&mut lab)?;
        lab.director.healthy()?;
        lab.director.conserves()?;
        if lab.plan.driver == Driver::AfPacket && !lab.plan.conf.contains("kni on") {
            // Other drivers, and taps, keep buffers for what they will receive.
            lab.director.returns_buffers()?;
        }
        lab.director.stop()
    }));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            lab.report();
            panic!("{error:#}");
        }
        Err(panic) => {
            lab.report();
            resume_unwind(panic);
        }
    }
}

impl Lab {
    /// Builds the network, starts servers and director, and gives the director its addresses.
    ///
    /// # Errors
    /// Not root; a tool or program is missing; something does not start.
    pub fn start(plan: Plan) -> Result<Self> {
        let lab = Lab::unconfigured(plan, &Names::unique())?;
        lab.address()?;
        Ok(lab)
    }

    /// [`Lab::start`] with namespaces of these names, and a director that knows nothing yet.
    ///
    /// # Errors
    /// As there.
    pub fn unconfigured(plan: Plan, names: &Names) -> Result<Self> {
        need_root()?;
        let turn = Turn::take()?;
        sweep::orphans();
        Lab::build(plan, names, Some(turn))
    }

    /// A second lab during the first one's turn: another director on the same machine, with a network of its own.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn beside(&self, plan: Plan) -> Result<Self> {
        let lab = Lab::build(plan, &Names::unique(), None)?;
        lab.address()?;
        Ok(lab)
    }

    fn build(plan: Plan, names: &Names, turn: Option<Turn>) -> Result<Self> {
        let dir = names.dir()?;
        let net = Net::build(&plan, names)?;
        let servers = (1..)
            .zip(&net.servers)
            .map(|(n, ns)| Server::start(ns, &format!("server{n}"), dir.path()))
            .collect::<Result<_>>()?;
        let director = Director::start(&net.director, &plan, dir.path(), "dpvsd")?;
        Ok(Lab { plan, director, servers, net, dir, _turn: turn })
    }

    /// A file of this lab.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where files of this lab are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The first service address with a port.
    pub fn vip(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.plan.vip(family), port)
    }

    /// A FULLNAT service with real servers of these weights behind it, at the same port. `protocol` is `-t` or `-u`.
    ///
    /// # Errors
    /// A command is refused.
    pub fn balance(&self, protocol: &str, vip: SocketAddr, scheduler: &str, weights: &[u32]) -> Result<()> {
        for words in self.service(protocol, vip, scheduler, weights) {
            self.director.ipvsadm(&words)?;
        }
        Ok(())
    }

    /// What `ipvsadm` is told for such a service.
    pub fn service(&self, protocol: &str, vip: SocketAddr, scheduler: &str, weights: &[u32]) -> Vec<String> {
        let family = family_of(vip.ip());
        let service = format!("{protocol} {vip}");
        let dest = |n: u8| SocketAddr::new(self.plan.server(family, n), vip.port());
        let (laddr, dev) = (self.plan.laddr(family), self.plan.back_dev());
        let mut commands = vec![format!("-A {service} -s {scheduler}")];
        commands.extend((0..).zip(weights).map(|(n, w)| format!("-a {service} -r {} -b -w {w}", dest(n))));
        commands.push(format!("-P {service} -z {laddr} -F {dev}"));
        commands
    }

    /// Fetches the body `count` times over new connections and returns how many each server has sent, every byte compared.
    ///
    /// # Errors
    /// A request fails or a body is of no server.
    pub fn shares(&self, vip: SocketAddr, count: usize, pace: Pace) -> Result<Vec<usize>> {
        client::shares(&client::fetch(&self.net.client, vip, "body", count, pace)?, &self.servers)
    }

    /// A file of random bytes that every server has under `/NAME`; returns its SHA-256.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn publish(&self, name: &str, bytes: u64) -> Result<String> {
        let file = self.file(name);
        let mut random = std::io::Read::take(File::open("/dev/urandom")?, bytes);
        std::io::copy(&mut random, &mut File::create(&file)?)?;
        for server in &self.servers {
            server.publish(name, &file)?;
        }
        client::sha256_of_file(&file)
    }

    /// Prints what the director knows, for somebody who looks at a failed scenario.
    pub fn report(&self) {
        let director = &self.director;
        let tell = |what: &str, text: Result<String>| match text {
            Ok(text) => eprintln!("--- {what}\n{}", head(&text, 60)),
            Err(error) => eprintln!("--- {what}: {error:#}"),
        };
        eprintln!("=== {}\n=== {}", self.plan, director.command());
        tell("ipvsadm -Ln --stats", director.ipvsadm("-Ln --stats"));
        tell("ipvsadm -Lnc", director.ipvsadm("-Lnc"));
        tell("dpip -s link show", director.dpip("-s link show"));
        tell("dpip addr show", director.dpip("addr show"));
        tell("dpip neigh show", director.dpip("neigh show"));
        tell("where packets went", director.traffic().map(|t| format!("{t:?}")));
        let log = director.log();
        let from = log.lines().count().saturating_sub(60);
        eprintln!("--- log\n{}", log.lines().skip(from).collect::<Vec<_>>().join("\n"));
    }

    /// What `dpip` is told so that the director has its addresses.
    pub fn addresses(&self) -> Vec<String> {
        let plan = &self.plan;
        let add = |addr: IpAddr, len: u8, dev: String| format!("addr add {addr}/{len} dev {dev}");
        let mut commands = Vec::new();
        commands.extend(plan.vlan.map(|id| format!("vlan add link dpdk0 id {id}")));
        for family in Family::BOTH {
            commands.push(add(plan.front(family), family.prefix_len(), plan.front_dev()));
            if plan.back_dev() != plan.front_dev() {
                commands.push(add(plan.back(family), family.prefix_len(), plan.back_dev()));
            }
            commands.push(add(plan.vip(family), family.whole(), plan.front_dev()));
        }
        commands
    }

    fn address(&self) -> Result<()> {
        for words in self.addresses() {
            self.director.dpip(&words)?;
        }
        Ok(())
    }

    /// Leaves everything standing when this process ends. See [`Names::kept`].
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

/// Family of an address.
pub fn family_of(addr: IpAddr) -> Family {
    if addr.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// The right to run a lab on this machine: two cores carry one director with its clients and servers, not several.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Turn {
    /// Waits for it.
    ///
    /// # Errors
    /// The lock file cannot be opened.
    pub fn take() -> Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(LOCK);
        let file = file.with_context(|| format!("cannot open {LOCK}"))?;
        flock(&file, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {LOCK}"))?;
        Ok(Turn(file))
    }
}

fn head(text: &str, lines: usize) -> String {
    let mut shown: Vec<&str> = text.lines().take(lines).collect();
    if text.lines().count() > lines {
        shown.push("...");
    }
    shown.join("\n")
}

const LOCK: &str = "/run/lock/dpvs-lab.lock";
