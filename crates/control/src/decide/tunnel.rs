// SPDX-License-Identifier: Apache-2.0
//! Tunnels over links: `dpip tunnel`.

use std::net::{IpAddr, Ipv4Addr};

use engine::ids::{LinkId, PortId};
use engine::tunnel::Sequence;
use model::tunnel::{TunnelEnd, TunnelMode, TunnelSpec};
use sockopt::{Code, Status};

use super::vlan::{check_name, remove};
use super::{Decision, link, refuse, unicast};
use crate::change::Row;
use crate::rows::{Link, Tunnel};
use crate::state::State;

pub(super) fn add(state: &State, spec: &TunnelSpec) -> Result<Decision, Status> {
    let (id, generation) = state.links.vacant();
    let Ok(id) = u16::try_from(id) else { return refuse(Code::NoResource, "65536 links are there already") };
    let name = match spec.name.as_str() {
        "" => format!("{}{}", spec.mode, u32::from(id) + 1),
        name => name.to_owned(),
    };
    check_name(&name)?;
    if state.find_link(&name).is_some() {
        return refuse(Code::Exists, format!("link {name} already exists"));
    }
    let link = link_of(state, &TunnelSpec { name, ..spec.clone() }, LinkId(id), None)?;
    Ok(Decision::new(vec![Row::Link(LinkId(id), Some((generation, link)))], Vec::new()))
}

pub(super) fn edit(state: &State, spec: &TunnelSpec) -> Result<Decision, Status> {
    let (id, old) = find(state, &spec.name)?;
    let new = link_of(state, spec, id, Some(old))?;
    if state.mtu(&new) < crate::ports::MIN_MTU {
        return refuse(Code::Invalid, format!("{}: its headers leave no room for packets", spec.name));
    }
    Ok(Decision::new(vec![link::row(state, id, new)], Vec::new()))
}

pub(super) fn delete(state: &State, name: &str) -> Result<Decision, Status> {
    let (id, _) = find(state, name)?;
    remove(state, id, name)
}

fn find<'s>(state: &'s State, name: &str) -> Result<(LinkId, &'s Link), Status> {
    let found = state.find_link(name).and_then(|id| Some((id, state.link_in(id)?)));
    match found {
        Some((id, link)) if link.tunnel.is_some() => Ok((id, link)),
        Some(_) => refuse(Code::Invalid, format!("{name} is no tunnel")),
        None => {
            let known: Vec<&str> = state.tunnels().map(|(_, tunnel)| tunnel.spec.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            refuse(Code::NotFound, format!("no tunnel `{name}`: there are {known}"))
        }
    }
}

/// The link that a tunnel is; one that was there before keeps what is no matter of the tunnel.
fn link_of(state: &State, spec: &TunnelSpec, id: LinkId, old: Option<&Link>) -> Result<Link, Status> {
    for (addr, end) in [(spec.local, "local"), (spec.remote, "remote")] {
        if !addr.is_unspecified() {
            unicast(IpAddr::V4(addr), end)?;
        }
    }
    if spec.mode == TunnelMode::Ipip && [spec.input, spec.output] != [TunnelEnd::default(); 2] {
        return refuse(Code::Invalid, format!("{}: key, csum and seq are for gre", spec.name));
    }
    let same = |other: &TunnelSpec| {
        (other.mode, other.local, other.remote, other.input.key)
            == (spec.mode, spec.local, spec.remote, spec.input.key)
    };
    if let Some((_, other)) = state.tunnels().find(|(at, tunnel)| *at != id && same(&tunnel.spec)) {
        let text = format!("{} is a tunnel of that kind between the same ends already", other.spec.name);
        return refuse(Code::Exists, text);
    }
    let port = match &spec.dev {
        Some(dev) => {
            let (below, link) = state.link(dev)?;
            if below == id || link.tunnel.is_some() {
                return refuse(Code::Invalid, format!("{dev} is a tunnel: tunnels leave by ports and vlans"));
            }
            link.port
        }
        None => port_of(state, spec.local),
    };
    let sequence = old
        .and_then(|old| old.tunnel.as_ref())
        .map_or_else(Sequence::default, |tunnel| tunnel.sequence.clone());
    let fresh = Link {
        name: spec.name.clone(),
        port,
        vlan: None,
        tunnel: None,
        mtu: 0,
        mac: model::MacAddr([0; 6]),
        up: true,
        promisc: false,
        allmulticast: false,
    };
    let tunnel = Some(Tunnel { spec: spec.clone(), sequence });
    Ok(Link { port, tunnel, ..old.cloned().unwrap_or(fresh) })
}

/// The port whose link has the director's end, else the first.
fn port_of(state: &State, local: Ipv4Addr) -> PortId {
    let places = state.places_of(IpAddr::V4(local));
    let link = places.first().and_then(|place| state.link_in(place.link));
    link.map_or(PortId(0), |link| link.port)
}
