// SPDX-License-Identifier: Apache-2.0
//! Errors of the director's own: where the RFCs ask for them, never where they forbid them, and not too many.

use std::net::IpAddr;

use engine::forward::Forwarding;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, ip};
use engine::verdict::DropReason;
use model::{Transport, TunnelKind};
use packet::build;

use super::matrix::{Case, is_v4};
use super::seen::{see, tagged};
use super::{error, error_seen, hop_older, ip_of};

/// A frame on its last hop.
fn last_hop(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[14] >> 4 == 6 {
        frame[21] = 1;
        return frame;
    }
    frame[22] = 1;
    sum_up(frame)
}

/// A frame whose IPv4 header has its checksum.
fn sum_up(mut frame: Vec<u8>) -> Vec<u8> {
    let (mut header, _) = etherparse::Ipv4Header::from_slice(&frame[14..]).expect("a sound header");
    header.header_checksum = header.calc_header_checksum();
    frame[14..14 + header.header_len()].copy_from_slice(&header.to_bytes());
    frame
}

/// A director that routes: everything that passes may be worth an error.
fn router() -> Sim {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    (snap.options.forward4, snap.options.forward6) = (true, true);
    sim.publish(snap.index());
    sim
}

#[test]
fn icmp_15_nothing_is_answered_that_must_not_be() {
    let udp =
        |src: &str, dst: &str| last_hop(build::udp((DIRECTOR, CLIENT), at(src, 5), at(dst, 6), b"payload"));
    let told = |frame: Vec<u8>, what: &str| {
        let mut sim = router();
        let dropped = |sim: &Sim| DropReason::ALL.iter().map(|&reason| sim.drops(reason)).sum::<u64>();
        sim.receive(0, PORT, &frame);
        let sent = sim.sent();
        // A router's own is to whom it was about.
        let told = sent
            .iter()
            .any(|frame| matches!(ip_of(frame).get(20..).map(|m| m[0]), Some(11)) || ip_of(frame)[6] == 58);
        assert_eq!(dropped(&sim), 1, "{what}");
        told
    };
    assert!(told(udp(V4.client, V4.servers[0]), "UDP"));
    assert!(told(udp(V6.client, V6.servers[0]), "UDP"));
    assert!(told(
        last_hop(build::echo((DIRECTOR, CLIENT), ip(V4.client), ip(V4.servers[0]), 1, 1, b"")),
        "a ping"
    ));
    // RFC 1812 4.3.2.7: about errors and redirects.
    for kind in [3, 4, 5, 11, 12] {
        let quoted = &udp(V4.servers[0], V4.client)[14..];
        let frame = error((DIRECTOR, CLIENT), ip(V4.client), ip(V4.servers[0]), [kind, 0], 0, quoted, 28);
        assert!(!told(last_hop(frame), "an error"), "{kind}");
    }
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        let quoted = &udp(V6.servers[0], V6.client)[14..];
        let frame = error((DIRECTOR, CLIENT), ip(V6.client), ip(V6.servers[0]), [kind, 0], 1280, quoted, 48);
        assert!(!told(last_hop(frame), "an error"), "{kind}");
    }
    // From nobody in particular, or ourselves; for a group or everybody.
    for (src, dst) in [
        ("0.0.0.0", V4.servers[0]),
        ("127.0.0.1", V4.servers[0]),
        ("224.0.0.5", V4.servers[0]),
        ("240.0.0.1", V4.servers[0]),
        ("255.255.255.255", V4.servers[0]),
        ("10.1.0.255", V4.servers[0]),
        (V4.own, V4.servers[0]),
        (V4.client, "255.255.255.255"),
        (V4.client, "239.1.2.3"),
        ("::", V6.servers[0]),
        ("::1", V6.servers[0]),
        ("ff02::5", V6.servers[0]),
        (V6.own, V6.servers[0]),
        (V6.client, "ff0e::1"),
    ] {
        assert!(!told(udp(src, dst), dst), "{src} to {dst}");
    }
    // Sent to everybody on the link (RFC 1122 3.2.2), and fragments other than the first.
    let mut everybody = udp(V4.client, V4.servers[0]);
    everybody[..6].fill(0xff);
    assert!(!told(everybody, "a broadcast"));
    let mut fragment = udp(V4.client, V4.servers[0]);
    fragment[20..22].copy_from_slice(&[0, 9]);
    assert!(!told(sum_up(fragment), "a later fragment"));
    let mut first = udp(V4.client, V4.servers[0]);
    first[20] = 0x20;
    assert!(told(sum_up(first), "a first fragment"));
}

#[test]
fn icmp_14_one_neighbourhood_gets_fifty_errors_a_second_and_others_theirs() {
    for names in [V4, V6] {
        let mut sim = router();
        let strange =
            |n: u8| if is_v4(names) { format!("198.51.{n}.7") } else { format!("2001:db8:0:{n:x}00::7") };
        // Strangers are behind the client.
        let mut snap = sim.snap.clone();
        let mut routes = world::routes(&snap.links);
        let default = |net: &str, via: &str| engine::route::Route {
            prefix: (ip(net), 0),
            via: Some(ip(via)),
            link: engine::ids::LinkId(0),
            src: None,
            mtu: 0,
            kind: engine::route::Kind::Out,
            metric: 0,
        };
        routes.extend([default("0.0.0.0", V4.client), default("::", V6.client)]);
        snap.routes = engine::route::RouteTable::compile(routes);
        snap.routing += 1;
        sim.publish(snap.index());
        let frame =
            |from: &str| last_hop(build::udp((DIRECTOR, CLIENT), at(from, 5), at(names.vip, 80), b"payload"));
        for _ in 0..80 {
            sim.receive(0, PORT, &frame(&strange(1)));
        }
        assert_eq!((sim.sent().len(), sim.drops(DropReason::ErrorLimited)), (50, 30));
        sim.receive(0, PORT, &frame(&strange(2)));
        assert_eq!(sim.sent().len(), 1, "another neighbourhood has its own");
        for n in 3..103 {
            sim.receive(0, PORT, &frame(&strange(n)));
        }
        assert_eq!(
            (sim.sent().len(), sim.drops(DropReason::ErrorLimited)),
            (49, 81),
            "and a hundred leave at once in all"
        );
        sim.pass(1000);
        for _ in 0..80 {
            sim.receive(0, PORT, &frame(&strange(1)));
        }
        assert_eq!(sim.sent().len(), 50);
    }
}

#[test]
fn icmp_08_what_does_not_fit_a_tunnel_is_told_about_from_the_services_address() {
    for (inside, outside) in [(V4, V4), (V6, V6), (V6, V4), (V4, V6)] {
        let case = Case::simple(Forwarding::Tunnel(TunnelKind::Ipip), inside, outside);
        let mut sim = case.sim();
        let headers = if is_v4(inside) { 28 } else { 48 };
        let fits = if is_v4(outside) { 1480 } else { 1460 };
        let frame = |len: usize| {
            build::udp(
                (DIRECTOR, CLIENT),
                at(inside.client, 5353),
                at(inside.vip, 80),
                &vec![7; len - headers],
            )
        };
        sim.receive(0, PORT, &frame(fits));
        sim.sent_one();
        sim.receive(0, PORT, &frame(fits + 1));
        let (src, dst, kind, rest, quote) = error_seen(&sim.sent_one());
        let too_big = if is_v4(inside) { [3, 4] } else { [2, 0] };
        assert_eq!((src, dst, kind, rest as usize), (ip(inside.vip), ip(inside.client), too_big, fits));
        assert_eq!(quote[..], ip_of(&frame(fits + 1))[..quote.len()], "the packet as it came");
    }
}

#[test]
fn a_server_that_does_not_answer_on_its_link_is_unreachable_for_its_clients() {
    for (near, far) in [(V4, V4), (V6, V6), (V6, V4), (V4, V6)] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
            if forwarding == Forwarding::Nat && is_v4(near) != is_v4(far) {
                continue;
            }
            let mut sim = Case::simple(forwarding, near, far).sim();
            sim.stations.retain(|addr, _| *addr != ip(far.servers[0]));
            let request =
                build::udp((DIRECTOR, CLIENT), at(near.client, 40_000), at(near.vip, 80), b"question");
            sim.receive(0, PORT, &request);
            sim.sent();
            sim.pass(8_000);
            let heard: Vec<_> = sim.sent().into_iter().filter(|frame| frame[..6] == CLIENT).collect();
            assert_eq!(
                (heard.len(), sim.drops(DropReason::NeighUnreachable)),
                (1, 1),
                "{near:?} {forwarding:?}"
            );
            let (src, dst, kind, _, quote) = error_seen(&heard[0]);
            let unreachable = if is_v4(near) {
                [3, 1]
            } else if is_v4(far) {
                [1, 0]
            } else {
                [1, 3]
            };
            assert_eq!((src, dst, kind), (ip(near.vip), ip(near.client), unreachable));
            assert_eq!(quote, hop_older(ip_of(&request)));
        }
    }
}

#[test]
fn what_merely_passes_hears_of_a_silent_neighbour_from_its_router() {
    for names in [V4, V6] {
        let mut sim = router();
        sim.stations.retain(|addr, _| *addr != ip(names.servers[1]));
        let request =
            build::udp((DIRECTOR, CLIENT), at(names.client, 5), at(names.servers[1], 6), b"question");
        sim.receive(0, PORT, &request);
        sim.sent();
        sim.pass(8_000);
        let heard: Vec<_> = sim.sent().into_iter().filter(|frame| frame[..6] == CLIENT).collect();
        let (src, dst, kind, _, quote) = error_seen(&heard[0]);
        let from: IpAddr = ip(names.laddr);
        assert_eq!(
            (src, dst, heard.len()),
            (from, ip(names.client), 1),
            "an address of the link in question"
        );
        assert_eq!(kind, if is_v4(names) { [3, 1] } else { [1, 3] });
        assert_eq!(quote, hop_older(ip_of(&request)));
    }
}

#[test]
fn an_error_about_the_hosts_own_traffic_is_the_hosts() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        sim.kernel = true;
        let sent = build::udp((CLIENT, DIRECTOR), at(names.own, 5), at(names.client, 6), b"");
        let kind = if is_v4(names) { [3, 3] } else { [1, 4] };
        sim.receive(
            0,
            PORT,
            &error((DIRECTOR, CLIENT), ip(names.client), ip(names.own), kind, 0, &sent[14..], 100),
        );
        assert_eq!((sim.lcores[0].traffic().kernel, sim.sent().len()), (1, 0));
    }
}

#[test]
fn icmp_17_errors_about_nothing_go_to_the_host_where_dpvs_conf_says_so() {
    for names in [V4, V6] {
        for to_host in [false, true] {
            let mut sim = world::sim(1);
            let mut snap = sim.snap.clone();
            snap.options.icmp.unrelated_to_host = to_host;
            sim.publish(snap.index());
            sim.kernel = true;
            let kind = if is_v4(names) { [3, 3] } else { [1, 4] };
            for (told, peer, vlan) in
                [(names.vip, names.client, false), (names.laddr, names.servers[0], true)]
            {
                let sent = build::udp((CLIENT, DIRECTOR), at(told, 5), at(peer, 6), b"");
                let frame = error((DIRECTOR, CLIENT), ip(peer), ip(told), kind, 0, &sent[14..], 100);
                sim.receive(0, PORT, &if vlan { tagged(frame) } else { frame });
            }
            let seen = (sim.lcores[0].traffic().kernel, sim.drops(DropReason::IcmpUnrelated));
            assert_eq!(seen, if to_host { (2, 0) } else { (0, 2) });
        }
    }
}

#[test]
fn icmp_07_segments_are_kept_short_enough_for_both_ways() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.links[1].as_mut().expect("the VLAN").mtu = 1300;
    snap.options.identity.toa = false;
    sim.publish(snap.index());
    let syn = packet::build::Segment { seq: 1, flags: 2, options: &[2, 4, 5, 0xb4], ..Default::default() };
    sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), at(V4.client, 40_000), at(V4.vip, 80), syn));
    let there = see(&sim.sent_one());
    let answer =
        packet::build::Segment { seq: 9, ack: there.tcp().sequence_number.wrapping_add(1), flags: 18, ..syn };
    sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, there.dst_mac), there.dst, there.src, answer)));
    // The client's segments of 1460 bytes would not fit 1300.
    assert_eq!(see(&sim.sent_one()).options(), [2, 4, 4, 0xec]);
    assert!(
        sim.lcores[0].find_conn(Transport::Tcp, at(V4.client, 40_000), at(V4.vip, 80), sim.now).is_some()
    );
}
