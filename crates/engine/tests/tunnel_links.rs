// SPDX-License-Identifier: Apache-2.0
//! Tunnel links, judged by an independent decoder.
//!
//! ```text
//!   client ── dpdk0 director dpdk0.102 ── other end (10.2.0.2) ── far (10.9.0.0/24)
//!                      └ tun0 10.9.0.1 ══════════╛
//! ```

mod seen;

use std::net::Ipv4Addr;

use engine::ids::LinkId;
use engine::link::Link;
use engine::route::RouteTable;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Snapshot;
use engine::tunnel::{End, Sequence, Tunnel};
use engine::verdict::DropReason;
use model::Transport;
use packet::build::{self, Segment};
use packet::checksum;
use seen::{ACK, SYN, see, tagged};

const LOCAL: &str = "10.2.0.200";
const REMOTE: &str = "10.2.0.2";
const OWN: &str = "10.9.0.1";
const FAR: &str = "10.9.0.7";
const FAR6: &str = "fd09::7";

fn addr(text: &str) -> Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn tunnel(gre: bool) -> Tunnel {
    Tunnel {
        gre,
        local: addr(LOCAL),
        remote: addr(REMOTE),
        ttl: 0,
        tos: None,
        input: End::default(),
        output: End::default(),
        sequence: Sequence::default(),
        dev: None,
        way: None,
    }
}

/// The usual network with a tunnel that has an address of each family, and forwarding on.
fn sim(tunnel: Tunnel, change: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut snap = world::snapshot();
    let below = snap.links[1].clone().expect("the servers' network");
    snap.links.push(Some(Link {
        id: LinkId(2),
        name: "tun0".into(),
        vlan: None,
        mtu: 1500 - tunnel.overhead(),
        addrs: vec![(ip(OWN), 24), (ip("fd09::1"), 64)],
        tunnel: Some(tunnel),
        ..below
    }));
    snap.routes = RouteTable::compile(world::routes(&snap.links));
    (snap.options.forward4, snap.options.forward6) = (true, true);
    change(&mut snap);
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim
}

/// What leaves for the other end: its outer header's fields that vary, and the packet inside behind an Ethernet header for the decoder.
struct Outer {
    proto: u8,
    tos: u8,
    ttl: u8,
    df: bool,
    shim: Vec<u8>,
    inner: Vec<u8>,
}

/// Opens a frame to the other end, with `shim` bytes between the headers.
fn opened(frame: &[u8], shim: usize) -> Outer {
    assert_eq!((&frame[..6], &frame[6..12]), (&server_mac(2)[..], &DIRECTOR[..]));
    assert_eq!(frame[12..18], [0x81, 0, 0, 102, 8, 0]);
    let (header, rest) = etherparse::Ipv4Header::from_slice(&frame[18..]).expect("an IPv4 header");
    assert_eq!((header.source, header.destination), (addr(LOCAL).octets(), addr(REMOTE).octets()));
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_eq!(usize::from(header.total_len), frame.len() - 18);
    let (shim, inner) = rest.split_at(shim);
    let kind = if inner[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
    Outer {
        proto: header.protocol.0,
        tos: frame[19],
        ttl: header.time_to_live,
        df: header.dont_fragment,
        shim: shim.to_vec(),
        inner: [&[0; 12], &kind[..], inner].concat(),
    }
}

/// A frame of the other end: `shim` and the packet of `frame` behind an outer header of this protocol and type of service.
fn wrapped(proto: u8, tos: u8, shim: &[u8], frame: &[u8]) -> Vec<u8> {
    let payload = [shim, &frame[14..]].concat();
    let mut outer = build::ip((DIRECTOR, server_mac(2)), ip(REMOTE), ip(LOCAL), proto, payload, None);
    outer[15] = tos;
    outer[24..26].fill(0);
    let sum = checksum::checksum(&outer[14..34]);
    outer[24..26].copy_from_slice(&sum.to_be_bytes());
    tagged(outer)
}

fn question() -> Vec<u8> {
    build::udp((DIRECTOR, CLIENT), at(V4.client, 4000), at(FAR, 53), b"question")
}

fn answer() -> Vec<u8> {
    build::udp(([0; 6], [0; 6]), at(FAR, 53), at(V4.client, 4000), b"answer")
}

#[test]
fn packets_for_routes_over_it_travel_inside_and_answers_come_out() {
    let mut sim = sim(tunnel(false), |_| ());
    sim.receive(0, PORT, &question());
    let out = opened(&sim.sent_one(), 0);
    assert_eq!((out.proto, out.ttl, out.df), (4, 63, true));
    let inner = see(&out.inner);
    assert_eq!((inner.src, inner.dst, inner.ttl), (at(V4.client, 4000), at(FAR, 53), 63));
    assert_eq!(inner.payload, b"question");
    sim.receive(0, PORT, &wrapped(4, 0, &[], &answer()));
    let back = see(&sim.sent_one());
    assert_eq!((back.src, back.dst, back.ttl), (at(FAR, 53), at(V4.client, 4000), 63));
    assert_eq!((back.dst_mac, back.vlan, &back.payload[..]), (CLIENT, None, &b"answer"[..]));
    let counters = sim.lcores[0].link_counters()[2];
    assert_eq!((counters.ipackets, counters.opackets), (1, 1));
    // Frames: an Ethernet header and 36 or 34 bytes.
    assert_eq!((counters.obytes, counters.ibytes), (14 + 36, 14 + 34));
}

#[test]
fn gre_carries_both_families_with_key_and_checksum_where_asked() {
    let end = |key, csum| End { key, csum, seq: false };
    for (output, head) in [
        (end(None, false), vec![0, 0]),
        (end(Some(0x0a000001), false), vec![0x20, 0]),
        (end(None, true), vec![0x80, 0]),
        (end(Some(7), true), vec![0xa0, 0]),
    ] {
        let len = 4 + 4 * (usize::from(output.csum) + usize::from(output.key.is_some()));
        let mut sim = sim(Tunnel { output, ..tunnel(true) }, |_| ());
        let question6 = build::udp((DIRECTOR, CLIENT), at(V6.client, 4000), at(FAR6, 53), b"question");
        for (frame, kind) in [(question(), [8, 0]), (question6, [0x86, 0xdd])] {
            sim.receive(0, PORT, &frame);
            let sent = sim.sent_one();
            let out = opened(&sent, len);
            assert_eq!((out.proto, &out.shim[..2], &out.shim[2..4]), (47, &head[..], &kind[..]));
            if let Some(key) = output.key {
                assert_eq!(out.shim[len - 4..], key.to_be_bytes());
            }
            if output.csum {
                assert_eq!(checksum::checksum(&sent[38..]), 0, "over header and packet");
            }
            assert_eq!(see(&out.inner).payload, b"question");
        }
    }
}

#[test]
fn what_comes_with_another_key_is_not_the_tunnels_and_a_wrong_checksum_is_dropped() {
    let mut sim = sim(Tunnel { input: End { key: Some(7), csum: true, seq: false }, ..tunnel(true) }, |_| ());
    let gre = |flags: u8, sum: u16, key: &[u8]| {
        let sum = if flags & 0x80 != 0 { [sum.to_be_bytes(), [0, 0]].concat() } else { Vec::new() };
        [&[flags, 0, 8, 0][..], &sum, key].concat()
    };
    let right = |key: &[u8]| {
        let shim = gre(0xa0, 0, key);
        gre(0xa0, checksum::checksum(&[&shim, &answer()[14..]].concat()), key)
    };
    sim.receive(0, PORT, &wrapped(47, 0, &right(&[0, 0, 0, 7]), &answer()));
    assert_eq!(see(&sim.sent_one()).payload, b"answer");
    // Another key, none, another protocol: for the host, which there is none of.
    let mut strangers = 0;
    for frame in [
        wrapped(47, 0, &right(&[0, 0, 0, 8]), &answer()),
        wrapped(47, 0, &gre(0x80, 0, &[]), &answer()),
        wrapped(4, 0, &[], &answer()),
    ] {
        sim.receive(0, PORT, &frame);
        strangers += 1;
        assert_eq!((sim.sent().len(), sim.drops(DropReason::NoService)), (0, strangers));
    }
    let mut wrong = right(&[0, 0, 0, 7]);
    wrong[4] ^= 1;
    sim.receive(0, PORT, &wrapped(47, 0, &wrong, &answer()));
    sim.receive(0, PORT, &wrapped(47, 0, &gre(0x20, 0, &[0, 0, 0, 7]), &answer()));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::TunnelChecksum)), (0, 2));
}

#[test]
fn what_is_no_packet_of_rfc_2784_is_dropped() {
    let mut sim = sim(tunnel(true), |_| ());
    // PPTP's version, ARP inside, less than a header.
    for (nth, shim) in (1..).zip([[0, 1, 8, 0], [0, 0, 8, 6]]) {
        sim.receive(0, PORT, &wrapped(47, 0, &shim, &answer()));
        assert_eq!((sim.sent().len(), sim.drops(DropReason::TunnelHeader)), (0, nth));
    }
    let short = build::ip((DIRECTOR, server_mac(2)), ip(REMOTE), ip(LOCAL), 47, vec![0, 0, 8, 0, 0x45], None);
    sim.receive(0, PORT, &tagged(short));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::TunnelHeader)), (0, 3));
}

#[test]
fn a_service_has_servers_behind_a_tunnel() {
    let mut sim = sim(tunnel(false), |snap| {
        snap.laddrs.insert(ip(OWN), LinkId(2));
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip == at(V4.vip, 80)) {
            svc.laddrs = vec![ip(OWN)];
            for id in &svc.dests {
                snap.dests[id.index()].as_mut().expect("a server").addr = at(FAR, 8080);
            }
        }
    });
    let (client, vip) = (at(V4.client, 40_000), at(V4.vip, 80));
    let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
    sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), client, vip, syn));
    let there = see(&opened(&sim.sent_one(), 0).inner);
    assert_eq!((there.src.ip(), there.dst), (ip(OWN), at(FAR, 8080)));
    let ack = there.tcp().sequence_number.wrapping_add(1);
    let reply = Segment { seq: 5000, ack, flags: SYN | ACK, ..Segment::default() };
    let reply = build::tcp(([0; 6], [0; 6]), there.dst, there.src, reply);
    sim.receive(0, PORT, &wrapped(4, 0, &[], &reply));
    let back = see(&sim.sent_one());
    assert_eq!((back.src, back.dst, back.tcp().acknowledgment_number), (vip, client, 1001));
    let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"hello", ..Segment::default() };
    sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), client, vip, data));
    assert_eq!(see(&opened(&sim.sent_one(), 0).inner).payload, b"hello");
    assert!(sim.lcores[0].find_conn(Transport::Tcp, client, vip, sim.now).is_some());
}

#[test]
fn its_own_address_answers_echo_through_it() {
    let mut sim = sim(tunnel(false), |_| ());
    let echo = build::echo(([0; 6], [0; 6]), ip(FAR), ip(OWN), 7, 1, b"ping");
    sim.receive(0, PORT, &wrapped(4, 0, &[], &echo));
    let inner = opened(&sim.sent_one(), 0).inner;
    assert_eq!(
        (inner[34], &inner[26..30], &inner[30..34]),
        (0, &addr(OWN).octets()[..], &addr(FAR).octets()[..])
    );
    assert_eq!(inner[42..], *b"ping");
}

/// Columns: class of the outer packet, of the one inside; what comes out (RFC 6040 4.2).
#[test]
fn congestion_on_the_way_is_told_to_who_understands_it() {
    for (outer, inner, expected) in [
        (0, 0, Some(0)),
        (3, 2, Some(3)),
        (3, 1, Some(3)),
        (3, 3, Some(3)),
        (1, 2, Some(2)),
        (0xb8 | 3, 0, None),
    ] {
        let mut sim = sim(tunnel(false), |_| ());
        let mut frame = answer();
        frame[15] = inner;
        frame[24..26].fill(0);
        let sum = checksum::checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        sim.receive(0, PORT, &wrapped(4, outer, &[], &frame));
        let sent = sim.sent();
        assert_eq!(sent.first().map(|frame| frame[15]), expected);
        sent.iter().for_each(|frame| assert_eq!(see(frame).payload, b"answer"));
        assert_eq!(sim.drops(DropReason::TunnelEcn), u64::from(expected.is_none()));
    }
}

#[test]
fn ttl_and_class_are_the_packets_or_what_operators_say() {
    for (ttl, tos, expected) in [(0, None, (0xb9, 63)), (9, Some(0x20), (0x21, 9))] {
        let mut sim = sim(Tunnel { ttl, tos, ..tunnel(false) }, |_| ());
        let mut frame = question();
        frame[15] = 0xb9;
        frame[24..26].fill(0);
        let sum = checksum::checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        sim.receive(0, PORT, &frame);
        let out = opened(&sim.sent_one(), 0);
        assert_eq!((out.tos, out.ttl), expected);
    }
}

#[test]
fn a_packet_too_long_for_it_is_answered_with_its_mtu() {
    let mut sim = sim(tunnel(true), |_| ());
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 4000), at(FAR, 53), &[7; 1500 - 28]));
    let error = sim.sent_one();
    assert_eq!(
        (&error[..6], &error[34..36], &error[40..42]),
        (&CLIENT[..], &[3, 4][..], &1476u16.to_be_bytes()[..])
    );
}

#[test]
fn a_tunnel_in_a_tunnel_and_one_without_a_way_are_dropped() {
    let mut nested = sim(tunnel(false), |_| ());
    let inside = build::ip(([0; 6], [0; 6]), ip(REMOTE), ip(LOCAL), 4, answer()[14..].to_vec(), None);
    nested.receive(0, PORT, &wrapped(4, 0, &[], &inside));
    assert_eq!((nested.sent().len(), nested.drops(DropReason::TunnelNested)), (0, 1));
    for remote in ["203.0.113.9", "0.0.0.0"] {
        let mut lost = sim(Tunnel { remote: addr(remote), ..tunnel(false) }, |_| ());
        lost.receive(0, PORT, &question());
        assert_eq!((lost.sent().len(), lost.drops(DropReason::TunnelRoute)), (0, 1), "{remote}");
        // From anybody, if from anybody.
        lost.receive(0, PORT, &wrapped(4, 0, &[], &answer()));
        assert_eq!(lost.sent().len(), usize::from(remote == "0.0.0.0"), "{remote}");
    }
}

#[test]
fn numbered_packets_are_taken_in_their_order() {
    let numbered = End { seq: true, ..End::default() };
    let mut sim = sim(Tunnel { input: numbered, output: numbered, ..tunnel(true) }, |_| ());
    for n in 0..3u32 {
        sim.receive(0, PORT, &question());
        assert_eq!(opened(&sim.sent_one(), 8).shim, [&[0x10, 0, 8, 0][..], &n.to_be_bytes()].concat());
    }
    let mut dropped = 0;
    // Round the end of their range too.
    let round = [(0x7fff_0000, true), (0xfffe_0000, true), (3, true), (0xffff_ffff, false), (3, false)];
    let first = [(5u32, true), (5, false), (4, false), (6, true)];
    for (seq, taken) in first.into_iter().chain(round) {
        let shim = [&[0x10, 0, 8, 0][..], &seq.to_be_bytes()].concat();
        sim.receive(0, PORT, &wrapped(47, 0, &shim, &answer()));
        dropped += u64::from(!taken);
        assert_eq!(
            (sim.sent().len(), sim.drops(DropReason::TunnelSequence)),
            (usize::from(taken), dropped),
            "{seq}"
        );
    }
    sim.receive(0, PORT, &wrapped(47, 0, &[0, 0, 8, 0], &answer()));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::TunnelSequence)), (0, dropped + 1), "no number");
}

#[test]
fn nobody_is_told_of_its_addresses() {
    let mut sim = sim(tunnel(false), |_| ());
    for addr in [OWN, "fd09::1"] {
        sim.announce(0, LinkId(2), ip(addr));
    }
    let traffic = sim.lcores[0].traffic();
    assert_eq!((traffic.generated, traffic.dropped()), (0, 0));
}
