// SPDX-License-Identifier: Apache-2.0
//! Services whose packets are more than a header in front of anything: SCTP, one-packet scheduling, the PROXY protocol.

use engine::forward::Forwarding;
use engine::sim::Sim;
use engine::sim::world::{CLIENT, DIRECTOR, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use model::Transport;
use model::options::{ProxyProtocol, ProxyVersion};
use packet::build;

use super::seen::parts::{cut, join, joined, l3};
use super::seen::{see, tagged};
use super::{ROOM, body, cut_tagged, each, orders, receive, sim, snapshot};

const INIT: [u8; 20] = [1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 5];

/// Associations with a server at `port`, where the service is at 80.
fn associations(forwarding: Forwarding, port: u16) -> Sim {
    let mut sim = sim(2, forwarding, false);
    let mut snap = snapshot(2, forwarding, false);
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.transport == Transport::Udp) {
        svc.transport = Transport::Sctp;
    }
    snap.dests.iter_mut().flatten().for_each(|dest| dest.addr.set_port(port));
    sim.publish(snap.index());
    sim
}

/// Its checksum is of the whole packet, ports included, addresses not: as long as ports stay, fragments of it can be changed.
#[test]
fn row065_sctp_passes_in_fragments_where_its_ports_stay() {
    let data = [&[0, 3, (3000_u16 >> 8) as u8, 3000_u16 as u8][..], &body(2996)].concat();
    for names in [V4, V6] {
        for (forwarding, port, passes) in [
            (Forwarding::Nat, 80, true),
            (Forwarding::Nat, 8080, false),
            (Forwarding::FullNat, 80, false),
            (Forwarding::DirectRouting, 80, true),
        ] {
            let mut sim = associations(forwarding, port);
            let (client, vip) = (at(names.client, 40_001), at(names.vip, 80));
            let packet = |chunks: &[u8]| build::sctp((DIRECTOR, CLIENT), client, vip, 7, chunks);
            sim.receive(0, PORT, &packet(&INIT));
            assert_eq!(sim.sent().len(), 1);
            let sent = receive(&mut sim, &cut(&packet(&data), 1, ROOM), &[1, 0, 2]);
            if !passes {
                assert_eq!(
                    (sent.len(), sim.drops(DropReason::Fragment), sim.drops(DropReason::FragmentNoFirst)),
                    (0, 1, 2)
                );
                continue;
            }
            let whole = join(&sent);
            let at = l3(&whole) + if names.client == V4.client { 20 } else { 40 };
            // The very packet, though its addresses may be others.
            let sent = packet(&data);
            assert_eq!(whole[at..], sent[sent.len() - (whole.len() - at)..]);
            assert_eq!(whole[..6], server_mac(1));
        }
    }
}

/// An INIT in fragments opens nothing.
#[test]
fn row065_no_association_begins_in_fragments() {
    let mut sim = associations(Forwarding::DirectRouting, 80);
    let padded = [&INIT[..], &[0; 40]].concat();
    let frame = build::sctp((DIRECTOR, CLIENT), at(V4.client, 1), at(V4.vip, 80), 0, &padded);
    let before = sim.conns();
    assert!(receive(&mut sim, &cut(&frame, 1, 32), &[0, 1, 2]).is_empty());
    assert_eq!((sim.conns(), sim.drops(DropReason::Fragment)), (before, 1));
}

/// Each datagram goes to the server whose turn it is, with all its fragments, though nothing is kept of it.
#[test]
fn row047_fragments_of_a_datagram_that_is_scheduled_by_itself_go_to_one_server() {
    for forwarding in [Forwarding::FullNat, Forwarding::DirectRouting] {
        each(|names, workers, predicted| {
            let mut sim = sim(workers, forwarding, predicted);
            let mut snap = snapshot(workers, forwarding, predicted);
            snap.services
                .iter_mut()
                .flatten()
                .for_each(|svc| svc.one_packet = svc.transport == Transport::Udp);
            snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 1);
            sim.publish(snap.index());
            let mut servers = Vec::new();
            for id in 0..16 {
                let question =
                    build::udp((DIRECTOR, CLIENT), at(names.client, 40_001), at(names.vip, 80), &body(3000));
                let there =
                    joined(&receive(&mut sim, &cut(&question, id, ROOM), &orders(3)[id as usize % 3]));
                assert_eq!(there.payload, body(3000));
                servers.push(there.dst_mac);
                if forwarding == Forwarding::FullNat {
                    let mac = there.dst_mac;
                    let answer = build::udp((DIRECTOR, mac), there.dst, there.src, &body(3000));
                    let back = joined(&receive(&mut sim, &cut_tagged(&answer, id), &[2, 1, 0]));
                    assert_eq!((back.dst, back.src), (at(names.client, 40_001), at(names.vip, 80)));
                }
            }
            servers.sort_unstable();
            servers.dedup();
            assert_eq!(servers.len(), 2, "both had their turns");
        });
    }
}

/// A header of 28 or 52 bytes in the first fragment would move the others by no whole number of units; without it the server would take
/// the client's data for one.
#[test]
fn row144_a_datagram_that_the_header_belongs_before_does_not_pass_in_fragments() {
    for names in [V4, V6] {
        let mut sim = sim(2, Forwarding::FullNat, false);
        let mut snap = snapshot(2, Forwarding::FullNat, false);
        let header = ProxyProtocol { version: ProxyVersion::V2, insecure: false };
        snap.services.iter_mut().flatten().for_each(|svc| svc.proxy_protocol = Some(header));
        sim.publish(snap.index());
        let (client, vip) = (at(names.client, 40_001), at(names.vip, 80));
        let long = build::udp((DIRECTOR, CLIENT), client, vip, &body(3000));
        assert!(receive(&mut sim, &cut(&long, 1, ROOM), &[1, 0, 2]).is_empty());
        assert_eq!((sim.drops(DropReason::ProxyHeader), sim.drops(DropReason::FragmentNoFirst)), (1, 2));
        // Once the server has been told, fragments pass, both ways.
        let has = |n: &usize| sim.lcores[*n].find_conn(Transport::Udp, client, vip, sim.now).is_some();
        let worker = (0..2).find(has).expect("the first fragment opened one");
        sim.receive(worker, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, b"short"));
        let told = see(&sim.sent_one());
        assert!(told.payload.starts_with(b"\r\n\r\n\0\r\nQUIT\n") && told.src.ip() == ip(names.laddr));
        let there = joined(&receive(&mut sim, &cut(&long, 2, ROOM), &[2, 1, 0]));
        assert_eq!((there.src, there.payload), (told.src, body(3000)));
        let answer = build::udp((DIRECTOR, server_mac(1)), told.dst, told.src, &body(2000));
        let frames: Vec<_> = cut(&answer, 3, ROOM).into_iter().map(tagged).collect();
        assert_eq!(joined(&receive(&mut sim, &frames, &[1, 0])).payload, body(2000));
    }
}
