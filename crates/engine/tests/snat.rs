// SPDX-License-Identifier: Apache-2.0
//! SNAT: hosts behind the director reach the outside with one of its addresses.
//!
//! ```text
//!   host (the servers' network, dpdk0.102) ──> director ──> remote (the client's network, dpdk0)
//! ```

mod seen;

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{DestId, LinkId, ServiceId};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::{Dest, Service, Snapshot};
use engine::verdict::DropReason;
use model::rule::EndpointRange;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, see, tagged};

/// Workers, and where the host's packets and the outside's come in.
const PATHS: [(u16, usize, usize); 4] = [(1, 0, 0), (2, 0, 0), (2, 0, 1), (2, 1, 0)];

fn range(first: &str, last: &str) -> Option<EndpointRange> {
    Some(EndpointRange { first: ip(first), last: ip(last), first_port: 0, last_port: 0 })
}

/// The rule of one family: from the servers' network to the client's.
fn rule(names: Names) -> Rule {
    Rule {
        six: ip(names.client).is_ipv6(),
        src: range(names.servers[0], names.servers[1]),
        dst: None,
        iif: Some(LinkId(1)),
        oif: Some(LinkId(0)),
    }
}

/// The usual network with rules beside the services; hosts get the director's own address in the client's network.
fn snapshot(rule: impl Fn(Names) -> Rule) -> Snapshot {
    let mut snap = world::snapshot();
    for (names, transport) in [V4, V6].iter().flat_map(|&n| [(n, Transport::Tcp), (n, Transport::Udp)]) {
        let (service, dest) = (ServiceId(snap.services.len() as u32), DestId(snap.dests.len() as u32));
        snap.dests.push(Some(Dest {
            id: dest,
            generation: 1,
            service,
            addr: at(names.own, 0),
            forwarding: Forwarding::Snat,
            weight: 1,
            limit: None,
            check: None,
        }));
        let like = snap.services[0].clone().expect("the first service");
        snap.services.push(Some(Service {
            id: service,
            transport,
            rule: Some(rule(names)),
            dests: vec![dest],
            laddrs: Vec::new(),
            ..like
        }));
    }
    snap.index()
}

fn sim(workers: u16) -> Sim {
    let mut sim = world::sim(workers);
    sim.publish(snapshot(rule));
    sim
}

/// A host's frame on its way out.
fn from_host(names: Names, sport: u16, segment: Segment) -> Vec<u8> {
    let macs = (DIRECTOR, server_mac(1));
    tagged(build::tcp(macs, at(names.servers[0], sport), at(names.client, 443), segment))
}

fn outgoing(sim: &mut Sim, worker: usize, names: Names, sport: u16, flags: u8) -> Seen {
    let segment = Segment { seq: 77, flags, options: &[2, 4, 5, 0xa0], ..Segment::default() };
    sim.receive(worker, PORT, &from_host(names, sport, segment));
    see(&sim.sent_one())
}

#[test]
fn row088_a_host_reaches_the_outside_and_hears_the_answer_at_any_worker() {
    for names in [V4, V6] {
        for (workers, host_at, remote_at) in PATHS {
            let mut sim = sim(workers);
            let (host, remote) = (at(names.servers[0], 50_000), at(names.client, 443));
            let out = outgoing(&mut sim, host_at, names, 50_000, SYN);
            assert_eq!((out.src.ip(), out.dst, out.dst_mac, out.vlan), (ip(names.own), remote, CLIENT, None));
            assert_eq!((out.tcp().sequence_number, out.options(), out.ttl), (77, &[2, 4, 5, 0xa0][..], 63));
            let answer = Segment { seq: 5, ack: 78, flags: SYN | ACK, ..Segment::default() };
            sim.receive(remote_at, PORT, &build::tcp((DIRECTOR, CLIENT), remote, out.src, answer));
            let back = see(&sim.sent_one());
            assert_eq!(
                (back.src, back.dst, back.dst_mac, back.vlan),
                (remote, host, server_mac(1), Some(102))
            );
            assert_eq!((back.tcp().sequence_number, back.tcp().acknowledgment_number), (5, 78));
            let conn = sim.lcores.iter().find_map(|l| l.find_conn(Transport::Tcp, host, remote, sim.now));
            let conn = conn.expect("it is open");
            assert_eq!((conn.state, conn.client, conn.virt), (ConnState::Established, remote, out.src));
            assert_eq!((conn.local, conn.dest), (remote, host));
            assert_eq!(sim.conns(), 1);
        }
    }
}

#[test]
fn datagrams_too_and_an_answer_makes_the_state_normal() {
    for names in [V4, V6] {
        for (workers, host_at, remote_at) in PATHS {
            let mut sim = sim(workers);
            let (host, remote) = (at(names.servers[1], 5353), at(names.client, 53));
            sim.receive(host_at, PORT, &tagged(build::udp((DIRECTOR, server_mac(2)), host, remote, b"q")));
            let out = see(&sim.sent_one());
            assert_eq!((out.src.ip(), out.dst, &out.payload[..]), (ip(names.own), remote, &b"q"[..]));
            let state = |sim: &Sim| {
                let found =
                    sim.lcores.iter().find_map(|l| l.find_conn(Transport::Udp, host, remote, sim.now));
                found.map(|conn| conn.state)
            };
            assert_eq!(state(&sim), Some(ConnState::UdpOneWay));
            sim.receive(remote_at, PORT, &build::udp((DIRECTOR, CLIENT), remote, out.src, b"answer"));
            let back = see(&sim.sent_one());
            assert_eq!((back.src, back.dst, &back.payload[..]), (remote, host, &b"answer"[..]));
            assert_eq!(state(&sim), Some(ConnState::UdpNormal));
        }
    }
}

#[test]
fn two_hosts_with_the_same_port_are_told_apart() {
    let mut sim = sim(1);
    let remote = at(V4.client, 53);
    let mut public = |n: u8| {
        let host = at(V4.servers[usize::from(n) - 1], 5353);
        sim.receive(0, PORT, &tagged(build::udp((DIRECTOR, server_mac(n)), host, remote, &[n])));
        see(&sim.sent_one()).src
    };
    let (first, second) = (public(1), public(2));
    assert_ne!(first, second);
    for (n, at_) in [(1, first), (2, second)] {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), remote, at_, b"answer"));
        assert_eq!(see(&sim.sent_one()).dst_mac, server_mac(n));
    }
}

#[test]
fn a_port_is_given_back_when_the_connection_ends() {
    let mut sim = sim(1);
    outgoing(&mut sim, 0, V4, 50_000, SYN);
    assert_eq!(sim.lcores[0].usage(ip(V4.own)).used, 1);
    let counters = |sim: &Sim| sim.lcores[0].dest_counters()[8];
    assert_eq!((counters(&sim).conns, counters(&sim).inactive, counters(&sim).out_packets), (1, 1, 1));
    sim.pass(10_000);
    assert_eq!((sim.conns(), sim.lcores[0].usage(ip(V4.own)).used), (0, 0));
    assert_eq!(counters(&sim).inactive, 0);
}

#[test]
fn a_host_that_uses_its_port_again_gets_a_new_connection() {
    let mut sim = sim(1);
    let first = outgoing(&mut sim, 0, V4, 50_000, SYN).src;
    let reset = Segment { seq: 0, ack: 78, flags: RST | ACK, ..Segment::default() };
    sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), at(V4.client, 443), first, reset));
    assert_eq!(see(&sim.sent_one()).dst_mac, server_mac(1));
    assert_ne!(outgoing(&mut sim, 0, V4, 50_000, SYN).src, first);
    assert_eq!(sim.conns(), 1);
}

#[test]
fn row025_what_no_rule_means_is_not_translated() {
    let other = |change: fn(&mut Rule)| {
        move |names: Names| {
            let mut rule = rule(names);
            change(&mut rule);
            rule
        }
    };
    let rules: [(&str, Snapshot); 5] = [
        (
            "source",
            snapshot(other(|r| {
                r.src = if r.six { range("fd09::", "fd09::9") } else { range("10.9.0.0", "10.9.0.9") }
            })),
        ),
        (
            "destination",
            snapshot(other(|r| {
                r.dst = if r.six { range("fd09::", "fd09::9") } else { range("10.9.0.0", "10.9.0.9") }
            })),
        ),
        ("in", snapshot(other(|r| r.iif = Some(LinkId(0))))),
        ("out", snapshot(other(|r| r.oif = Some(LinkId(1))))),
        ("family", snapshot(other(|r| r.six = !r.six))),
    ];
    for (what, snap) in rules {
        for names in [V4, V6] {
            let mut sim = world::sim(1);
            sim.publish(snap.clone());
            sim.receive(0, PORT, &from_host(names, 50_000, Segment { flags: SYN, ..Segment::default() }));
            assert_eq!((sim.drops(DropReason::NotForwarding), sim.conns()), (1, 0), "{what}");
        }
    }
}

#[test]
fn only_a_syn_opens_and_the_outside_never_does() {
    let mut sim = sim(1);
    for flags in [ACK, SYN | ACK, RST, FIN | ACK] {
        sim.receive(0, PORT, &from_host(V4, 50_000, Segment { flags, ..Segment::default() }));
    }
    assert_eq!((sim.drops(DropReason::NotForwarding), sim.conns()), (4, 0));
    let syn = Segment { flags: SYN, ..Segment::default() };
    sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), at(V4.client, 443), at(V4.own, 2000), syn));
    assert_eq!((sim.drops(DropReason::NoService), sim.conns()), (1, 0));
    let mut broken = from_host(V4, 50_000, syn);
    *broken.last_mut().expect("it has bytes") ^= 1;
    sim.receive(0, PORT, &broken);
    assert_eq!((sim.drops(DropReason::L4Checksum), sim.conns()), (1, 0));
}

#[test]
fn services_stand_before_rules() {
    let mut sim = sim(1);
    let syn = Segment { flags: SYN, ..Segment::default() };
    let frame = build::tcp((DIRECTOR, server_mac(1)), at(V4.servers[0], 50_000), at(V4.vip, 80), syn);
    sim.receive(0, PORT, &tagged(frame));
    assert_eq!(see(&sim.sent_one()).dst.port(), 8080);
}

/// Row 60, from the inside out.
#[test]
fn row060_both_ends_are_told_when_the_time_of_an_open_connection_is_up() {
    for names in [V4, V6] {
        let mut sim = sim(1);
        let (host, remote) = (at(names.servers[0], 50_000), at(names.client, 443));
        let out = outgoing(&mut sim, 0, names, 50_000, SYN);
        let answer = Segment { seq: 5, ack: 78, flags: SYN | ACK, ..Segment::default() };
        sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), remote, out.src, answer));
        let data = Segment { seq: 78, ack: 6, flags: ACK, payload: b"query", ..Segment::default() };
        sim.receive(0, PORT, &from_host(names, 50_000, data));
        assert_eq!(sim.sent().len(), 2);
        let mut told = Vec::new();
        for _ in 0..200 {
            sim.pass(500);
            told.extend(sim.sent().iter().map(|frame| see(frame)));
        }
        let [outside, inside] = &told[..] else { panic!("two resets: {told:?}") };
        let tell = |seen: &Seen| (seen.src, seen.dst, seen.tcp().rst, seen.tcp().sequence_number);
        // The remote has acknowledged no more than the host's SYN; the host has heard its SYN-ACK.
        let pair = [(remote, host, true, 6), (out.src, remote, true, 83)];
        assert!([tell(inside), tell(outside)] == pair || [tell(outside), tell(inside)] == pair, "{told:?}");
    }
}

/// Addresses and ports of a range, just inside and just outside.
#[test]
fn row025_both_ends_of_each_range_belong_to_it() {
    for names in [V4, V6] {
        let only = |src: Option<EndpointRange>, dst: Option<EndpointRange>| {
            let mut sim = world::sim(1);
            sim.publish(snapshot(|of| Rule { src, dst, ..rule(of) }).index());
            sim
        };
        let translated = |sim: &mut Sim, from: &str, sport: u16, dport: u16| {
            let segment = Segment { seq: 77, flags: SYN, ..Segment::default() };
            let macs = (DIRECTOR, server_mac(1));
            sim.receive(
                0,
                PORT,
                &tagged(build::tcp(macs, at(from, sport), at(names.client, dport), segment)),
            );
            sim.sent().len() == 1
        };
        let [first, second] = names.servers;
        let ports = |first_port, last_port, addr: &str| {
            Some(EndpointRange { first: ip(addr), last: ip(addr), first_port, last_port })
        };
        let mut one = only(range(first, first), None);
        assert!(translated(&mut one, first, 5000, 443) && !translated(&mut one, second, 5000, 443));
        let mut other = only(range(second, second), None);
        assert!(!translated(&mut other, first, 5000, 443) && translated(&mut other, second, 5000, 443));
        let mut sources = only(ports(5000, 5002, first), None);
        let found = [4999, 5000, 5002, 5003].map(|port| translated(&mut sources, first, port, 443));
        assert_eq!(found, [false, true, true, false]);
        let mut targets = only(None, ports(442, 444, names.client));
        let found = [441, 442, 444, 445].map(|port| translated(&mut targets, first, 6000 + port, port));
        assert_eq!(found, [false, true, true, false]);
    }
}

#[test]
fn row027_of_two_rules_that_fit_the_first_counts() {
    let mut snap = snapshot(rule);
    let second = "10.1.0.253";
    let like = snap.services.iter().flatten().find(|svc| svc.rule.is_some()).expect("a rule").clone();
    let (service, dest) = (ServiceId(snap.services.len() as u32), DestId(snap.dests.len() as u32));
    let first = snap.dests[like.dests[0].index()].clone().expect("its address");
    snap.dests.push(Some(Dest { id: dest, service, addr: at(second, 0), ..first }));
    snap.services.push(Some(Service { id: service, dests: vec![dest], ..like }));
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    let out = outgoing(&mut sim, 0, V4, 50_000, SYN);
    assert_eq!(out.src.ip(), ip(V4.own));
}
