// SPDX-License-Identifier: Apache-2.0
//! Every forwarding mode in both families, for TCP and UDP, with one and two workers, judged by an independent decoder.

mod seen;

use engine::forward::Forwarding;
use engine::ids::LinkId;
use engine::route::{Kind, Route, RouteTable};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Snapshot;
use engine::verdict::DropReason;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, from_client, see, tagged};

/// Workers, and where the client's packets and the server's come in.
const PATHS: [(u16, usize, usize); 4] = [(1, 0, 0), (2, 0, 0), (2, 0, 1), (2, 1, 0)];

/// The usual network with all servers reached in one way, and only the first of them taking connections.
fn snapshot(forwarding: Forwarding) -> Snapshot {
    let mut snap = world::snapshot();
    for dest in snap.dests.iter_mut().flatten() {
        dest.forwarding = forwarding;
        dest.weight = u32::from(dest.id.0.is_multiple_of(2));
    }
    snap.index()
}

fn sim(workers: u16, forwarding: Forwarding) -> Sim {
    let mut sim = world::sim(workers);
    sim.publish(snapshot(forwarding));
    sim
}

/// What a SYN says that shows whether it was touched.
const OPTIONS: [u8; 20] = [2, 4, 5, 0xa0, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];

fn each(mut act: impl FnMut(Names, (u16, usize, usize))) {
    for names in [V4, V6] {
        PATHS.iter().for_each(|&path| act(names, path));
    }
}

#[test]
fn row069_nat_changes_the_servers_side_only_and_no_numbers() {
    each(|names, (workers, client_at, server_at)| {
        let mut sim = sim(workers, Forwarding::Nat);
        let (client, vip, server) = (at(names.client, 40_001), at(names.vip, 80), at(names.servers[0], 8080));
        let syn = Segment { seq: 1000, flags: SYN, options: &OPTIONS, ..Segment::default() };
        sim.receive(client_at, PORT, &from_client(client, vip, syn));
        let there = see(&sim.sent_one());
        assert_eq!((there.src, there.dst, there.dst_mac, there.ttl), (client, server, server_mac(1), 63));
        assert_eq!((there.tcp().sequence_number, there.options()), (1000, &OPTIONS[..]));

        let answer =
            Segment { seq: 5000, ack: 1001, flags: SYN | ACK, options: &OPTIONS, ..Segment::default() };
        sim.receive(server_at, PORT, &tagged(build::tcp((DIRECTOR, server_mac(1)), server, client, answer)));
        let back = see(&sim.sent_one());
        assert_eq!((back.src, back.dst, back.dst_mac, back.vlan), (vip, client, CLIENT, None));
        assert_eq!((back.tcp().sequence_number, back.tcp().acknowledgment_number), (5000, 1001));
        assert_eq!(back.options(), OPTIONS);

        let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"hello", ..Segment::default() };
        sim.receive(client_at, PORT, &from_client(client, vip, data));
        assert_eq!(see(&sim.sent_one()).payload, b"hello");
        let conn =
            sim.lcores.iter().find_map(|l| l.find_conn(Transport::Tcp, client, vip, sim.now)).expect("open");
        assert_eq!((conn.state, conn.local, conn.dest), (ConnState::Established, client, server));
        assert_eq!(sim.conns(), 1);
    });
}

#[test]
fn nat_carries_datagrams_both_ways() {
    each(|names, (workers, client_at, server_at)| {
        let mut sim = sim(workers, Forwarding::Nat);
        let (client, vip, server) = (at(names.client, 5353), at(names.vip, 80), at(names.servers[0], 8080));
        for payload in [&b""[..], b"q", &[7; 1400]] {
            sim.receive(client_at, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, payload));
            let there = see(&sim.sent_one());
            assert_eq!((there.src, there.dst, &there.payload[..]), (client, server, payload));
            sim.receive(
                server_at,
                PORT,
                &tagged(build::udp((DIRECTOR, server_mac(1)), server, client, payload)),
            );
            let back = see(&sim.sent_one());
            assert_eq!((back.src, back.dst, &back.payload[..]), (vip, client, payload));
        }
        assert_eq!(sim.conns(), 1);
    });
}

#[test]
fn a_servers_own_packets_are_not_taken_for_answers() {
    let mut sim = sim(2, Forwarding::Nat);
    let frame = build::udp((DIRECTOR, server_mac(1)), at(V4.servers[0], 8080), at(V4.client, 40_000), b"q");
    sim.receive(0, PORT, &tagged(frame));
    assert_eq!((sim.drops(DropReason::NotForwarding), sim.sent().len(), sim.conns()), (1, 0, 0));
}

#[test]
fn row070_direct_routing_changes_the_ethernet_address_only() {
    each(|names, (workers, client_at, _)| {
        let mut sim = sim(workers, Forwarding::DirectRouting);
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let syn = Segment { seq: 1000, flags: SYN, options: &OPTIONS, ..Segment::default() };
        for frame in [from_client(client, vip, syn), build::udp((DIRECTOR, CLIENT), client, vip, b"q")] {
            sim.receive(client_at, PORT, &frame);
            let there = sim.sent_one();
            assert_eq!(
                there[..18],
                [&server_mac(1)[..], &DIRECTOR, &[0x81, 0, 0, 102], &frame[12..14]].concat()[..]
            );
            assert_eq!(there[18..], frame[14..], "not a bit of the packet changes");
        }
        let listed = |transport| {
            let found = sim.lcores.iter().find_map(|l| l.find_conn(transport, client, vip, sim.now));
            found.map(|conn| (conn.state, conn.dest)).expect("it is open")
        };
        assert_eq!(listed(Transport::Tcp), (ConnState::SynRecv, at(names.servers[0], 80)));
        assert_eq!(listed(Transport::Udp), (ConnState::UdpOneWay, at(names.servers[0], 80)));
        assert_eq!(sim.conns(), 2);
    });
}

#[test]
fn with_direct_routing_the_clients_segments_alone_tell_the_state() {
    let mut sim = sim(1, Forwarding::DirectRouting);
    let (client, vip) = (at(V4.client, 40_000), at(V4.vip, 80));
    let mut state = |flags| {
        sim.receive(0, PORT, &from_client(client, vip, Segment { flags, ..Segment::default() }));
        see(&sim.sent_one());
        sim.lcores[0].find_conn(Transport::Tcp, client, vip, sim.now).expect("it is open").state
    };
    let seen = [SYN, ACK, FIN | ACK, ACK, RST].map(&mut state);
    assert_eq!(
        seen,
        [
            ConnState::SynRecv,
            ConnState::Established,
            ConnState::FinWait,
            ConnState::FinWait,
            ConnState::Close
        ]
    );
    sim.pass(5_000);
    assert_eq!(sim.conns(), 0);
}

#[test]
fn a_server_with_direct_routing_is_a_neighbour_whatever_the_routes_say() {
    let mut sim = sim(1, Forwarding::DirectRouting);
    let mut snap = sim.snap.clone();
    let gateway = Route {
        prefix: (ip(V4.servers[0]), 32),
        via: Some(ip(V4.servers[1])),
        link: LinkId(1),
        src: None,
        mtu: 0,
        kind: Kind::Out,
        metric: 0,
    };
    snap.routes = RouteTable::compile(world::routes(&snap.links).into_iter().chain([gateway]));
    snap.routing += 1;
    sim.publish(snap.index());
    let syn = Segment { flags: SYN, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 40_000), at(V4.vip, 80), syn));
    assert_eq!(see(&sim.sent_one()).dst_mac, server_mac(1));
}

#[test]
fn row076_a_packet_too_long_for_the_server_is_answered_in_every_mode() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting] {
        for names in [V4, V6] {
            let mut sim = sim(1, forwarding);
            let mut snap = sim.snap.clone();
            snap.links[1].as_mut().expect("the VLAN").mtu = 1280;
            sim.publish(snap);
            let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 5353), at(names.vip, 80), &[7; 1300]);
            sim.receive(0, PORT, &frame);
            let answer = sim.sent_one();
            assert_eq!((sim.drops(DropReason::TooBig), &answer[..6]), (1, &CLIENT[..]));
        }
    }
}

#[test]
fn a_server_of_another_family_than_its_mode_reaches_is_a_named_drop() {
    for forwarding in [Forwarding::Nat, Forwarding::DirectRouting] {
        let mut snap = snapshot(forwarding);
        snap.dests.iter_mut().flatten().for_each(|dest| dest.addr = at(V6.servers[0], 8080));
        let mut sim = world::sim(1);
        sim.publish(snap.index());
        let syn = Segment { flags: SYN, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(V4.client, 40_000), at(V4.vip, 80), syn));
        assert_eq!((sim.drops(DropReason::Family), sim.conns()), (1, 0));
    }
}

/// An error from the client's side about an answer that a server with the service's address sent to the client.
fn error_about_an_answer() -> Vec<u8> {
    let answer = build::udp((CLIENT, DIRECTOR), at(V4.vip, 80), at(V4.client, 5353), &[7; 1400]);
    let message = [&[3, 4, 0, 0, 0, 0, 0x05, 0x00][..], &answer[14..14 + 28]].concat();
    build::ip((DIRECTOR, CLIENT), ip("10.1.0.253"), ip(V4.vip), packet::proto::ICMP, message, Some(2))
}

#[test]
fn an_error_about_what_a_server_sent_directly_reaches_that_server() {
    let mut sim = sim(1, Forwarding::DirectRouting);
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), b"q"));
    assert_eq!(sim.sent_one()[..6], server_mac(1));
    let error = error_about_an_answer();
    sim.receive(0, PORT, &error);
    let sent = sim.sent_one();
    assert_eq!((&sent[..6], &sent[18..]), (&server_mac(1)[..], &error[14..]));
    sim.publish(snapshot(Forwarding::Tunnel(model::TunnelKind::Ipip)));
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 5354), at(V4.vip, 80), b"q"));
    sim.sent();
    let mut error = error_about_an_answer();
    error[64..66].copy_from_slice(&5354u16.to_be_bytes());
    error[36..38].fill(0);
    let sum = packet::checksum::checksum(&error[34..]);
    error[36..38].copy_from_slice(&sum.to_be_bytes());
    sim.receive(0, PORT, &error);
    let sent = sim.sent_one();
    assert_eq!((sent[18 + 9], &sent[38..]), (4, &error[14..]), "in the tunnel, as it came");
}

#[test]
fn an_error_from_between_a_masqueraded_server_and_us_reaches_the_client() {
    for (workers, client_at, router_at) in PATHS {
        let mut sim = sim(workers, Forwarding::Nat);
        let (client, vip) = (at(V4.client, 40_000), at(V4.vip, 80));
        sim.receive(client_at, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, &[7; 1400]));
        let there = sim.sent_one();
        let message = [&[3, 4, 0, 0, 0, 0, 0x05, 0x00][..], &there[18..18 + 28]].concat();
        let (router, to) = (ip("10.2.0.253"), ip(V4.client));
        let error = build::ip((DIRECTOR, server_mac(1)), router, to, packet::proto::ICMP, message, Some(2));
        sim.receive(router_at, PORT, &tagged(error));
        let told = sim.sent_one();
        assert_eq!((&told[..6], &told[26..34]), (&CLIENT[..], &[10, 1, 0, 100, 10, 1, 0, 1][..]));
        assert_eq!(packet::checksum::checksum(&told[34..]), 0);
        // The quote is what the client sent: addresses, ports.
        assert_eq!(told[54..62], [10, 1, 0, 1, 10, 1, 0, 100]);
        assert_eq!(told[62..66], [&40_000u16.to_be_bytes()[..], &80u16.to_be_bytes()].concat());
    }
    // What is about nothing of ours is nobody's.
    let mut sim = sim(1, Forwarding::Nat);
    let stray = build::udp((DIRECTOR, CLIENT), at(V4.client, 1), at("10.2.0.77", 9), b"q");
    let message = [&[3, 4, 0, 0, 0, 0, 0x05, 0x00][..], &stray[14..14 + 28]].concat();
    let (router, to) = (ip("10.2.0.253"), ip(V4.client));
    let error = build::ip((DIRECTOR, server_mac(1)), router, to, packet::proto::ICMP, message, Some(2));
    sim.receive(0, PORT, &tagged(error));
    assert_eq!((sim.drops(DropReason::NotForwarding), sim.sent().len()), (1, 0));
}
