// SPDX-License-Identifier: Apache-2.0
//! One-packet scheduling: each datagram of a client is scheduled anew. On purpose unlike DPVS and LVS, where answers that come back
//! through the director match nothing, they reach the client.

mod seen;

use std::net::SocketAddr;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, server_mac};
use engine::snapshot::Forwarding;
use model::Transport;
use packet::build;
use seen::{Seen, see, tagged};

fn sim(workers: u16, forwarding: Forwarding) -> Sim {
    let mut sim = world::sim(workers);
    let mut snap = sim.snap.clone();
    snap.version += 1;
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.transport == Transport::Udp) {
        svc.one_packet = true;
    }
    snap.dests.iter_mut().flatten().for_each(|dest| dest.forwarding = forwarding);
    sim.publish(snap.index());
    sim
}

/// Sends a datagram of the one flow and returns what a server gets, and which.
fn ask(sim: &mut Sim, worker: usize, names: Names) -> (Seen, usize) {
    let query = build::udp((DIRECTOR, CLIENT), at(names.client, 40_000), at(names.vip, 80), b"q");
    sim.receive(worker, PORT, &query);
    let seen = see(&sim.sent_one());
    let server = names.servers.iter().position(|&addr| seen.dst_mac == server_mac(number(names, addr)));
    (seen, server.expect("the Ethernet address of a server"))
}

fn number(names: Names, addr: &str) -> u8 {
    names.servers.iter().position(|&server| server == addr).expect("a server") as u8 + 1
}

fn answer(sim: &mut Sim, worker: usize, server: usize, from: SocketAddr, to: SocketAddr) -> Seen {
    sim.receive(worker, PORT, &tagged(build::udp((DIRECTOR, server_mac(server as u8 + 1)), from, to, b"a")));
    see(&sim.sent_one())
}

#[test]
fn row047_every_datagram_of_a_flow_goes_to_the_next_server() {
    for names in [V4, V6] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting] {
            let mut sim = sim(1, forwarding);
            let servers: Vec<usize> = (0..6).map(|_| ask(&mut sim, 0, names).1).collect();
            assert!(servers.windows(2).all(|two| two[0] != two[1]), "{forwarding:?}: {servers:?}");
        }
    }
}

#[test]
fn nothing_is_kept_where_answers_go_past_the_director() {
    let mut sim = sim(1, Forwarding::DirectRouting);
    for _ in 0..10 {
        ask(&mut sim, 0, V4);
        assert_eq!(sim.conns(), 0);
    }
}

#[test]
fn answers_of_all_servers_reach_the_client_with_fullnat() {
    for names in [V4, V6] {
        let mut sim = sim(1, Forwarding::FullNat);
        let asked: Vec<_> = (0..4).map(|_| ask(&mut sim, 0, names)).collect();
        assert_eq!(sim.conns(), 4);
        for (seen, server) in asked.into_iter().rev() {
            let answer = answer(&mut sim, 0, server, seen.dst, seen.src);
            assert_eq!((answer.src, answer.dst), (at(names.vip, 80), at(names.client, 40_000)));
        }
    }
}

#[test]
fn with_nat_a_client_has_one_connection_with_each_server() {
    let mut sim = sim(1, Forwarding::Nat);
    let asked: Vec<_> = (0..6).map(|_| ask(&mut sim, 0, V4)).collect();
    assert_eq!(sim.conns(), 2);
    for (seen, server) in asked {
        assert_eq!(seen.src, at(V4.client, 40_000));
        let answer = answer(&mut sim, 0, server, seen.dst, seen.src);
        assert_eq!((answer.src, answer.dst), (at(V4.vip, 80), at(V4.client, 40_000)));
    }
}

#[test]
fn connections_of_single_datagrams_end_in_time() {
    let mut sim = sim(2, Forwarding::FullNat);
    for n in 0..20 {
        ask(&mut sim, n % 2, V4);
    }
    assert_eq!(sim.conns(), 20);
    for _ in 0..330 {
        sim.pass(1000);
    }
    assert_eq!(sim.conns(), 0);
}
