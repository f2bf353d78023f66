// SPDX-License-Identifier: Apache-2.0
//! The way to the host's own stack. Needs root.
//!
//! ```text
//!   peer                       director's namespace
//!   10.0.0.2 ── veth ════ veth0 ── dpvsd: dpdk0 10.0.0.1
//!                                    └── dpdk0.kni ── kernel: 10.0.0.5
//! ```

mod support;

use std::time::{Duration, Instant};

use model::link::LinkChange;
use model::net::RouteScope;
use sockopt::{Get, Reply, Request, Set};
use support::Daemon;
use support::netns::Namespace;

/// Every route to the host's own stack.
fn kernel_routes(daemon: &Daemon) -> Vec<String> {
    match daemon.ask(&Request::Get(Get::Routes { dev: None, family: None })) {
        Reply::Routes(routes) => {
            let kernel = routes.iter().filter(|route| route.scope == Some(RouteScope::KniHost));
            kernel.map(|route| route.dst.to_string()).collect()
        }
        other => panic!("routes expected: {other:?}"),
    }
}

/// Waits until the daemon has noticed what the kernel's addresses are.
fn wait_for_routes(daemon: &Daemon, expected: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while kernel_routes(daemon) != expected {
        assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", kernel_routes(daemon));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn all_answered(said: &str) {
    assert!(said.contains("3 packets transmitted, 3 received"), "{said}");
}

#[test]
fn the_hosts_own_stack_is_reached_and_reaches_out() {
    let (director, peer) = (Namespace::new("kni"), Namespace::new("peer"));
    director.join("veth0", &peer, "veth1");
    peer.ip("addr add 10.0.0.2/24 dev veth1");
    peer.ip("addr add fd00::2/64 dev veth1 nodad");
    // The kernel sees veth0 too: it must leave alone what arrives there.
    for setting in
        ["ipv4.conf.all.arp_ignore=1", "ipv4.conf.all.rp_filter=1", "ipv6.conf.veth0.disable_ipv6=1"]
    {
        director.run(&format!("sysctl -qw net.{setting}"));
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let conf = dir.path().join("dpvs.conf");
    let text = "global_defs {\n kni on\n}\nnetif_defs {\n device dpdk0 {\n driver af_packet\n iface veth0\n \
                addr 10.0.0.1/24\n addr fd00::1/64\n }\n}\n";
    std::fs::write(&conf, text).expect("a fresh file");
    let daemon = Daemon::start_in(director.name(), &["--conf", conf.to_str().expect("text")]);

    let tap = director.interface("dpdk0.kni");
    assert!(tap.contains(",UP,") && tap.contains("mtu 1500"), "{tap}");
    director.ip("addr add 10.0.0.5/24 dev dpdk0.kni");
    director.ip("addr add fd00::5/64 dev dpdk0.kni nodad");
    wait_for_routes(&daemon, &["10.0.0.5/32", "fd00::5/128"]);
    for addr in ["10.0.0.1", "10.0.0.5", "fd00::1", "fd00::5"] {
        all_answered(&peer.run(&format!("ping -c 3 -i 0.2 -W 5 {addr}")));
    }
    for addr in ["10.0.0.2", "fd00::2"] {
        all_answered(&director.run(&format!("ping -c 3 -i 0.2 -W 5 {addr}")));
    }

    let mac = "02:00:00:00:00:77".parse().expect("an address");
    for change in [LinkChange::Mtu(1400), LinkChange::Mac(mac)] {
        let set = Request::Set(Set::SetLink { dev: "dpdk0".to_owned(), change });
        assert_eq!(daemon.ask(&set), Reply::Done);
    }
    let tap = director.interface("dpdk0.kni");
    assert!(tap.contains("mtu 1400") && tap.contains("02:00:00:00:00:77"), "the tap follows its port: {tap}");

    director.ip("addr del 10.0.0.5/24 dev dpdk0.kni");
    wait_for_routes(&daemon, &["fd00::5/128"]);
}
