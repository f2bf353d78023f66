// SPDX-License-Identifier: Apache-2.0
//! Errors about fragments: the first has the ports, and is told like a whole packet; a later one cannot be tied to anything.

use engine::forward::Forwarding;
use engine::sim::world::{DIRECTOR, Names, PORT, V4, V6, ip};
use engine::verdict::DropReason;

use super::matrix::{Case, exchange, is_v4};
use super::{error, error_seen, hop_older};

const ID: [u8; 2] = [0xab, 0xcd];

/// A packet as the fragment of itself that begins at `offset`, in units of eight bytes.
fn fragment(packet: &[u8], offset: u16) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        packet[4..6].copy_from_slice(&ID);
        packet[6..8].copy_from_slice(&(0x2000 | offset).to_be_bytes());
        let (mut header, _) = etherparse::Ipv4Header::from_slice(&packet).expect("a sound header");
        header.header_checksum = header.calc_header_checksum();
        packet[..20].copy_from_slice(&header.to_bytes());
        return packet;
    }
    let word = (offset << 3 | 1).to_be_bytes();
    packet.splice(40..40, [packet[6], 0, word[0], word[1], 0, 0, ID[0], ID[1]]);
    packet[6] = 44;
    let len = u16::from_be_bytes([packet[4], packet[5]]) + 8;
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet
}

const FAMILIES: [(Names, Names); 4] = [(V4, V4), (V6, V6), (V6, V4), (V4, V6)];

#[test]
fn icmp_04_an_error_about_a_first_fragment_is_told_about_a_first_fragment() {
    for (near, far) in FAMILIES {
        let case = Case::simple(Forwarding::FullNat, near, far);
        let mut sim = case.sim();
        let [request, forwarded, answer, back] = exchange(&mut sim, &case, 0, b"some payload");
        let sides = [(true, far, far.laddr, forwarded, request), (false, near, near.vip, back, answer)];
        for (near_sent, from, told, about, original) in sides {
            let router = match (is_v4(from), near_sent) {
                (true, true) => "10.2.0.77",
                (true, false) => "10.1.0.77",
                (false, true) => "fd02::77",
                (false, false) => "fd01::77",
            };
            let kind = if is_v4(from) { [11, 1] } else { [3, 1] };
            let frame = error((DIRECTOR, [2; 6]), ip(router), ip(told), kind, 0, &fragment(&about, 0), 1000);
            sim.receive(0, PORT, &case.side(!near_sent, frame));
            let (_, _, kind, _, quote) = error_seen(&sim.sent_one());
            assert_eq!(kind, if original[0] >> 4 == 4 { [11, 1] } else { [3, 1] });
            assert_eq!(quote, fragment(&hop_older(original), 0), "{near:?} {near_sent}");
        }
    }
}

#[test]
fn icmp_03_an_error_about_a_later_fragment_is_dropped_by_name() {
    for (near, far) in FAMILIES {
        let case = Case::simple(Forwarding::FullNat, near, far);
        let mut sim = case.sim();
        let [_, forwarded, ..] = exchange(&mut sim, &case, 0, b"some payload");
        let (router, kind) = if is_v4(far) { ("10.2.0.77", [11, 1]) } else { ("fd02::77", [3, 1]) };
        let about = fragment(&forwarded, 5);
        sim.receive(
            0,
            PORT,
            &case.side(false, error((DIRECTOR, [2; 6]), ip(router), ip(far.laddr), kind, 0, &about, 1000)),
        );
        assert_eq!((sim.sent().len(), sim.drops(DropReason::IcmpQuote)), (0, 1));
    }
}
