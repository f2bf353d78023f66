// SPDX-License-Identifier: Apache-2.0
//! Neighbours: `dpip neigh`. Those entered by hand are configuration; learned ones live with the workers.

use std::net::IpAddr;

use model::net::NeighSpec;
use sockopt::{Code, Status};

use super::{Decision, refuse, unicast};
use crate::change::Row;
use crate::effect::Effect;
use crate::state::State;

/// Enters a neighbour, or gives one entered before another Ethernet address.
pub(super) fn add(state: &State, spec: &NeighSpec) -> Result<Decision, Status> {
    let (link, on) = state.link(&spec.dev)?;
    if on.tunnel.is_some() {
        return refuse(Code::Invalid, format!("{} is a tunnel: there are no stations on it", spec.dev));
    }
    unicast(spec.addr, "neighbour")?;
    if spec.mac.is_unusable() {
        return refuse(
            Code::Invalid,
            format!("neighbour {}: {} is no Ethernet address of a single station", spec.addr, spec.mac),
        );
    }
    if !state.places_of(spec.addr).is_empty() {
        return refuse(Code::Invalid, format!("neighbour {} is the director itself", spec.addr));
    }
    let key = (link, spec.addr);
    Ok(Decision::new(vec![Row::Neigh(key, Some(state.neighs.instead(&key, spec.mac)))], Vec::new()))
}

/// Removes a neighbour, entered or learned. Which ones were learned only the workers know, so none is no error.
pub(super) fn delete(state: &State, addr: IpAddr, dev: &str) -> Result<Decision, Status> {
    let (link, _) = state.link(dev)?;
    if state.neighs.get(&(link, addr)).is_some() {
        return Ok(Decision::new(vec![Row::Neigh((link, addr), None)], Vec::new()));
    }
    Ok(Decision::new(Vec::new(), vec![Effect::ForgetNeighbours { link, addr: Some(addr) }]))
}

pub(super) fn flush(state: &State, dev: &str) -> Result<Decision, Status> {
    let (link, _) = state.link(dev)?;
    Ok(Decision::new(Vec::new(), vec![Effect::ForgetNeighbours { link, addr: None }]))
}
