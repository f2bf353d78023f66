// SPDX-License-Identifier: Apache-2.0
//! Connection thresholds of servers. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use engine::limit::{Limit, Occupancy};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, at};
use engine::verdict::DropReason;
use packet::build;
use seen::see;

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
