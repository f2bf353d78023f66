// SPDX-License-Identifier: Apache-2.0
//! Access lists of services. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use std::sync::Arc;

use engine::access::{Access, List};
use engine::set::Set;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, ip};
use engine::verdict::DropReason;
use model::ipset::{Element, Member, SetKind};
use model::{Family, Prefix, Transport};
use packet::build::{self, Segment};
use seen::{ACK, SYN, from_client, see};

/// A set of networks.
fn nets(nets: &[&str]) -> Arc<Set> {
    let element = |net: &&str| {
        let net: Prefix = net.parse().expect("a prefix");
        (Element { first: Some(net.into()), ..Element::default() }, Member::default())
    };
    let elements: Vec<_> = nets.iter().map(element).collect();
    let elements = elements.iter().map(|(element, member)| (element, member));
    Arc::new(Set::compile(SetKind::HashNet, Family::Inet, elements, |_| None))
}

fn list(addrs: &[&str], sets: &[Arc<Set>]) -> List {
    List { addrs: addrs.iter().map(|addr| ip(addr)).collect(), sets: sets.to_vec() }
}

/// All services with these lists, from now on.
fn guard(sim: &mut Sim, access: Option<Access>) {
    let mut snap = sim.snap.clone();
    snap.version += 1;
    snap.routing += 1;
    let access = access.map(Arc::new);
    snap.services.iter_mut().flatten().for_each(|svc| svc.access = access.clone());
    sim.publish(snap.index());
}

/// Whether a client's SYN reaches a server.
fn passes(access: Access) -> bool {
    let mut sim = world::sim(1);
    guard(&mut sim, Some(access));
    let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 40_000), at(V4.vip, 80), syn));
    let refused = sim.drops(DropReason::AccessBlocked) + sim.drops(DropReason::AccessNotAllowed);
    let sent = sim.sent();
    assert_eq!((sent.len() as u64, sim.conns() as u64), (1 - refused, 1 - refused));
    refused == 0
}

#[test]
fn row155_access_lists_decide_as_their_truth_table_says() {
    // The client is 10.1.0.1.
    let (none, us, them) = (list(&[], &[]), list(&["10.1.0.1"], &[]), list(&["10.1.0.9"], &[]));
    let set = |with: &[&str]| list(&[], &[nets(with)]);
    let both = |addr: &str, net: &[&str]| list(&[addr], &[nets(net)]);
    for (block, allow, pass) in [
        (&none, &none, true),
        // Deny, by address and by set.
        (&us, &none, false),
        (&them, &none, true),
        (&set(&["10.1.0.0/24"]), &none, false),
        (&set(&["10.9.0.0/24"]), &none, true),
        (&set(&[]), &none, true),
        (&both("10.1.0.9", &["10.1.0.0/24"]), &none, false),
        // Deny comes first.
        (&us, &us, false),
        (&set(&["10.1.0.0/24"]), &us, false),
        // Allow: addresses and sets are unset, allowed or denied.
        (&none, &us, true),
        (&none, &them, false),
        (&none, &set(&["10.1.0.0/24"]), true),
        (&none, &set(&["10.9.0.0/24"]), false),
        (&none, &both("10.1.0.1", &["10.9.0.0/24"]), true),
        (&none, &both("10.1.0.9", &["10.1.0.0/24"]), true),
        (&none, &both("10.1.0.9", &["10.9.0.0/24"]), false),
        // One empty set allows nobody.
        (&none, &set(&[]), false),
    ] {
        let access = Access { block: block.clone(), allow: allow.clone() };
        assert_eq!(passes(access), pass, "deny {block:?} allow {allow:?}");
    }
}

#[test]
fn row155_established_connections_are_affected_at_once() {
    let mut sim = world::sim(1);
    let (client, vip) = (at(V4.client, 40_000), at(V4.vip, 80));
    let query = build::udp((DIRECTOR, CLIENT), client, vip, b"q");
    sim.receive(0, PORT, &query);
    sim.receive(0, PORT, &query);
    assert_eq!(sim.sent().len(), 2);
    guard(&mut sim, Some(Access { block: list(&[V4.client], &[]), ..Access::default() }));
    sim.receive(0, PORT, &query);
    assert_eq!((sim.sent().len(), sim.drops(DropReason::AccessBlocked)), (0, 1));
    guard(&mut sim, Some(Access { allow: list(&["10.1.0.9"], &[]), ..Access::default() }));
    sim.receive(0, PORT, &query);
    assert_eq!((sim.sent().len(), sim.drops(DropReason::AccessNotAllowed)), (0, 1));
    guard(&mut sim, None);
    sim.receive(0, PORT, &query);
    assert_eq!(sim.sent().len(), 1);
}

#[test]
fn what_the_lists_of_one_service_say_is_nothing_to_another() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    let access = Arc::new(Access { block: list(&[V4.client, V6.client], &[]), ..Access::default() });
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.transport == Transport::Udp) {
        svc.access = Some(access.clone());
    }
    sim.publish(snap.index());
    for names in [V4, V6] {
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, b"q"));
        assert_eq!(sim.sent().len(), 0);
        sim.receive(0, PORT, &from_client(client, vip, Segment { flags: SYN, ..Segment::default() }));
        assert_eq!(see(&sim.sent_one()).dst.port(), 8080);
    }
    assert_eq!(sim.drops(DropReason::AccessBlocked), 2);
}

#[test]
fn row098_the_syn_proxy_answers_nobody_whom_the_lists_refuse() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.services.iter_mut().flatten().for_each(|svc| svc.syn_proxy = svc.transport == Transport::Tcp);
    sim.publish(snap.index());
    let (client, vip) = (at(V4.client, 40_000), at(V4.vip, 80));
    let syn = from_client(client, vip, Segment { seq: 1000, flags: SYN, payload: &[], ..Segment::default() });
    sim.receive(0, PORT, &syn);
    let cookie = see(&sim.sent_one()).tcp().sequence_number;
    guard(&mut sim, Some(Access { block: list(&[V4.client], &[]), ..Access::default() }));
    sim.receive(0, PORT, &syn);
    assert_eq!((sim.sent().len(), sim.drops(DropReason::AccessBlocked)), (0, 1));
    // Nor does a proof from before help.
    let ack =
        Segment { seq: 1001, ack: cookie.wrapping_add(1), flags: ACK, payload: &[], ..Segment::default() };
    sim.receive(0, PORT, &from_client(client, vip, ack));
    assert_eq!((sim.sent().len(), sim.drops(DropReason::AccessBlocked), sim.conns()), (0, 2, 0));
    guard(&mut sim, None);
    sim.receive(0, PORT, &from_client(client, vip, ack));
    assert_eq!((see(&sim.sent_one()).dst.port(), sim.conns()), (8080, 1));
}
