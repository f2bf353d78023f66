// SPDX-License-Identifier: Apache-2.0
//! Network namespaces of a test's own, gone when it ends in whatever way. Needs root.

use std::process::Command;

/// A network namespace.
pub struct Namespace(String);

impl Namespace {
    /// An empty one. The name is the test's own.
    pub fn new(name: &str) -> Namespace {
        let space = Namespace(format!("dpvsd-{name}-{}", std::process::id()));
        run(&["ip", "netns", "add", &space.0]);
        space
    }

    /// One with a veth pair in it: `veth0`, which is down, and `veth1`, which is up.
    pub fn with_pair(name: &str) -> Namespace {
        let space = Namespace::new(name);
        space.ip("link add veth0 type veth peer name veth1");
        space.ip("link set veth1 up");
        space
    }

    /// Joins `iface` here with `other` in another namespace; both are up.
    pub fn join(&self, iface: &str, space: &Namespace, other: &str) {
        self.ip(&format!("link add {iface} type veth peer name {other} netns {}", space.0));
        self.ip(&format!("link set {iface} up"));
        space.ip(&format!("link set {other} up"));
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// What `ip` says in it.
    pub fn ip(&self, words: &str) -> String {
        run(&[&["ip", "-n", &self.0][..], &words.split(' ').collect::<Vec<_>>()].concat())
    }

    /// What a command run in it says.
    pub fn run(&self, words: &str) -> String {
        run(&[&["ip", "netns", "exec", &self.0][..], &words.split(' ').collect::<Vec<_>>()].concat())
    }

    /// Name, flags, MTU and address of an interface.
    pub fn interface(&self, name: &str) -> String {
        // The kernel gives an interface its queueing discipline when it first comes up.
        self.ip(&format!("-o link show {name}")).replace("qdisc noop", "qdisc noqueue")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn run(words: &[&str]) -> String {
    let out = Command::new(words[0]).args(&words[1..]).output().expect("iproute2 is installed");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{words:?}: {said}");
    said
}
