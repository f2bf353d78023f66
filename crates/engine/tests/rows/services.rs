// SPDX-License-Identifier: Apache-2.0
//! Which service a packet is for: rows 22 to 33.

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{DestId, ServiceId};
use engine::snapshot::{Dest, Service};
use model::rule::EndpointRange;

use crate::*;

#[test]
fn row022_a_service_is_at_its_port_and_no_other() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        sim.receive(0, PORT, &datagram(names, 40_000, 81));
        assert_eq!((sim.sent().len(), sim.conns(), sim.drops(DropReason::NoService)), (0, 0, 1));
        sim.receive(0, PORT, &datagram(names, 40_000, 80));
        assert_eq!((sim.sent().len(), sim.conns()), (1, 1));
    }
}

#[test]
fn row024_protocols_at_one_port_are_services_of_their_own() {
    for names in [V4, V6] {
        // The datagram service alone has its servers' second one only.
        let sim = changed(|snap| {
            let udp = |svc: &&mut engine::snapshot::Service| svc.transport == Transport::Udp;
            for svc in snap.services.iter_mut().flatten().filter(udp) {
                svc.dests.remove(0);
            }
        });
        let mut tcp = Tcp::ask(sim, names, 40_000);
        assert_eq!(tcp.syn.dst, at(names.servers[0], 8080));
        tcp.sim.receive(0, PORT, &datagram(names, 40_000, 80));
        assert_eq!(see(&tcp.sim.sent_one()).dst, at(names.servers[1], 8080));
        assert_eq!(tcp.sim.conns(), 2);
    }
}

/// The usual network, and hosts of the servers' network that reach the outside by a match rule.
fn with_rule(names: Names, rule: impl FnOnce(&mut Rule)) -> Sim {
    changed(|snap| {
        let (service, dest) = (ServiceId(snap.services.len() as u32), DestId(snap.dests.len() as u32));
        let mut wanted = Rule { six: ip(names.client).is_ipv6(), src: None, dst: None, iif: None, oif: None };
        rule(&mut wanted);
        let like = snap.services[0].clone().expect("the first service");
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
        let dests = vec![dest];
        snap.services.push(Some(Service {
            id: service,
            rule: Some(wanted),
            dests,
            laddrs: Vec::new(),
            ..like
        }));
    })
}

fn from_host(names: Names, dst: &str, dport: u16) -> Vec<u8> {
    let segment = Segment { seq: 77, flags: SYN, ..Segment::default() };
    tagged(build::tcp((DIRECTOR, server_mac(1)), at(names.servers[0], 50_000), at(dst, dport), segment))
}

/// Each of the two interfaces by itself and both of them; a rule that names none takes every one. Hosts are on link 1, the outside is on 0.
#[test]
fn row025_the_interfaces_of_a_rule_are_those_the_packet_comes_in_and_leaves_by() {
    for names in [V4, V6] {
        for iif in [None, Some(0), Some(1), Some(2)] {
            for oif in [None, Some(0), Some(1), Some(2)] {
                let both = |rule: &mut Rule| (rule.iif, rule.oif) = (iif.map(LinkId), oif.map(LinkId));
                let outwards = matches!(iif, None | Some(1)) && matches!(oif, None | Some(0));
                let mut sim = with_rule(names, both);
                sim.receive(0, PORT, &from_host(names, names.client, 443));
                assert_eq!((sim.sent().len(), sim.conns()), (usize::from(outwards), usize::from(outwards)));
                let inwards = matches!(iif, None | Some(0)) && matches!(oif, None | Some(1));
                let mut sim = with_rule(names, both);
                let (src, dst) = (at(names.client, 50_000), at(names.servers[0], 443));
                sim.receive(0, PORT, &from_client(src, dst, Segment { flags: SYN, ..Segment::default() }));
                assert_eq!((sim.sent().len(), sim.conns()), (usize::from(inwards), usize::from(inwards)));
            }
        }
    }
}

/// What goes to the director itself, or nowhere, is not for a rule that takes everything.
#[test]
fn row026_rules_are_for_what_leaves() {
    for names in [V4, V6] {
        let mut sim = with_rule(names, |_| ());
        sim.receive(0, PORT, &from_host(names, names.own, 22));
        assert_eq!((sim.sent().len(), sim.conns(), sim.drops(DropReason::NoService)), (0, 0, 1));
        let nowhere = if names.client == V4.client { "10.9.0.1" } else { "fd09::1" };
        sim.receive(0, PORT, &from_host(names, nowhere, 443));
        assert_eq!((sim.sent().len(), sim.conns()), (0, 0));
        sim.receive(0, PORT, &from_host(names, names.client, 443));
        assert_eq!((see(&sim.sent_one()).src.ip(), sim.conns()), (ip(names.own), 1));
    }
}

#[test]
fn row028_a_range_that_ends_at_zero_asks_nothing() {
    for names in [V4, V6] {
        let zero = if names.client == V4.client { "0.0.0.0" } else { "::" };
        let ports = |first_port, last_port| {
            move |rule: &mut Rule| {
                rule.dst = Some(EndpointRange { first: ip(zero), last: ip(zero), first_port, last_port });
            }
        };
        for (ports, translated) in [(ports(0, 0), true), (ports(443, 443), true), (ports(444, 450), false)] {
            let mut sim = with_rule(names, ports);
            sim.receive(0, PORT, &from_host(names, names.client, 443));
            assert_eq!((sim.sent().len(), sim.conns()), (usize::from(translated), usize::from(translated)));
        }
        let source = EndpointRange {
            first: ip(names.servers[0]),
            last: ip(names.servers[1]),
            first_port: 9,
            last_port: 0,
        };
        let mut sim = with_rule(names, |rule| rule.src = Some(source));
        sim.receive(0, PORT, &from_host(names, names.client, 443));
        assert_eq!(sim.sent().len(), 1, "any port");
    }
}
