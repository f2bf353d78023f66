// SPDX-License-Identifier: Apache-2.0
//! Tunnels to real servers: every kind, either family inside and outside.
//!
//! ```text
//!   client ── packet ──> director ── outer header | packet ──> server, which unpacks it
//! ```

mod seen;

use engine::forward::Forwarding;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use etherparse::{Icmpv4Type, Icmpv6Type, IpHeaders, IpNumber, PacketHeaders, TransportHeader, UdpHeader};
use model::dest::TunnelCsum;
use model::{ConnState, Transport, TunnelKind};
use packet::build::{self, Segment};
use packet::checksum;
use seen::{SYN, from_client, see};

const GUE_PORT: u16 = 6080;

const KINDS: [TunnelKind; 6] = [
    TunnelKind::Ipip,
    TunnelKind::Gue { port: GUE_PORT, csum: TunnelCsum::None },
    TunnelKind::Gue { port: GUE_PORT, csum: TunnelCsum::Full },
    TunnelKind::Gue { port: GUE_PORT, csum: TunnelCsum::Remote },
    TunnelKind::Gre { csum: TunnelCsum::None },
    TunnelKind::Gre { csum: TunnelCsum::Full },
];

/// Bytes in front of the packet, without the outer IP header.
fn shim(kind: TunnelKind) -> u16 {
    match kind {
        TunnelKind::Ipip => 0,
        TunnelKind::Gue { .. } => 12,
        TunnelKind::Gre { csum: TunnelCsum::None } => 4,
        TunnelKind::Gre { .. } => 8,
    }
}

/// Services of `inside`, their servers reached at the first address of `outside`.
fn sim(kind: TunnelKind, inside: Names, outside: Names) -> Sim {
    let mut snap = world::snapshot();
    for dest in snap.dests.iter_mut().flatten() {
        (dest.forwarding, dest.addr) = (Forwarding::Tunnel(kind), at(outside.servers[0], 80));
    }
    assert!(snap.find_service(Transport::Udp, ip(inside.vip), 80).is_some());
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim
}

fn each(mut act: impl FnMut(TunnelKind, Names, Names)) {
    for kind in KINDS {
        for (inside, outside) in [(V4, V4), (V6, V6), (V6, V4), (V4, V6)] {
            act(kind, inside, outside);
        }
    }
}

/// What the server unpacks from a frame, the outer headers judged.
fn unpack(kind: TunnelKind, inside: Names, outside: Names, frame: &[u8]) -> Vec<u8> {
    assert_eq!(frame[..16], [&server_mac(1)[..], &DIRECTOR, &[0x81, 0, 0, 102]].concat());
    let (outer, rest) = IpHeaders::from_slice(&frame[18..]).expect("sound outer headers");
    let (src, dst) = match &outer {
        IpHeaders::Ipv4(h, _) => {
            assert_eq!(h.header_checksum, h.calc_header_checksum());
            assert_eq!((h.time_to_live, h.dont_fragment, h.dscp.value()), (64, true, 0x2e));
            (h.source.into(), std::net::IpAddr::from(h.destination))
        }
        IpHeaders::Ipv6(h, _) => {
            assert_eq!((h.hop_limit, h.traffic_class), (64, 0x2e << 2));
            (h.source.into(), h.destination.into())
        }
    };
    assert_eq!((src, dst), (ip(outside.laddr), ip(outside.servers[0])));
    let (inner_proto, inner_kind) = if inside.client == V4.client { (4, [8, 0]) } else { (41, [0x86, 0xdd]) };
    match kind {
        TunnelKind::Ipip => {
            assert_eq!(rest.ip_number, IpNumber(inner_proto));
            rest.payload.to_vec()
        }
        TunnelKind::Gue { csum, .. } => {
            assert_eq!(rest.ip_number, IpNumber::UDP);
            let (udp, body) = UdpHeader::from_slice(rest.payload).expect("a sound UDP header");
            let sum = match &outer {
                IpHeaders::Ipv4(h, _) => udp.calc_checksum_ipv4(h, body),
                IpHeaders::Ipv6(h, _) => udp.calc_checksum_ipv6(h, body),
            };
            let expected = if csum == TunnelCsum::Full { sum.expect("short enough") } else { 0 };
            assert_eq!((udp.destination_port, udp.checksum), (GUE_PORT, expected));
            assert_eq!(usize::from(udp.length), rest.payload.len());
            assert!(udp.source_port >= 49_152);
            assert_eq!(body[..4], [0, inner_proto, 0, 0]);
            body[4..].to_vec()
        }
        TunnelKind::Gre { csum } => {
            assert_eq!(rest.ip_number, IpNumber::GRE);
            assert_eq!(rest.payload[2..4], inner_kind);
            if csum == TunnelCsum::None {
                assert_eq!(rest.payload[..2], [0, 0]);
                return rest.payload[4..].to_vec();
            }
            assert_eq!((rest.payload[0], checksum::checksum(rest.payload)), (0x80, 0));
            rest.payload[8..].to_vec()
        }
    }
}

/// Marks a frame for expedited forwarding, so that the outer header has something to take over.
fn expedited(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [8, 0] {
        frame[15] = 0x2e << 2;
        frame[24..26].fill(0);
        let sum = checksum::checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        (frame[14], frame[15]) = (0x60 | 0x2e >> 2, (0x2e & 3) << 6);
    }
    frame
}

#[test]
fn row071_the_server_unpacks_what_the_client_sent() {
    each(|kind, inside, outside| {
        let mut sim = sim(kind, inside, outside);
        let (client, vip) = (at(inside.client, 40_000), at(inside.vip, 80));
        let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
        let frames = [
            from_client(client, vip, syn),
            build::udp((DIRECTOR, CLIENT), client, vip, b"odd"),
            build::udp((DIRECTOR, CLIENT), client, vip, &[7; 1000]),
        ];
        for frame in frames.map(expedited) {
            sim.receive(0, PORT, &frame);
            let sent = sim.sent_one();
            assert_eq!(unpack(kind, inside, outside, &sent), frame[14..], "{kind:?}");
        }
        let conn = sim.lcores[0].find_conn(Transport::Tcp, client, vip, sim.now).expect("it is open");
        assert_eq!(
            (conn.state, conn.client, conn.dest),
            (ConnState::SynRecv, client, at(outside.servers[0], 80))
        );
        assert_eq!(sim.conns(), 2);
    });
}

#[test]
fn packets_of_a_flow_keep_their_source_port_and_flows_differ() {
    let kind = TunnelKind::Gue { port: GUE_PORT, csum: TunnelCsum::None };
    let mut sim = sim(kind, V4, V4);
    let mut port = |cport| {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, cport), at(V4.vip, 80), b"q"));
        see(&sim.sent_one()).src.port()
    };
    let first = port(5000);
    assert_eq!(port(5000), first);
    let ports: std::collections::HashSet<u16> = (5001..5017).map(&mut port).collect();
    assert!(ports.len() > 12);
}

#[test]
fn row071_the_tunnels_own_bytes_count_for_the_mtu() {
    each(|kind, inside, outside| {
        let outer = if outside.client == V4.client { 20 } else { 40 };
        let room = 1500 - outer - shim(kind);
        let headers = if inside.client == V4.client { 28 } else { 48 };
        let frame = |len: u16| {
            let payload = vec![7; usize::from(len - headers)];
            build::udp((DIRECTOR, CLIENT), at(inside.client, 5353), at(inside.vip, 80), &payload)
        };
        let mut sim = sim(kind, inside, outside);
        sim.receive(0, PORT, &frame(room));
        assert_eq!(sim.sent_one().len(), 18 + 1500, "it just fits");
        sim.receive(0, PORT, &frame(room + 1));
        let answer = sim.sent_one();
        assert_eq!((sim.drops(DropReason::TooBig), &answer[..6]), (1, &CLIENT[..]));
        match PacketHeaders::from_ethernet_slice(&answer).expect("a sound frame").transport {
            Some(TransportHeader::Icmpv4(message)) => {
                let Icmpv4Type::DestinationUnreachable(
                    etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu },
                ) = message.icmp_type
                else {
                    panic!("{message:?}")
                };
                assert_eq!(next_hop_mtu, room);
            }
            Some(TransportHeader::Icmpv6(message)) => {
                assert_eq!(message.icmp_type, Icmpv6Type::PacketTooBig { mtu: u32::from(room) });
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn outer_ipv4_packets_are_cut_when_the_inner_one_may_be() {
    let mut sim = sim(TunnelKind::Ipip, V4, V4);
    let mut frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), &[7; 1472]);
    frame[20] = 0;
    frame[24..26].fill(0);
    let sum = checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    sim.receive(0, PORT, &frame);
    let parts = sim.sent();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [18 + 1500, 18 + 40]);
    let mut defrag = etherparse::defrag::IpDefragPool::<(), ()>::new();
    let mut whole = None;
    for part in &parts {
        let sliced = etherparse::SlicedPacket::from_ethernet(part).expect("a sound fragment");
        whole = defrag.process_sliced_packet(&sliced, (), ()).expect("fragments fit").or(whole);
    }
    assert_eq!(whole.expect("all parts are there").payload, frame[14..]);
}

#[test]
fn without_an_address_for_the_outer_header_packets_are_dropped() {
    let mut sim = sim(TunnelKind::Ipip, V4, V4);
    let mut snap = sim.snap.clone();
    snap.neighs.push((engine::ids::LinkId(1), ip(V4.servers[0]), server_mac(1)));
    snap.links[1].as_mut().expect("the VLAN").addrs.retain(|(addr, _)| addr.is_ipv6());
    sim.publish(snap);
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), b"q"));
    assert_eq!((sim.drops(DropReason::NoSource), sim.sent().len()), (1, 0));
}
