// SPDX-License-Identifier: Apache-2.0
//! IPv4 options and IPv6 extension headers go through every forwarding mode as they came, both ways; between
//! families they are left out (RFC 7915 4.1 and 5.1).
//!
//! Fragments keep theirs too. Packets whose sender says by which routers they go are dropped; DPVS, which looks at no option, lets them pass.
//!
//! What is sent is made with the plain builders and an insertion; what is heard is judged by an independent decoder.

mod seen;

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{DestId, ServiceId};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::{Dest, Service};
use engine::verdict::DropReason;
use model::{Transport, TunnelKind};
use packet::build::{self, Segment};
use packet::checksum;
use seen::{ACK, SYN, Seen, see, tagged};

/// What stands between the fixed IP header and the transport: an IPv4 list with a router alert and a timestamp that is full, or IPv6
/// hop-by-hop and destination options, one of them unknown and to be skipped (RFC 8200 4.2).
fn extra(six: bool) -> &'static [u8] {
    match six {
        false => &[0x94, 4, 0, 0, 68, 8, 9, 0x30, 0, 0, 0, 7, 1, 1, 1, 0],
        true => &[60, 0, 5, 2, 0, 0, 1, 0, 0xee, 0, 0x1e, 4, 1, 2, 3, 4],
    }
}

/// The same packet with [`extra`] in it; the last extension header names what the fixed one did.
fn extended(mut frame: Vec<u8>) -> Vec<u8> {
    let six = frame[14] >> 4 == 6;
    let mut inserted = extra(six).to_vec();
    let at = if six { 54 } else { 34 };
    if six {
        inserted[8] = std::mem::replace(&mut frame[20], 0);
    }
    frame.splice(at..at, inserted);
    let total = (frame.len() - 14) as u16;
    if six {
        frame[18..20].copy_from_slice(&(total - 40).to_be_bytes());
    } else {
        frame[14] = 0x40 | ((20 + extra(false).len() as u8) / 4);
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        frame[24..26].fill(0);
        let sum = checksum::checksum(&frame[14..34 + extra(false).len()]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

/// What a frame's packet has between its fixed header and the transport, the number of the transport left out.
fn kept(frame: &[u8], l3: usize) -> Vec<u8> {
    let six = frame[l3] >> 4 == 6;
    let at = l3 + if six { 40 } else { 20 };
    let mut kept = frame[at..at + extra(six).len()].to_vec();
    if six {
        assert_eq!(frame[l3 + 6], 0, "hop-by-hop comes first");
        kept[8] = extra(true)[8];
    }
    kept
}

/// Where the IP header of a frame on the wire begins.
fn l3(frame: &[u8]) -> usize {
    if frame[12..14] == [0x81, 0] { 18 } else { 14 }
}

/// A frame that leaves with what came, decoded.
fn with_extra(frame: &[u8]) -> Seen {
    assert_eq!(kept(frame, l3(frame)), extra(frame[l3(frame)] >> 4 == 6));
    see(frame)
}

fn sim(forwarding: Forwarding) -> Sim {
    let mut snap = world::snapshot();
    for dest in snap.dests.iter_mut().flatten() {
        dest.forwarding = forwarding;
        dest.weight = u32::from(dest.id.0.is_multiple_of(2));
        if let Forwarding::Tunnel(_) = forwarding {
            dest.addr.set_port(80);
        }
    }
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim
}

/// A datagram and the three segments of a handshake, from a client.
fn requests(names: Names) -> [Vec<u8>; 3] {
    let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
    let segment = |seq, flags, payload| Segment { seq, ack: 5001, flags, payload, ..Segment::default() };
    [
        build::udp((DIRECTOR, CLIENT), client, vip, b"question"),
        build::tcp((DIRECTOR, CLIENT), client, vip, segment(1000, SYN, b"")),
        build::tcp((DIRECTOR, CLIENT), client, vip, segment(1001, ACK, b"hello")),
    ]
}

/// The answer to what a server heard.
fn answer(heard: &Seen) -> Vec<u8> {
    let macs = (DIRECTOR, heard.dst_mac);
    match &heard.tcp {
        None => build::udp(macs, heard.dst, heard.src, b"answer"),
        Some(tcp) => {
            let ack = tcp.sequence_number.wrapping_add(u32::from(tcp.syn) + heard.payload.len() as u32);
            let flags = if tcp.syn { SYN | ACK } else { ACK };
            let seq = if tcp.syn { 5000 } else { 5001 };
            build::tcp(macs, heard.dst, heard.src, Segment { seq, ack, flags, ..Segment::default() })
        }
    }
}

#[test]
fn address_translation_keeps_them_both_ways() {
    for names in [V4, V6] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
            let mut sim = sim(forwarding);
            for request in requests(names) {
                let sent = see(&request);
                sim.receive(0, PORT, &extended(request));
                let heard = with_extra(&sim.sent_one());
                let local = if forwarding == Forwarding::Nat { names.client } else { names.laddr };
                assert_eq!((heard.src.ip(), heard.dst), (ip(local), at(names.servers[0], 8080)));
                assert_eq!(heard.payload, sent.payload);
                sim.receive(0, PORT, &tagged(extended(answer(&heard))));
                let back = with_extra(&sim.sent_one());
                assert_eq!((back.src, back.dst), (at(names.vip, 80), at(names.client, 40_000)));
                if let Some(tcp) = &back.tcp {
                    assert_eq!(
                        tcp.acknowledgment_number,
                        sent.tcp().sequence_number + if tcp.syn { 1 } else { 5 }
                    );
                }
            }
            assert_eq!(sim.conns(), 2);
        }
    }
}

#[test]
fn direct_routing_and_tunnels_leave_the_packet_as_it_is() {
    for names in [V4, V6] {
        for (forwarding, outer) in [
            (Forwarding::DirectRouting, 0),
            (Forwarding::Tunnel(TunnelKind::Ipip), if names.client == V4.client { 20 } else { 40 }),
        ] {
            let mut sim = sim(forwarding);
            for request in requests(names) {
                let sent = extended(request);
                sim.receive(0, PORT, &sent);
                let heard = sim.sent_one();
                assert_eq!(heard[..6], server_mac(1));
                let (inner, came) = (&heard[18 + outer..], &sent[14..]);
                if outer == 0 {
                    assert_eq!(inner, came, "not a bit of it");
                    continue;
                }
                // Inside it is a hop older.
                let ttl = if names.client == V4.client { 8 } else { 7 };
                assert!(came[ttl] - inner[ttl] <= 1);
                assert_eq!(kept(&heard, 18 + outer), extra(names.client == V6.client));
                assert_eq!(inner[inner.len() - 8..], came[came.len() - 8..]);
            }
        }
    }
}

#[test]
fn hosts_that_reach_the_outside_keep_them() {
    for names in [V4, V6] {
        let mut snap = world::snapshot();
        let (service, dest) = (ServiceId(snap.services.len() as u32), DestId(snap.dests.len() as u32));
        let like = snap.services[1].clone().expect("a service of datagrams");
        snap.dests.push(Some(Dest {
            id: dest,
            generation: 1,
            service,
            addr: at(names.own, 0),
            forwarding: Forwarding::Snat,
            weight: 1,
            limit: None,
            check: None,
        }));
        let rule = Rule { six: names.client == V6.client, src: None, dst: None, iif: None, oif: None };
        for transport in [Transport::Udp, Transport::Tcp] {
            let service = ServiceId(snap.services.len() as u32);
            snap.services.push(Some(Service {
                id: service,
                transport,
                rule: Some(rule),
                dests: vec![dest],
                laddrs: Vec::new(),
                ..like.clone()
            }));
        }
        let mut sim = world::sim(1);
        sim.publish(snap.index());
        let (host, remote) = (at(names.servers[0], 5000), at(names.client, 53));
        let macs = (DIRECTOR, server_mac(1));
        sim.receive(0, PORT, &tagged(extended(build::udp(macs, host, remote, b"question"))));
        let out = with_extra(&sim.sent_one());
        assert_eq!((out.src.ip(), out.dst, &out.payload[..]), (ip(names.own), remote, &b"question"[..]));
        sim.receive(0, PORT, &extended(build::udp((DIRECTOR, CLIENT), remote, out.src, b"answer")));
        let back = with_extra(&sim.sent_one());
        assert_eq!((back.src, back.dst, &back.payload[..]), (remote, host, &b"answer"[..]));
        // In fragments, and as a connection of TCP.
        let body = [7; 80];
        for late_first in [false, true] {
            let asked = in_two(&extended(build::udp(macs, host, remote, &body))).map(tagged);
            let out = with_extra(&joined(&pass(&mut sim, &asked, late_first), 14));
            assert_eq!((out.src.ip(), out.dst, &out.payload[..]), (ip(names.own), remote, &body[..]));
            let answer = in_two(&extended(build::udp((DIRECTOR, CLIENT), remote, out.src, &body)));
            let back = with_extra(&joined(&pass(&mut sim, &answer, late_first), 18));
            assert_eq!((back.src, back.dst, &back.payload[..]), (remote, host, &body[..]));
        }
        let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
        sim.receive(0, PORT, &tagged(extended(build::tcp(macs, host, at(names.client, 443), syn))));
        let out = with_extra(&sim.sent_one());
        assert_eq!((out.src.ip(), out.tcp().sequence_number), (ip(names.own), 1000));
        let answer = Segment { seq: 5000, ack: 1001, flags: SYN | ACK, ..Segment::default() };
        let answer = build::tcp((DIRECTOR, CLIENT), at(names.client, 443), out.src, answer);
        sim.receive(0, PORT, &extended(answer));
        let back = with_extra(&sim.sent_one());
        assert_eq!((back.dst, back.tcp().acknowledgment_number), (host, 1001));
        // By routers of the host's choice nothing leaves.
        let way = if names.client == V4.client { ROUTES[0].to_vec() } else { routing(0, 1) };
        sim.receive(0, PORT, &tagged(routed(build::udp(macs, host, remote, b"question"), &way)));
        assert_eq!((sim.sent().len(), sim.drops(DropReason::SourceRoute)), (0, 1));
    }
}

#[test]
fn between_families_they_are_left_out() {
    for (clients, servers) in [(V6, V4), (V4, V6)] {
        let mut snap = world::snapshot();
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(clients.vip)) {
            svc.laddrs = vec![ip(servers.laddr)];
            for id in &svc.dests {
                let dest = snap.dests[id.index()].as_mut().expect("a server");
                dest.addr = at(servers.servers[0], 8080);
            }
        }
        let mut sim = world::sim(1);
        sim.publish(snap.index());
        for request in requests(clients) {
            let sent = see(&request);
            sim.receive(0, PORT, &extended(request));
            let frame = sim.sent_one();
            let heard = see(&frame);
            assert_eq!((heard.src.ip(), heard.dst), (ip(servers.laddr), at(servers.servers[0], 8080)));
            assert_eq!(heard.payload, sent.payload);
            let bare = |frame: &[u8]| match frame[l3(frame)] >> 4 {
                4 => frame[l3(frame)] & 15 == 5,
                _ => matches!(frame[l3(frame) + 6], 6 | 17),
            };
            assert!(bare(&frame));
            sim.receive(0, PORT, &tagged(extended(answer(&heard))));
            let frame = sim.sent_one();
            let back = see(&frame);
            assert!(bare(&frame));
            assert_eq!((back.src, back.dst), (at(clients.vip, 80), at(clients.client, 40_000)));
        }
    }
}

/// The packet in two fragments, cut at half of what may be cut: IPv4 options that are to be copied are in both (RFC 791 3.1), hop-by-hop
/// options too, and destination options are a part of the datagram (RFC 8200 4.5).
fn in_two(frame: &[u8]) -> [Vec<u8>; 2] {
    let six = frame[14] >> 4 == 6;
    let from = if six { 54 + 8 } else { 34 + extra(false).len() };
    let half = (frame.len() - from) / 16 * 8;
    [(0, half), (half, frame.len() - from)].map(|(start, end)| {
        let more = u16::from(start == 0);
        let mut out = frame[..from].to_vec();
        if six {
            let next = std::mem::replace(&mut out[54], 44);
            out.extend([next, 0]);
            out.extend((start as u16 | more).to_be_bytes());
            out.extend([0xde, 0xad, 0, 1]);
        } else {
            if start != 0 {
                out.truncate(38);
                out[14] = 0x46;
            }
            out[18..20].copy_from_slice(&[0xbe, 0xef]);
            out[20..22].copy_from_slice(&((start as u16 / 8) | (more << 13)).to_be_bytes());
        }
        out.extend(&frame[from + start..from + end]);
        let total = (out.len() - 14) as u16;
        let (at, len) = if six { (18, total - 40) } else { (16, total) };
        out[at..at + 2].copy_from_slice(&len.to_be_bytes());
        if !six {
            let len = usize::from(out[14] & 15) * 4;
            out[24..26].fill(0);
            let sum = checksum::checksum(&out[14..14 + len]);
            out[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        out
    })
}

/// The packet that two such fragments make, their IP headers beginning at `l3`.
fn joined(frames: &[Vec<u8>], l3: usize) -> Vec<u8> {
    let [first, last] = frames else { panic!("two fragments: {}", frames.len()) };
    let word = |frame: &[u8], at: usize| u16::from_be_bytes([frame[l3 + at], frame[l3 + at + 1]]);
    let mut whole = first.clone();
    if first[l3] >> 4 == 6 {
        assert_eq!((first[l3 + 40], last[l3 + 40], first[l3 + 48 + 1]), (44, 44, 0));
        assert_eq!(first[l3 + 52..l3 + 56], last[l3 + 52..l3 + 56]);
        let half = first.len() - l3 - 56;
        assert_eq!((word(first, 50), word(last, 50)), (1, half as u16));
        whole[l3 + 40] = first[l3 + 48];
        whole.drain(l3 + 48..l3 + 56);
        whole.extend(&last[l3 + 56..]);
        let len = (whole.len() - l3 - 40) as u16;
        whole[l3 + 4..l3 + 6].copy_from_slice(&len.to_be_bytes());
        return whole;
    }
    let fixed = 20 + extra(false).len();
    assert_eq!((first[l3], last[l3], word(first, 4)), (0x49, 0x46, word(last, 4)));
    assert_eq!(last[l3 + 20..l3 + 24], extra(false)[..4]);
    assert_eq!(checksum::checksum(&last[l3..l3 + 24]), 0);
    assert_eq!((word(first, 6), word(last, 6)), (0x2000, ((first.len() - l3 - fixed) / 8) as u16));
    whole.extend(&last[l3 + 24..]);
    let total = (whole.len() - l3) as u16;
    whole[l3 + 2..l3 + 4].copy_from_slice(&total.to_be_bytes());
    for gone in [4, 5, 6, 7, 10, 11] {
        whole[l3 + gone] = 0;
    }
    let sum = checksum::checksum(&whole[l3..l3 + fixed]);
    whole[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
    whole
}

/// What leaves when these arrive, in the order of their places.
fn pass(sim: &mut Sim, frames: &[Vec<u8>; 2], late_first: bool) -> Vec<Vec<u8>> {
    let order = if late_first { [1, 0] } else { [0, 1] };
    order.iter().for_each(|&n| sim.receive(0, PORT, &frames[n]));
    let mut sent = sim.sent();
    sent.sort_by_key(|frame| {
        let at = l3(frame);
        if frame[at] >> 4 == 6 { frame[at + 51] & 1 == 0 } else { frame[at + 6] & 0x20 == 0 }
    });
    sent
}

#[test]
fn fragments_keep_them_both_ways() {
    let body = [7; 80];
    for (names, late_first) in [(V4, false), (V4, true), (V6, false), (V6, true)] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting] {
            let mut sim = sim(forwarding);
            // Everybody knows everybody.
            sim.receive(
                0,
                PORT,
                &build::udp((DIRECTOR, CLIENT), at(names.client, 9), at(names.vip, 80), b"q"),
            );
            sim.sent();
            let asked = build::udp((DIRECTOR, CLIENT), at(names.client, 40_000), at(names.vip, 80), &body);
            let sent = pass(&mut sim, &in_two(&extended(asked)), late_first);
            let heard = with_extra(&joined(&sent, 18));
            assert_eq!((heard.dst_mac, &heard.payload[..]), (server_mac(1), &body[..]));
            if forwarding == Forwarding::DirectRouting {
                assert_eq!(heard.dst, at(names.vip, 80));
                continue;
            }
            assert_eq!(heard.dst, at(names.servers[0], 8080));
            let answer = build::udp((DIRECTOR, heard.dst_mac), heard.dst, heard.src, &body);
            let sent = pass(&mut sim, &in_two(&extended(answer)).map(tagged), late_first);
            let back = with_extra(&joined(&sent, 14));
            assert_eq!(
                (back.src, back.dst, &back.payload[..]),
                (at(names.vip, 80), at(names.client, 40_000), &body[..])
            );
        }
        let mut sim = sim(Forwarding::Tunnel(TunnelKind::Ipip));
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, b"q"));
        sim.sent();
        let asked = extended(build::udp((DIRECTOR, CLIENT), client, vip, &body));
        let outer = if names.client == V4.client { 20 } else { 40 };
        let mut inner: Vec<Vec<u8>> = Vec::new();
        for part in in_two(&asked) {
            sim.receive(0, PORT, &part);
            let frame = sim.sent_one();
            assert_eq!(frame[..6], server_mac(1));
            inner.push([&frame[..18], &frame[18 + outer..]].concat());
        }
        let heard = with_extra(&joined(&inner, 18));
        assert_eq!((heard.src, heard.dst, &heard.payload[..]), (client, vip, &body[..]));
    }
}

/// A fragment header on a whole packet (RFC 6946) is an extension header like others.
#[test]
fn a_fragment_header_on_a_whole_packet_is_kept_both_ways() {
    let atomic = |frame: Vec<u8>| {
        let mut frame = routed(frame, &[0, 0, 0, 0, 0xde, 0xad, 0, 1]);
        frame[20] = 44;
        frame
    };
    let kept = |frame: &[u8]| {
        let at = l3(frame);
        assert_eq!((frame[at + 6], &frame[at + 41..at + 48]), (44, &[0, 0, 0, 0xde, 0xad, 0, 1][..]));
        see(frame)
    };
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        let mut sim = sim(forwarding);
        for request in requests(V6) {
            sim.receive(0, PORT, &atomic(request));
            let heard = kept(&sim.sent_one());
            assert_eq!(heard.dst, at(V6.servers[0], 8080));
            sim.receive(0, PORT, &tagged(atomic(answer(&heard))));
            let back = kept(&sim.sent_one());
            assert_eq!((back.src, back.dst), (at(V6.vip, 80), at(V6.client, 40_000)));
        }
        assert_eq!(sim.conns(), 2);
    }
}

/// IPv4 options that say where a packet goes, loose and strict, at the end of the list or before others.
const ROUTES: [&[u8]; 3] =
    [&[131, 7, 4, 10, 1, 0, 9, 0], &[1, 137, 7, 4, 10, 1, 0, 9], &[0x94, 4, 0, 0, 131, 7, 8, 10, 1, 0, 9, 0]];

/// With options or a routing header in front of the transport.
fn routed(mut frame: Vec<u8>, inserted: &[u8]) -> Vec<u8> {
    let six = frame[14] >> 4 == 6;
    let mut inserted = inserted.to_vec();
    if six {
        inserted[0] = std::mem::replace(&mut frame[20], 43);
    } else {
        frame[14] += (inserted.len() / 4) as u8;
    }
    let at = if six { 54 } else { 34 };
    let len = inserted.len();
    frame.splice(at..at, inserted);
    let total = (frame.len() - 14) as u16;
    let (at, total) = if six { (18, total - 40) } else { (16, total) };
    frame[at..at + 2].copy_from_slice(&total.to_be_bytes());
    if !six {
        frame[24..26].fill(0);
        let sum = checksum::checksum(&frame[14..34 + len]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

/// A routing header of one stop.
fn routing(kind: u8, left: u8) -> Vec<u8> {
    [&[0, 2, kind, left, 0, 0, 0, 0, 0xfd, 9][..], &[0; 13], &[9]].concat()
}

#[test]
fn packets_that_say_by_which_routers_they_go_are_dropped() {
    let modes = [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting];
    for forwarding in modes.into_iter().chain([Forwarding::Tunnel(TunnelKind::Ipip)]) {
        for names in [V4, V6] {
            let mut sim = sim(forwarding);
            let mut before = 0;
            for request in requests(names) {
                let ways: Vec<Vec<u8>> = match names.client == V4.client {
                    true => ROUTES.iter().map(|way| way.to_vec()).collect(),
                    false => vec![routing(0, 1)],
                };
                for way in ways {
                    sim.receive(0, PORT, &routed(request.clone(), &way));
                    before += 1;
                    assert_eq!((sim.sent().len(), sim.drops(DropReason::SourceRoute)), (0, before));
                }
            }
            assert_eq!(sim.conns(), 0);
            // A record of the way is no order, a way that has been gone is none any more, and segment routing is the server's to judge.
            let harmless = match names.client == V4.client {
                true => vec![vec![7, 7, 4, 0, 0, 0, 0, 0]],
                false => vec![routing(0, 0), routing(4, 1)],
            };
            for way in harmless {
                sim.receive(0, PORT, &routed(requests(names)[0].clone(), &way));
                assert_eq!(sim.sent().len(), 1);
            }
        }
    }
}

/// IPv4 has no word for any of them (RFC 7915 5.1).
#[test]
fn no_route_by_stops_crosses_to_ipv4() {
    let mut snap = world::snapshot();
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(V6.vip)) {
        svc.laddrs = vec![ip(V4.laddr)];
        for id in &svc.dests {
            snap.dests[id.index()].as_mut().expect("a server").addr = at(V4.servers[0], 8080);
        }
    }
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    let asked = || requests(V6)[0].clone();
    for (kind, left, sent) in [(0, 1, 0), (4, 1, 0), (4, 0, 1), (0, 0, 1)] {
        let before = sim.drops(DropReason::SourceRoute);
        sim.receive(0, PORT, &routed(asked(), &routing(kind, left)));
        let dropped = sim.drops(DropReason::SourceRoute) - before;
        assert_eq!((sim.sent().len(), dropped), (sent, 1 - sent as u64), "type {kind}, {left} left");
    }
    // Nor in fragments.
    let asked = build::udp((DIRECTOR, CLIENT), at(V6.client, 40_000), at(V6.vip, 80), &[7; 80]);
    for (left, passed) in [(1, 0), (0, 2)] {
        for (id, order) in [(1, [0, 1]), (2, [1, 0])] {
            let parts = seen::parts::cut(&asked, id + u32::from(left) * 8, 48);
            let before = sim.drops(DropReason::SourceRoute);
            for n in order {
                sim.receive(0, PORT, &routed(parts[n].clone(), &routing(4, left)));
            }
            assert_eq!((sim.sent().len(), sim.drops(DropReason::SourceRoute) > before), (passed, left == 1));
        }
    }
}
