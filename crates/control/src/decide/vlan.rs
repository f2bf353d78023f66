// SPDX-License-Identifier: Apache-2.0
//! VLANs of ports: `dpip vlan`.

use engine::ids::LinkId;
use model::link::VlanSpec;
use sockopt::{Code, Status};

use super::{Decision, addr, refuse};
use crate::change::Row;
use crate::effect::Effect;
use crate::rows::Link;
use crate::state::State;

/// Longest name of a link, in bytes.
pub const MAX_NAME: usize = 31;

pub(super) fn add(state: &State, spec: &VlanSpec) -> Result<Decision, Status> {
    let (_, dev) = state.link(&spec.dev)?;
    if dev.vlan.is_some() {
        return refuse(Code::NotSupported, format!("{} is a vlan itself: name its port", spec.dev));
    }
    if dev.tunnel.is_some() {
        return refuse(Code::NotSupported, format!("{} is a tunnel: frames in it have no tags", spec.dev));
    }
    if !(1..=4094).contains(&spec.id) {
        return refuse(Code::Invalid, format!("vlan id {}: 1 to 4094 expected", spec.id));
    }
    if let Some((_, other)) = state.vlans(dev.port).find(|(_, other)| other.vlan == Some(spec.id)) {
        return refuse(
            Code::Exists,
            format!("vlan {} of {} already exists: {}", spec.id, spec.dev, other.name),
        );
    }
    let name = spec.name.clone().unwrap_or_else(|| format!("{}.{}", spec.dev, spec.id));
    check_name(&name)?;
    if state.find_link(&name).is_some() {
        return refuse(Code::Exists, format!("link {name} already exists"));
    }
    let (id, generation) = state.links.vacant();
    let Ok(id) = u16::try_from(id) else { return refuse(Code::NoResource, "65536 links are there already") };
    let link = Link {
        name,
        port: dev.port,
        vlan: Some(spec.id),
        tunnel: None,
        mtu: 0,
        mac: dev.mac,
        up: true,
        promisc: false,
        allmulticast: false,
    };
    Ok(Decision::new(vec![Row::Link(LinkId(id), Some((generation, link)))], Vec::new()))
}

/// Removes a VLAN.
pub(super) fn delete(state: &State, name: &str) -> Result<Decision, Status> {
    let Some(id) = state.find_link(name) else {
        return refuse(Code::NotFound, format!("no vlan `{name}`"));
    };
    if state.link_in(id).is_some_and(|link| link.tunnel.is_some()) {
        return refuse(Code::Invalid, format!("{name} is a tunnel, not a vlan"));
    }
    if state.link_in(id).is_some_and(|link| link.vlan.is_none()) {
        return refuse(Code::Invalid, format!("{name} is a port, not a vlan: ports cannot be removed"));
    }
    let above = state.tunnels().find(|(_, tunnel)| tunnel.spec.dev.as_deref() == Some(name));
    if let Some((_, tunnel)) = above {
        return refuse(Code::Busy, format!("tunnel {} leaves by {name}: remove it first", tunnel.spec.name));
    }
    remove(state, id, name)
}

/// Removes a link that is no port, with its addresses, routes and neighbours.
pub(super) fn remove(state: &State, id: LinkId, name: &str) -> Result<Decision, Status> {
    let mut rows = Vec::new();
    for (key, _) in state.addrs_of(id, name) {
        addr::check_unused(state, key, |_| false)?;
        rows.push(Row::Addr(key, None));
    }
    let routes = state.routes.rows().filter(|(_, route)| route.link == id);
    rows.extend(routes.map(|(route, _)| Row::Route(*route, None)));
    let neighs = state.neighs.rows().filter(|((link, _), _)| *link == id);
    rows.extend(neighs.map(|(neigh, _)| Row::Neigh(*neigh, None)));
    rows.push(Row::Link(id, None));
    Ok(Decision::new(rows, vec![Effect::ForgetNeighbours { link: id, addr: None }]))
}

pub(crate) fn check_name(name: &str) -> Result<(), Status> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'@');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if name.len() > MAX_NAME || !first || !name.bytes().all(good) {
        return refuse(
            Code::Invalid,
            format!(
                "`{name}` is no name for a link: 1 to {MAX_NAME} letters, digits, and . - _ : @ after the first"
            ),
        );
    }
    Ok(())
}
