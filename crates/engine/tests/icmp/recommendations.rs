// SPDX-License-Identifier: Apache-2.0
//! What the README lists and no other file shows.

use engine::forward::Forwarding;
use engine::sim::world::{CLIENT, DIRECTOR, PORT, V4, V6, at, ip};
use engine::verdict::DropReason;
use packet::build;

use super::matrix::{Case, Inside, both_directions, exchange, is_v4};
use super::{error, error_seen, hop_older, ip_of};

#[test]
fn icmp_01_a_quote_is_read_header_by_header_and_eight_bytes_suffice() {
    for names in [V4, V6] {
        let case = Case::simple(Forwarding::FullNat, names, names);
        let mut sim = case.sim();
        let [request, forwarded, ..] = exchange(&mut sim, &case, 0, b"payload");
        let (router, kind, fixed) =
            if is_v4(names) { ("10.2.0.77", [3, 1], 20) } else { ("fd02::77", [1, 0], 40) };
        // Options, or an extension header that says nothing.
        let longer = |packet: &[u8]| {
            let mut packet = packet.to_vec();
            if is_v4(names) {
                packet.splice(20..20, [1, 1, 1, 1]);
                (packet[0], packet[3]) = (0x46, packet[3] + 4);
                let (mut header, _) = etherparse::Ipv4Header::from_slice(&packet).expect("a sound header");
                header.header_checksum = header.calc_header_checksum();
                packet[..24].copy_from_slice(&header.to_bytes());
                return (packet, 24);
            }
            packet.splice(40..40, [packet[6], 0, 1, 4, 0, 0, 0, 0]);
            (packet[6], packet[5]) = (60, packet[5] + 8);
            (packet, 48)
        };
        for (about, original, header_len) in [
            (forwarded.clone(), hop_older(request.clone()), fixed),
            (longer(&forwarded).0, longer(&hop_older(request)).0, longer(&forwarded).1),
        ] {
            for quoted in header_len..header_len + 8 {
                let before = sim.drops(DropReason::IcmpQuote);
                let frame = error((DIRECTOR, [2; 6]), ip(router), ip(names.laddr), kind, 0, &about, quoted);
                sim.receive(0, PORT, &case.side(false, frame));
                assert_eq!((sim.sent().len(), sim.drops(DropReason::IcmpQuote)), (0, before + 1), "{quoted}");
            }
            let frame =
                error((DIRECTOR, [2; 6]), ip(router), ip(names.laddr), kind, 0, &about, header_len + 8);
            sim.receive(0, PORT, &case.side(false, frame));
            assert_eq!(error_seen(&sim.sent_one()).4, original[..header_len + 8]);
        }
    }
}

#[test]
fn icmp_02_errors_about_packets_on_their_way_are_passed_on_and_nothing_else() {
    for names in [V4, V6] {
        let case = Case::simple(Forwarding::FullNat, names, names);
        let mut sim = case.sim();
        let [_, forwarded, ..] = exchange(&mut sim, &case, 0, b"payload");
        let (router, passed): (&str, &[u8]) =
            if is_v4(names) { ("10.2.0.77", &[3, 4, 11, 12]) } else { ("fd02::77", &[1, 2, 3, 4]) };
        for kind in 0..=255 {
            let frame =
                error((DIRECTOR, [2; 6]), ip(router), ip(names.laddr), [kind, 0], 1400, &forwarded, 100);
            sim.receive(0, PORT, &case.side(false, frame));
            let told = sim.sent().iter().any(|frame| frame[6..12] == DIRECTOR && frame[12..14] != [0x81, 0]);
            assert_eq!(told, passed.contains(&kind), "type {kind}");
        }
    }
}

#[test]
fn icmp_02_source_quench_ends_here_where_dpvs_conf_says_so() {
    let case = Case::simple(Forwarding::FullNat, V4, V4);
    for passed in [true, false] {
        let mut sim = case.sim();
        let mut snap = sim.snap.clone();
        snap.options.icmp.source_quench = passed;
        sim.publish(snap.index());
        let [_, forwarded, ..] = exchange(&mut sim, &case, 0, b"payload");
        let frame = error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [4, 0], 0, &forwarded, 100);
        sim.receive(0, PORT, &case.side(false, frame));
        assert_eq!((sim.sent().len() == 1, sim.drops(DropReason::IcmpPolicy) == 0), (passed, passed));
    }
}

#[test]
fn icmp_05_links_that_are_said_to_take_next_to_nothing_are_not_believed_where_dpvs_conf_says_so() {
    let case = Case::simple(Forwarding::FullNat, V4, V4);
    let mut sim = case.sim();
    let mut snap = sim.snap.clone();
    snap.options.icmp.least_mtu = 552;
    sim.publish(snap.index());
    let [_, forwarded, ..] = exchange(&mut sim, &case, 0, &[7; 1000]);
    // 0 says nothing, as old routers do.
    for (mtu, told) in [(1400, true), (552, true), (551, false), (68, false), (0, true)] {
        let frame = error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 4], mtu, &forwarded, 100);
        sim.receive(0, PORT, &case.side(false, frame));
        assert_eq!(sim.sent().len() == 1, told, "{mtu}");
    }
    assert_eq!(sim.drops(DropReason::IcmpPolicy), 2);
}

#[test]
fn icmp_05_what_tells_a_server_its_client_takes_room_while_it_is_told() {
    for (near, far, told, expected) in
        [(V4, V4, 1400, 1392), (V6, V6, 1400, 1380), (V6, V4, 1400, 1400), (V4, V6, 1400, 1372)]
    {
        let case = Case { inside: Inside::Tcp, ..Case::simple(Forwarding::FullNat, near, far) };
        let mut sim = case.sim();
        let mut snap = sim.snap.clone();
        snap.options.identity.toa = true;
        sim.publish(snap.index());
        let [_, forwarded, ..] = exchange(&mut sim, &case, 0, b"payload");
        let (router, kind) = if is_v4(far) { ("10.2.0.77", [3, 4]) } else { ("fd02::77", [2, 0]) };
        let frame = error((DIRECTOR, [2; 6]), ip(router), ip(far.laddr), kind, told, &forwarded, 1000);
        sim.receive(0, PORT, &case.side(false, frame));
        assert_eq!(error_seen(&sim.sent_one()).3, expected, "{near:?} {far:?}");
    }
}

#[test]
fn icmp_06_path_mtu_is_told_both_ways_with_and_without_syn_proxy() {
    for (near, far) in [(V4, V4), (V6, V6)] {
        for inside in [Inside::Tcp, Inside::ProxiedTcp] {
            for workers in [1, 2, 4] {
                both_directions(&Case { inside, workers, ..Case::simple(Forwarding::FullNat, near, far) });
            }
        }
    }
}

#[test]
fn icmp_04_what_tells_a_server_its_client_is_not_in_the_clients_quote() {
    for (near, far, mtu) in [(V4, V4, 1388), (V6, V6, 1376), (V6, V4, 1396), (V4, V6, 1368)] {
        let case = Case::simple(Forwarding::FullNat, near, far);
        let mut sim = case.sim();
        let mut snap = sim.snap.clone();
        snap.options.identity.uoa_trail = 1;
        sim.publish(snap.index());
        let request = build::udp((DIRECTOR, CLIENT), at(near.client, 40_000), at(near.vip, 80), b"payload");
        sim.receive(0, PORT, &request);
        let (request, forwarded) = (ip_of(&request), ip_of(&sim.sent_one()));
        assert_eq!(forwarded[if is_v4(far) { 9 } else { 6 }], 248, "it tells");
        let (router, kind) = if is_v4(far) { ("10.2.0.77", [3, 4]) } else { ("fd02::77", [2, 0]) };
        let frame = error((DIRECTOR, [2; 6]), ip(router), ip(far.laddr), kind, 1400, &forwarded, 1000);
        sim.receive(0, PORT, &case.side(false, frame));
        let (src, dst, _, seen_mtu, quote) = error_seen(&sim.sent_one());
        assert_eq!((src, dst, seen_mtu), (ip(near.vip), ip(near.client), mtu), "{near:?} {far:?}");
        let mut expected = hop_older(request);
        // Such datagrams go to servers of IPv4 without checksum.
        if is_v4(far) {
            let at = if is_v4(near) { 26 } else { 46 };
            expected[at..at + 2].fill(0);
        }
        assert_eq!(quote, expected);
    }
}

/// Whatever it quotes, and in both directions.
#[test]
fn row122_an_error_with_a_wrong_checksum_is_dropped() {
    for names in [V4, V6] {
        let case = Case::simple(Forwarding::FullNat, names, names);
        let mut sim = case.sim();
        let [_, forwarded, _, back] = exchange(&mut sim, &case, 0, b"payload");
        let (routers, kind) = if is_v4(names) {
            (["10.2.0.77", "10.1.0.77"], [3, 1])
        } else {
            (["fd02::77", "fd01::77"], [1, 0])
        };
        for (near, router, to, about) in
            [(false, routers[0], names.laddr, &forwarded), (true, routers[1], names.vip, &back)]
        {
            let sound = error((DIRECTOR, [2; 6]), ip(router), ip(to), kind, 0, about, 1000);
            let message = if is_v4(names) { 34 } else { 54 };
            for at in [message + 1, message + 2, sound.len() - 1] {
                let mut broken = sound.clone();
                broken[at] ^= 1;
                let before = sim.drops(DropReason::L4Checksum);
                sim.receive(0, PORT, &case.side(near, broken));
                assert_eq!(
                    (sim.sent().len(), sim.drops(DropReason::L4Checksum)),
                    (0, before + 1),
                    "byte {at}"
                );
            }
            sim.receive(0, PORT, &case.side(near, sound));
            assert_eq!(sim.sent().len(), 1, "as it was it is told");
        }
    }
}

/// What fits is told as the router said it, where the director adds nothing and both sides speak one family.
#[test]
fn row133_what_fits_on_the_servers_side_is_told_the_client_unchanged() {
    for names in [V4, V6] {
        let case = Case::simple(Forwarding::FullNat, names, names);
        let mut sim = case.sim();
        let [_, forwarded, ..] = exchange(&mut sim, &case, 0, b"payload");
        let (router, kind) = if is_v4(names) { ("10.2.0.77", [3, 4]) } else { ("fd02::77", [2, 0]) };
        for mtu in [1280, 1400, 1499] {
            let frame = error((DIRECTOR, [2; 6]), ip(router), ip(names.laddr), kind, mtu, &forwarded, 1000);
            sim.receive(0, PORT, &case.side(false, frame));
            let (src, dst, told, rest, _) = error_seen(&sim.sent_one());
            assert_eq!((src, dst, told, rest), (ip(names.vip), ip(names.client), kind, mtu));
        }
    }
}
