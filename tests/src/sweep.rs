// SPDX-License-Identifier: Apache-2.0
//! Removes namespaces with everything that runs in them: one at the end of a lab, or what killed processes have left.

use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

/// Where `ip netns` keeps them.
pub const DIR: &str = "/run/netns";

/// What names of namespaces start with; the process number of their owner follows.
pub const PREFIX: &str = "dpvs-";

/// What names of namespaces start with that stay after their owner has ended.
pub const KEPT_PREFIX: &str = "dpvs-kept-";

/// Where the files of labs are, in directories of the same names.
pub const FILES: &str = "/tmp";

/// Removes what processes have left that are gone.
pub fn orphans() {
    all_of(|name| owner(name).is_some_and(|pid| !Path::new("/proc").join(pid).exists()));
}

/// Removes what belongs to this process, when it has no time to drop its labs.
pub fn own() {
    let pid = std::process::id().to_string();
    all_of(|name| owner(name) == Some(&pid));
}

/// Removes the lab that was told to stay. Returns whether there was one.
pub fn kept() -> bool {
    all_of(|name| name.starts_with(KEPT_PREFIX))
}

/// Removes all namespaces and directories with such names.
fn all_of(wanted: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    for name in named(DIR).filter(|name| wanted(name)) {
        remove(&name);
        found = true;
    }
    for name in named(FILES).filter(|name| wanted(name)) {
        let _ = std::fs::remove_dir_all(Path::new(FILES).join(name));
        found = true;
    }
    found
}

/// Kills what runs in a namespace and removes it. Never fails: it runs when other things have failed already.
pub fn remove(name: &str) {
    if let Ok(out) = Command::new("ip").args(["netns", "pids", name]).output() {
        let pids = String::from_utf8_lossy(&out.stdout).into_owned();
        let own = rustix::process::getpid();
        for pid in pids
            .split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .filter(|pid| *pid != own)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

fn named(dir: &str) -> impl Iterator<Item = String> {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
}

/// The process number in `dpvs-PID-LAB-ROLE`.
fn owner(name: &str) -> Option<&str> {
    let pid = name.strip_prefix(PREFIX)?.split('-').next()?;
    pid.bytes().all(|b| b.is_ascii_digit()).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name() {
        assert_eq!(owner("dpvs-4711-2-client"), Some("4711"));
        assert_eq!(owner("dpvs-kept-client"), None);
        assert_eq!(owner("other-4711-2-client"), None);
    }
}
