// SPDX-License-Identifier: Apache-2.0
//! Local addresses and ports, and whose worker answers reach: rows 79, 82 and 84.

use crate::*;

/// Ports that were given back are leased again when every other one has been.
#[test]
fn row079_a_port_given_back_comes_last() {
    const PORTS: usize = 65_535 - 1_024;
    for names in [V4, V6] {
        let mut snap = world::snapshot();
        snap.services.iter_mut().flatten().for_each(|svc| svc.dests.truncate(1));
        let mut sim = Sim::new(1, 1 << 17, snap.index());
        sim.stations = world::sim(1).stations;
        let other = if names.client == V4.client { "10.1.0.2" } else { "fd01::2" };
        let ask = |sim: &mut Sim, client: &str, port: usize| {
            let (client, vip) = (at(client, port as u16), at(names.vip, 80));
            sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, b"q"));
            see(&sim.sent_one()).src.port()
        };
        let first = [ask(&mut sim, names.client, 1), ask(&mut sim, names.client, 2)];
        sim.pass(400_000);
        assert_eq!((sim.conns(), sim.lcores[0].usage(ip(names.laddr)).used), (0, 0));
        let again: Vec<u16> = (1..=PORTS).map(|port| ask(&mut sim, other, port)).collect();
        assert_eq!(again[PORTS - 2..], first);
        assert!(again[..PORTS - 2].iter().all(|port| *port >= 1025 && !first.contains(port)));
    }
}

#[test]
fn row082_local_addresses_take_turns() {
    let second = "10.2.0.201";
    let mut sim = changed(|snap| {
        snap.laddrs.insert(ip(second), LinkId(1));
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.is_ipv4()) {
            svc.laddrs.push(ip(second));
        }
    });
    let mut sources = Vec::new();
    for port in 40_000..40_040 {
        sim.receive(0, PORT, &datagram(V4, port, 80));
        sources.push(see(&sim.sent_one()).src.ip());
    }
    let count = |addr: &str| sources.iter().filter(|&&source| source == ip(addr)).count();
    assert_eq!((count(V4.laddr), count(second)), (20, 20));
}

#[test]
fn row084_connections_of_a_local_address_that_is_gone_go_on() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        let mut snap = tcp.sim.snap.clone();
        snap.version += 1;
        snap.services.iter_mut().flatten().for_each(|svc| svc.laddrs.clear());
        snap.laddrs.clear();
        tcp.sim.publish(snap.index());
        assert_eq!(tcp.client(1001, ACK, b"data").payload, b"data");
        assert_eq!(tcp.server(5001, ACK, b"answer").payload, b"answer");
        // A new one finds none.
        let syn = Segment { seq: 1, flags: SYN, ..Segment::default() };
        tcp.sim.receive(0, PORT, &from_client(at(names.client, 40_001), at(names.vip, 80), syn));
        assert_eq!((tcp.sim.sent().len(), tcp.sim.drops(DropReason::NoLaddr)), (0, 1));
        tcp.sim.pass(95_000);
        assert_eq!(tcp.sim.conns(), 0);
    }
}
