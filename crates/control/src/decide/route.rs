// SPDX-License-Identifier: Apache-2.0
//! Routes: `dpip route`. Those that follow from addresses are not touched here; they come and go with the address.

use std::net::IpAddr;

use engine::ids::LinkId;
use model::net::{FamilyFilter, RouteKey, RouteScope, RouteSpec};
use model::{Family, Prefix};
use sockopt::{Code, Status};

use super::{Decision, refuse, unicast};
use crate::change::Row;
use crate::ports::{MIN_MTU, MIN_MTU6};
use crate::rows::{Route, RouteId};
use crate::state::State;

pub(super) fn add(state: &State, spec: &RouteSpec) -> Result<Decision, Status> {
    let (id, route) = check(state, spec)?;
    if let Some(old) = state.routes.get(&id) {
        if *old == route && id.dst.addr.is_ipv4() {
            // Scripts of DPVS add IPv4 routes that may be there.
            return Ok(Decision::nothing());
        }
        return refuse(
            Code::Exists,
            format!(
                "route {} with metric {} already exists: replace it, or give another metric",
                id.dst, id.metric
            ),
        );
    }
    Ok(Decision::new(vec![Row::Route(id, Some(state.routes.last(route)))], Vec::new()))
}

pub(super) fn replace(state: &State, spec: &RouteSpec) -> Result<Decision, Status> {
    let (id, route) = check(state, spec)?;
    Ok(Decision::new(vec![Row::Route(id, Some(state.routes.instead(&id, route)))], Vec::new()))
}

/// Of several routes that agree with what is named, the one with the lowest metric.
pub(super) fn delete(state: &State, key: &RouteKey) -> Result<Decision, Status> {
    let dst = check_prefix(key.dst)?;
    let link = key.dev.as_deref().map(|dev| state.link(dev)).transpose()?.map(|(id, _)| id);
    let agrees = |route: &Route| {
        link.is_none_or(|link| link == route.link)
            && key.via.is_none_or(|via| route.via == Some(via))
            && key.scope.is_none_or(|scope| route.scope == scope)
    };
    let found = state.routes.rows().filter(|(id, route)| id.dst == dst && agrees(route));
    if let Some((id, _)) = found.min_by_key(|(id, _)| id.metric) {
        return Ok(Decision::new(vec![Row::Route(*id, None)], Vec::new()));
    }
    match implied_by(state, dst, link) {
        Some(addr) => refuse(
            Code::Busy,
            format!("route {dst} follows from address {addr}: it goes with the address (dpip addr del)"),
        ),
        None => refuse(Code::NotFound, format!("no route {dst}{}", named(key))),
    }
}

pub(super) fn flush(state: &State, dev: &str, family: FamilyFilter) -> Result<Decision, Status> {
    let (link, _) = state.link(dev)?;
    let gone = |id: &RouteId| family.is_none_or(|family| family == Family::of(id.dst.addr));
    let rows = state.routes.rows().filter(|(id, route)| route.link == link && gone(id));
    Ok(Decision::new(rows.map(|(id, _)| Row::Route(*id, None)).collect(), Vec::new()))
}

fn check(state: &State, spec: &RouteSpec) -> Result<(RouteId, Route), Status> {
    let dst = check_prefix(spec.dst)?;
    let family = Family::of(dst.addr);
    if let Some(via) = spec.via {
        check_gateway(state, dst, via)?;
    }
    let link = match (spec.dev.as_str(), spec.via) {
        ("", Some(via)) => link_towards(state, via)?,
        ("", None) => return refuse(Code::Invalid, format!("route {dst}: a link or a gateway is needed")),
        (dev, _) => state.link(dev)?.0,
    };
    let scope = check_scope(dst, spec)?;
    if let Some(src) = spec.src {
        if Family::of(src) != family {
            return refuse(Code::Invalid, format!("route {dst}: source {src} is of another family"));
        }
        if state.places_of(src).is_empty() {
            return refuse(Code::Invalid, format!("route {dst}: source {src} is no address of any link"));
        }
    }
    let min = if family == Family::Inet { MIN_MTU } else { MIN_MTU6 };
    let max = state.link_in(link).map_or(0, |link| state.mtu(link));
    if spec.mtu != 0 && !(min..=max).contains(&spec.mtu) {
        return refuse(
            Code::Invalid,
            format!("route {dst}: MTU {}: {min} to {max} (the link's) expected, or 0", spec.mtu),
        );
    }
    let id = RouteId { dst, metric: spec.metric };
    Ok((id, Route { via: spec.via, link, src: spec.src, mtu: spec.mtu, scope }))
}

fn check_prefix(dst: Prefix) -> Result<Prefix, Status> {
    let bits = Family::of(dst.addr).bits();
    if dst.len > bits {
        return refuse(Code::Invalid, format!("route {dst}: a length of 0 to {bits} expected"));
    }
    let dst = dst.network();
    if dst.addr.is_multicast() || dst.addr.is_loopback() {
        return refuse(Code::Invalid, format!("route {dst}: such packets are never routed"));
    }
    Ok(dst)
}

fn check_gateway(state: &State, dst: Prefix, via: IpAddr) -> Result<(), Status> {
    if Family::of(via) != Family::of(dst.addr) {
        return refuse(Code::Invalid, format!("route {dst}: gateway {via} is of another family"));
    }
    unicast(via, "gateway")?;
    if !state.places_of(via).is_empty() {
        return refuse(Code::Invalid, format!("route {dst}: gateway {via} is the director itself"));
    }
    Ok(())
}

fn check_scope(dst: Prefix, spec: &RouteSpec) -> Result<RouteScope, Status> {
    match (spec.scope, spec.via) {
        (None | Some(RouteScope::Global), Some(_)) => Ok(RouteScope::Global),
        (None | Some(RouteScope::Link), None) => Ok(RouteScope::Link),
        (Some(RouteScope::Global), None) => {
            refuse(Code::Invalid, format!("route {dst}: scope global needs a gateway (via)"))
        }
        (Some(_), Some(via)) => refuse(
            Code::Invalid,
            format!("route {dst}: gateway {via} contradicts the scope, which is global then"),
        ),
        (Some(scope @ (RouteScope::Host | RouteScope::KniHost)), None) if dst.is_host() => Ok(scope),
        (Some(_), None) => {
            refuse(Code::Invalid, format!("route {dst}: scopes host and kni_host are for single addresses"))
        }
    }
}

/// The link on whose network a gateway is.
fn link_towards(state: &State, via: IpAddr) -> Result<LinkId, Status> {
    let near = state.addrs.rows().filter(|(key, _)| key.prefix.contains(via));
    match near.max_by_key(|(key, _)| key.prefix.len) {
        Some((key, _)) => Ok(key.link),
        None => {
            refuse(Code::Invalid, format!("gateway {via} is on the network of no link: name the link (dev)"))
        }
    }
}

/// The address a route follows from.
fn implied_by(state: &State, dst: Prefix, link: Option<LinkId>) -> Option<Prefix> {
    let mut addrs = state.addrs.rows().filter(|(key, _)| link.is_none_or(|link| link == key.link));
    addrs
        .find(|(key, _)| key.prefix.network() == dst || Prefix::host(key.prefix.addr) == dst)
        .map(|(key, _)| key.prefix)
}

fn named(key: &RouteKey) -> String {
    let via = key.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let dev = key.dev.as_ref().map(|dev| format!(" on {dev}")).unwrap_or_default();
    via + &dev
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortFacts;
    use model::MacAddr;

    fn via(dst: &str, gateway: &str) -> RouteSpec {
        RouteSpec {
            dst: dst.parse().unwrap(),
            via: Some(gateway.parse().unwrap()),
            dev: "dpdk0".into(),
            src: None,
            mtu: 0,
            scope: None,
            metric: 0,
        }
    }

    #[test]
    fn an_ipv4_route_may_be_added_again_but_not_with_another_gateway() {
        let mut state = State::new(vec![PortFacts::new("dpdk0", MacAddr([2, 0, 0, 0, 0, 1]))]);
        let (four, six) = (via("10.0.0.0/8", "192.0.2.1"), via("2001:db8::/48", "fd00::1"));
        for route in [&four, &six] {
            state.commit(add(&state, route).unwrap().change);
        }
        assert_eq!(add(&state, &four), Ok(Decision::nothing()));
        assert_eq!(add(&state, &via("10.0.0.0/8", "192.0.2.2")).unwrap_err().code, Code::Exists);
        assert_eq!(add(&state, &six).unwrap_err().code, Code::Exists);
    }
}
