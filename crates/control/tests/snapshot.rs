// SPDX-License-Identifier: Apache-2.0
//! What workers read.

mod world;

use std::sync::Arc;

use control::compile;
use control::state::State;
use engine::ids::{DestId, LcoreId, LinkId, PortId, ServiceId};
use engine::route::Kind;
use engine::sched::Table;
use engine::snapshot::{Forwarding, Snapshot};
use model::link::LinkChange;
use model::net::{RouteScope, RouteSpec};
use model::rule::{EndpointRange, MatchRule};
use model::{DestSpec, Family, Scheduling, ServiceKey, ServiceOptionsPatch, Transport};
use sockopt::{Code, Set};
use world::*;

const VIP: &str = "10.1.0.100:80";

fn leads(snap: &Snapshot, addr: &str) -> Option<(Kind, LinkId, Option<String>)> {
    snap.routes.find(ip(addr)).map(|route| (route.kind, route.link, route.via.map(|via| via.to_string())))
}

#[test]
fn services_servers_and_local_addresses_are_tied_by_numbers() {
    let snap = compile(&balanced());
    let service = snap.find_service(Transport::Tcp, ip("10.1.0.100"), 80).expect("it is there");
    assert_eq!((service.id, service.generation), (ServiceId(0), 1));
    assert_eq!(service.dests, [DestId(0), DestId(1)]);
    assert_eq!((service.laddrs.as_slice(), service.weights), (&[ip("10.2.0.200")][..], (2, 1)));
    assert_eq!(snap.laddrs.get(&ip("10.2.0.200")), Some(&LinkId(2)));
    let dest = snap.dest(DestId(1), 1).expect("it is there");
    assert_eq!((dest.addr, dest.weight, dest.forwarding), (at("10.2.0.12:8080"), 2, Forwarding::FullNat));
    assert_eq!(snap.ports.len(), 2);
    assert_eq!(snap.ports[0].link_of(Some(102)), Some(LinkId(2)));
    assert_eq!(
        (snap.ports[1].link_of(None), &snap.ports[1].queues),
        (Some(LinkId(1)), &vec![LcoreId(0), LcoreId(1)])
    );
    assert_eq!(snap.link_of(PortId(0), Some(102)).map(|link| link.name.as_str()), Some("dpdk0.102"));
}

#[test]
fn a_table_lasts_until_its_servers_or_weights_change() {
    let mut state = balanced();
    set(&mut state, edit_service(VIP, "mh", ServiceOptionsPatch::default()));
    let table = |state: &State| {
        let snap = compile(state);
        let service = snap.find_service(Transport::Tcp, ip("10.1.0.100"), 80).expect("it is there");
        service.hashing.table.clone().expect("mh looks servers up")
    };
    let slots = |table: &Table, server| match table {
        Table::Slots(slots) => slots.iter().filter(|&&slot| slot == server).count(),
        _ => 0,
    };
    let first = table(&state);
    assert_eq!((slots(&first, 0), slots(&first, 1)), (1364, 2729));
    set(&mut state, add_service("10.1.0.101:80", "mh"));
    assert!(Arc::ptr_eq(&first, &table(&state)), "another service is none of its business");
    set(&mut state, Set::EditDest(tcp(VIP), at("10.2.0.11:8080"), fullnat(0)));
    let second = table(&state);
    assert_eq!((slots(&second, 0), slots(&second, 1)), (0, 4093));
}

#[test]
fn flags_of_a_scheduler_reach_workers() {
    let mut state = balanced();
    for (flags, fallback, port) in [(0b01, true, false), (0b10, false, true), (0b11, true, true)] {
        let how = Scheduling { flags, ..by("sh") };
        set(&mut state, Set::EditService(tcp(VIP), how, ServiceOptionsPatch::default()));
        let snap = compile(&state);
        let service = snap.find_service(Transport::Tcp, ip("10.1.0.100"), 80).expect("it is there");
        assert_eq!((service.hashing.fallback, service.hashing.port), (fallback, port));
    }
}

/// Between two commands a FULLNAT server has no local address yet: workers drop with that name.
#[test]
fn a_server_before_its_first_local_address_is_there() {
    let mut state = state();
    set(&mut state, add_service(VIP, "rr"));
    set(&mut state, add_dest(VIP, "10.2.0.11:8080", 1));
    let snap = compile(&state);
    assert!(snap.dest(DestId(0), 1).is_some());
    assert!(snap.find_service(Transport::Tcp, ip("10.1.0.100"), 80).is_some_and(|s| s.laddrs.is_empty()));
}

#[test]
fn a_server_at_port_zero_gets_the_port_clients_ask_for() {
    let mut state = state();
    set(&mut state, add_service(VIP, "rr"));
    set(&mut state, add_dest(VIP, "10.2.0.11:0", 1));
    assert_eq!(compile(&state).dest(DestId(0), 1).map(|dest| dest.addr), Some(at("10.2.0.11:80")));
    assert_eq!(services(&state)[0].dests[0].addr, at("10.2.0.11:0"), "listings show what was written");
}

#[test]
fn addresses_make_local_and_connected_routes() {
    let snap = compile(&state());
    assert_eq!(leads(&snap, "10.1.0.254"), Some((Kind::Local, LinkId(0), None)));
    assert_eq!(leads(&snap, "10.1.0.7"), Some((Kind::Out, LinkId(0), None)));
    assert_eq!(leads(&snap, "10.2.0.7"), Some((Kind::Out, LinkId(2), None)));
    assert_eq!(leads(&snap, "fd01::fe"), Some((Kind::Local, LinkId(0), None)));
    assert_eq!(leads(&snap, "fd01::7"), Some((Kind::Out, LinkId(0), None)));
    assert_eq!(leads(&snap, "10.3.0.7"), None);
    let source = snap.routes.find(ip("10.2.0.7")).and_then(|route| route.src);
    assert_eq!(source, Some(ip("10.2.0.254")));
    assert_eq!(snap.link(LinkId(0)).expect("there").addrs, [(ip("10.1.0.254"), 24), (ip("fd01::fe"), 64)]);
}

#[test]
fn nothing_takes_an_own_address_away_and_what_operators_write_goes_before_networks() {
    let mut state = balanced();
    set(&mut state, Set::AddRoute(route("10.1.0.254", Some("10.2.0.9"), "dpdk0.102")));
    set(&mut state, Set::AddRoute(route("10.1.0.0/24", Some("10.2.0.9"), "dpdk0.102")));
    set(
        &mut state,
        Set::AddRoute(RouteSpec { scope: Some(RouteScope::KniHost), ..route("10.9.9.9", None, "dpdk1") }),
    );
    set(
        &mut state,
        Set::AddRoute(RouteSpec { scope: Some(RouteScope::Host), ..route("10.9.9.8", None, "dpdk1") }),
    );
    set(
        &mut state,
        Set::AddRoute(RouteSpec { metric: 9, ..route("10.2.0.0/24", Some("10.1.0.9"), "dpdk0") }),
    );
    let snap = compile(&state);
    assert_eq!(leads(&snap, "10.1.0.254"), Some((Kind::Local, LinkId(0), None)));
    assert_eq!(leads(&snap, "10.1.0.7"), Some((Kind::Out, LinkId(2), Some("10.2.0.9".into()))));
    assert_eq!(leads(&snap, "10.9.9.9"), Some((Kind::Kernel, LinkId(1), None)));
    assert_eq!(leads(&snap, "10.9.9.8"), Some((Kind::Local, LinkId(1), None)));
    assert_eq!(leads(&snap, "10.2.0.7"), Some((Kind::Out, LinkId(2), None)), "the network has metric 0");
}

#[test]
fn a_source_that_is_gone_is_not_used() {
    let mut state = state();
    set(&mut state, Set::AddAddr(addr("10.1.0.9/32", "dpdk0")));
    set(
        &mut state,
        Set::AddRoute(RouteSpec { src: Some(ip("10.1.0.9")), ..route("10.9.0.0/16", None, "dpdk0") }),
    );
    let source = |state: &State| compile(state).routes.find(ip("10.9.0.1")).and_then(|route| route.src);
    assert_eq!(source(&state), Some(ip("10.1.0.9")));
    set(&mut state, del_addr("10.1.0.9/32", "dpdk0"));
    assert_eq!(source(&state), None);
}

/// Next hops are looked up anew only when something about routing changed, and schedulers begin anew only when servers did.
#[test]
fn numbers_change_when_what_they_stand_for_changes() {
    let mut state = balanced();
    let numbers = |state: &State| {
        let snap = compile(state);
        let revision = snap.services.iter().flatten().next().map(|service| service.revision);
        (snap.routing, revision)
    };
    let timeout = ServiceOptionsPatch { conn_timeout: Some(9), ..Default::default() };
    let weight = |weight| Set::EditDest(tcp(VIP), at("10.2.0.11:8080"), fullnat(weight));
    let table = [
        (edit_service(VIP, "rr", timeout), false, false),
        (edit_service(VIP, "wlc", ServiceOptionsPatch::default()), false, true),
        (weight(1), false, false),
        (weight(5), false, true),
        (add_dest(VIP, "10.2.0.13:80", 1), false, true),
        (Set::DelDest(tcp(VIP), at("10.2.0.13:80")), false, true),
        (add_laddr(VIP, "10.2.0.254", "dpdk0.102"), false, false),
        (add_laddr(VIP, "10.2.0.201", "dpdk0.102"), true, false),
        (Set::AddAddr(addr("10.3.0.1/24", "dpdk1")), true, false),
        (Set::AddRoute(route("10.9.0.0/16", None, "dpdk1")), true, false),
        (Set::AddNeigh(neigh("10.3.0.2", "02:00:00:00:00:09", "dpdk1")), true, false),
        (Set::SetLink { dev: "dpdk1".into(), change: LinkChange::Mtu(1400) }, true, false),
        (Set::SetLink { dev: "dpdk1".into(), change: LinkChange::Mtu(1400) }, false, false),
        (vlan("dpdk1", 9, None), true, false),
    ];
    for (step, routing, revision) in table {
        let text = control::describe(&step);
        let before = numbers(&state);
        set(&mut state, step);
        let after = numbers(&state);
        assert_eq!((before.0 != after.0, before.1 != after.1), (routing, revision), "{text}");
    }
}

#[test]
fn versions_count_up_and_slots_are_used_again_with_another_generation() {
    let mut state = balanced();
    let before = compile(&state).version;
    set(&mut state, Set::DelService(tcp(VIP)));
    set(&mut state, Set::AddService(udp(VIP), spec("rr")));
    set(&mut state, Set::AddDest(udp(VIP), at("10.2.0.12:8080"), fullnat(1)));
    let snap = compile(&state);
    assert!(snap.version > before);
    assert_eq!(
        snap.services.iter().flatten().map(|s| (s.id, s.generation)).collect::<Vec<_>>(),
        [(ServiceId(0), 2)]
    );
    assert_eq!(
        snap.dests.iter().flatten().map(|d| (d.id, d.generation)).collect::<Vec<_>>(),
        [(DestId(0), 2)]
    );
    assert_eq!((snap.services.len(), snap.dests.len()), (1, 2), "numbers stay dense");
    assert!(snap.find_service(Transport::Tcp, ip("10.1.0.100"), 80).is_none());
    assert!(snap.laddrs.is_empty());
}

#[test]
fn options_and_timeouts_arrive() {
    let mut state = state();
    let mut options = engine::snapshot::Options { forward4: true, ..Default::default() };
    options.neigh_timeout = 7;
    let timeouts = engine::proto::Timeouts { udp: [1, 2, 3], ..Default::default() };
    let settings = state.settings(timeouts.clone(), options.clone());
    state.commit(settings);
    let snap = compile(&state);
    assert_eq!((snap.options, snap.timeouts), (options, timeouts));
}

fn match_service(oif: &str) -> ServiceKey {
    ServiceKey::Match(MatchRule {
        transport: Transport::Tcp,
        family: Family::Inet,
        src: Some(EndpointRange { first: ip("10.2.0.1"), last: ip("10.2.0.9"), first_port: 0, last_port: 0 }),
        dst: None,
        iif: None,
        oif: Some(oif.into()),
    })
}

#[test]
fn a_match_service_becomes_a_rule_once_its_links_are_there() {
    let mut state = balanced();
    let key = match_service("dpdk0.103");
    set(&mut state, Set::AddService(key.clone(), spec("rr")));
    let dest = DestSpec { forwarding: model::Forwarding::Snat, weight: 1, ..DestSpec::default() };
    set(&mut state, Set::AddDest(key, at("10.1.0.7:0"), dest));
    let rules = |state: &State| {
        let snap = compile(state);
        snap.services.iter().flatten().filter_map(|svc| svc.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&state), []);
    set(&mut state, vlan("dpdk0", 103, None));
    let [rule] = rules(&state)[..] else { panic!("one rule") };
    assert_eq!((rule.six, rule.iif, rule.src.map(|range| range.last)), (false, None, Some(ip("10.2.0.9"))));
    assert_eq!(
        compile(&state).link(rule.oif.expect("it is named")).map(|l| l.name.as_str()),
        Some("dpdk0.103")
    );
    assert_eq!(
        compile(&state).dests.iter().flatten().last().map(|dest| dest.forwarding),
        Some(Forwarding::Snat)
    );
}

#[test]
fn snat_is_for_match_services_and_they_for_snat() {
    let mut state = balanced();
    let snat = DestSpec { forwarding: model::Forwarding::Snat, weight: 1, ..DestSpec::default() };
    let step = Set::AddDest(tcp(VIP), at("10.1.0.7:0"), snat);
    assert_eq!(refused(&mut state, step).0, Code::Invalid);
    let key = match_service("dpdk0");
    set(&mut state, Set::AddService(key.clone(), spec("rr")));
    let step = Set::AddDest(key, at("10.2.0.7:80"), fullnat(1));
    assert_eq!(refused(&mut state, step).0, Code::NotSupported);
}

#[test]
fn one_count_of_connections_outlasts_changes_of_thresholds() {
    let mut state = balanced();
    let change = |state: &mut State, upper, lower| {
        let spec = DestSpec { upper, lower, ..fullnat(1) };
        set(state, Set::EditDest(tcp(VIP), at("10.2.0.11:8080"), spec));
        compile(state).dest(DestId(0), 1).expect("it is there").limit.clone()
    };
    let first = change(&mut state, 5, 2).expect("it is limited");
    assert_eq!((first.upper, first.lower), (5, 2));
    let second = change(&mut state, 7, 0).expect("it is limited");
    assert_eq!((second.upper, second.lower), (7, 0));
    assert_eq!(second.occupancy, first.occupancy);
    assert_eq!(change(&mut state, 0, 0), None);
    assert_eq!(compile(&state).dest(DestId(1), 1).expect("it is there").limit, None);
    let anew = change(&mut state, 5, 2).expect("it is limited");
    assert_ne!(anew.occupancy, first.occupancy, "nobody counted meanwhile");
}
