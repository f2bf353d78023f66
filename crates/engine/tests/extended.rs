// SPDX-License-Identifier: Apache-2.0
//! IPv4 options and IPv6 extension headers go through every forwarding mode as they came, both ways; between
//! families they are left out (RFC 7915 4.1 and 5.1).
//!
//! What is sent is made with the plain builders and an insertion; what is heard is judged by an independent decoder.

mod seen;

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{DestId, ServiceId};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::{Dest, Service};
use model::TunnelKind;
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
        snap.services.push(Some(Service {
            id: service,
            rule: Some(rule),
            dests: vec![dest],
            laddrs: Vec::new(),
            ..like
        }));
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
