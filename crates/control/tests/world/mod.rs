// SPDX-License-Identifier: Apache-2.0
//! A director with two ports and a VLAN, and short words for requests.
#![allow(dead_code)] // each test file uses its own part

use std::net::{IpAddr, SocketAddr};

use control::{Applied, Observed, PortFacts, State, answer, transact};
use engine::ids::LcoreId;
use engine::tick::Tick;
use model::link::VlanSpec;
use model::net::{AddrScope, IfAddr, NeighSpec, RouteKey, RouteSpec};
use model::{
    DestSpec, Forwarding, MacAddr, Prefix, Scheduling, ServiceKey, ServiceOptionsPatch, ServiceSpec,
    Transport,
};
use sockopt::reply::{Page, ServiceEntry};
use sockopt::{Code, Get, Reply, Set, Status};

/// Ports `dpdk0` and `dpdk1` with two queues each, polled by two workers.
pub fn ports() -> Vec<PortFacts> {
    (0..2)
        .map(|n| PortFacts {
            rx: vec![LcoreId(0), LcoreId(1)],
            tx: vec![LcoreId(0), LcoreId(1)],
            ..PortFacts::new(format!("dpdk{n}"), MacAddr([2, 0, 0, 0, 0, n]))
        })
        .collect()
}

/// `dpdk0` 10.1.0.254/24 and fd01::fe/64, `dpdk0.102` 10.2.0.254/24, `dpdk1` without addresses.
pub fn state() -> State {
    let mut state = State::new(ports());
    let steps = [
        Set::AddVlan(VlanSpec { name: None, dev: "dpdk0".into(), id: 102 }),
        Set::AddAddr(addr("10.1.0.254/24", "dpdk0")),
        Set::AddAddr(addr("fd01::fe/64", "dpdk0")),
        Set::AddAddr(addr("10.2.0.254/24", "dpdk0.102")),
    ];
    transact(&mut state, &steps).expect("good");
    state
}

/// The same with the service tcp 10.1.0.100:80 (rr), servers 10.2.0.11:8080 and .12 of weights 1 and 2, local address 10.2.0.200.
pub fn balanced() -> State {
    let mut state = state();
    let steps = [
        add_service("10.1.0.100:80", "rr"),
        add_dest("10.1.0.100:80", "10.2.0.11:8080", 1),
        add_dest("10.1.0.100:80", "10.2.0.12:8080", 2),
        add_laddr("10.1.0.100:80", "10.2.0.200", "dpdk0.102"),
    ];
    transact(&mut state, &steps).expect("good");
    state
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

pub fn tcp(vip: &str) -> ServiceKey {
    ServiceKey::Endpoint { transport: Transport::Tcp, vip: at(vip) }
}

pub fn udp(vip: &str) -> ServiceKey {
    ServiceKey::Endpoint { transport: Transport::Udp, vip: at(vip) }
}

pub fn by(scheduler: &str) -> Scheduling {
    Scheduling { scheduler: scheduler.into(), ..Scheduling::default() }
}

pub fn spec(scheduler: &str) -> ServiceSpec {
    ServiceSpec { scheduling: by(scheduler), ..ServiceSpec::default() }
}

pub fn add_service(vip: &str, scheduler: &str) -> Set {
    Set::AddService(tcp(vip), spec(scheduler))
}

pub fn edit_service(vip: &str, scheduler: &str, patch: ServiceOptionsPatch) -> Set {
    Set::EditService(tcp(vip), by(scheduler), patch)
}

pub fn fullnat(weight: u32) -> DestSpec {
    DestSpec { forwarding: Forwarding::FullNat, weight, upper: 0, lower: 0 }
}

pub fn add_dest(vip: &str, server: &str, weight: u32) -> Set {
    Set::AddDest(tcp(vip), at(server), fullnat(weight))
}

pub fn add_laddr(vip: &str, laddr: &str, dev: &str) -> Set {
    Set::AddLaddr { service: tcp(vip), addr: ip(laddr), dev: dev.into() }
}

pub fn del_laddr(vip: &str, laddr: &str, dev: &str) -> Set {
    Set::DelLaddr { service: tcp(vip), addr: ip(laddr), dev: dev.into() }
}

pub fn addr(text: &str, dev: &str) -> IfAddr {
    IfAddr {
        prefix: prefix(text),
        dev: dev.into(),
        broadcast: None,
        scope: AddrScope::Global,
        valid_lft: 0,
        preferred_lft: 0,
        sapool: false,
    }
}

pub fn del_addr(text: &str, dev: &str) -> Set {
    Set::DelAddr { prefix: prefix(text), dev: dev.into() }
}

pub fn route(dst: &str, via: Option<&str>, dev: &str) -> RouteSpec {
    RouteSpec {
        dst: prefix(dst),
        via: via.map(ip),
        dev: dev.into(),
        src: None,
        mtu: 0,
        scope: None,
        metric: 0,
    }
}

pub fn route_key(dst: &str) -> RouteKey {
    RouteKey { dst: prefix(dst), dev: None, via: None, scope: None }
}

pub fn neigh(addr: &str, mac: &str, dev: &str) -> NeighSpec {
    NeighSpec { addr: ip(addr), mac: mac.parse().expect("an Ethernet address"), dev: dev.into() }
}

pub fn vlan(dev: &str, id: u16, name: Option<&str>) -> Set {
    Set::AddVlan(VlanSpec { name: name.map(Into::into), dev: dev.into(), id })
}

/// Makes one change that must be accepted.
pub fn set(state: &mut State, step: Set) -> Applied {
    let text = control::describe(&step);
    transact(state, &[step]).unwrap_or_else(|status| panic!("{text}: {status}"))
}

/// Code and text of a refusal; the state must be untouched by it.
pub fn refused(state: &mut State, step: Set) -> (Code, String) {
    let before = everything(state);
    let text = control::describe(&step);
    let Status { code, text, step } = match transact(state, &[step]) {
        Ok(_) => panic!("{text}: accepted"),
        Err(status) => status,
    };
    assert_eq!(step, None, "a single change has no step");
    assert_eq!(everything(state), before, "{text}");
    (code, text)
}

/// Asks, with nothing gathered from workers.
pub fn ask(state: &State, get: &Get) -> Reply {
    let meter = control::Meter::default();
    answer(state, &Observed::new(&meter, Tick::default()), get, Tick::default())
}

pub fn services(state: &State) -> Vec<ServiceEntry> {
    match ask(state, &Get::Services { cursor: 0, lcore: None }) {
        Reply::Services(Page { entries, next: None }) => entries,
        other => panic!("{other:?}"),
    }
}

pub fn addrs(state: &State) -> Vec<String> {
    match ask(state, &Get::Addrs { dev: None, family: None }) {
        Reply::Addrs(addrs) => {
            addrs.iter().map(|entry| format!("{} {}", entry.addr.prefix, entry.addr.dev)).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub fn routes(state: &State) -> Vec<RouteSpec> {
    match ask(state, &Get::Routes { dev: None, family: None }) {
        Reply::Routes(routes) => routes,
        other => panic!("{other:?}"),
    }
}

/// What every listing says, and what workers would read, in text.
pub fn everything(state: &State) -> Vec<String> {
    let (dev, family) = (None, None);
    let gets = [
        Get::Services { cursor: 0, lcore: None },
        Get::Timeouts,
        Get::Addrs { dev: dev.clone(), family },
        Get::Routes { dev: dev.clone(), family },
        Get::Links { dev: dev.clone() },
        Get::Vlans { dev },
        Get::Tunnels,
    ];
    let snap = control::compile(state);
    let mut laddrs: Vec<_> = snap.laddrs.iter().collect();
    laddrs.sort();
    let mut texts: Vec<String> = gets.iter().map(|get| format!("{:?}", ask(state, get))).collect();
    // Empty slots at the end remember generations; that is no configuration.
    let services: Vec<_> = snap.services.iter().flatten().collect();
    let dests: Vec<_> = snap.dests.iter().flatten().collect();
    let links: Vec<_> = snap.links.iter().flatten().collect();
    texts.push(format!("{services:?} {dests:?} {links:?} {:?} {laddrs:?}", snap.neighs));
    texts.push(format!("{:?} {:?} {:?}", snap.ports, snap.timeouts, snap.options));
    texts
}
