// SPDX-License-Identifier: Apache-2.0
//! ICMP errors about packets of connections, on virtual time: the receiver must find its own packet in the quote, byte for byte but for the
//! hops it has travelled.
//!
//! ```text
//!   client 10.1.0.1 ── dpdk0 ── director, vip 10.1.0.100:80 ── dpdk0.102 ── router 10.2.0.77 ── server 10.2.0.1:8080
//! ```

mod extensions;
mod fragments;
mod matrix;
mod own;
mod recommendations;
mod requirements;
#[path = "../seen/mod.rs"]
mod seen;
#[path = "../table/mod.rs"]
mod table;
mod tunnels;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip};
use engine::verdict::DropReason;
use model::Transport;
use packet::build::{self, Segment};
use seen::{ACK, SYN, from_client, see, tagged};
use std::net::IpAddr;

/// IP bytes of a frame, behind its Ethernet header and tag.
fn ip_of(frame: &[u8]) -> Vec<u8> {
    frame[if frame[12..14] == [0x81, 0] { 18 } else { 14 }..].to_vec()
}

/// A router's error about a packet: as its family's RFC says, quoting `quoted` bytes of it.
fn error(
    macs: build::Macs,
    router: IpAddr,
    to: IpAddr,
    kind: [u8; 2],
    rest: u32,
    about: &[u8],
    quoted: usize,
) -> Vec<u8> {
    let mut message = vec![kind[0], kind[1], 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(&about[..quoted.min(about.len())]);
    let proto = if to.is_ipv4() { 1 } else { 58 };
    build::ip(macs, router, to, proto, message, Some(2))
}

/// The packet as its sender knows it, one hop older.
fn hop_older(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return packet;
    }
    let (mut header, _) = etherparse::Ipv4Header::from_slice(&packet).expect("a sound header");
    header.time_to_live -= 1;
    header.header_checksum = header.calc_header_checksum();
    packet[..20].copy_from_slice(&header.to_bytes());
    packet
}

/// An error that left the director: outer addresses, type and code, the rest of the header, the quote. Its checksums are judged.
fn error_seen(frame: &[u8]) -> (IpAddr, IpAddr, [u8; 2], u32, Vec<u8>) {
    let bytes = ip_of(frame);
    let (src, dst, message, pseudo): (IpAddr, IpAddr, Vec<u8>, u64) = if bytes[0] >> 4 == 4 {
        let (header, rest) = etherparse::Ipv4Header::from_slice(&bytes).expect("a sound header");
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        (header.source.into(), header.destination.into(), rest.to_vec(), 0)
    } else {
        let (header, rest) = etherparse::Ipv6Header::from_slice(&bytes).expect("a sound header");
        let words =
            |a: [u8; 16]| a.chunks(2).map(|w| u64::from(u16::from_be_bytes([w[0], w[1]]))).sum::<u64>();
        (
            header.source.into(),
            header.destination.into(),
            rest.to_vec(),
            words(header.source) + words(header.destination) + 58 + rest.len() as u64,
        )
    };
    let mut sum = pseudo
        + message
            .chunks(2)
            .map(|w| u64::from(u16::from_be_bytes([w[0], *w.get(1).unwrap_or(&0)])))
            .sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_eq!(sum, 0xffff, "ICMP checksum");
    (
        src,
        dst,
        [message[0], message[1]],
        u32::from_be_bytes(message[4..8].try_into().expect("four")),
        message[8..].to_vec(),
    )
}

/// Types of errors that are passed on, by family.
fn kinds(names: &Names) -> Vec<[u8; 2]> {
    match names.client == V4.client {
        true => vec![[3, 1], [3, 3], [3, 4], [4, 0], [11, 0], [12, 0]],
        false => vec![[1, 0], [1, 4], [2, 0], [3, 0], [4, 1]],
    }
}

/// A UDP connection: the client's packet, what the server got, the server's answer and what the client got, as IP packets.
fn udp(sim: &mut Sim, names: Names, client_at: usize) -> [Vec<u8>; 4] {
    let request = build::udp((DIRECTOR, CLIENT), at(names.client, 40_000), at(names.vip, 80), b"question");
    sim.receive(client_at, PORT, &request);
    let forwarded = sim.sent_one();
    let got = see(&forwarded);
    let answer = build::udp((DIRECTOR, got.dst_mac), got.dst, got.src, b"an answer");
    sim.receive(client_at, PORT, &tagged(answer.clone()));
    [ip_of(&request), ip_of(&forwarded), ip_of(&answer), ip_of(&sim.sent_one())]
}

#[test]
fn an_error_from_the_servers_side_quotes_to_the_client_what_it_sent() {
    for names in [V4, V6] {
        for kind in kinds(&names) {
            for quoted in [28, 48, 1000] {
                let mut sim = world::sim(1);
                let [request, forwarded, ..] = udp(&mut sim, names, 0);
                let (least, router) =
                    if names.client == V4.client { (28, "10.2.0.77") } else { (48, "fd02::77") };
                let quoted = quoted.max(least);
                let frame =
                    error((DIRECTOR, [2; 6]), ip(router), ip(names.laddr), kind, 1280, &forwarded, quoted);
                sim.receive(0, PORT, &tagged(frame));
                let (src, dst, seen_kind, rest, quote) = error_seen(&sim.sent_one());
                assert_eq!((src, dst, seen_kind, rest), (ip(names.vip), ip(names.client), kind, 1280));
                let mut expected = hop_older(request);
                expected.truncate(quoted);
                assert_eq!(quote, expected, "{kind:?} {quoted}");
            }
        }
    }
}

#[test]
fn an_error_from_the_clients_side_quotes_to_the_server_what_it_sent() {
    for names in [V4, V6] {
        for kind in kinds(&names) {
            let mut sim = world::sim(1);
            let [_, forwarded, answer, back] = udp(&mut sim, names, 0);
            let router = if names.client == V4.client { "10.1.0.77" } else { "fd01::77" };
            let frame = error((DIRECTOR, CLIENT), ip(router), ip(names.vip), kind, 1400, &back, 1000);
            sim.receive(0, PORT, &frame);
            let (src, dst, seen_kind, rest, quote) = error_seen(&sim.sent_one());
            let server = see(&[
                &[0; 12][..],
                if names.client == V4.client { &[8, 0] } else { &[0x86, 0xdd] },
                &forwarded,
            ]
            .concat())
            .dst
            .ip();
            assert_eq!((src, dst, seen_kind, rest), (ip(names.laddr), server, kind, 1400));
            assert_eq!(quote, hop_older(answer));
        }
    }
}

#[test]
fn tcp_numbers_in_quotes_are_those_of_the_receiver() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        sim.receive(
            0,
            PORT,
            &from_client(client, vip, Segment { seq: 1000, flags: SYN, ..Segment::default() }),
        );
        let syn = see(&sim.sent_one());
        let isn = syn.tcp().sequence_number;
        let server = |segment| tagged(build::tcp((DIRECTOR, syn.dst_mac), syn.dst, syn.src, segment));
        sim.receive(
            0,
            PORT,
            &server(Segment { seq: 5000, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() }),
        );
        sim.sent();
        let request = from_client(
            client,
            vip,
            Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"question", ..Segment::default() },
        );
        sim.receive(0, PORT, &request);
        let forwarded = ip_of(&sim.sent_one());
        let answer = server(Segment {
            seq: 5001,
            ack: isn.wrapping_add(9),
            flags: ACK,
            payload: b"answer",
            ..Segment::default()
        });
        sim.receive(0, PORT, &answer);
        let back = ip_of(&sim.sent_one());

        let (routers, kind) = if names.client == V4.client {
            (["10.2.0.77", "10.1.0.77"], [3, 4])
        } else {
            (["fd02::77", "fd01::77"], [2, 0])
        };
        sim.receive(
            0,
            PORT,
            &tagged(error((DIRECTOR, [2; 6]), ip(routers[0]), ip(names.laddr), kind, 1300, &forwarded, 1000)),
        );
        assert_eq!(error_seen(&sim.sent_one()).4, hop_older(ip_of(&request)));
        sim.receive(
            0,
            PORT,
            &error((DIRECTOR, CLIENT), ip(routers[1]), ip(names.vip), kind, 1300, &back, 1000),
        );
        assert_eq!(error_seen(&sim.sent_one()).4, hop_older(ip_of(&answer)));
    }
}

#[test]
fn numbers_of_proxied_connections_are_shifted_in_quotes_too() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.version += 1;
    snap.services.iter_mut().flatten().for_each(|svc| svc.syn_proxy = svc.transport == Transport::Tcp);
    sim.publish(snap.index());
    let (client, vip) = (at(V4.client, 40_000), at(V4.vip, 80));
    sim.receive(0, PORT, &from_client(client, vip, Segment { seq: 1000, flags: SYN, ..Segment::default() }));
    let cookie = see(&sim.sent_one()).tcp().sequence_number;
    let ack = Segment { seq: 1001, ack: cookie.wrapping_add(1), flags: ACK, ..Segment::default() };
    sim.receive(0, PORT, &from_client(client, vip, ack));
    let syn = see(&sim.sent_one());
    let isn = syn.tcp().sequence_number;
    let server = |segment| tagged(build::tcp((DIRECTOR, syn.dst_mac), syn.dst, syn.src, segment));
    sim.receive(
        0,
        PORT,
        &server(Segment { seq: 5000, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() }),
    );
    sim.sent();
    let request = from_client(client, vip, Segment { payload: b"question", ..ack });
    sim.receive(0, PORT, &request);
    let forwarded = ip_of(&sim.sent_one());
    let answer = server(Segment {
        seq: 5001,
        ack: isn.wrapping_add(9),
        flags: ACK,
        payload: b"answer",
        ..Segment::default()
    });
    sim.receive(0, PORT, &answer);
    let back = ip_of(&sim.sent_one());
    sim.receive(
        0,
        PORT,
        &tagged(error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 4], 1300, &forwarded, 1000)),
    );
    assert_eq!(error_seen(&sim.sent_one()).4, hop_older(ip_of(&request)));
    sim.receive(0, PORT, &error((DIRECTOR, CLIENT), ip("10.1.0.77"), ip(V4.vip), [3, 4], 1300, &back, 1000));
    assert_eq!(error_seen(&sim.sent_one()).4, hop_older(ip_of(&answer)));
}

#[test]
fn icmp_11_errors_find_the_worker_that_has_the_connection() {
    for (workers, home, lands) in [(2, 0, 1), (2, 1, 0), (4, 0, 3), (4, 3, 0), (4, 2, 1), (4, 1, 2)] {
        let mut sim = world::sim(workers);
        let [request, forwarded, answer, back] = udp(&mut sim, V4, home);
        sim.receive(
            lands,
            PORT,
            &tagged(error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 3], 0, &forwarded, 28)),
        );
        assert_eq!(error_seen(&sim.sent_one()).4, hop_older(request)[..28]);
        sim.receive(
            lands,
            PORT,
            &error((DIRECTOR, CLIENT), ip("10.1.0.77"), ip(V4.vip), [3, 1], 0, &back, 28),
        );
        assert_eq!(error_seen(&sim.sent_one()).4, hop_older(answer)[..28]);
    }
}

#[test]
fn icmp_17_what_is_tied_to_nothing_is_dropped_by_name() {
    for workers in [1, 2, 4] {
        let mut sim = world::sim(workers);
        let [_, forwarded, ..] = udp(&mut sim, V4, 0);
        let about = |packet: &[u8], kind, quoted| {
            tagged(error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), kind, 0, packet, quoted))
        };
        let mut other_port = forwarded.clone();
        other_port[21] ^= 1;
        let mut fragment = forwarded.clone();
        fragment[7] = 9;
        let mut gre = forwarded.clone();
        gre[9] = 47;
        let mut broken = about(&forwarded, [3, 1], 28);
        let last = broken.len() - 1;
        broken[last] ^= 1;
        for (frame, reason) in [
            (about(&other_port, [3, 1], 28), DropReason::IcmpUnrelated),
            (about(&forwarded, [5, 1], 28), DropReason::IcmpUnrelated),
            (about(&forwarded, [3, 1], 27), DropReason::IcmpQuote),
            (about(&fragment, [3, 1], 28), DropReason::IcmpQuote),
            (about(&gre, [3, 1], 28), DropReason::IcmpQuote),
            (about(&[], [3, 1], 0), DropReason::IcmpQuote),
            (broken, DropReason::L4Checksum),
        ] {
            let before = sim.drops(reason);
            sim.receive(0, PORT, &frame);
            assert!(sim.sent().is_empty(), "{reason:?}");
            assert_eq!(sim.drops(reason), before + 1, "{reason:?}");
        }
        assert_eq!(sim.conns(), 1, "nothing was opened");
    }
}

#[test]
fn icmp_09_an_error_keeps_no_connection_alive_and_a_stale_one_is_dropped() {
    let mut sim = world::sim(1);
    let [_, forwarded, ..] = udp(&mut sim, V4, 0);
    let frame = tagged(error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 1], 0, &forwarded, 28));
    let expires = |sim: &Sim| {
        sim.lcores[0]
            .find_conn(Transport::Udp, at(V4.client, 40_000), at(V4.vip, 80), sim.now)
            .expect("it lives")
            .expires
    };
    sim.pass(10_000);
    let before = expires(&sim);
    sim.receive(0, PORT, &frame);
    assert_eq!((sim.sent().len(), expires(&sim)), (1, before));
    sim.pass(u64::from(before) * 1000 + 2000);
    sim.sent();
    assert_eq!(sim.conns(), 0);
    sim.receive(0, PORT, &frame);
    assert!(sim.sent().is_empty());
    assert_eq!(sim.drops(DropReason::IcmpUnrelated), 1);
}

#[test]
fn icmp_14_one_neighbourhood_gets_a_thousand_errors_a_second() {
    let mut sim = world::sim(1);
    let [_, forwarded, ..] = udp(&mut sim, V4, 0);
    let frame = tagged(error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 1], 0, &forwarded, 28));
    for _ in 0..1500 {
        sim.receive(0, PORT, &frame);
    }
    assert_eq!((sim.sent().len(), sim.drops(DropReason::IcmpLimited)), (1000, 500));
}
