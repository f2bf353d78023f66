// SPDX-License-Identifier: Apache-2.0
//! One network namespace: created by `ip netns`, gone with everything in it when dropped.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::command::Cmd;
use crate::sweep;

/// A network namespace with a name that no other lab uses.
#[derive(Debug)]
pub struct Netns {
    name: String,
    keep: bool,
}

/// What names of a lab's namespaces start with: `dpvs-PID-LAB-`.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
    keep: bool,
}

impl Names {
    /// Names nobody else uses. Namespaces named by them live as long as this process.
    pub fn unique() -> Self {
        static LABS: AtomicU32 = AtomicU32::new(1);
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        Names { prefix: format!("{}{}-{lab}-", sweep::PREFIX, std::process::id()), keep: false }
    }

    /// Names of a lab that stays when this process ends. The next sweep lets it be; [`sweep::kept`] removes it.
    pub fn kept() -> Self {
        Names { prefix: sweep::KEPT_PREFIX.to_owned(), keep: true }
    }

    /// A new directory for the files of a lab of these names.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn dir(&self) -> Result<TempDir> {
        // A fixed name for a lab that stays, so that it can be found again.
        let random = if self.keep { 0 } else { 6 };
        let name = format!("{}files", self.prefix);
        let dir = tempfile::Builder::new().prefix(&name).rand_bytes(random).tempdir_in(sweep::FILES);
        dir.with_context(|| format!("cannot create {}/{name}", sweep::FILES))
    }
}

impl Netns {
    /// Creates a namespace for a role such as `client`, with its loopback up and no duplicate address detection.
    ///
    /// # Errors
    /// Not root, or `ip` is missing.
    pub fn create(names: &Names, role: &str) -> Result<Self> {
        let ns = Netns { name: format!("{}{role}", names.prefix), keep: names.keep };
        Cmd::new("ip").args(["netns", "add", &ns.name]).check()?;
        ns.sysctl("net/ipv6/conf/all/accept_dad", "0")?;
        ns.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        ns.ip("link set lo up")?;
        Ok(ns)
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program inside.
    pub fn cmd(&self, program: &str) -> Cmd {
        Cmd::new(program).within(&self.name)
    }

    /// `ip` inside, with words as a person types them.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn ip(&self, words: &str) -> Result<String> {
        Cmd::new("ip").args(["-n", &self.name]).words(words).check()
    }

    /// Sets a kernel parameter, as a path below `/proc/sys`.
    ///
    /// # Errors
    /// There is no such parameter or the value is refused.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        self.enter(|| std::fs::write(Path::new("/proc/sys").join(path), value))?
            .with_context(|| format!("cannot set {path} to {value} in {}", self.name))
    }

    /// Switches off every offload of an interface: frames leave with complete checksums, one packet each, and arrive unmerged.
    /// The director sees what a wire would carry.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn plain_frames(&self, iface: &str) -> Result<()> {
        self.cmd("ethtool").args(["-K", iface]).words("tx off tso off gso off gro off").check().map(drop)
    }

    /// Ethernet address of an interface.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn mac(&self, iface: &str) -> Result<String> {
        let text = self.ip(&format!("-o link show {iface}"))?;
        let mac = text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
        Ok(mac.with_context(|| format!("no Ethernet address in {text}"))?.to_owned())
    }

    /// Runs a closure on a thread inside. Sockets it opens stay inside, wherever they are used later.
    ///
    /// # Errors
    /// The namespace is gone.
    ///
    /// # Panics
    /// The closure panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let entrance = self.entrance()?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(entrance.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn entrance(&self) -> Result<File> {
        let path = Path::new(sweep::DIR).join(&self.name);
        File::open(&path).map_err(|e| anyhow!("cannot open {}: {e}", path.display()))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.keep {
            sweep::remove(&self.name);
        }
    }
}

/// Fails unless this process may create namespaces.
///
/// # Errors
/// Not root.
pub fn need_root() -> Result<()> {
    ensure!(geteuid().is_root(), "the lab makes network namespaces and must run as root: try sudo");
    Ok(())
}
