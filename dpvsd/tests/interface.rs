// SPDX-License-Identifier: Apache-2.0
//! A kernel interface as a device: what is changed of it, what it refuses, and that it is given back as it was. Needs root.
//!
//! ```text
//!   namespace of the test: dpvsd ── af_packet ── veth0 ════ veth1, where nobody is
//! ```

mod support;

use std::time::Duration;

use model::link::LinkChange;
use sockopt::{Code, Get, Reply, Request, Set};
use support::Daemon;
use support::netns::Namespace;

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
    let space = Namespace::with_pair("back");
    let before = space.interface("veth0");
    assert!(before.contains("mtu 1500") && !before.contains("UP"), "{before}");
    let mut daemon = Daemon::start_in(space.name(), &["--port", "dpdk0=af_packet:veth0"]);
    let changes = [
        LinkChange::Mtu(1300),
        LinkChange::Promisc(true),
        LinkChange::Mac("02:00:00:00:00:77".parse().expect("an address")),
    ];
    for change in changes {
        assert_eq!(daemon.ask(&set(change)), Reply::Done);
    }
    let meanwhile = space.interface("veth0");
    for part in ["mtu 1300", "PROMISC", "02:00:00:00:00:77", "UP"] {
        assert!(meanwhile.contains(part), "`{part}` in {meanwhile}");
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended_within(Duration::from_secs(2)).code(), Some(0));
    assert_eq!(space.interface("veth0"), before);
}

#[test]
fn what_a_device_refuses_is_undone_and_said() {
    let space = Namespace::with_pair("undo");
    let daemon = Daemon::start_in(space.name(), &["--port", "dpdk0=af_packet:veth0"]);
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
    assert!(space.interface("veth0").contains("mtu 1500"));
}
