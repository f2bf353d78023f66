// SPDX-License-Identifier: Apache-2.0
//! Servers that are full, and servers that operators take out. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use std::net::SocketAddr;

use engine::ids::DestId;
use engine::limit::{Limit, Occupancy};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, server_mac};
use engine::snapshot::Dest;
use engine::verdict::DropReason;
use packet::build::{self, Segment};
use seen::{ACK, SYN, from_client, see, tagged};

/// Both IPv4 servers of every service with these thresholds, from now on; the connections they have count.
fn limit(sim: &mut Sim, thresholds: [Option<(u32, u32)>; 2]) {
    let mut snap = sim.snap.clone();
    snap.version += 1;
    for (n, server) in V4.servers.iter().enumerate().take(2) {
        let addr = at(server, 8080);
        for dest in snap.dests.iter_mut().flatten().filter(|dest| dest.addr == addr) {
            let occupancy = dest.occupancy().cloned().unwrap_or_default();
            dest.limit = thresholds[n].map(|(upper, lower)| Limit { upper, lower, occupancy });
        }
    }
    sim.publish(snap.index());
}

/// Opens a UDP flow from `port` on a worker and tells which server got it: the number of its address, or `None`.
fn open(sim: &mut Sim, worker: usize, port: u16) -> Option<usize> {
    sim.receive(worker, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, port), at(V4.vip, 80), b"q"));
    let sent = sim.sent();
    assert!(sent.len() <= 1);
    let server = see(sent.first()?).dst.ip();
    V4.servers.iter().position(|addr| at(addr, 0).ip() == server)
}

fn counts(opened: &[Option<usize>]) -> [usize; 3] {
    [Some(0), Some(1), None].map(|server| opened.iter().filter(|&&one| one == server).count())
}

#[test]
fn row048_a_full_server_is_passed_by_and_all_full_ones_refuse() {
    let mut sim = world::sim(1);
    limit(&mut sim, [Some((2, 0)), Some((3, 0))]);
    let opened: Vec<_> = (0..10).map(|n| open(&mut sim, 0, 40_000 + n)).collect();
    assert_eq!(counts(&opened), [2, 3, 5]);
    assert_eq!((sim.drops(DropReason::NoDest), sim.conns()), (5, 5));
    // Flows that are open go on.
    let first = opened[0];
    assert_eq!(open(&mut sim, 0, 40_000), first);
}

#[test]
fn row048_room_comes_back_when_connections_end() {
    let mut sim = world::sim(1);
    limit(&mut sim, [Some((4, 2)), Some((1, 0))]);
    let opened: Vec<_> = (0..5).map(|n| open(&mut sim, 0, 40_000 + n)).collect();
    assert_eq!(counts(&opened), [4, 1, 0]);
    assert_eq!(open(&mut sim, 0, 41_000), None);
    // A datagram flow without an answer lives for five minutes and a second of jitter at most.
    for _ in 0..330 {
        sim.pass(1000);
    }
    assert_eq!(sim.conns(), 0);
    let opened: Vec<_> = (0..5).map(|n| open(&mut sim, 0, 42_000 + n)).collect();
    assert_eq!(counts(&opened), [4, 1, 0]);
}

/// On purpose unlike DPVS, which gives each worker a part, rounded down, and has no limit at all where that is 0.
#[test]
fn row048_workers_count_together() {
    let mut sim = world::sim(3);
    limit(&mut sim, [Some((2, 0)), Some((4, 0))]);
    let opened: Vec<_> = (0..12).map(|n| open(&mut sim, usize::from(n) % 3, 40_000 + n)).collect();
    assert_eq!(counts(&opened), [2, 4, 6]);
}

#[test]
fn connections_from_before_a_threshold_count() {
    let mut sim = world::sim(2);
    let before: Vec<_> = (0..8).map(|n| open(&mut sim, usize::from(n) % 2, 40_000 + n)).collect();
    assert_eq!(counts(&before), [4, 4, 0]);
    limit(&mut sim, [Some((4, 0)), Some((6, 0))]);
    let after: Vec<_> = (0..4).map(|n| open(&mut sim, usize::from(n) % 2, 41_000 + n)).collect();
    assert_eq!(counts(&after), [0, 2, 2]);
    // More room is used at once, and no limit is no limit.
    limit(&mut sim, [Some((5, 0)), None]);
    let after: Vec<_> = (0..5).map(|n| open(&mut sim, usize::from(n) % 2, 42_000 + n)).collect();
    assert_eq!(counts(&after), [1, 4, 0]);
}

#[test]
fn a_change_elsewhere_keeps_a_full_server_full() {
    let mut sim = world::sim(1);
    limit(&mut sim, [Some((2, 1)), None]);
    let opened: Vec<_> = (0..4).map(|n| open(&mut sim, 0, 40_000 + n)).collect();
    assert_eq!(counts(&opened), [2, 2, 0]);
    let occupancy: Vec<Occupancy> =
        sim.snap.dests.iter().flatten().filter_map(|dest| dest.occupancy().cloned()).collect();
    assert!(occupancy.iter().any(Occupancy::is_full));
    let mut snap = sim.snap.clone();
    snap.version += 1;
    sim.publish(snap.index());
    let opened: Vec<_> = (0..4).map(|n| open(&mut sim, 0, 41_000 + n)).collect();
    assert_eq!(counts(&opened), [0, 4, 0]);
}

/// Changes every service and its servers, as control does when servers change of a service that ends connections.
fn change(sim: &mut Sim, expire_quiescent: bool, server: usize, change: impl Fn(&mut Option<Dest>)) {
    let mut snap = sim.snap.clone();
    snap.version += 1;
    snap.routing += 1;
    snap.services.iter_mut().flatten().for_each(|svc| svc.expire_quiescent = expire_quiescent);
    for names in [V4, V6] {
        let addr = at(names.servers[server], 8080);
        let of = |dest: &&mut Option<Dest>| dest.as_ref().is_some_and(|dest| dest.addr == addr);
        snap.dests.iter_mut().filter(of).for_each(&change);
    }
    let there: Vec<DestId> = snap.dests.iter().flatten().map(|dest| dest.id).collect();
    snap.services.iter_mut().flatten().for_each(|svc| svc.dests.retain(|id| there.contains(id)));
    sim.publish(snap.index());
}

fn quiesce(dest: &mut Option<Dest>) {
    dest.as_mut().expect("it is there").weight = 0;
}

fn delete(dest: &mut Option<Dest>) {
    *dest = None;
}

#[test]
fn row046_connections_of_a_server_that_is_out_go_on() {
    for out in [quiesce, delete] {
        let mut sim = world::sim(1);
        let first = open(&mut sim, 0, 40_000);
        change(&mut sim, false, first.expect("it was opened"), out);
        assert_eq!(open(&mut sim, 0, 40_000), first);
        assert_eq!(sim.conns(), 1);
    }
}

#[test]
fn row045_a_service_may_end_connections_of_a_server_that_is_out() {
    for out in [quiesce, delete] {
        let mut sim = world::sim(1);
        let (first, second) = (open(&mut sim, 0, 40_000), open(&mut sim, 0, 40_001));
        assert_ne!(first, second);
        change(&mut sim, true, first.expect("it was opened"), out);
        assert_eq!((open(&mut sim, 0, 40_000), sim.drops(DropReason::Quiesced), sim.conns()), (None, 1, 1));
        // Its next packet opens a connection with the other one, whose connections stay.
        assert_eq!((open(&mut sim, 0, 40_000), open(&mut sim, 0, 40_001)), (second, second));
        assert_eq!(sim.conns(), 2);
    }
}

#[test]
fn a_datagram_is_never_answered_with_resets() {
    let mut sim = world::sim(1);
    // Where a TCP header has its acknowledgement flag.
    let query = build::udp((DIRECTOR, CLIENT), at(V4.client, 40_000), at(V4.vip, 80), &[0x50; 64]);
    sim.receive(0, PORT, &query);
    let first = see(&sim.sent_one());
    let server = V4.servers.iter().position(|addr| at(addr, 8080) == first.dst).expect("a server");
    // Every state of a datagram flow: with and without an answer.
    for answered in [false, true] {
        if answered {
            sim.receive(0, PORT, &query);
            let there = see(&sim.sent_one());
            let answer = build::udp((DIRECTOR, server_mac(2 - server as u8)), there.dst, there.src, b"a");
            sim.receive(0, PORT, &tagged(answer));
            assert_eq!(sim.sent().len(), 1);
            sim.receive(0, PORT, &query);
            assert_eq!(sim.sent().len(), 1);
        }
        let out = if answered { 1 - server } else { server };
        change(&mut sim, true, out, quiesce);
        sim.receive(0, PORT, &query);
        assert_eq!((sim.sent().len(), sim.conns()), (0, 0), "answered: {answered}");
    }
}

/// An established TCP connection: its server, the local address and port, and what is added to the client's sequence numbers.
fn establish(sim: &mut Sim, names: Names) -> (usize, SocketAddr, u32) {
    let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
    sim.receive(0, PORT, &from_client(client, vip, Segment { seq: 1000, flags: SYN, ..Segment::default() }));
    let syn = see(&sim.sent_one());
    let server = names.servers.iter().position(|addr| at(addr, 8080) == syn.dst).expect("a server");
    let shift = syn.tcp().sequence_number.wrapping_sub(1000);
    let (seq, ack) = (5000, shift.wrapping_add(1001));
    let answer = Segment { seq, ack, flags: SYN | ACK, ..Segment::default() };
    sim.receive(0, PORT, &from_server(server, syn.dst, syn.src, answer));
    assert_eq!(see(&sim.sent_one()).tcp().acknowledgment_number, 1001);
    let ack = Segment { seq: 1001, ack: 5001, flags: ACK, ..Segment::default() };
    sim.receive(0, PORT, &from_client(client, vip, ack));
    assert_eq!(see(&sim.sent_one()).dst, syn.dst);
    (server, syn.src, shift)
}

fn from_server(server: usize, src: SocketAddr, dst: SocketAddr, segment: Segment) -> Vec<u8> {
    tagged(build::tcp((DIRECTOR, server_mac(server as u8 + 1)), src, dst, segment))
}

/// The two resets that were sent: what the server and what the client got, as (from, to, number).
fn resets(sim: &mut Sim, server: SocketAddr) -> [(SocketAddr, SocketAddr, u32); 2] {
    let sent: Vec<_> = sim.sent().iter().map(|frame| see(frame)).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|seen| seen.tcp().rst && !seen.tcp().ack), "{sent:?}");
    let of = |to_server: bool| {
        let seen = sent.iter().find(|seen| (seen.dst == server) == to_server).expect("one for each end");
        (seen.src, seen.dst, seen.tcp().sequence_number)
    };
    [of(true), of(false)]
}

#[test]
fn row045_both_ends_of_an_established_connection_are_told_by_the_numbers_they_expect() {
    for names in [V4, V6] {
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        for from_client_side in [true, false] {
            let mut sim = world::sim(1);
            let (n, local, shift) = establish(&mut sim, names);
            let server = at(names.servers[n], 8080);
            change(&mut sim, true, n, quiesce);
            if from_client_side {
                let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"x", ..Segment::default() };
                sim.receive(0, PORT, &from_client(client, vip, data));
            } else {
                let ack = shift.wrapping_add(1001);
                let data = Segment { seq: 5001, ack, flags: ACK, payload: b"x", ..Segment::default() };
                sim.receive(0, PORT, &from_server(n, server, local, data));
            }
            let expected = [(local, server, shift.wrapping_add(1001)), (vip, client, 5001)];
            assert_eq!(resets(&mut sim, server), expected);
            assert_eq!((sim.conns(), sim.drops(DropReason::Quiesced)), (0, 1));
        }
    }
}
