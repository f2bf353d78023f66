// SPDX-License-Identifier: Apache-2.0
//! The director's own stack on virtual time: neighbours, VLAN tags, echo, errors, forwarding.

mod seen;

use engine::ids::LinkId;
use engine::link::RxCsum;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use etherparse::{Icmpv4Type, Icmpv6Type, NetHeaders, PacketHeaders, TransportHeader};
use packet::build::{self, Segment};
use packet::{arp, checksum, ether, icmp, ipv6, nd, proto};
use seen::{SYN, from_client, see, tagged};

fn arp_frame(operation: arp::Operation, sender: &str, target: &str) -> Vec<u8> {
    let v4 = |text: &str| text.parse::<std::net::Ipv4Addr>().expect("a literal address").to_bits();
    let mut frame = vec![0; 14 + arp::LEN];
    let to = if operation == arp::Operation::Request { ether::BROADCAST } else { DIRECTOR };
    ether::write(&mut frame, to, CLIENT, None, ether::ARP);
    let packet = arp::Packet {
        operation,
        sender_mac: CLIENT,
        sender: v4(sender),
        target_mac: [0; 6],
        target: v4(target),
    };
    packet.emit(&mut frame[14..]).expect("28 bytes");
    frame
}

fn solicitation(src: &str, target: &str, hop_limit: u8) -> Vec<u8> {
    let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("a literal address").to_bits();
    let (src, target) = (v6(src), v6(target));
    let group = ipv6::solicited_node(target);
    let mut frame = vec![0; 14 + ipv6::LEN + nd::LEN];
    ether::write(&mut frame, ipv6::multicast_mac(group), CLIENT, None, ether::IPV6);
    let header = ipv6::Repr { src, dst: group, next_header: proto::ICMPV6, hop_limit, payload_len: nd::LEN };
    header.emit(&mut frame[14..]).expect("40 bytes");
    let message = nd::Message { kind: nd::Kind::Solicitation, target, mac: Some(CLIENT) };
    message.emit(&mut frame[54..], src, group).expect("32 bytes");
    frame
}

fn syn(names: world::Names, cport: u16) -> Vec<u8> {
    from_client(at(names.client, cport), at(names.vip, 80), Segment { flags: SYN, ..Segment::default() })
}

/// Type and body of the ICMP message in a frame, its checksum judged.
fn icmp4(frame: &[u8]) -> (Icmpv4Type, Vec<u8>) {
    let parsed = PacketHeaders::from_ethernet_slice(frame).expect("a frame etherparse accepts");
    let Some(NetHeaders::Ipv4(header, _)) = &parsed.net else { panic!("IPv4") };
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    let Some(TransportHeader::Icmpv4(message)) = &parsed.transport else { panic!("ICMP") };
    assert_eq!(message.checksum, message.icmp_type.calc_checksum(parsed.payload.slice()));
    (message.icmp_type.clone(), parsed.payload.slice().to_vec())
}

fn icmp6(frame: &[u8]) -> (Icmpv6Type, Vec<u8>) {
    let parsed = PacketHeaders::from_ethernet_slice(frame).expect("a frame etherparse accepts");
    let Some(NetHeaders::Ipv6(header, _)) = &parsed.net else { panic!("IPv6") };
    let Some(TransportHeader::Icmpv6(message)) = &parsed.transport else { panic!("ICMPv6") };
    let payload = parsed.payload.slice();
    let sum =
        message.icmp_type.calc_checksum(header.source, header.destination, payload).expect("short enough");
    assert_eq!(message.checksum, sum);
    (message.icmp_type, payload.to_vec())
}

#[test]
fn questions_for_own_addresses_are_answered_and_others_are_not() {
    let mut sim = world::sim(1);
    for own in [V4.own, V4.vip] {
        sim.receive(0, PORT, &arp_frame(arp::Operation::Request, V4.client, own));
        let answer = sim.sent_one();
        assert_eq!(answer[..14], [&CLIENT[..], &DIRECTOR, &[8, 6]].concat());
        let packet = arp::Packet::parse(&answer[14..]).expect("ARP");
        assert_eq!((packet.operation, packet.sender_mac), (arp::Operation::Reply, DIRECTOR));
    }
    // The local address is on the VLAN: untagged, nobody is asked.
    for other in ["10.1.0.77", V4.laddr] {
        sim.receive(0, PORT, &arp_frame(arp::Operation::Request, V4.client, other));
        assert!(sim.sent().is_empty());
    }
    assert_eq!(sim.drops(DropReason::Arp), 2);
}

#[test]
fn questions_in_a_vlan_are_answered_in_it() {
    let mut sim = world::sim(1);
    let mut frame = arp_frame(arp::Operation::Request, V4.servers[0], V4.laddr);
    frame.splice(12..12, [0x81, 0x00, 0, 102]);
    sim.receive(0, PORT, &frame);
    let answer = sim.sent_one();
    assert_eq!(answer[12..18], [0x81, 0x00, 0, 102, 8, 6]);
    frame[15] = 103;
    sim.receive(0, PORT, &frame);
    assert_eq!(sim.drops(DropReason::UnknownVlan), 1);
}

#[test]
fn solicitations_are_answered_by_the_rules_of_rfc_4861() {
    let mut sim = world::sim(1);
    sim.receive(0, PORT, &solicitation(V6.client, V6.vip, 255));
    let answer = sim.sent_one();
    assert_eq!(answer[..6], CLIENT);
    let message = nd::Message::parse(&answer[54..]).expect("neighbour discovery");
    assert_eq!(message.kind, nd::Kind::Advertisement { solicited: true, overrides: true });
    assert_eq!(message.mac, Some(DIRECTOR));
    icmp6(&answer);
    // A duplicate address probe is answered to everybody.
    sim.receive(0, PORT, &solicitation("::", V6.vip, 255));
    let answer = sim.sent_one();
    assert_eq!(answer[..6], [0x33, 0x33, 0, 0, 0, 1]);
    sim.receive(0, PORT, &solicitation(V6.client, V6.vip, 254));
    sim.receive(0, PORT, &solicitation(V6.client, "fd01::77", 255));
    assert!(sim.sent().is_empty());
    assert_eq!(
        sim.drops(DropReason::NeighbourDiscovery),
        2,
        "one crossed a router, one asked for somebody else"
    );
}

#[test]
fn packets_wait_for_a_silent_neighbour_and_are_given_up() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        sim.stations.clear();
        for n in 0..3 {
            sim.receive(0, PORT, &syn(names, 40_000 + 2 * n));
        }
        assert_eq!(sim.lcores[0].held(), 3);
        let asked = sim.sent();
        assert_eq!(asked.len(), 2, "one question for each server");
        sim.pass(8_000);
        assert_eq!(
            sim.sent().len(),
            7,
            "two more questions for each, three for the client, who was to hear of it"
        );
        assert_eq!((sim.lcores[0].held(), sim.drops(DropReason::NeighUnreachable)), (0, 6));
    }
}

#[test]
fn waiting_packets_leave_in_order_when_the_neighbour_answers_any_worker() {
    let mut sim = world::sim(2);
    let station = sim.stations.remove(&ip(V4.servers[1])).expect("it is a station");
    for n in 0..3 {
        let frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), &[n]);
        sim.receive(1, PORT, &frame);
    }
    assert_eq!((sim.lcores[1].held(), sim.sent().len()), (3, 1));
    let mut answer = arp_frame(arp::Operation::Reply, V4.servers[1], V4.laddr);
    answer[6..12].copy_from_slice(&station);
    answer[22..28].copy_from_slice(&station);
    sim.receive(0, PORT, &tagged(answer));
    let sent: Vec<_> = sim.sent().iter().map(|frame| see(frame)).collect();
    assert_eq!(sent.iter().map(|s| s.payload[0]).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(sent.iter().all(|s| s.dst_mac == station && s.vlan == Some(102)));
}

#[test]
fn too_many_waiting_packets_are_dropped() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.options.neigh_queue = 2;
    sim.publish(snap);
    sim.stations.clear();
    for n in 0..5 {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), &[n]));
    }
    assert_eq!((sim.lcores[0].held(), sim.drops(DropReason::NeighQueueFull)), (2, 3));
}

#[test]
fn nobody_may_speak_for_our_addresses_or_change_entries_made_by_hand() {
    let mut sim = world::sim(1);
    sim.receive(0, PORT, &arp_frame(arp::Operation::Request, V4.vip, V4.vip));
    assert_eq!(sim.drops(DropReason::Arp), 1);
    let mut snap = sim.snap.clone();
    snap.neighs.push((LinkId(0), ip("10.1.0.9"), [2, 0, 0, 0, 0, 9]));
    sim.publish(snap);
    sim.receive(0, PORT, &arp_frame(arp::Operation::Request, "10.1.0.9", V4.own));
    let entry = sim.lcores[0].neighbours().find(|n| n.addr == ip("10.1.0.9")).expect("entered above");
    assert_eq!((entry.mac, entry.fixed), (Some([2, 0, 0, 0, 0, 9]), true));
}

#[test]
fn announcements_tell_everybody() {
    let mut sim = world::sim(1);
    sim.announce(0, LinkId(0), ip(V4.vip));
    let frame = sim.sent_one();
    assert_eq!(frame[..6], ether::BROADCAST);
    let packet = arp::Packet::parse(&frame[14..]).expect("ARP");
    assert_eq!((packet.sender, packet.target, packet.sender_mac), (packet.target, packet.sender, DIRECTOR));
    sim.announce(0, LinkId(1), ip(V6.laddr));
    let frame = sim.sent_one();
    assert_eq!((&frame[..6], &frame[12..16]), (&[0x33, 0x33, 0, 0, 0, 1][..], &[0x81, 0, 0, 102][..]));
}

#[test]
fn own_addresses_answer_echo_and_others_do_not() {
    for (names, own) in [(V4, V4.own), (V4, V4.vip), (V6, V6.own), (V6, V6.vip)] {
        let mut sim = world::sim(1);
        let frame = build::echo((DIRECTOR, CLIENT), ip(names.client), ip(own), 77, 3, b"payload");
        sim.receive(0, PORT, &frame);
        let answer = sim.sent_one();
        assert_eq!(answer[..12], [CLIENT, DIRECTOR].concat());
        let payload = if ip(own).is_ipv4() {
            let (kind, payload) = icmp4(&answer);
            assert!(matches!(kind, Icmpv4Type::EchoReply(h) if (h.id, h.seq) == (77, 3)), "{kind:?}");
            payload
        } else {
            let (kind, payload) = icmp6(&answer);
            assert!(matches!(kind, Icmpv6Type::EchoReply(h) if (h.id, h.seq) == (77, 3)), "{kind:?}");
            payload
        };
        assert_eq!(payload, b"payload");
        let mut broken = frame.clone();
        *broken.last_mut().expect("it has bytes") ^= 1;
        sim.receive(0, PORT, &broken);
        assert_eq!((sim.sent().len(), sim.drops(DropReason::L4Checksum)), (0, 1));
    }
    let mut sim = world::sim(1);
    sim.receive(0, PORT, &build::echo((DIRECTOR, CLIENT), ip(V4.client), ip("10.2.0.1"), 77, 3, b""));
    assert_eq!(sim.drops(DropReason::NotForwarding), 1);
}

#[test]
fn icmp_16_a_packet_at_its_last_hop_is_answered_with_time_exceeded() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let mut frame = syn(names, 40_000);
        if names.client == V4.client {
            frame[22] = 1;
            frame[24..26].fill(0);
            let sum = checksum::checksum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        } else {
            frame[21] = 1;
        }
        sim.receive(0, PORT, &frame);
        let answer = sim.sent_one();
        assert_eq!(sim.drops(DropReason::Ttl), 1);
        let (quoted, start) = if names.client == V4.client {
            let (kind, quoted) = icmp4(&answer);
            assert!(matches!(kind, Icmpv4Type::TimeExceeded(_)), "{kind:?}");
            assert_eq!(answer[26..30], [10, 1, 0, 100], "from the address the packet was for");
            (quoted, 14)
        } else {
            let (kind, quoted) = icmp6(&answer);
            assert!(matches!(kind, Icmpv6Type::TimeExceeded(_)), "{kind:?}");
            (quoted, 14)
        };
        assert_eq!(quoted, frame[start..], "the packet as the client sent it");
    }
}

#[test]
fn row075_the_ttl_stays_where_it_is_not_to_be_counted_down() {
    for names in [V4, V6] {
        for (counted, left) in [(false, 64), (true, 63)] {
            let mut sim = world::sim(1);
            let mut snap = sim.snap.clone();
            snap.options.xmit_ttl = counted;
            sim.publish(snap);
            sim.receive(0, PORT, &syn(names, 40_000));
            assert_eq!(see(&sim.sent_one()).ttl, left);
        }
    }
}

fn with_small_mtu() -> Sim {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.links[1].as_mut().expect("the VLAN").mtu = 1280;
    sim.publish(snap);
    sim
}

#[test]
fn a_packet_too_long_for_the_next_hop_is_answered_with_its_mtu() {
    for names in [V4, V6] {
        let mut sim = with_small_mtu();
        let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.vip, 80), &[7; 1300]);
        sim.receive(0, PORT, &frame);
        let answer = sim.sent_one();
        assert_eq!(sim.drops(DropReason::TooBig), 1);
        if names.client == V4.client {
            let (kind, quoted) = icmp4(&answer);
            let mtu = |h: &etherparse::icmpv4::DestUnreachableHeader| {
                matches!(
                    h,
                    etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1280 }
                )
            };
            assert!(matches!(kind, Icmpv4Type::DestinationUnreachable(ref h) if mtu(h)), "{answer:02x?}");
            assert_eq!(quoted, frame[14..14 + 548]);
        } else {
            let (kind, _) = icmp6(&answer);
            assert!(matches!(kind, Icmpv6Type::PacketTooBig { mtu: 1280 }), "{kind:?}");
        }
    }
}

#[test]
fn a_long_packet_that_may_be_cut_is_cut() {
    let mut sim = with_small_mtu();
    let payload: Vec<u8> = (0..1300u16).map(|n| n as u8).collect();
    let frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), &payload);
    // The first finds the neighbour.
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), b""));
    sim.sent();
    sim.receive(0, PORT, &without_df(frame));
    let parts = sim.sent();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [18 + 1276, 18 + 72]);
    assert_eq!(reassembled(&parts)[8..], payload);
}

#[test]
fn forwarding_is_off_until_it_is_switched_on() {
    for names in [V4, V6] {
        let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.servers[0], 53), b"q");
        let mut sim = world::sim(1);
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.sent().len(), sim.drops(DropReason::NotForwarding)), (0, 1));
        let mut snap = sim.snap.clone();
        (snap.options.forward4, snap.options.forward6) = (true, true);
        sim.publish(snap);
        sim.receive(0, PORT, &frame);
        let out = see(&sim.sent_one());
        assert_eq!((out.src, out.dst), (at(names.client, 5353), at(names.servers[0], 53)));
        assert_eq!((out.dst_mac, out.vlan, out.ttl), (server_mac(1), Some(102), 63));
        // What a whole network hears is nobody's to pass on.
        let mut group = frame.clone();
        group[..6].copy_from_slice(&ether::BROADCAST);
        sim.receive(0, PORT, &group);
        assert_eq!(sim.drops(DropReason::NotForwarding), 2);
    }
}

#[test]
fn the_hosts_own_stack_gets_what_is_left() {
    let mut sim = world::sim(1);
    sim.kernel = true;
    sim.receive(0, PORT, &syn(world::Names { vip: V4.own, ..V4 }, 40_000));
    assert_eq!(sim.lcores[0].traffic().kernel, 1);
}

#[test]
fn the_hosts_own_stack_sees_what_neighbours_answer_and_sends_as_it_likes() {
    let mut sim = world::sim(1);
    sim.receive(0, PORT, &arp_frame(arp::Operation::Reply, V4.client, V4.own));
    assert_eq!((sim.shown, sim.lcores[0].traffic().consumed), (1, 1));
    sim.receive(0, PORT, &arp_frame(arp::Operation::Request, V4.client, V4.own));
    assert_eq!((sim.shown, sim.sent().len()), (1, 1), "a question is answered here alone");
    let frame = arp_frame(arp::Operation::Request, "192.0.2.77", "192.0.2.78");
    let made = sim.lcores[0].traffic().generated;
    sim.relay(0, PORT, &frame);
    assert_eq!(sim.sent_one(), frame);
    assert_eq!(sim.lcores[0].traffic().generated, made + 1);
    let mut snap = sim.snap.clone();
    snap.links[0].as_mut().expect("the port").up = false;
    sim.publish(snap.index());
    sim.relay(0, PORT, &frame);
    assert_eq!((sim.sent().len(), sim.drops(DropReason::LinkDown)), (0, 1));
}

#[test]
fn half_made_checksums_are_repaired_where_the_port_says_so() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.links[0].as_mut().expect("the port").rx_csum = RxCsum::Recompute;
    sim.publish(snap);
    let mut frame = syn(V4, 40_000);
    frame[50..52].copy_from_slice(&[0xab, 0xcd]);
    sim.receive(0, PORT, &frame);
    see(&sim.sent_one());
}

#[test]
fn a_link_that_is_down_neither_receives_nor_sends() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.links[1].as_mut().expect("the VLAN").up = false;
    snap.routing += 1;
    sim.publish(snap);
    sim.receive(0, PORT, &syn(V4, 40_000));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::LinkDown)), (0, 1));
    sim.receive(0, PORT, &tagged(arp_frame(arp::Operation::Request, V4.servers[0], V4.laddr)));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::LinkDown)), (0, 2));
}

#[test]
fn frames_for_other_stations_and_errors_tied_to_nothing_are_dropped() {
    let mut sim = world::sim(1);
    let mut frame = syn(V4, 40_000);
    frame[5] = 0x77;
    sim.receive(0, PORT, &frame);
    assert_eq!(sim.drops(DropReason::OtherHost), 1);
    let sent = build::udp((CLIENT, DIRECTOR), at(V4.vip, 80), at(V4.client, 40_000), b"");
    let error = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &sent[14..42]].concat();
    let frame =
        build::ip((DIRECTOR, CLIENT), ip(V4.client), ip(V4.vip), proto::ICMP, error, Some(icmp::CHECKSUM));
    sim.receive(0, PORT, &frame);
    assert_eq!((sim.drops(DropReason::IcmpUnrelated), sim.sent().len()), (1, 0));
}

/// The payload of an IPv4 packet cut into these frames.
fn reassembled(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut defrag = etherparse::defrag::IpDefragPool::<(), ()>::new();
    let mut whole = None;
    for part in parts {
        let sliced = etherparse::SlicedPacket::from_ethernet(part).expect("a sound fragment");
        whole = defrag.process_sliced_packet(&sliced, (), ()).expect("fragments fit").or(whole);
    }
    whole.expect("all parts are there").payload
}

/// Lets an IPv4 packet be cut.
fn without_df(mut frame: Vec<u8>) -> Vec<u8> {
    frame[20] = 0;
    frame[24..26].fill(0);
    let sum = checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn a_long_packet_that_waited_for_its_neighbour_is_cut_too() {
    let mut sim = with_small_mtu();
    let station = sim.stations.remove(&ip(V4.servers[0])).expect("it is a station");
    let payload: Vec<u8> = (0..1300u16).map(|n| n as u8).collect();
    let frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), &payload);
    sim.receive(0, PORT, &without_df(frame));
    assert_eq!((sim.lcores[0].held(), sim.sent().len()), (1, 1));
    let mut answer = arp_frame(arp::Operation::Reply, V4.servers[0], V4.laddr);
    answer[22..28].copy_from_slice(&station);
    sim.receive(0, PORT, &tagged(answer));
    let parts = sim.sent();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [18 + 1276, 18 + 72]);
    assert!(parts.iter().all(|part| part[..6] == station));
    assert_eq!(reassembled(&parts)[8..], payload);
}

#[test]
fn a_frame_longer_than_its_own_link_carries_is_nobodys_mtu_problem() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.vip, 80), &[7; 3000]);
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.drops(DropReason::Merged), sim.sent().len()), (1, 0));
    }
}

#[test]
fn pings_of_any_length_are_answered() {
    for len in [0, 1472, 1473, 3000, 65_000] {
        let payload: Vec<u8> = (0..len).map(|n: u32| n as u8).collect();
        let frame = build::echo((DIRECTOR, CLIENT), ip(V4.client), ip(V4.vip), 77, 3, &payload);
        let mut sim = world::sim(1);
        sim.receive(0, PORT, &frame);
        let parts = sim.sent();
        assert!(parts.iter().all(|part| part.len() <= 14 + 1500));
        let message = if parts.len() == 1 { parts[0][34..].to_vec() } else { reassembled(&parts) };
        assert_eq!((message[0], &message[8..]), (0, &payload[..]), "{len} bytes");
        assert_eq!(checksum::checksum(&message), 0);
        // A jumbo link carries it whole, over IPv6 too.
        let mut snap = sim.snap.clone();
        snap.links[0].as_mut().expect("the port").mtu = u16::MAX;
        sim.publish(snap);
        sim.receive(0, PORT, &frame);
        assert_eq!(icmp4(&sim.sent_one()).1, payload);
        sim.receive(0, PORT, &build::echo((DIRECTOR, CLIENT), ip(V6.client), ip(V6.vip), 77, 3, &payload));
        assert_eq!(icmp6(&sim.sent_one()).1, payload);
    }
}

#[test]
fn an_address_of_a_service_that_is_on_no_link_answers_echo() {
    let routed = world::Names { vip: "192.0.2.80", ..V4 };
    let mut snap = world::snapshot();
    snap.services[0].as_mut().expect("the TCP service").vip = at(routed.vip, 80);
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim.receive(0, PORT, &build::echo((DIRECTOR, CLIENT), ip(V4.client), ip(routed.vip), 77, 3, b"x"));
    assert!(matches!(icmp4(&sim.sent_one()).0, Icmpv4Type::EchoReply(_)));
    sim.receive(0, PORT, &syn(routed, 40_000));
    assert_eq!(see(&sim.sent_one()).dst, at(V4.servers[0], 8080));
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let mut sim = world::sim(1);
    let mut frame = arp_frame(arp::Operation::Request, V4.client, V4.vip);
    frame.splice(12..12, [0x81, 0x00, 0xa0, 0]);
    sim.receive(0, PORT, &frame);
    assert_eq!(sim.sent_one()[..14], [&CLIENT[..], &DIRECTOR, &[8, 6]].concat());
}

#[test]
fn questions_about_others_are_for_the_hosts_own_stack() {
    let mut sim = world::sim(1);
    sim.kernel = true;
    sim.receive(0, PORT, &arp_frame(arp::Operation::Request, V4.client, "10.1.0.77"));
    sim.receive(0, PORT, &arp_frame(arp::Operation::Reply, V4.client, "10.1.0.77"));
    sim.receive(0, PORT, &solicitation(V6.client, "fd01::77", 255));
    assert_eq!((sim.lcores[0].traffic().kernel, sim.sent().len()), (3, 0));
}

#[test]
fn what_merely_passes_always_loses_a_hop_and_never_leaves_its_link() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    (snap.options.forward4, snap.options.forward6, snap.options.xmit_ttl) = (true, true, false);
    let link_local = engine::route::Route {
        prefix: (ip("fe80::"), 64),
        via: None,
        link: LinkId(1),
        src: None,
        mtu: 0,
        kind: engine::route::Kind::Out,
        metric: 0,
    };
    let routes = world::routes(&snap.links).into_iter().chain([link_local]);
    snap.routes = engine::route::RouteTable::compile(routes);
    sim.publish(snap);
    for names in [V4, V6] {
        let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.servers[0], 53), b"q");
        sim.receive(0, PORT, &frame);
        assert_eq!(see(&sim.sent_one()).ttl, 63);
    }
    for (src, dst) in [("fe80::1", V6.servers[0]), (V6.client, "fe80::2"), ("169.254.0.1", V4.servers[0])] {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(src, 5353), at(dst, 53), b"q"));
    }
    assert_eq!((sim.sent().len(), sim.drops(DropReason::NotForwarding)), (0, 3));
}
