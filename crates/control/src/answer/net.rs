// SPDX-License-Identifier: Apache-2.0
//! Addresses, routes and neighbours.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use engine::ids::{LcoreId, LinkId};
use engine::laddr::{FIRST_PORT, Usage};
use engine::tick::Tick;
use model::net::{FamilyFilter, IfAddr, NeighEntry, RouteScope, RouteSpec, SaPool};
use model::{Family, MacAddr, Prefix, ServiceKey, Transport};
use sockopt::Status;
use sockopt::reply::AddrEntry;

use crate::observed::Observed;
use crate::state::State;

/// Local ports one address has towards one server.
const LPORTS: u64 = 65_536 - FIRST_PORT as u64;

pub(super) fn addrs(
    state: &State,
    seen: &Observed<'_>,
    dev: Option<&str>,
    family: FamilyFilter,
    now: Tick,
) -> Result<Vec<AddrEntry>, Status> {
    let link = chosen(state, dev)?;
    let servers = servers_by_laddr(state);
    let rows = state.addrs.rows().filter(|(key, _)| wanted(link, key.link) && of(family, key.prefix.addr));
    let entry = |(key, row): (&crate::rows::AddrKey, &crate::rows::Addr)| {
        let addr = key.prefix.addr;
        let used_here = state.laddr_use(addr).is_some_and(|(link, _)| link == key.link);
        let left = |until: Option<Tick>| until.map_or(0, |at| seconds(at.since(now)));
        AddrEntry {
            addr: IfAddr {
                valid_lft: left(row.until),
                preferred_lft: left(row.preferred_until),
                ..row.spec.clone()
            },
            pool: (used_here || row.spec.sapool).then(|| pool(usage(seen, addr, None), servers.get(&addr))),
        }
    };
    Ok(rows.map(entry).collect())
}

/// Seconds, rounded up: what has not ended is never shown as 0, which is for ever.
fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

/// Leases of a local address, on all workers or one.
pub(super) fn usage(seen: &Observed<'_>, addr: IpAddr, only: Option<LcoreId>) -> Usage {
    let workers = (0..).zip(&seen.workers).filter(|&(at, _)| only.is_none_or(|id| id == LcoreId(at)));
    let told = workers.filter_map(|(_, worker)| worker.laddrs.get(&addr));
    told.fold(Usage::default(), |sum, one| Usage {
        used: sum.used + one.used,
        missed: sum.missed + one.missed,
    })
}

fn pool(usage: Usage, servers: Option<&HashSet<(Transport, SocketAddr)>>) -> SaPool {
    let ranges = servers.map_or(1, |servers| servers.len().max(1) as u64);
    SaPool { used: usage.used, free: (ranges * LPORTS).saturating_sub(usage.used), miss: usage.missed }
}

/// The servers each local address is leased towards: each has its own range of ports.
fn servers_by_laddr(state: &State) -> HashMap<IpAddr, HashSet<(Transport, SocketAddr)>> {
    let mut servers: HashMap<IpAddr, HashSet<(Transport, SocketAddr)>> = HashMap::new();
    for (_, service) in state.services.iter() {
        let ServiceKey::Endpoint { transport, .. } = service.key else { continue };
        for &(laddr, _) in &service.laddrs {
            let known = servers.entry(laddr).or_default();
            let dests = service.dests.iter().filter_map(|&id| state.dest_in(id));
            let fitting = dests.filter(|(_, dest)| dest.addr.is_ipv4() == laddr.is_ipv4());
            known.extend(fitting.map(|(_, dest)| (transport, dest.addr)));
        }
    }
    servers
}

/// Own addresses, then networks and what operators wrote, as packets find them: the longest prefix first.
pub(super) fn routes(
    state: &State,
    dev: Option<&str>,
    family: FamilyFilter,
) -> Result<Vec<RouteSpec>, Status> {
    let link = chosen(state, dev)?;
    let mut listed: Vec<(LinkId, RouteSpec)> = Vec::new();
    let mut seen: HashSet<(LinkId, Prefix)> = HashSet::new();
    for (key, row) in state.addrs.rows() {
        let dev = &row.spec.dev;
        let host = Prefix::host(key.prefix.addr);
        if seen.insert((key.link, host)) {
            listed.push((key.link, implied(host, dev, None, RouteScope::Host)));
        }
        if !key.prefix.is_host() && seen.insert((key.link, key.prefix.network())) {
            listed.push((
                key.link,
                implied(key.prefix.network(), dev, Some(key.prefix.addr), RouteScope::Link),
            ));
        }
    }
    for (id, route) in state.routes.rows() {
        let spec = RouteSpec {
            dst: id.dst,
            via: route.via,
            dev: state.link_name(route.link).unwrap_or_default().to_owned(),
            src: route.src,
            mtu: route.mtu,
            scope: Some(route.scope),
            metric: id.metric,
        };
        listed.push((route.link, spec));
    }
    listed.retain(|(at, spec)| wanted(link, *at) && of(family, spec.dst.addr));
    for (at, spec) in &mut listed {
        if spec.mtu == 0 {
            spec.mtu = state.link_in(*at).map_or(0, |link| state.mtu(link));
        }
    }
    let host_first = |spec: &RouteSpec| spec.scope != Some(RouteScope::Host);
    listed.sort_by_key(|(_, spec)| {
        (Family::of(spec.dst.addr), host_first(spec), std::cmp::Reverse(spec.dst.len), spec.metric)
    });
    Ok(listed.into_iter().map(|(_, spec)| spec).collect())
}

fn implied(dst: Prefix, dev: &str, src: Option<IpAddr>, scope: RouteScope) -> RouteSpec {
    RouteSpec { dst, via: None, dev: dev.to_owned(), src, mtu: 0, scope: Some(scope), metric: 0 }
}

pub(super) fn neighs(
    state: &State,
    seen: &Observed<'_>,
    dev: Option<&str>,
    family: FamilyFilter,
) -> Result<Vec<NeighEntry>, Status> {
    let link = chosen(state, dev)?;
    let mut listed = Vec::new();
    for (core, worker) in (1..).zip(&seen.workers) {
        let mine = worker.neighs.iter().filter(|n| wanted(link, n.link) && of(family, n.addr));
        // The one station of a tunnel is nobody's entry.
        let mine = mine.filter(|n| state.link_in(n.link).is_some_and(|link| link.tunnel.is_none()));
        listed.extend(mine.filter_map(|n| {
            Some(NeighEntry {
                addr: n.addr,
                mac: n.mac.map(MacAddr),
                dev: state.link_name(n.link)?.to_owned(),
                state: n.state.word().to_owned(),
                core,
                fixed: n.fixed,
            })
        }));
    }
    listed.sort_by(|a, b| (a.core, &a.dev, a.addr).cmp(&(b.core, &b.dev, b.addr)));
    Ok(listed)
}

/// # Errors
/// `NoDevice`.
pub(super) fn chosen(state: &State, dev: Option<&str>) -> Result<Option<LinkId>, Status> {
    dev.map(|dev| Ok(state.link(dev)?.0)).transpose()
}

fn wanted(chosen: Option<LinkId>, link: LinkId) -> bool {
    chosen.is_none_or(|chosen| chosen == link)
}

fn of(family: FamilyFilter, addr: IpAddr) -> bool {
    family.is_none_or(|family| family == Family::of(addr))
}
