// SPDX-License-Identifier: Apache-2.0
//! Servers chosen, counted and refused: rows 146 to 158.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::ids::DestId;
use engine::sched::Scheduler;
use engine::snapshot::{Dest, Service};

use crate::*;

#[test]
fn row156_what_each_server_carried_is_exact() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        tcp.client(1001, ACK, b"hello");
        tcp.server(5001, ACK, b"good morning");
        let headers = if names.client == V4.client { 40 } else { 60 };
        let all = tcp.sim.lcores[0].dest_counters();
        let dest = all.iter().find(|dest| dest.conns > 0).expect("one carried something");
        // SYN, ACK, data; SYN-ACK, data; IP bytes as they came.
        assert_eq!((dest.conns, dest.in_packets, dest.out_packets), (1, 3, 2));
        assert_eq!((dest.in_bytes, dest.out_bytes), (3 * headers + 5, 2 * headers + 12));
        assert_eq!(all.iter().map(|dest| dest.conns).sum::<u64>(), 1);
    }
}

/// The usual network with so many servers of these weights behind each IPv4 service, 10.2.0.10 being the first of them.
fn crowd(workers: u16, scheduler: Scheduler, weights: &[u32]) -> Sim {
    let mut snap = world::snapshot();
    for at in 0..snap.services.len() {
        let svc = snap.services[at].as_mut().expect("a service");
        if svc.vip.is_ipv6() {
            continue;
        }
        let like = svc.dests[0];
        (svc.scheduler, svc.dests) = (scheduler, Vec::new());
        for (n, &weight) in (10..).zip(weights) {
            let id = DestId(snap.dests.len() as u32);
            svc.dests.push(id);
            let dest = snap.dests[like.index()].clone().expect("a server");
            snap.dests.push(Some(Dest { id, addr: server(n), weight, ..dest }));
        }
    }
    let mut sim = Sim::new(workers, 4096, snap.index());
    sim.stations = world::sim(1).stations;
    for (n, _) in (10..).zip(weights) {
        sim.stations.insert(server(n).ip(), server_mac(n));
    }
    sim
}

fn server(n: u8) -> SocketAddr {
    (Ipv4Addr::new(10, 2, 0, n), 8080).into()
}

/// The server, from 0, of a client's datagram.
fn choice(sim: &mut Sim, worker: usize, client: SocketAddr) -> u8 {
    sim.receive(worker, PORT, &build::udp((DIRECTOR, CLIENT), client, at(V4.vip, 80), b"q"));
    let IpAddr::V4(chosen) = see(&sim.sent_one()).dst.ip() else { panic!("an IPv6 server") };
    chosen.octets()[3] - 10
}

fn choices(sim: &mut Sim, worker: usize, ports: std::ops::Range<u16>) -> Vec<u8> {
    ports.map(|port| choice(sim, worker, at(V4.client, port))).collect()
}

#[test]
fn row146_rr_takes_turns_and_workers_begin_elsewhere() {
    let mut sim = crowd(2, Scheduler::Rr, &[1, 0, 9]);
    assert_eq!(choices(&mut sim, 0, 1..6), [0, 2, 0, 2, 0]);
    let mut sim = crowd(2, Scheduler::Rr, &[1, 1, 1]);
    assert_eq!(choices(&mut sim, 0, 1..5), [0, 1, 2, 0]);
    assert_eq!(choices(&mut sim, 1, 11..15), [1, 2, 0, 1]);
}

#[test]
fn row147_wrr_follows_its_weights_in_the_order_of_lvs() {
    let mut sim = crowd(1, Scheduler::Wrr, &[4, 3, 2]);
    assert_eq!(choices(&mut sim, 0, 1..10), [0, 0, 1, 0, 1, 2, 0, 1, 2]);
}

/// An active connection weighs as much as 256 others; what counts is that by the weight, and of equals the first is taken.
#[test]
fn row148_wlc_takes_the_server_with_least_load_by_its_weight() {
    let mut sim = crowd(1, Scheduler::Wlc, &[1, 3]);
    let picked = choices(&mut sim, 0, 1..9);
    assert_eq!(picked.iter().filter(|&&server| server == 1).count(), 6);
    let mut sim = crowd(1, Scheduler::Wlc, &[1, 1, 1]);
    assert_eq!(choices(&mut sim, 0, 1..7), [0, 1, 2, 0, 1, 2]);
    // One connection of server 0 becomes established: 256 against none.
    let mut sim = crowd(1, Scheduler::Wlc, &[1, 1]);
    let mut tcp = Tcp::open(sim, V4, 40_000);
    assert_eq!(tcp.syn.dst, server(10));
    tcp.client(1001, ACK, b"x");
    sim = tcp.sim;
    let mut opened = Vec::new();
    for port in 1..=260 {
        let syn = Segment { seq: 1, flags: SYN, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(V4.client, port), at(V4.vip, 80), syn));
        opened.push(see(&sim.sent_one()).dst);
    }
    assert!(
        opened[..256].iter().all(|&dst| dst == server(11)),
        "255 half open ones weigh less than an active one"
    );
    assert_eq!(opened[256..].iter().filter(|&&dst| dst == server(10)).count(), 2, "equals from here on");
}

#[test]
fn row150_fo_takes_the_greatest_weight_and_of_equals_the_first_one_listed() {
    let mut sim = crowd(2, Scheduler::Fo, &[1, 7, 7]);
    assert_eq!(choices(&mut sim, 1, 1..4), [1, 1, 1]);
}

/// Clients stay; their port counts where asked; a server that takes none refuses its clients or, where asked, sends them elsewhere; the
/// table follows an edit.
#[test]
fn row151_mh_hashes_clients() {
    let edited = |change: fn(&mut Snapshot)| {
        let sim = crowd(1, Scheduler::Mh, &[1; 4]);
        let mut snap = sim.snap.clone();
        change(&mut snap);
        snap.version += 1;
        let mut sim = sim;
        sim.publish(snap.index());
        sim
    };
    let client = |n: u8| (Ipv4Addr::new(10, 1, 0, n), 7000).into();
    let chosen = |sim: &mut Sim| (2..100).map(|n| choice(sim, 0, client(n))).collect::<Vec<u8>>();
    fn services(snap: &mut Snapshot) -> impl Iterator<Item = &mut Service> {
        snap.services.iter_mut().flatten()
    }
    let before = chosen(&mut edited(|_| ()));
    assert_eq!(chosen(&mut edited(|_| ())), before, "the same on every machine");
    assert_eq!(before.iter().collect::<HashSet<_>>().len(), 4);
    let same = choices(&mut edited(|_| ()), 0, 1..60);
    assert!(same.iter().all(|server| *server == same[0]), "whatever their ports");
    let mut by_port = edited(|snap| services(snap).for_each(|svc| svc.hashing.port = true));
    assert_eq!(choices(&mut by_port, 0, 1..60).iter().collect::<HashSet<_>>().len(), 4);

    let close = |snap: &mut Snapshot| {
        for dest in snap.dests.iter_mut().flatten().filter(|dest| dest.addr == server(12)) {
            dest.weight = 0;
        }
    };
    let mut closed = edited(close);
    let mut refused = 0;
    for (n, was) in (2..100).zip(&before) {
        closed.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client(n), at(V4.vip, 80), b"q"));
        match closed.sent().first() {
            Some(frame) => assert_eq!(see(frame).dst, server(10 + was)),
            None => {
                assert_eq!(*was, 2);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, before.iter().filter(|&&was| was == 2).count());
    let mut elsewhere = edited(|snap| {
        services(snap).for_each(|svc| svc.hashing.fallback = true);
        for dest in snap.dests.iter_mut().flatten().filter(|dest| dest.addr == server(12)) {
            dest.weight = 0;
        }
    });
    for (now, was) in chosen(&mut elsewhere).iter().zip(&before) {
        assert!(*now != 2 && (*was == 2 || now == was));
    }

    let mut fewer = edited(|snap| {
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.is_ipv4()) {
            svc.dests.remove(2);
            svc.hashing.table = None;
        }
    });
    let after = chosen(&mut fewer);
    let moved = after.iter().zip(&before).filter(|(now, was)| **was != 2 && now != was).count();
    assert!(after.iter().all(|now| *now != 2), "the one that is gone");
    assert!(moved <= 4, "{moved} of the 70 or so others moved");
}
