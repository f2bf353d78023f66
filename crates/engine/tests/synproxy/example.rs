// SPDX-License-Identifier: Apache-2.0
//! One connection packet by packet, with DPVS's defaults, its addresses and numbers, and a cookie of ours.

use engine::ids::LinkId;
use engine::route::RouteTable;
use engine::sim::world::{CLIENT, ip, routes, server_mac};

use super::*;

/// Numbers of the example, but for the cookie and the first number towards the server, which are ours to choose.
const C: u32 = 268_435_456;
const R: u32 = 7_000_000;
/// The cookie: computed beside this program, with another implementation of SipHash.
const K: u32 = 2_343_051_198;

fn world() -> Sim {
    let mut sim = proxied(1, |config| {
        *config = Config { key: config.key, epoch_ms: config.epoch_ms, ..Config::dpvs() }
    });
    let snap = with(&sim.snap, |snap| {
        let [outside, inside] = &mut snap.links[..] else { panic!("two links") };
        outside.as_mut().unwrap().addrs = vec![(ip("192.0.2.254"), 24), (ip("203.0.113.80"), 32)];
        inside.as_mut().unwrap().addrs = vec![(ip("10.1.0.5"), 15)];
        snap.routes = RouteTable::compile(routes(&snap.links));
        snap.laddrs = [(ip("10.1.0.5"), LinkId(1))].into_iter().collect();
        snap.services.truncate(1);
        let svc = snap.services[0].as_mut().unwrap();
        (svc.vip, svc.laddrs) = (at("203.0.113.80", 80), vec![ip("10.1.0.5")]);
        svc.dests.truncate(1);
        snap.dests.truncate(1);
        snap.dests[0].as_mut().unwrap().addr = at("10.0.0.1", 80);
    });
    sim.publish(snap);
    sim.stations = [(ip("192.0.2.10"), CLIENT), (ip("10.0.0.1"), server_mac(1))].into_iter().collect();
    sim
}

#[test]
fn r21_the_worked_example() {
    let mut sim = world();
    let (client, vip) = (at("192.0.2.10", 40_000), at("203.0.113.80", 80));
    let from_client = |segment| from_client(client, vip, segment);

    // 1, 2
    sim.receive(0, PORT, &from_client(Segment { seq: C, flags: SYN, options: &LINUX, ..Segment::default() }));
    let answer = one(&mut sim);
    assert_eq!((answer.src, answer.dst, answer.ttl), (vip, client, 63));
    assert_eq!(numbers(&answer), (K, 268_435_457, &[][..]));
    // MSS 1452 and SACK; timestamps and scale are left out where DPVS writes NOPs over them.
    assert_eq!(answer.options(), [2, 4, 5, 0xac, 1, 1, 4, 2]);
    assert!(answer.tcp().syn && answer.tcp().ack && !answer.tcp().psh);
    assert_eq!(sim.conns(), 0);

    // 3, 4
    sim.receive(0, PORT, &from_client(Segment { seq: C + 1, ack: K + 1, flags: ACK, ..Segment::default() }));
    let syn = one(&mut sim);
    let (laddr, server) = (syn.src, at("10.0.0.1", 80));
    assert_eq!((laddr.ip(), syn.dst, syn.ttl, syn.vlan), (ip("10.1.0.5"), server, 64, Some(102)));
    let f = syn.tcp().sequence_number;
    assert_eq!((syn.tcp().acknowledgment_number, syn.tcp().syn, syn.tcp().ack), (0, true, false));
    // The size the client had offered, where DPVS passes on the smaller of both.
    assert_eq!(syn.options(), [2, 4, 5, 0xb4, 1, 1, 4, 2]);
    assert_eq!(sim.lcores[0].held(), 1);

    let send = |sim: &mut Sim, segment| {
        sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, server_mac(1)), server, laddr, segment)));
    };
    // 5, 6
    send(
        &mut sim,
        Segment {
            seq: R,
            ack: f.wrapping_add(1),
            flags: SYN | ACK,
            options: &[2, 4, 5, 0xb4, 1, 1, 4, 2],
            payload: &[],
        },
    );
    let ack = one(&mut sim);
    assert_eq!((ack.dst, numbers(&ack)), (server, (f.wrapping_add(1), 7_000_001, &[][..])));

    // 7: 100 bytes
    let data = [7; 100];
    sim.receive(
        0,
        PORT,
        &from_client(Segment { seq: C + 1, ack: K + 1, flags: ACK, payload: &data, options: &[] }),
    );
    assert_eq!(numbers(&one(&mut sim)), (f.wrapping_add(1), 7_000_001, &data[..]));

    // 8: 200 bytes
    let data = [8; 200];
    send(
        &mut sim,
        Segment { seq: R + 1, ack: f.wrapping_add(101), flags: ACK, payload: &data, options: &[] },
    );
    let seen = one(&mut sim);
    assert_eq!((seen.dst, numbers(&seen)), (client, (K + 1, 268_435_557, &data[..])));

    // 9
    sim.receive(
        0,
        PORT,
        &from_client(Segment { seq: C + 101, ack: K + 201, flags: ACK, ..Segment::default() }),
    );
    assert_eq!(numbers(&one(&mut sim)), (f.wrapping_add(101), 7_000_201, &[][..]));

    // 10: an edge 39 bytes behind the first, as in the example
    let sack = [&[1, 1, 5, 10][..], &(K + 40).to_be_bytes(), &(K + 50).to_be_bytes()].concat();
    sim.receive(
        0,
        PORT,
        &from_client(Segment { seq: C + 101, ack: K + 201, flags: ACK, options: &sack, payload: &[] }),
    );
    assert_eq!(one(&mut sim).options()[4..8], 7_000_040_u32.to_be_bytes());

    // 11: nothing more for as long as an established connection may rest
    let mut told = Vec::new();
    for _ in 0..8 {
        sim.pass(15_000);
        told.extend(sim.sent().iter().filter(|frame| !is_question(frame)).map(|frame| see(frame)));
    }
    let [to_server, to_client] = &told[..] else { panic!("two resets: {told:?}") };
    assert!(to_server.tcp().rst && to_client.tcp().rst);
    assert_eq!((to_server.dst, to_server.tcp().sequence_number), (server, f.wrapping_add(101)));
    assert_eq!((to_client.dst, to_client.tcp().sequence_number), (client, K + 201));
    assert_eq!((sim.conns(), sim.lcores[0].held()), (0, 0));
}

/// With the window held closed, the client is told between the fifth and the sixth packet.
#[test]
fn r21_the_worked_example_with_a_closed_window() {
    let mut sim = world();
    let snap = with(&sim.snap, |snap| snap.options.syn_proxy.close_client_window = true);
    sim.publish(snap);
    let (client, vip) = (at("192.0.2.10", 40_000), at("203.0.113.80", 80));
    sim.receive(
        0,
        PORT,
        &from_client(client, vip, Segment { seq: C, flags: SYN, options: &LINUX, ..Segment::default() }),
    );
    assert_eq!(one(&mut sim).tcp().window_size, 0);
    sim.receive(
        0,
        PORT,
        &from_client(client, vip, Segment { seq: C + 1, ack: K + 1, flags: ACK, ..Segment::default() }),
    );
    let server = Server { syn: one(&mut sim), at: 0 };
    server.sends(
        &mut sim,
        Segment { seq: R, ack: server.ack(0), flags: SYN | ACK, options: &[], payload: &[] },
    );
    let [first, second] = &sent(&mut sim)[..] else { panic!("the update and the sixth packet") };
    let (update, sixth) = if first.dst == client { (first, second) } else { (second, first) };
    assert_eq!((numbers(update), update.tcp().window_size), ((K + 1, 268_435_457, &[][..]), 64_240));
    assert_eq!(numbers(sixth), (server.ack(0), 7_000_001, &[][..]));
}

fn is_question(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] || frame[16..18] == [8, 6]
}
