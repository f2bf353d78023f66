// SPDX-License-Identifier: Apache-2.0
//! What a service may carry. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, server_mac};
use engine::throttle::Throttle;
use engine::verdict::DropReason;
use packet::build;
use seen::{see, tagged};

fn sim(workers: u16, mbps: u32, percent: u8) -> Sim {
    let mut snap = world::snapshot();
    for svc in snap.services.iter_mut().flatten() {
        svc.throttle = Throttle::new(mbps, percent);
    }
    let mut sim = world::sim(workers);
    sim.publish(snap.index());
    sim
}

/// How many of `count` datagrams of `len` bytes (IP) come through; at this worker, from this port.
fn ask(sim: &mut Sim, worker: usize, names: Names, port: u16, len: usize, count: usize) -> usize {
    let headers = if names.client == V4.client { 28 } else { 48 };
    let payload = vec![7; len - headers];
    let frame = build::udp((DIRECTOR, CLIENT), at(names.client, port), at(names.vip, 80), &payload);
    for _ in 0..count {
        sim.receive(worker, PORT, &frame);
    }
    sim.sent().len()
}

#[test]
fn row158_a_share_of_the_packets_passes_and_what_passes_is_counted() {
    for names in [V4, V6] {
        for percent in [1_u8, 30, 99] {
            let mut sim = sim(1, 0, percent);
            let passed = ask(&mut sim, 0, names, 40_000, 100, 10_000);
            // Four standard deviations are less than 200.
            assert!(passed.abs_diff(usize::from(percent) * 100) < 200, "{percent}: {passed}");
            assert_eq!(sim.drops(DropReason::Proportion), 10_000 - passed as u64);
            let counted: u64 = sim.lcores[0].dest_counters().iter().map(|dest| dest.in_packets).sum();
            assert_eq!(counted, passed as u64);
        }
    }
}

#[test]
fn a_bandwidth_is_shared_by_workers_and_each_direction_has_it() {
    for names in [V4, V6] {
        // 10 Mbit/s are 1 000 packets of 1 250 bytes a second, and a hundred ahead; the last are sent after 990 ms.
        let mut sim = sim(2, 10, 100);
        let mut passed = 0;
        for _ in 0..100 {
            passed += ask(&mut sim, 0, names, 40_000, 1250, 20) + ask(&mut sim, 1, names, 40_001, 1250, 20);
            sim.pass(10);
        }
        assert!((1085..=1095).contains(&passed), "{passed}");
        assert_eq!(sim.drops(DropReason::Bandwidth), 4000 - passed as u64);
    }
}

#[test]
fn answers_are_limited_by_themselves() {
    let mut sim = sim(1, 10, 100);
    let frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 40_000), at(V4.vip, 80), b"q");
    sim.receive(0, PORT, &frame);
    let there = see(&sim.sent_one());
    let answer = tagged(build::udp((DIRECTOR, server_mac(1)), there.dst, there.src, &[7; 1222]));
    for _ in 0..500 {
        sim.receive(0, PORT, &answer);
    }
    assert_eq!(sim.sent().len(), 101);
    assert_eq!(ask(&mut sim, 0, V4, 40_000, 1250, 50), 50, "there is room the other way");
}

#[test]
fn a_limit_that_is_lifted_limits_no_more() {
    let mut sim = sim(1, 1, 100);
    assert!(ask(&mut sim, 0, V4, 40_000, 1250, 100) < 20);
    let mut snap = sim.snap.clone();
    snap.services.iter_mut().flatten().for_each(|svc| svc.throttle = None);
    sim.publish(snap.index());
    assert_eq!(ask(&mut sim, 0, V4, 40_000, 1250, 100), 100);
}
