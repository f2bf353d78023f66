// SPDX-License-Identifier: Apache-2.0
//! ICMP queries to a service, on virtual time. Requirements R-1 to R-10 of the specification are tests of these names; R-1 is about
//! configuration and stands in `control/tests/services.rs`.
//!
//! ```text
//!   client 10.1.0.1 ── dpdk0 ── director, vip 10.1.0.100 ── dpdk0.102 ── servers 10.2.0.1, 10.2.0.2
//! ```

mod seen;

use std::collections::HashSet;
use std::net::IpAddr;

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{DestId, LinkId, ServiceId};
use engine::route::{Kind, Route, RouteTable};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::{Dest, Service, Snapshot};
use engine::verdict::DropReason;
use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use model::options::EchoPolicy;
use model::rule::EndpointRange;
use model::{ConnEntry, ConnState, Transport};
use packet::build;
use seen::tagged;

/// Workers, and where the client's packets and the server's come in.
const PATHS: [(u16, usize, usize); 6] = [(1, 0, 0), (2, 0, 0), (2, 0, 1), (2, 1, 0), (2, 1, 1), (4, 2, 3)];

fn icmp(names: Names) -> Transport {
    if names.client == V4.client { Transport::Icmp } else { Transport::Icmpv6 }
}

/// The usual network with an ICMP service of each family beside the others, its servers reached by `forwarding`.
fn snapshot(forwarding: Forwarding, change: impl Fn(&mut Service)) -> Snapshot {
    let mut snap = world::snapshot();
    for names in [V4, V6] {
        let service = ServiceId(snap.services.len() as u32);
        let mut dests = Vec::new();
        for server in names.servers {
            let id = DestId(snap.dests.len() as u32);
            dests.push(id);
            let addr = at(server, 0);
            snap.dests.push(Some(Dest {
                id,
                generation: 1,
                service,
                addr,
                forwarding,
                weight: 1,
                limit: None,
                check: None,
            }));
        }
        let like = snap.services[0].clone().expect("the first service");
        let (transport, vip, laddrs) = (icmp(names), at(names.vip, 0), vec![ip(names.laddr)]);
        let mut svc = Service { id: service, transport, vip, dests, laddrs, ..like };
        change(&mut svc);
        snap.services.push(Some(svc));
    }
    snap.index()
}

fn sim_with(workers: u16, forwarding: Forwarding, change: impl Fn(&mut Service)) -> Sim {
    let mut sim = world::sim(workers);
    sim.publish(snapshot(forwarding, change));
    sim
}

fn sim(workers: u16, forwarding: Forwarding) -> Sim {
    sim_with(workers, forwarding, |_| ())
}

/// A message on the wire: addresses, hops, type, code, identifier and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ping {
    dst_mac: [u8; 6],
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    kind: [u8; 2],
    id: u16,
    rest: Vec<u8>,
}

/// Decodes a frame and judges its checksums.
fn see(frame: &[u8]) -> Ping {
    let parsed = PacketHeaders::from_ethernet_slice(frame).expect("a frame etherparse accepts");
    let payload = parsed.payload.slice().to_vec();
    let (src, dst, ttl): (IpAddr, IpAddr, u8) = match parsed.net.as_ref().expect("IP") {
        NetHeaders::Ipv4(h, _) => {
            assert_eq!(h.header_checksum, h.calc_header_checksum(), "IPv4 header checksum");
            (h.source.into(), h.destination.into(), h.time_to_live)
        }
        NetHeaders::Ipv6(h, _) => (h.source.into(), h.destination.into(), h.hop_limit),
        other => panic!("no IP: {other:?}"),
    };
    let bytes = match (parsed.transport.expect("ICMP"), parsed.net.expect("IP")) {
        (TransportHeader::Icmpv4(h), _) => {
            assert_eq!(h.checksum, h.icmp_type.calc_checksum(&payload), "ICMP checksum");
            h.to_bytes().to_vec()
        }
        (TransportHeader::Icmpv6(h), NetHeaders::Ipv6(ip, _)) => {
            let sum = h.icmp_type.calc_checksum(ip.source, ip.destination, &payload);
            assert_eq!(Ok(h.checksum), sum, "ICMPv6 checksum");
            h.to_bytes().to_vec()
        }
        other => panic!("{other:?}"),
    };
    Ping {
        dst_mac: frame[..6].try_into().expect("six"),
        src,
        dst,
        ttl,
        kind: [bytes[0], bytes[1]],
        id: u16::from_be_bytes([bytes[4], bytes[5]]),
        rest: [&bytes[6..], &payload].concat(),
    }
}

fn ping(names: Names, client: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    build::echo((DIRECTOR, CLIENT), ip(client), ip(names.vip), id, 1, payload)
}

/// What a host answers to an echo request it got.
fn pong(question: &Ping) -> Vec<u8> {
    let (kind, proto) = if question.dst.is_ipv4() { (0, 1) } else { (129, 58) };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(question.id.to_be_bytes());
    message.extend(&question.rest);
    build::ip((DIRECTOR, question.dst_mac), question.dst, question.src, proto, message, Some(2))
}

/// `ipvsadm -Lnc`, the ICMP part of it: client, virtual, local and server, in the order listed.
fn listed(sim: &Sim) -> Vec<ConnEntry> {
    let all = sim.lcores.iter().flat_map(|lcore| lcore.list_conns(0, 1000, sim.now).0);
    all.filter(|conn| matches!(conn.transport, Transport::Icmp | Transport::Icmpv6)).collect()
}

fn ends(conn: &ConnEntry) -> [String; 4] {
    [conn.client, conn.virt, conn.local, conn.dest].map(|end| end.to_string())
}

#[test]
fn r_2_an_error_about_no_connection_is_dropped_and_never_scheduled() {
    for workers in [1, 2] {
        let mut sim = sim(workers, Forwarding::FullNat);
        for to in [V4.vip, V4.laddr] {
            // Quotes an echo request that nobody sent.
            let quoted =
                build::echo((DIRECTOR, CLIENT), ip(to), ip(V4.servers[0]), 77, 1, b"")[14..].to_vec();
            let before = sim.drops(DropReason::IcmpUnrelated);
            let message = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
            sim.receive(
                0,
                PORT,
                &build::ip((DIRECTOR, CLIENT), ip("10.1.0.77"), ip(to), 1, message, Some(2)),
            );
            assert!(sim.sent().is_empty());
            assert_eq!((sim.drops(DropReason::IcmpUnrelated), sim.conns()), (before + 1, 0), "{to}");
        }
    }
}

#[test]
fn r_3_without_a_service_the_director_answers_for_vip_and_local_address() {
    for names in [V4, V6] {
        for workers in [1, 2] {
            let mut sim = world::sim(workers);
            for (target, vlan) in [(names.vip, false), (names.laddr, true), (names.own, false)] {
                let (from, mac) =
                    if vlan { (names.servers[0], server_mac(1)) } else { (names.client, CLIENT) };
                let frame = build::echo((DIRECTOR, mac), ip(from), ip(target), 9, 1, b"abc");
                let frame = if vlan { tagged(frame) } else { frame };
                sim.receive(usize::from(workers) - 1, PORT, &frame);
                let reply = see(&sim.sent_one());
                assert_eq!((reply.src, reply.dst, reply.id), (ip(target), ip(from), 9));
                assert_eq!(reply.kind, if names.client == V4.client { [0, 0] } else { [129, 0] });
            }
            assert_eq!(sim.conns(), 0);
        }
    }
}

#[test]
fn r_4_queries_are_balanced_in_every_mode_and_kept_for_300_seconds() {
    let ipip = Forwarding::Tunnel(model::TunnelKind::Ipip);
    for forwarding in [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting, ipip] {
        for names in [V4, V6] {
            for (workers, client_at, server_at) in PATHS {
                let mut sim = sim(workers, forwarding);
                let mut asked = Vec::new();
                for id in [1000, 1001] {
                    sim.receive(client_at, PORT, &ping(names, names.client, id, b"payload"));
                    let frame = sim.sent_one();
                    asked.push(frame[..6].to_vec());
                    let expected = ip_expected(names, forwarding);
                    match forwarding {
                        Forwarding::Tunnel(_) => {
                            assert_eq!(
                                frame[frame.len() - 15..],
                                ping(names, names.client, id, b"payload")
                                    [ping(names, names.client, id, b"payload").len() - 15..]
                            );
                        }
                        _ => {
                            let there = see(&frame);
                            assert_eq!(
                                (there.src, there.rest),
                                (expected, [&[0, 1][..], b"payload"].concat())
                            );
                            if forwarding.is_two_way() {
                                sim.receive(server_at, PORT, &tagged(pong(&see(&frame))));
                                let back = see(&sim.sent_one());
                                assert_eq!(
                                    (back.src, back.dst, back.id),
                                    (ip(names.vip), ip(names.client), id)
                                );
                                assert_eq!((back.dst_mac, back.ttl), (CLIENT, 63));
                            }
                        }
                    }
                }
                if workers == 1 {
                    assert_eq!(asked, [server_mac(1), server_mac(2)], "round robin as for UDP");
                }
                assert_eq!(sim.conns(), 2);
                assert!(
                    listed(&sim).iter().all(
                        |conn| conn.state == ConnState::IcmpNormal && (299..=301).contains(&conn.expires)
                    )
                );
                sim.pass(290_000);
                assert_eq!(sim.conns(), 2);
                sim.pass(13_000);
                assert_eq!(sim.conns(), 0, "{forwarding:?}");
            }
        }
    }
}

/// Where a server sees a client's query come from.
fn ip_expected(names: Names, forwarding: Forwarding) -> IpAddr {
    ip(if forwarding == Forwarding::FullNat { names.laddr } else { names.client })
}

#[test]
fn r_4_timestamps_masks_and_information_are_balanced_like_echo() {
    for (question, answer) in [(13, 14), (15, 16), (17, 18)] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
            let mut sim = sim(2, forwarding);
            let message = |kind, id: u16| {
                [&[kind, 0, 0, 0][..], &id.to_be_bytes(), &[0, 1, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]]
                    .concat()
            };
            let frame =
                build::ip((DIRECTOR, CLIENT), ip(V4.client), ip(V4.vip), 1, message(question, 5), Some(2));
            sim.receive(0, PORT, &frame);
            let there = sim.sent_one();
            let id = u16::from_be_bytes([there[18 + 24], there[18 + 25]]);
            let (src, dst) =
                (ip_expected(V4, forwarding), IpAddr::from([there[34], there[35], there[36], there[37]]));
            assert_eq!(there[18 + 20], question);
            let expected =
                tagged(build::ip((server_mac(1), DIRECTOR), src, dst, 1, message(question, id), Some(2)));
            assert_eq!(there[18 + 20..], expected[18 + 20..], "type, checksum, identifier and what follows");
            sim.receive(
                1,
                PORT,
                &tagged(build::ip((DIRECTOR, server_mac(1)), dst, src, 1, message(answer, id), Some(2))),
            );
            let back = sim.sent_one();
            let expected =
                build::ip((CLIENT, DIRECTOR), ip(V4.vip), ip(V4.client), 1, message(answer, 5), Some(2));
            assert_eq!(back[14 + 20..], expected[14 + 20..]);
        }
    }
}

#[test]
fn r_5_a_round_trip_is_a_pair_of_entries_and_each_is_found_by_its_own_packets() {
    for (names, what) in [(V4, 0x0800), (V6, 0x8000)] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
            let mut sim = sim(1, forwarding);
            sim.receive(0, PORT, &ping(names, names.client, 1000, b""));
            let there = see(&sim.sent_one());
            let (client, vip) = (at(names.client, 1000), at(names.vip, what));
            let (server, local) = (at(names.servers[0], what), (there.src, there.id).into());
            let pair = listed(&sim);
            let text = |ends: [std::net::SocketAddr; 4]| ends.map(|end| end.to_string());
            assert_eq!(
                pair.iter().map(ends).collect::<Vec<_>>(),
                [text([client, vip, local, server]), text([server, local, vip, client])]
            );
            assert_eq!(pair[0].expires, pair[1].expires, "one lifetime");
            let transport = icmp(names);
            for (row, source, target) in [(0, client, vip), (1, server, local)] {
                assert_eq!(
                    sim.lcores[0].find_conn(transport, source, target, sim.now),
                    Some(pair[row].clone())
                );
            }
            // The answer keeps both alive.
            sim.pass(100_000);
            sim.receive(0, PORT, &tagged(pong(&there)));
            assert_eq!(see(&sim.sent_one()).id, 1000);
            let pair = listed(&sim);
            assert!(pair.len() == 2 && pair.iter().all(|conn| conn.expires > 290));
            let counted: Vec<_> = sim.lcores[0]
                .dest_counters()
                .iter()
                .filter(|c| c.conns > 0)
                .map(|c| (c.conns, c.in_packets, c.out_packets, c.inactive))
                .collect();
            assert_eq!(counted, [(1, 1, 1, 1)]);
        }
        // Answers of the others never pass.
        let mut sim = sim(1, Forwarding::DirectRouting);
        sim.receive(0, PORT, &ping(names, names.client, 1000, b""));
        sim.sent();
        assert_eq!(listed(&sim).len(), 1);
    }
}

#[test]
fn r_6_identifiers_are_leased_and_when_there_is_none_the_query_is_dropped() {
    let mut sim = sim_with(1, Forwarding::FullNat, |svc| svc.laddrs.clear());
    sim.receive(0, PORT, &ping(V4, V4.client, 1, b""));
    assert_eq!((sim.drops(DropReason::NoLaddr), sim.conns(), sim.sent().len()), (1, 0, 0));
    let mut sim = self::sim(1, Forwarding::FullNat);
    for id in 0..10 {
        sim.receive(0, PORT, &ping(V4, V4.client, id, b""));
    }
    assert_eq!((sim.sent().len(), sim.lcores[0].usage(ip(V4.laddr)).used), (10, 10));
    sim.pass(305_000);
    assert_eq!((sim.conns(), sim.lcores[0].usage(ip(V4.laddr)).used), (0, 0), "given back");
}

#[test]
fn r_7_clients_with_the_same_identifier_are_told_apart() {
    for names in [V4, V6] {
        for (workers, ..) in PATHS {
            let mut sim = sim(workers, Forwarding::FullNat);
            let mut snap = sim.snap.clone();
            let far = |via: &str, net: &str, len| Route {
                prefix: (ip(net), len),
                via: Some(ip(via)),
                link: LinkId(0),
                src: None,
                mtu: 0,
                kind: Kind::Out,
                metric: 0,
            };
            let far = [far(V4.client, "198.51.100.0", 24), far(V6.client, "2001:db8::", 64)];
            let all: Vec<Route> = world::routes(&snap.links).into_iter().chain(far).collect();
            snap.routes = RouteTable::compile(all);
            snap.routing += 1;
            sim.publish(snap.index());
            let client = |n: usize| {
                if names.client == V4.client {
                    format!("198.51.100.{}", 2 + n)
                } else {
                    format!("2001:db8::{:x}", 2 + n)
                }
            };
            let mut questions = Vec::new();
            for n in 0..200 {
                sim.receive(n % usize::from(workers), PORT, &ping(names, &client(n), 4242, &[n as u8]));
                questions.push(see(&sim.sent_one()));
            }
            let distinct: HashSet<_> = questions.iter().map(|q| (q.dst, q.id)).collect();
            assert_eq!(distinct.len(), 200);
            assert!(questions.iter().all(|q| q.src == ip(names.laddr)));
            for (n, question) in questions.iter().enumerate().rev() {
                sim.receive((n / 2) % usize::from(workers), PORT, &tagged(pong(question)));
                let back = see(&sim.sent_one());
                assert_eq!((back.dst, back.id, back.rest.last()), (ip(&client(n)), 4242, Some(&(n as u8))));
            }
            assert_eq!(sim.conns(), 200);
        }
    }
}

#[test]
fn r_8_the_answers_entry_comes_and_goes_with_the_questions_and_an_unasked_answer_opens_none() {
    for (names, workers) in [(V4, 1), (V4, 2), (V6, 1), (V6, 2)] {
        let mut sim = sim(workers, Forwarding::FullNat);
        sim.kernel = true;
        let unasked = Ping {
            dst_mac: server_mac(1),
            src: ip(names.laddr),
            dst: ip(names.servers[0]),
            ttl: 64,
            kind: if names.client == V4.client { [8, 0] } else { [128, 0] },
            id: 2000,
            rest: vec![0, 1],
        };
        sim.receive(0, PORT, &tagged(pong(&unasked)));
        let kernel: u64 = sim.lcores.iter().map(|l| l.traffic().kernel).sum();
        assert_eq!((sim.conns(), kernel, sim.sent().len()), (0, 1, 0), "for the local stack");
        sim.receive(0, PORT, &ping(names, names.client, 1, b""));
        let there = see(&sim.sent_one());
        assert_eq!(listed(&sim).len(), 2);
        sim.pass(305_000);
        assert_eq!(listed(&sim).len(), 0);
        sim.receive(0, PORT, &tagged(pong(&there)));
        assert_eq!((sim.conns(), sim.sent().len()), (0, 0), "too late");
    }
}

#[test]
fn r_9_answers_find_the_worker_that_asked_wherever_they_land() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        for names in [V4, V6] {
            for (workers, asks_at) in [(2, 0), (2, 1), (4, 0), (4, 3)] {
                for answers_at in 0..usize::from(workers) {
                    let mut sim = sim(workers, forwarding);
                    for id in 0..8 {
                        sim.receive(asks_at, PORT, &ping(names, names.client, id, b"x"));
                        let there = see(&sim.sent_one());
                        sim.receive(answers_at, PORT, &tagged(pong(&there)));
                        assert_eq!(see(&sim.sent_one()).id, id);
                        // The next question of the same ping lands elsewhere and finds the same server.
                        sim.receive(answers_at, PORT, &ping(names, names.client, id, b"y"));
                        assert_eq!((see(&sim.sent_one()).dst, sim.conns()), (there.dst, usize::from(id) + 1));
                    }
                }
            }
        }
    }
}

#[test]
fn r_10_weight_0_drops_and_a_stale_connection_still_translates_errors() {
    let mut sim = sim(1, Forwarding::FullNat);
    sim.receive(0, PORT, &ping(V4, V4.client, 7, b"payload"));
    let there = sim.sent_one();
    let mut snap = sim.snap.clone();
    snap.version += 1;
    snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0);
    sim.publish(snap.index());
    sim.receive(0, PORT, &ping(V4, V4.client, 8, b"payload"));
    assert_eq!((sim.drops(DropReason::NoDest), sim.sent().len(), sim.conns()), (1, 0, 1));
    // The server is gone, and its gateway says so.
    sim.pass(60_000);
    let message = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &there[18..18 + 28]].concat();
    sim.receive(
        0,
        PORT,
        &tagged(build::ip((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), 1, message, Some(2))),
    );
    let error = sim.sent_one();
    let quote = &error[14 + 28..];
    let mut expected = ping(V4, V4.client, 7, b"payload")[14..14 + 28].to_vec();
    expected[8] -= 1;
    let (mut header, _) = etherparse::Ipv4Header::from_slice(&expected).expect("a sound header");
    header.header_checksum = header.calc_header_checksum();
    expected[..20].copy_from_slice(&header.to_bytes());
    assert_eq!(quote, expected);
    assert_eq!(error[26..34], [10, 1, 0, 100, 10, 1, 0, 1]);
}

#[test]
fn row130_a_ping_that_no_server_takes_is_dropped() {
    for names in [V4, V6] {
        for forwarding in [Forwarding::FullNat, Forwarding::Nat, Forwarding::DirectRouting] {
            let mut sim = sim(1, forwarding);
            sim.kernel = true;
            let mut snap = sim.snap.clone();
            snap.version += 1;
            snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0);
            sim.publish(snap.index());
            sim.receive(0, PORT, &ping(names, names.client, 8, b"payload"));
            assert_eq!((sim.drops(DropReason::NoDest), sim.sent().len(), sim.conns()), (1, 0, 0));
            assert!(sim.handed.is_empty(), "nor does the director answer for them");
        }
    }
}

#[test]
fn icmp_12_a_policy_says_who_answers() {
    let answers = |policy, weight| {
        let mut sim = sim_with(1, Forwarding::FullNat, |svc| svc.echo = policy);
        let mut snap = sim.snap.clone();
        snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = weight);
        sim.publish(snap.index());
        sim.receive(0, PORT, &ping(V4, V4.client, 7, b""));
        let policed = sim.drops(DropReason::EchoPolicy);
        sim.sent().first().map(|frame| see(frame).src).ok_or(policed)
    };
    assert_eq!(answers(EchoPolicy::Forward, 1), Ok(ip(V4.laddr)));
    assert_eq!(answers(EchoPolicy::Forward, 0), Err(0), "that is no_dest");
    assert_eq!(answers(EchoPolicy::Local, 0), Ok(ip(V4.vip)));
    assert_eq!(answers(EchoPolicy::Drop, 1), Err(1));
    // Two servers at the address, each for several services.
    assert_eq!(answers(EchoPolicy::Alive(2), 1), Ok(ip(V4.vip)));
    assert_eq!(answers(EchoPolicy::Alive(3), 1), Err(1));
    assert_eq!(answers(EchoPolicy::Alive(1), 0), Err(1));
}

#[test]
fn pings_cross_families() {
    for (clients, servers, question, answer) in [(V6, V4, 8, 129), (V4, V6, 128, 0)] {
        for (workers, client_at, server_at) in PATHS {
            let mut sim = world::sim(workers);
            let mut snap = snapshot(Forwarding::FullNat, |svc| svc.laddrs = vec![ip(servers.laddr)]);
            for svc in snap.services.iter().flatten().filter(|svc| svc.vip == at(clients.vip, 0)) {
                svc.dests.iter().for_each(|id| {
                    snap.dests[id.index()].as_mut().expect("there").addr = at(servers.servers[0], 0)
                });
            }
            sim.publish(snap.index());
            sim.receive(client_at, PORT, &ping(clients, clients.client, 600, b"over the border"));
            let there = see(&sim.sent_one());
            assert_eq!(
                (there.src, there.dst, there.kind),
                (ip(servers.laddr), ip(servers.servers[0]), [question, 0])
            );
            assert_eq!(there.rest, [&[0, 1][..], b"over the border"].concat());
            sim.receive(server_at, PORT, &tagged(pong(&there)));
            let back = see(&sim.sent_one());
            assert_eq!(
                (back.src, back.dst, back.kind, back.id),
                (ip(clients.vip), ip(clients.client), [answer, 0], 600)
            );
            assert_eq!(back.rest, there.rest);
        }
    }
    // What only IPv4 has does not cross.
    let mut snap = snapshot(Forwarding::FullNat, |svc| svc.laddrs = vec![ip(V6.laddr)]);
    snap.dests.iter_mut().flatten().for_each(|dest| dest.addr = at(V6.servers[0], 0));
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    let message = vec![13, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    sim.receive(0, PORT, &build::ip((DIRECTOR, CLIENT), ip(V4.client), ip(V4.vip), 1, message, Some(2)));
    assert_eq!((sim.drops(DropReason::IcmpFamily), sim.sent().len()), (1, 0));
}

#[test]
fn row073_hosts_behind_snat_ping_the_outside_with_the_same_identifier() {
    for names in [V4, V6] {
        for (workers, host_at, remote_at) in PATHS {
            let mut snap = snapshot(Forwarding::Snat, |svc| {
                svc.rule = Some(Rule {
                    six: svc.transport == Transport::Icmpv6,
                    src: None,
                    dst: None,
                    iif: Some(LinkId(1)),
                    oif: Some(LinkId(0)),
                });
            });
            for dest in snap.dests.iter_mut().flatten().filter(|dest| dest.forwarding == Forwarding::Snat) {
                dest.addr = at(if dest.addr.is_ipv4() { V4.own } else { V6.own }, 0);
            }
            let mut sim = world::sim(workers);
            sim.publish(snap.index());
            let mut seen = Vec::new();
            for (n, host) in (1..).zip(names.servers) {
                sim.receive(
                    host_at,
                    PORT,
                    &tagged(build::echo(
                        (DIRECTOR, server_mac(n)),
                        ip(host),
                        ip(names.client),
                        3,
                        1,
                        host.as_bytes(),
                    )),
                );
                let out = see(&sim.sent_one());
                assert_eq!((out.src, out.dst, out.dst_mac), (ip(names.own), ip(names.client), CLIENT));
                seen.push(out);
            }
            assert_ne!(seen[0].id, seen[1].id);
            for (n, out) in (1..).zip(&seen) {
                sim.receive(remote_at, PORT, &pong(out));
                let back = see(&sim.sent_one());
                assert_eq!(
                    (back.dst, back.id, back.dst_mac),
                    (ip(names.servers[n - 1]), 3, server_mac(n as u8))
                );
                assert_eq!(back.rest, out.rest);
            }
            assert_eq!((sim.conns(), listed(&sim).len()), (2, 4));
            // Nobody outside is answered by an inner host.
            sim.receive(remote_at, PORT, &pong(&Ping { id: seen[0].id ^ 0x4000, ..seen[0].clone() }));
            assert!(sim.sent().is_empty());
        }
    }
}

#[test]
fn a_rule_for_some_hosts_leaves_the_others_alone() {
    let mut snap = snapshot(Forwarding::Snat, |svc| {
        let hosts =
            EndpointRange { first: ip(V4.servers[0]), last: ip(V4.servers[0]), first_port: 0, last_port: 0 };
        svc.rule = Some(Rule { six: false, src: Some(hosts), dst: None, iif: None, oif: None });
    });
    for dest in snap.dests.iter_mut().flatten().filter(|dest| dest.forwarding == Forwarding::Snat) {
        dest.addr = at(V4.own, 0);
    }
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    for (n, sent) in [(0, 1), (1, 0)] {
        sim.receive(
            0,
            PORT,
            &tagged(build::echo((DIRECTOR, server_mac(1)), ip(V4.servers[n]), ip(V4.client), 3, 1, b"")),
        );
        assert_eq!(sim.sent().len(), sent);
    }
    assert_eq!(sim.drops(DropReason::NotForwarding), 1);
}

#[test]
fn a_question_with_a_wrong_checksum_opens_nothing() {
    for names in [V4, V6] {
        let mut sim = sim(1, Forwarding::FullNat);
        let mut frame = ping(names, names.client, 7, b"payload");
        *frame.last_mut().expect("it has bytes") ^= 1;
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.drops(DropReason::L4Checksum), sim.conns(), sim.sent().len()), (1, 0, 0));
    }
}

#[test]
fn icmp_14_one_neighbourhood_asks_ten_thousand_times_a_second() {
    let mut sim = sim(1, Forwarding::FullNat);
    for _ in 0..10_500 {
        sim.receive(0, PORT, &ping(V4, V4.client, 7, b""));
    }
    assert_eq!((sim.sent().len(), sim.drops(DropReason::EchoLimited)), (10_000, 500));
}

#[test]
fn answers_of_nothing_but_zeros_have_a_right_checksum() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        let mut sim = sim(1, forwarding);
        let zeros = build::ip(
            (DIRECTOR, CLIENT),
            ip(V4.client),
            ip(V4.vip),
            1,
            [&[8, 0, 0, 0][..], &[0; 12]].concat(),
            Some(2),
        );
        sim.receive(0, PORT, &zeros);
        let there = see(&sim.sent_one());
        sim.receive(0, PORT, &tagged(pong(&there)));
        let back = sim.sent_one();
        assert_eq!(back[34..50], [&[0, 0, 0xff, 0xff][..], &[0; 12]].concat());
    }
}
