// SPDX-License-Identifier: Apache-2.0
//! A kernel interface as a device: what is changed of it, what it refuses, and that it is given back as it was. Needs root.
//!
//! ```text
//!   namespace of the test: dpvsd ── af_packet ── veth0 ════ veth1, where nobody is
//! ```

mod support;

use std::process::Command;
use std::time::Duration;

use model::link::LinkChange;
use sockopt::{Code, Get, Reply, Request, Set};
use support::Daemon;

/// A network namespace with a veth pair `veth0` and `veth1` in it.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Namespace {
        let space = Namespace(format!("dpvsd-{name}-{}", std::process::id()));
        run(&["ip", "netns", "add", &space.0]);
        run(&["ip", "-n", &space.0, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]);
        run(&["ip", "-n", &space.0, "link", "set", "veth1", "up"]);
        space
    }

    /// Name, flags, MTU and address of `veth0`.
    fn interface(&self) -> String {
        // The kernel gives an interface its queueing discipline when it first comes up.
        run(&["ip", "-n", &self.0, "-o", "link", "show", "veth0"]).replace("qdisc noop", "qdisc noqueue")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn run(words: &[&str]) -> String {
    let out = Command::new(words[0]).args(&words[1..]).output().expect("iproute2 is installed");
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

fn set(change: LinkChange) -> Request {
    Request::Set(Set::SetLink { dev: "dpdk0".to_owned(), change })
}

fn mtu(daemon: &Daemon) -> u16 {
    match daemon.ask(&Request::Get(Get::Links { dev: None })) {
        Reply::Links(links) => links[0].mtu,
        other => panic!("links expected: {other:?}"),
    }
}

#[test]
fn an_interface_is_given_back_as_it_was() {
    let space = Namespace::new("back");
    let before = space.interface();
    assert!(before.contains("mtu 1500") && !before.contains("UP"), "{before}");
    let mut daemon = Daemon::start_in(&space.0, &["--port", "dpdk0=af_packet:veth0"]);
    let changes = [
        LinkChange::Mtu(1300),
        LinkChange::Promisc(true),
        LinkChange::Mac("02:00:00:00:00:77".parse().expect("an address")),
    ];
    for change in changes {
        assert_eq!(daemon.ask(&set(change)), Reply::Done);
    }
    let meanwhile = space.interface();
    for part in ["mtu 1300", "PROMISC", "02:00:00:00:00:77", "UP"] {
        assert!(meanwhile.contains(part), "`{part}` in {meanwhile}");
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended_within(Duration::from_secs(2)).code(), Some(0));
    assert_eq!(space.interface(), before);
}

#[test]
fn what_a_device_refuses_is_undone_and_said() {
    let space = Namespace::new("undo");
    let daemon = Daemon::start_in(&space.0, &["--port", "dpdk0=af_packet:veth0"]);
    let Reply::Refused(status) = daemon.ask(&set(LinkChange::Mtu(9000))) else {
        panic!("its buffers are smaller than that")
    };
    assert_eq!(status.code, Code::System);
    assert!(status.text.contains("device dpdk0: cannot set the MTU to 9000"), "{status}");
    assert_eq!(mtu(&daemon), 1500);
    // The step before the refused one is undone too.
    let steps = [LinkChange::Mtu(1300), LinkChange::Mtu(9000)]
        .map(|change| Set::SetLink { dev: "dpdk0".into(), change });
    let both = Request::Transaction { steps: steps.to_vec(), dry_run: false };
    assert!(matches!(daemon.ask(&both), Reply::Refused(_)));
    assert_eq!(mtu(&daemon), 1500);
    assert!(space.interface().contains("mtu 1500"));
}
