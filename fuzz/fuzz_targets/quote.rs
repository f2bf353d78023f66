// SPDX-License-Identifier: Apache-2.0
//! ICMP errors that quote a packet of a connection, or nearly: no panic, no packet lost from the books, and whatever is passed on has right
//! checksums and lengths.
//!
//! An input says how the director forwards, what the error is, how much it quotes and which bytes of the quote are others.
//!
//! ```text
//!   0      1      2      3        7         9
//!   | way  | type | code | rest   | quoted  | offset (2), byte | offset (2), byte | ...
//! ```
#![no_main]

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Forwarding;
use libfuzzer_sys::fuzz_target;
use model::{Transport, TunnelKind};
use packet::{build, checksum, ipv4, ipv6};

/// Clients, servers, forwarding; and whether the error is about what went to the server.
fn way(number: u8) -> (Names, Names, Forwarding, bool) {
    let (near, far) = [(V4, V4), (V6, V6), (V6, V4), (V4, V6)][usize::from(number & 3)];
    let forwarding = match number >> 2 & 3 {
        0 | 1 => Forwarding::FullNat,
        2 => Forwarding::Tunnel(TunnelKind::Ipip),
        _ => Forwarding::Tunnel(TunnelKind::Gre { csum: model::dest::TunnelCsum::None }),
    };
    (near, far, forwarding, number & 16 == 0)
}

/// IP bytes of the one frame that left.
fn left(sim: &mut Sim) -> Option<Vec<u8>> {
    let frame = sim.sent().pop()?;
    Some(frame[if frame[12..14] == [0x81, 0] { 18 } else { 14 }..].to_vec())
}

/// What a router may quote: a packet as it left the director, for a server or for its client.
fn quoted(sim: &mut Sim, near: Names, to_server: bool) -> Option<Vec<u8>> {
    let request = build::udp((DIRECTOR, CLIENT), at(near.client, 40_000), at(near.vip, 80), &[7; 200]);
    sim.receive(0, PORT, &request);
    let there = left(sim)?;
    if to_server {
        return Some(there);
    }
    let port = |at: usize| u16::from_be_bytes([there[at], there[at + 1]]);
    let answer = match there[0] >> 4 {
        4 => {
            let addr = |at: usize| std::net::IpAddr::from(<[u8; 4]>::try_from(&there[at..at + 4]).expect("four"));
            build::udp((DIRECTOR, server_mac(1)), (addr(16), port(22)).into(), (addr(12), port(20)).into(), &[7; 200])
        }
        _ => {
            let addr = |at: usize| std::net::IpAddr::from(<[u8; 16]>::try_from(&there[at..at + 16]).expect("sixteen"));
            build::udp((DIRECTOR, server_mac(1)), (addr(24), port(42)).into(), (addr(8), port(40)).into(), &[7; 200])
        }
    };
    sim.receive(0, PORT, &tagged(answer));
    left(sim)
}

fn tagged(mut frame: Vec<u8>) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0, 0, 102]);
    frame
}

fn judge(packet: &[u8]) {
    if packet[0] >> 4 == 4 {
        let header = ipv4::Header::parse(packet).expect("a header");
        assert_eq!(header.total_len(), packet.len());
        assert_eq!(checksum::checksum(&packet[..header.header_len()]), 0, "IPv4 header checksum");
        if header.proto() == 1 {
            assert_eq!(checksum::checksum(&packet[header.header_len()..]), 0, "ICMP checksum");
        }
        return;
    }
    let header = ipv6::Header::parse(packet).expect("a header");
    assert_eq!(ipv6::LEN + header.payload_len(), packet.len());
    if header.next_header() == 58 {
        let message = &packet[ipv6::LEN..];
        let pseudo = checksum::pseudo6(header.src(), header.dst(), 58, message.len());
        assert_eq!(checksum::fold(pseudo + checksum::sum(message)), 0xffff, "ICMPv6 checksum");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[number, kind, code, a, b, c, d, high, low], mut edits)) = bytes.split_first_chunk::<9>() else {
        return;
    };
    let (near, far, forwarding, about_request) = way(number);
    let two_way = forwarding == Forwarding::FullNat;
    let mut snap = world::snapshot();
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(near.vip) && svc.transport == Transport::Udp) {
        svc.laddrs = vec![ip(far.laddr)];
        for id in &svc.dests {
            let dest = snap.dests[id.index()].as_mut().expect("it is there");
            (dest.forwarding, dest.addr) = (forwarding, at(far.servers[0], if two_way { 8080 } else { 80 }));
        }
    }
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    let to_server = about_request || !two_way;
    let Some(mut quote) = quoted(&mut sim, near, to_server) else { return };
    while let Some((&[high, low, value], rest)) = edits.split_first_chunk::<3>() {
        if let Some(byte) = quote.get_mut(usize::from(u16::from_be_bytes([high, low]))) {
            *byte = value;
        }
        edits = rest;
    }
    quote.truncate(usize::from(u16::from_be_bytes([high, low])));
    quote.extend(edits);
    let (told, router) = match to_server {
        true => (ip(far.laddr), ip(far.servers[1])),
        false => (ip(near.vip), ip(near.client)),
    };
    let message = [&[kind, code, 0, 0, a, b, c, d][..], &quote].concat();
    let proto = if told.is_ipv4() { 1 } else { 58 };
    let frame = build::ip((DIRECTOR, [2; 6]), router, told, proto, message, Some(2));
    sim.receive(0, PORT, &if to_server { tagged(frame) } else { frame });
    if let Some(packet) = left(&mut sim) {
        judge(&packet);
    }
});
