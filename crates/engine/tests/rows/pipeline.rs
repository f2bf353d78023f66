// SPDX-License-Identifier: Apache-2.0
//! From the wire to the services: rows 1 to 21.

use crate::*;

#[test]
fn row005_what_fills_up_a_frame_is_no_part_of_the_packet() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let mut frame = datagram(names, 40_000, 80);
        let len = frame.len();
        frame.resize(len + 18, 0xee);
        sim.receive(0, PORT, &frame);
        let sent = sim.sent_one();
        // The servers' network has a tag of four bytes.
        assert_eq!((sent.len(), see(&sent).payload.as_slice()), (len + 4, &b"question"[..]));
    }
}

/// Differs from DPVS in nothing but the counters: each reason has its own.
#[test]
fn row001_frames_for_other_stations_are_dropped() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        sim.kernel = true;
        let echo = build::echo((DIRECTOR, CLIENT), ip(names.client), ip(names.own), 1, 2, b"x");
        for mut frame in [datagram(names, 40_000, 80), echo, question(V4.client, V4.own)] {
            frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0x77]);
            sim.receive(0, PORT, &frame);
        }
        assert_eq!((sim.sent().len(), sim.handed.len(), sim.conns()), (0, 0, 0));
        assert_eq!(sim.drops(DropReason::OtherHost), 3);
    }
}

#[test]
fn row002_a_known_vlan_is_answered_in_it_and_an_unknown_one_counted() {
    let mut sim = world::sim(1);
    sim.receive(0, PORT, &tagged(question(V4.servers[0], V4.laddr)));
    assert_eq!(sim.sent_one()[12..18], [0x81, 0x00, 0, 102, 8, 6]);
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let echo = build::echo((DIRECTOR, CLIENT), ip(names.servers[0]), ip(names.laddr), 1, 2, b"x");
        sim.receive(0, PORT, &tagged(echo.clone()));
        let answer = sim.sent_one();
        assert_eq!(answer[..16], [&CLIENT[..], &DIRECTOR, &[0x81, 0x00, 0, 102]].concat());
        for vlan in [1, 101, 103, 4095u16] {
            let mut frame = tagged(echo.clone());
            frame[14..16].copy_from_slice(&vlan.to_be_bytes());
            sim.receive(0, PORT, &frame);
        }
        assert_eq!((sim.sent().len(), sim.drops(DropReason::UnknownVlan)), (0, 4));
        assert_eq!(sim.lcores[0].traffic().dropped(), 4);
    }
}

#[test]
fn row003_frames_of_other_protocols_are_the_hosts_as_they_came() {
    let mut sim = world::sim(1);
    sim.kernel = true;
    let head = [&DIRECTOR[..], &CLIENT].concat();
    // LLDP, and a protocol that nobody has heard of, tagged too; padding belongs to them.
    let frames = [
        [&head[..], &[0x88, 0xcc], &[7; 46]].concat(),
        [&head[..], &[0x12, 0x34], b"whatever", &[0; 38]].concat(),
        [&head[..], &[0x81, 0x00, 0, 102, 0x12, 0x34], &[9; 60]].concat(),
    ];
    frames.iter().for_each(|frame| sim.receive(0, PORT, frame));
    assert_eq!((sim.sent().len(), &sim.handed[..]), (0, &frames[..]));
    // Where nobody takes them they are counted.
    sim.kernel = false;
    sim.receive(0, PORT, &frames[0]);
    assert_eq!((sim.handed.len(), sim.drops(DropReason::EtherType)), (3, 1));
}

#[test]
fn row004_headers_that_contradict_themselves_are_dropped_each_by_its_name() {
    let good = || datagram(V4, 40_000, 80);
    // The packet has 36 bytes.
    let cases: [(Vec<u8>, DropReason); 8] = [
        (with_header4(good(), |header| header[0] = 0x55), DropReason::IpHeader),
        (with_header4(good(), |header| header[0] = 0x65), DropReason::IpHeader),
        (
            {
                let mut f = good();
                f[14] = 0x44;
                f
            },
            DropReason::IpHeader,
        ),
        (
            {
                let mut f = good();
                f[24] ^= 1;
                f
            },
            DropReason::IpChecksum,
        ),
        (with_header4(good(), |header| header[3] = 37), DropReason::Truncated),
        (with_header4(good(), |header| header[3] = 19), DropReason::IpHeader),
        (good()[..14 + 19].to_vec(), DropReason::Truncated),
        (
            {
                let mut f = good();
                f[14] = 0x4f;
                f
            },
            DropReason::IpHeader,
        ),
    ];
    for (n, (frame, reason)) in cases.into_iter().enumerate() {
        let mut sim = world::sim(1);
        sim.kernel = true;
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.drops(reason), sim.sent().len(), sim.handed.len()), (1, 0, 0), "case {n}");
    }
    // With options and all right it passes.
    let mut sim = world::sim(1);
    sim.receive(0, PORT, &with_options4(good(), &[1, 1, 1, 1]));
    assert_eq!(sim.sent().len(), 1);
}

#[test]
fn row006_routing_protocols_are_the_hosts_in_fragments_too() {
    let mut sim = world::sim(1);
    sim.kernel = true;
    let hello = |dst, mac| build::ip((mac, CLIENT), ip(V4.client), ip(dst), 89, vec![2; 44], None);
    let whole = [hello("224.0.0.5", [1, 0, 0x5e, 0, 0, 5]), hello(V4.own, DIRECTOR)];
    let mut frames = whole.to_vec();
    for (frame, word) in whole.iter().flat_map(|frame| [(frame, 0x2000u16), (frame, 3)]) {
        frames.push(with_header4(frame.clone(), |header| header[6..8].copy_from_slice(&word.to_be_bytes())));
    }
    frames.iter().for_each(|frame| sim.receive(0, PORT, frame));
    assert_eq!((sim.sent().len(), &sim.handed[..]), (0, &frames[..]));
}

/// Differs from DPVS where the frame is sent to a group and the packet to one address: no service gets it, but the host's own stack does,
/// which drops it; DPVS drops such a packet of IPv6 before.
#[test]
fn row008_addresses_that_cannot_be_on_the_wire_are_dropped() {
    let groups = ["ff00::1", "ff01::1", "ff10::2", "ff11::2"];
    let strange =
        [("::1", V6.vip), (V6.client, "::1"), ("ff02::1", V6.vip), ("ff0e::1", V6.vip), (V6.client, "::")];
    for (src, dst) in strange.into_iter().chain(groups.map(|group| (V6.client, group))) {
        let mut sim = world::sim(1);
        sim.kernel = true;
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(src, 5353), at(dst, 80), b"q"));
        assert_eq!((sim.drops(DropReason::Martian), sim.handed.len(), sim.conns()), (1, 0, 0), "{src} {dst}");
        assert!(sim.sent().is_empty());
    }
    for (src, dst) in
        [("127.0.0.1", V4.vip), (V4.client, "127.0.0.1"), ("224.0.0.1", V4.vip), ("0.1.2.3", V4.vip)]
    {
        let mut sim = world::sim(1);
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(src, 5353), at(dst, 80), b"q"));
        assert_eq!((sim.drops(DropReason::Martian), sim.sent().len(), sim.conns()), (1, 0, 0), "{src} {dst}");
    }
    for (names, group) in [(V6, [0x33, 0x33, 0, 0, 0, 1]), (V4, [0xff; 6])] {
        let mut sim = world::sim(1);
        let mut frame = datagram(names, 40_000, 80);
        frame[..6].copy_from_slice(&group);
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.sent().len(), sim.conns(), sim.drops(DropReason::NoService)), (0, 0, 1));
    }
}

#[test]
fn row011_what_no_service_wants_at_an_own_address_is_the_hosts() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        sim.kernel = true;
        let syn = Segment { seq: 1, flags: SYN, ..Segment::default() };
        let frames = [
            from_client(at(names.client, 40_000), at(names.vip, 81), syn),
            from_client(at(names.client, 40_000), at(names.own, 22), syn),
            build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.vip, 81), b"q"),
        ];
        frames.iter().for_each(|frame| sim.receive(0, PORT, frame));
        assert_eq!((sim.sent().len(), sim.conns(), &sim.handed[..]), (0, 0, &frames[..]));
    }
}

/// On purpose unlike DPVS, where an address is local on its own device only and the packet would be routed: every own address is
/// answered for on any link.
#[test]
fn row012_an_address_of_another_link_is_ours_too() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let echo = build::echo((DIRECTOR, CLIENT), ip(names.client), ip(names.laddr), 77, 3, b"x");
        sim.receive(0, PORT, &echo);
        assert_eq!(sim.sent_one()[..12], [CLIENT, DIRECTOR].concat());
        // And so is a service, from the servers' side.
        let frame =
            build::udp((DIRECTOR, server_mac(1)), at(names.servers[0], 5353), at(names.vip, 80), b"q");
        sim.receive(0, PORT, &tagged(frame));
        assert_eq!(see(&sim.sent_one()).src.ip(), ip(names.laddr));
        // No address of anybody else.
        let other = if names.client == V4.client { "10.2.0.77" } else { "fd02::77" };
        sim.receive(0, PORT, &build::echo((DIRECTOR, CLIENT), ip(names.client), ip(other), 77, 3, b"x"));
        assert_eq!((sim.sent().len(), sim.drops(DropReason::NotForwarding)), (0, 1));
    }
}

/// On purpose unlike DPVS, which tells a sender that its packet's hops are used up although no packet is forwarded: who is no router
/// says nothing about hops (RFC 1812 4.3.3.5 is about routers).
#[test]
fn row013_without_forwarding_nothing_passes_and_nothing_is_said() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.servers[0], 53), b"q");
        for ttl in [64, 1] {
            sim.receive(0, PORT, &with_ttl(frame.clone(), ttl));
        }
        assert_eq!((sim.sent().len(), sim.drops(DropReason::NotForwarding)), (0, 2));
        // A packet to a service is answered, as that does pass.
        sim.receive(0, PORT, &with_ttl(datagram(names, 40_000, 80), 1));
        assert_eq!((error_of(&sim.sent_one()).0, sim.drops(DropReason::Ttl)), (time_exceeded(names), 1));
    }
}

#[test]
fn row014_what_passes_over_ipv4_loses_a_hop_and_what_is_too_long_is_cut_or_told() {
    let mut sim = forwarding();
    let payload: Vec<u8> = (0..1300u16).map(|n| n as u8).collect();
    let frame =
        |payload: &[u8]| build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.servers[0], 53), payload);
    sim.receive(0, PORT, &with_ttl(frame(b"q"), 7));
    let out = see(&sim.sent_one());
    assert_eq!((out.src, out.dst, out.ttl), (at(V4.client, 5353), at(V4.servers[0], 53), 6));
    assert_eq!((out.dst_mac, out.src_mac, out.vlan), (server_mac(1), DIRECTOR, Some(102)));

    let last = with_ttl(frame(b"q"), 1);
    sim.receive(0, PORT, &last);
    let (told, quoted) = error_of(&sim.sent_one());
    assert_eq!((told, &quoted[..]), ([11, 0, 0, 0, 0, 0], &last[14..]));

    let long = frame(&payload);
    sim.receive(0, PORT, &long);
    let (told, quoted) = error_of(&sim.sent_one());
    // 1280 is 0x0500.
    assert_eq!((told, &quoted[..]), ([3, 4, 0, 0, 5, 0], &long[14..14 + 548]));
    assert_eq!((sim.drops(DropReason::Ttl), sim.drops(DropReason::TooBig)), (1, 1));

    sim.receive(0, PORT, &with_header4(long, |header| header[6] = 0));
    let parts = sim.sent();
    let read: Vec<_> = parts.iter().map(|part| seen::parts::read(part).expect("a fragment")).collect();
    let seen: Vec<_> = read.iter().map(|part| (part.offset, part.more, part.body.len())).collect();
    assert_eq!(seen, [(0, true, 1256), (1256, false, 52)]);
    assert_eq!((seen::parts::joined(&parts).payload, seen::parts::joined(&parts).ttl), (payload, 63));
}

#[test]
fn row015_what_passes_over_ipv6_loses_a_hop_and_what_is_too_long_is_told() {
    let mut sim = forwarding();
    let frame = |src: &str, payload: &[u8]| {
        build::udp((DIRECTOR, CLIENT), at(src, 5353), at(V6.servers[0], 53), payload)
    };
    sim.receive(0, PORT, &with_ttl(frame(V6.client, b"q"), 7));
    let out = see(&sim.sent_one());
    assert_eq!((out.src, out.dst, out.ttl), (at(V6.client, 5353), at(V6.servers[0], 53), 6));
    assert_eq!((out.dst_mac, out.src_mac, out.vlan), (server_mac(1), DIRECTOR, Some(102)));

    let last = with_ttl(frame(V6.client, b"q"), 1);
    sim.receive(0, PORT, &last);
    let (told, quoted) = error_of(&sim.sent_one());
    assert_eq!((told, &quoted[..]), ([3, 0, 0, 0, 0, 0], &last[14..]));

    // 1281 bytes do not fit, 1280 do.
    let long = frame(V6.client, &[7; 1233]);
    sim.receive(0, PORT, &long);
    let (told, quoted) = error_of(&sim.sent_one());
    assert_eq!((told, &quoted[..]), ([2, 0, 0, 0, 5, 0], &long[14..14 + 1232]));
    sim.receive(0, PORT, &frame(V6.client, &[7; 1232]));
    assert_eq!(sim.sent_one().len(), 18 + 1280);

    // What is valid on its link only stays there (RFC 4291 2.5.6); differs: nothing is said about it.
    sim.receive(0, PORT, &frame("fe80::1", b"q"));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::NotForwarding)), (0, 1));
}

#[test]
fn row016_questions_for_own_addresses_are_answered_and_others_are_the_hosts() {
    let mut sim = world::sim(1);
    sim.kernel = true;
    for (own, last) in [(V4.own, 254), (V4.vip, 100)] {
        sim.receive(0, PORT, &question(V4.client, own));
        let expected = [
            &CLIENT[..],
            &DIRECTOR,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
            &DIRECTOR,
            &[10, 1, 0, last],
            &CLIENT,
            &[10, 1, 0, 1],
        ]
        .concat();
        assert_eq!(sim.sent_one()[..42], expected);
    }
    // The local address is on the VLAN: untagged, nobody is asked.
    let others = [question(V4.client, "10.1.0.77"), question(V4.client, V4.laddr)];
    others.iter().for_each(|frame| sim.receive(0, PORT, frame));
    assert_eq!((sim.sent().len(), &sim.handed[..]), (0, &others[..]));
}

#[test]
fn row017_what_one_worker_hears_of_a_neighbour_all_workers_know() {
    for names in [V4, V6] {
        let mut sim = world::sim(4);
        // Every worker asks by itself; the server answers the first question only.
        let station = sim.stations.remove(&ip(names.servers[0])).expect("it is a station");
        let mut snap = sim.snap.clone();
        snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = u32::from(dest.id.0.is_multiple_of(2)));
        sim.publish(snap.index());
        for worker in 0..4 {
            sim.receive(worker, PORT, &datagram(names, 40_000 + worker as u16, 80));
        }
        assert_eq!((0..4).map(|at| sim.lcores[at].held()).collect::<Vec<_>>(), [1; 4]);
        sim.sent();
        // The next question is answered, at worker 0.
        sim.stations.insert(ip(names.servers[0]), station);
        sim.pass(1_250);
        let known = |at: usize| {
            let mut all = sim.lcores[at].neighbours();
            all.find(|one| one.addr == ip(names.servers[0])).and_then(|one| one.mac)
        };
        assert_eq!((0..4).map(known).collect::<Vec<_>>(), [Some(station); 4]);
        assert_eq!((sim.sent().iter().filter(|frame| frame[..6] == station).count(), sim.conns()), (4, 4));
    }
}

/// Differs from DPVS by one: the limit is the number of packets that wait, where DPVS lets one more wait.
#[test]
fn row018_as_many_packets_wait_for_a_neighbour_as_may_and_leave_in_order() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let stations = std::mem::take(&mut sim.stations);
        let mut snap = sim.snap.clone();
        assert_eq!(snap.options.neigh_queue, 128, "as configured where nothing else is");
        snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = u32::from(dest.id.0.is_multiple_of(2)));
        sim.publish(snap.index());
        for n in 0..131u8 {
            let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.vip, 80), &[n]);
            sim.receive(0, PORT, &frame);
        }
        assert_eq!((sim.lcores[0].held(), sim.drops(DropReason::NeighQueueFull)), (128, 3));
        assert_eq!(sim.sent().len(), 1, "one question is enough");
        sim.stations = stations;
        sim.pass(1_250);
        let order: Vec<u8> = sim.sent().iter().map(|frame| see(frame).payload[0]).collect();
        assert_eq!(order, (0..128).collect::<Vec<u8>>());
        assert_eq!(sim.lcores[0].held(), 0);
    }
}

/// Differs from DPVS in what keeps a neighbour fresh: it is asked, and what TCP hears from beyond it is no sign of it. It is in use all the while.
#[test]
fn row019_a_neighbour_ages_and_is_asked_while_in_use() {
    use engine::neigh::State;
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        let server = tcp.syn.dst.ip();
        let state = |tcp: &Tcp| {
            let mut all = tcp.sim.lcores[0].neighbours();
            all.find(|one| one.addr == server).map(|one| one.state)
        };
        assert_eq!(state(&tcp), Some(State::Reachable));
        tcp.sim.pass(59_000);
        assert_eq!((state(&tcp), tcp.sim.sent().len()), (Some(State::Reachable), 0));
        // Asked after 60 seconds, and it answers.
        tcp.sim.pass(2_000);
        assert_eq!(state(&tcp), Some(State::Reachable));
        assert_eq!(tcp.client(1001, ACK, b"data").payload, b"data");
        // Later it does not: asked three times a second apart, its address used meanwhile.
        tcp.sim.stations.clear();
        tcp.sim.pass(61_500);
        assert_eq!(state(&tcp), Some(State::Delay));
        tcp.sim.sent();
        assert_eq!(tcp.client(1001, ACK, b"data").payload, b"data");
        tcp.sim.pass(2_000);
        assert_eq!(state(&tcp), Some(State::None));
    }
}

#[test]
fn row020_no_error_is_sent_about_errors_groups_and_later_fragments() {
    for names in [V4, V6] {
        let to = names.servers[0];
        let whole = || build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(to, 53), &[7; 64]);
        let icmp = |message: Vec<u8>| {
            let proto = if names.client == V4.client { 1 } else { 58 };
            build::ip((DIRECTOR, CLIENT), ip(names.client), ip(to), proto, message, Some(2))
        };
        let quote = |kind: u8| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &whole()[14..90]].concat();
        let mut group = whole();
        group[..6].copy_from_slice(&[0xff; 6]);
        let said = |frame: Vec<u8>| {
            let mut sim = forwarding();
            sim.receive(0, PORT, &with_ttl(frame, 1));
            sim.sent().len()
        };
        // About a datagram and an echo request, yes.
        assert_eq!(said(whole()), 1);
        assert_eq!(said(build::echo((DIRECTOR, CLIENT), ip(names.client), ip(to), 1, 2, b"x")), 1);
        assert_eq!(said(seen::parts::part(&whole(), 7, 0, 16, true)), 1, "a first fragment");
        assert_eq!(said(seen::parts::part(&whole(), 7, 16, 16, true)), 0, "a later one");
        for kind in if names.client == V4.client { [3, 11, 12] } else { [1, 2, 4] } {
            assert_eq!(said(icmp(quote(kind))), 0, "an error");
        }
        assert_eq!(said(group), 0, "to everybody");
        // From nobody, and from a group.
        for src in if names.client == V4.client { ["0.0.0.0", "224.0.0.9"] } else { ["::", "ff02::9"] } {
            assert_eq!(said(build::udp((DIRECTOR, CLIENT), at(src, 5353), at(to, 53), b"q")), 0);
        }
    }
}

/// The director makes every checksum itself, so that what a device can do changes nothing; what one says about packets that came in does.
#[test]
fn row021_checksums_are_right_on_the_wire_whatever_the_device_says() {
    use engine::link::RxCsum;
    for names in [V4, V6] {
        for (rx_csum, damage) in [(RxCsum::Verify, 0), (RxCsum::Trust, 0), (RxCsum::Recompute, 0xff)] {
            let mut sim =
                changed(|snap| snap.links.iter_mut().flatten().for_each(|link| link.rx_csum = rx_csum));
            let l4 = if names.client == V4.client { 34 } else { 54 };
            // To the VLAN and back from it, judged by the decoder; of TCP and UDP.
            let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
            let mut frame = from_client(at(names.client, 40_000), at(names.vip, 80), syn);
            frame[l4 + 16] ^= damage;
            sim.receive(0, PORT, &frame);
            let there = see(&sim.sent_one());
            let answer = Segment { seq: 5, ack: 1, flags: SYN | ACK, ..Segment::default() };
            let mut frame = build::tcp((DIRECTOR, there.dst_mac), there.dst, there.src, answer);
            frame[l4 + 16] ^= damage;
            sim.receive(0, PORT, &tagged(frame));
            assert_eq!(see(&sim.sent_one()).dst, at(names.client, 40_000));
            let mut frame = datagram(names, 40_000, 80);
            frame[l4 + 6] ^= damage;
            sim.receive(0, PORT, &frame);
            assert_eq!(see(&sim.sent_one()).payload, b"question");
        }
        // A wrong one is found where nobody vouches.
        let mut sim = world::sim(1);
        let mut frame = datagram(names, 40_000, 80);
        *frame.last_mut().expect("it has bytes") ^= 1;
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.sent().len(), sim.drops(DropReason::L4Checksum)), (0, 1));
    }
}

/// Who has `target`?
fn question(sender: &str, target: &str) -> Vec<u8> {
    let v4 = |text: &str| text.parse::<std::net::Ipv4Addr>().expect("a literal address").octets();
    let fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &CLIENT, &fixed, &CLIENT, &v4(sender), &[0; 6], &v4(target)].concat()
}

/// The usual network with forwarding on and a VLAN whose packets have 1280 bytes at most.
fn forwarding() -> Sim {
    changed(|snap| {
        (snap.options.forward4, snap.options.forward6) = (true, true);
        snap.links[1].as_mut().expect("the VLAN").mtu = 1280;
    })
}

/// Type and code that say the hops are used up.
fn time_exceeded(names: Names) -> [u8; 6] {
    [if names.client == V4.client { 11 } else { 3 }, 0, 0, 0, 0, 0]
}
