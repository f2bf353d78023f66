// SPDX-License-Identifier: Apache-2.0
//! What a packet's destination means: the tables a snapshot makes from what is configured.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use model::Transport;
use packet::proto;

use crate::conn::Tuple;
use crate::flat::FlatMap;
use crate::forward::Forwarding;
use crate::forward::snat::{Rule, home};
use crate::ids::{LinkId, ServiceId};
use crate::route::{Kind, Route};
use crate::snapshot::{Mark, Options, Service, Snapshot};
use crate::verdict::DropReason;

/// Lookup tables of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Positions in `targets`.
    v4: FlatMap<u32>,
    v6: FlatMap<u128>,
    targets: Vec<Target>,
    /// Services by target, protocol and port.
    services: FlatMap<u64>,
    /// What each server reached by NAT answers for, by IP protocol.
    masqueraded: HashMap<(u8, SocketAddr), Behind>,
    /// Services found by what their packets look like, in the order they are asked.
    pub(crate) rules: Vec<ServiceId>,
    /// What gives packets a mark that a service is found by, in the order it is asked.
    marks: Vec<(Mark, ServiceId)>,
    /// Some service may carry only so much.
    pub(crate) throttles: bool,
    /// There are tunnel links.
    pub(crate) tunnels: bool,
    /// There are local routes to more than one address each.
    pub(crate) local_nets: bool,
    /// The SYN proxy stands before a service, and not only under load.
    pub(crate) proxied: bool,
}

/// What a server reached by NAT answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// A service at this address.
    Service(SocketAddr),
    /// One that is found by a mark, at any address.
    Mark,
}

/// What an address means to the director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    id: u32,
    /// It is the director's own: an address of a link or of a service.
    pub(crate) own: bool,
    /// Services at it take every port.
    any_port: bool,
    /// There are services at it.
    served: bool,
    /// It is a server's that is reached by NAT: its answers are for others.
    masquerades: bool,
    /// There are services of TCP at it.
    tcp: bool,
    /// There are services at it, and none of UDP.
    no_udp: bool,
    /// It is a local address of services; return traffic comes in by this link.
    pub(crate) laddr: Option<LinkId>,
}

impl Target {
    /// What an address means of which nothing is known.
    const NOTHING: Target = Target {
        id: u32::MAX,
        own: false,
        any_port: false,
        served: false,
        masquerades: false,
        tcp: false,
        no_udp: false,
        laddr: None,
    };

    /// Whether the address means anything.
    pub(crate) fn is_known(&self) -> bool {
        self.id != Target::NOTHING.id
    }

    /// Whether it is an address of the host, and neither of services nor towards servers.
    pub(crate) fn is_hosts_alone(&self) -> bool {
        self.own && !self.served && self.laddr.is_none()
    }
}

impl Lookup {
    /// The tables for what is configured.
    pub(crate) fn of(snap: &Snapshot) -> Lookup {
        let mut targets = HashMap::new();
        let local = || snap.routes.iter().filter(|route| route.kind == Kind::Local);
        for route in local().filter(|route| is_host(route)) {
            note(&mut targets, route.prefix.0).own = true;
        }
        for (&addr, &link) in &snap.laddrs {
            note(&mut targets, addr).laddr = Some(link);
        }
        let mut services = Vec::new();
        for dest in snap.dests.iter().flatten().filter(|dest| dest.forwarding == Forwarding::Snat) {
            let addr = dest.addr.ip();
            *note(&mut targets, addr) =
                Target { own: true, laddr: Some(home(snap, addr)), ..*note(&mut targets, addr) };
        }
        for svc in snap.services.iter().flatten().filter(|svc| svc.has_address()) {
            let target = note(&mut targets, svc.vip.ip());
            (target.own, target.served) = (true, true);
            target.any_port |= svc.takes_any_port();
            target.tcp |= svc.transport == Transport::Tcp;
            services.push((endpoint(target, svc.transport.number(), svc.vip.port()), svc.id.0));
        }
        for svc in snap.services.iter().flatten().filter(|svc| svc.has_address()) {
            note(&mut targets, svc.vip.ip()).no_udp = true;
        }
        let udp = |svc: &&Service| svc.has_address() && svc.transport == Transport::Udp;
        for svc in snap.services.iter().flatten().filter(udp) {
            note(&mut targets, svc.vip.ip()).no_udp = false;
        }
        for dest in snap.dests.iter().flatten().filter(|dest| dest.forwarding == Forwarding::Nat) {
            note(&mut targets, dest.addr.ip()).masquerades = true;
        }
        let marks = marks(snap);
        let masqueraded = snap.dests.iter().flatten().filter(|dest| dest.forwarding == Forwarding::Nat);
        let masqueraded = masqueraded.flat_map(|dest| {
            let svc = snap.services.get(dest.service.index()).and_then(Option::as_ref);
            let marked = marks.iter().filter(|(_, id)| *id == dest.service);
            let marked = marked.map(|(mark, _)| ((mark.transport.number(), dest.addr), Behind::Mark));
            let at = svc.filter(|svc| svc.has_address());
            let at = at.map(|svc| ((svc.transport.number(), dest.addr), Behind::Service(svc.vip)));
            marked.chain(at).collect::<Vec<_>>()
        });
        let mut lookup = Lookup {
            masqueraded: masqueraded.collect(),
            rules: snap
                .services
                .iter()
                .flatten()
                .filter(|svc| svc.rule.is_some())
                .map(|svc| svc.id)
                .collect(),
            services: services.into_iter().collect(),
            marks,
            throttles: snap.services.iter().flatten().any(|svc| svc.throttle.is_some()),
            proxied: snap.services.iter().flatten().any(|svc| svc.syn_proxy && !svc.proxying.auto),
            tunnels: snap.links.iter().flatten().any(|link| link.tunnel.is_some()),
            local_nets: local().any(|route| !is_host(route)),
            targets: vec![Target::NOTHING; targets.len()],
            ..Lookup::default()
        };
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (addr, target) in targets {
            lookup.targets[target.id as usize] = target;
            match addr {
                IpAddr::V4(addr) => v4.push((addr.to_bits(), target.id)),
                IpAddr::V6(addr) => v6.push((addr.to_bits(), target.id)),
            }
        }
        (lookup.v4, lookup.v6) = (v4.into_iter().collect(), v6.into_iter().collect());
        lookup
    }

    /// What an address means to the director.
    #[inline(always)]
    pub(crate) fn target(&self, addr: IpAddr) -> &Target {
        let id = match addr {
            IpAddr::V4(addr) => self.v4.get(addr.to_bits()),
            IpAddr::V6(addr) => self.v6.get(addr.to_bits()),
        };
        id.and_then(|id| self.targets.get(id as usize)).unwrap_or(&Target::NOTHING)
    }

    /// Whether packets between two hosts may be of a service or its servers, whatever their ports.
    pub(crate) fn concerns(&self, src: IpAddr, dst: IpAddr) -> bool {
        let to = self.target(dst);
        to.served
            || to.laddr.is_some()
            || self.has_marks()
            || !self.rules.is_empty() && !to.own
            || self.target(src).masquerades
    }

    /// What a server reached by NAT answers for. One that serves several at the same port is taken to answer for one of them; one that
    /// serves every port answers from the port that was asked.
    pub(crate) fn behind(&self, proto: u8, server: SocketAddr) -> Option<Behind> {
        if self.masqueraded.is_empty() {
            return None;
        }
        let exact = self.masqueraded.get(&(proto, server)).copied();
        exact.or_else(|| match self.masqueraded.get(&(proto, (server.ip(), 0).into()))? {
            Behind::Service(vip) => Some(Behind::Service((vip.ip(), server.port()).into())),
            Behind::Mark => Some(Behind::Mark),
        })
    }

    /// Whether a packet of `proto` to this target, which no service wants, is none of the host's business either
    /// (`defence_tcp_drop`, `defence_udp_drop`).
    pub(crate) fn defends(&self, target: &Target, proto: u8, options: &Options) -> Option<DropReason> {
        match proto {
            proto::TCP if options.defend_tcp && target.tcp => Some(DropReason::DefenceTcp),
            proto::UDP if options.defend_udp && target.no_udp => Some(DropReason::DefenceUdp),
            _ => None,
        }
    }

    /// Whether packets are given marks.
    #[inline(always)]
    pub(crate) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// The service found by the mark of a packet with this protocol and tuple; `iif` is the link it came in by, `None` for whichever.
    pub(crate) fn marked(&self, proto: u8, tuple: &Tuple, iif: Option<LinkId>) -> Option<ServiceId> {
        let meant = |(mark, _): &&(Mark, ServiceId)| {
            let rule = Rule { iif: iif.and(mark.rule.iif), oif: None, ..mark.rule };
            mark.transport.number() == proto && rule.matches(tuple, iif.unwrap_or(LinkId(0)), LinkId(0))
        };
        self.marks.iter().find(meant).map(|&(_, id)| id)
    }

    /// The service of a target at this IP protocol and port, or else the one that takes every port.
    #[inline(always)]
    pub(crate) fn service(&self, target: &Target, proto: u8, port: u16) -> Option<ServiceId> {
        if !target.own {
            return None;
        }
        let exact = self.services.get(endpoint(target, proto, port));
        match exact {
            None if target.any_port => self.services.get(endpoint(target, proto, 0)),
            exact => exact,
        }
        .map(ServiceId)
    }
}

/// What gives packets a mark that a service is found by. Packets with a mark that no service has go where they go without.
fn marks(snap: &Snapshot) -> Vec<(Mark, ServiceId)> {
    let six = |svc: &Service| svc.vip.is_ipv6();
    let found_by = |mark: &Mark| {
        let mut services = snap.services.iter().flatten();
        services.find(|svc| svc.mark == Some(mark.mark) && six(svc) == mark.rule.six).map(|svc| svc.id)
    };
    snap.marks.iter().filter_map(|mark| Some((mark.clone(), found_by(mark)?))).collect()
}

fn is_host(route: &Route) -> bool {
    let (addr, len) = route.prefix;
    len == if addr.is_ipv4() { 32 } else { 128 }
}

/// The entry of an address, made if need be.
fn note(targets: &mut HashMap<IpAddr, Target>, addr: IpAddr) -> &mut Target {
    let id = targets.len() as u32;
    targets.entry(addr).or_insert(Target { id, ..Target::NOTHING })
}

/// The key of a service in its table.
#[inline(always)]
fn endpoint(target: &Target, proto: u8, port: u16) -> u64 {
    u64::from(target.id) << 32 | u64::from(proto) << 16 | u64::from(port)
}
