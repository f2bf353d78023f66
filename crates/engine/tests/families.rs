// SPDX-License-Identifier: Apache-2.0
//! Clients of one family, servers of the other: FULLNAT with another IP header.

mod seen;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use etherparse::{Icmpv4Type, Icmpv6Type, PacketHeaders, TransportHeader};
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use packet::{checksum, ipv6};
use proptest::prelude::*;
use seen::{ACK, SYN, from_client, see, tagged};

/// IPv6 clients before IPv4 servers, and the other way round.
const WAYS: [(Names, Names); 2] = [(V6, V4), (V4, V6)];

fn sim(workers: u16, clients: Names, servers: Names) -> Sim {
    let mut snap = world::snapshot();
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(clients.vip)) {
        svc.laddrs = vec![ip(servers.laddr)];
        for id in &svc.dests {
            snap.dests[id.index()].as_mut().expect("it is there").addr = at(servers.servers[0], 8080);
        }
    }
    let mut sim = world::sim(workers);
    sim.publish(snap.index());
    sim
}

#[test]
fn row074_a_tcp_connection_crosses_families_in_both_directions() {
    for (clients, servers) in WAYS {
        for (workers, client_at, server_at) in [(1, 0, 0), (2, 0, 1), (2, 1, 0)] {
            let mut sim = sim(workers, clients, servers);
            let (client, vip, server) =
                (at(clients.client, 40_000), at(clients.vip, 80), at(servers.servers[0], 8080));
            let options = [2, 4, 5, 0xa0, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
            let syn = Segment { seq: 1000, flags: SYN, options: &options, ..Segment::default() };
            sim.receive(client_at, PORT, &from_client(client, vip, syn));
            let there = see(&sim.sent_one());
            assert_eq!((there.src.ip(), there.dst), (ip(servers.laddr), server));
            assert_eq!((there.dst_mac, there.vlan, there.ttl), (server_mac(1), Some(102), 63));
            assert_eq!(there.options()[..6], options[..6]);
            assert_eq!(there.options()[6..16], [1; 10], "no timestamps towards the server");
            let isn = there.tcp().sequence_number;

            let answer =
                Segment { seq: 5000, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() };
            sim.receive(
                server_at,
                PORT,
                &tagged(build::tcp((DIRECTOR, server_mac(1)), server, there.src, answer)),
            );
            let back = see(&sim.sent_one());
            assert_eq!(
                (back.src, back.dst, back.dst_mac, back.vlan, back.ttl),
                (vip, client, CLIENT, None, 63)
            );
            assert_eq!((back.tcp().sequence_number, back.tcp().acknowledgment_number), (5000, 1001));

            let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"hello", ..Segment::default() };
            sim.receive(client_at, PORT, &from_client(client, vip, data));
            let there = see(&sim.sent_one());
            assert_eq!(
                (there.tcp().sequence_number, &there.payload[..]),
                (isn.wrapping_add(1), &b"hello"[..])
            );
            let conn = sim.lcores.iter().find_map(|l| l.find_conn(Transport::Tcp, client, vip, sim.now));
            let conn = conn.expect("it is open");
            assert_eq!((conn.state, conn.client, conn.dest), (ConnState::Established, client, server));
            assert_eq!(conn.local.ip(), ip(servers.laddr));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn row074_datagrams_cross_with_right_checksums(payload in proptest::collection::vec(any::<u8>(), 0..1400), cport in 1u16.., class: u8) {
        for (clients, servers) in WAYS {
            let mut sim = sim(1, clients, servers);
            let (client, vip) = (at(clients.client, cport), at(clients.vip, 80));
            let mut frame = build::udp((DIRECTOR, CLIENT), client, vip, &payload);
            if client.is_ipv6() {
                (frame[14], frame[15]) = (0x60 | class >> 4, class << 4);
            } else {
                frame[15] = class;
                frame[24..26].fill(0);
                let sum = checksum::checksum(&frame[14..34]);
                frame[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            sim.receive(0, PORT, &frame);
            let sent = sim.sent_one();
            let there = see(&sent);
            let kept = if client.is_ipv6() { sent[19] } else { sent[18] << 4 | sent[19] >> 4 };
            prop_assert_eq!((kept, &there.payload), (class, &payload));
            sim.receive(0, PORT, &tagged(build::udp((DIRECTOR, there.dst_mac), there.dst, there.src, &payload)));
            let back = see(&sim.sent_one());
            prop_assert_eq!((back.src, back.dst, back.payload), (vip, client, payload.clone()));
        }
    }
}

#[test]
fn a_missing_checksum_is_made_on_the_way_to_ipv6() {
    let mut sim = sim(1, V4, V6);
    let mut frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), b"odd");
    frame[40..42].fill(0);
    sim.receive(0, PORT, &frame);
    let sent = sim.sent_one();
    assert_ne!(sent[18 + 40 + 6..18 + 40 + 8], [0, 0]);
    assert_eq!(see(&sent).payload, b"odd");
}

#[test]
fn extension_headers_end_at_the_director() {
    let mut sim = sim(1, V6, V4);
    let mut frame = build::udp((DIRECTOR, CLIENT), at(V6.client, 5353), at(V6.vip, 80), b"odd");
    // Destination options that say nothing: eight bytes of padding.
    frame.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
    (frame[18], frame[19], frame[20]) = (0, 19, ipv6::extension::DESTINATION);
    sim.receive(0, PORT, &frame);
    let sent = sim.sent_one();
    assert_eq!((see(&sent).payload.as_slice(), sent.len()), (&b"odd"[..], 18 + 20 + 8 + 3));
}

#[test]
fn who_sends_too_much_hears_what_fits_with_the_other_header() {
    let client = build::udp((DIRECTOR, CLIENT), at(V6.client, 5353), at(V6.vip, 80), &[7; 1433]);
    let mut sim = sim(1, V6, V4);
    let mut snap = sim.snap.clone();
    snap.links[1].as_mut().expect("the VLAN").mtu = 1400;
    sim.publish(snap);
    // 1481 bytes with an IPv6 header, 1461 with IPv4's.
    sim.receive(0, PORT, &client);
    let answer = sim.sent_one();
    let Some(TransportHeader::Icmpv6(message)) =
        PacketHeaders::from_ethernet_slice(&answer).expect("a sound frame").transport
    else {
        panic!("ICMPv6")
    };
    assert_eq!(message.icmp_type, Icmpv6Type::PacketTooBig { mtu: 1420 });
    // What just fits goes.
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V6.client, 5353), at(V6.vip, 80), &[7; 1372]));
    let there = sim.sent_one();
    assert_eq!(there.len(), 18 + 1400);
    // The server's own network takes more than the client's.
    let seen = see(&there);
    let mut snap = sim.snap.clone();
    snap.links[1].as_mut().expect("the VLAN").mtu = 1500;
    sim.publish(snap);
    let answer = build::udp((DIRECTOR, seen.dst_mac), seen.dst, seen.src, &[7; 1453]);
    sim.receive(0, PORT, &tagged(answer));
    let answer = sim.sent_one();
    let Some(TransportHeader::Icmpv4(message)) =
        PacketHeaders::from_ethernet_slice(&answer).expect("a sound frame").transport
    else {
        panic!("ICMP")
    };
    let Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded {
        next_hop_mtu,
    }) = message.icmp_type
    else {
        panic!("{message:?}")
    };
    assert_eq!((next_hop_mtu, sim.drops(DropReason::TooBig)), (1480, 2));
}

#[test]
fn a_full_buffer_in_front_is_a_named_drop() {
    let mut sim = sim(1, V4, V6);
    let bytes = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), b"q");
    let mut frame = packet::Frame::new(&bytes);
    while packet::Buffer::prepend(&mut frame, 1).is_some() {}
    let taken = packet::Frame::ROOM;
    packet::Buffer::data_mut(&mut frame).rotate_left(taken);
    assert!(packet::Buffer::trim(&mut frame, taken));
    sim.receive_frame(0, PORT, frame);
    assert_eq!((sim.drops(DropReason::NoHeadroom), sim.sent().len()), (1, 0));
}
