// SPDX-License-Identifier: Apache-2.0
//! Rules about addresses, routes, neighbours, links and VLANs.

mod world;

use control::Effect;
use control::state::State;
use engine::ids::{LinkId, PortId};
use engine::tick::Tick;
use model::link::{LinkChange, LinkKind, VlanSpec};
use model::net::{IfAddr, RouteKey, RouteScope, RouteSpec};
use model::{Family, MacAddr};
use sockopt::{Code, Get, Reply, Set};
use world::*;

const DPDK0: LinkId = LinkId(0);
const VLAN: LinkId = LinkId(2);

fn check(table: Vec<(Set, Code, &str)>) {
    let mut state = balanced();
    for (step, code, text) in table {
        assert_eq!(refused(&mut state, step), (code, text.to_owned()));
    }
}

#[test]
fn addresses_that_cannot_be_are_refused() {
    let add = |text, dev| Set::AddAddr(addr(text, dev));
    let odd = |change: fn(&mut IfAddr)| {
        let mut addr = addr("10.1.0.9/24", "dpdk0");
        change(&mut addr);
        Set::AddAddr(addr)
    };
    check(vec![
        (add("10.1.0.254/24", "dpdk0"), Code::Exists, "address 10.1.0.254/24 on dpdk0 already exists"),
        (add("10.1.0.9/24", "dpdk9"), Code::NoDevice, "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102"),
        (odd(|a| a.prefix.len = 33), Code::Invalid, "address 10.1.0.9/33: a length of 0 to 32 expected"),
        (add("0.0.0.0/0", "dpdk0"), Code::Invalid, "address 0.0.0.0 is no address of a single station"),
        (add("ff02::1/128", "dpdk0"), Code::Invalid, "address ff02::1 is no address of a single station"),
        (
            add("127.0.0.1/8", "dpdk0"),
            Code::Invalid,
            "address 127.0.0.1 never leaves a host, a link cannot have it",
        ),
        (add("::1/128", "dpdk0"), Code::Invalid, "address ::1 never leaves a host, a link cannot have it"),
        (
            odd(|a| (a.prefix, a.broadcast) = (prefix("fd01::9/64"), Some("10.1.0.255".parse().unwrap()))),
            Code::Invalid,
            "address fd01::9: IPv6 has no broadcast address",
        ),
        (
            odd(|a| (a.valid_lft, a.preferred_lft) = (10, 20)),
            Code::Invalid,
            "address 10.1.0.9: preferred 20 s but valid 10 s: preferred is the shorter time",
        ),
        (
            odd(|a| a.valid_lft = 10),
            Code::Invalid,
            "address 10.1.0.9: preferred for ever but valid 10 s: preferred is the shorter time",
        ),
        (Set::EditAddr(addr("10.1.0.9/24", "dpdk0")), Code::NotFound, "no address 10.1.0.9/24 on dpdk0"),
        (del_addr("10.1.0.254/32", "dpdk0"), Code::NotFound, "no address 10.1.0.254/32 on dpdk0"),
        (del_addr("10.1.0.254/24", "dpdk1"), Code::NotFound, "no address 10.1.0.254/24 on dpdk1"),
        (
            del_addr("10.2.0.200/32", "dpdk0.102"),
            Code::Busy,
            "10.2.0.200 is a local address of tcp 10.1.0.100:80: take it away there first (ipvsadm -Q)",
        ),
        (
            Set::FlushAddr { dev: "dpdk0.102".into(), family: None },
            Code::Busy,
            "10.2.0.200 is a local address of tcp 10.1.0.100:80: take it away there first (ipvsadm -Q)",
        ),
        (
            Set::FlushAddr { dev: "dpdk9".into(), family: None },
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
    ]);
}

#[test]
fn an_address_may_be_there_twice_with_other_lengths_or_links() {
    let mut state = balanced();
    let added = set(&mut state, Set::AddAddr(addr("10.1.0.254/32", "dpdk0")));
    assert_eq!(added.effects, [Effect::Announce { link: DPDK0, addr: ip("10.1.0.254") }]);
    set(&mut state, Set::AddAddr(addr("10.1.0.254/24", "dpdk1")));
    set(&mut state, Set::AddAddr(addr("10.2.0.200/24", "dpdk0.102")));
    set(&mut state, del_addr("10.2.0.200/32", "dpdk0.102"));
    assert_eq!(addrs(&state).last().map(String::as_str), Some("10.2.0.200/24 dpdk0.102"), "one is enough");
}

#[test]
fn a_flush_takes_the_addresses_of_one_link_and_family() {
    let mut state = state();
    set(&mut state, Set::FlushAddr { dev: "dpdk0".into(), family: Some(Family::Inet) });
    assert_eq!(addrs(&state), ["fd01::fe/64 dpdk0", "10.2.0.254/24 dpdk0.102"]);
    set(&mut state, Set::FlushAddr { dev: "dpdk0".into(), family: None });
    assert_eq!(addrs(&state), ["10.2.0.254/24 dpdk0.102"]);
}

#[test]
fn addresses_end_with_their_lifetime_unless_a_service_uses_them() {
    let mut state = state();
    state.set_now(Tick(50_000));
    let short = |text| IfAddr { valid_lft: 10, preferred_lft: 5, ..addr(text, "dpdk1") };
    set(&mut state, Set::AddAddr(short("10.3.0.1/24")));
    set(&mut state, Set::AddAddr(short("10.3.0.2/24")));
    set(&mut state, add_service("10.1.0.100:80", "rr"));
    set(&mut state, add_laddr("10.1.0.100:80", "10.3.0.2", "dpdk1"));
    let meter = control::Meter::default();
    let seen = control::Observed::new(&meter, Tick::default());
    let get = Get::Addrs { dev: Some("dpdk1".into()), family: None };
    let Reply::Addrs(listed) = control::answer(&state, &seen, &get, Tick(57_500)) else {
        panic!("addresses")
    };
    assert_eq!(
        (listed[0].addr.valid_lft, listed[0].addr.preferred_lft),
        (3, 1),
        "rounded up, never for ever"
    );
    state.set_now(Tick(59_999));
    assert_eq!(state.ended(), []);
    state.set_now(Tick(60_000));
    assert_eq!(state.ended(), [del_addr("10.3.0.1/24", "dpdk1")]);
}

#[test]
fn routes_that_cannot_be_are_refused() {
    let add = |spec: RouteSpec| Set::AddRoute(spec);
    let with = |dst: &str, via: Option<&str>, change: fn(&mut RouteSpec)| {
        let mut spec = route(dst, via, "dpdk1");
        change(&mut spec);
        Set::AddRoute(spec)
    };
    check(vec![
        (
            add(route("10.9.0.0/16", None, "dpdk9")),
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
        (
            with("10.9.0.0/16", None, |r| r.dst.len = 40),
            Code::Invalid,
            "route 10.9.0.0/40: a length of 0 to 32 expected",
        ),
        (
            add(route("224.0.0.0/4", None, "dpdk1")),
            Code::Invalid,
            "route 224.0.0.0/4: such packets are never routed",
        ),
        (
            add(route("10.9.0.0/16", Some("fd01::1"), "dpdk1")),
            Code::Invalid,
            "route 10.9.0.0/16: gateway fd01::1 is of another family",
        ),
        (
            add(route("10.9.0.0/16", Some("0.0.0.0"), "dpdk1")),
            Code::Invalid,
            "gateway 0.0.0.0 is no address of a single station",
        ),
        (
            add(route("10.9.0.0/16", Some("10.1.0.254"), "dpdk0")),
            Code::Invalid,
            "route 10.9.0.0/16: gateway 10.1.0.254 is the director itself",
        ),
        (
            add(route("10.9.0.0/16", None, "")),
            Code::Invalid,
            "route 10.9.0.0/16: a link or a gateway is needed",
        ),
        (
            add(route("10.9.0.0/16", Some("9.9.9.9"), "")),
            Code::Invalid,
            "gateway 9.9.9.9 is on the network of no link: name the link (dev)",
        ),
        (
            with("10.9.0.0/16", None, |r| r.scope = Some(RouteScope::Host)),
            Code::Invalid,
            "route 10.9.0.0/16: scopes host and kni_host are for single addresses",
        ),
        (
            with("10.9.0.0/16", None, |r| r.scope = Some(RouteScope::KniHost)),
            Code::Invalid,
            "route 10.9.0.0/16: scopes host and kni_host are for single addresses",
        ),
        (
            with("10.9.0.0/16", None, |r| r.scope = Some(RouteScope::Global)),
            Code::Invalid,
            "route 10.9.0.0/16: scope global needs a gateway (via)",
        ),
        (
            with("10.9.0.0/16", Some("10.3.0.1"), |r| r.scope = Some(RouteScope::Link)),
            Code::Invalid,
            "route 10.9.0.0/16: gateway 10.3.0.1 contradicts the scope, which is global then",
        ),
        (
            with("10.9.0.0/16", None, |r| r.src = Some(ip("10.1.0.9"))),
            Code::Invalid,
            "route 10.9.0.0/16: source 10.1.0.9 is no address of any link",
        ),
        (
            with("10.9.0.0/16", None, |r| r.src = Some(ip("fd01::fe"))),
            Code::Invalid,
            "route 10.9.0.0/16: source fd01::fe is of another family",
        ),
        (
            with("10.9.0.0/16", None, |r| r.mtu = 67),
            Code::Invalid,
            "route 10.9.0.0/16: MTU 67: 68 to 1500 (the link's) expected, or 0",
        ),
        (
            with("10.9.0.0/16", None, |r| r.mtu = 1501),
            Code::Invalid,
            "route 10.9.0.0/16: MTU 1501: 68 to 1500 (the link's) expected, or 0",
        ),
        (
            with("fd09::/64", None, |r| r.mtu = 1279),
            Code::Invalid,
            "route fd09::/64: MTU 1279: 1280 to 1500 (the link's) expected, or 0",
        ),
        (Set::DelRoute(route_key("10.9.0.0/16")), Code::NotFound, "no route 10.9.0.0/16"),
        (
            Set::DelRoute(RouteKey {
                via: Some(ip("10.3.0.1")),
                dev: Some("dpdk1".into()),
                ..route_key("10.9.0.0/16")
            }),
            Code::NotFound,
            "no route 10.9.0.0/16 via 10.3.0.1 on dpdk1",
        ),
        (
            Set::DelRoute(route_key("10.1.0.0/24")),
            Code::Busy,
            "route 10.1.0.0/24 follows from address 10.1.0.254/24: it goes with the address (dpip addr del)",
        ),
        (
            Set::DelRoute(route_key("10.1.0.254")),
            Code::Busy,
            "route 10.1.0.254/32 follows from address 10.1.0.254/24: it goes with the address (dpip addr del)",
        ),
        (
            Set::FlushRoute { dev: "dpdk9".into(), family: None },
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
    ]);
}

#[test]
fn the_same_prefix_and_metric_is_there_once_in_both_families() {
    for (dst, via, other) in [("10.9.0.0/16", "10.3.0.1", "10.3.0.2"), ("fd09::/32", "fd03::1", "fd03::2")] {
        let mut state = state();
        set(&mut state, Set::AddRoute(route(dst, Some(via), "dpdk1")));
        let (code, text) = refused(&mut state, Set::AddRoute(route(dst, Some(other), "dpdk1")));
        assert_eq!(code, Code::Exists);
        assert_eq!(
            text,
            format!("route {dst} with metric 0 already exists: replace it, or give another metric")
        );
        set(&mut state, Set::AddRoute(RouteSpec { metric: 5, ..route(dst, Some(other), "dpdk1") }));
        set(&mut state, Set::ReplaceRoute(route(dst, Some(other), "dpdk1")));
        let via: Vec<_> =
            routes(&state).iter().filter(|r| r.dst == prefix(dst)).map(|r| (r.via, r.metric)).collect();
        assert_eq!(via, [(Some(ip(other)), 0), (Some(ip(other)), 5)]);
        set(&mut state, Set::DelRoute(route_key(dst)));
        let left: Vec<u32> =
            routes(&state).iter().filter(|r| r.dst == prefix(dst)).map(|r| r.metric).collect();
        assert_eq!(left, [5], "the lowest metric goes first");
    }
}

#[test]
fn a_route_finds_its_link_by_the_gateway_and_its_scope_by_what_it_names() {
    let mut state = state();
    set(&mut state, Set::AddAddr(addr("10.0.0.1/8", "dpdk1")));
    set(&mut state, Set::AddRoute(route("0.0.0.0/0", Some("10.2.0.1"), "")));
    set(&mut state, Set::AddRoute(route("10.9.1.77/24", None, "dpdk1")));
    set(
        &mut state,
        Set::AddRoute(RouteSpec { scope: Some(RouteScope::KniHost), ..route("10.9.9.9", None, "dpdk1") }),
    );
    let listed = |dst: &str| {
        let found = routes(&state).into_iter().find(|route| route.dst == prefix(dst)).expect("it was added");
        (found.dev, found.scope, found.mtu)
    };
    assert_eq!(listed("0.0.0.0/0"), ("dpdk0.102".into(), Some(RouteScope::Global), 1500));
    assert_eq!(listed("10.9.1.0/24"), ("dpdk1".into(), Some(RouteScope::Link), 1500));
    assert_eq!(listed("10.9.9.9"), ("dpdk1".into(), Some(RouteScope::KniHost), 1500));
}

#[test]
fn a_delete_or_flush_takes_what_agrees_with_all_that_is_named() {
    let mut state = state();
    set(&mut state, Set::AddRoute(route("10.9.0.0/16", Some("10.3.0.1"), "dpdk1")));
    set(&mut state, Set::AddRoute(route("fd09::/16", None, "dpdk1")));
    set(&mut state, Set::AddRoute(route("10.8.0.0/16", None, "dpdk0")));
    for wrong in [
        RouteKey { via: Some(ip("10.3.0.2")), ..route_key("10.9.0.0/16") },
        RouteKey { dev: Some("dpdk0".into()), ..route_key("10.9.0.0/16") },
        RouteKey { scope: Some(RouteScope::Link), ..route_key("10.9.0.0/16") },
    ] {
        assert_eq!(refused(&mut state, Set::DelRoute(wrong)).0, Code::NotFound);
    }
    set(&mut state, Set::FlushRoute { dev: "dpdk1".into(), family: Some(Family::Inet6) });
    let written = |state: &State| {
        let written = routes(state)
            .into_iter()
            .filter(|route| route.dst.to_string().starts_with("10.") && route.dst.len == 16);
        written.map(|route| route.dst.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(written(&state), ["10.9.0.0/16", "10.8.0.0/16"]);
    set(&mut state, Set::FlushRoute { dev: "dpdk1".into(), family: None });
    assert_eq!(written(&state), ["10.8.0.0/16"]);
    assert_eq!(
        routes(&state).iter().filter(|route| route.src.is_some()).count(),
        3,
        "networks of addresses stay"
    );
}

#[test]
fn neighbours_are_replaced_and_unusable_ones_refused() {
    let add = |addr, mac, dev| Set::AddNeigh(neigh(addr, mac, dev));
    check(vec![
        (
            add("10.1.0.9", "02:00:00:00:00:09", "dpdk9"),
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
        (
            add("10.1.0.9", "00:00:00:00:00:00", "dpdk0"),
            Code::Invalid,
            "neighbour 10.1.0.9: 00:00:00:00:00:00 is no Ethernet address of a single station",
        ),
        (
            add("10.1.0.9", "01:00:5e:00:00:01", "dpdk0"),
            Code::Invalid,
            "neighbour 10.1.0.9: 01:00:5e:00:00:01 is no Ethernet address of a single station",
        ),
        (
            add("224.0.0.1", "02:00:00:00:00:09", "dpdk0"),
            Code::Invalid,
            "neighbour 224.0.0.1 is no address of a single station",
        ),
        (
            add("10.1.0.254", "02:00:00:00:00:09", "dpdk0"),
            Code::Invalid,
            "neighbour 10.1.0.254 is the director itself",
        ),
        (
            Set::DelNeigh { addr: ip("10.1.0.9"), dev: "dpdk9".into() },
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
        (
            Set::FlushNeigh { dev: "dpdk9".into() },
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
    ]);
    let mut state = state();
    set(&mut state, add("10.1.0.9", "02:00:00:00:00:09", "dpdk0"));
    set(&mut state, add("10.1.0.9", "02:00:00:00:00:0a", "dpdk0"));
    let neighs = |state: &State| control::compile(state).neighs;
    assert_eq!(neighs(&state), [(DPDK0, ip("10.1.0.9"), [2, 0, 0, 0, 0, 10])]);
    let del = || Set::DelNeigh { addr: ip("10.1.0.9"), dev: "dpdk0".into() };
    assert_eq!(set(&mut state, del()).effects, []);
    assert_eq!(neighs(&state), []);
    let forget = |addr| Effect::ForgetNeighbours { link: DPDK0, addr };
    assert_eq!(set(&mut state, del()).effects, [forget(Some(ip("10.1.0.9")))], "it may have been learned");
    assert_eq!(set(&mut state, Set::FlushNeigh { dev: "dpdk0".into() }).effects, [forget(None)]);
}

fn link(dev: &str, change: LinkChange) -> Set {
    Set::SetLink { dev: dev.into(), change }
}

#[test]
fn changes_of_links_out_of_range_or_of_vlans_own_are_refused() {
    let mac = MacAddr([1, 0, 0, 0, 0, 0]);
    check(vec![
        (
            link("dpdk9", LinkChange::Up(true)),
            Code::NoDevice,
            "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102",
        ),
        (link("dpdk1", LinkChange::Mtu(67)), Code::Invalid, "dpdk1: MTU 67: 68 to 9000 expected"),
        (link("dpdk1", LinkChange::Mtu(9001)), Code::Invalid, "dpdk1: MTU 9001: 68 to 9000 expected"),
        (
            link("dpdk0", LinkChange::Mtu(1279)),
            Code::Invalid,
            "dpdk0: MTU 1279 is too small for the IPv6 addresses on it: 1280 at least",
        ),
        (link("dpdk0.102", LinkChange::Mtu(1501)), Code::Invalid, "dpdk0.102: MTU 1501: 68 to 1500 expected"),
        (
            link("dpdk1", LinkChange::Mac(mac)),
            Code::Invalid,
            "dpdk1: 01:00:00:00:00:00 is no Ethernet address of a single station",
        ),
        (
            link("dpdk0.102", LinkChange::Promisc(true)),
            Code::NotSupported,
            "dpdk0.102 is a vlan and has that from its port: set it on dpdk0",
        ),
        (
            link("dpdk0.102", LinkChange::AllMulticast(true)),
            Code::NotSupported,
            "dpdk0.102 is a vlan and has that from its port: set it on dpdk0",
        ),
        (
            link("dpdk0.102", LinkChange::Mac(mac)),
            Code::NotSupported,
            "dpdk0.102 is a vlan and has that from its port: set it on dpdk0",
        ),
    ]);
}

#[test]
fn a_vlan_follows_its_port() {
    let mut state = state();
    let of = |state: &State, at: LinkId| {
        let snap = control::compile(state);
        let link = snap.link(at).expect("it is there").clone();
        (link.mtu, link.up, link.mac[5])
    };
    let change = LinkChange::Mtu(1400);
    let device = Effect::Device { port: PortId(0), change: change.clone() };
    assert_eq!(set(&mut state, link("dpdk0", change)).effects, [device]);
    assert_eq!(of(&state, VLAN), (1400, true, 0));
    assert_eq!(set(&mut state, link("dpdk0.102", LinkChange::Mtu(1300))).effects, [], "no device is asked");
    set(&mut state, link("dpdk0", LinkChange::Mtu(9000)));
    assert_eq!((of(&state, DPDK0).0, of(&state, VLAN).0), (9000, 1300));
    set(&mut state, link("dpdk0", LinkChange::Mac(MacAddr([2, 0, 0, 0, 0, 9]))));
    set(&mut state, link("dpdk0", LinkChange::Up(false)));
    assert_eq!(of(&state, VLAN), (1300, false, 9));
    set(&mut state, link("dpdk0.102", LinkChange::Up(false)));
    set(&mut state, link("dpdk0", LinkChange::Up(true)));
    assert_eq!((of(&state, DPDK0).1, of(&state, VLAN).1), (true, false));
}

#[test]
fn neighbours_hear_of_a_new_mac_and_of_a_port_that_comes_up() {
    let mut state = state();
    let announce = |link, addr| Effect::Announce { link, addr: ip(addr) };
    let all = [announce(DPDK0, "10.1.0.254"), announce(DPDK0, "fd01::fe"), announce(VLAN, "10.2.0.254")];
    for change in [LinkChange::Up(true), LinkChange::Mac(MacAddr([2, 0, 0, 0, 0, 9]))] {
        let effects = set(&mut state, link("dpdk0", change)).effects;
        assert!(matches!(effects[0], Effect::Device { .. }));
        assert_eq!(effects[1..], all);
    }
    let down = set(&mut state, link("dpdk0.102", LinkChange::Up(false))).effects;
    assert_eq!(down, [Effect::ForgetNeighbours { link: VLAN, addr: None }]);
}

#[test]
fn vlans_that_cannot_be_are_refused() {
    check(vec![
        (vlan("dpdk9", 5, None), Code::NoDevice, "no link `dpdk9`: there are dpdk0, dpdk1, dpdk0.102"),
        (vlan("dpdk0.102", 5, None), Code::NotSupported, "dpdk0.102 is a vlan itself: name its port"),
        (vlan("dpdk0", 0, None), Code::Invalid, "vlan id 0: 1 to 4094 expected"),
        (vlan("dpdk0", 4095, None), Code::Invalid, "vlan id 4095: 1 to 4094 expected"),
        (vlan("dpdk0", 102, Some("other")), Code::Exists, "vlan 102 of dpdk0 already exists: dpdk0.102"),
        (vlan("dpdk1", 5, Some("dpdk0")), Code::Exists, "link dpdk0 already exists"),
        (
            vlan("dpdk1", 5, Some("a b")),
            Code::Invalid,
            "`a b` is no name for a link: 1 to 31 letters, digits, and . - _ : @ after the first",
        ),
        (
            vlan("dpdk1", 5, Some("")),
            Code::Invalid,
            "`` is no name for a link: 1 to 31 letters, digits, and . - _ : @ after the first",
        ),
        (Set::DelVlan("nosuch".into()), Code::NotFound, "no vlan `nosuch`"),
        (Set::DelVlan("dpdk0".into()), Code::Invalid, "dpdk0 is a port, not a vlan: ports cannot be removed"),
        (
            Set::DelVlan("dpdk0.102".into()),
            Code::Busy,
            "10.2.0.200 is a local address of tcp 10.1.0.100:80: take it away there first (ipvsadm -Q)",
        ),
    ]);
}

#[test]
fn a_vlan_goes_with_everything_on_it_and_its_number_is_used_again() {
    let mut state = state();
    set(&mut state, Set::AddRoute(route("10.9.0.0/16", Some("10.2.0.1"), "dpdk0.102")));
    set(&mut state, Set::AddNeigh(neigh("10.2.0.1", "02:00:00:00:00:09", "dpdk0.102")));
    let removed = set(&mut state, Set::DelVlan("dpdk0.102".into()));
    assert_eq!(removed.effects, [Effect::ForgetNeighbours { link: VLAN, addr: None }]);
    let snap = control::compile(&state);
    assert!(snap.link(VLAN).is_none() && snap.neighs.is_empty() && snap.ports[0].vlans.is_empty());
    assert!(routes(&state).iter().all(|route| route.dev == "dpdk0"));
    set(&mut state, vlan("dpdk1", 7, Some("inside")));
    let Reply::Vlans(vlans) = ask(&state, &Get::Vlans { dev: Some("dpdk1".into()) }) else { panic!("vlans") };
    assert_eq!(vlans, [VlanSpec { name: Some("inside".into()), dev: "dpdk1".into(), id: 7 }]);
    let Reply::Links(links) = ask(&state, &Get::Links { dev: Some("inside".into()) }) else {
        panic!("links")
    };
    assert_eq!((links[0].index, &links[0].kind), (3, &LinkKind::Vlan { dev: "dpdk1".into(), id: 7 }));
    assert_eq!(control::compile(&state).ports[1].vlans, [(7, VLAN)]);
}
