// SPDX-License-Identifier: Apache-2.0
//! What workers may read: everything configured, compiled, immutable.
//!
//! Control builds one, publishes it whole, and frees it once no worker reads it any more. Workers look at
//! it once a burst. Runtime truth (connections, counters, cursors) is never in here: dense numbers tie
//! the two together, and a generation tells a reused slot from the old one.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::fast::RandomState;
use model::Transport;
use model::options::{EchoPolicy, ProxyProtocol};

use crate::access::Access;
pub use crate::forward::Forwarding;
use crate::forward::snat::Rule;
use crate::health::Check;
use crate::icmp;
use crate::identity::Identity;
use crate::ids::{DestId, LcoreId, LinkId, PortId, ServiceId};
use crate::limit::{Limit, Occupancy};
use crate::link::{Link, Mac};
use crate::lookup::{Lookup, Target};
use crate::persist::{Persistence, Templates};
use crate::proto::Timeouts;
use crate::route::{Kind, RouteTable};
use crate::sched::Table;
use crate::steer::Rss;
use crate::synproxy;
use crate::throttle::Throttle;
use crate::tick::Clock;

/// Everything configured.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts up with every snapshot published, from 1.
    pub version: u64,
    /// Changes whenever a link, route, address, static neighbour, access list or set changed: cached next hops are looked up anew, and
    /// clients admitted anew.
    pub routing: u32,
    /// Devices, by [`PortId`].
    pub ports: Vec<Port>,
    /// Links, by [`LinkId`]; `None` where one was removed.
    pub links: Vec<Option<Link>>,
    /// Where packets go, own addresses included.
    pub routes: RouteTable,
    /// Neighbours entered by hand.
    pub neighs: Vec<(LinkId, IpAddr, Mac)>,
    /// Services, by [`ServiceId`]; `None` where one was removed.
    pub services: Vec<Option<Service>>,
    /// What gives packets a mark, in the order it is asked.
    pub marks: Vec<Mark>,
    /// Destinations, by [`DestId`]; `None` where one was removed.
    pub dests: Vec<Option<Dest>>,
    /// Local addresses in use by services, with the link return traffic comes in by.
    pub laddrs: HashMap<IpAddr, LinkId, RandomState>,
    /// What workers tell the time to.
    pub clock: Clock,
    /// Which server clients of persistent services have.
    pub templates: Arc<Templates>,
    /// Idle timeouts by protocol and state.
    pub timeouts: Timeouts,
    /// Everything else.
    pub options: Options,
    /// Lookup tables that follow from the fields above; [`Snapshot::index`] makes them.
    pub lookup: Lookup,
}

/// A device.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// The link of untagged frames.
    pub untagged: Option<LinkId>,
    /// Links of tagged frames by 802.1Q identifier, sorted.
    pub vlans: Vec<(u16, LinkId)>,
    /// Which worker polls each receive queue, by queue number.
    pub queues: Vec<LcoreId>,
    /// How the device spreads packets over its queues, where that can be predicted.
    pub rss: Option<Rss>,
}

impl Port {
    /// The link of frames with this tag.
    #[inline(always)]
    pub fn link_of(&self, vlan: Option<u16>) -> Option<LinkId> {
        match vlan {
            // Identifier 0 carries a priority only (IEEE 802.1Q 9.6): the frame is untagged.
            None | Some(0) => self.untagged,
            Some(id) => self.vlans.binary_search_by_key(&id, |&(id, _)| id).ok().map(|at| self.vlans[at].1),
        }
    }
}

/// Gives a mark to packets of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mark.
    pub mark: NonZeroU32,
    /// Protocol of the packets.
    pub transport: Transport,
    /// What they look like besides; the link they leave by is not asked.
    pub rule: Rule,
}

/// A virtual service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its slot.
    pub id: ServiceId,
    /// Tells this service from an earlier one in the same slot.
    pub generation: u32,
    /// Its protocol.
    pub transport: Transport,
    /// What clients send to; nothing for a service found by rule or mark.
    pub vip: SocketAddr,
    /// What its packets look like, for a service found by that.
    pub rule: Option<Rule>,
    /// The mark its packets have, for a service found by that.
    pub mark: Option<NonZeroU32>,
    /// Chooses servers.
    pub scheduler: crate::sched::Scheduler,
    /// How it hashes; a table that is not there [`Snapshot::index`] makes.
    pub hashing: crate::sched::Hashing,
    /// Changes whenever a server or weight changed: schedulers start their round anew.
    pub revision: u32,
    /// Its servers, in the order they were added.
    pub dests: Vec<DestId>,
    /// Its local addresses of both families, in the order they were added.
    pub laddrs: Vec<IpAddr>,
    /// Clients must prove their address before a server hears of them (TCP).
    pub syn_proxy: bool,
    /// What it says about the SYN proxy before it.
    pub proxying: synproxy::config::Proxying,
    /// Whom it accepts; `None` for everybody.
    pub access: Option<Arc<Access>>,
    /// Idle seconds of established connections instead of the protocol's; 0 for the protocol's.
    pub conn_timeout: u32,
    /// How much it may carry; `None` without limit.
    pub throttle: Option<Throttle>,
    /// Clients of one network go to one server.
    pub persistence: Option<Persistence>,
    /// Datagrams are QUIC: those with an identifier that tells a server go to that (UDP).
    pub quic: bool,
    /// What tells its servers whom connections are from.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Every datagram of a client is scheduled anew (UDP).
    pub one_packet: bool,
    /// Connections of servers that have weight 0 or are gone end at once, instead of going on.
    pub expire_quiescent: bool,
    /// Greatest weight of its servers, and the greatest common divisor of all of them; [`Snapshot::index`] sets it.
    pub weights: (u32, u32),
    /// A server of it is reached by NAT; [`Snapshot::index`] sets it.
    pub masquerades: bool,
    /// What becomes of queries (ICMP).
    pub echo: EchoPolicy,
    /// Servers with a weight, of all services at its address; [`Snapshot::index`] counts them for services that ask.
    pub alive: u32,
}

impl Service {
    /// Whether it takes packets to every port of its address that has no service of its own.
    pub fn takes_any_port(&self) -> bool {
        let has_ports = !matches!(self.transport, Transport::Icmp | Transport::Icmpv6);
        has_ports && self.has_address() && self.vip.port() == 0
    }

    /// Whether it is found by address, not by what its packets look like.
    pub fn has_address(&self) -> bool {
        self.rule.is_none() && self.mark.is_none()
    }

    /// Greatest weight and greatest common divisor of the weights of its usable servers, 0 and 1 without any.
    fn weigh(&self, dests: &[Option<Dest>]) -> (u32, u32) {
        let weights = self.dests.iter().filter_map(|id| Some(dests.get(id.index())?.as_ref()?.weight));
        let (max, gcd) = weights.fold((0, 0), |(max, gcd), w| (w.max(max), greatest_common_divisor(gcd, w)));
        (max, gcd.max(1))
    }

    /// What its scheduler looks up; `None` for one that looks nothing up.
    pub fn table(&self, dests: &[Option<Dest>]) -> Option<Table> {
        let server = |id: &DestId| match dests.get(id.index()).and_then(Option::as_ref) {
            Some(dest) => (dest.addr, dest.weight),
            // It keeps its position, and nothing else.
            None => ((Ipv4Addr::UNSPECIFIED, 0).into(), 0),
        };
        Table::compile(self.scheduler, self.dests.iter().map(server))
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A real server of a service.
#[derive(Clone, Debug)]
pub struct Dest {
    /// Its slot.
    pub id: DestId,
    /// Tells this server from an earlier one in the same slot.
    pub generation: u32,
    /// Whose server it is.
    pub service: ServiceId,
    /// Where it listens.
    pub addr: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Share of new connections; 0 takes none.
    pub weight: u32,
    /// How many connections it may have, if that is said.
    pub limit: Option<Limit>,
    /// How passing packets tell that it is dead, if they do.
    pub check: Option<Check>,
}

impl Dest {
    /// Whether it takes new connections now.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.weight > 0
            && self.occupancy().is_none_or(|occupancy| !occupancy.is_full())
            && !self.is_inhibited()
    }

    /// Whether passing packets have shown that it is dead.
    #[inline(always)]
    pub fn is_inhibited(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.health.is_inhibited())
    }

    /// How many connections it has, if that is limited.
    #[inline(always)]
    pub fn occupancy(&self) -> Option<&Occupancy> {
        self.limit.as_ref().map(|limit| &limit.occupancy)
    }
}

/// Switches of the small stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Forward IPv4 packets that are not ours.
    pub forward4: bool,
    /// Forward IPv6 packets that are not ours.
    pub forward6: bool,
    /// Count down TTL and hop limit of packets to and from servers.
    pub xmit_ttl: bool,
    /// Seconds a neighbour stays reachable without confirmation, 1 to 3600.
    pub neigh_timeout: u32,
    /// Packets that may wait for one neighbour, 16 to 8192.
    pub neigh_queue: u16,
    /// Lifetime of a connection in which no state was reached yet, in seconds.
    pub conn_init_timeout: u32,
    /// TCP packets to an address of TCP services that none of them wants are dropped, and not the host's.
    pub defend_tcp: bool,
    /// Datagrams to an address with services, none of them of UDP, are dropped, and not the host's.
    pub defend_udp: bool,
    /// A client network that has a server of weight 0 gets another one with its next connection.
    pub expire_quiescent_template: bool,
    /// How servers behind FULLNAT are told the addresses of clients.
    pub identity: Identity,
    /// TTL of packets the director makes.
    pub default_ttl: u8,
    /// Seconds in which the fragments of a datagram have to come, 1 to 255.
    pub fragment_ttl: u32,
    /// Which ICMP errors are passed on.
    pub icmp: icmp::Policy,
    /// The SYN proxy's.
    pub syn_proxy: synproxy::config::Config,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            forward4: false,
            forward6: false,
            xmit_ttl: true,
            neigh_timeout: 60,
            neigh_queue: 128,
            conn_init_timeout: 3,
            defend_tcp: false,
            defend_udp: false,
            expire_quiescent_template: false,
            identity: Identity::default(),
            default_ttl: 64,
            fragment_ttl: 10,
            icmp: icmp::Policy::default(),
            syn_proxy: synproxy::config::Config::default(),
        }
    }
}

impl Snapshot {
    /// Makes the lookup tables that follow from the public fields. Call once all fields are set.
    pub fn index(mut self) -> Self {
        self.count_alive();
        self.lead_tunnels();
        for svc in self.services.iter_mut().flatten() {
            svc.weights = svc.weigh(&self.dests);
            let servers = svc.dests.iter().filter_map(|id| self.dests.get(id.index())?.as_ref());
            svc.masquerades = servers.into_iter().any(|dest| dest.forwarding == Forwarding::Nat);
            if svc.hashing.table.is_none() {
                svc.hashing.table = svc.table(&self.dests).map(Arc::new);
            }
        }
        self.lookup = Lookup::of(&self);
        for port in &mut self.ports {
            port.vlans.sort_unstable();
        }
        self
    }

    /// Counts servers for services that answer queries while enough of them are there.
    fn count_alive(&mut self) {
        let asks = |svc: &&Service| matches!(svc.echo, EchoPolicy::Alive(_));
        let asking: Vec<ServiceId> = self.services.iter().flatten().filter(asks).map(|svc| svc.id).collect();
        for id in asking {
            let Some(vip) = self.services.get(id.index()).and_then(|svc| Some(svc.as_ref()?.vip.ip())) else {
                continue;
            };
            let same = self.services.iter().flatten().filter(|svc| svc.has_address() && svc.vip.ip() == vip);
            let dests = same.flat_map(|svc| &svc.dests).filter_map(|id| self.dests.get(id.index())?.as_ref());
            let alive: HashSet<IpAddr> =
                dests.filter(|dest| dest.weight > 0).map(|dest| dest.addr.ip()).collect();
            if let Some(Some(svc)) = self.services.get_mut(id.index()) {
                svc.alive = alive.len() as u32;
            }
        }
    }

    /// The service for packets to this protocol, address and port.
    pub fn find_service(&self, transport: Transport, addr: IpAddr, port: u16) -> Option<&Service> {
        self.service_of(self.lookup.target(addr), transport.number(), port)
    }

    /// The service of a target at this IP protocol and port, or else the one that takes every port.
    #[inline(always)]
    pub(crate) fn service_of(&self, target: &Target, proto: u8, port: u16) -> Option<&Service> {
        let id = self.lookup.service(target, proto, port)?;
        self.services.get(id.index())?.as_ref()
    }

    /// Whether packets to this address are for the director: an address of a link, or of any service. A service's address may be on
    /// no link at all, when routers lead it here.
    #[inline(always)]
    pub fn is_own(&self, addr: IpAddr) -> bool {
        self.lookup.target(addr).own
            || self.lookup.local_nets && self.routes.find(addr).is_some_and(|route| route.kind == Kind::Local)
    }

    /// A link by number.
    #[inline(always)]
    pub fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(id.index())?.as_ref()
    }

    /// A destination by number, if it is still the one of that generation.
    #[inline(always)]
    pub fn dest(&self, id: DestId, generation: u32) -> Option<&Dest> {
        self.dests.get(id.index())?.as_ref().filter(|dest| dest.generation == generation)
    }

    /// The link of a frame.
    #[inline(always)]
    pub fn link_of(&self, port: PortId, vlan: Option<u16>) -> Option<&Link> {
        self.link(self.ports.get(port.index())?.link_of(vlan)?)
    }
}
