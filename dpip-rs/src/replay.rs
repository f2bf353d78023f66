// SPDX-License-Identifier: Apache-2.0
//! Test: whole recordings of DPVS's dpip, replayed against the decisions of our daemon in memory.
//!
//! Listings are compared as sets of entries: DPVS lists in the order of its hash tables. Link-local addresses, which
//! DPVS makes by itself, are left out.

use cli::{Ask, AskError};
use control::{Meter, Observed, PortFacts, State, WorkerReport, answer, compile, transact};
use engine::neigh::Listed;
use engine::tick::Tick;
use model::Family;
use sockopt::{Reply, Request};

use crate::golden::{blocks, call};
use crate::run;

/// The daemon of the recordings without devices and workers.
struct Daemon {
    state: State,
    meter: Meter,
}

impl Daemon {
    fn new() -> Self {
        let port = |name: &str, mac: &str| PortFacts {
            offloads: vec!["OF_TX_FAST_FREE".into()],
            ..PortFacts::new(name, mac.parse().expect("an Ethernet address"))
        };
        let ports = vec![port("dpdk0", "02:00:00:00:01:01"), port("dpdk1", "02:00:00:00:02:01")];
        Daemon { state: State::new(ports), meter: Meter::default() }
    }

    /// What a worker makes of neighbours entered by hand.
    fn neighs(&self) -> Vec<Listed> {
        let fixed = |(link, addr, mac)| Listed {
            link,
            addr,
            mac: Some(mac),
            state: engine::neigh::State::Reachable,
            fixed: true,
        };
        compile(&self.state).neighs.into_iter().map(fixed).collect()
    }
}

impl Ask for Daemon {
    fn ask(&mut self, request: &Request) -> Result<Reply, AskError> {
        let steps = match request {
            Request::Get(get) => {
                let mut seen = Observed::new(&self.meter, Tick(0));
                seen.workers = vec![WorkerReport { neighs: self.neighs(), ..WorkerReport::default() }];
                return Ok(answer(&self.state, &seen, get, Tick(0)));
            }
            Request::Set(set) => std::slice::from_ref(set),
            Request::Transaction { steps, .. } => steps,
            Request::Files(_) => panic!("there are no files here"),
        };
        Ok(transact(&mut self.state, steps).map_or_else(Reply::Refused, |_| Reply::Done))
    }
}

/// Exit status and output of one command.
fn ours(daemon: &mut Daemon, line: &str) -> (u8, String) {
    let mut out = Vec::new();
    let done = call(line).and_then(|call| run::run(daemon, &call, &mut out));
    let status = done.map_or_else(|failure| failure.exit().status(), |()| 0);
    (status, String::from_utf8(out).expect("text"))
}

/// Commands that are not replayed, because one of the two does what the other refuses, and why.
const APART: [(&str, &str); 23] = [
    ("tunnel add ipip9", "a second one between the same ends: only one of them could receive"),
    (" ttl 300", "DPVS makes 44 of it"),
    (" preferred_lft ", "DPVS knows the word only misspelt"),
    ("addr replace", "DPVS cannot replace"),
    ("addr del 10.0.1.107/32", "added by a replace"),
    ("addr add 10.0.1.1/x ", "DPVS reads a host address"),
    ("route set", "DPVS cannot replace"),
    ("route change", "DPVS cannot replace"),
    ("route replace", "DPVS cannot replace"),
    ("route add default via 10.0.2.253 dev dpdk1", "DPVS says yes and keeps the old gateway"),
    ("route add 172.16.0.0/16 via 10.0.2.252 dev dpdk1", "DPVS says yes and keeps the old gateway"),
    ("route add 172.20.0.0/40", "DPVS takes the prefix length of IPv6 for IPv4"),
    ("route add default via 10.0.2.254", "DPVS needs the device, although its help does not"),
    ("route del 172.16.0.0/16", "DPVS needs the device, although its help does not"),
    ("route del 2001:db8:2::/48", "DPVS needs the device, although its help does not"),
    ("route del default", "DPVS needs the device, although its help does not"),
    ("vlan show", "DPVS lists on standard error, and not all: compared where VLANs are tested"),
    ("-s link show dpdk0.100", "no packets here"),
    ("neigh del 10.0.1.2", "learned there, unknown here"),
    ("link set dpdk0 lldp", "no LLDP here"),
    ("link set dpdk0 tc-", "no traffic control here"),
    ("link set dpdk0 forward2kni", "no such switch here"),
    ("link show", "LLDP is on there: compared where links are tested"),
];

/// Entries that are not compared, and why.
const LEFT_OUT: [(&str, &str); 11] = [
    ("ipip9: ", "refused here"),
    ("x1: ", "refused here"),
    ("fe80:", "link-local addresses make themselves there"),
    ("[01] ", "the second of two equal workers"),
    ("inet 10.0.1.1/32 scope global", "from `10.0.1.1/x`"),
    (
        "inet 10.0.1.0/24 via 0.0.0.0 src 10.0.1.1 ",
        "lost there when another address of that network was deleted",
    ),
    ("inet 172.16.0.0/16 ", "deleted in another way"),
    ("inet 172.20.0.0/40 ", "no prefix of IPv4"),
    ("inet 0.0.0.0/0 ", "deleted in another way"),
    ("inet6 default ", "deleted in another way"),
    ("mac: 02:00:00:00:01:02 ", "learned"),
];

/// The entries of a listing of `family`: lines with those below that begin with a blank; ordered, and without what depends on
/// the number of workers and servers.
fn entries(text: &str, family: Option<Family>) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.split_once("sa_free").map_or(line, |(before, _)| before);
        match entries.last_mut() {
            Some(entry) if line.starts_with(' ') => *entry += &format!("\n{line}"),
            _ => entries.push(line.strip_prefix("[00] ").unwrap_or(line).to_owned()),
        }
    }
    let other = match family {
        Some(Family::Inet) => "inet6 ",
        Some(Family::Inet6) => "inet ",
        None => "none",
    };
    entries
        .retain(|entry| !entry.starts_with(other) && !LEFT_OUT.iter().any(|(part, _)| entry.contains(part)));
    entries.sort();
    entries
}

/// Replays recordings; what differs.
fn deviations(recordings: &[&'static str]) -> Vec<String> {
    let mut daemon = Daemon::new();
    let mut found = Vec::new();
    for block in recordings.iter().flat_map(|recording| blocks(recording)) {
        if APART.iter().any(|(part, _)| block.line.contains(part)) {
            continue;
        }
        let (status, out) = ours(&mut daemon, block.line);
        let family = call(block.line).ok().and_then(|call| call.options.family);
        let (ours, theirs) = (entries(&out, None), entries(block.stdout, family));
        if (status == 0) != (block.exit == "0") {
            found.push(format!("{}: exit {status}, not {}", block.line, block.exit));
        } else if ours != theirs {
            let apart = |list: &[String], other: &[String]| {
                list.iter().filter(|entry| !other.contains(entry)).cloned().collect::<Vec<_>>().join("\n")
            };
            found.push(format!(
                "{}: prints\n{}\nnot\n{}",
                block.line,
                apart(&ours, &theirs),
                apart(&theirs, &ours)
            ));
        }
    }
    found
}

#[test]
fn addresses_and_routes_go_as_recorded() {
    let recordings = [
        include_str!("../tests/golden/04-addr.txt"),
        include_str!("../tests/golden/05-route.txt"),
        include_str!("../tests/golden/06-neigh.txt"),
        include_str!("../tests/golden/07-vlan.txt"),
        include_str!("../tests/golden/08-tunnel.txt"),
    ];
    // A flush leaves us the routes that belong to addresses; DPVS takes them away, and the addresses stop working.
    let after_flushes = [
        "dpip route show: prints\n\
         inet 10.0.2.0/24 via 0.0.0.0 src 10.0.2.1 dev dpdk1 mtu 1500 tos 0 scope link metric 0 proto auto \n\
         inet 10.0.2.1/32 via 0.0.0.0 src 0.0.0.0 dev dpdk1 mtu 1500 tos 0 scope host metric 0 proto auto \n\
         not\n",
        "dpip -6 route show: prints\n\
         inet6 fd00:2::/64 src fd00:2::1 dev dpdk1 mtu 1500 scope link\n\
         inet6 fd00:2::1/128 dev dpdk1 mtu 1500 scope host\n\
         not\n",
    ];
    assert_eq!(deviations(&recordings), after_flushes);
}
