// SPDX-License-Identifier: Apache-2.0
//! Fragments to and from services: row 7 of the checklist of rules, which DPVS fulfils by dropping them all (weakness 1) and the
//! director, on purpose, does not. Every datagram is put together again by rules of the tests' own, and judged with its checksum.

mod faults;
mod kinds;
mod paths;
#[path = "../seen/mod.rs"]
mod seen;

use engine::forward::Forwarding;
use engine::ids::LcoreId;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Snapshot;
use engine::steer::Rss;
use engine::verdict::DropReason;
use packet::build::{self, Segment};
use seen::parts::{cut, join, joined, read};
use seen::{ACK, SYN, see, tagged};

/// Bytes of a datagram in a fragment.
const ROOM: usize = 1448;

/// The key of the devices whose choice is predicted.
const KEY: [u8; 40] = [0x6d; 40];

/// A network whose servers are all reached in one way, the first of them only; its device spreads packets by their hash, or as it likes.
fn snapshot(workers: u16, forwarding: Forwarding, predicted: bool) -> Snapshot {
    let mut snap = world::snapshot();
    for dest in snap.dests.iter_mut().flatten() {
        (dest.forwarding, dest.weight) = (forwarding, u32::from(dest.id.0.is_multiple_of(2)));
    }
    if predicted {
        let table = (0..8).map(|n| LcoreId(n % workers)).collect();
        snap.ports[0].rss = Rss::new(&KEY, table);
    }
    snap.index()
}

fn sim(workers: u16, forwarding: Forwarding, predicted: bool) -> Sim {
    let mut sim = world::sim(workers);
    sim.publish(snapshot(workers, forwarding, predicted));
    // Everybody knows everybody, so that nothing waits for a neighbour.
    for names in [V4, V6] {
        for worker in 0..usize::from(workers) {
            let probe = build::udp((DIRECTOR, CLIENT), at(names.client, 9), at(names.vip, 80), b"");
            sim.receive(worker, PORT, &probe);
        }
    }
    sim.sent();
    sim.pass(400_000);
    for names in [V4, V6] {
        let probe = build::udp((DIRECTOR, CLIENT), at(names.client, 9), at(names.vip, 80), b"");
        (0..usize::from(workers)).for_each(|worker| sim.receive(worker, PORT, &probe));
    }
    sim.sent();
    sim
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// Orders of `n` fragments.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let (forth, back) = ((0..n).collect::<Vec<_>>(), (0..n).rev().collect());
    let odd_first = (0..n).filter(|n| n % 2 == 1).chain((0..n).filter(|n| n % 2 == 0)).collect();
    vec![forth, back, odd_first]
}

/// Every family, number of workers and sort of device.
fn each(mut act: impl FnMut(Names, u16, bool)) {
    for names in [V4, V6] {
        for (workers, predicted) in [(1, false), (2, false), (2, true), (4, false), (4, true)] {
            act(names, workers, predicted);
        }
    }
}

/// Fragments come in at all workers in turn, in this order.
fn receive(sim: &mut Sim, frames: &[Vec<u8>], order: &[usize]) -> Vec<Vec<u8>> {
    for (n, &which) in order.iter().enumerate() {
        let workers = sim.lcores.len();
        sim.receive((n * 3 + which) % workers, PORT, &frames[which]);
    }
    sim.sent()
}

fn cut_tagged(frame: &[u8], id: u32) -> Vec<Vec<u8>> {
    cut(frame, id, ROOM).into_iter().map(tagged).collect()
}

#[test]
fn row007_row066_fragments_of_datagrams_reach_server_and_client_with_fullnat() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let before = sim.conns();
        let (client, vip, server) = (at(names.client, 40_001), at(names.vip, 80), at(names.servers[0], 8080));
        let mut ids = Vec::new();
        let mut local = None;
        for (n, len) in (0..).zip([1500, 2000, 9000, 60_000]) {
            let question = build::udp((DIRECTOR, CLIENT), client, vip, &body(len));
            for order in orders(cut(&question, 1, ROOM).len()) {
                let frames = cut(&question, 0x7000 + n, ROOM);
                let sent = receive(&mut sim, &frames, &order);
                let there = joined(&sent);
                assert_eq!(
                    (there.dst, there.dst_mac, there.vlan, there.ttl),
                    (server, server_mac(1), Some(102), 63)
                );
                assert_eq!((there.src.ip(), there.payload), (ip(names.laddr), body(len)));
                // One connection, whichever workers they came to.
                assert_eq!(*local.get_or_insert(there.src), there.src);
                ids.push(read(&sent[0]).expect("a fragment").id);

                let answer = build::udp((DIRECTOR, server_mac(1)), server, there.src, &body(len));
                let sent = receive(&mut sim, &cut_tagged(&answer, 0x7000 + n), &order);
                let back = joined(&sent);
                assert_eq!((back.src, back.dst, back.dst_mac, back.vlan), (vip, client, CLIENT, None));
                assert_eq!((back.ttl, back.payload), (63, body(len)));
            }
        }
        assert_eq!(sim.conns(), before + 1);
        // Whatever the client calls its datagrams, the server gets each under a name of its own.
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 12);
        assert!(sim.lcores.iter().all(|lcore| lcore.held() == 0 && lcore.traffic().dropped() == 0));
    });
}

#[test]
fn row007_row069_fragments_of_datagrams_reach_server_and_client_with_nat() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::Nat, predicted);
        let (client, vip, server) = (at(names.client, 40_001), at(names.vip, 80), at(names.servers[0], 8080));
        for order in orders(3) {
            let question = build::udp((DIRECTOR, CLIENT), client, vip, &body(4000));
            let there = joined(&receive(&mut sim, &cut(&question, 7, ROOM), &order));
            assert_eq!((there.src, there.dst, there.payload), (client, server, body(4000)));
            let answer = build::udp((DIRECTOR, server_mac(1)), server, client, &body(3900));
            let back = joined(&receive(&mut sim, &cut_tagged(&answer, 7), &order));
            assert_eq!((back.src, back.dst, back.dst_mac, back.payload), (vip, client, CLIENT, body(3900)));
        }
    });
}

/// A datagram of a server that a small packet was sent to from the same client port: both belong to one connection.
#[test]
fn row007_whole_packets_and_fragments_of_a_flow_share_its_connection() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let (client, vip) = (at(names.client, 40_007), at(names.vip, 80));
        let small = build::udp((DIRECTOR, CLIENT), client, vip, b"small");
        let home = world_home(&sim, &small);
        sim.receive(home, PORT, &small);
        let first = see(&sim.sent_one());
        for id in 0..8 {
            let frames = cut(&build::udp((DIRECTOR, CLIENT), client, vip, &body(2000)), id, ROOM);
            assert_eq!(joined(&receive(&mut sim, &frames, &[1, 0])).src, first.src);
        }
        sim.receive(home, PORT, &small);
        assert_eq!(see(&sim.sent_one()).src, first.src);
    });
}

/// The worker that a device gives a whole packet to.
fn world_home(sim: &Sim, frame: &[u8]) -> usize {
    let seen = see(frame);
    let tuple = engine::conn::Tuple::new(seen.src, seen.dst).expect("one family");
    sim.snap.ports[0].rss.as_ref().map_or(sim.lcores.len() - 1, |rss| rss.worker(&tuple).index())
}

#[test]
fn row070_fragments_go_to_servers_with_direct_routing_as_they_are() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::DirectRouting, predicted);
        let question =
            build::udp((DIRECTOR, CLIENT), at(names.client, 40_001), at(names.vip, 80), &body(4000));
        for order in orders(3) {
            let frames = cut(&question, 77, ROOM);
            let sent = receive(&mut sim, &frames, &order);
            assert!(sent.iter().all(|frame| frame[..6] == server_mac(1)));
            assert_eq!(read(&sent[0]).map(|part| part.id), Some(77), "it is the client's still");
            let whole = join(&sent);
            assert_eq!(
                (see(&whole).dst, see(&whole).ttl, see(&whole).payload),
                (at(names.vip, 80), 64, body(4000))
            );
        }
    });
}

#[test]
fn row071_fragments_go_into_tunnels_one_by_one() {
    for (workers, names) in [1, 2, 4].into_iter().flat_map(|n| [(n, V4), (n, V6)]) {
        let mut sim = sim(workers, Forwarding::Tunnel(model::TunnelKind::Ipip), false);
        let (client, vip) = (at(names.client, 40_001), at(names.vip, 80));
        let question = build::udp((DIRECTOR, CLIENT), client, vip, &body(3000));
        let (outer, proto_at, server_at, proto) =
            if ip(names.vip).is_ipv4() { (20, 9, 16, 4) } else { (40, 6, 24, 41) };
        let server = match ip(names.servers[0]) {
            std::net::IpAddr::V4(addr) => addr.octets().to_vec(),
            std::net::IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        for order in orders(3) {
            let frames = cut(&question, 77, 1400);
            let sent = receive(&mut sim, &frames, &order);
            let unpack = |frame: &Vec<u8>| {
                assert_eq!(frame[18 + proto_at], proto, "a packet in a packet");
                assert_eq!(frame[18 + server_at..][..server.len()], server, "to the server");
                [&frame[..18], &frame[18 + outer..]].concat()
            };
            let seen = joined(&sent.iter().map(unpack).collect::<Vec<_>>());
            assert_eq!((seen.src, seen.dst, seen.payload), (client, vip, body(3000)));
        }
    }
}

#[test]
fn row064_a_datagram_without_checksum_has_none_behind_the_director() {
    let mut sim = sim(2, Forwarding::FullNat, false);
    let mut question = build::udp((DIRECTOR, CLIENT), at(V4.client, 1), at(V4.vip, 80), &body(2000));
    question[40..42].fill(0);
    let whole = join(&receive(&mut sim, &cut(&question, 1, ROOM), &[0, 1]));
    assert_eq!(whole[44..46], [0, 0]);
    assert_eq!(see(&whole).payload, body(2000));
}

#[test]
fn row066_segments_of_a_connection_pass_in_fragments_and_none_opens_one() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let (client, vip, server) = (at(names.client, 40_001), at(names.vip, 80), at(names.servers[0], 8080));
        let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
        let tcp = |segment| build::tcp((DIRECTOR, CLIENT), client, vip, segment);
        sim.receive(0, PORT, &tcp(syn));
        let there = see(&sim.sent_one());
        let (local, isn) = (there.src, there.tcp().sequence_number);
        let answer = Segment { seq: 5000, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() };
        sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, server_mac(1)), server, local, answer)));
        sim.sent();

        let payload = body(3000);
        let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: &payload, ..Segment::default() };
        let there = joined(&receive(&mut sim, &cut(&tcp(data), 5, ROOM), &[2, 0, 1]));
        assert_eq!((there.src, there.tcp().sequence_number), (local, isn.wrapping_add(1)));
        assert_eq!(there.payload, payload);
        let data = Segment {
            seq: 5001,
            ack: isn.wrapping_add(3001),
            flags: ACK,
            payload: &payload,
            ..Segment::default()
        };
        let frame = build::tcp((DIRECTOR, server_mac(1)), server, local, data);
        let back = joined(&receive(&mut sim, &cut_tagged(&frame, 5), &[1, 2, 0]));
        assert_eq!(
            (back.dst, back.tcp().acknowledgment_number, back.payload),
            (client, 4001, payload.clone())
        );

        let conns = sim.conns();
        let stranger = build::tcp(
            (DIRECTOR, CLIENT),
            at(names.client, 40_002),
            vip,
            Segment { payload: &payload, ..syn },
        );
        assert!(receive(&mut sim, &cut(&stranger, 6, ROOM), &[0, 1, 2]).is_empty());
        assert_eq!(
            (sim.conns(), sim.drops(DropReason::Fragment), sim.drops(DropReason::FragmentNoFirst)),
            (conns, 1, 2)
        );
    });
}
