// SPDX-License-Identifier: Apache-2.0
//! Test support: what DPVS 1.10.2's dpip printed, and what ours makes of the same command lines.

use model::link::{LinkInfo, LinkKind, LinkStats};
use model::stats::PortCounters;
use sockopt::{Get, Reply, Request};

use crate::args::{self, Call, Start};
use crate::failure::Failure;
use crate::object::Job;

/// One recorded command.
pub struct Block {
    /// The command line.
    pub line: &'static str,
    /// Its exit status.
    pub exit: &'static str,
    /// What it printed.
    pub stdout: &'static str,
    /// What it complained about.
    pub stderr: &'static str,
}

/// All commands of a recording.
pub fn blocks(recording: &'static str) -> Vec<Block> {
    let block = |text: &'static str| {
        let (line, rest) = text.split_once("\n--- exit ").expect("every command has an exit status");
        let (exit, rest) = rest.split_once("\n--- stdout\n").expect("then its output");
        let (stdout, rest) = rest.split_once("--- stderr\n").expect("then its complaints");
        let (stderr, _) = rest.split_once("--- end").expect("then an end");
        Block { line, exit, stdout, stderr }
    };
    recording.split("\n$ ").skip(1).map(block).collect()
}

/// The `nth` time, from 0, that a command was recorded.
pub fn recorded(recording: &'static str, line: &str, nth: usize) -> Block {
    let mut same = blocks(recording).into_iter().filter(|block| block.line == line);
    same.nth(nth).unwrap_or_else(|| panic!("`{line}` was recorded more than {nth} times"))
}

/// Reads a command line; words are separated by blanks.
pub fn call(line: &str) -> Result<Call, Failure> {
    match args::parse(line.split_whitespace().map(Into::into))? {
        Start::Call(call, _) => Ok(*call),
        other => panic!("`{line}` is no call: {other:?}"),
    }
}

/// What the daemon is asked to change.
pub fn request(line: &str) -> Result<Request, Failure> {
    let call = call(line)?;
    match (call.command.parse)(&call)? {
        Job::Change(request, _) => Ok(request),
        Job::Tolerant(set, _) => Ok(Request::Set(set)),
        Job::Look(..) | Job::Show(_) | Job::Test(_) | Job::Ask(_) => panic!("`{line}` is no plain change"),
    }
}

/// What the daemon is asked for.
pub fn questions(line: &str) -> Result<Vec<Get>, Failure> {
    let call = call(line)?;
    match (call.command.parse)(&call)? {
        Job::Show(gets) => Ok(gets),
        Job::Change(..) | Job::Tolerant(..) | Job::Look(..) | Job::Test(_) | Job::Ask(_) => {
            panic!("`{line}` is no listing")
        }
    }
}

/// What is wrong with a command line.
pub fn usage(line: &str) -> String {
    let parsed = call(line).and_then(|call| (call.command.parse)(&call));
    match parsed {
        Err(Failure::Usage(text)) => text,
        Err(other) => panic!("`{line}`: {other}"),
        Ok(_) => panic!("`{line}` is accepted"),
    }
}

/// What is printed for `replies`.
pub fn text(line: &str, replies: &[Reply]) -> String {
    let call = call(line).expect("a good command line");
    let show = if call.options.json { call.object.json } else { call.object.text };
    show(&call, replies).expect("fitting replies")
}

/// A port of the recordings.
pub fn port(index: u16, name: &str, mac: &str) -> LinkInfo {
    LinkInfo {
        index,
        name: name.into(),
        kind: LinkKind::Port { driver: "net_af_packet".into(), bus: "vdev".into() },
        socket: 0,
        mtu: 1500,
        rx_queues: 1,
        tx_queues: 1,
        up: true,
        speed: 10_000,
        full_duplex: true,
        autoneg: false,
        promisc: false,
        allmulticast: false,
        mac: mac.parse().expect("an Ethernet address"),
        offloads: vec!["OF_TX_FAST_FREE".into()],
        queue_cpus: vec![1],
        capabilities: Vec::new(),
    }
}

/// Counters of a port that has sent one packet.
pub fn one_packet_sent(name: &str) -> LinkStats {
    LinkStats {
        name: name.into(),
        counters: PortCounters { opackets: 1, obytes: 78, ..PortCounters::default() },
        mbuf_avail: 63_489,
        mbuf_inuse: 2_046,
        xstats: Vec::new(),
    }
}

/// What DPVS accepts and ours refuses, with the reason. All of these do nothing there, or something else than they say.
const REFUSED: [(&str, &str); 11] = [
    ("dpip link set dpdk0 forward2kni on", "`forward2kni` is not supported"),
    ("dpip link set dpdk0 forward2kni off", "`forward2kni` is not supported"),
    ("dpip link set dpdk0 lldp", "`lldp` is not supported"),
    ("dpip link set dpdk0 tc-", "` is not supported"),
    ("dpip link set dpdk0 bond-mode 1", "`bond-mode` is not supported"),
    ("dpip link set dpdk0 promisc maybe", "one of on, off expected"),
    ("dpip link set dpdk0 addr zz", "is not an Ethernet address"),
    ("dpip link add dpdk0", "link has no command `add`"),
    ("dpip link del dpdk0", "link has no command `del`"),
    ("dpip addr add 10.0.1.1/x dev dpdk0", "has no valid prefix length"),
    ("dpip route add 172.20.0.0/40 dev dpdk1", "has no valid prefix length"),
];

#[test]
fn every_line_that_dpvs_accepts_is_accepted_or_known_to_do_nothing_there() {
    let recordings = [
        include_str!("../tests/golden/02-empty-state.txt"),
        include_str!("../tests/golden/03-link.txt"),
        include_str!("../tests/golden/04-addr.txt"),
        include_str!("../tests/golden/05-route.txt"),
        include_str!("../tests/golden/06-neigh.txt"),
        include_str!("../tests/golden/07-vlan.txt"),
    ];
    let ours = |block: &&Block| {
        let objects = ["link", "addr", "route", "neigh", "vlan"];
        block.exit == "0" && block.line.split(' ').any(|word| objects.contains(&word))
    };
    let mut seen = 0;
    for block in recordings.into_iter().flat_map(blocks).collect::<Vec<_>>().iter().filter(ours) {
        seen += 1;
        let result = call(block.line).and_then(|call| (call.command.parse)(&call));
        let known = REFUSED.iter().find(|(line, _)| block.line.starts_with(line));
        match (result, known) {
            (Ok(_), None) => {}
            (Err(failure), Some((_, reason))) => {
                assert!(failure.to_string().contains(reason), "{}: {failure}", block.line);
            }
            (Ok(_), Some(_)) => panic!("{}: accepted", block.line),
            (Err(failure), None) => panic!("{}: {failure}", block.line),
        }
    }
    assert_eq!(seen, 173);
}
