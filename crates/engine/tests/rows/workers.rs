// SPDX-License-Identifier: Apache-2.0
//! Local ports, and packets that change the worker: rows 80 to 90.

use std::collections::HashSet;

use crate::*;

/// A question at worker 0, as its server gets it.
fn ask(sim: &mut Sim, names: Names, sport: u16) -> Seen {
    sim.receive(0, PORT, &datagram(names, sport, 80));
    see(&sim.sent_one())
}

fn answer_to(there: &Seen) -> Vec<u8> {
    tagged(build::udp((DIRECTOR, there.dst_mac), there.dst, there.src, b"answer"))
}

/// One local port serves both at once, and each answer reaches its own client; connections to one server never share any.
#[test]
fn row080_two_servers_may_share_a_local_port() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let there: Vec<Seen> = (1..=40).map(|port| ask(&mut sim, names, port)).collect();
        let to = |n: usize| {
            let server = at(names.servers[n], 8080);
            there.iter().filter(|seen| seen.dst == server).map(|seen| seen.src.port()).collect::<HashSet<_>>()
        };
        let (one, two) = (to(0), to(1));
        assert_eq!((one.len(), two.len()), (20, 20), "a port of its own for each connection of a server");
        assert!(one.intersection(&two).count() > 0);
        for (client, seen) in (1..).zip(&there) {
            sim.receive(0, PORT, &answer_to(seen));
            assert_eq!(see(&sim.sent_one()).dst, at(names.client, client));
        }
    }
}

/// The first address is used up towards a server before there is a second one; then that one has ports for the same server, until it is
/// used up as well.
#[test]
fn row081_when_an_address_has_no_port_left_the_next_one_has() {
    const PORTS: usize = 65_535 - 1_024;
    let second = "10.2.0.201";
    let with = |laddrs: &[&str]| {
        let mut snap = world::snapshot();
        snap.laddrs.insert(ip(second), LinkId(1));
        for svc in snap.services.iter_mut().flatten() {
            svc.dests.truncate(1);
            svc.laddrs = laddrs.iter().map(|laddr| ip(laddr)).collect();
        }
        snap.index()
    };
    let mut sim = Sim::new(1, 1 << 18, with(&[V4.laddr]));
    sim.stations = world::sim(1).stations;
    let ask = |sim: &mut Sim, client: &str, port: usize| {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(client, port as u16), at(V4.vip, 80), b"q"));
        sim.sent().pop().map(|frame| see(&frame).src)
    };
    let mut taken = HashSet::new();
    for (client, laddrs) in [("10.1.0.1", &[V4.laddr][..]), ("10.1.0.2", &[V4.laddr, second])] {
        sim.publish(with(laddrs));
        for port in 1..=PORTS {
            let local = ask(&mut sim, client, port).expect("there are ports");
            assert_eq!(local.ip(), ip(laddrs[laddrs.len() - 1]));
            assert!(taken.insert(local), "{local} twice");
        }
        assert_eq!(
            (ask(&mut sim, client, PORTS + 1), sim.drops(DropReason::LportExhausted)),
            (None, laddrs.len() as u64)
        );
    }
    assert!(sim.lcores[0].usage(ip(second)).missed > 0);
}

#[test]
fn row087_what_finds_no_room_in_a_ring_is_dropped_and_counted() {
    for names in [V4, V6] {
        let mut sim = world::sim(2);
        let there = ask(&mut sim, names, 40_000);
        sim.rings_full = true;
        sim.receive(1, PORT, &answer_to(&there));
        assert_eq!((sim.sent().len(), sim.drops(DropReason::RedirectRing), sim.conns()), (0, 1, 1));
        sim.rings_full = false;
        sim.receive(1, PORT, &answer_to(&there));
        assert_eq!(see(&sim.sent_one()).payload, b"answer");
    }
}

/// Counted as received where the device gave it; the host gets it, once, only when it belongs to no connection anywhere.
#[test]
fn row090_a_packet_handed_over_is_received_once() {
    for names in [V4, V6] {
        let mut sim = world::sim(2);
        sim.kernel = true;
        let there = ask(&mut sim, names, 40_000);
        // From here on the client's address is known.
        sim.receive(0, PORT, &answer_to(&there));
        sim.sent_one();
        let before: Vec<u64> = sim.lcores.iter().map(|lcore| lcore.traffic().rx).collect();
        let links = |sim: &Sim| sim.lcores[0].link_counters()[1].ipackets;
        let at_home = links(&sim);
        sim.receive(1, PORT, &answer_to(&there));
        sim.sent_one();
        let after: Vec<u64> = sim.lcores.iter().map(|lcore| lcore.traffic().rx).collect();
        assert_eq!((after[0] - before[0], after[1] - before[1]), (0, 1));
        assert!(sim.handed.is_empty());
        assert_eq!(links(&sim), at_home, "nor does its link count it once more");
        // No connection has this local port any more.
        sim.pass(400_000);
        assert_eq!(sim.conns(), 0);
        sim.receive(1, PORT, &answer_to(&there));
        assert_eq!((sim.sent().len(), &sim.handed[..]), (0, &[answer_to(&there)][..]));
    }
}
