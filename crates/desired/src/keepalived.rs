// SPDX-License-Identifier: Apache-2.0
//! A keepalived.conf as a table, with the place of everything in it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use keepalived_conf::expand::{self, Expanded, Key};
use keepalived_conf::keepalived::Config;
use keepalived_conf::keepalived::object as file;
use keepalived_conf::{Error, Span};
use model::dest::{TunnelCsum, TunnelKind};
use model::options::{AccessList, AccessSubject, HashTarget, ProxyProtocol, ProxyVersion, SynProxy};
use model::{
    DestSpec, Forwarding, Granularity, Persistence, Scheduling, ServiceKey, ServiceOptions, ServiceSpec,
    Timeouts, Transport,
};
use sockopt::Set;

use crate::table::Desired;

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The table while every server is well.
    pub desired: Desired,
    /// Its services, in file order.
    pub services: Vec<Service>,
    places: Places,
}

/// A service of the file.
#[derive(Clone, Debug)]
pub struct Service {
    /// What clients address.
    pub key: ServiceKey,
    /// The block it comes from: an index of [`Config::services`].
    pub block: usize,
    /// Its real servers, in file order.
    pub dests: Vec<Dest>,
    /// Who serves without quorum.
    pub sorry: Option<Sorry>,
}

/// A real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dest {
    /// Where it is reached.
    pub addr: SocketAddr,
    /// While it is well.
    pub spec: DestSpec,
    /// The block it comes from: an index of [`Config::services`] and one of its real servers.
    pub block: (usize, usize),
}

/// A sorry server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sorry {
    /// Where it is reached.
    pub addr: SocketAddr,
    /// While it serves.
    pub spec: DestSpec,
    /// It is kept with weight 0 instead of being taken out.
    pub inhibit: bool,
}

#[derive(Clone, Debug, Default)]
struct Places {
    services: HashMap<ServiceKey, Span>,
    dests: HashMap<(ServiceKey, SocketAddr), Span>,
}

/// What `config` makes of a table.
///
/// # Errors
///
/// The place and the reason of what no table can have.
pub fn import(config: &Config) -> Result<Import, Error> {
    let mut import = Import::default();
    let timeouts = config.globals.lvs_timeouts;
    if [timeouts.tcp, timeouts.tcpfin, timeouts.udp] != [0; 3] {
        let timeouts = Timeouts { tcp: timeouts.tcp, tcp_fin: timeouts.tcpfin, udp: timeouts.udp };
        let _ = import.desired.apply(&Set::SetTimeouts(timeouts));
    }
    let blocks = Blocks::of(config);
    for expanded in expand::services(config).map_err(too_many)? {
        import.add(config, &blocks, &expanded)?;
    }
    Ok(import)
}

fn too_many(error: expand::TooMany) -> Error {
    Error::new(&error.span, format!("{} names more than {} addresses", error.what, expand::MAX))
}

/// Where blocks stand in the configuration, by their address in memory.
struct Blocks {
    services: HashMap<*const file::Service, usize>,
    servers: HashMap<*const file::RealServer, (usize, usize)>,
}

impl Blocks {
    fn of(config: &Config) -> Blocks {
        let services = config.services.iter().enumerate();
        let servers = services.clone().flat_map(|(at, service)| {
            let servers = service.real_servers.iter().enumerate();
            servers.map(move |(nth, server)| (std::ptr::from_ref(server), (at, nth)))
        });
        let servers = servers.collect();
        Blocks {
            services: services.map(|(at, service)| (std::ptr::from_ref(service), at)).collect(),
            servers,
        }
    }
}

impl Import {
    /// The place that asks for a change.
    pub fn place(&self, set: &Set) -> Option<&Span> {
        let of_service = |key: &ServiceKey| self.places.services.get(key);
        match set {
            Set::AddService(key, _) | Set::EditService(key, ..) => of_service(key),
            Set::AddDest(key, addr, _) | Set::EditDest(key, addr, _) | Set::DelDest(key, addr) => {
                self.places.dests.get(&(key.clone(), *addr)).or_else(|| of_service(key))
            }
            Set::AddLaddr { service, .. }
            | Set::DelLaddr { service, .. }
            | Set::AddAccess { service, .. }
            | Set::DelAccess { service, .. } => of_service(service),
            _ => None,
        }
    }

    fn add(&mut self, config: &Config, blocks: &Blocks, expanded: &Expanded<'_>) -> Result<(), Error> {
        let service = expanded.service;
        let wrong = |reason: String| Error::new(&service.span, reason);
        let key = key(&expanded.key).map_err(wrong)?;
        let mut sets = vec![Set::AddService(key.clone(), spec(&key, service))];
        for (addr, dev) in expanded.local_addresses(config).map_err(too_many)? {
            sets.push(Set::AddLaddr { service: key.clone(), addr, dev });
        }
        let lists = [AccessList::Block, AccessList::Allow];
        for (list, clients) in lists.into_iter().zip(expanded.access(config).map_err(too_many)?) {
            let mut seen = HashSet::new();
            for client in clients.into_iter().filter(|client| seen.insert(client.clone())) {
                let subject = subject(&client).map_err(wrong)?;
                sets.push(Set::AddAccess { service: key.clone(), list, subject });
            }
        }
        self.places.services.insert(key.clone(), service.span.clone());
        let mut dests = Vec::new();
        for (addr, server) in &expanded.dests {
            let dest = Dest {
                addr: place_of(&key, *addr, server.method),
                spec: dest_spec(server),
                block: blocks.servers[&std::ptr::from_ref(*server)],
            };
            if dests.iter().any(|known: &Dest| known.addr == dest.addr) {
                continue;
            }
            self.places.dests.insert((key.clone(), dest.addr), server.span.clone());
            sets.push(Set::AddDest(key.clone(), dest.addr, dest.spec));
            dests.push(dest);
        }
        for set in sets {
            self.desired.apply(&set).map_err(wrong)?;
        }
        let sorry = service.sorry_server.as_ref().map(|sorry| self.sorry(&key, sorry));
        let block = blocks.services[&std::ptr::from_ref(service)];
        self.services.push(Service { key, block, dests, sorry });
        Ok(())
    }

    fn sorry(&mut self, key: &ServiceKey, sorry: &file::SorryServer) -> Sorry {
        let port = match key {
            ServiceKey::Endpoint { vip, .. } if !sorry.method.translates_port() => vip.port(),
            _ => sorry.port,
        };
        let addr = place_of(key, SocketAddr::new(sorry.addr, port), sorry.method);
        self.places.dests.entry((key.clone(), addr)).or_insert_with(|| sorry.span.clone());
        let spec = DestSpec { forwarding: forwarding(sorry.method), weight: 1, upper: 0, lower: 0 };
        Sorry { addr, spec, inhibit: sorry.inhibit_on_failure }
    }
}

fn key(key: &Key) -> Result<ServiceKey, String> {
    Ok(match key {
        Key::Endpoint(protocol, vip) => {
            let transport = transport(*protocol);
            let port = if has_ports(transport) { vip.port() } else { 0 };
            ServiceKey::endpoint(transport, vip.ip(), port)
        }
        Key::Mark(mark, family) => {
            let mark = NonZeroU32::new(*mark).ok_or("fwmark 0 stands for no packet: marks begin at 1")?;
            ServiceKey::FwMark { family: *family, mark }
        }
        Key::Match(..) => ServiceKey::Match(key.expression().unwrap_or_default().parse()?),
    })
}

fn transport(protocol: file::Protocol) -> Transport {
    match protocol {
        file::Protocol::Tcp => Transport::Tcp,
        file::Protocol::Udp => Transport::Udp,
        file::Protocol::Sctp => Transport::Sctp,
        file::Protocol::Icmp => Transport::Icmp,
        file::Protocol::Icmpv6 => Transport::Icmpv6,
    }
}

fn has_ports(transport: Transport) -> bool {
    !matches!(transport, Transport::Icmp | Transport::Icmpv6)
}

fn spec(key: &ServiceKey, service: &file::Service) -> ServiceSpec {
    let host = Granularity::host(key.family());
    let persistence = service.persistence.as_ref().map(|persistence| Persistence {
        timeout: persistence.timeout,
        granularity: persistence
            .granularity
            .map(|found| match found {
                file::Granularity::Mask(mask) => Granularity::Inet(mask),
                file::Granularity::Prefix(len) => Granularity::Inet6(u8::try_from(len).unwrap_or(128)),
            })
            .filter(|found| found.family() == key.family())
            .unwrap_or(host),
    });
    let flags = service.flags;
    let bits = [flags.flag1, flags.flag2, flags.flag3];
    ServiceSpec {
        scheduling: Scheduling {
            scheduler: service.scheduler.name().to_owned(),
            flags: (0..).zip(bits).map(|(at, on)| u8::from(on) << at).sum(),
            pe: service.persistence.as_ref().and_then(|persistence| persistence.engine.clone()),
            persistence,
            one_packet: flags.ops,
        },
        options: options(service),
    }
}

fn options(service: &file::Service) -> ServiceOptions {
    let dpvs = &service.dpvs;
    let hashes = service.scheduler == file::Scheduler::Conhash;
    let target = match dpvs.hash_target {
        Some(file::HashTarget::Qid) => HashTarget::QuicId,
        Some(file::HashTarget::Sip) | None => HashTarget::SourceIp,
    };
    ServiceOptions {
        conn_timeout: Some(dpvs.establish_timeout).filter(|&seconds| seconds > 0),
        synproxy: if dpvs.syn_proxy { SynProxy::ON } else { SynProxy::default() },
        hash_target: hashes.then_some(target),
        expire_quiescent: dpvs.expire_quiescent_conn,
        proxy_protocol: dpvs.proxy_protocol.map(|protocol| {
            let (version, insecure) = match protocol {
                file::ProxyProtocol::V1 => (ProxyVersion::V1, false),
                file::ProxyProtocol::V2 => (ProxyVersion::V2, false),
                file::ProxyProtocol::V1Insecure => (ProxyVersion::V1, true),
                file::ProxyProtocol::V2Insecure => (ProxyVersion::V2, true),
            };
            ProxyProtocol { version, insecure }
        }),
        quic: dpvs.quic,
        bps: u32::try_from(dpvs.bps).ok().filter(|&mbps| mbps > 0),
        limit_proportion: dpvs
            .limit_proportion
            .and_then(|percent| u8::try_from(percent).ok())
            .filter(|percent| (1..100).contains(percent)),
        ..ServiceOptions::default()
    }
}

fn subject(client: &str) -> Result<AccessSubject, String> {
    match client.strip_prefix("ipset:") {
        Some(set) => Ok(AccessSubject::Set(set.to_owned())),
        None => {
            client.parse::<IpAddr>().map(AccessSubject::Addr).map_err(|_| format!("`{client}` is no address"))
        }
    }
}

/// Where packets for a server go: ICMP has no ports, and SNAT keeps them.
fn place_of(key: &ServiceKey, addr: SocketAddr, method: file::Method) -> SocketAddr {
    let portless = match key {
        ServiceKey::Endpoint { transport, .. } => !has_ports(*transport),
        ServiceKey::FwMark { .. } | ServiceKey::Match(_) => false,
    };
    let port = if portless || method.forwarding == file::Forwarding::Snat { 0 } else { addr.port() };
    SocketAddr::new(addr.ip(), port)
}

fn dest_spec(server: &file::RealServer) -> DestSpec {
    DestSpec {
        forwarding: forwarding(server.method),
        weight: server.weight,
        upper: server.uthreshold.min(MAX_LIMIT),
        lower: server.lthreshold.min(MAX_LIMIT),
    }
}

fn forwarding(method: file::Method) -> Forwarding {
    let csum = match method.encapsulation.checksum {
        file::TunnelChecksum::None => TunnelCsum::None,
        file::TunnelChecksum::Full => TunnelCsum::Full,
        file::TunnelChecksum::Remote => TunnelCsum::Remote,
    };
    match method.forwarding {
        file::Forwarding::Nat => Forwarding::Nat,
        file::Forwarding::Dr => Forwarding::DirectRouting,
        file::Forwarding::FullNat => Forwarding::FullNat,
        file::Forwarding::Snat => Forwarding::Snat,
        file::Forwarding::Tun => Forwarding::Tunnel(match method.encapsulation.kind {
            file::TunnelType::Ipip => TunnelKind::Ipip,
            file::TunnelType::Gue => TunnelKind::Gue { port: method.encapsulation.port, csum },
            file::TunnelType::Gre => TunnelKind::Gre { csum },
        }),
    }
}

/// The highest limit there is. No server has as many connections.
const MAX_LIMIT: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;
    use keepalived_conf::keepalived;

    fn read(text: &str) -> Result<Import, String> {
        let report = keepalived::parse(text.as_bytes(), "k", "lb").expect("good text");
        import(&report.config).map_err(|error| error.to_string())
    }

    /// Every part of the table as Debug has it, which names all fields.
    fn changes(import: &Import) -> Vec<Set> {
        let none = Timeouts { tcp: 0, tcp_fin: 0, udp: 0 };
        let running = crate::Running { services: &[], timeouts: none };
        import.desired.changes(running, crate::Rest::Remove)
    }

    #[test]
    fn every_keyword_of_the_table_arrives() {
        let text = "\
local_address_group L {
    192.0.2.100-101 dpdk0
}
deny_address_group D {
    ipset:bad
    10.9.0.1
}
virtual_server 192.0.2.1 80 {
    protocol TCP
    lb_algo conhash
    lb_kind FNAT
    flag-3
    persistence_timeout 50
    persistence_granularity 255.255.255.0
    syn_proxy
    expire_quiescent_conn
    establish_timeout 60
    proxy_protocol v2-insecure
    bps 100
    limit_proportion 90
    laddr_group_name L
    daddr_group_name D
    sorry_server 10.0.0.9 81
    sorry_server_inhibit
    real_server 10.0.0.1 8080 {
        weight 5
        uthreshold 9
        lthreshold 3
    }
}
";
        let import = read(text).expect("a table");
        let key = ServiceKey::endpoint(Transport::Tcp, "192.0.2.1".parse().unwrap(), 80);
        let spec = ServiceSpec {
            scheduling: Scheduling {
                scheduler: "conhash".into(),
                flags: 4,
                persistence: Some(Persistence {
                    timeout: 50,
                    granularity: Granularity::Inet("255.255.255.0".parse().unwrap()),
                }),
                one_packet: false,
                pe: None,
            },
            options: ServiceOptions {
                conn_timeout: Some(60),
                synproxy: SynProxy::ON,
                hash_target: Some(HashTarget::SourceIp),
                expire_quiescent: true,
                proxy_protocol: Some(ProxyProtocol { version: ProxyVersion::V2, insecure: true }),
                bps: Some(100),
                limit_proportion: Some(90),
                ..ServiceOptions::default()
            },
        };
        let laddr = |addr: &str| Set::AddLaddr {
            service: key.clone(),
            addr: addr.parse().unwrap(),
            dev: "dpdk0".into(),
        };
        let deny = |subject| Set::AddAccess { service: key.clone(), list: AccessList::Block, subject };
        let dest = DestSpec { forwarding: Forwarding::FullNat, weight: 5, upper: 9, lower: 3 };
        let expected = [
            Set::AddService(key.clone(), spec),
            laddr("192.0.2.100"),
            laddr("192.0.2.101"),
            deny(AccessSubject::Set("bad".into())),
            deny(AccessSubject::Addr("10.9.0.1".parse().unwrap())),
            Set::AddDest(key.clone(), "10.0.0.1:8080".parse().unwrap(), dest),
        ];
        assert_eq!(changes(&import), expected);
        let sorry = Sorry {
            addr: "10.0.0.9:81".parse().unwrap(),
            spec: DestSpec { forwarding: Forwarding::FullNat, weight: 1, upper: 0, lower: 0 },
            inhibit: true,
        };
        assert_eq!(import.services[0].sorry, Some(sorry));
        let places: Vec<_> = expected.iter().map(|set| import.place(set).map(|span| span.line)).collect();
        assert_eq!(places, [8, 8, 8, 8, 8, 25].map(Some));
    }

    #[test]
    fn ports_follow_the_forwarding_mode_and_the_protocol() {
        let text = "\
virtual_server_group G {
    192.0.2.1-2 53
}
virtual_server group G {
    protocol UDP
    lb_kind TUN type gue port 6080 csum
    sorry_server 10.0.0.9 53
    real_server 10.0.0.1 53 {
    }
}
virtual_server 192.0.2.3 0 {
    protocol ICMP
    lb_kind DR
    real_server 10.0.0.1 0 {
    }
}
virtual_server match S {
    protocol TCP
    src-range 10.1.0.0-10.1.0.255
    oif dpdk1
    real_server 192.0.2.9 0 {
    }
}
";
        let import = read(text).expect("a table");
        let dests: Vec<String> = changes(&import)
            .iter()
            .filter_map(|set| match set {
                Set::AddDest(key, addr, spec) => Some(format!("{key} {addr} {:?}", spec.forwarding)),
                _ => None,
            })
            .collect();
        let gue = "Tunnel(Gue { port: 6080, csum: Full })";
        assert_eq!(
            dests,
            [
                format!("udp 192.0.2.1:53 10.0.0.1:53 {gue}"),
                format!("udp 192.0.2.2:53 10.0.0.1:53 {gue}"),
                "icmp 192.0.2.3:0 10.0.0.1:0 DirectRouting".into(),
                "match tcp,from=10.1.0.0-10.1.0.255:0-0,oif=dpdk1 192.0.2.9:0 Snat".into(),
            ]
        );
        assert_eq!(import.services.iter().map(|service| service.block).collect::<Vec<_>>(), [0, 0, 1, 2]);
        assert_eq!(import.services[1].sorry.map(|sorry| sorry.addr), Some("10.0.0.9:53".parse().unwrap()));
    }

    #[test]
    fn what_no_table_can_have_is_refused_with_its_place() {
        let server = "real_server 10.0.0.1 80 {\n}\n}\n";
        assert_eq!(
            read(&format!("\nvirtual_server fwmark 0 {{\n{server}")).unwrap_err(),
            "k:2: fwmark 0 stands for no packet: marks begin at 1"
        );
        let group =
            "virtual_server_group G {\n::/1 80\n}\nvirtual_server group G {\nreal_server ::1 80 {\n}\n}\n";
        assert_eq!(read(group).unwrap_err(), "k:2: group G names more than 131072 addresses");
        let matched = "virtual_server match S {\nprotocol TCP\nsrc-range 10.0.0.9-10.0.0.1\nreal_server 192.0.2.1 0 {\n}\n}\n";
        assert_eq!(read(matched).unwrap_err(), "k:1: the range `10.0.0.9-10.0.0.1` ends before it begins");
    }
}
