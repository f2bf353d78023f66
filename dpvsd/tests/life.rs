// SPDX-License-Identifier: Apache-2.0
//! Start, reload and end of the daemon, on devices that go nowhere.

mod support;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use model::net::{AddrScope, IfAddr};
use sockopt::{Get, Reply, Request, Set};
use support::{Daemon, refused};

const DAEMON: Request = Request::Get(Get::Daemon);

/// The daemon promises two seconds; the rest is for a busy machine.
const END: Duration = Duration::from_secs(2);

fn workers(daemon: &Daemon) -> u16 {
    match daemon.ask(&DAEMON) {
        Reply::Daemon(info) => info.workers,
        other => panic!("about the daemon expected: {other:?}"),
    }
}

#[test]
fn the_ready_line_says_what_runs() {
    let mut daemon =
        Daemon::launch(&["--port", "dpdk0=null:no-rx=1", "--port", "dpdk1=null:no-rx=1", "--workers", "2"]);
    let line = daemon.wait_for("ready ");
    for part in ["ports=dpdk0,dpdk1", "drivers=net_null,net_null", "workers=2", "memory=", "ipc="] {
        assert!(line.contains(part), "`{part}` in: {line}");
    }
    assert_eq!(workers(&daemon), 2);
}

#[test]
fn a_second_daemon_runs_beside_the_first() {
    let first = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    let second = Daemon::start(&["--port", "dpdk0=null:no-rx=1", "--workers", "2"]);
    assert_eq!((workers(&first), workers(&second)), (1, 2));
}

#[test]
fn a_socket_in_use_is_left_to_its_daemon() {
    let first = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    let path = first.ipc.to_str().expect("text");
    let (status, said) = refused(&["--port", "dpdk0=null:no-rx=1", "--ipc", path]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains(&format!("a daemon already listens at {path}")), "{said}");
    assert_eq!(workers(&first), 1);
}

#[test]
fn the_socket_of_a_daemon_that_was_killed_is_replaced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("s");
    let mut first = Daemon::launch_at(&path, &["--port", "dpdk0=null:no-rx=1"], &[]);
    first.wait_for("ready ");
    drop(first);
    assert!(path.exists(), "it had no time to clean up");
    let mut second = Daemon::launch_at(&path, &["--port", "dpdk0=null:no-rx=1"], &[]);
    second.wait_for("ready ");
    assert_eq!(workers(&second), 1);
}

#[test]
fn term_and_int_end_it_cleanly_and_soon() {
    for signal in ["TERM", "INT"] {
        let mut daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1", "--workers", "2"]);
        daemon.signal(signal);
        assert_eq!(daemon.ended_within(END).code(), Some(0), "{signal}");
        assert!(!daemon.ipc.exists(), "{signal}");
    }
}

#[test]
fn the_service_manager_hears_of_start_and_end() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a fresh directory");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("a duration");
    let hear = || {
        let mut text = [0; 256];
        let n = manager.recv(&mut text).expect("a datagram");
        String::from_utf8_lossy(&text[..n]).into_owned()
    };
    let env = [("NOTIFY_SOCKET", socket.to_str().expect("text"))];
    let daemon = Daemon::launch_at(&dir.path().join("s"), &["--port", "dpdk0=null:no-rx=1"], &env);
    assert_eq!(hear(), "READY=1\n");
    assert_eq!(workers(&daemon), 1, "ready means that it answers");
    daemon.signal("TERM");
    assert_eq!(hear(), "STOPPING=1\n");
}

/// A device with an address, as a file says it.
fn device(addr: &str, rest: &str) -> String {
    format!("netif_defs {{\n device dpdk0 {{\n driver null\n args no-rx=1\n addr {addr}\n }}\n}}\n{rest}")
}

fn addresses(daemon: &Daemon) -> Vec<String> {
    match daemon.ask(&Request::Get(Get::Addrs { dev: None, family: None })) {
        Reply::Addrs(addrs) => addrs.into_iter().map(|entry| entry.addr.prefix.to_string()).collect(),
        other => panic!("addresses expected: {other:?}"),
    }
}

fn neigh_timeout(seconds: u32) -> String {
    format!("neigh_defs {{\n timeout {seconds}\n}}\n")
}

#[test]
fn a_reload_changes_what_the_file_says_differently_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let conf = dir.path().join("dpvs.conf");
    let write = |text: &str| std::fs::write(&conf, text).expect("a temporary file");
    write(&device("192.0.2.1/24", ""));
    let mut daemon = Daemon::start(&["--conf", conf.to_str().expect("text")]);
    assert_eq!(addresses(&daemon), ["192.0.2.1/24"]);
    let by_hand = IfAddr {
        prefix: "198.51.100.1/24".parse().expect("a prefix"),
        dev: "dpdk0".to_owned(),
        broadcast: None,
        scope: AddrScope::Global,
        valid_lft: 0,
        preferred_lft: 0,
        sapool: false,
    };
    assert_eq!(daemon.ask(&Request::Set(Set::AddAddr(by_hand))), Reply::Done);

    write(&device("192.0.2.2/24", "global_defs {\n log_level debug\n idle spin\n}\n"));
    daemon.signal("HUP");
    daemon.wait_for("global_defs/idle changed: that takes effect with the next start");
    daemon.wait_for("reloaded file=");
    assert_eq!(addresses(&daemon), ["198.51.100.1/24", "192.0.2.2/24"]);

    write(&device("192.0.2.3/24", "neigh_defs {\n timeuot 5\n}\n"));
    daemon.signal("HUP");
    daemon.wait_for("dpvs.conf:9: unknown keyword timeuot in neigh_defs: did you mean timeout?");
    daemon.wait_for("not reloaded, everything stays as it was");
    assert_eq!(addresses(&daemon), ["198.51.100.1/24", "192.0.2.2/24"]);

    write(&device("192.0.2.3/24", &neigh_timeout(5)));
    daemon.signal("HUP");
    daemon.wait_for("reloaded file=");
    assert_eq!(addresses(&daemon), ["198.51.100.1/24", "192.0.2.3/24"]);
}

#[test]
fn a_reload_without_a_file_says_so() {
    let mut daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    daemon.signal("HUP");
    daemon.wait_for("nothing to reload");
    assert_eq!(workers(&daemon), 1);
}
