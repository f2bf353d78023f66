// SPDX-License-Identifier: Apache-2.0
//! SCTP through the director in every forwarding mode; the judge of checksums is a CRC32c of the test's own, bit by bit.

mod seen;

use std::net::{IpAddr, SocketAddr};

use engine::forward::Forwarding;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use etherparse::{NetHeaders, PacketHeaders};
use model::{ConnState, Transport, TunnelKind};
use packet::build;
use seen::tagged;

const INIT: [u8; 20] = [1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 5];
const INIT_ACK: [u8; 4] = [2, 0, 0, 4];
const COOKIE_ECHO: [u8; 4] = [10, 0, 0, 4];
const COOKIE_ACK: [u8; 4] = [11, 0, 0, 4];
const DATA: [u8; 20] = [0, 3, 0, 20, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, b'd', b'a', b't', b'a'];
const SHUTDOWN: [u8; 8] = [7, 0, 0, 8, 0, 0, 0, 5];
const SHUTDOWN_ACK: [u8; 4] = [8, 0, 0, 4];
const SHUTDOWN_COMPLETE: [u8; 4] = [14, 0, 0, 4];
const ABORT: [u8; 4] = [6, 0, 0, 4];

/// CRC32c with the reversed polynomial, one bit at a time (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
}

#[derive(Debug, PartialEq)]
struct Sctp {
    src: SocketAddr,
    dst: SocketAddr,
    tag: u32,
    chunks: Vec<u8>,
    dst_mac: [u8; 6],
}

/// Decodes a frame and judges every checksum in it.
fn see(frame: &[u8]) -> Sctp {
    let parsed = PacketHeaders::from_ethernet_slice(frame).expect("a frame etherparse accepts");
    let (src, dst): (IpAddr, IpAddr) = match parsed.net.as_ref().expect("IP") {
        NetHeaders::Ipv4(h, _) => {
            assert_eq!(h.header_checksum, h.calc_header_checksum(), "IPv4 header checksum");
            (h.source.into(), h.destination.into())
        }
        NetHeaders::Ipv6(h, _) => (h.source.into(), h.destination.into()),
        other => panic!("no IP: {other:?}"),
    };
    let packet = parsed.payload.slice();
    let mut blank = packet.to_vec();
    blank[8..12].fill(0);
    assert_eq!(packet[8..12], crc32c(&blank).to_le_bytes(), "CRC32c");
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    Sctp {
        src: (src, port(0)).into(),
        dst: (dst, port(2)).into(),
        tag: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
        chunks: packet[12..].to_vec(),
        dst_mac: parsed.link.and_then(|link| link.ethernet2()).expect("Ethernet").destination,
    }
}

fn sim(workers: u16, forwarding: Forwarding) -> Sim {
    let mut sim = world::sim(workers);
    let mut snap = world::snapshot();
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.transport == Transport::Udp) {
        svc.transport = Transport::Sctp;
    }
    for dest in snap.dests.iter_mut().flatten() {
        dest.forwarding = forwarding;
        if !forwarding.is_two_way() {
            dest.addr.set_port(80);
        }
    }
    sim.publish(snap.index());
    sim
}

fn client_says(sim: &mut Sim, worker: usize, names: Names, port: u16, chunks: &[u8]) -> Option<Sctp> {
    let macs = (DIRECTOR, CLIENT);
    let frame = build::sctp(macs, at(names.client, port), at(names.vip, 80), 7, chunks);
    sim.receive(worker, PORT, &frame);
    sim.sent().first().map(|frame| see(frame))
}

fn server_says(sim: &mut Sim, worker: usize, heard: &Sctp, chunks: &[u8]) -> Option<Sctp> {
    let macs = (DIRECTOR, server_mac(1));
    sim.receive(worker, PORT, &tagged(build::sctp(macs, heard.dst, heard.src, 8, chunks)));
    sim.sent().first().map(|frame| see(frame))
}

fn states(sim: &Sim) -> Vec<ConnState> {
    let lists = sim.lcores.iter().map(|lcore| lcore.list_conns(0, 100, sim.now).0);
    lists
        .flatten()
        .inspect(|conn| assert_eq!(conn.transport, Transport::Sctp))
        .map(|conn| conn.state)
        .collect()
}

#[test]
fn an_association_opens_carries_data_and_closes() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        for names in [V4, V6] {
            for (workers, client_at, server_at) in [(1, 0, 0), (2, 0, 1), (2, 1, 0)] {
                let mut sim = sim(workers, forwarding);
                let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
                let there = client_says(&mut sim, client_at, names, 40_000, &INIT).expect("forwarded");
                let local = if forwarding == Forwarding::FullNat { names.laddr } else { names.client };
                let server = names.servers.iter().position(|server| ip(server) == there.dst.ip());
                let server = server.expect("one of the service's servers");
                assert_eq!((there.src.ip(), there.dst), (ip(local), at(names.servers[server], 8080)));
                assert_eq!(
                    (there.tag, &there.chunks[..], there.dst_mac),
                    (7, &INIT[..], server_mac(server as u8 + 1))
                );
                assert_eq!(states(&sim), [ConnState::SctpInit1]);

                let back = server_says(&mut sim, server_at, &there, &INIT_ACK).expect("forwarded");
                let wanted =
                    Sctp { src: vip, dst: client, tag: 8, chunks: INIT_ACK.to_vec(), dst_mac: CLIENT };
                assert_eq!(back, wanted);
                assert_eq!(states(&sim), [ConnState::SctpCookieSent]);
                client_says(&mut sim, client_at, names, 40_000, &COOKIE_ECHO).expect("forwarded");
                assert_eq!(states(&sim), [ConnState::SctpCookieReplied]);
                server_says(&mut sim, server_at, &there, &COOKIE_ACK).expect("forwarded");
                assert_eq!(states(&sim), [ConnState::Established]);

                let data = client_says(&mut sim, client_at, names, 40_000, &DATA).expect("forwarded");
                assert_eq!((data.src, data.dst, &data.chunks[..]), (there.src, there.dst, &DATA[..]));
                server_says(&mut sim, server_at, &there, &DATA).expect("forwarded");
                assert_eq!(states(&sim), [ConnState::Established]);

                client_says(&mut sim, client_at, names, 40_000, &SHUTDOWN).expect("forwarded");
                assert_eq!(states(&sim), [ConnState::SctpShutdownReceived]);
                server_says(&mut sim, server_at, &there, &SHUTDOWN_ACK).expect("forwarded");
                assert_eq!(states(&sim), [ConnState::SctpShutdownAckSent]);
                client_says(&mut sim, client_at, names, 40_000, &SHUTDOWN_COMPLETE).expect("forwarded");
                assert_eq!(states(&sim), [ConnState::SctpClosed]);
                sim.pass(63_000);
                assert_eq!(sim.conns(), 0, "closed for 61 s and a second of jitter");
            }
        }
    }
}

#[test]
fn row040_idle_associations_end_after_their_states_time() {
    let mut sim = sim(1, Forwarding::FullNat);
    let there = client_says(&mut sim, 0, V4, 1, &INIT).expect("forwarded");
    sim.pass(3_500);
    assert_eq!(sim.conns(), 1, "INIT1 lives for 4 s");
    sim.pass(2_000);
    assert_eq!(sim.conns(), 0);
    client_says(&mut sim, 0, V4, 2, &DATA).expect("an association that was there before the director");
    assert_eq!(states(&sim), [ConnState::Established]);
    sim.pass(899_000);
    assert_eq!(sim.conns(), 1);
    client_says(&mut sim, 0, V4, 2, &DATA).expect("forwarded");
    sim.pass(899_000);
    assert_eq!(sim.conns(), 1, "each packet begins the time anew");
    sim.pass(3_000);
    assert_eq!(sim.conns(), 0);
    drop(there);
}

#[test]
fn connections_count_as_active_while_established() {
    let mut sim = sim(1, Forwarding::FullNat);
    let counts = |sim: &Sim| {
        let counters = sim.lcores[0].dest_counters();
        counters.iter().fold((0, 0), |(a, i), c| (a + c.active, i + c.inactive))
    };
    let there = client_says(&mut sim, 0, V4, 1, &INIT).expect("forwarded");
    assert_eq!(counts(&sim), (0, 1));
    server_says(&mut sim, 0, &there, &INIT_ACK);
    client_says(&mut sim, 0, V4, 1, &COOKIE_ECHO);
    server_says(&mut sim, 0, &there, &COOKIE_ACK);
    assert_eq!(counts(&sim), (1, 0));
    server_says(&mut sim, 0, &there, &ABORT).expect("the client hears of it");
    assert_eq!((counts(&sim), states(&sim)), ((0, 1), vec![ConnState::SctpClosed]));
}

#[test]
fn direct_routing_and_tunnels_leave_the_packet_as_it_is() {
    for names in [V4, V6] {
        let mut direct = sim(1, Forwarding::DirectRouting);
        let seen = client_says(&mut direct, 0, names, 1, &INIT).expect("forwarded");
        assert_eq!((seen.src, seen.dst), (at(names.client, 1), at(names.vip, 80)));
        assert_eq!(seen.dst_mac, server_mac(1));
        client_says(&mut direct, 0, names, 1, &COOKIE_ECHO).expect("forwarded");
        assert_eq!(states(&direct), [ConnState::Established], "the server's half is taken for granted");

        let mut tunnel = sim(1, Forwarding::Tunnel(TunnelKind::Ipip));
        let frame = build::sctp((DIRECTOR, CLIENT), at(names.client, 1), at(names.vip, 80), 7, &INIT);
        tunnel.receive(0, PORT, &frame);
        let sent = tunnel.sent_one();
        // Behind Ethernet, its tag and the outer header.
        let outer = 18 + if names.client == V4.client { 20 } else { 40 };
        let inner = if names.client == V4.client { 20 } else { 40 };
        assert_eq!(sent[outer + inner..], frame[14 + inner..]);
    }
}

#[test]
fn clients_of_one_family_reach_servers_of_the_other() {
    for (clients, servers) in [(V6, V4), (V4, V6)] {
        let mut sim = sim(1, Forwarding::FullNat);
        let mut snap = sim.snap.clone();
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(clients.vip)) {
            svc.laddrs = vec![ip(servers.laddr)];
            for id in &svc.dests {
                snap.dests[id.index()].as_mut().expect("it is there").addr = at(servers.servers[0], 8080);
            }
        }
        sim.publish(snap.index());
        let there = client_says(&mut sim, 0, clients, 1, &INIT).expect("forwarded");
        assert_eq!((there.src.ip(), there.dst), (ip(servers.laddr), at(servers.servers[0], 8080)));
        let back = server_says(&mut sim, 0, &there, &INIT_ACK).expect("forwarded");
        assert_eq!((back.src, back.dst), (at(clients.vip, 80), at(clients.client, 1)));
    }
}

#[test]
fn row065_a_damaged_packet_is_dropped_where_it_would_get_a_new_checksum() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        let mut sim = sim(1, forwarding);
        let damaged = |sim: &mut Sim, frame: Vec<u8>, offset: usize| {
            let mut frame = frame;
            let at = frame.len() - offset;
            frame[at] ^= 1;
            sim.receive(0, PORT, &frame);
            assert_eq!(sim.sent(), Vec::<Vec<u8>>::new());
        };
        let client =
            |chunks: &[u8]| build::sctp((DIRECTOR, CLIENT), at(V4.client, 1), at(V4.vip, 80), 7, chunks);
        damaged(&mut sim, client(&INIT), 1);
        assert_eq!(sim.conns(), 0);
        let there = client_says(&mut sim, 0, V4, 1, &INIT).expect("forwarded");
        damaged(&mut sim, client(&DATA), 3);
        let macs = (DIRECTOR, server_mac(1));
        damaged(&mut sim, tagged(build::sctp(macs, there.dst, there.src, 8, &INIT_ACK)), 2);
        assert_eq!((sim.drops(DropReason::L4Checksum), states(&sim)), (3, vec![ConnState::SctpInit1]));
    }
}

#[test]
fn what_ends_an_association_opens_none() {
    let mut sim = sim(2, Forwarding::FullNat);
    for chunks in [&ABORT[..], &SHUTDOWN_COMPLETE, &SHUTDOWN_ACK, &[], &[1, 0]] {
        assert_eq!(client_says(&mut sim, 1, V4, 1, chunks), None);
    }
    assert_eq!((sim.conns(), sim.drops(DropReason::NotInit)), (0, 5));
}

#[test]
fn packets_that_change_the_worker_find_their_association() {
    let mut sim = sim(3, Forwarding::FullNat);
    let there = client_says(&mut sim, 2, V4, 1, &INIT).expect("forwarded");
    for worker in [0, 1, 2] {
        let seen = client_says(&mut sim, worker, V4, 1, &DATA).expect("forwarded");
        assert_eq!(seen.src, there.src);
    }
    assert_eq!(sim.conns(), 1);
}

#[test]
fn an_error_that_quotes_an_association_reaches_the_client() {
    let mut sim = sim(1, Forwarding::FullNat);
    let macs = (DIRECTOR, CLIENT);
    let sent = build::sctp(macs, at(V4.client, 1), at(V4.vip, 80), 7, &INIT);
    sim.receive(0, PORT, &sent);
    let there = sim.sent_one();
    let mut message = vec![3, 2, 0, 0, 0, 0, 0, 0];
    message.extend(&there[18..18 + 28]);
    let error = build::ip((DIRECTOR, server_mac(1)), ip(V4.servers[0]), ip(V4.laddr), 1, message, Some(2));
    sim.receive(0, PORT, &tagged(error));
    let back = sim.sent_one();
    assert_eq!((&back[26..30], &back[30..34]), (&[10, 1, 0, 100][..], &[10, 1, 0, 1][..]));
    // Addresses, ports and tag as the client sent them.
    assert_eq!((&back[54..62], &back[62..70]), (&sent[26..34], &sent[34..42]));
}

/// A host behind the director opens an association with the outside, by an address of the director's.
#[test]
fn row072_a_host_reaches_the_outside_by_sctp() {
    use engine::forward::snat::Rule;
    use engine::ids::{DestId, LinkId, ServiceId};
    use engine::snapshot::{Dest, Service};

    for names in [V4, V6] {
        for (workers, host_at, remote_at) in [(1, 0, 0), (2, 0, 1), (2, 1, 0)] {
            let mut snap = world::snapshot();
            let (service, dest) = (ServiceId(snap.services.len() as u32), DestId(snap.dests.len() as u32));
            let rule = Rule {
                six: ip(names.client).is_ipv6(),
                src: None,
                dst: None,
                iif: Some(LinkId(1)),
                oif: Some(LinkId(0)),
            };
            let like = snap.services[0].clone().expect("the first service");
            snap.dests.push(Some(Dest {
                id: dest,
                generation: 1,
                service,
                addr: at(names.own, 0),
                forwarding: Forwarding::Snat,
                weight: 1,
                limit: None,
                check: None,
            }));
            snap.services.push(Some(Service {
                id: service,
                transport: Transport::Sctp,
                rule: Some(rule),
                dests: vec![dest],
                laddrs: Vec::new(),
                ..like
            }));
            let mut sim = world::sim(workers);
            sim.publish(snap.index());
            let (host, remote) = (at(names.servers[0], 50_000), at(names.client, 36_412));
            let out = |sim: &mut Sim, chunks: &[u8]| {
                let frame = tagged(build::sctp((DIRECTOR, server_mac(1)), host, remote, 7, chunks));
                sim.receive(host_at, PORT, &frame);
                sim.sent().first().map(|frame| see(frame))
            };
            let there = out(&mut sim, &INIT).expect("forwarded");
            assert_eq!((there.src.ip(), there.dst, there.tag), (ip(names.own), remote, 7));
            assert_eq!((&there.chunks[..], there.dst_mac), (&INIT[..], CLIENT));
            let back = |sim: &mut Sim, chunks: &[u8]| {
                let frame = build::sctp((DIRECTOR, CLIENT), remote, there.src, 8, chunks);
                sim.receive(remote_at, PORT, &frame);
                sim.sent().first().map(|frame| see(frame))
            };
            let wanted = |chunks: &[u8]| {
                Some(Sctp { src: remote, dst: host, tag: 8, chunks: chunks.to_vec(), dst_mac: server_mac(1) })
            };
            assert_eq!(back(&mut sim, &INIT_ACK), wanted(&INIT_ACK));
            out(&mut sim, &COOKIE_ECHO).expect("forwarded");
            assert_eq!(back(&mut sim, &COOKIE_ACK), wanted(&COOKIE_ACK));
            assert_eq!(back(&mut sim, &DATA), wanted(&DATA));
            assert_eq!(out(&mut sim, &DATA).expect("forwarded").src, there.src);
            assert_eq!(states(&sim).len(), 1);
            // The outside opens nothing.
            let frame = build::sctp((DIRECTOR, CLIENT), remote, at(names.own, 9), 8, &INIT);
            sim.receive(remote_at, PORT, &frame);
            assert_eq!((sim.sent().len(), states(&sim).len()), (0, 1));
        }
    }
}
