// SPDX-License-Identifier: Apache-2.0
//! QUIC connections that change their address. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use std::net::SocketAddr;

use engine::sched::Scheduler;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at};
use packet::build;
use seen::see;

/// A packet with a short header whose identifier tells the server with the address `..0.HOST`, and its port 8080 if `with_port`.
fn packet(host: u8, with_port: bool) -> Vec<u8> {
    let flag = u8::from(with_port) << 4;
    // 00 HOST, then 1f90 or something else, from the fourth half byte on.
    let port = if with_port { [0x1f, 0x90] } else { [0xab, 0xcd] };
    let head = [0x40, 0x77, 1 << 5 | flag, host >> 4, host << 4 | port[0] >> 4];
    [&head[..], &[port[0] << 4 | port[1] >> 4, port[1] << 4, 9, 9, 9]].concat()
}

fn quic(change: impl FnOnce(&mut engine::snapshot::Snapshot)) -> Sim {
    let mut sim = world::sim(1);
    let mut snap = world::snapshot();
    snap.services.iter_mut().flatten().for_each(|svc| svc.quic = true);
    change(&mut snap);
    sim.publish(snap.index());
    sim
}

fn server(sim: &mut Sim, client: SocketAddr, payload: &[u8]) -> SocketAddr {
    let vip = if client.is_ipv4() { V4.vip } else { V6.vip };
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, at(vip, 80), payload));
    see(&sim.sent_one()).dst
}

#[test]
fn row154_a_client_with_another_address_reaches_its_server() {
    for with_port in [true, false] {
        let mut sim = quic(|_| ());
        for n in 1..20 {
            let host = n % 2 + 1;
            let client = at(&format!("10.7.0.{n}"), 4000 + u16::from(n));
            let wanted = at(&format!("10.2.0.{host}"), 8080);
            assert_eq!(server(&mut sim, client, &packet(host, with_port)), wanted);
        }
    }
}

#[test]
fn row154_a_server_of_weight_0_keeps_its_clients() {
    let mut sim = quic(|snap| {
        let first = at(V4.servers[0], 8080);
        snap.dests.iter_mut().flatten().filter(|dest| dest.addr == first).for_each(|dest| dest.weight = 0);
    });
    let payload = packet(1, true);
    assert_eq!(server(&mut sim, at(V4.client, 1), &payload), at(V4.servers[0], 8080));
    assert_eq!(server(&mut sim, at(V4.client, 2), b"new"), at(V4.servers[1], 8080));
}

#[test]
fn row154_what_tells_no_server_of_the_service_is_scheduled() {
    let mut sim = quic(|_| ());
    let unknown = packet(9, true);
    for (port, wanted) in [(1, 0), (2, 1), (3, 0)] {
        assert_eq!(server(&mut sim, at(V4.client, port), &unknown), at(V4.servers[wanted], 8080));
    }
}

#[test]
fn row154_services_that_are_not_quic_do_not_look() {
    let mut sim = quic(|snap| snap.services.iter_mut().flatten().for_each(|svc| svc.quic = false));
    let payload = packet(2, true);
    assert_eq!(server(&mut sim, at(V4.client, 1), &payload), at(V4.servers[0], 8080));
}

#[test]
fn row149_conhash_hashes_the_identifier_where_there_is_one() {
    let mut sim = quic(|snap| {
        for svc in snap.services.iter_mut().flatten() {
            svc.scheduler = Scheduler::Conhash;
            svc.hashing.quic_id = true;
        }
    });
    let mut by_id = std::collections::HashSet::new();
    for id in 0..40u8 {
        let payload = [&[8, id][..], &[3; 7], b"data"].concat();
        let first = server(&mut sim, at("10.7.0.1", u16::from(id) + 1), &payload);
        assert_eq!(server(&mut sim, at("10.7.9.9", u16::from(id) + 1), &payload), first);
        by_id.insert(first);
    }
    assert_eq!(by_id.len(), 2);
    let by_client: std::collections::HashSet<_> =
        (0..40u8).map(|id| server(&mut sim, at("10.7.0.1", u16::from(id) + 100), &[0, id, 3])).collect();
    assert_eq!(by_client.len(), 1);
}
