// SPDX-License-Identifier: Apache-2.0
//! Servers of a service: `ipvsadm -a -e -d`.

use std::net::SocketAddr;

use engine::health::Health;
use engine::ids::DestId;
use engine::limit::Occupancy;
use model::dest::TunnelCsum;
use model::{DestSpec, Family, Forwarding, ServiceKey, ServiceOptions, TunnelKind};
use sockopt::{Code, Status};

use super::{Decision, refuse, service, unicast};
use crate::capabilities;
use crate::change::Row;
use crate::effect::Effect;
use crate::rows::Dest;
use crate::state::State;

/// Greatest weight and threshold.
pub const MAX_WEIGHT: u32 = i32::MAX as u32;

pub(super) fn add(
    state: &State,
    key: &ServiceKey,
    addr: SocketAddr,
    spec: &DestSpec,
) -> Result<Decision, Status> {
    let (service, old) = state.service(key)?;
    if state.find_dest(service, addr).is_some() {
        return refuse(Code::Exists, format!("server {addr} of {key} already exists"));
    }
    unicast(addr.ip(), "server")?;
    fits_options(key, &old.spec.options, addr, spec)?;
    let forwarding = check(key, addr, spec)?;
    let dest = Dest {
        service,
        addr,
        spec: *spec,
        forwarding,
        occupancy: occupancy(spec, None),
        health: Health::new(&state.clock),
    };
    let (id, generation) = state.dests.vacant();
    let mut parent = old.clone();
    parent.dests.push(DestId(id));
    parent.revision = parent.revision.wrapping_add(1);
    let rows =
        vec![Row::Dest(DestId(id), Some((generation, dest))), service::replaced(state, service, parent)];
    Ok(Decision::new(rows, Vec::new()))
}

/// Replaces what is configured; connections and counters stay.
pub(super) fn edit(
    state: &State,
    key: &ServiceKey,
    addr: SocketAddr,
    spec: &DestSpec,
) -> Result<Decision, Status> {
    let (service, parent) = state.service(key)?;
    let Some((id, old)) = state.find_dest(service, addr) else { return no_dest(key, addr) };
    fits_options(key, &parent.spec.options, addr, spec)?;
    let forwarding = check(key, addr, spec)?;
    let dest = Dest {
        spec: *spec,
        forwarding,
        occupancy: occupancy(spec, old.occupancy.clone()),
        // Who edits it knows better than what was seen of it.
        health: Health::new(&state.clock),
        ..old.clone()
    };
    let mut rows = vec![Row::Dest(id, Some((state.dests.generation(id.0), dest)))];
    if spec.weight != old.spec.weight {
        let mut parent = parent.clone();
        parent.revision = parent.revision.wrapping_add(1);
        rows.push(service::replaced(state, service, parent));
    }
    Ok(Decision::new(rows, Vec::new()))
}

/// What counts the connections that `spec` limits: what did before, if anything.
fn occupancy(spec: &DestSpec, before: Option<Occupancy>) -> Option<Occupancy> {
    (spec.upper != 0).then(|| before.unwrap_or_default())
}

pub(super) fn delete(state: &State, key: &ServiceKey, addr: SocketAddr) -> Result<Decision, Status> {
    let (service, parent) = state.service(key)?;
    let Some((id, _)) = state.find_dest(service, addr) else { return no_dest(key, addr) };
    let mut parent = parent.clone();
    parent.dests.retain(|&dest| dest != id);
    parent.revision = parent.revision.wrapping_add(1);
    let rows = vec![service::replaced(state, service, parent), Row::Dest(id, None)];
    Ok(Decision::new(rows, vec![Effect::Retire]))
}

fn no_dest(key: &ServiceKey, addr: SocketAddr) -> Result<Decision, Status> {
    refuse(Code::NotFound, format!("no server {addr} of {key}"))
}

/// Whether a server can be reached as its service's options need it.
pub(super) fn fits_options(
    key: &ServiceKey,
    options: &ServiceOptions,
    addr: SocketAddr,
    spec: &DestSpec,
) -> Result<(), Status> {
    let why = match spec.forwarding {
        Forwarding::FullNat => return Ok(()),
        _ if options.proxy_protocol.is_some() => {
            "the proxy protocol needs fullnat (-b): otherwise servers see the client itself; or switch it off \
             (--proxy-protocol disable)"
        }
        Forwarding::Nat => return Ok(()),
        _ if options.synproxy.is_on() => {
            "the syn proxy needs fullnat (-b) or masquerading (-m), as answers by another way cannot be translated; or switch it \
             off (-j disable)"
        }
        _ => return Ok(()),
    };
    refuse(Code::Invalid, format!("server {addr} of {key}: {why}"))
}

fn check(
    key: &ServiceKey,
    addr: SocketAddr,
    spec: &DestSpec,
) -> Result<engine::snapshot::Forwarding, Status> {
    let DestSpec { weight, upper, lower, .. } = *spec;
    for (what, value) in [("weight", weight), ("upper threshold", upper), ("lower threshold", lower)] {
        if value > MAX_WEIGHT {
            return refuse(
                Code::Invalid,
                format!("server {addr}: {what} {value}: 0 to {MAX_WEIGHT} expected"),
            );
        }
    }
    if lower > upper {
        return refuse(
            Code::Invalid,
            format!("server {addr}: lower threshold {lower} is above the upper one, {upper}"),
        );
    }
    let (clients, server) = (key.family(), Family::of(addr.ip()));
    match spec.forwarding {
        Forwarding::Nat | Forwarding::DirectRouting if clients != server => refuse(
            Code::Invalid,
            format!("server {addr} of {key}: only tunnels and fullnat may change the address family"),
        ),
        Forwarding::Snat if !matches!(key, ServiceKey::Match(_)) => {
            refuse(Code::Invalid, format!("server {addr} of {key}: snat (-J) is for match services (-H)"))
        }
        Forwarding::Snat if clients != server => {
            refuse(Code::Invalid, format!("server {addr} of {key}: snat keeps the address family"))
        }
        forwarding if forwarding != Forwarding::Snat && matches!(key, ServiceKey::Match(_)) => refuse(
            Code::NotSupported,
            format!("server {addr} of {key}: a match service forwards by snat (-J) only"),
        ),
        Forwarding::Tunnel(TunnelKind::Gue { port: 0, .. }) => {
            refuse(Code::Invalid, format!("server {addr}: a gue tunnel needs a port (--tun-port)"))
        }
        Forwarding::Tunnel(TunnelKind::Gre { csum: TunnelCsum::Remote }) => refuse(
            Code::Invalid,
            format!("server {addr}: gre has no remote checksum offload (--tun-remcsum)"),
        ),
        _ => capabilities::forwarding(spec),
    }
}
