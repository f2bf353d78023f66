// SPDX-License-Identifier: Apache-2.0
//! Services found by a mark, which rules put on packets. DPVS accepts such services and marks nothing.

mod seen;

use std::net::SocketAddr;
use std::num::NonZeroU32;

use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::LinkId;
use engine::persist::Persistence;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, server_mac};
use engine::snapshot::{Mark, Snapshot};
use engine::verdict::DropReason;
use model::rule::MatchRule;
use model::service::Granularity;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{SYN, from_client, see, tagged};

const SEVEN: NonZeroU32 = NonZeroU32::new(7).expect("not 0");

/// Rules as operators write them, each giving mark 7.
fn mark(snap: &mut Snapshot, rules: &[&str]) {
    for text in rules {
        let MatchRule { transport, family, src, dst, iif, .. } = text.parse().expect("a rule");
        let iif = iif.map(|name| if name == "dpdk0" { LinkId(0) } else { LinkId(1) });
        let rule = Rule { six: family == model::Family::Inet6, src, dst, iif, oif: None };
        snap.marks.push(Mark { mark: SEVEN, transport, rule });
    }
}

/// The UDP services of both families are found by mark 7 from now on, with servers that listen where the client asks.
fn by_mark(sim: &mut Sim, rules: &[&str], forwarding: Forwarding) {
    let mut snap = sim.snap.clone();
    snap.version += 1;
    snap.routing += 1;
    mark(&mut snap, rules);
    let udp: Vec<_> =
        snap.services.iter_mut().flatten().filter(|svc| svc.transport == Transport::Udp).collect();
    let mut dests = Vec::new();
    for svc in udp {
        svc.mark = Some(SEVEN);
        svc.vip = at(if svc.vip.is_ipv6() { "::" } else { "0.0.0.0" }, 0);
        dests.extend(svc.dests.clone());
    }
    for dest in snap.dests.iter_mut().flatten().filter(|dest| dests.contains(&dest.id)) {
        dest.addr.set_port(0);
        dest.forwarding = forwarding;
    }
    sim.publish(snap.index());
}

fn asked(sim: &mut Sim, worker: usize, client: SocketAddr, target: SocketAddr) -> Option<SocketAddr> {
    sim.receive(worker, PORT, &build::udp((DIRECTOR, CLIENT), client, target, b"q"));
    let sent = sim.sent();
    assert!(sent.len() <= 1);
    Some(see(sent.first()?).dst)
}

#[test]
fn packets_that_a_rule_marks_reach_the_service_whatever_their_target() {
    for (names, rule, far) in [
        (V4, "proto=udp,dst-range=10.1.0.100-10.1.0.103:50-60", "10.1.0.102"),
        (V6, "proto=udp,dst-range=[fd01::100-fd01::103]:50-60", "fd01::102"),
    ] {
        let mut sim = world::sim(1);
        by_mark(&mut sim, &[rule], Forwarding::FullNat);
        let servers = names.servers;
        let client = |port| at(names.client, port);
        assert_eq!(asked(&mut sim, 0, client(1), at(names.vip, 50)), Some(at(servers[0], 50)));
        // No address of the director's at all.
        assert_eq!(asked(&mut sim, 0, client(2), at(far, 60)), Some(at(servers[1], 60)));
        assert_eq!(asked(&mut sim, 0, client(3), at(names.vip, 61)), None);
        assert_eq!(sim.conns(), 2);
    }
}

#[test]
fn answers_come_from_where_the_client_asked() {
    for forwarding in [Forwarding::FullNat, Forwarding::Nat] {
        let mut sim = world::sim(3);
        by_mark(&mut sim, &["proto=udp,dst-range=10.1.0.0-10.1.0.255"], forwarding);
        for n in 0..30u16 {
            let (client, target) = (at(V4.client, 4000 + n), at("10.1.0.77", 1000 + n));
            sim.receive(usize::from(n) % 3, PORT, &build::udp((DIRECTOR, CLIENT), client, target, b"q"));
            let seen = see(&sim.sent_one());
            let answer = tagged(build::udp((DIRECTOR, server_mac(1)), seen.dst, seen.src, b"a"));
            sim.receive(usize::from(n + 1) % 3, PORT, &answer);
            let seen = see(&sim.sent_one());
            assert_eq!((seen.src, seen.dst), (target, client), "{forwarding:?}");
        }
        assert_eq!(sim.conns(), 30);
    }
}

#[test]
fn a_mark_comes_before_the_service_at_the_address() {
    let mut sim = world::sim(1);
    by_mark(
        &mut sim,
        &["proto=tcp,src-range=10.1.0.50-10.1.0.59,dst-range=10.1.0.100:80"],
        Forwarding::FullNat,
    );
    let mut syn = |client| {
        let segment = Segment { seq: 1, flags: SYN, ..Default::default() };
        sim.receive(0, PORT, &from_client(at(client, 4000), at(V4.vip, 80), segment));
        see(&sim.sent_one()).dst
    };
    assert_eq!(syn("10.1.0.55").port(), 80, "the server of the mark's service listens where the client asks");
    assert_eq!(syn("10.1.0.60").port(), 8080, "the one of the address's service listens there");
}

#[test]
fn the_syn_proxy_leaves_marked_packets_alone() {
    let mut sim = world::sim(1);
    by_mark(&mut sim, &["proto=tcp,src-range=10.1.0.50-10.1.0.59"], Forwarding::FullNat);
    let mut snap = sim.snap.clone();
    snap.services.iter_mut().flatten().for_each(|svc| svc.syn_proxy = svc.mark.is_none());
    sim.publish(snap.index());
    let mut syn = |client| {
        let segment = Segment { seq: 1, flags: SYN, ..Default::default() };
        sim.receive(0, PORT, &from_client(at(client, 4000), at(V4.vip, 80), segment));
        see(&sim.sent_one()).dst
    };
    assert_eq!(syn("10.1.0.55"), at(V4.servers[0], 80));
    assert_eq!(syn("10.1.0.60"), at("10.1.0.60", 4000), "an answer to the client");
}

#[test]
fn rules_ask_for_the_protocol_the_family_and_the_link() {
    let mut sim = world::sim(1);
    by_mark(
        &mut sim,
        &[
            "proto=tcp,af=ipv4",
            "proto=udp,af=ipv6,dst-range=[fd01::100-fd01::100]:7-7",
            "proto=udp,af=ipv4,iif=dpdk1",
        ],
        Forwarding::FullNat,
    );
    assert_eq!(asked(&mut sim, 0, at(V4.client, 1), at(V4.vip, 7)), None, "it came in by another link");
    assert_eq!(asked(&mut sim, 0, at(V6.client, 1), at(V6.vip, 7)), Some(at(V6.servers[0], 7)));
    assert_eq!(asked(&mut sim, 0, at(V6.client, 1), at(V6.vip, 8)), None);
    let inside = tagged(build::udp((DIRECTOR, server_mac(1)), at("10.2.0.9", 9), at(V4.vip, 7), b"q"));
    sim.receive(0, PORT, &inside);
    assert_eq!(see(&sim.sent_one()).dst, at(V4.servers[0], 7));
}

#[test]
fn a_mark_without_service_changes_nothing() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    mark(&mut snap, &["proto=udp,af=ipv4"]);
    sim.publish(snap.index());
    assert_eq!(asked(&mut sim, 0, at(V4.client, 1), at(V4.vip, 80)), Some(at(V4.servers[0], 8080)));
}

fn persist(sim: &mut Sim, sip: bool) {
    let mut snap = sim.snap.clone();
    snap.version += 1;
    for svc in snap.services.iter_mut().flatten() {
        svc.persistence =
            Some(Persistence { timeout: 300, granularity: Granularity::Inet([255; 4].into()), sip });
    }
    sim.publish(snap.index());
}

/// FTP's two connections, HTTP and HTTPS, voice and its signals: whatever is marked alike goes to one server.
#[test]
fn row042_a_persistent_mark_keeps_a_client_at_one_server_for_all_it_asks() {
    let mut sim = world::sim(1);
    let rules = ["proto=udp,dst-range=10.1.0.100:1000-2000", "proto=tcp,dst-range=10.1.0.101:443"];
    by_mark(&mut sim, &rules, Forwarding::FullNat);
    persist(&mut sim, false);
    for (client, server) in [(V4.client, 0), ("10.1.0.9", 1), (V4.client, 0), ("10.1.0.9", 1)] {
        for port in [1000, 1500, 2000] {
            let got = asked(&mut sim, 0, at(client, 4000), at(V4.vip, port));
            assert_eq!(got, Some(at(V4.servers[server], port)));
        }
        let segment = Segment { seq: 1, flags: SYN, ..Default::default() };
        sim.receive(0, PORT, &from_client(at(client, 4001), at("10.1.0.101", 443), segment));
        assert_eq!(see(&sim.sent_one()).dst, at(V4.servers[server], 443));
    }
    let listed = sim.snap.templates.list(0, 9, sim.now).0;
    assert_eq!(listed.iter().map(|entry| entry.mark).collect::<Vec<_>>(), [Some(SEVEN); 2]);
}

#[test]
fn sip_calls_stay_with_a_server_whoever_speaks() {
    let mut sim = world::sim(1);
    persist(&mut sim, true);
    let mut say = |client: &str, port, call: &str| {
        let message = format!("INVITE sip:x SIP/2.0\r\nVia: y\r\ni: {call}\r\n\r\n");
        let frame = build::udp((DIRECTOR, CLIENT), at(client, port), at(V4.vip, 80), message.as_bytes());
        sim.receive(0, PORT, &frame);
        see(&sim.sent_one()).dst
    };
    let servers = V4.servers.map(|server| at(server, 8080));
    assert_eq!(say("10.1.0.1", 1, "one@a"), servers[0]);
    assert_eq!(say("10.1.0.1", 2, "two@a"), servers[1]);
    for n in 3..20 {
        assert_eq!(say("10.1.0.9", n, "one@a"), servers[0]);
        assert_eq!(say("10.1.0.8", n, "two@a"), servers[1]);
    }
    // What is no message goes by the client's address.
    for n in 30..34 {
        let frame = build::udp((DIRECTOR, CLIENT), at(V4.client, n), at(V4.vip, 80), b"keep-alive");
        sim.receive(0, PORT, &frame);
        assert_eq!(see(&sim.sent_one()).dst, servers[0]);
    }
    let listed = sim.snap.templates.list(0, 9, sim.now).0;
    let mut calls: Vec<_> = listed
        .iter()
        .map(|entry| (entry.client.ip().to_string(), entry.engine.as_ref().map(|e| e.data.clone())))
        .collect();
    calls.sort();
    let client = || V4.client.to_owned();
    assert_eq!(calls, [(client(), None), (client(), Some("one@a".into())), (client(), Some("two@a".into()))]);
}

/// The state that LVS shows for calls of one-packet services.
#[test]
fn datagrams_scheduled_one_by_one_do_not_assure_their_call() {
    let mut sim = world::sim(1);
    persist(&mut sim, true);
    let mut snap = sim.snap.clone();
    snap.services.iter_mut().flatten().for_each(|svc| svc.one_packet = true);
    snap.dests.iter_mut().flatten().for_each(|dest| dest.forwarding = Forwarding::DirectRouting);
    sim.publish(snap.index());
    for port in 1..9 {
        let message = b"INVITE sip:x SIP/2.0\r\nCall-ID: one@a\r\n\r\n";
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, port), at(V4.vip, 80), message));
        assert_eq!(see(&sim.sent_one()).dst_mac, server_mac(1));
    }
    assert_eq!((sim.conns(), sim.drops(DropReason::ConnClash)), (0, 0));
    assert_eq!(sim.snap.templates.list(0, 9, sim.now).0[0].state, ConnState::None);
}
