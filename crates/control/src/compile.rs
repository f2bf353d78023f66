// SPDX-License-Identifier: Apache-2.0
//! The state as workers read it. What three commands make together is put together here; what is not complete yet
//! (a FULLNAT server before the first local address) stays in and meets a named drop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use engine::access::{Access, List};
use engine::forward::snat::Rule;
use engine::health::Check;
use engine::ids::{DestId, LinkId, PortId, ServiceId};
use engine::limit::Limit;
use engine::link::Link;
use engine::persist::Persistence;
use engine::route::{Kind, Route, RouteTable};
use engine::sched::Hashing;
use engine::snapshot::{Dest, Mark, Port, Service, Snapshot};
use engine::synproxy::config::Proxying;
use engine::throttle::Throttle;
use model::net::RouteScope;
use model::options::{AccessSubject, HashTarget, SynProxy, SynProxyWhen, SynProxyWindow};
use model::rule::{Marking, MatchRule};
use model::{Family, Prefix, Scheduling, ServiceKey, ServiceSpec, Transport};

use crate::state::State;

/// Compiles the state.
pub fn compile(state: &State) -> Snapshot {
    let links = links(state);
    let dests = dests(state);
    Snapshot {
        version: state.version(),
        routing: state.routing(),
        ports: ports(state),
        routes: RouteTable::compile(routes(state)),
        neighs: neighs(state),
        services: services(state, &dests),
        marks: state.marks.iter().filter_map(|marking| mark(state, marking)).collect(),
        dests,
        laddrs: state.laddrs().collect(),
        clock: state.clock.clone(),
        templates: Arc::clone(&state.templates),
        timeouts: state.timeouts.clone(),
        options: state.options.clone(),
        lookup: Default::default(),
        links,
    }
    .index()
}

fn links(state: &State) -> Vec<Option<Link>> {
    let mut addrs: HashMap<LinkId, Vec<(IpAddr, u8)>> = HashMap::new();
    // In the order they were added: the first of a family is the one questions come from.
    for addr in state.addrs.iter() {
        let Some(link) = state.find_link(&addr.spec.dev) else { continue };
        addrs.entry(link).or_default().push((addr.spec.prefix.addr, addr.spec.prefix.len));
    }
    let compiled = |(at, link): (usize, Option<&crate::rows::Link>)| {
        let (id, link) = (LinkId(at as u16), link?);
        Some(Link {
            id,
            name: link.name.clone(),
            port: link.port,
            vlan: link.vlan,
            tunnel: link.tunnel.as_ref().map(|tunnel| state.tunnel(tunnel)),
            mac: state.mac(link).0,
            mtu: state.mtu(link),
            up: state.is_up(link),
            rx_csum: state.ports.get(link.port.index()).map(|facts| facts.rx_csum).unwrap_or_default(),
            addrs: addrs.remove(&id).unwrap_or_default(),
        })
    };
    state.links.all().enumerate().map(compiled).collect()
}

fn ports(state: &State) -> Vec<Port> {
    let compiled = |(id, facts): (u16, &crate::ports::PortFacts)| Port {
        untagged: Some(LinkId(id)),
        vlans: state.vlans(PortId(id)).filter_map(|(link, vlan)| Some((vlan.vlan?, link))).collect(),
        queues: facts.rx.clone(),
        rss: facts.rss.clone(),
    };
    (0..).zip(&state.ports).map(compiled).collect()
}

/// Own addresses first, so that nothing takes them away; then what operators wrote, then the networks of addresses.
fn routes(state: &State) -> Vec<Route> {
    let route = |prefix: Prefix, link, src, kind| Route {
        prefix: (prefix.addr, prefix.len),
        via: None,
        link,
        src,
        mtu: 0,
        kind,
        metric: 0,
    };
    let addrs =
        || state.addrs.iter().filter_map(|addr| Some((addr.spec.prefix, state.find_link(&addr.spec.dev)?)));
    let own = addrs().map(|(prefix, link)| route(Prefix::host(prefix.addr), link, None, Kind::Local));
    let written = state.routes.rows().map(|(id, written)| Route {
        via: written.via,
        // A source that is no address of ours any more would draw answers to nobody.
        src: written.src.filter(|&src| !state.places_of(src).is_empty()),
        mtu: written.mtu,
        metric: id.metric,
        ..route(id.dst, written.link, None, kind(written.scope))
    });
    let networks = addrs()
        .filter(|(prefix, _)| !prefix.is_host())
        .map(|(prefix, link)| route(prefix.network(), link, Some(prefix.addr), Kind::Out));
    own.chain(written).chain(networks).collect()
}

fn kind(scope: RouteScope) -> Kind {
    match scope {
        RouteScope::Host => Kind::Local,
        RouteScope::KniHost => Kind::Kernel,
        RouteScope::Link | RouteScope::Global => Kind::Out,
    }
}

fn neighs(state: &State) -> Vec<(LinkId, IpAddr, engine::link::Mac)> {
    state.neighs.rows().map(|(&(link, addr), mac)| (link, addr, mac.0)).collect()
}

fn services(state: &State, dests: &[Option<Dest>]) -> Vec<Option<Service>> {
    let compiled = |(id, service): (u32, Option<&Box<crate::rows::Service>>)| {
        let service = service?;
        let Found { transport, vip, rule, mark } = found_by(state, &service.key)?;
        let mut compiled = Service {
            id: ServiceId(id),
            generation: state.services.generation(id),
            transport,
            vip,
            scheduler: service.scheduler,
            hashing: hashing(&service.spec),
            revision: service.revision,
            dests: service.dests.clone(),
            laddrs: service.laddrs.iter().map(|&(addr, _)| addr).collect(),
            syn_proxy: service.spec.options.synproxy.is_on(),
            proxying: proxying(service.spec.options.synproxy),
            access: access(state, service),
            conn_timeout: service.spec.options.conn_timeout.unwrap_or(0),
            throttle: Throttle::new(
                service.spec.options.bps.unwrap_or(0),
                service.spec.options.limit_proportion.unwrap_or(100),
            ),
            persistence: persistence(&service.spec.scheduling),
            quic: service.spec.options.quic,
            proxy_protocol: service.spec.options.proxy_protocol,
            one_packet: service.spec.scheduling.one_packet,
            expire_quiescent: service.spec.options.expire_quiescent,
            weights: (0, 1),
            masquerades: false,
            echo: service.spec.options.echo,
            alive: 0,
            rule,
            mark,
        };
        compiled.hashing.table = state.tables.get(compiled.id, || compiled.table(dests));
        Some(compiled)
    };
    (0..).zip(state.services.all()).map(compiled).collect()
}

/// Whom a service accepts; `None` for everybody.
fn access(state: &State, service: &crate::rows::Service) -> Option<Arc<Access>> {
    if service.block.is_empty() && service.allow.is_empty() {
        return None;
    }
    let list = |subjects: &[AccessSubject]| {
        let mut list = List::default();
        for subject in subjects {
            match subject {
                AccessSubject::Addr(addr) => {
                    list.addrs.insert(*addr);
                }
                AccessSubject::Set(name) => list.sets.extend(state.compiled_set(name)),
            }
        }
        list
    };
    Some(Arc::new(Access { block: list(&service.block), allow: list(&service.allow) }))
}

/// What a scheduler's flags 1 and 2 mean to those that have any: sh and mh.
fn hashing(spec: &ServiceSpec) -> Hashing {
    let flags = spec.scheduling.flags;
    let quic_id = spec.options.hash_target == Some(HashTarget::QuicId);
    Hashing { fallback: flags & 1 != 0, port: flags & 2 != 0, quic_id, table: None }
}

fn dests(state: &State) -> Vec<Option<Dest>> {
    let compiled = |(id, dest): (u32, Option<&crate::rows::Dest>)| {
        let dest = dest?;
        let service = state.service_in(dest.service);
        let rule = service.and_then(|service| service.spec.options.dest_check.passive);
        let asked = service.and_then(|service| endpoint(&service.key));
        let port = match (dest.addr.port(), asked) {
            // The port the client asked for.
            (0, Some((_, vip))) => vip.port(),
            (port, _) => port,
        };
        Some(Dest {
            id: DestId(id),
            generation: state.dests.generation(id),
            service: dest.service,
            addr: SocketAddr::new(dest.addr.ip(), port),
            forwarding: dest.forwarding,
            weight: dest.spec.weight,
            limit: dest.occupancy.clone().map(|occupancy| Limit {
                upper: dest.spec.upper,
                lower: dest.spec.lower,
                occupancy,
            }),
            check: rule.map(|rule| Check { rule, health: dest.health.clone() }),
        })
    };
    (0..).zip(state.dests.all()).map(compiled).collect()
}

fn persistence(scheduling: &Scheduling) -> Option<Persistence> {
    let model::Persistence { timeout, granularity } = scheduling.persistence?;
    Some(Persistence { timeout, granularity, sip: scheduling.pe.is_some() })
}

/// How workers find a service.
struct Found {
    transport: Transport,
    vip: SocketAddr,
    rule: Option<Rule>,
    mark: Option<NonZeroU32>,
}

/// How workers find a service; `None` while they cannot: a rule names a link that is not there.
fn found_by(state: &State, key: &ServiceKey) -> Option<Found> {
    let nowhere = |family: Family| SocketAddr::new(family.unspecified(), 0);
    Some(match key {
        ServiceKey::Endpoint { transport, vip } => {
            Found { transport: *transport, vip: *vip, rule: None, mark: None }
        }
        ServiceKey::FwMark { family, mark } => {
            // Packets of any protocol may have it; those of the first rule count.
            let first = state.marks.iter().find(|marking| marking.mark == *mark);
            let transport = first.map_or(Transport::Tcp, |marking| marking.rule.transport);
            Found { transport, vip: nowhere(*family), rule: None, mark: Some(*mark) }
        }
        ServiceKey::Match(rule) => {
            let compiled = rule_of(state, rule)?;
            Found { transport: rule.transport, vip: nowhere(rule.family), rule: Some(compiled), mark: None }
        }
    })
}

/// A rule as workers ask it; `None` while it names a link that is not there.
fn rule_of(state: &State, rule: &MatchRule) -> Option<Rule> {
    let link = |name: &Option<String>| match name {
        None => Some(None),
        Some(name) => state.find_link(name).map(Some),
    };
    Some(Rule {
        six: rule.family == Family::Inet6,
        src: rule.src,
        dst: rule.dst,
        iif: link(&rule.iif)?,
        oif: link(&rule.oif)?,
    })
}

fn mark(state: &State, marking: &Marking) -> Option<Mark> {
    Some(Mark { mark: marking.mark, transport: marking.rule.transport, rule: rule_of(state, &marking.rule)? })
}

fn endpoint(key: &ServiceKey) -> Option<(Transport, SocketAddr)> {
    match key {
        ServiceKey::Endpoint { transport, vip } => Some((*transport, *vip)),
        ServiceKey::FwMark { .. } | ServiceKey::Match(_) => None,
    }
}

fn proxying(said: SynProxy) -> Proxying {
    Proxying {
        auto: said.when == SynProxyWhen::Auto,
        hold: said.window.map(|window| window == SynProxyWindow::Hold),
    }
}
