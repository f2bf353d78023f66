// SPDX-License-Identifier: Apache-2.0
//! The network of the bench, one-armed: a client, eight servers, eight local addresses, one service a family and protocol.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use engine::forward::snat::Rule;
use engine::ids::{DestId, LcoreId, LinkId, PortId, ServiceId};
use engine::lcore::BURST;
use engine::link::{Link, RxCsum};
use engine::route::{Kind, Route, RouteTable};
use engine::sched::Scheduler;
use engine::snapshot::{Dest, Forwarding, Port, Service, Snapshot};
use model::Transport;
use packet::build::{self, Segment};

use crate::proxy::Asking;

/// The port everything is on.
pub const PORT: PortId = PortId(0);
const LINK: LinkId = LinkId(0);
const DIRECTOR: [u8; 6] = [0x02, 0x70, 0x63, 0x61, 0x70, 0x00];
const CLIENT: [u8; 6] = [0x02, 0xaa, 0, 0, 0, 1];
const SERVERS: u8 = 8;

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// 4 or 6.
    pub fn digit(self) -> u8 {
        if self == Family::V4 { 4 } else { 6 }
    }

    /// Address `last` of the director's own network.
    fn here(self, last: u8) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(10, 0, 0, last).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)).into(),
        }
    }
}

/// A client's address and port.
pub struct Flow {
    family: Family,
    client: SocketAddr,
}

impl Flow {
    /// Flow number `n`, below 2^22: all are different.
    pub fn new(family: Family, n: usize) -> Flow {
        let n = n as u64;
        let host = ((n * 2_654_435_761) % (1 << 22)) as u32;
        let port = (1024 + (n * 40_503) % 64_000) as u16;
        let client: IpAddr = match family {
            Family::V4 => Ipv4Addr::from_bits(0x0a40_0000 + host).into(),
            Family::V6 => Ipv6Addr::from_bits(0xfd40 << 112 | u128::from(host)).into(),
        };
        Flow { family, client: (client, port).into() }
    }
}

/// What comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Datagrams of open connections.
    UdpHit,
    /// The same, with IPv4 servers whatever the clients have.
    CrossHit,
    /// Datagrams of hosts on their way out, with one of the director's addresses.
    SnatHit,
    /// Segments with data of established connections.
    TcpHit,
    /// For the service's address, another port.
    NoService,
    /// For an address that is not the director's.
    Nobody,
    /// Datagrams that open connections; as many expire.
    UdpOpen,
    /// SYNs that open connections; as many expire.
    TcpOpen,
    /// For the SYN proxy.
    Proxied(Asking),
}

impl Traffic {
    /// Flows it takes to have so many connections.
    pub fn flows(self, connections: usize) -> usize {
        match self {
            // By the time a flow comes round again, its connection has expired.
            Traffic::UdpOpen | Traffic::TcpOpen | Traffic::Proxied(Asking::GoodAck) => 2 * connections + 2048,
            // Nothing is kept of them: as many clients as there are connections elsewhere.
            Traffic::Proxied(_) => connections.max(BURST),
            _ => connections,
        }
    }

    /// What has to come first, once from every flow.
    pub fn opening(self) -> Traffic {
        if self == Traffic::TcpHit { Traffic::TcpOpen } else { self }
    }

    /// Virtual microseconds a burst takes.
    pub fn burst_us(self, connections: usize) -> u64 {
        match self {
            // A connection lives for one to two seconds, so 1.5 times as many are there as come in a second.
            Traffic::UdpOpen | Traffic::TcpOpen | Traffic::Proxied(Asking::GoodAck) => {
                1_500_000 * 32 / (connections as u64).max(64)
            }
            // What a burst takes at ten million packets a second.
            _ => 3,
        }
    }

    /// The frame of a flow.
    pub fn frame(self, flow: &Flow) -> Vec<u8> {
        let (macs, vip) = ((DIRECTOR, CLIENT), SocketAddr::new(flow.family.here(100), 80));
        match self {
            Traffic::UdpHit | Traffic::CrossHit | Traffic::UdpOpen => {
                build::udp(macs, flow.client, vip, &[7; 18])
            }
            Traffic::SnatHit => {
                // Not in step with the addresses, which are chosen in turn: each of them has so many ports towards each remote.
                let remote = flow.family.here(2 + (flow.client.port() >> 4) as u8 % SERVERS);
                build::udp(macs, flow.client, (remote, 53).into(), &[7; 18])
            }
            Traffic::NoService => build::udp(macs, flow.client, (vip.ip(), 9999).into(), &[7; 18]),
            Traffic::Nobody => build::udp(macs, flow.client, (flow.family.here(77), 80).into(), &[7; 18]),
            Traffic::TcpOpen => {
                let syn = Segment { seq: 1000, flags: 2, options: &[2, 4, 5, 0xb4], ..Segment::default() };
                build::tcp(macs, flow.client, vip, syn)
            }
            Traffic::Proxied(asking) => asking.frame(macs, flow.client, vip),
            Traffic::TcpHit => {
                let data =
                    Segment { seq: 1001, ack: 5001, flags: 0x18, payload: b"sixsix", ..Segment::default() };
                build::tcp(macs, flow.client, vip, data)
            }
        }
    }
}

/// The network as a worker sees it.
pub fn snapshot(traffic: Traffic, forwarding: Forwarding) -> Snapshot {
    let families = [Family::V4, Family::V6];
    let addrs = families.iter().flat_map(|family| {
        let len = if *family == Family::V4 { 16 } else { 64 };
        let host = if *family == Family::V4 { 32 } else { 128 };
        let laddrs = (200..208).map(move |n| (family.here(n), host));
        [(family.here(1), len), (family.here(100), host)].into_iter().chain(laddrs)
    });
    let link = Link {
        id: LINK,
        name: "dpdk0".into(),
        port: PORT,
        vlan: None,
        mac: DIRECTOR,
        mtu: 1500,
        up: true,
        rx_csum: RxCsum::Verify,
        tunnel: None,
        addrs: addrs.collect(),
    };
    let mut snap = Snapshot { version: 1, routing: 1, ..Snapshot::default() };
    snap.routes = RouteTable::compile(routes(&link));
    snap.links = vec![Some(link)];
    snap.ports = vec![Port { untagged: Some(LINK), queues: vec![LcoreId(0)], ..Port::default() }];
    for family in families {
        for n in (2..2 + SERVERS).chain([254]) {
            snap.neighs.push((LINK, family.here(n), [2, 0, 0, 0, 0, n]));
        }
        snap.laddrs.extend((200..208).map(|n| (family.here(n), LINK)));
        for transport in [Transport::Udp, Transport::Tcp] {
            let behind = if traffic == Traffic::CrossHit { Family::V4 } else { family };
            add_service(&mut snap, family, behind, transport, forwarding);
        }
    }
    if traffic == Traffic::SnatHit {
        families.into_iter().for_each(|family| add_rule(&mut snap, family));
    }
    if matches!(traffic, Traffic::UdpOpen | Traffic::TcpOpen) {
        snap.timeouts.udp.fill(1);
        snap.timeouts.tcp.fill(1);
        snap.options.conn_init_timeout = 1;
    }
    // Segments of hits are those of clients that have heard from their servers, which were told of them before.
    snap.options.identity.toa = traffic != Traffic::TcpHit;
    if matches!(traffic, Traffic::Proxied(_)) {
        crate::proxy::stand(&mut snap);
    }
    snap.index()
}

/// The same with so many servers behind each service, chosen by this scheduler; weights are 1 and 2 in turn.
pub fn crowd(mut snap: Snapshot, scheduler: Scheduler, servers: usize) -> Snapshot {
    for at in 0..snap.services.len() {
        let Some(svc) = snap.services[at].as_mut() else { continue };
        let like = svc.dests[0];
        (svc.scheduler, svc.dests) = (scheduler, Vec::new());
        for n in 0..servers {
            let id = DestId(snap.dests.len() as u32);
            svc.dests.push(id);
            let Some(dest) = snap.dests[like.index()].clone() else { continue };
            let addr = match dest.addr.ip() {
                IpAddr::V4(_) => Ipv4Addr::new(10, 0, 1 + (n / 250) as u8, 1 + (n % 250) as u8).into(),
                IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, n as u16).into(),
            };
            snap.neighs.push((LINK, addr, [2, 0, 0, 1, (n >> 8) as u8, n as u8]));
            // Servers of ovf are full when they have as many connections as their weight says.
            let weight = if scheduler == Scheduler::Ovf { 1 << 20 } else { 1 + n as u32 % 2 };
            snap.dests.push(Some(Dest { id, addr: (addr, 80).into(), weight, ..dest }));
        }
    }
    // One by one above; the same neighbour is there for both protocols.
    snap.neighs.sort_unstable();
    snap.neighs.dedup();
    snap.index()
}

/// Own addresses, the connected network, and a default route.
fn routes(link: &Link) -> Vec<Route> {
    let route = |prefix, via, kind| Route { prefix, via, link: LINK, src: None, mtu: 0, kind, metric: 0 };
    let mut routes = Vec::new();
    for &(addr, len) in &link.addrs {
        let host = if addr.is_ipv4() { 32 } else { 128 };
        routes.push(route((addr, host), None, Kind::Local));
        if len < host {
            routes.push(route((addr, len), None, Kind::Out));
        }
    }
    for family in [Family::V4, Family::V6] {
        let any =
            if family == Family::V4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        routes.push(route((any, 0), Some(family.here(254)), Kind::Out));
    }
    routes
}

/// Whatever leaves does so with one of the local addresses.
fn add_rule(snap: &mut Snapshot, family: Family) {
    let like = snap.services.iter().flatten().find(|svc| svc.transport == Transport::Udp).cloned();
    let Some(like) = like else { return };
    let (service, first) = (ServiceId(snap.services.len() as u32), snap.dests.len() as u32);
    for n in 0..SERVERS {
        snap.dests.push(Some(Dest {
            id: DestId(first + u32::from(n)),
            generation: 1,
            service,
            addr: (family.here(200 + n), 0).into(),
            forwarding: Forwarding::Snat,
            weight: 1,
            limit: None,
            check: None,
        }));
    }
    let rule = Rule { six: family == Family::V6, src: None, dst: None, iif: None, oif: None };
    let dests = (first..first + u32::from(SERVERS)).map(DestId).collect();
    snap.services.push(Some(Service { id: service, rule: Some(rule), dests, laddrs: Vec::new(), ..like }));
}

/// A service of one family, its servers and local addresses of another or the same.
fn add_service(
    snap: &mut Snapshot,
    family: Family,
    behind: Family,
    transport: Transport,
    forwarding: Forwarding,
) {
    let service = ServiceId(snap.services.len() as u32);
    let first = snap.dests.len() as u32;
    for n in 0..SERVERS {
        snap.dests.push(Some(Dest {
            id: DestId(first + u32::from(n)),
            generation: 1,
            service,
            addr: (behind.here(2 + n), 80).into(),
            forwarding,
            weight: 1,
            limit: None,
            check: None,
        }));
    }
    snap.services.push(Some(Service {
        id: service,
        generation: 1,
        transport,
        vip: (family.here(100), 80).into(),
        scheduler: Scheduler::Rr,
        hashing: Default::default(),
        revision: 1,
        dests: (first..first + u32::from(SERVERS)).map(DestId).collect(),
        laddrs: (200..208).map(|n| behind.here(n)).collect(),
        syn_proxy: false,
        proxying: Default::default(),
        access: None,
        conn_timeout: 0,
        one_packet: false,
        expire_quiescent: false,
        throttle: None,
        persistence: None,
        proxy_protocol: None,
        quic: false,
        weights: (0, 1),
        masquerades: false,
        echo: Default::default(),
        alive: 0,
        rule: None,
        mark: None,
    }));
}
