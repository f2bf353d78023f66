// SPDX-License-Identifier: Apache-2.0
//! Ways other than from a client to a server and back: hosts behind SNAT, ping, other families, narrow links, and through.

use std::net::{IpAddr, SocketAddr};

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{DestId, LinkId, ServiceId};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::{Dest, Service, Snapshot};
use engine::verdict::DropReason;
use model::Transport;
use model::options::EchoPolicy;
use packet::{build, proto};

use super::seen::parts::{cut, join, joined, l3, read};
use super::seen::{see, tagged};
use super::{ROOM, body, cut_tagged, each, orders, receive, sim, snapshot};

/// A service like the first, with one server.
fn add(snap: &mut Snapshot, server: SocketAddr, forwarding: Forwarding, change: impl FnOnce(&mut Service)) {
    let (service, id) = (ServiceId(snap.services.len() as u32), DestId(snap.dests.len() as u32));
    let dest =
        Dest { id, generation: 1, service, addr: server, forwarding, weight: 1, limit: None, check: None };
    snap.dests.push(Some(dest));
    let like = snap.services[0].clone().expect("the first service");
    let mut svc = Service { id: service, dests: vec![id], laddrs: Vec::new(), ..like };
    change(&mut svc);
    snap.services.push(Some(svc));
}

/// Publishes a snapshot, and lets everybody be known as before.
fn publish(sim: &mut Sim, snap: Snapshot) {
    sim.publish(snap.index());
    sim.sent();
}

/// Hosts reach the outside from the director's own address. DPVS drops their fragments; with forwarding on, they must not leave as they are.
#[test]
fn row072_fragments_of_hosts_leave_translated_and_answers_come_back() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let mut snap = snapshot(workers, Forwarding::FullNat, predicted);
        (snap.options.forward4, snap.options.forward6) = (true, true);
        for transport in [Transport::Udp, icmp(names)] {
            add(&mut snap, at(names.own, 0), Forwarding::Snat, |svc| {
                svc.transport = transport;
                let six = ip(names.client).is_ipv6();
                svc.rule =
                    Some(Rule { six, src: None, dst: None, iif: Some(LinkId(1)), oif: Some(LinkId(0)) });
            });
        }
        publish(&mut sim, snap);
        let (host, remote) = (at(names.servers[1], 5353), at(names.client, 53));
        for order in orders(3) {
            let question = build::udp((DIRECTOR, server_mac(2)), host, remote, &body(4000));
            let there = joined(&receive(&mut sim, &cut_tagged(&question, 3), &order));
            assert_eq!((there.src.ip(), there.dst, there.vlan), (ip(names.own), remote, None));
            assert_eq!(there.payload, body(4000));
            let answer = build::udp((DIRECTOR, CLIENT), remote, there.src, &body(3000));
            let back = joined(&receive(&mut sim, &cut(&answer, 3, ROOM), &order));
            assert_eq!(
                (back.src, back.dst, back.dst_mac, back.payload),
                (remote, host, server_mac(2), body(3000))
            );
        }
        let ping = build::echo((DIRECTOR, server_mac(2)), host.ip(), remote.ip(), 7, 1, &body(3000));
        let there = Ping::of(&receive(&mut sim, &cut_tagged(&ping, 4), &[1, 0, 2]));
        assert_eq!((there.src, there.dst, &there.body), (ip(names.own), remote.ip(), &body(3000)));
        let back = reply(CLIENT, remote.ip(), &there, &body(3000));
        let back = Ping::of(&receive(&mut sim, &cut(&back, 4, ROOM), &[1, 0, 2]));
        assert_eq!((back.src, back.dst, back.id, back.body), (remote.ip(), host.ip(), 7, body(3000)));
    });
}

/// An answer of a server reached by NAT left untranslated where forwarding was on.
#[test]
fn row069_fragments_of_answers_are_translated_with_forwarding_on_and_others_pass() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::Nat, predicted);
        let mut snap = snapshot(workers, Forwarding::Nat, predicted);
        (snap.options.forward4, snap.options.forward6) = (true, true);
        publish(&mut sim, snap);
        let (client, vip, server) = (at(names.client, 40_001), at(names.vip, 80), at(names.servers[0], 8080));
        receive(&mut sim, &[build::udp((DIRECTOR, CLIENT), client, vip, b"q")], &[0]);
        let answer = build::udp((DIRECTOR, server_mac(1)), server, client, &body(3000));
        let question = build::udp((DIRECTOR, CLIENT), client, vip, &body(3000));
        for order in orders(3) {
            receive(&mut sim, &cut(&question, 8, ROOM), &order);
            let back = joined(&receive(&mut sim, &cut_tagged(&answer, 9), &order));
            assert_eq!((back.src, back.dst, back.payload), (vip, client, body(3000)));
        }
        // What the server says of its own accord, and somebody else, goes through as it is.
        for (n, src) in [(1, at(names.servers[0], 99)), (2, at(names.servers[1], 99))] {
            let own = build::udp((DIRECTOR, server_mac(n)), src, client, &body(3000));
            let there = joined(&receive(&mut sim, &cut_tagged(&own, 10), &[2, 1, 0]));
            assert_eq!((there.src, there.dst, there.ttl, there.payload), (src, client, 63, body(3000)));
        }
    });
}

fn icmp(names: Names) -> Transport {
    if ip(names.client).is_ipv4() { Transport::Icmp } else { Transport::Icmpv6 }
}

/// A query that was put together again, its checksum judged.
struct Ping {
    src: IpAddr,
    dst: IpAddr,
    id: u16,
    body: Vec<u8>,
}

impl Ping {
    fn of(frames: &[Vec<u8>]) -> Ping {
        let frame = join(frames);
        let (at, six) = (l3(&frame), frame[l3(&frame)] >> 4 == 6);
        let parsed = etherparse::PacketHeaders::from_ethernet_slice(&frame).expect("a sound frame");
        let (src, dst): (IpAddr, IpAddr) = match parsed.net.as_ref().expect("IP") {
            etherparse::NetHeaders::Ipv4(h, _) => (h.source.into(), h.destination.into()),
            etherparse::NetHeaders::Ipv6(h, _) => (h.source.into(), h.destination.into()),
            other => panic!("{other:?}"),
        };
        let l4 = frame[at + if six { 40 } else { 20 }..].to_vec();
        let payload = parsed.payload.slice();
        match (parsed.transport.expect("ICMP"), src, dst) {
            (etherparse::TransportHeader::Icmpv4(h), ..) => {
                assert_eq!(h.checksum, h.icmp_type.calc_checksum(payload));
            }
            (etherparse::TransportHeader::Icmpv6(h), IpAddr::V6(src), IpAddr::V6(dst)) => {
                assert_eq!(Ok(h.checksum), h.icmp_type.calc_checksum(src.octets(), dst.octets(), payload));
            }
            other => panic!("{other:?}"),
        }
        Ping { src, dst, id: u16::from_be_bytes([l4[4], l4[5]]), body: l4[8..].to_vec() }
    }
}

/// What `from` answers to a query.
fn reply(mac: [u8; 6], from: IpAddr, query: &Ping, body: &[u8]) -> Vec<u8> {
    let (kind, proto) = if from.is_ipv4() { (0, proto::ICMP) } else { (129, proto::ICMPV6) };
    let id = query.id.to_be_bytes();
    let message = [&[kind, 0, 0, 0, id[0], id[1], 0, 1][..], body].concat();
    build::ip((DIRECTOR, mac), from, query.src, proto, message, Some(2))
}

#[test]
fn row128_long_pings_reach_server_and_client() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        each(|names, workers, predicted| {
            let mut sim = sim(workers, forwarding, predicted);
            let mut snap = snapshot(workers, forwarding, predicted);
            add(&mut snap, at(names.servers[0], 0), forwarding, |svc| {
                (svc.transport, svc.vip, svc.laddrs) = (icmp(names), at(names.vip, 0), vec![ip(names.laddr)]);
            });
            publish(&mut sim, snap);
            let (client, server) = (ip(names.client), ip(names.servers[0]));
            let mut entries = Vec::new();
            for order in orders(6) {
                let ping = build::echo((DIRECTOR, CLIENT), client, ip(names.vip), 77, 1, &body(8000));
                let there = Ping::of(&receive(&mut sim, &cut(&ping, 5, ROOM), &order));
                assert_eq!((there.dst, &there.body), (server, &body(8000)));
                let frame = reply(server_mac(1), server, &there, &body(8000));
                let back = Ping::of(&receive(&mut sim, &cut_tagged(&frame, 5), &order));
                assert_eq!((back.src, back.dst, back.id, back.body), (ip(names.vip), client, 77, body(8000)));
                entries.push((there.src, there.id));
            }
            entries.dedup();
            assert_eq!(entries.len(), 1, "one connection has them all");
        });
    }
}

#[test]
fn row127_long_pings_that_no_server_is_to_answer_are_the_hosts_own() {
    for (echo, reason) in [(EchoPolicy::Local, None), (EchoPolicy::Drop, Some(DropReason::EchoPolicy))] {
        let mut sim = sim(2, Forwarding::FullNat, false);
        let mut snap = snapshot(2, Forwarding::FullNat, false);
        add(&mut snap, at(V4.servers[0], 0), Forwarding::FullNat, |svc| {
            (svc.transport, svc.vip, svc.echo) = (Transport::Icmp, at(V4.vip, 0), echo);
        });
        publish(&mut sim, snap);
        sim.kernel = true;
        let ping = build::echo((DIRECTOR, CLIENT), ip(V4.client), ip(V4.vip), 77, 1, &body(3000));
        assert!(receive(&mut sim, &cut(&ping, 5, ROOM), &[1, 0, 2]).is_empty());
        let kernel: u64 = sim.lcores.iter().map(|lcore| lcore.traffic().kernel).sum();
        assert_eq!(kernel, if reason.is_none() { 3 } else { 0 });
        if let Some(reason) = reason {
            assert_eq!((sim.drops(reason), sim.drops(DropReason::FragmentNoFirst)), (1, 2));
        }
    }
}

/// Clients of one family, the server of the other.
fn crossing(workers: u16, clients: Names, servers: Names) -> Sim {
    let mut sim = sim(workers, Forwarding::FullNat, false);
    let mut snap = snapshot(workers, Forwarding::FullNat, false);
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(clients.vip)) {
        svc.laddrs = vec![ip(servers.laddr)];
        for id in &svc.dests {
            snap.dests[id.index()].as_mut().expect("it is there").addr = at(servers.servers[0], 8080);
        }
    }
    publish(&mut sim, snap);
    sim
}

#[test]
fn row074_fragments_cross_families_with_headers_of_the_other() {
    for workers in [1, 2, 4] {
        for (clients, servers) in [(V6, V4), (V4, V6)] {
            let mut sim = crossing(workers, clients, servers);
            let (client, vip, server) =
                (at(clients.client, 40_001), at(clients.vip, 80), at(servers.servers[0], 8080));
            // Room for the longer header, so that nothing has to be cut again.
            let room = 1400;
            for order in orders(3) {
                let question = build::udp((DIRECTOR, CLIENT), client, vip, &body(4000));
                let there = joined(&receive(&mut sim, &cut(&question, 0xdead_0001, room), &order));
                assert_eq!((there.src.ip(), there.dst, there.ttl), (ip(servers.laddr), server, 63));
                assert_eq!((there.vlan, there.payload), (Some(102), body(4000)));
                let answer = build::udp((DIRECTOR, server_mac(1)), server, there.src, &body(4100));
                let frames: Vec<_> = cut(&answer, 0xdead_0001, room).into_iter().map(tagged).collect();
                let back = joined(&receive(&mut sim, &frames, &order));
                assert_eq!((back.src, back.dst, back.ttl, back.payload), (vip, client, 63, body(4100)));
            }
        }
    }
}

/// IPv6 headers are longer: full-sized fragments of IPv4 have to be cut again (RFC 7915 4).
#[test]
fn row074_full_sized_fragments_are_cut_again_for_the_longer_header() {
    let mut sim = crossing(1, V6, V4);
    let (client, vip, server) = (at(V6.client, 40_001), at(V6.vip, 80), at(V4.servers[0], 8080));
    let there = {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, b"q"));
        see(&sim.sent_one())
    };
    let answer = build::udp((DIRECTOR, server_mac(1)), server, there.src, &body(4000));
    for order in orders(3) {
        let frames: Vec<_> = cut(&answer, 1, 1480).into_iter().map(tagged).collect();
        let sent = receive(&mut sim, &frames, &order);
        assert!(sent.len() > 3 && sent.iter().all(|frame| frame.len() <= 14 + 1500), "{}", sent.len());
        assert_eq!(joined(&sent).payload, body(4000));
    }
}

/// What only the whole packet would tell is not guessed.
#[test]
fn row074_what_cannot_cross_in_fragments_is_dropped_by_name() {
    let mut sim = crossing(1, V6, V4);
    let (client, vip, server) = (at(V6.client, 40_001), at(V6.vip, 80), at(V4.servers[0], 8080));
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, b"q"));
    let local = see(&sim.sent_one()).src;
    // A datagram without a checksum must have one over IPv6.
    let mut answer = build::udp((DIRECTOR, server_mac(1)), server, local, &body(3000));
    answer[40..42].fill(0);
    assert!(receive(&mut sim, &cut_tagged(&answer, 1), &[1, 0, 2]).is_empty());
    assert_eq!((sim.drops(DropReason::Fragment), sim.drops(DropReason::FragmentNoFirst)), (1, 2));
}

fn narrow(sim: &mut Sim, workers: u16, forwarding: Forwarding, link: usize) {
    let mut snap = snapshot(workers, forwarding, false);
    snap.links[link].as_mut().expect("it is there").mtu = 1280;
    publish(sim, snap);
}

#[test]
fn row014_row076_fragments_too_long_for_the_next_link_are_cut_again() {
    let mut sim = sim(2, Forwarding::FullNat, false);
    narrow(&mut sim, 2, Forwarding::FullNat, 1);
    let question = build::udp((DIRECTOR, CLIENT), at(V4.client, 40_001), at(V4.vip, 80), &body(4000));
    for order in orders(3) {
        let sent = receive(&mut sim, &cut(&question, 1, 1480), &order);
        assert!(sent.len() > 3 && sent.iter().all(|frame| frame.len() <= 18 + 1280));
        assert_eq!(joined(&sent).payload, body(4000));
    }
}

/// Nobody cuts what must not be cut: its sender hears of it, also about a fragment of its own.
#[test]
fn row020_row076_fragments_that_must_not_be_cut_are_answered_with_the_mtu() {
    let mut sim = sim(1, Forwarding::FullNat, false);
    narrow(&mut sim, 1, Forwarding::FullNat, 1);
    let question = build::udp((DIRECTOR, CLIENT), at(V6.client, 40_001), at(V6.vip, 80), &body(3000));
    let sent = receive(&mut sim, &cut(&question, 1, ROOM), &[0, 1, 2]);
    // One packet too big; what follows it is of no use.
    assert_eq!(
        (sent.len(), sim.drops(DropReason::TooBig), sim.drops(DropReason::FragmentNoFirst)),
        (1, 1, 2)
    );
    assert_eq!((sent[0][54], &sent[0][58..62]), (2, &1280_u32.to_be_bytes()[..]));
    // IPv4 with DF, and its later fragments: no error about those (RFC 1812 4.3.2.7).
    let question = build::udp((DIRECTOR, CLIENT), at(V4.client, 40_001), at(V4.vip, 80), &body(3000));
    let whole: Vec<_> = cut(&question, 1, ROOM).into_iter().map(keep_whole).collect();
    let sent = receive(&mut sim, &whole, &[0, 1, 2]);
    assert_eq!((sent.len(), sim.drops(DropReason::TooBig)), (1, 2));
    assert_eq!((sent[0][34..36].to_vec(), &sent[0][40..42]), (vec![3, 4], &1280_u16.to_be_bytes()[..]));
}

/// Sets "do not fragment" in a fragment.
fn keep_whole(mut frame: Vec<u8>) -> Vec<u8> {
    let word = u16::from_be_bytes([frame[20], frame[21]]) | 0x4000;
    frame[20..22].copy_from_slice(&word.to_be_bytes());
    frame[24..26].fill(0);
    let sum = packet::checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Fragments that no service can mean go on without waiting for anything: to the host, or as through any router.
#[test]
fn row014_fragments_that_concern_no_service_need_no_first_one() {
    for names in [V4, V6] {
        let mut sim = world::sim(2);
        let mut snap = snapshot(2, Forwarding::FullNat, false);
        (snap.options.forward4, snap.options.forward6) = (true, true);
        publish(&mut sim, snap);
        sim.kernel = true;
        let own = cut(
            &build::udp((DIRECTOR, CLIENT), at(names.client, 1), at(names.own, 53), &body(3000)),
            1,
            ROOM,
        );
        assert!(receive(&mut sim, &own, &[2]).is_empty());
        assert_eq!(sim.lcores.iter().map(|lcore| lcore.traffic().kernel).sum::<u64>(), 1);
        let through =
            build::udp((DIRECTOR, CLIENT), at(names.client, 1), at(names.servers[0], 53), &body(3000));
        let sent = receive(&mut sim, &cut(&through, 1, ROOM), &[1]);
        let part = read(&sent[0]).expect("a fragment");
        assert_eq!((part.offset, part.id, &part.body[..]), (ROOM, 1, &body(3000)[ROOM - 8..2 * ROOM - 8]));
    }
}
