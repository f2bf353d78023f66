// SPDX-License-Identifier: Apache-2.0
//! Errors about packets in tunnels: the router saw the director send to the server; the client hears of what it had sent, and what fits of that.
//!
//! ```text
//!   client ── packet ──> director ── outer header | packet ──> router
//!          <── vip: packet does not fit ──        <── quotes outer header | packet ──
//! ```

use engine::forward::Forwarding;
use engine::sim::Sim;
use engine::sim::world::{CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip};
use engine::verdict::DropReason;
use model::TunnelKind;
use model::dest::TunnelCsum;
use packet::build;

use super::matrix::{Case, is_v4};
use super::{error, error_seen, ip_of, seen::tagged};

/// Every kind, and the bytes between the outer IP header and the packet.
const KINDS: [(TunnelKind, u32); 5] = [
    (TunnelKind::Ipip, 0),
    (TunnelKind::Gue { port: 6080, csum: TunnelCsum::None }, 12),
    (TunnelKind::Gue { port: 6080, csum: TunnelCsum::Full }, 12),
    (TunnelKind::Gre { csum: TunnelCsum::None }, 4),
    (TunnelKind::Gre { csum: TunnelCsum::Full }, 8),
];

const FAMILIES: [(Names, Names); 4] = [(V4, V4), (V6, V6), (V6, V4), (V4, V6)];

/// A client's packet and what went into the tunnel.
fn sent(sim: &mut Sim, inside: Names, home: usize) -> (Vec<u8>, Vec<u8>) {
    let request = build::udp((DIRECTOR, CLIENT), at(inside.client, 5353), at(inside.vip, 80), &[7; 200]);
    sim.receive(home, PORT, &request);
    (ip_of(&request), ip_of(&sim.sent_one()))
}

fn report(outside: Names, kind: [u8; 2], rest: u32, about: &[u8], quoted: usize) -> Vec<u8> {
    let router = if is_v4(outside) { "10.2.0.77" } else { "fd02::77" };
    tagged(error((DIRECTOR, [2; 6]), ip(router), ip(outside.laddr), kind, rest, about, quoted))
}

#[test]
fn icmp_05_the_client_hears_of_its_own_packet_and_what_fits_in_the_tunnel() {
    for (kind, shim) in KINDS {
        for (inside, outside) in FAMILIES {
            for (workers, home, lands) in [(1, 0, 0), (2, 0, 1), (2, 1, 0), (4, 3, 1)] {
                let forwarding = Forwarding::Tunnel(kind);
                let case = Case { workers, ..Case::simple(forwarding, inside, outside) };
                let mut sim = case.sim();
                let (request, wrapped) = sent(&mut sim, inside, home);
                let outer = if is_v4(outside) { 20 } else { 40 };
                let mtu = if is_v4(inside) { 1400 - outer - shim } else { (1400 - outer - shim).max(1280) };
                let (too_big, exceeded, unreachable) = match is_v4(outside) {
                    true => ([3, 4], [11, 0], [3, 1]),
                    false => ([2, 0], [3, 0], [1, 3]),
                };
                let expected = match is_v4(inside) {
                    true => [[3, 4], [11, 0], [3, 1]],
                    false => [[2, 0], [3, 0], [1, 3]],
                };
                for ((said, rest), heard) in
                    [(too_big, 1400), (exceeded, 0), (unreachable, 0)].into_iter().zip(expected)
                {
                    for quoted in [wrapped.len() - 200, wrapped.len()] {
                        sim.receive(lands, PORT, &report(outside, said, rest, &wrapped, quoted));
                        let (src, dst, kind, seen, quote) = error_seen(&sim.sent_one());
                        assert_eq!((src, dst, kind), (ip(inside.vip), ip(inside.client), heard), "{case:?}");
                        assert_eq!(seen, if rest == 0 { 0 } else { mtu }, "{case:?}");
                        assert_eq!(quote, request[..request.len() - (wrapped.len() - quoted)], "{case:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_tied_to_a_client_is_dropped_by_name() {
    for (kind, shim) in KINDS {
        for (inside, outside) in FAMILIES {
            let forwarding = Forwarding::Tunnel(kind);
            let case = Case::simple(forwarding, inside, outside);
            let mut sim = case.sim();
            let (request, wrapped) = sent(&mut sim, inside, 0);
            let front = wrapped.len() - request.len();
            assert!(front >= shim as usize);
            let unreachable = if is_v4(outside) { [3, 1] } else { [1, 3] };
            let mut other_client = wrapped.clone();
            other_client[front + if is_v4(inside) { 15 } else { 23 }] ^= 1;
            let mut other_server = wrapped.clone();
            other_server[if is_v4(outside) { 19 } else { 39 }] ^= 3;
            for (about, quoted, reason) in [
                // A router of IPv4 that quotes no more than it must.
                (&wrapped, front + 20, DropReason::IcmpQuote),
                (&other_client, 1000, DropReason::IcmpUnrelated),
                (&other_server, 1000, DropReason::IcmpForeign),
            ] {
                let before = sim.drops(reason);
                sim.receive(0, PORT, &report(outside, unreachable, 0, about, quoted));
                assert_eq!((sim.sent().len(), sim.drops(reason)), (0, before + 1), "{case:?} {reason:?}");
            }
        }
    }
}

#[test]
fn a_wrong_outer_header_is_no_concern_of_the_clients() {
    let case = Case::simple(Forwarding::Tunnel(TunnelKind::Ipip), V4, V4);
    let mut sim = case.sim();
    let (_, wrapped) = sent(&mut sim, V4, 0);
    sim.receive(0, PORT, &report(V4, [12, 0], 0, &wrapped, 1000));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::IcmpUnrelated)), (0, 1));
}

#[test]
fn extensions_are_kept_out_of_a_tunnel_too() {
    let extensions = [0x20, 0, 0xe0, 0x07, 0, 8, 1, 1, 0xff, 0xff, 0xf1, 0x01];
    let case = Case::simple(Forwarding::Tunnel(TunnelKind::Ipip), V4, V4);
    let mut sim = case.sim();
    let (request, wrapped) = sent(&mut sim, V4, 0);
    let message = [&[11, 0, 0, 0, 0, 40, 0, 0][..], &wrapped[..160], &extensions].concat();
    let frame = build::ip((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), 1, message, Some(2));
    sim.receive(0, PORT, &tagged(frame));
    let (_, _, kind, rest, body) = error_seen(&sim.sent_one());
    assert_eq!((kind, rest), ([11, 0], 35 << 16));
    assert_eq!(body, [&request[..140], &extensions].concat());
}
